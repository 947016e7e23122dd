//! Rows of several resources, and of now and then, in one order.

use std::cmp::Ordering;

use super::columns::{Columns, Compared};
use super::plan::Part;
use super::scan::PastRow;
use crate::expr::{Field, Missing, SortKey};
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
    Now(&'a Columns<'a>),
    Past(&'a PastRow),
}

impl<'a> Entry<'a> {
    pub(super) fn now(columns: &'a Columns<'a>, id: u32) -> Self {
        Self { part: columns.part, id, from: From::Now(columns) }
    }

    pub(super) fn past(part: &'a Part, row: &'a PastRow) -> Self {
        Self { part, id: row.id, from: From::Past(row) }
    }

    fn key(&self) -> &'a [u8] {
        match self.from {
            From::Now(columns) => columns.index.keys().key(self.id),
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

    /// By a sort key; of several values the one that the direction puts first.
    fn value(&self, at: usize) -> Option<&'a Value> {
        let (key, column) = (&self.part.sort[at], self.part.order[at]);
        match self.from {
            From::Now(columns) => {
                let values = columns.values(column)?.of(self.id);
                if key.descending { values.max() } else { values.min() }
            }
            From::Past(row) => {
                let values = row.columns.get(column)?.iter();
                if key.descending { values.max() } else { values.min() }
            }
        }
    }
}

/// By the sort keys, then by key, then in the order in which resources were asked for.
pub(super) fn compare(a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
    for (at, key) in a.part.sort.iter().enumerate() {
        let compared = a.part.columns[a.part.order[at]].compared;
        let order = match (&key.field, compared) {
            (Field::Name, Compared::Natural) => directed(key, Some(a.name()), Some(b.name())),
            (Field::Namespace, Compared::Natural) => directed(key, a.namespace(), b.namespace()),
            (Field::Name, Compared::Folded) => {
                directed(key, Some(Folded(a.name())), Some(Folded(b.name())))
            }
            (Field::Namespace, Compared::Folded) => {
                directed(key, a.namespace().map(Folded), b.namespace().map(Folded))
            }
            _ => directed(key, a.value(at), b.value(at)),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.key().cmp(b.key()).then(a.part.place.cmp(&b.part.place)).then(a.id.cmp(&b.id))
}

/// Text whose `A` to `Z` count as `a` to `z`.
struct Folded<'a>(&'a [u8]);

impl Folded<'_> {
    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.0.iter().map(u8::to_ascii_lowercase)
    }
}

impl Ord for Folded<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl PartialOrd for Folded<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Folded<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Folded<'_> {}

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

/// The ids of one resource, which are in order, and those of another time in their places. These
/// are few beside the others: each looks for its place.
pub(super) fn with_past(columns: &Columns<'_>, now: &[u32], past: &[PastRow]) -> Vec<u32> {
    let mut past: Vec<Entry<'_>> = past.iter().map(|row| Entry::past(columns.part, row)).collect();
    past.sort_by(compare);
    let mut ids = Vec::with_capacity(now.len() + past.len());
    let mut rest = now;
    for row in past {
        let before = |id: &u32| compare(&Entry::now(columns, *id), &row).is_lt();
        let (earlier, later) = rest.split_at(rest.partition_point(before));
        ids.extend_from_slice(earlier);
        ids.push(row.id);
        rest = later;
    }
    ids.extend_from_slice(rest);
    ids
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
