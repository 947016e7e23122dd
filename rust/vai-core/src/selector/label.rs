//! Label selectors.
use super::SelectorError;

/// The relation between a label's value and a requirement's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// `key=value`, `key==value`
    Equals,
    /// `key!=value`; true when the label is absent.
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`; true when the label is absent.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    NotExists,
    /// `key>5`
    GreaterThan,
    /// `key<5`
    LessThan,
}

/// One term of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// The relation.
    pub op: Op,
    /// The values, sorted and distinct; empty for `Exists` and `NotExists`.
    pub values: Vec<String>,
}

/// All requirements must hold; none at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    /// Sorted by key.
    pub requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Parses as `k8s.io/apimachinery/pkg/labels.Parse` does.
    pub fn parse(_text: &str) -> Result<Self, SelectorError> {
        todo!()
    }
    /// Whether an object with these labels is selected.
    pub fn matches<'a>(&self, _label: impl Fn(&str) -> Option<&'a str>) -> bool {
        todo!()
    }
}

impl std::fmt::Display for LabelSelector {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
