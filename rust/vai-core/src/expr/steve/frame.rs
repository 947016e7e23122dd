//! What a query string asks without naming a field: which page, how new, of which projects.

use super::{all, first, query};
use crate::error::Result;
use crate::expr::lex::shortened;
use crate::expr::{Expr, ExprError, Field, Op};
use crate::value::Value;

/// Rancher's label on namespaces.
const PROJECT: &str = "field.cattle.io/projectId";
/// What is read of `pagesize`; Steve's own default limit is 100,000 (`defaultLimit`).
const MAX_PAGE_SIZE: u64 = 100_000;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `page`, from 1; without a page size it means nothing, as in Steve.
    pub page: u64,
    /// `pagesize`; `None` for everything.
    pub page_size: Option<u64>,
    /// `revision`: an answer at least as new as this resourceVersion.
    pub revision: Option<u64>,
    /// `projectsornamespaces`, or `projectsornamespaces!`.
    pub projects_or_namespaces: Option<ProjectsOrNamespaces>,
    /// `summaryonly`: no rows beside the summary.
    pub summary_only: bool,
    /// `summarynamespaced`: it is counted per namespace.
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

impl Frame {
    /// Reads a query string, without its question mark.
    pub fn parse(query: &str) -> Result<Self> {
        Self::of(&query::parameters(query)?)
    }

    pub(super) fn of(parameters: &[(String, String)]) -> Result<Self> {
        let number = |name| number(name, first(parameters, name));
        let chosen = |name, excluded| {
            let names = first(parameters, name)?.split(',').map(str::trim);
            let names: Vec<String> =
                names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
            (!names.is_empty()).then_some(ProjectsOrNamespaces { names, excluded })
        };
        let summed = all(parameters, "summary").next().is_some();
        let flag = |name| -> Result<bool> {
            match all(parameters, name).last() {
                None | Some("false") => Ok(false),
                Some("" | "true") if summed => Ok(true),
                Some("" | "true") => {
                    Err(ExprError::new(format!("{name} needs a summary parameter"), 0).into())
                }
                Some(_) => Err(ExprError::new(format!("{name} is true or false"), 0).into()),
            }
        };
        let page_size = number("pagesize")?.filter(|size| *size > 0);
        Ok(Self {
            page: number("page")?.unwrap_or(1).max(1),
            page_size: page_size.map(|size| size.min(MAX_PAGE_SIZE)),
            revision: number("revision")?,
            projects_or_namespaces: chosen("projectsornamespaces", false)
                .or_else(|| chosen("projectsornamespaces!", true)),
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

fn number(parameter: &str, value: Option<&str>) -> Result<Option<u64>> {
    let parse = |value: &str| {
        // -1 is how some clients say none.
        if value == "-1" {
            return Ok(None);
        }
        value.parse().map(Some).map_err(|_| {
            ExprError::new(format!("{parameter}: '{}' is no number", shortened(value)), 0)
        })
    };
    Ok(value.map(parse).transpose()?.flatten())
}
