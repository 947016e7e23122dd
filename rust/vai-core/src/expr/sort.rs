//! Sort keys.

use std::fmt;

use super::bind::{Resolved, of_keys, resolve};
use super::parse::{Ast, Quantifier, View};
use super::{Catalogue, ExprError, Field};
use crate::error::{Error, Result};
use crate::value::Type;

/// Where objects without a value go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SortOrder {
    /// As their type has it; texts by their bytes.
    Natural,
    /// Texts with `A` to `Z` as `a` to `z`: SQLite's NOCASE, on Steve's surface.
    AsciiFolded,
    /// Texts as the addresses that they are; others count as missing.
    AsIp,
    /// As JSON has them: false, true, numbers, texts. Of a path whose type nobody said.
    AsWritten,
}

/// One key of an order. What is equal by all keys goes by `namespace/name`, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// Whose values.
    pub field: Field,
    /// Greatest first.
    pub descending: bool,
    /// Where objects without a value go, whatever the direction.
    pub missing: Missing,
    /// How values are compared.
    pub order: SortOrder,
}

/// Most keys of one order; who needs more does not mean it.
const MAX_SORT_KEYS: usize = 16;

impl SortKey {
    /// Reads one key: a field or path as in expressions, `-` before it for descending. An age is
    /// sorted by the time it counts from, the other way round.
    pub fn parse(text: &str, catalogue: &dyn Catalogue) -> Result<Self> {
        let trimmed = text.trim_start();
        let offset = text.len() - trimmed.len();
        let (mut descending, name) = match trimmed.strip_prefix(['-', '+']) {
            Some(name) => (trimmed.starts_with('-'), name),
            None => (false, trimmed),
        };
        let offset = offset + trimmed.len() - name.len();
        let shifted = |error: ExprError| ExprError { position: error.position + offset, ..error };
        let target = Ast::parse_target(name).map_err(shifted)?;
        let at = |message: String| ExprError::new(message, offset + target.position);
        if target.quantifier == Some(Quantifier::All) || target.quantifier == Some(Quantifier::Any)
        {
            return Err(at("a sort key takes no any() or all()".to_owned()).into());
        }
        let mut view = target.view;
        let mut name = target.name.as_str();
        if name == "age" && view.is_none() && catalogue.field("age").is_none() {
            (name, view) = (".metadata.creationTimestamp", Some(View::Age));
        }
        let ty = match view {
            None => None,
            Some(View::Age) => {
                descending = !descending;
                Some(Type::Time)
            }
            Some(View::As(ty)) => Some(ty),
        };
        let mut order = SortOrder::Natural;
        let field = match (resolve(catalogue, name, offset + target.position)?, ty) {
            (Resolved::Place(path), Some(ty)) => Field::Path { path, ty },
            (Resolved::Place(path), None) => {
                order = SortOrder::AsWritten;
                Field::Path { path, ty: Type::Text }
            }
            (Resolved::Known(field), None) => field,
            (Resolved::Known(field), Some(ty)) if field.ty() == ty => field,
            (Resolved::Known(field), Some(Type::Ip)) if field.ty() == Type::Text => {
                order = SortOrder::AsIp;
                field
            }
            (Resolved::Known(Field::Label(key)), Some(ty)) => {
                let path = of_keys(&["metadata", "labels", &key])
                    .ok_or_else(|| at(format!("no label '{key}'")))?;
                Field::Path { path, ty }
            }
            (Resolved::Known(field), Some(ty)) => {
                return Err(at(format!(
                    "{name} is {}, and sorts as such, not as {ty}",
                    field.ty()
                ))
                .into());
            }
        };
        Ok(Self { field, descending, missing: Missing::Last, order })
    }

    /// Reads several keys, most important first; a text may hold more than one, between commas.
    pub fn parse_all<S: AsRef<str>>(texts: &[S], catalogue: &dyn Catalogue) -> Result<Vec<Self>> {
        let mut keys: Vec<Self> = Vec::new();
        for text in texts {
            let text = text.as_ref();
            for (position, part) in between_commas(text) {
                if part.trim().is_empty() {
                    let error = ExprError::new("expected a field to sort by", position);
                    return Err(Error::from(error).in_text(text));
                }
                let key = Self::parse(part, catalogue)
                    .map_err(|error| error.shifted(position).in_text(text))?;
                // A second time it decides nothing.
                if !keys.iter().any(|have| have.field == key.field && have.order == key.order) {
                    keys.push(key);
                }
            }
        }
        if keys.len() > MAX_SORT_KEYS {
            return Err(ExprError::new(
                format!("{} sort keys, more than the {MAX_SORT_KEYS} that are read", keys.len()),
                0,
            )
            .into());
        }
        Ok(keys)
    }
}

/// The parts of a list; a comma in brackets or quotes belongs to its part.
pub(super) fn between_commas(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0_usize, None);
    for (at, char) in text.char_indices() {
        match (char, quote) {
            (_, Some(end)) if char == end => quote = None,
            ('\'' | '"', None) if depth > 0 => quote = Some(char),
            ('[' | '(' | '{', None) => depth += 1,
            (']' | ')' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                parts.push((start, &text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push((start, &text[start..]));
    parts
}

/// As it can be asked for.
impl fmt::Display for SortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minus = if self.descending { "-" } else { "" };
        match self.order {
            SortOrder::AsIp => write!(f, "{minus}ip({})", self.field),
            SortOrder::Natural if matches!(self.field, Field::Path { ty: Type::Text, .. }) => {
                write!(f, "{minus}text({})", self.field)
            }
            _ => write!(f, "{minus}{}", self.field),
        }
    }
}
