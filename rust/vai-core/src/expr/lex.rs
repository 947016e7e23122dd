//! The characters of an expression: words, quoted texts, symbols, each with its place.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::ExprError;

/// What a piece of the text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word: a name, a path with its brackets, an operator, a literal.
    Word(String),
    /// The content of a quoted text.
    Quoted(String),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
    /// Behind the last piece, for ever.
    End,
}

/// A token and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Lexed {
    pub(super) token: Token,
    pub(super) start: usize,
}

impl Lexed {
    /// As it is called in a message.
    pub(super) fn named(&self) -> String {
        match &self.token {
            Token::Word(word) => format!("'{}'", shortened(word)),
            Token::Quoted(text) => quoted(&shortened(text)),
            Token::Symbol(symbol) => format!("'{symbol}'"),
            Token::End => "the end".to_owned(),
        }
    }

    /// Whether it is this keyword, in any case.
    pub(super) fn is_word(&self, keyword: &str) -> bool {
        matches!(&self.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    pub(super) fn is_symbol(&self, wanted: &str) -> bool {
        matches!(self.token, Token::Symbol(symbol) if symbol == wanted)
    }
}

/// Long ones first: `<=` is not `<` and something else.
const SYMBOLS: [&str; 14] =
    ["&&", "||", "==", "!=", "<=", ">=", "(", ")", ",", "=", "<", ">", "!", "&"];

/// A text for a message: its beginning, if it is long.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 60;
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(LONGEST)]))
}

/// Splits an expression; the last token is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Lexed>, ExprError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            tokens.push(Lexed { token: Token::End, start: at });
            return Ok(tokens);
        };
        let (token, length) = if first == '"' {
            double_quoted(rest, at)?
        } else if first == '\'' {
            single_quoted(rest, at)?
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            if symbol == "&" {
                return Err(ExprError::new("found '&'; 'and' is written && or and", at));
            }
            (Token::Symbol(symbol), symbol.len())
        } else {
            let length = word_length(rest, at)?;
            (Token::Word(rest[..length].to_owned()), length)
        };
        tokens.push(Lexed { token, start: at });
        at += length;
    }
}

/// What ends a bare word outside of brackets.
fn ends_word(char: char) -> bool {
    char.is_whitespace() || "()=!<>,&|\"'".contains(char)
}

/// The length of a bare word. What stands in brackets or braces belongs to it, whatever it is:
/// `.a[type=Ready].b`, `labels['x y']`, `{.a[?(@.type=="Ready")].b}`.
fn word_length(text: &str, position: usize) -> Result<usize, ExprError> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut quote = None;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match (char, quote) {
            _ if escaped => escaped = false,
            ('\\', Some(_)) => escaped = true,
            (_, Some(end)) if char == end => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) if !open.is_empty() => quote = Some(char),
            ('[' | '{', None) => open.push((char, at)),
            (']' | '}', None) => {
                let opening = if char == ']' { '[' } else { '{' };
                if open.pop().is_none_or(|(have, _)| have != opening) {
                    return Err(ExprError::new(
                        format!("found '{char}' without '{opening}'; put a text in quotes"),
                        position + at,
                    ));
                }
            }
            _ if open.is_empty() && ends_word(char) => {
                return match at {
                    0 => Err(ExprError::new(
                        format!("found '{char}'; put a text in quotes"),
                        position,
                    )),
                    _ => Ok(at),
                };
            }
            _ => {}
        }
    }
    match open.first() {
        None => Ok(text.len()),
        Some((char, at)) => Err(ExprError::new(format!("'{char}' is never closed"), position + at)),
    }
}

const NEVER_CLOSED: &str = "this quote is never closed";

/// `'…'`: everything is meant as written; a quote is written twice.
fn single_quoted(text: &str, position: usize) -> Result<(Token, usize), ExprError> {
    let mut content = String::new();
    let mut rest = &text[1..];
    loop {
        let Some(end) = rest.find('\'') else {
            return Err(ExprError::new(NEVER_CLOSED, position));
        };
        content.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        if !rest.starts_with('\'') {
            return Ok((Token::Quoted(content), text.len() - rest.len()));
        }
        content.push('\'');
        rest = &rest[1..];
    }
}

/// `"…"` with `\" \\ \n \r \t \u{1f600}`; any other backslash means itself, so that a regular
/// expression need not double each.
fn double_quoted(text: &str, position: usize) -> Result<(Token, usize), ExprError> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((Token::Quoted(content), at + 1)),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => content.push(escaped),
                Some((_, 'n')) => content.push('\n'),
                Some((_, 'r')) => content.push('\r'),
                Some((_, 't')) => content.push('\t'),
                Some((from, 'u')) if text[from + 1..].starts_with('{') => {
                    let digits = text[from + 2..].split('}').next().unwrap_or_default();
                    let Some(decoded) =
                        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
                    else {
                        return Err(ExprError::new(
                            "not a character's number; write \\u{1f600}, or the character itself",
                            position + at,
                        ));
                    };
                    content.push(decoded);
                    // The braces and what is between them.
                    for _ in 0..digits.chars().count() + 2 {
                        chars.next();
                    }
                }
                Some((_, other)) => {
                    content.push('\\');
                    content.push(other);
                }
                None => break,
            },
            _ => content.push(char),
        }
    }
    Err(ExprError::new(NEVER_CLOSED, position))
}

/// A text in double quotes that [`lex`] reads back.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        let mut tokens: Vec<Token> =
            lex(text).unwrap().into_iter().map(|lexed| lexed.token).collect();
        assert_eq!(tokens.pop(), Some(Token::End));
        tokens
    }

    fn word(text: &str) -> Token {
        Token::Word(text.to_owned())
    }

    #[test]
    fn brackets_and_braces_keep_a_path_together() {
        assert_eq!(
            tokens(r#".a[type=Ready].b={.c[?(@.type=="x")].d}!=labels['a b']>=app.io/x"#),
            [
                word(".a[type=Ready].b"),
                Token::Symbol("="),
                word(r#"{.c[?(@.type=="x")].d}"#),
                Token::Symbol("!="),
                word("labels['a b']"),
                Token::Symbol(">="),
                word("app.io/x"),
            ]
        );
    }

    #[test]
    fn quotes_hold_anything_and_are_printed_back() {
        for (written, content) in [
            (r#""a b""#, "a b"),
            (r#""say \"hi\" \\ \n\t\u{e9}""#, "say \"hi\" \\ \n\té"),
            (r#""^web-\d+$""#, r"^web-\d+$"),
            (r"'it''s \d'", r"it's \d"),
            ("''", ""),
            ("\"\"", ""),
        ] {
            assert_eq!(tokens(written), [Token::Quoted(content.to_owned())], "{written}");
            assert_eq!(tokens(&quoted(content)), [Token::Quoted(content.to_owned())], "{content}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (text, position) in [
            ("a = \"b", 4),
            ("a = 'b", 4),
            ("a[b = 1", 1),
            ("a] = 1", 1),
            ("a & b", 2),
            ("a | b", 2),
            ("x = \"\\u{zz}\"", 5),
            ("x = \"\\u{d800}\"", 5),
        ] {
            assert_eq!(lex(text).unwrap_err().position, position, "{text}");
        }
    }
}
