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
mod query;

use super::bind::{Catalogue, Resolved, resolve};
use super::sort::{Missing, SortKey, SortOrder, between_commas};
use super::{Expr, ExprError, Field, Op};
use crate::error::Result;
use crate::value::{Type, Value};

/// Rancher's label on namespaces.
const PROJECT: &str = "field.cattle.io/projectId";
/// What is read of `pagesize`; Steve's own default limit is 100,000 (`defaultLimit`).
const MAX_PAGE_SIZE: u64 = 100_000;

/// A parsed query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteveQuery {
    /// All `filter` parameters together.
    pub filter: Expr,
    /// `sort`, most important first; none is the order of `namespace/name`.
    pub sort: Vec<SortKey>,
    /// `page`, from 1; without a page size it means nothing, as in Steve.
    pub page: u64,
    /// `pagesize`; `None` for everything.
    pub page_size: Option<u64>,
    /// `revision`: an answer at least as new as this resourceVersion.
    pub revision: Option<u64>,
    /// `projectsornamespaces`, or `projectsornamespaces!`.
    pub projects_or_namespaces: Option<ProjectsOrNamespaces>,
    /// `summary`: fields whose values are counted.
    pub summary: Vec<Field>,
    /// `summaryonly`: no rows beside them.
    pub summary_only: bool,
    /// `summarynamespaced`: counted per namespace.
    pub summary_namespaced: bool,
}

/// A choice of namespaces, by their names or those of the projects they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectsOrNamespaces {
    /// Names of either.
    pub names: Vec<String>,
    /// All but these.
    pub excluded: bool,
}

impl ProjectsOrNamespaces {
    /// The condition on namespace objects; what is asked for are the objects in those it holds for
    /// (or, asked of namespaces, they themselves).
    #[must_use]
    pub fn condition(&self) -> Expr {
        let names = || Op::In(self.names.iter().map(|name| Value::text(name)).collect());
        let either = Expr::or([
            Expr::any(Field::Name, names()),
            Expr::any(Field::Label(PROJECT.to_owned()), names()),
        ]);
        if self.excluded { either.negated() } else { either }
    }
}

impl SteveQuery {
    /// Reads a query string, percent-encoded or not, without its question mark. Parameters of other
    /// purposes are passed over.
    pub fn parse(query: &str, catalogue: &dyn Catalogue) -> Result<Self> {
        let parameters = query::parameters(query)?;
        let all = |name: &'static str| {
            parameters.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let first = |name| all(name).next().filter(|value| !value.is_empty());
        let filters: Result<Vec<Expr>> =
            all("filter").map(|text| named("filter", filter::parse(text, catalogue))).collect();
        let sort = named("sort", sort(first("sort").unwrap_or_default(), catalogue))?;
        let page_size = number("pagesize", first("pagesize"))?.filter(|size| *size > 0);
        let chosen = |name, excluded| {
            let names = first(name)?.split(',').map(str::trim).filter(|name| !name.is_empty());
            let names: Vec<String> = names.map(str::to_owned).collect();
            (!names.is_empty()).then_some(ProjectsOrNamespaces { names, excluded })
        };
        let summaries: Vec<&str> = all("summary").collect();
        let summary = named("summary", summary(&summaries, catalogue))?;
        let flag = |name| -> Result<bool> {
            match all(name).next_back() {
                None | Some("false") => Ok(false),
                Some("" | "true") if summaries.is_empty() => {
                    Err(ExprError::new(format!("{name} needs a summary parameter"), 0).into())
                }
                Some("" | "true") => Ok(true),
                Some(_) => Err(ExprError::new(format!("{name} is true or false"), 0).into()),
            }
        };
        Ok(Self {
            filter: Expr::and(filters?),
            sort,
            page: number("page", first("page"))?.unwrap_or(1).max(1),
            page_size: page_size.map(|size| size.min(MAX_PAGE_SIZE)),
            revision: number("revision", first("revision"))?,
            projects_or_namespaces: chosen("projectsornamespaces", false)
                .or_else(|| chosen("projectsornamespaces!", true)),
            summary,
            summary_only: flag("summaryonly")?,
            summary_namespaced: flag("summarynamespaced")?,
        })
    }

    /// The rows that come before the page.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.page_size.map_or(0, |size| size.saturating_mul(self.page - 1))
    }
}

/// Says which parameter an error is in; its position is one in that parameter's value.
fn named<T>(parameter: &str, result: Result<T>) -> Result<T> {
    use crate::Error;
    result.map_err(|error| match error {
        Error::Expression { message, position } => {
            Error::Expression { message: format!("{parameter}: {message}"), position }
        }
        Error::UnknownField { message, nearest } => {
            Error::UnknownField { message: format!("{parameter}: {message}"), nearest }
        }
        other => other,
    })
}

fn number(parameter: &str, value: Option<&str>) -> Result<Option<u64>> {
    let parse = |value: &str| {
        // -1 is how some clients say none.
        if value == "-1" {
            return Ok(None);
        }
        value.parse().map(Some).map_err(|_| {
            ExprError::new(
                format!("{parameter}: '{}' is no number", super::lex::shortened(value)),
                0,
            )
        })
    };
    Ok(value.map(parse).transpose()?.flatten())
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

fn summary(parameters: &[&str], catalogue: &dyn Catalogue) -> Result<Vec<Field>> {
    match parameters {
        [] => Ok(Vec::new()),
        [text] => between_commas(text)
            .into_iter()
            .map(|(position, name)| match name {
                "" => Err(ExprError::new("expected a field to summarize", position).into()),
                name => field(name, position, catalogue),
            })
            .collect(),
        _ => Err(ExprError::new("there is more than one; join the fields by commas", 0).into()),
    }
}

#[cfg(test)]
mod tests;
