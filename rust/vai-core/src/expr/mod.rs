//! Conditions on objects: what every surface's filter becomes, and what is evaluated.
//!
//! vai's own language ([`Ast`]), Kubernetes' selectors ([`Expr::from_labels`],
//! [`Expr::from_fields`]) and Steve's parameters ([`steve`]) are parsers into [`Expr`]; the indexes
//! and the [`Matcher`], which reads bodies, evaluate it.
//!
//! A missing value is missing: no test is true of it. `!=` and its like are written as *exists and
//! not*, so that they are false of it too; Kubernetes' selectors, where a missing key matches `!=`,
//! compile to a plain [`Expr::Not`].

mod bind;
mod catalogue;
mod fold;
mod lex;
mod matcher;
mod needles;
mod parse;
mod pattern;
mod print;
mod select;
mod sort;
pub mod steve;
mod test;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Bound;

use ipnet::IpNet;

pub use self::bind::{Catalogue, FieldInfo};
pub use self::catalogue::Fields;
pub use self::fold::Fold;
pub use self::matcher::{Held, Matcher, Reader};
pub use self::parse::{Ast, MAX_EXPRESSION_BYTES, MAX_EXPRESSION_DEPTH};
pub use self::pattern::Pattern;
pub use self::sort::{Missing, SortKey, SortOrder};
use crate::path::Path;
use crate::value::{Type, Value};

/// An expression that can't be read or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at position {position})")]
pub struct ExprError {
    /// What was found, what was expected, what to do.
    pub message: String,
    /// Byte offset in the text where the trouble begins.
    pub position: usize,
}

impl ExprError {
    pub(crate) fn new(message: impl Into<String>, position: usize) -> Self {
        Self { message: message.into(), position }
    }
}

/// A condition whose names and literals are understood, in a form that prints and parses back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// Holds for every object.
    True,
    /// All of them hold; at least two, none of them an `And`.
    And(Vec<Expr>),
    /// One of them holds; at least two, none of them an `Or`.
    Or(Vec<Expr>),
    /// It does not hold; never of a `Not`.
    Not(Box<Expr>),
    /// One field's values pass.
    Test(Test),
}

/// A condition on the values of one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// Whose values.
    pub field: Field,
    /// What is asked of a value.
    pub op: Op,
    /// Whether all values must pass, of which there must be one, instead of any.
    pub all: bool,
}

/// Where values come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `metadata.name`, text.
    Name,
    /// `metadata.namespace`, text; missing where the resource is cluster-scoped.
    Namespace,
    /// `metadata.uid`, text.
    Uid,
    /// `metadata.labels[…]`, text; the empty text is a value.
    Label(String),
    /// A field of the catalogue.
    Indexed {
        /// Its canonical name.
        name: String,
        /// What its values are.
        ty: Type,
        /// Whether an object may have several.
        many: bool,
    },
    /// Any place in the body; found by reading bodies.
    Path {
        /// The place.
        path: Path,
        /// How its values are read. What can't be read so counts as missing; as
        /// [`Type::Text`] anything that is there exists, objects and lists too.
        ty: Type,
    },
}

/// What is asked of one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// It is one of these (`=` is one of one). Never empty.
    In(BTreeSet<Value>),
    /// It lies between; at least one side is bounded.
    Range {
        /// From here.
        lower: Bound<Value>,
        /// To here.
        upper: Bound<Value>,
    },
    /// The text is in it. The text is folded already.
    Contains {
        /// What to look for.
        text: String,
        /// What counts as equal.
        fold: Fold,
    },
    /// It is this text but for case. The text is folded already, the fold not exact.
    Equals {
        /// What it should be.
        text: String,
        /// What counts as equal.
        fold: Fold,
    },
    /// It begins with this, byte for byte.
    StartsWith(String),
    /// The regular expression is found in it.
    Matches(Pattern),
    /// The address is in one of these networks: sorted, without repetitions, never empty.
    Within(Vec<IpNet>),
    /// There is one.
    Exists,
    /// A text that is an integer of 64 bits, compared as one: label selectors' `<` and `>`.
    LabelInt {
        /// `>` instead of `<`.
        greater: bool,
        /// The other side.
        than: i64,
    },
}

impl Expr {
    /// Holds for no object.
    #[must_use]
    pub fn none() -> Self {
        Self::Not(Box::new(Self::True))
    }

    /// Whether it is [`Expr::none`].
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Not(inner) if **inner == Self::True)
    }

    /// All of these, in canonical form.
    #[must_use]
    pub fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::And(inner) => flat.extend(inner),
                part if part.is_none() => return part,
                part => flat.push(part),
            }
        }
        match flat.len() {
            0 => Self::True,
            1 => flat.remove(0),
            _ => Self::And(flat),
        }
    }

    /// One of these, in canonical form.
    #[must_use]
    pub fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::True => return Self::True,
                Self::Or(inner) => flat.extend(inner),
                part if part.is_none() => {}
                part => flat.push(part),
            }
        }
        match flat.len() {
            0 => Self::none(),
            1 => flat.remove(0),
            _ => Self::Or(flat),
        }
    }

    /// Not this, in canonical form.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// A test of any value of a field.
    #[must_use]
    pub fn any(field: Field, op: Op) -> Self {
        Self::Test(Test { field, op, all: false })
    }

    /// All tests, in the order they are written.
    #[must_use]
    pub fn tests(&self) -> Vec<&Test> {
        let mut tests = Vec::new();
        self.collect(&mut tests);
        tests
    }

    fn collect<'e>(&'e self, into: &mut Vec<&'e Test>) {
        match self {
            Self::True => {}
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.collect(into);
                }
            }
            Self::Not(inner) => inner.collect(into),
            Self::Test(test) => into.push(test),
        }
    }

    /// The fields that are looked at, each once, in the order they are written.
    #[must_use]
    pub fn fields(&self) -> Vec<&Field> {
        let mut fields: Vec<&Field> = Vec::new();
        for test in self.tests() {
            if !fields.contains(&&test.field) {
                fields.push(&test.field);
            }
        }
        fields
    }
}

impl Field {
    /// What its values are.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Name | Self::Namespace | Self::Uid | Self::Label(_) => Type::Text,
            Self::Indexed { ty, .. } | Self::Path { ty, .. } => *ty,
        }
    }

    /// Whether an object may have several values.
    #[must_use]
    pub fn many(&self) -> bool {
        match self {
            Self::Name | Self::Namespace | Self::Uid | Self::Label(_) => false,
            Self::Indexed { many, .. } => *many,
            Self::Path { .. } => true,
        }
    }
}
