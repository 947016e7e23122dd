//! One `filter` parameter: requirements joined by commas, of which one must hold.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::error::Result;
use crate::expr::lex::shortened;
use crate::expr::{Catalogue, Expr, ExprError, Field, Fold, MAX_EXPRESSION_BYTES, Op, Pattern};
use crate::value::{Type, Value, Whole};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Symbol(&'static str),
    End,
}

#[derive(Clone, Debug)]
struct Lexed {
    token: Token,
    position: usize,
}

/// Long ones first.
const SYMBOLS: [&str; 10] = ["!=", "!~", "==", "=", "~", "!", "<", ">", "(", ")"];
const OPERATORS: &str = "an operator: = == != ~ !~ in notin contains notcontains < > lt gt";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    Partial,
    In,
    Contains,
    Less,
    Greater,
}

/// A filter as a condition.
pub(super) fn parse(text: &str, catalogue: &dyn Catalogue) -> Result<Expr> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(ExprError::new(
            format!("{} bytes, more than the {MAX_EXPRESSION_BYTES} that are read", text.len()),
            MAX_EXPRESSION_BYTES,
        )
        .into());
    }
    let mut parser = Parser { tokens: lex(text)?, next: 0, catalogue };
    if parser.peek().token == Token::End {
        return Ok(Expr::True);
    }
    let mut alternatives = vec![parser.requirement()?];
    loop {
        let behind = parser.take();
        match behind.token {
            Token::End => return Ok(Expr::or(alternatives)),
            Token::Symbol(",") => alternatives.push(parser.requirement()?),
            _ => return Err(behind.expected("',' or the end")),
        }
    }
}

fn lex(text: &str) -> Result<Vec<Lexed>, ExprError> {
    let mut tokens = Vec::new();
    let mut position = 0;
    loop {
        position += text[position..].len() - text[position..].trim_start().len();
        let rest = &text[position..];
        let Some(first) = rest.chars().next() else {
            tokens.push(Lexed { token: Token::End, position });
            return Ok(tokens);
        };
        let (token, length) = if first == ',' {
            (Token::Symbol(","), 1)
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else if first == '"' || first == '\'' {
            quoted(rest, first, position)?
        } else {
            let ends = |char: char| char.is_whitespace() || "=!(),><~".contains(char);
            let length = rest.find(ends).unwrap_or(rest.len());
            (Token::Word(rest[..length].to_owned()), length)
        };
        tokens.push(Lexed { token, position });
        position += length;
    }
}

/// A backslash takes the next character as it is.
fn quoted(text: &str, quote: char, position: usize) -> Result<(Token, usize), ExprError> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => content.extend(chars.next().map(|(_, escaped)| escaped)),
            char if char == quote => return Ok((Token::Quoted(content), at + 1)),
            char => content.push(char),
        }
    }
    Err(ExprError::new("this quote is never closed", position))
}

impl Lexed {
    fn expected(&self, expected: &str) -> crate::Error {
        let found = match &self.token {
            Token::Word(text) | Token::Quoted(text) => format!("'{}'", shortened(text)),
            Token::Symbol(symbol) => format!("'{symbol}'"),
            Token::End => "the end".to_owned(),
        };
        ExprError::new(format!("found {found}, expected {expected}"), self.position).into()
    }
}

struct Parser<'c> {
    tokens: Vec<Lexed>,
    next: usize,
    catalogue: &'c dyn Catalogue,
}

impl Parser<'_> {
    fn peek(&self) -> &Lexed {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Lexed {
        let lexed = self.peek().clone();
        self.next += 1;
        lexed
    }

    fn requirement(&mut self) -> Result<Expr> {
        let negated = self.peek().token == Token::Symbol("!");
        self.next += usize::from(negated);
        let key = self.take();
        let Token::Word(name) = &key.token else { return Err(key.expected("a field")) };
        if negated || matches!(self.peek().token, Token::End | Token::Symbol(",")) {
            let field = super::field(name, key.position, self.catalogue)?;
            let exists = Expr::any(field, Op::Exists);
            return Ok(if negated { exists.negated() } else { exists });
        }
        let operator = self.take();
        let (relation, not) = relation(&operator)?;
        let values = if relation == Relation::In { self.values()? } else { vec![self.value()?] };
        let expr = if name == "id" && self.catalogue.field("id").is_none() {
            identity(relation, &values)?
        } else {
            let field = super::field(name, key.position, self.catalogue)?;
            Requirement { name, field, position: operator.position }.expr(relation, &values)?
        };
        Ok(if not { expr.negated() } else { expr })
    }

    /// `(a,,b)`: a value between commas may be nothing.
    fn values(&mut self) -> Result<Vec<Lexed>> {
        let open = self.take();
        if open.token != Token::Symbol("(") {
            return Err(open.expected("'('"));
        }
        let mut values = Vec::new();
        loop {
            let lexed = self.peek().clone();
            if matches!(lexed.token, Token::Word(_) | Token::Quoted(_)) {
                self.next += 1;
                values.push(lexed);
            } else {
                let position = lexed.position;
                values.push(Lexed { token: Token::Word(String::new()), position });
            }
            let behind = self.take();
            match behind.token {
                Token::Symbol(",") => {}
                Token::Symbol(")") => return Ok(values),
                _ => return Err(behind.expected("',' or ')'")),
            }
        }
    }

    fn value(&mut self) -> Result<Lexed> {
        let lexed = self.take();
        match lexed.token {
            Token::Word(_) | Token::Quoted(_) => Ok(lexed),
            _ => Err(lexed.expected("a value; a text with other characters goes in quotes")),
        }
    }
}

/// The relation, and whether it is negated. Words are read in any case.
fn relation(lexed: &Lexed) -> Result<(Relation, bool)> {
    let name = match &lexed.token {
        Token::Word(word) => word.to_ascii_lowercase(),
        Token::Symbol(symbol) => (*symbol).to_owned(),
        _ => return Err(lexed.expected(OPERATORS)),
    };
    Ok(match name.as_str() {
        "=" | "==" => (Relation::Equal, false),
        "!=" => (Relation::Equal, true),
        "~" => (Relation::Partial, false),
        "!~" => (Relation::Partial, true),
        "in" => (Relation::In, false),
        "notin" => (Relation::In, true),
        "contains" => (Relation::Contains, false),
        "notcontains" => (Relation::Contains, true),
        "<" | "lt" => (Relation::Less, false),
        ">" | "gt" => (Relation::Greater, false),
        _ => return Err(lexed.expected(OPERATORS)),
    })
}

impl Lexed {
    fn text(&self) -> &str {
        match &self.token {
            Token::Word(text) | Token::Quoted(text) => text,
            Token::Symbol(_) | Token::End => "",
        }
    }
}

struct Requirement<'n> {
    name: &'n str,
    field: Field,
    position: usize,
}

impl Requirement<'_> {
    fn expr(&self, relation: Relation, values: &[Lexed]) -> Result<Expr> {
        let Some(first) = values.first() else { return Ok(Expr::none()) };
        match relation {
            // One element of a list is what `contains` asks for; a list has all its elements here.
            Relation::Equal | Relation::In | Relation::Contains => Ok(self.one_of(values)),
            Relation::Partial if self.field.ty() == Type::Text => {
                let text = Fold::Ascii.fold(first.text()).into_owned();
                Ok(self.test(Op::Contains { text, fold: Fold::Ascii }))
            }
            Relation::Partial => Err(ExprError::new(
                format!("{} is {}; ~ is asked of text", self.name, self.field.ty()),
                self.position,
            )
            .into()),
            Relation::Less => self.compare(first, false),
            Relation::Greater => self.compare(first, true),
        }
    }

    fn test(&self, op: Op) -> Expr {
        Expr::any(self.field.clone(), op)
    }

    /// An empty text is how Steve keeps a missing value, but for labels.
    fn one_of(&self, values: &[Lexed]) -> Expr {
        let ty = self.field.ty();
        let keeps_empty = matches!(self.field, Field::Label(_));
        let mut missing = false;
        let mut wanted = BTreeSet::new();
        for value in values {
            match value.text() {
                "" if !keeps_empty => missing = true,
                // What no value is written as, none is equal to.
                text => wanted.extend(Value::parse(ty, text).ok()),
            }
        }
        let mut alternatives = Vec::new();
        if !wanted.is_empty() {
            alternatives.push(self.test(Op::In(wanted)));
        }
        if missing {
            alternatives.push(self.test(Op::Exists).negated());
        }
        Expr::or(alternatives)
    }

    fn compare(&self, literal: &Lexed, greater: bool) -> Result<Expr> {
        let refused = |what: &str| {
            ExprError::new(
                format!("{} {what}, not '{}'", self.name, shortened(literal.text())),
                literal.position,
            )
        };
        let whole = || match Value::parse(Type::Number, literal.text()) {
            Ok(Value::Decimal(number)) => Some(number.whole()),
            _ => None,
        };
        let ranged = |field: &Field, value: Value| {
            let (lower, upper) = if greater {
                (Bound::Excluded(value), Bound::Unbounded)
            } else {
                (Bound::Unbounded, Bound::Excluded(value))
            };
            Expr::any(field.clone(), Op::Range { lower, upper })
        };
        match (&self.field, self.field.ty()) {
            (Field::Label(_), _) => match whole() {
                Some(Whole::Exactly(than)) => Ok(self.test(Op::LabelInt { greater, than })),
                _ => Err(refused("is compared with an integer").into()),
            },
            // Read from the body as a number, whatever it is written as.
            (Field::Path { path, .. }, Type::Text) => {
                let value = Value::parse(Type::Number, literal.text())
                    .map_err(|_| refused("is compared with a number"))?;
                Ok(ranged(&Field::Path { path: path.clone(), ty: Type::Number }, value))
            }
            (_, ty @ (Type::Text | Type::Bool | Type::Ip)) => Err(ExprError::new(
                format!("{} is {ty}; < and > are asked of numbers", self.name),
                self.position,
            )
            .into()),
            (_, ty) => {
                let value = Value::parse(ty, literal.text())
                    .map_err(|_| refused(&format!("is compared with a value of type {ty}")))?;
                Ok(ranged(&self.field, value))
            }
        }
    }
}

/// `id` is `namespace/name`, or the name of what has no namespace.
fn identity(relation: Relation, values: &[Lexed]) -> Result<Expr> {
    let is = |field, text: &str| Expr::any(field, Op::In(BTreeSet::from([Value::text(text)])));
    let contains = |field, text: &str| {
        let text = Fold::Ascii.fold(text).into_owned();
        Expr::any(field, Op::Contains { text, fold: Fold::Ascii })
    };
    let first = values.first().map(Lexed::text).unwrap_or_default();
    match relation {
        Relation::Equal | Relation::In | Relation::Contains => {
            Ok(Expr::or(values.iter().map(|value| match value.text().split_once('/') {
                Some((namespace, name)) => {
                    Expr::and([is(Field::Namespace, namespace), is(Field::Name, name)])
                }
                None => Expr::and([
                    is(Field::Name, value.text()),
                    Expr::any(Field::Namespace, Op::Exists).negated(),
                ]),
            })))
        }
        Relation::Partial => match first.split_once('/') {
            None => Ok(Expr::or([contains(Field::Name, first), contains(Field::Namespace, first)])),
            // Around the slash: how the namespace ends, and how the name begins.
            Some((namespace, name)) => {
                let matching = |field, text: String| {
                    let pattern =
                        Pattern::new(&text).map_err(|reason| ExprError::new(reason, 0))?;
                    Ok::<_, ExprError>(Expr::any(field, Op::Matches(pattern)))
                };
                Ok(Expr::and([
                    matching(Field::Namespace, format!("(?i){}$", regex::escape(namespace)))?,
                    matching(Field::Name, format!("(?i)^{}", regex::escape(name)))?,
                ]))
            }
        },
        Relation::Less | Relation::Greater => {
            let position = values.first().map_or(0, |value| value.position);
            Err(ExprError::new("id is text; < and > are asked of numbers", position).into())
        }
    }
}
