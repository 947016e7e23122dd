//! vai's expression language, as written: names and literals are not understood yet.
//!
//! ```text
//! expression = conjunction { ("or" | "||") conjunction }
//! conjunction = negation { ("and" | "&&") negation }
//! negation = ("not" | "!") negation | primary
//! primary = "(" expression ")" | "true" | "false" | "exists" target | target condition
//! target = name | path | ("all" | "any" | "age" | type) "(" target ")"
//! condition = ["not" | "!"] operator value | ["not" | "!"] "exists"
//! value = word | quoted text | "(" word or quoted text { "," … } ")" behind in and notin
//! ```

use super::ExprError;
use super::fold::Fold;
use super::lex::{Lexed, Token, lex};
use crate::value::Type;

/// Longest expression. Kubernetes answers no URL beyond its header limit of 1 MiB
/// (`DefaultMaxHeaderBytes` in Go's net/http); what a person or a program writes is far below 64 KiB.
pub const MAX_EXPRESSION_BYTES: usize = 64 * 1024;
/// Deepest nesting of parentheses and negations: recursion stays bounded.
pub const MAX_EXPRESSION_DEPTH: usize = 64;

/// An expression that can be parsed. [`Ast::bind`] gives its names and literals a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ast {
    pub(super) root: Node,
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    True,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare(Compare),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compare {
    pub(super) target: Target,
    pub(super) operator: Operator,
    /// `!=`, `notin`, `!contains` …: the field must exist, and not do so.
    pub(super) negated: bool,
    pub(super) values: Vec<Literal>,
    /// Where the operator stands.
    pub(super) position: usize,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) position: usize,
    pub(super) quantifier: Option<Quantifier>,
    pub(super) view: Option<View>,
}

/// How the values of a many-valued field are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    All,
}

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// A time as the duration since.
    Age,
    /// As this type: for paths, whose type is not known.
    As(Type),
}

/// Between a target and its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Contains(Fold),
    EqualFold(Fold),
    StartsWith,
    Matches,
    Within,
    Exists,
}

/// A value as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) position: usize,
}

/// Operators that are words, with what they negate to when they begin with `not`.
const WORDS: [(&str, Operator, bool); 13] = [
    ("in", Operator::In, false),
    ("notin", Operator::In, true),
    ("contains", Operator::Contains(Fold::Exact), false),
    ("notcontains", Operator::Contains(Fold::Exact), true),
    ("icontains", Operator::Contains(Fold::Unicode), false),
    ("icontains_ascii", Operator::Contains(Fold::Ascii), false),
    ("equals", Operator::Equal, false),
    ("iequals", Operator::EqualFold(Fold::Unicode), false),
    ("iequals_ascii", Operator::EqualFold(Fold::Ascii), false),
    ("startswith", Operator::StartsWith, false),
    ("matches", Operator::Matches, false),
    ("within", Operator::Within, false),
    ("exists", Operator::Exists, false),
];

const OPERATORS: &str = "an operator: = != < <= > >= in notin contains icontains startswith \
                         matches within exists";

/// Words that begin or join a condition, and so are no names: written with a leading dot they are.
const RESERVED: [&str; 4] = ["and", "or", "not", "exists"];

impl Ast {
    /// Reads an expression; an empty one is true of everything.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        if text.len() > MAX_EXPRESSION_BYTES {
            return Err(ExprError::new(
                format!(
                    "the expression has {} bytes, more than the {MAX_EXPRESSION_BYTES} that are \
                     read; ask for less at once",
                    text.len()
                ),
                MAX_EXPRESSION_BYTES,
            ));
        }
        let mut parser = Parser { tokens: lex(text)?, next: 0, depth: 0 };
        if parser.peek().token == Token::End {
            return Ok(Self { root: Node::True });
        }
        let root = parser.expression()?;
        let behind = parser.peek();
        match behind.token {
            Token::End => Ok(Self { root }),
            _ => Err(behind.expected("'and', 'or' or the end")),
        }
    }

    /// Reads a field or path alone, with the functions around it.
    pub(super) fn parse_target(text: &str) -> Result<Target, ExprError> {
        if text.len() > MAX_EXPRESSION_BYTES {
            return Err(ExprError::new("the name is too long to be one", 0));
        }
        let mut parser = Parser { tokens: lex(text)?, next: 0, depth: 0 };
        let target = parser.target()?;
        match parser.peek().token {
            Token::End => Ok(target),
            _ => Err(parser.peek().expected("the end of the name")),
        }
    }
}

impl Lexed {
    fn expected(&self, expected: &str) -> ExprError {
        ExprError::new(format!("found {}, expected {expected}", self.named()), self.start)
    }
}

struct Parser {
    tokens: Vec<Lexed>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Lexed {
        self.ahead(0)
    }

    /// The token some places on; at the end it is the end for ever.
    fn ahead(&self, places: usize) -> &Lexed {
        &self.tokens[(self.next + places).min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Lexed {
        let lexed = self.peek().clone();
        self.next += 1;
        lexed
    }

    /// Takes the next token if it is one of these: a symbol or a keyword.
    fn accept(&mut self, symbol: &str, keyword: &str) -> bool {
        let found = self.peek().is_symbol(symbol) || self.peek().is_word(keyword);
        self.next += usize::from(found);
        found
    }

    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ExprError>,
    ) -> Result<T, ExprError> {
        if self.depth >= MAX_EXPRESSION_DEPTH {
            return Err(ExprError::new(
                format!(
                    "nested deeper than {MAX_EXPRESSION_DEPTH} levels; 'and' and 'or' need no \
                     parentheses around each pair"
                ),
                // What was just taken opens the level.
                self.tokens[self.next.saturating_sub(1)].start,
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Result<Node, ExprError> {
        let mut parts = vec![self.conjunction()?];
        while self.accept("||", "or") {
            parts.push(self.conjunction()?);
        }
        Ok(joined(parts, Node::Or))
    }

    fn conjunction(&mut self) -> Result<Node, ExprError> {
        let mut parts = vec![self.negation()?];
        while self.accept("&&", "and") {
            parts.push(self.negation()?);
        }
        Ok(joined(parts, Node::And))
    }

    fn negation(&mut self) -> Result<Node, ExprError> {
        if self.accept("!", "not") {
            return self.deeper(|parser| Ok(Node::Not(Box::new(parser.negation()?))));
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Node, ExprError> {
        if self.peek().is_symbol("(") {
            self.next += 1;
            let inner = self.deeper(Self::expression)?;
            self.close()?;
            return Ok(inner);
        }
        if self.peek().is_word("exists") {
            let position = self.take().start;
            // `exists(x)` reads like a function, and may.
            let target = if self.accept("(", "") {
                let target = self.target()?;
                self.close()?;
                target
            } else {
                self.target()?
            };
            let values = Vec::new();
            let operator = Operator::Exists;
            return Ok(Node::Compare(Compare {
                target,
                operator,
                negated: false,
                values,
                position,
            }));
        }
        for (word, node) in [("true", Node::True), ("false", Node::Not(Box::new(Node::True)))] {
            if self.peek().is_word(word) && self.at_boundary(1) {
                self.next += 1;
                return Ok(node);
            }
        }
        let target = self.target()?;
        self.condition(target)
    }

    /// Whether a condition could end in front of the token some places on.
    fn at_boundary(&self, places: usize) -> bool {
        let lexed = self.ahead(places);
        lexed.token == Token::End
            || [")", "&&", "||"].iter().any(|symbol| lexed.is_symbol(symbol))
            || ["and", "or"].iter().any(|word| lexed.is_word(word))
    }

    fn close(&mut self) -> Result<(), ExprError> {
        if self.accept(")", "") { Ok(()) } else { Err(self.peek().expected("')'")) }
    }

    fn target(&mut self) -> Result<Target, ExprError> {
        let lexed = self.take();
        let Token::Word(name) = &lexed.token else {
            return Err(lexed.expected("a field, a path or '('"));
        };
        if self.peek().is_symbol("(")
            && let Some(function) = Function::named(name)
        {
            self.next += 1;
            let target = self.deeper(Self::target)?;
            self.close()?;
            return function.applied(target, &lexed);
        }
        if RESERVED.iter().any(|word| name.eq_ignore_ascii_case(word)) {
            return Err(lexed.expected(&format!(
                "a field or a path (a field of that name is written .{name})"
            )));
        }
        Ok(Target { name: name.clone(), position: lexed.start, quantifier: None, view: None })
    }

    fn condition(&mut self, target: Target) -> Result<Node, ExprError> {
        let position = self.peek().start;
        let mut negated = self.accept("!", "not");
        let lexed = self.take();
        let operator = match &lexed.token {
            Token::Symbol("=" | "==") if !negated => Operator::Equal,
            Token::Symbol("!=") if !negated => {
                negated = true;
                Operator::Equal
            }
            Token::Symbol("<") if !negated => Operator::Less,
            Token::Symbol("<=") if !negated => Operator::LessOrEqual,
            Token::Symbol(">") if !negated => Operator::Greater,
            Token::Symbol(">=") if !negated => Operator::GreaterOrEqual,
            Token::Word(word) => {
                let Some((_, operator, not)) =
                    WORDS.iter().find(|(name, _, _)| word.eq_ignore_ascii_case(name))
                else {
                    return Err(lexed.expected(OPERATORS));
                };
                if negated && *not {
                    return Err(lexed.expected("an operator that is not negated twice"));
                }
                negated |= *not;
                *operator
            }
            _ => return Err(lexed.expected(OPERATORS)),
        };
        let values = match operator {
            Operator::Exists => Vec::new(),
            Operator::In | Operator::Within if self.peek().is_symbol("(") => self.values()?,
            _ => {
                let literal = self.literal()?;
                // `in 10.0.0.0/8` is a network; `in Running` a slip for `=` or `in (Running)`.
                if operator == Operator::In && !literal.text.contains('/') {
                    return Err(ExprError::new(
                        "'in' takes a list in parentheses, (a, b), or a network, 10.0.0.0/8",
                        literal.position,
                    ));
                }
                vec![literal]
            }
        };
        if operator == Operator::Exists && negated {
            let compare = Compare { target, operator, negated: false, values, position };
            return Ok(Node::Not(Box::new(Node::Compare(compare))));
        }
        Ok(Node::Compare(Compare { target, operator, negated, values, position }))
    }

    /// `(a, b)`
    fn values(&mut self) -> Result<Vec<Literal>, ExprError> {
        self.next += 1;
        let mut values = vec![self.literal()?];
        while self.accept(",", "") {
            values.push(self.literal()?);
        }
        if self.accept(")", "") { Ok(values) } else { Err(self.peek().expected("',' or ')'")) }
    }

    fn literal(&mut self) -> Result<Literal, ExprError> {
        let lexed = self.take();
        let position = lexed.start;
        match lexed.token {
            Token::Word(text) => Ok(Literal { text, quoted: false, position }),
            Token::Quoted(text) => Ok(Literal { text, quoted: true, position }),
            _ => Err(lexed.expected("a value (a text with other characters goes in quotes)")),
        }
    }
}

/// A node of several parts; one part stands for itself.
fn joined(mut parts: Vec<Node>, node: fn(Vec<Node>) -> Node) -> Node {
    match parts.len() {
        1 => parts.remove(0),
        _ => node(parts),
    }
}

/// A word before a parenthesis.
enum Function {
    Quantifier(Quantifier),
    View(View),
}

impl Function {
    fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        Some(match lower.as_str() {
            "all" => Self::Quantifier(Quantifier::All),
            "any" => Self::Quantifier(Quantifier::Any),
            "age" => Self::View(View::Age),
            _ => Self::View(View::As(lower.parse().ok()?)),
        })
    }

    fn applied(self, mut target: Target, at: &Lexed) -> Result<Target, ExprError> {
        let free = match self {
            Self::Quantifier(_) => target.quantifier.is_none(),
            // all(quantity(x)), not quantity(all(x))
            Self::View(_) => target.view.is_none() && target.quantifier.is_none(),
        };
        if !free {
            return Err(at.expected("one of all() or any() outside, one type or age() inside"));
        }
        match self {
            Self::Quantifier(quantifier) => target.quantifier = Some(quantifier),
            Self::View(view) => target.view = Some(view),
        }
        Ok(target)
    }
}
