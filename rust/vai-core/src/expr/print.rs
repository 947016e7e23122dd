//! An [`Expr`] as text, which parses and binds back to the same.

use std::fmt;
use std::ops::Bound;

use super::lex::quoted;
use super::{Expr, Field, Fold, Op, Test};
use crate::value::{Type, Value};

/// How tightly the surroundings bind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Not,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_expr(self, Level::Or, f)
    }
}

fn write_expr(expr: &Expr, around: Level, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match expr {
        Expr::True => f.write_str("true"),
        Expr::And(parts) => joined(parts, " and ", Level::And, around, f),
        Expr::Or(parts) => joined(parts, " or ", Level::Or, around, f),
        Expr::Not(inner) if **inner == Expr::True => f.write_str("false"),
        Expr::Not(inner) => {
            f.write_str("not ")?;
            write_expr(inner, Level::Not, f)
        }
        Expr::Test(test) => write!(f, "{test}"),
    }
}

fn joined(
    parts: &[Expr],
    word: &str,
    level: Level,
    around: Level,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let parenthesis = around > level;
    if parenthesis {
        f.write_str("(")?;
    }
    let mut rest = parts;
    while let Some((part, behind)) = rest.split_first() {
        if rest.len() < parts.len() {
            f.write_str(word)?;
        }
        rest = behind;
        match behind.first().filter(|_| level == Level::And).and_then(|next| unequal(part, next)) {
            Some((test, any)) => {
                write_test(test, true, any, f)?;
                rest = &behind[1..];
            }
            None => write_expr(part, if level == Level::Or { Level::And } else { Level::Not }, f)?,
        }
    }
    if parenthesis { f.write_str(")") } else { Ok(()) }
}

/// `exists x` followed by `not x = 1` is how `x != 1` is held; whether it is `any(x) != 1`.
fn unequal<'e>(exists: &Expr, not: &'e Expr) -> Option<(&'e Test, bool)> {
    let (Expr::Test(exists), Expr::Not(not)) = (exists, not) else { return None };
    let Expr::Test(test) = &**not else { return None };
    let negatable = !matches!(test.op, Op::Range { .. } | Op::Exists | Op::LabelInt { .. });
    let same = exists.op == Op::Exists && !exists.all && exists.field == test.field;
    (same && negatable).then_some((test, test.all))
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_test(self, false, false, f)
    }
}

/// Writes a test, or what it negates to; then `all` is not said, for `any` is.
fn write_test(test: &Test, negated: bool, any: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if test.op == Op::Exists && !test.all {
        return write!(f, "exists {}", test.field);
    }
    match (any, test.all) {
        (true, _) => write!(f, "any({})", test.field)?,
        (false, true) => write!(f, "all({})", test.field)?,
        (false, false) => write!(f, "{}", test.field)?,
    }
    let not = if negated { "!" } else { "" };
    match &test.op {
        Op::In(values) => {
            let quote = matches!(test.field, Field::Path { .. });
            let mut values = values.iter().map(|value| literal(value, quote));
            match (values.len(), values.next()) {
                (1, Some(only)) => write!(f, " {not}= {only}"),
                (_, first) => {
                    write!(f, " {not}in ({}", first.unwrap_or_default())?;
                    values.try_for_each(|value| write!(f, ", {value}"))?;
                    f.write_str(")")
                }
            }
        }
        Op::Range { lower, upper } => write_range(test, lower, upper, f),
        Op::Contains { text, fold } => {
            let operator = match fold {
                Fold::Exact => "contains",
                Fold::Ascii => "icontains_ascii",
                Fold::Unicode => "icontains",
            };
            write!(f, " {not}{operator} {}", quoted(text))
        }
        Op::Equals { text, fold } => {
            let operator = match fold {
                Fold::Exact => "equals",
                Fold::Ascii => "iequals_ascii",
                Fold::Unicode => "iequals",
            };
            write!(f, " {not}{operator} {}", quoted(text))
        }
        Op::StartsWith(prefix) => write!(f, " {not}startswith {}", quoted(prefix)),
        Op::Matches(pattern) => write!(f, " {not}matches {}", quoted(pattern.as_str())),
        Op::Within(networks) => {
            write!(f, " {not}within (")?;
            for (index, network) in networks.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(f, "{comma}{network}")?;
            }
            f.write_str(")")
        }
        Op::Exists => f.write_str(" exists"),
        Op::LabelInt { greater, than } => {
            write!(f, " {} {than}", if *greater { ">" } else { "<" })
        }
    }
}

/// One bound: the language writes two as two comparisons.
fn write_range(
    test: &Test,
    lower: &Bound<Value>,
    upper: &Bound<Value>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let sides = [(lower, ">", ">="), (upper, "<", "<=")];
    let mut first = true;
    for (bound, excluded, included) in sides {
        let (sign, value) = match bound {
            Bound::Unbounded => continue,
            Bound::Excluded(value) => (excluded, value),
            Bound::Included(value) => (included, value),
        };
        if !first {
            write!(f, " and {}", test.field)?;
        }
        first = false;
        write!(f, " {sign} {}", literal(value, true))?;
    }
    Ok(())
}

/// A value as the parser reads it; texts bare where nothing can be mistaken, unless asked.
fn literal(value: &Value, quote: bool) -> String {
    let plain = |text: &str| {
        !quote
            && !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte))
    };
    match value {
        Value::Text(text) if plain(text) => text.to_string(),
        Value::Text(text) => quoted(text),
        other => other.to_string(),
    }
}

/// As an expression names it.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("metadata.name"),
            Self::Namespace => f.write_str("metadata.namespace"),
            Self::Uid => f.write_str("metadata.uid"),
            Self::Label(key) => write!(f, "labels[{}]", Bracketed(key)),
            Self::Indexed { name, .. } => f.write_str(name),
            Self::Path { path, ty: Type::Text } => path.fmt(f),
            Self::Path { path, ty } => write!(f, "{ty}({path})"),
        }
    }
}

/// A label's key between brackets, quoted as [`crate::path::Path`] does where it must be.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let digits = self.0.bytes().all(|byte| byte.is_ascii_digit());
        // -1 would be an index.
        if !digits && !self.0.starts_with('-') && self.0.bytes().all(bare) {
            return f.write_str(self.0);
        }
        f.write_str("'")?;
        for char in self.0.chars() {
            if matches!(char, '\'' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{char}")?;
        }
        f.write_str("'")
    }
}
