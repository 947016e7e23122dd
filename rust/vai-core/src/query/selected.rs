//! Which versions a question matches, in key order, without their bodies: what a walk over more
//! rows than fit into memory goes by.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, params_from_iter};

use super::Query;
use super::route::{self, Ask, Source};
use super::rows::{conditions, overlap};
use super::sql::Filter;
use crate::error::Result;
use crate::rv;
use crate::selector::{FieldSelector, LabelSelector};
use crate::store::{FLAG_REDACTED, Resource, scopes};

/// The matching versions of one resource at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub(crate) info: Resource,
    /// Ids of the scopes that answered, ascending.
    pub(crate) scopes: Vec<i64>,
    /// Of the one scope that answered; empty if there were several.
    pub(crate) resource_version: String,
    /// In the order of their keys: 8 bytes an object are what a walk over all of them holds.
    pub(crate) seqs: Vec<i64>,
    /// How many of them are kept as metadata only.
    pub(crate) redacted: usize,
}

/// A row as far as order and choice need it.
struct Place {
    key: String,
    rv: String,
    seq: i64,
    redacted: bool,
}

impl Place {
    /// Versions that can't be compared: the row that was written later.
    fn is_newer_than(&self, other: &Self) -> bool {
        rv::compare(&self.rv, &other.rv).unwrap_or_else(|| self.seq.cmp(&other.seq)).is_gt()
    }
}

/// The rows that [`crate::store::Store::rows`] would give for the question; its limit, its place
/// and its cells are not looked at.
pub(crate) fn selected(db: &Connection, query: &Query) -> Result<Selected> {
    let labels = LabelSelector::parse(&query.label_selector)?;
    let fields = FieldSelector::parse(&query.field_selector)?;
    let (id, info) = scopes::resource_named(db, &query.resource)?;
    let all = scopes::scopes(db, Some(id))?;
    let namespaces = query.namespaces.as_deref();
    let ask = Ask { info: &info, namespaces, labels: &labels, fields: &fields };
    let sources = route::choose(&ask, &all)?;
    let filter = Filter::new(db, id, &info, &labels, &fields)?;
    let places = if overlap(&sources) {
        newest(db, &sources, &filter)?
    } else {
        let mut places = Vec::new();
        for source in &sources {
            walk(db, source, &filter, |place| places.push(place))?;
        }
        if sources.len() > 1 {
            places.sort_by(|a, b| a.key.cmp(&b.key));
        }
        places
    };
    let mut scopes: Vec<i64> = sources.iter().map(|source| source.scope.id).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let resource_version = match sources.as_slice() {
        [source] => source.scope.rv.clone().unwrap_or_default(),
        _ => String::new(),
    };
    let redacted = places.iter().filter(|place| place.redacted).count();
    let seqs = places.into_iter().map(|place| place.seq).collect();
    Ok(Selected { info, scopes, resource_version, seqs, redacted })
}

fn walk(
    db: &Connection,
    source: &Source,
    filter: &Filter,
    mut each: impl FnMut(Place),
) -> Result<()> {
    let (conditions, values) = conditions(source, filter, "");
    let text = format!(
        "SELECT o.key, o.rv, o.seq, o.flags FROM object o WHERE {conditions} ORDER BY o.key"
    );
    let mut statement = db.prepare_cached(&text)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let flags: i64 = row.get(3)?;
        each(Place {
            key: row.get(0)?,
            rv: row.get(1)?,
            seq: row.get(2)?,
            redacted: flags & FLAG_REDACTED != 0,
        });
    }
    Ok(())
}

/// Of several copies the newest counts, and it alone has to match.
fn newest(db: &Connection, sources: &[Source], filter: &Filter) -> Result<Vec<Place>> {
    let mut newest: BTreeMap<String, (Place, bool)> = BTreeMap::new();
    for source in sources {
        let mut matching = HashSet::new();
        walk(db, source, filter, |place| {
            matching.insert(place.seq);
        })?;
        walk(db, source, &Filter::default(), |place| {
            if newest.get(&place.key).is_none_or(|(held, _)| place.is_newer_than(held)) {
                let matches = matching.contains(&place.seq);
                newest.insert(place.key.clone(), (place, matches));
            }
        })?;
    }
    Ok(newest.into_values().filter(|(_, matches)| *matches).map(|(place, _)| place).collect())
}
