//! Rows in order: a part of them, without ordering the rest.

use roaring::RoaringBitmap;

use crate::expr::{Field, Missing};
use crate::postings::{Ids, Keys, NONE, Values};

use super::columns::Columns;
use super::request::MAX_SORT_KEYS;

/// A sort key, with what it sorts by.
struct By<'a> {
    source: Source<'a>,
    descending: bool,
    missing_first: bool,
}

enum Source<'a> {
    Values(&'a Values),
    Namespace,
    Name,
}

/// Orders the rows of one resource.
pub(super) struct Order<'a> {
    keys: &'a Keys,
    by: Vec<By<'a>>,
}

/// Below so many rows for each value, looking at rows beats walking the values.
const ROWS_PER_VALUE: u64 = 8;
/// So few are sorted at once.
const FEW: u64 = 64;

/// The part of an order that is still wanted.
struct Window {
    skip: usize,
    take: usize,
    rows: Vec<u32>,
}

impl Window {
    fn full(&self) -> bool {
        self.take == 0
    }

    fn push(&mut self, id: u32) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if self.take > 0 {
            self.take -= 1;
            self.rows.push(id);
        }
    }
}

impl<'a> Order<'a> {
    pub(super) fn new(columns: &'a Columns<'a>) -> Self {
        let part = columns.part;
        let by = part.sort.iter().zip(&part.order).map(|(key, column)| By {
            source: match (columns.values(*column), &key.field) {
                (Some(values), _) => Source::Values(values),
                (None, Field::Name) => Source::Name,
                (None, _) => Source::Namespace,
            },
            descending: key.descending,
            missing_first: matches!(key.missing, Missing::First),
        });
        Self { keys: columns.index.keys(), by: by.collect() }
    }

    /// `take` rows of a set after the first `skip` of them.
    pub(super) fn part(&self, set: &RoaringBitmap, skip: usize, take: usize) -> Vec<u32> {
        let mut window = Window { skip, take, rows: Vec::new() };
        self.emit(set, 0, &mut window);
        window.rows
    }

    fn emit(&self, set: &RoaringBitmap, depth: usize, window: &mut Window) {
        if window.full() {
            return;
        }
        let count = usize::try_from(set.len()).unwrap_or(usize::MAX);
        if count <= window.skip {
            window.skip -= count;
            return;
        }
        let Some(by) = self.by.get(depth) else {
            return self.by_key(set, window);
        };
        match &by.source {
            Source::Values(values) => {
                let terms = values.sorted().len() as u64;
                if set.len() <= FEW || set.len() * ROWS_PER_VALUE < terms {
                    return self.by_rank(set, depth, window);
                }
                self.by_value(set, depth, by, values, window);
            }
            Source::Namespace => self.by_namespace(set, depth, by, window),
            Source::Name => self.by_name(set, depth, by.descending, window),
        }
    }

    fn by_namespace(&self, set: &RoaringBitmap, depth: usize, by: &By<'_>, window: &mut Window) {
        let mut groups: Vec<_> = self.keys.namespaces().map(|(_, ids)| ids.within(set)).collect();
        if by.descending {
            groups.reverse();
        }
        let mut rest = set.clone();
        for group in &groups {
            rest -= group;
        }
        let missing = if by.missing_first { 0 } else { groups.len() };
        groups.insert(missing, rest);
        for group in &groups {
            self.emit(group, depth + 1, window);
        }
    }

    fn by_value(
        &self,
        set: &RoaringBitmap,
        depth: usize,
        by: &By<'_>,
        values: &Values,
        window: &mut Window,
    ) {
        if by.missing_first {
            self.emit(&(set - values.present()), depth + 1, window);
        }
        let terms = values.sorted();
        // A row with several values stands where the first of them does.
        let mut done = (!values.is_single()).then(RoaringBitmap::new);
        // Where all rows are wanted, those before the window are only counted.
        let counted = done.is_none() && window.skip > 0 && values.present().is_subset(set);
        for at in 0..terms.len() {
            if window.full() {
                return;
            }
            let term = terms[if by.descending { terms.len() - 1 - at } else { at }];
            let ids = values.ids(term);
            if counted && ids.len() <= window.skip {
                window.skip -= ids.len();
                continue;
            }
            match ids {
                Ids::One(id) if !set.contains(*id) => {}
                Ids::One(id) => {
                    if done.as_mut().is_none_or(|done| done.insert(*id)) {
                        window.push(*id);
                    }
                }
                ids => {
                    let mut group = ids.within(set);
                    if let Some(done) = &mut done {
                        group -= &*done;
                        *done |= &group;
                    }
                    self.emit(&group, depth + 1, window);
                }
            }
        }
        if !by.missing_first {
            self.emit(&(set - values.present()), depth + 1, window);
        }
    }

    fn by_key(&self, set: &RoaringBitmap, window: &mut Window) {
        let order = self.keys.order();
        if set.len() == order.len() as u64 {
            // All of them: any offset is at hand.
            let end = window.skip.saturating_add(window.take).min(order.len());
            let rows = &order[window.skip..end];
            window.rows.extend_from_slice(rows);
            (window.skip, window.take) = (0, window.take - rows.len());
            return;
        }
        let wanted = window.skip.saturating_add(window.take) as u64;
        // Walking to the last wanted row looks at about one in len/count of all keys.
        let walked = wanted.min(set.len()) * order.len() as u64 / set.len().max(1);
        if walked > set.len() * ROWS_PER_VALUE {
            let mut ranks: Vec<u32> = set.iter().map(|id| self.keys.rank(id)).collect();
            ranks.sort_unstable();
            for rank in ranks.into_iter().filter(|rank| *rank != NONE) {
                window.push(order[rank as usize]);
                if window.full() {
                    return;
                }
            }
            return;
        }
        for id in order {
            if set.contains(*id) {
                window.push(*id);
                if window.full() {
                    return;
                }
            }
        }
    }

    /// Each row with its places in all orders, sorted together.
    fn by_rank(&self, set: &RoaringBitmap, depth: usize, window: &mut Window) {
        let mut rows: Vec<([u32; MAX_SORT_KEYS], u32, u32)> = set
            .iter()
            .map(|id| {
                let mut ranks = [0; MAX_SORT_KEYS];
                for (rank, by) in ranks.iter_mut().zip(&self.by[depth..]) {
                    *rank = self.rank(id, by);
                }
                (ranks, self.keys.rank(id), id)
            })
            .collect();
        let names = self.by[depth..].iter().any(|by| matches!(by.source, Source::Name));
        if names {
            rows.sort_by(|a, b| self.compare(a.2, b.2, depth));
        } else {
            let wanted = window.skip.saturating_add(window.take);
            if wanted < rows.len() / 4 {
                rows.select_nth_unstable(wanted);
                rows.truncate(wanted);
            }
            rows.sort_unstable();
        }
        for (_, _, id) in rows {
            window.push(id);
            if window.full() {
                return;
            }
        }
    }

    fn rank(&self, id: u32, by: &By<'_>) -> u32 {
        let rank = match by.source {
            Source::Values(values) => values.rank(id, by.descending),
            Source::Namespace => self.keys.namespace_rank(id),
            Source::Name => 0,
        };
        match rank {
            NONE if by.missing_first => 0,
            NONE => NONE,
            // 0 and NONE are the missing ones.
            rank if by.descending => NONE - 1 - rank,
            rank => rank + 1,
        }
    }

    fn by_name(&self, set: &RoaringBitmap, depth: usize, descending: bool, window: &mut Window) {
        let order = self.keys.by_name();
        if set.len() <= FEW || set.len() * ROWS_PER_VALUE < order.len() as u64 {
            return self.by_rank(set, depth, window);
        }
        let mut at = 0;
        while at < order.len() && !window.full() {
            let place =
                |at: usize| if descending { order[order.len() - 1 - at] } else { order[at] };
            let name = self.keys.name(place(at));
            let mut group = RoaringBitmap::new();
            let mut last = place(at);
            while at < order.len() && self.keys.name(place(at)) == name {
                last = place(at);
                if set.contains(last) {
                    group.insert(last);
                }
                at += 1;
            }
            match group.len() {
                0 => {}
                1 => window.push(group.min().unwrap_or(last)),
                _ => self.emit(&group, depth + 1, window),
            }
        }
    }

    /// Two rows of this resource, by the sort keys and then their keys.
    fn compare(&self, a: u32, b: u32, depth: usize) -> std::cmp::Ordering {
        for by in &self.by[depth..] {
            let order = match by.source {
                Source::Name => {
                    let order = self.keys.name(a).cmp(self.keys.name(b));
                    if by.descending { order.reverse() } else { order }
                }
                _ => self.rank(a, by).cmp(&self.rank(b, by)),
            };
            if order.is_ne() {
                return order;
            }
        }
        self.keys.rank(a).cmp(&self.keys.rank(b))
    }
}
