//! Texts that a body must have for a condition to hold: finding that it has none of them takes a
//! tenth of reading it.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{Expr, Field, Fold, Op, Test};
use crate::field::FieldSet;
use crate::value::{Type, Value};

/// Each is a pass over the body.
const MOST: usize = 8;
/// What is shorter is in most bodies.
const LEAST_BYTES: usize = 3;

/// Without one of these a body does not match.
#[derive(Clone, Debug)]
pub(super) struct Needles(Vec<Finder<'static>>);

/// JSON may write any character as `\u0061`.
static ESCAPED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u"));

impl Needles {
    /// `None` where a condition may hold whatever stands in the body.
    pub(super) fn of(expr: &Expr, definitions: &FieldSet) -> Option<Self> {
        let mut texts = required(expr, definitions)?;
        texts.sort_unstable();
        texts.dedup();
        (texts.len() <= MOST)
            .then(|| Self(texts.into_iter().map(|text| Finder::new(text).into_owned()).collect()))
    }

    /// Whether none of them is in a body.
    pub(super) fn rule_out(&self, body: &[u8]) -> bool {
        self.0.iter().all(|needle| needle.find(body).is_none()) && ESCAPED.find(body).is_none()
    }
}

fn required<'e>(expr: &'e Expr, definitions: &FieldSet) -> Option<Vec<&'e str>> {
    match expr {
        Expr::True | Expr::Not(_) => None,
        Expr::And(parts) => {
            let each = parts.iter().filter_map(|part| required(part, definitions));
            each.min_by_key(Vec::len)
        }
        Expr::Or(parts) => {
            let each = parts.iter().map(|part| required(part, definitions));
            each.collect::<Option<Vec<_>>>().map(|all| all.concat())
        }
        Expr::Test(test) => of_test(test, definitions),
    }
}

fn of_test<'e>(test: &'e Test, definitions: &FieldSet) -> Option<Vec<&'e str>> {
    let in_body = match &test.field {
        // The key has them.
        Field::Name | Field::Namespace => false,
        Field::Uid | Field::Label(_) => true,
        Field::Path { ty, .. } => *ty == Type::Text,
        Field::Indexed { name, .. } => {
            let def = definitions.index_of(name).and_then(|index| definitions.def(index));
            def.is_some_and(|def| {
                def.ty == Type::Text && def.reduce.is_none() && def.default.is_none()
            })
        }
    };
    if !in_body {
        return None;
    }
    match &test.op {
        Op::In(values) => values
            .iter()
            .map(|value| match value {
                Value::Text(wanted) => plain(wanted),
                _ => None,
            })
            .collect(),
        Op::Contains { text, fold: Fold::Exact } | Op::StartsWith(text) => {
            plain(text).map(|text| vec![text])
        }
        _ => None,
    }
}

/// The longest part of a text that JSON has as it is, but for `\u`: a slash may have a backslash
/// before it, and texts are cut where they are not characters.
fn plain(text: &str) -> Option<&str> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-._:@+= ".contains(c)));
    parts.max_by_key(|part| part.len()).filter(|part| part.len() >= LEAST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Fields;

    fn needles(condition: &str) -> Option<Needles> {
        let set = FieldSet::for_kind("", "Pod");
        let fields = Fields { set: &set, namespaced: true, building: &[] };
        Needles::of(&Expr::parse(condition, &fields, 0).unwrap(), &set)
    }

    #[test]
    fn a_body_is_ruled_out_only_by_what_it_must_have() {
        let rules_out = |condition: &str, body: &str| {
            needles(condition).is_some_and(|needles| needles.rule_out(body.as_bytes()))
        };
        for (condition, body, wanted) in [
            (".a = 'word'", r#"{"a":"other"}"#, true),
            (".a = 'word'", r#"{"a":"word"}"#, false),
            (".a = 'word'", r#"{"a":"\u0077ord"}"#, false),
            (".a = 'a/word'", r#"{"a":"a\/word"}"#, false),
            (".a in (word, text)", r#"{"a":"text"}"#, false),
            (".a in (word, text)", r#"{"a":"none"}"#, true),
            (".a contains word or .b startswith text", r#"{"b":"text"}"#, false),
            (".a contains word or .b startswith text", r#"{"b":"none"}"#, true),
            (".a = word and .b > 3", r#"{"b":4}"#, true),
            ("all(.a) = word", r#"{"a":[]}"#, true),
            ("labels[x] = word", r#"{"a":1}"#, true),
            // Each may hold without it.
            ("not .a = word", r"{}", false),
            (".a != word", r"{}", false),
            ("name = word or .a = word", r"{}", false),
            ("name = word", r"{}", false),
            (".a icontains word", r#"{"a":"WORD"}"#, false),
            (".a = 12", r#"{"a":1.2e1}"#, false),
            (".a = 'xy'", r"{}", false),
            ("exists .a", r"{}", false),
        ] {
            assert_eq!(rules_out(condition, body), wanted, "{condition} {body}");
        }
        let many: Vec<String> = (0..=MOST).map(|number| format!("word{number}")).collect();
        assert!(needles(&format!(".a in ({})", many.join(", "))).is_none());
    }
}
