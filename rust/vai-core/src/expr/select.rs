//! Kubernetes' selectors as expressions.

use std::collections::BTreeSet;

use super::{Catalogue, Expr, Field, FieldInfo, Op};
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::selector::{self, FieldSelector, LabelSelector, Requirement};
use crate::value::{Type, Value};

impl Expr {
    /// A label selector: a missing key matches `!=` and `notin`, as in apimachinery's
    /// `labels.Requirement.Matches`.
    #[must_use]
    pub fn from_labels(selector: &LabelSelector) -> Self {
        Self::and(selector.requirements.iter().map(requirement))
    }

    /// A field selector: a missing value equals the empty text, as in apimachinery's
    /// `fields.Set.Get`. Names that a real server refuses are refused.
    pub fn from_fields(selector: &FieldSelector, catalogue: &dyn Catalogue) -> Result<Self> {
        let mut parts = Vec::with_capacity(selector.terms.len());
        for term in &selector.terms {
            let field = match term.path.as_str() {
                "metadata.name" => Selectable::Key(Field::Name),
                "metadata.namespace" => Selectable::Key(Field::Namespace),
                path => match catalogue.selectable(path) {
                    Some(info) => Selectable::Field(info),
                    None => return Err(unknown(catalogue, path)),
                },
            };
            let equal = field.equals(&term.value);
            parts.push(if term.not_equal { equal.negated() } else { equal });
        }
        Ok(Self::and(parts))
    }
}

fn requirement(requirement: &Requirement) -> Expr {
    use selector::Op as Relation;
    let test = |op| Expr::any(Field::Label(requirement.key.clone()), op);
    let values = || {
        let values: BTreeSet<Value> =
            requirement.values.iter().map(|value| Value::text(value)).collect();
        if values.is_empty() { Expr::none() } else { test(Op::In(values)) }
    };
    // The parser has seen that it is an integer.
    let integer = |greater| match requirement.values.first().map(|value| value.parse()) {
        Some(Ok(than)) => test(Op::LabelInt { greater, than }),
        _ => Expr::none(),
    };
    match requirement.op {
        Relation::Equals | Relation::In => values(),
        Relation::NotEquals | Relation::NotIn => values().negated(),
        Relation::Exists => test(Op::Exists),
        Relation::NotExists => test(Op::Exists).negated(),
        Relation::GreaterThan => integer(true),
        Relation::LessThan => integer(false),
    }
}

enum Selectable {
    Key(Field),
    Field(FieldInfo),
}

impl Selectable {
    /// `=`: what a server compares is text, and an empty text is no value.
    fn equals(self, text: &str) -> Expr {
        let (field, ty) = match self {
            Self::Key(field) => (field, Type::Text),
            Self::Field(info) => {
                let ty = info.ty;
                (Field::from(info), ty)
            }
        };
        if text.is_empty() {
            return Expr::any(field, Op::Exists).negated();
        }
        match Value::parse(ty, text) {
            // `+1`, `01` and `1.0` are the integer 1, but not its text.
            Ok(value) if value.selector_text() == text => {
                Expr::any(field, Op::In(BTreeSet::from([value])))
            }
            _ => Expr::none(),
        }
    }
}

fn unknown(catalogue: &dyn Catalogue, name: &str) -> Error {
    let mut names = catalogue.selectable_names();
    names.extend(["metadata.name", "metadata.namespace"].map(str::to_owned));
    names.sort_unstable();
    Error::UnknownField {
        // The first half is what a server says.
        message: format!(
            "field label not supported: {name}; the server selects by {}",
            names.join(", ")
        ),
        position: None,
        text: String::new(),
        nearest: nearest(name, &names, 3),
    }
}
