//! Which rows a query is about: those of the scopes that answer, in the namespaces asked for, that
//! the asking user may see.

use std::collections::HashSet;

use roaring::RoaringBitmap;
use rusqlite::Connection;

use super::partition::Access;
use super::route::Source;
use super::rows::{is_newer, newer, overlap};
use super::scan::PastRow;
use crate::error::Result;
use crate::postings::{Keys, Marks};

/// The rows of the sources, narrowed to their namespaces; copies included.
pub(super) fn rows_of(keys: &Keys, sources: &[Source]) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    for source in sources {
        let Some(scope) = keys.scope(source.scope.id) else { continue };
        match source.namespace.as_deref() {
            None => rows |= scope,
            Some(namespace) => {
                if let Some(ids) = keys.namespace(namespace) {
                    rows |= ids.within(scope);
                }
            }
        }
    }
    rows
}

/// Where overlapping scopes keep copies of one object, the newest counts: the others go from the
/// rows, and from what was there at another time.
pub(super) fn drop_older_copies(
    db: &Connection,
    keys: &Keys,
    sources: &[Source],
    rows: &mut RoaringBitmap,
    past: &mut Vec<PastRow>,
) -> Result<()> {
    if !overlap(sources) {
        return Ok(());
    }
    *rows -= older_copies(db, keys, rows)?;
    past.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| b.compare_age(a)));
    past.dedup_by(|older, newest| older.key == newest.key);
    let mut newest = Vec::with_capacity(past.len());
    for row in std::mem::take(past) {
        let copy = keys.find(row.key.as_bytes()).find(|id| rows.contains(*id));
        match copy {
            Some(id) if is_newer(db, id, &row)? => {}
            Some(id) => {
                rows.remove(id);
                newest.push(row);
            }
            None => newest.push(row),
        }
    }
    *past = newest;
    Ok(())
}

/// Of each key that several scopes keep, all rows but the newest.
fn older_copies(db: &Connection, keys: &Keys, rows: &RoaringBitmap) -> Result<RoaringBitmap> {
    let mut older = RoaringBitmap::new();
    let mut best: Option<u32> = None;
    // Copies are neighbours in key order.
    for id in keys.order().iter().copied().filter(|id| rows.contains(*id)) {
        best = match best {
            Some(held) if keys.key(held) == keys.key(id) => {
                let (newest, loser) = if newer(db, id, held)? { (id, held) } else { (held, id) };
                older.insert(loser);
                Some(newest)
            }
            _ => Some(id),
        };
    }
    Ok(older)
}

/// Those of the rows that may be seen.
pub(super) fn allowed(keys: &Keys, access: &Access, all: &RoaringBitmap) -> RoaringBitmap {
    if access.is_everything() {
        return all.clone();
    }
    let rows = keys.set(access.digest(), |key| access.allows(key), || rows_allowed(keys, access));
    &*rows & all
}

fn rows_allowed(keys: &Keys, access: &Access) -> RoaringBitmap {
    let (mut rows, mut marks) = (RoaringBitmap::new(), Marks::default());
    for partition in access.partitions() {
        match (partition.namespace, partition.names) {
            (None, None) => return keys.order().iter().copied().collect(),
            (Some(namespace), None) => {
                keys.namespace(namespace).into_iter().for_each(|ids| marks.mark_all(ids));
            }
            (Some(namespace), Some(names)) => {
                let ids = keys.in_order(namespace);
                for name in names {
                    let first = ids.partition_point(|id| keys.name(*id) < name.as_bytes());
                    let same =
                        ids[first..].iter().take_while(|id| keys.name(**id) == name.as_bytes());
                    same.for_each(|id| marks.mark(*id));
                }
            }
            (None, Some(names)) => {
                let names: HashSet<&str> = names.collect();
                rows |= keys.names_that(|name| names.contains(name));
            }
        }
    }
    rows | marks.into_set()
}
