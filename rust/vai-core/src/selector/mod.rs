//! Kubernetes' own selectors: labels and fields.

mod field;
mod label;

pub use self::field::{FieldSelector, FieldTerm};
pub use self::label::{LabelSelector, Op, Requirement};

/// A selector that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at position {position})")]
pub struct SelectorError {
    /// What was found and what was expected, in apimachinery's words.
    pub message: String,
    /// Byte offset in the selector where the trouble begins.
    pub position: usize,
}
