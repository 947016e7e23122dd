//! Rancher Steve's query parameters as one query: `filter`, `sort`, `page`, `pagesize`, `revision`,
//! `projectsornamespaces`, `summary`.
//!
//! The grammar is that of rancher/steve v0.10.2: `pkg/stores/sqlpartition/queryparser/selector.go`
//! for filters, `…/listprocessor/processor.go` for the rest. The meaning is what its README and
//! `pkg/sqlcache/informer/sqlgenerator.go` say, with these differences, each a fault there:
//!
//! - `_`, `%` and `\` in a value mean themselves for every operator.
//! - Numbers, quantities and times are compared as such, not as text; a missing one matches neither
//!   `<` nor `>`.
//! - Equal sort keys fall back on `namespace/name`, so that pages don't overlap.
//!
//! What stays is the surface's own: `~` and sorting fold `A` to `Z`, a missing value matches `!=`
//! (Steve stores it as an empty text), and sorts where SQLite puts that: before texts, behind
//! numbers; labels sort missing ones behind all others. Each the other way round when descending.

mod filter;
mod frame;
mod query;

pub use self::frame::{Frame, ProjectsOrNamespaces};
use super::bind::{Catalogue, Resolved, resolve};
use super::sort::{Missing, SortKey, SortOrder, between_commas};
use super::{Expr, ExprError, Field};
use crate::error::Result;
use crate::value::Type;

/// A parsed query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteveQuery {
    /// What names no field.
    pub frame: Frame,
    /// All `filter` parameters together.
    pub filter: Expr,
    /// `sort`, most important first; none is the order of `namespace/name`.
    pub sort: Vec<SortKey>,
    /// `summary`: fields whose values are counted, and how they were named.
    pub summary: Vec<(String, Field)>,
}

impl SteveQuery {
    /// Reads a query string, percent-encoded or not, without its question mark. Parameters of other
    /// purposes are passed over.
    pub fn parse(query: &str, catalogue: &dyn Catalogue) -> Result<Self> {
        let parameters = query::parameters(query)?;
        let filters: Result<Vec<Expr>> = all(&parameters, "filter")
            .map(|text| named("filter", filter::parse(text, catalogue)))
            .collect();
        let text = first(&parameters, "sort").unwrap_or_default();
        let summaries: Vec<&str> = all(&parameters, "summary").collect();
        Ok(Self {
            filter: Expr::and(filters?),
            sort: named("sort", sort(text, catalogue))?,
            summary: named("summary", summary(&summaries, catalogue))?,
            frame: Frame::of(&parameters)?,
        })
    }
}

fn all<'p>(parameters: &'p [(String, String)], name: &str) -> impl Iterator<Item = &'p str> {
    parameters.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn first<'p>(parameters: &'p [(String, String)], name: &str) -> Option<&'p str> {
    all(parameters, name).next().filter(|value| !value.is_empty())
}

/// Says which parameter an error is in; its position is one in that parameter's value.
fn named<T>(parameter: &str, result: Result<T>) -> Result<T> {
    use crate::Error;
    result.map_err(|error| match error {
        Error::Expression { message, position, text } => {
            Error::Expression { message: format!("{parameter}: {message}"), position, text }
        }
        Error::UnknownField { message, position, text, nearest } => {
            let message = format!("{parameter}: {message}");
            Error::UnknownField { message, position, text, nearest }
        }
        other => other,
    })
}

/// A field by Steve's name for it: `metadata.labels[x]`, `spec.nodeName`, `spec.containers[0].image`.
fn field(name: &str, position: usize, catalogue: &dyn Catalogue) -> Result<Field> {
    let resolved = match resolve(catalogue, name, position) {
        // Of what is not indexed, Steve knows nothing; a path is read from the bodies here.
        Err(unknown) => match resolve(catalogue, &format!(".{name}"), position) {
            Ok(resolved) if name.contains('.') && !name.starts_with("metadata.fields") => resolved,
            _ => return Err(unknown),
        },
        Ok(resolved) => resolved,
    };
    Ok(match resolved {
        Resolved::Known(field) => field,
        Resolved::Place(path) => Field::Path { path, ty: Type::Text },
    })
}

/// `-metadata.name,ip(status.podIP),metadata.labels[x]`
fn sort(text: &str, catalogue: &dyn Catalogue) -> Result<Vec<SortKey>> {
    let mut keys: Vec<SortKey> = Vec::new();
    for (position, part) in between_commas(text) {
        let inner = part.strip_prefix("ip(").and_then(|part| part.strip_suffix(')'));
        let named = inner.unwrap_or(part);
        // The minus stands inside of ip(…) there; outside of it is understood as well.
        let (outer, named) = match (inner, part.strip_prefix("-ip(")) {
            (None, Some(rest)) => (true, rest.strip_suffix(')').unwrap_or(rest)),
            _ => (false, named),
        };
        let as_ip = inner.is_some() || outer;
        let (descending, name) = match named.strip_prefix('-') {
            Some(name) => (!outer, name),
            None => (outer, named),
        };
        if name.is_empty() {
            continue;
        }
        let field = field(name, position + (part.len() - name.len()), catalogue)?;
        let is_text = field.ty() == Type::Text;
        let order = match (as_ip, is_text) {
            (true, true) => SortOrder::AsIp,
            (false, true) => SortOrder::AsciiFolded,
            (_, false) => SortOrder::Natural,
        };
        let first = match &field {
            Field::Label(_) => false,
            // An empty text is before other texts, and 0 as an address; behind numbers.
            _ => is_text,
        };
        let missing = if first == descending { Missing::Last } else { Missing::First };
        if !keys.iter().any(|key| key.field == field && key.order == order) {
            keys.push(SortKey { field, descending, missing, order });
        }
    }
    Ok(keys)
}

fn summary(parameters: &[&str], catalogue: &dyn Catalogue) -> Result<Vec<(String, Field)>> {
    match parameters {
        [] => Ok(Vec::new()),
        [text] => between_commas(text)
            .into_iter()
            .map(|(position, name)| match name {
                "" => Err(ExprError::new("expected a field to summarize", position).into()),
                name => Ok((name.to_owned(), field(name, position, catalogue)?)),
            })
            .collect(),
        _ => Err(ExprError::new("there is more than one; join the fields by commas", 0).into()),
    }
}

#[cfg(test)]
mod tests;
