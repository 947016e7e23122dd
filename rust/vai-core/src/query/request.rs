//! A query as it crosses from Python, the command line or a server: one JSON document.

use serde::{Deserialize, Serialize};

use super::partition::Access;
use crate::error::{Error, Result};

/// More sort keys than that no list has; each costs a comparison per object.
pub(crate) const MAX_SORT_KEYS: usize = 8;
/// More facets at once than that no page shows.
const MAX_FACETS: usize = 64;

/// What is asked. Names of fields are the catalogue's, a label is `labels[key]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Recorded `plural[.group]` names; several are merged in one order.
    pub resources: Vec<String>,
    /// `None`: whatever is kept.
    pub namespaces: Option<Vec<String>>,
    /// As kubectl's `-l` takes it; empty for everything.
    pub label_selector: String,
    /// As kubectl's `--field-selector` takes it; empty for everything.
    pub field_selector: String,
    /// An expression, `status.phase = Running and restarts > 3`; empty for everything.
    #[serde(rename = "where")]
    pub condition: String,
    /// Rancher Steve's parameters, as they stand behind a URL's question mark: its filters, order,
    /// page, revision, projects or namespaces, and summary.
    pub steve: String,
    /// What the asking user may see; `None`: everything.
    pub access: Option<Access>,
    /// `-age`, `metadata.name`, `labels[app]`; the last tie-break is always the key.
    pub sort: Vec<String>,
    /// 0: all.
    pub limit: usize,
    /// Rows to leave out before the page.
    pub offset: usize,
    /// Of the page before; its moment is this page's.
    pub cursor: String,
    /// A moment of the past.
    pub at: Option<At>,
    /// Fields whose values are counted over all that matches.
    pub facets: Vec<String>,
    /// Values of each facet; 0 for 100.
    pub facet_limit: usize,
    /// The distinct values of a field.
    pub distinct: Option<Distinct>,
    /// Counts and sums by the values of fields.
    pub group: Option<Group>,
    /// What of each object is wanted.
    pub project: Project,
    /// Also the server's printer cells.
    pub cells: bool,
    /// Also say how it was found.
    pub explain: bool,
}

/// A moment: a position of the history, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum At {
    /// After this entry of the history.
    Position {
        /// Its epoch.
        epoch: i64,
        /// Its number.
        seq: i64,
    },
    /// What was known then.
    Time {
        /// Milliseconds since 1970.
        time_ms: i64,
    },
}

/// The values of a field, for type-ahead.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distinct {
    /// Which field or label.
    pub field: String,
    /// Only values that begin so.
    pub prefix: String,
    /// 0 for 100.
    pub limit: usize,
}

/// Counts, sums and bounds per group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// One group for each combination of these.
    pub by: Vec<String>,
    /// Fields that are added up.
    pub sum: Vec<String>,
    /// Fields whose least value is wanted.
    pub min: Vec<String>,
    /// Fields whose greatest value is wanted.
    pub max: Vec<String>,
}

/// What of each object is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Project {
    /// The object as the server sent it.
    #[default]
    Body,
    /// Its apiVersion, kind and metadata.
    Metadata,
    /// Nothing but what identifies it.
    Keys,
    /// These paths of it, in the places where they were.
    Paths(Vec<String>),
}

impl Request {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let request: Self = serde_json::from_slice(json)
            .map_err(|error| Error::Invalid(format!("the query: {error}")))?;
        request.check()?;
        Ok(request)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let bounded = |what: &str, found: usize, most: usize| {
            if found <= most {
                return Ok(());
            }
            Err(Error::Invalid(format!("{found} {what}; at most {most} are possible")))
        };
        if self.resources.is_empty() {
            return Err(Error::Invalid("a query names at least one resource".into()));
        }
        bounded("sort keys", self.sort.len(), MAX_SORT_KEYS)?;
        bounded("facets", self.facets.len(), MAX_FACETS)?;
        if let Some(group) = &self.group {
            bounded("fields to group by", group.by.len(), MAX_SORT_KEYS)?;
            let sums = group.sum.len() + group.min.len() + group.max.len();
            bounded("sums and bounds of groups", sums, MAX_FACETS)?;
        }
        self.project.check()?;
        if !self.cursor.is_empty() && self.offset > 0 {
            return Err(Error::Invalid("give a cursor or an offset, not both".into()));
        }
        if !self.cursor.is_empty() && self.at.is_some() {
            return Err(Error::Invalid("a cursor has its moment; leave at= out".into()));
        }
        Ok(())
    }
}
