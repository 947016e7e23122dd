//! Field selectors' fields: which ones a kind has, and their typed values.

/// A typed value taken from an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldValue {
    /// A string that is not empty, cut at [`crate::object::MAX_INDEXED_TEXT_BYTES`].
    Text(String),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
}

/// The fields of one kind that a Kubernetes field selector may name, besides `metadata.name` and
/// `metadata.namespace`, which every kind has.
#[derive(Clone, Debug, Default)]
pub struct FieldSet {}

impl FieldSet {
    /// The fields of a built-in kind; empty for a kind that has none.
    #[must_use]
    pub fn for_kind(_group: &str, _kind: &str) -> Self {
        Self {}
    }
    /// The fields of a custom resource: `spec.versions[].selectableFields[].jsonPath`.
    #[must_use]
    pub fn from_selectable<P: AsRef<str>>(_paths: &[P]) -> Self {
        Self {}
    }
    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }
    /// Whether the kind has no field but `metadata.name` and `metadata.namespace`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The field label of a position, for example `spec.nodeName`.
    #[must_use]
    pub fn label(&self, _index: u16) -> Option<&str> {
        None
    }
    /// The position of a field label; old names (`spec.host` of pods) are understood.
    #[must_use]
    pub fn index_of(&self, _label: &str) -> Option<u16> {
        None
    }
}
