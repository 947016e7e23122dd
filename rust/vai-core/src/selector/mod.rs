//! Kubernetes' own selectors: labels and fields.

mod field;
mod label;

pub use self::field::{FieldSelector, FieldTerm};
pub use self::label::{LabelSelector, Op, Requirement};

/// No server reads a longer one: it is a part of the request's line, of which Go's `net/http` takes
/// a megabyte (`DefaultMaxHeaderBytes`).
const MAX_BYTES: usize = 1 << 20;
/// Our choice: a plan holds each against every other one.
const MAX_PARTS: usize = 1_000;

/// Both selectors of a question.
///
/// # Errors
/// Besides those of the parsers: a selector that is larger than any that makes sense.
pub(crate) fn asked(
    labels: &str,
    fields: &str,
) -> Result<(LabelSelector, FieldSelector), SelectorError> {
    for (what, text) in [("label", labels), ("field", fields)] {
        if text.len() > MAX_BYTES {
            let size = text.len();
            let message = format!("the {what} selector has {size} bytes, more than {MAX_BYTES}");
            return Err(SelectorError { message, position: MAX_BYTES }.in_characters(text));
        }
    }
    let (labels, fields) = (LabelSelector::parse(labels)?, FieldSelector::parse(fields)?);
    for (what, parts) in [("label", labels.requirements.len()), ("field", fields.terms.len())] {
        if parts > MAX_PARTS {
            let message = format!("the {what} selector has {parts} parts, more than {MAX_PARTS}");
            return Err(SelectorError { message, position: 0 });
        }
    }
    Ok((labels, fields))
}

/// A selector that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at position {position})")]
pub struct SelectorError {
    /// What was found and what was expected, in apimachinery's words.
    pub message: String,
    /// Where in the selector the trouble begins, in characters.
    pub position: usize,
}

impl SelectorError {
    /// The same, its place in this text no longer counted in bytes.
    fn in_characters(self, text: &str) -> Self {
        let before = &text[..text.floor_char_boundary(self.position)];
        Self { position: before.chars().count(), ..self }
    }
}
