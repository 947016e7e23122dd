//! How a label selector is read: apimachinery's lexer and parser.

use super::{Op, Requirement};
use crate::selector::SelectorError;

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
pub(super) struct Parser<'a> {
    tokens: Vec<Lexed<'a>>,
    next: usize,
}

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, SelectorError> {
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

    pub(super) fn requirements(&mut self) -> Result<Vec<Requirement>, SelectorError> {
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
