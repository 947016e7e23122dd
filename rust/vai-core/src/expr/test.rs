//! Whether one value passes.

use std::ops::{Bound, RangeBounds};

use super::{Field, Op, Test};
use crate::value::Value;

impl Test {
    /// Whether one value of the field passes.
    ///
    /// An index asks this of each distinct value; [`Test::all`] is not its business. A text that
    /// an index cut is to be asked on the body.
    #[must_use]
    pub fn accepts(&self, value: &Value) -> bool {
        self.op.accepts(value)
    }

    /// Whether the answer is known without reading a body or its index: from the object's key.
    #[must_use]
    pub fn is_of_key(&self) -> bool {
        matches!(self.field, Field::Name | Field::Namespace)
    }
}

impl Op {
    /// Whether a value passes.
    #[must_use]
    pub fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::In(values), value) => values.contains(value),
            (Self::Range { lower, upper }, value) => {
                (lower.as_ref(), upper.as_ref()).contains(value)
            }
            (Self::Within(networks), Value::Ip(ip)) => {
                networks.iter().any(|network| ip.within(network))
            }
            (_, Value::Text(text)) => self.accepts_text(text),
            _ => false,
        }
    }

    /// Whether a text passes, without a [`Value`] being made of it.
    #[must_use]
    pub fn accepts_text(&self, have: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::In(_) | Self::Range { .. } => self.accepts(&Value::text(have)),
            Self::Contains { text, fold } => {
                memchr::memmem::find(fold.fold(have).as_bytes(), text.as_bytes()).is_some()
            }
            Self::Equals { text, fold } => fold.fold(have) == text.as_str(),
            Self::StartsWith(prefix) => have.starts_with(prefix),
            Self::Matches(pattern) => pattern.is_match(have),
            Self::LabelInt { greater, than } => have
                .parse::<i64>()
                .is_ok_and(|number| if *greater { number > *than } else { number < *than }),
            Self::Within(_) => false,
        }
    }

    /// The one interval of ordered values that pass, where there is one: of `=`, a range, a prefix.
    #[must_use]
    pub fn range(&self) -> Option<(Bound<Value>, Bound<Value>)> {
        match self {
            Self::In(values) if values.len() == 1 => {
                let value = values.first()?.clone();
                Some((Bound::Included(value.clone()), Bound::Included(value)))
            }
            Self::Range { lower, upper } => Some((lower.clone(), upper.clone())),
            Self::StartsWith(prefix) => {
                let lower = Bound::Included(Value::text(prefix));
                Some((lower, after(prefix).map_or(Bound::Unbounded, Bound::Excluded)))
            }
            Self::Exists => Some((Bound::Unbounded, Bound::Unbounded)),
            _ => None,
        }
    }
}

/// The least text above all that begin with this one; none above what ends in the last character.
fn after(prefix: &str) -> Option<Value> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // UTF-8 sorts as its characters do; the surrogates between are no characters.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(Value::text(&chars.into_iter().collect::<String>()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_an_interval() {
        for (prefix, upper) in [
            ("a", Some("b")),
            ("aé", Some("aê")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(after(prefix), upper.map(Value::text), "{prefix:?}");
        }
    }
}
