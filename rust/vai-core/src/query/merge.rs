//! Rows of several resources, and of now and then, in one order.

use std::cmp::Ordering;

use super::plan::Part;
use super::scan::PastRow;
use crate::expr::{Field, Missing, SortKey};
use crate::postings::Index;
use crate::value::Value;

/// One row that can be compared with any other of the same query.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    part: &'a Part,
    id: u32,
    from: From<'a>,
}

#[derive(Clone, Copy)]
enum From<'a> {
    Now(&'a Index),
    Past(&'a PastRow),
}

impl<'a> Entry<'a> {
    pub(super) fn now(part: &'a Part, index: &'a Index, id: u32) -> Self {
        Self { part, id, from: From::Now(index) }
    }

    pub(super) fn past(part: &'a Part, row: &'a PastRow) -> Self {
        Self { part, id: row.id, from: From::Past(row) }
    }

    fn key(&self) -> &'a [u8] {
        match self.from {
            From::Now(index) => index.keys().key(self.id),
            From::Past(row) => row.key.as_bytes(),
        }
    }

    fn name(&self) -> &'a [u8] {
        let key = self.key();
        memchr::memrchr(b'/', key).map_or(key, |slash| &key[slash + 1..])
    }

    fn namespace(&self) -> Option<&'a [u8]> {
        let key = self.key();
        memchr::memchr(b'/', key).map(|slash| &key[..slash])
    }

    /// Of several values the one that the direction puts first.
    fn value(&self, key: &SortKey) -> Option<&'a Value> {
        let need = super::eval::need_of(&key.field)?;
        match self.from {
            From::Now(index) => {
                let values = index.values(&need).ok()?.of(self.id);
                if key.descending { values.max() } else { values.min() }
            }
            From::Past(row) => {
                let values = row.values.get(&need)?.iter();
                if key.descending { values.max() } else { values.min() }
            }
        }
    }
}

/// By the sort keys, then by key, then in the order in which resources were asked for.
pub(super) fn compare(a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
    for (mine, theirs) in a.part.sort.iter().zip(&b.part.sort) {
        let order = match &mine.field {
            Field::Name => directed(mine, Some(a.name()), Some(b.name())),
            Field::Namespace => directed(mine, a.namespace(), b.namespace()),
            _ => directed(mine, a.value(mine), b.value(theirs)),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.key().cmp(b.key()).then(a.part.place.cmp(&b.part.place)).then(a.id.cmp(&b.id))
}

fn directed<T: Ord>(key: &SortKey, a: Option<T>, b: Option<T>) -> Ordering {
    let first = matches!(key.missing, Missing::First);
    match (a, b) {
        (Some(a), Some(b)) if key.descending => b.cmp(&a),
        (Some(a), Some(b)) => a.cmp(&b),
        (None, None) => Ordering::Equal,
        (None, Some(_)) if first => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) if first => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
    }
}

/// `take` ids after the first `skip` of all lists, each of which is in order.
pub(super) fn merged(mut lists: Vec<Vec<Entry<'_>>>, skip: usize, take: usize) -> Vec<u32> {
    lists.retain(|list| !list.is_empty());
    let whole: usize = lists.iter().map(Vec::len).sum();
    let mut places = vec![0; lists.len()];
    let mut ids = Vec::with_capacity(take.min(whole.saturating_sub(skip)));
    for at in 0..whole.min(skip.saturating_add(take)) {
        let next = (0..lists.len())
            .filter(|list| places[*list] < lists[*list].len())
            .min_by(|a, b| compare(&lists[*a][places[*a]], &lists[*b][places[*b]]));
        let Some(next) = next else { break };
        if at >= skip {
            ids.push(lists[next][places[next]].id);
        }
        places[next] += 1;
    }
    ids
}
