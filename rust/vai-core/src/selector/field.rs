//! Field selectors.
use super::SelectorError;

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldTerm {
    /// The field label, for example `status.phase`.
    pub path: String,
    /// `!=` instead of `=`.
    pub not_equal: bool,
    /// The value, unescaped.
    pub value: String,
}

/// All terms must hold; none at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    /// In the order of the sorted terms, as apimachinery has them.
    pub terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Parses as `k8s.io/apimachinery/pkg/fields.ParseSelector` does.
    pub fn parse(_text: &str) -> Result<Self, SelectorError> {
        todo!()
    }
    /// Whether an object with these field values is selected; a missing field counts as empty.
    pub fn matches<'a>(&self, _field: impl Fn(&str) -> Option<std::borrow::Cow<'a, str>>) -> bool {
        todo!()
    }
}

impl std::fmt::Display for FieldSelector {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
