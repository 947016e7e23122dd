//! Properties of selectors: no text panics, and the canonical form means the same.

use std::borrow::Cow;

use proptest::prelude::*;
use vai_core::selector::{FieldSelector, LabelSelector};

/// Texts made of what selectors are made of, so that many are valid.
fn pieces(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(of), 0..9).prop_map(|all| all.concat())
}

const LABEL: &[&str] = &[
    "a", "b", "in", "notin", "=", "==", "!=", "!", "(", ")", ",", " ", "\t", ">", "<", "1", "5",
    "-", ".", "a.b/c", "é",
];
const FIELD: &[&str] =
    &["a", "b", "=", "==", "!=", "!", ",", r"\", r"\\", r"\,", r"\=", " ", "é", "metadata.name"];

proptest! {
    #[test]
    fn label_selectors_are_stable_in_their_canonical_form(
        text in pieces(LABEL),
        values in proptest::collection::vec(proptest::option::of("[ab15]?"), 3),
    ) {
        let Ok(selector) = LabelSelector::parse(&text) else { return Ok(()) };
        let canonical = selector.to_string();
        let again = LabelSelector::parse(&canonical).unwrap();
        prop_assert_eq!(&again, &selector);
        prop_assert_eq!(again.to_string(), canonical);
        let label = |key: &str| ["a", "b", "in"].iter().position(|have| *have == key)
            .and_then(|at| values[at].as_deref());
        let all = selector.requirements.iter().all(|one| one.matches(label(&one.key)));
        prop_assert_eq!(selector.matches(label), all);
    }

    #[test]
    fn field_selectors_are_stable_in_their_canonical_form(text in pieces(FIELD), value in r"[ab,=\\]{0,3}") {
        if let Ok(selector) = FieldSelector::parse(&text) {
            let canonical = selector.to_string();
            prop_assert_eq!(&FieldSelector::parse(&canonical).unwrap(), &selector);
        }
        // Any value can be written, and selects itself.
        let mut selector = FieldSelector::parse("f=x").unwrap();
        selector.terms[0].value.clone_from(&value);
        let written = FieldSelector::parse(&selector.to_string()).unwrap();
        prop_assert!(written.matches(|_| Some(Cow::Borrowed(value.as_str()))));
        prop_assert_eq!(written.matches(|_| None), value.is_empty());
    }

    #[test]
    fn errors_point_into_the_text(text in "\\PC{0,20}") {
        let characters = text.chars().count();
        if let Err(error) = LabelSelector::parse(&text) {
            prop_assert!(error.position <= characters);
        }
        if let Err(error) = FieldSelector::parse(&text) {
            prop_assert!(error.position <= characters);
        }
    }
}
