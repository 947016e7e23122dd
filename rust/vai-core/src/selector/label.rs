//! Label selectors: a port of `k8s.io/apimachinery/pkg/labels/selector.go` (read at v0.36).

use std::fmt;

use super::SelectorError;

/// The relation between a label's value and a requirement's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// `key=value`, `key==value`
    Equals,
    /// `key!=value`; true when the label is absent.
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`; true when the label is absent.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    NotExists,
    /// `key>5`, by value as `i64`; false when the label is absent or no integer.
    GreaterThan,
    /// `key<5`, by value as `i64`; false when the label is absent or no integer.
    LessThan,
}

/// One term of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// The relation.
    pub op: Op,
    /// The values, sorted and distinct; empty for `Exists` and `NotExists`.
    pub values: Vec<String>,
}

impl Requirement {
    /// Whether a label with this value, or its absence, meets the requirement.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|listed| listed == value);
        match self.op {
            Op::Equals | Op::In => value.is_some_and(listed),
            Op::NotEquals | Op::NotIn => !value.is_some_and(listed),
            Op::Exists => value.is_some(),
            Op::NotExists => value.is_none(),
            Op::GreaterThan => self.compares(value, |have, want| have > want),
            Op::LessThan => self.compares(value, |have, want| have < want),
        }
    }

    fn compares(&self, value: Option<&str>, relation: fn(i64, i64) -> bool) -> bool {
        let integer = |text: &str| text.parse::<i64>().ok();
        match (value.and_then(integer), self.values.first().and_then(|want| integer(want))) {
            (Some(have), Some(want)) => relation(have, want),
            _ => false,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, op, values } = self;
        let first = values.first().map_or("", String::as_str);
        match op {
            Op::Equals => write!(f, "{key}={first}"),
            Op::NotEquals => write!(f, "{key}!={first}"),
            Op::In => write!(f, "{key} in ({})", values.join(",")),
            Op::NotIn => write!(f, "{key} notin ({})", values.join(",")),
            Op::Exists => f.write_str(key),
            Op::NotExists => write!(f, "!{key}"),
            Op::GreaterThan => write!(f, "{key}>{first}"),
            Op::LessThan => write!(f, "{key}<{first}"),
        }
    }
}

/// All requirements must hold; none at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    /// Sorted by key, relation and values, without repetitions: one form for one meaning.
    pub requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Parses as `labels.Parse` does: the same strings are accepted, to the same meaning.
    ///
    /// One difference: a NUL byte is refused, where apimachinery's lexer takes it for the end.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Parser::new(text)?.requirements()?;
        requirements.sort();
        requirements.dedup();
        Ok(Self { requirements })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }
}

/// The canonical form: two selectors with the same requirements print the same. It can be parsed
/// again and sent to a server.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    GreaterThan,
    Identifier,
    In,
    LessThan,
    NotEquals,
    NotIn,
    Open,
}

impl Token {
    /// `in` and `notin` are operators behind a key only; elsewhere they are names like any other.
    fn outside_operators(self) -> Self {
        match self {
            Self::In | Self::NotIn => Self::Identifier,
            other => other,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Lexed<'a> {
    token: Token,
    literal: &'a str,
    position: usize,
}

impl Lexed<'_> {
    fn expected<T>(self, expected: &str) -> Result<T, SelectorError> {
        Err(SelectorError {
            message: format!("found '{}', expected: {expected}", self.literal),
            position: self.position,
        })
    }
}

/// Splits a selector into tokens; the last one is the end.
fn lex(text: &str) -> Result<Vec<Lexed<'_>>, SelectorError> {
    let bytes = text.as_bytes();
    if let Some(position) = memchr::memchr(0, bytes) {
        return Err(SelectorError { message: "found a NUL character".to_owned(), position });
    }
    let mut tokens = Vec::new();
    let mut position = 0;
    loop {
        position += bytes[position..].iter().take_while(|byte| is_space(**byte)).count();
        let rest = &text[position..];
        let (token, length) = match rest.as_bytes() {
            [] => (Token::End, 0),
            [b'=', b'=', ..] => (Token::DoubleEquals, 2),
            [b'=', ..] => (Token::Equals, 1),
            [b'!', b'=', ..] => (Token::NotEquals, 2),
            [b'!', ..] => (Token::Not, 1),
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            [b',', ..] => (Token::Comma, 1),
            [b'>', ..] => (Token::GreaterThan, 1),
            [b'<', ..] => (Token::LessThan, 1),
            word => {
                let length = word.iter().take_while(|byte| !is_space(**byte) && !is_symbol(**byte));
                let length = length.count();
                let token = match &rest[..length] {
                    "in" => Token::In,
                    "notin" => Token::NotIn,
                    _ => Token::Identifier,
                };
                (token, length)
            }
        };
        tokens.push(Lexed { token, literal: &rest[..length], position });
        if token == Token::End {
            return Ok(tokens);
        }
        position += length;
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_symbol(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

/// The recursive descent of apimachinery's `Parser`, function by function.
struct Parser<'a> {
    tokens: Vec<Lexed<'a>>,
    next: usize,
}

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, SelectorError> {
        Ok(Self { tokens: lex(text)?, next: 0 })
    }

    /// The next token, which is not taken; at the end it is the end for ever.
    fn lookahead(&self) -> Lexed<'a> {
        self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn consume(&mut self) -> Lexed<'a> {
        let lexed = self.lookahead();
        self.next += 1;
        lexed
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        loop {
            let lexed = self.lookahead();
            match lexed.token.outside_operators() {
                Token::Identifier | Token::Not => {}
                Token::End => return Ok(requirements),
                _ => return lexed.expected("!, identifier, or 'end of string'"),
            }
            requirements.push(self.requirement()?);
            let behind = self.consume();
            match behind.token {
                Token::End => return Ok(requirements),
                Token::Comma => {
                    let after = self.lookahead();
                    if !matches!(after.token.outside_operators(), Token::Identifier | Token::Not) {
                        return after.expected("identifier after ','");
                    }
                }
                _ => return behind.expected("',' or 'end of string'"),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut key = self.consume();
        let negated = key.token == Token::Not;
        if negated {
            key = self.consume();
        }
        if key.token.outside_operators() != Token::Identifier {
            return key.expected("identifier");
        }
        check_key(key)?;
        let requirement = |op, values| Requirement { key: key.literal.to_owned(), op, values };
        if negated {
            return Ok(requirement(Op::NotExists, Vec::new()));
        }
        if matches!(self.lookahead().token, Token::End | Token::Comma) {
            return Ok(requirement(Op::Exists, Vec::new()));
        }
        let operator = self.consume();
        let op = match operator.token {
            Token::In => Op::In,
            Token::NotIn => Op::NotIn,
            Token::Equals | Token::DoubleEquals => Op::Equals,
            Token::NotEquals => Op::NotEquals,
            Token::GreaterThan => Op::GreaterThan,
            Token::LessThan => Op::LessThan,
            _ => return operator.expected(OPERATORS),
        };
        let mut values = match op {
            Op::In | Op::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        for value in &values {
            check_value(*value)?;
            if matches!(op, Op::GreaterThan | Op::LessThan) && value.literal.parse::<i64>().is_err()
            {
                return Err(SelectorError {
                    message: format!(
                        "'{}': for 'Gt', 'Lt' operators, the value must be an integer",
                        value.literal
                    ),
                    position: value.position,
                });
            }
        }
        values.sort_by_key(|value| value.literal);
        values.dedup_by_key(|value| value.literal);
        Ok(requirement(op, values.into_iter().map(|value| value.literal.to_owned()).collect()))
    }

    /// `(a,b)` behind `in` and `notin`. Empty values are values: `()` is the empty string.
    fn values(&mut self) -> Result<Vec<Lexed<'a>>, SelectorError> {
        let open = self.consume();
        if open.token != Token::Open {
            return open.expected("'('");
        }
        let first = self.lookahead();
        match first.token.outside_operators() {
            Token::Identifier | Token::Comma => {}
            Token::Close => {
                self.consume();
                return Ok(vec![empty_at(first)]);
            }
            _ => return first.expected("',', ')' or identifier"),
        }
        let values = self.value_list()?;
        let close = self.consume();
        if close.token != Token::Close {
            return close.expected("')'");
        }
        Ok(values)
    }

    fn value_list(&mut self) -> Result<Vec<Lexed<'a>>, SelectorError> {
        let mut values = Vec::new();
        loop {
            let lexed = self.consume();
            let behind = self.lookahead();
            match lexed.token.outside_operators() {
                Token::Identifier => {
                    values.push(lexed);
                    match behind.token {
                        Token::Comma => {}
                        Token::Close => return Ok(values),
                        _ => return behind.expected("',' or ')'"),
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.push(empty_at(lexed));
                    }
                    match behind.token {
                        Token::Close => {
                            values.push(empty_at(behind));
                            return Ok(values);
                        }
                        Token::Comma => values.push(empty_at(behind)),
                        _ => {}
                    }
                }
                _ => return lexed.expected("',', or identifier"),
            }
        }
    }

    /// The value behind `=` and its like; nothing there is the empty string.
    fn exact_value(&mut self) -> Result<Lexed<'a>, SelectorError> {
        let lexed = self.lookahead();
        if matches!(lexed.token, Token::End | Token::Comma) {
            return Ok(empty_at(lexed));
        }
        self.consume();
        if lexed.token.outside_operators() == Token::Identifier {
            return Ok(lexed);
        }
        lexed.expected("identifier")
    }
}

/// The empty value in front of a token.
fn empty_at(lexed: Lexed<'_>) -> Lexed<'_> {
    Lexed { token: Token::Identifier, literal: "", position: lexed.position }
}

/// `LabelValueMaxLength` and `labelKeyMaxLength` in `apimachinery/pkg/api/validate/content/kube.go`
const MAX_NAME_BYTES: usize = 63;
/// `DNS1123SubdomainMaxLength` in `…/content/dns.go`
const MAX_PREFIX_BYTES: usize = 253;

/// `content.IsLabelKey`
fn check_key(key: Lexed<'_>) -> Result<(), SelectorError> {
    let invalid = |offset: usize, problem: &str| {
        Err(SelectorError {
            message: format!("invalid label key '{}': {problem}", key.literal),
            position: key.position + offset,
        })
    };
    let (prefix, name) = match key.literal.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key.literal),
    };
    let name_offset = prefix.map_or(0, |prefix| prefix.len() + 1);
    match prefix {
        Some("") => return invalid(0, "prefix part must be non-empty"),
        Some(long) if long.len() > MAX_PREFIX_BYTES => {
            return invalid(0, "prefix part must be no more than 253 bytes");
        }
        Some(prefix) if !prefix.split('.').all(is_dns_label) => {
            return invalid(0, "prefix part must be a lowercase RFC 1123 subdomain");
        }
        _ => {}
    }
    if name.is_empty() {
        return invalid(name_offset, "name part must be non-empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return invalid(name_offset, "name part must be no more than 63 bytes");
    }
    if !is_qualified(name) {
        return invalid(
            name_offset,
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character",
        );
    }
    Ok(())
}

/// `content.IsLabelValue`
fn check_value(value: Lexed<'_>) -> Result<(), SelectorError> {
    let problem = if value.literal.len() > MAX_NAME_BYTES {
        "must be no more than 63 bytes"
    } else if !value.literal.is_empty() && !is_qualified(value.literal) {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
         '.', and must start and end with an alphanumeric character"
    } else {
        return Ok(());
    };
    Err(SelectorError {
        message: format!("invalid label value '{}': {problem}", value.literal),
        position: value.position,
    })
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
fn is_qualified(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
fn is_dns_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(plain))
        && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let find =
            |key: &str| labels.iter().find(|(have, _)| *have == key).map(|(_, value)| *value);
        LabelSelector::parse(selector).unwrap().matches(find)
    }

    // The cases below follow apimachinery's pkg/labels/selector_test.go (v0.36): TestSelectorParse,
    // TestSetSelectorParser, TestSelectorMatches, TestRequirementSelectorMatching, TestToString.

    #[test]
    fn valid_selectors_have_one_canonical_form() {
        for (text, canonical) in [
            ("", ""),
            (" ", ""),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("x=a,a=x", "a=x,x=a"),
            ("x!=a,y=b", "x!=a,y=b"),
            ("x==a", "x=a"),
            ("x=", "x="),
            ("x= ,z= ", "x=,z="),
            ("!x", "!x"),
            ("! x", "!x"),
            ("x>1,z<5", "x>1,z<5"),
            ("\rx", "x"),
            ("a ", "a"),
            ("this-is-a-dns.domain.com/key-with-dash", "this-is-a-dns.domain.com/key-with-dash"),
            (
                "0.1.2.domain/99 notin (10.10.100.1, tick.tack.clock)",
                "0.1.2.domain/99 notin (10.10.100.1,tick.tack.clock)",
            ),
            ("foo  in\t (abc)", "foo in (abc)"),
            ("x notin\n (abc)", "x notin (abc)"),
            ("x in (def,abc,abc)", "x in (abc,def)"),
            ("x in (abc,)", "x in (,abc)"),
            ("x in ()", "x in ()"),
            ("x notin ( )", "x notin ()"),
            ("x notin (, a)", "x notin (,a)"),
            ("x in (a,,a,,a,,a,,)", "x in (,a)"),
            ("x notin (abc,,def),bar,z in (),w", "bar,w,x notin (,abc,def),z in ()"),
            ("x,y in (a)", "x,y in (a)"),
            ("a in (x,y,notin, z,in)", "a in (in,notin,x,y,z)"),
            ("notin=in", "notin=in"),
            ("in in (in)", "in in (in)"),
            ("in", "in"),
            ("a!=3,a=2,a==1,a=2", "a=1,a=2,a!=3"),
        ] {
            let selector =
                LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(selector.to_string(), canonical, "{text:?}");
            assert_eq!(LabelSelector::parse(canonical).unwrap(), selector, "{canonical:?}");
        }
    }

    #[test]
    fn invalid_selectors_say_where() {
        let long = "a".repeat(64);
        for (text, position) in [
            ("x=a||y=b", 2),
            ("x==a==b", 4),
            ("!x=a", 2),
            ("!x in (a)", 3),
            ("x<a", 2),
            ("x>", 2),
            ("x>9223372036854775808", 2),
            ("x>-1", 2),
            ("x,,y", 2),
            (",x,y", 0),
            ("x nott in (y)", 2),
            ("a in (xyz),", 11),
            ("a in (xyz)b notin ()", 10),
            ("a in (xyz abc)", 10),
            ("a notin(", 8),
            ("a (", 2),
            ("(", 0),
            ("a in", 4),
            ("a in b", 5),
            ("a in (b", 7),
            ("a in (b,", 8),
            ("a in (b=", 7),
            ("a=(b)", 2),
            ("!", 1),
            ("!!a", 1),
            ("a!", 1),
            ("=a", 0),
            ("/x", 0),
            ("a/b/c", 2),
            ("UPPER.com/x", 0),
            ("a./x", 0),
            ("-a", 0),
            ("a-", 0),
            ("p/", 2),
            ("a=-", 2),
            ("a in (ok,no!)", 11),
            ("a b", 2),
            ("é", 0),
            ("a=é", 2),
            ("a\0", 1),
            (&format!("x,{long}"), 2),
            (&format!("x={long}"), 2),
            (&format!("{}.b/x", "a".repeat(252)), 0),
        ] {
            let error = LabelSelector::parse(text).expect_err(text);
            assert_eq!(error.position, position, "{text:?}: {error}");
        }
    }

    #[test]
    fn matching_follows_apimachinery() {
        let labels = [("foo", "bar"), ("baz", "blah"), ("n", "2"), ("v", "v2"), ("empty", "")];
        for selector in [
            "",
            "foo=bar",
            "foo==bar,baz=blah",
            "foo!=x",
            "absent!=x",
            "absent notin (a,b)",
            "foo notin (a,b)",
            "foo in (a,bar)",
            "foo",
            "!absent",
            "n>1",
            "n<3",
            "empty=",
            "empty in ()",
            "empty",
            "empty!=x",
            "absent notin ()",
            "n in (1,2)",
        ] {
            assert!(matches(selector, &labels), "{selector}");
        }
        for selector in [
            "foo=x",
            "foo=bar,baz=x",
            "foo!=bar",
            "absent",
            "!foo",
            "absent=",
            "absent in ()",
            "absent=x",
            "foo notin (bar)",
            "n>2",
            "n<2",
            "absent>1",
            "absent<1",
            "v>1",
            "v<9",
            "empty>0",
            "empty notin ()",
            "!empty",
        ] {
            assert!(!matches(selector, &labels), "{selector}");
        }
    }

    #[test]
    fn integers_are_compared_over_the_whole_of_i64() {
        let big = [("x", "9223372036854775807"), ("y", "9223372036854775808")];
        assert!(matches("x>9223372036854775806", &big));
        assert!(!matches("x>9223372036854775807", &big));
        assert!(!matches("y>1", &big), "out of range is no integer");
        assert!(matches("x>007", &[("x", "08")]));
    }
}
