//! One field, or one label key, of a resource in memory: its distinct values in order, who has
//! them, and who has which.

use std::collections::HashMap;
use std::ops::Range;

use roaring::RoaringBitmap;

use super::column::{Column, NONE};
use super::ids::Ids;
use crate::object::MAX_INDEXED_TEXT_BYTES;
use crate::value::Value;

#[derive(Clone, Debug)]
struct Term {
    value: Value,
    ids: Ids,
}

/// Rows with several values: their terms are in `several`, and this stands in the column.
const SEVERAL: u32 = NONE - 1;
/// Above so many matching values it is quicker to look at every row's value than to unite sets.
const MANY_TERMS: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Values {
    terms: Vec<Term>,
    /// Terms that nobody has any more, to be used again.
    free: Vec<u32>,
    /// Terms by value.
    sorted: Vec<u32>,
    /// term → its place in `sorted`; behind while `ranked` is false.
    ranks: Vec<u32>,
    ranked: bool,
    /// id → term
    column: Column,
    several: HashMap<u32, Box<[u32]>>,
    /// All rows that have a value.
    present: RoaringBitmap,
    /// Rows with a text that was cut: only the body tells what it is.
    cut: RoaringBitmap,
    /// Rows where something stands that is no value: an object or a list, where texts are.
    others: RoaringBitmap,
    text_bytes: usize,
}

impl Values {
    /// From rows sorted by value, then id.
    pub(crate) fn load(rows: impl IntoIterator<Item = (Value, u32)>) -> Self {
        let mut values = Self::default();
        let mut run: Vec<u32> = Vec::new();
        let mut last: Option<Value> = None;
        for (value, id) in rows {
            if last.as_ref() != Some(&value) {
                if let Some(last) = last.replace(value) {
                    values.push_run(last, &run);
                }
                run.clear();
            }
            run.push(id);
        }
        if let Some(last) = last {
            values.push_run(last, &run);
        }
        values.sorted = (0..).take(values.terms.len()).collect();
        let terms = &values.terms;
        values.sorted.sort_by(|a, b| terms[*a as usize].value.cmp(&terms[*b as usize].value));
        values.rank_all();
        values
    }

    /// From distinct values in their order, each with its rows.
    pub(crate) fn of_runs(runs: impl IntoIterator<Item = (Value, Vec<u32>)>) -> Self {
        let mut values = Self::default();
        for (value, ids) in runs {
            values.push_run(value, &ids);
        }
        values.sorted = (0..).take(values.terms.len()).collect();
        values.rank_all();
        values
    }

    /// The same, with the rows where something stands that is no value.
    pub(super) fn with_others(self, others: RoaringBitmap) -> Self {
        Self { others, ..self }
    }

    fn push_run(&mut self, value: Value, ids: &[u32]) {
        let term = u32::try_from(self.terms.len()).unwrap_or(SEVERAL);
        self.note_text(&value, true);
        let cut = is_cut(&value);
        self.terms.push(Term { value, ids: Ids::of(ids) });
        for id in ids {
            self.present.insert(*id);
            if cut {
                self.cut.insert(*id);
            }
            self.column_add(*id, term);
        }
    }

    fn note_text(&mut self, value: &Value, added: bool) {
        if let Value::Text(text) = value {
            // The allocation of a boxed text, beside its bytes.
            let bytes = text.len() + 16;
            self.text_bytes =
                if added { self.text_bytes + bytes } else { self.text_bytes.saturating_sub(bytes) };
        }
    }

    fn column_add(&mut self, id: u32, term: u32) {
        match self.column.get(id) {
            NONE => {
                self.column.set(id, term);
            }
            SEVERAL => {
                if let Some(held) = self.several.get_mut(&id) {
                    let mut more = held.to_vec();
                    more.push(term);
                    *held = more.into();
                }
            }
            one if one == term => {}
            one => {
                self.several.insert(id, Box::new([one, term]));
                self.column.set(id, SEVERAL);
            }
        }
    }

    /// The terms of a row.
    pub(crate) fn terms_of(&self, id: u32) -> impl Iterator<Item = u32> {
        let term = self.column.get(id);
        let one = (term != NONE && term != SEVERAL).then_some(term);
        let several = if term == SEVERAL { self.several.get(&id) } else { None };
        one.into_iter().chain(several.into_iter().flatten().copied())
    }

    /// The values of a row.
    pub(crate) fn of(&self, id: u32) -> impl Iterator<Item = &Value> {
        self.terms_of(id).map(|term| &self.terms[term as usize].value)
    }

    /// The value of a term.
    pub(crate) fn value(&self, term: u32) -> &Value {
        &self.terms[term as usize].value
    }

    /// The rows of a term.
    pub(crate) fn ids(&self, term: u32) -> &Ids {
        &self.terms[term as usize].ids
    }

    /// Terms in the order of their values; some may have no rows.
    pub(crate) fn sorted(&self) -> &[u32] {
        &self.sorted
    }

    /// A bound on what a term's number can be.
    pub(crate) fn term_count(&self) -> usize {
        self.terms.len()
    }

    /// All rows that have a value.
    pub(crate) fn present(&self) -> &RoaringBitmap {
        &self.present
    }

    /// Rows where something stands that is no value: it is there all the same.
    pub(crate) fn others(&self) -> &RoaringBitmap {
        &self.others
    }

    /// Whether something that is no value stands in a row.
    pub(super) fn set_other(&mut self, id: u32, is_there: bool) {
        if is_there {
            self.others.insert(id);
        } else {
            self.others.remove(id);
        }
    }

    /// Rows of which only the body tells the whole value.
    pub(crate) fn cut(&self) -> &RoaringBitmap {
        &self.cut
    }

    /// Where a row's value is in the order of values; of several the first, or the last one.
    /// [`NONE`] without a value. Only after [`Self::rank_all`].
    pub(crate) fn rank(&self, id: u32, last: bool) -> u32 {
        match self.column.get(id) {
            NONE => NONE,
            SEVERAL => {
                let ranks = self.terms_of(id).map(|term| self.ranks[term as usize]);
                if last { ranks.max() } else { ranks.min() }.unwrap_or(NONE)
            }
            term => self.ranks[term as usize],
        }
    }

    /// Whether no row has several values.
    pub(crate) fn is_single(&self) -> bool {
        self.several.is_empty()
    }

    /// Whether [`Self::rank`] may be asked.
    pub(crate) fn is_ranked(&self) -> bool {
        self.ranked
    }

    /// Brings the ranks up to the values that came.
    pub(crate) fn rank_all(&mut self) {
        if self.ranked {
            return;
        }
        self.ranks.resize(self.terms.len(), NONE);
        for (rank, term) in (0..).zip(&self.sorted) {
            self.ranks[*term as usize] = rank;
        }
        self.ranked = true;
    }

    fn find(&self, value: &Value) -> Result<usize, usize> {
        self.sorted.binary_search_by(|term| self.terms[*term as usize].value.cmp(value))
    }

    /// The rows of one value.
    pub(crate) fn with(&self, value: &Value) -> Option<&Ids> {
        self.find(value).ok().map(|at| &self.terms[self.sorted[at] as usize].ids)
    }

    /// The places in [`Self::sorted`] of the values between two bounds; each says whether a value
    /// is still before it.
    pub(crate) fn between(
        &self,
        below: impl Fn(&Value) -> bool,
        upto: impl Fn(&Value) -> bool,
    ) -> Range<usize> {
        let value = |term: &u32| &self.terms[*term as usize].value;
        let start = self.sorted.partition_point(|term| below(value(term)));
        let end = self.sorted.partition_point(|term| upto(value(term)));
        start..end.max(start)
    }

    /// The rows of a run of values.
    pub(crate) fn range(&self, places: Range<usize>) -> RoaringBitmap {
        if places.len() > MANY_TERMS && self.is_single() && self.ranked {
            let (start, end) = (bound(places.start), bound(places.end));
            return self.rows_where(|term| {
                let rank = self.ranks[term as usize];
                start <= rank && rank < end
            });
        }
        self.unite(self.sorted[places].iter().copied())
    }

    /// The rows of the values that pass.
    pub(crate) fn that(&self, accepts: impl Fn(&Value) -> bool) -> RoaringBitmap {
        let terms: Vec<u32> = self
            .sorted
            .iter()
            .copied()
            .filter(|term| accepts(&self.terms[*term as usize].value))
            .collect();
        if terms.len() <= MANY_TERMS || !self.is_single() {
            return self.unite(terms);
        }
        let mut passes = vec![false; self.terms.len()];
        for term in terms {
            passes[term as usize] = true;
        }
        self.rows_where(|term| passes[term as usize])
    }

    fn rows_where(&self, passes: impl Fn(u32) -> bool) -> RoaringBitmap {
        let ids = self.column.iter().filter(|(_, term)| passes(*term)).map(|(id, _)| id);
        // Ids come in order.
        let mut set = RoaringBitmap::new();
        for id in ids {
            set.insert(id);
        }
        set
    }

    fn unite(&self, terms: impl IntoIterator<Item = u32>) -> RoaringBitmap {
        let mut set = RoaringBitmap::new();
        let mut few = Vec::new();
        for term in terms {
            match &self.terms[term as usize].ids {
                Ids::One(NONE) => {}
                Ids::One(one) => few.push(*one),
                Ids::Few(ids) => few.extend_from_slice(ids),
                Ids::Many(ids) => set |= &**ids,
            }
        }
        few.sort_unstable();
        set | few.into_iter().collect::<RoaringBitmap>()
    }

    /// What a row has now instead of what it had.
    pub(crate) fn set(&mut self, id: u32, now: &[Value]) {
        let before: Vec<u32> = self.terms_of(id).collect();
        let kept = |term: u32| now.contains(&self.terms[term as usize].value);
        if before.len() == now.len() && before.iter().all(|term| kept(*term)) {
            return;
        }
        for term in before {
            self.terms[term as usize].ids.remove(id);
            if self.terms[term as usize].ids.is_empty() {
                self.drop_term(term);
            }
        }
        self.several.remove(&id);
        self.column.set(id, NONE);
        self.present.remove(id);
        self.cut.remove(id);
        for value in now {
            let term = self.term(value);
            self.terms[term as usize].ids.insert(id);
            self.column_add(id, term);
            self.present.insert(id);
            if is_cut(value) {
                self.cut.insert(id);
            }
        }
    }

    fn term(&mut self, value: &Value) -> u32 {
        let at = match self.find(value) {
            Ok(at) => return self.sorted[at],
            Err(at) => at,
        };
        self.note_text(value, true);
        let fresh = Term { value: value.clone(), ids: Ids::default() };
        let term = if let Some(term) = self.free.pop() {
            self.terms[term as usize] = fresh;
            term
        } else {
            self.terms.push(fresh);
            bound(self.terms.len() - 1)
        };
        self.sorted.insert(at, term);
        self.ranked = false;
        term
    }

    fn drop_term(&mut self, term: u32) {
        let value = self.terms[term as usize].value.clone();
        if let Ok(at) = self.find(&value) {
            self.sorted.remove(at);
            self.free.push(term);
            self.note_text(&value, false);
            self.terms[term as usize].ids = Ids::default();
            self.ranked = false;
        }
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let sets: usize = self.terms.iter().map(|term| term.ids.bytes()).sum();
        self.terms.capacity() * size_of::<Term>()
            + self.text_bytes
            + (self.sorted.capacity() + self.ranks.capacity() + self.free.capacity()) * 4
            + self.column.bytes()
            + self.several.len() * 48
            + self.present.serialized_size()
            + self.cut.serialized_size()
            + self.others.serialized_size()
            + sets
    }
}

/// Row ids and terms are counted in 32 bits.
fn bound(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NONE)
}

fn is_cut(value: &Value) -> bool {
    // Cut at a boundary of characters, so up to three bytes shorter.
    matches!(value, Value::Text(text) if text.len() + 3 >= MAX_INDEXED_TEXT_BYTES)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<u32, BTreeSet<i64>>;

    fn load(model: &Model) -> Values {
        let mut rows: Vec<(Value, u32)> = model
            .iter()
            .flat_map(|(id, values)| values.iter().map(|value| (Value::Int(*value), *id)))
            .collect();
        rows.sort();
        Values::load(rows)
    }

    fn rows(model: &Model, passes: impl Fn(i64) -> bool) -> RoaringBitmap {
        let any = |values: &BTreeSet<i64>| values.iter().any(|value| passes(*value));
        model.iter().filter(|(_, values)| any(values)).map(|(id, _)| *id).collect()
    }

    fn checked(values: &mut Values, model: &Model) {
        values.rank_all();
        assert_eq!(values.present(), &rows(model, |_| true));
        let distinct: BTreeSet<i64> = model.values().flatten().copied().collect();
        let found: Vec<Value> =
            values.sorted().iter().map(|term| values.value(*term).clone()).collect();
        assert_eq!(found, distinct.iter().copied().map(Value::Int).collect::<Vec<_>>());
        let ranks: BTreeMap<i64, u32> = distinct.iter().copied().zip(0..).collect();
        for (id, wanted) in model {
            let found: BTreeSet<&Value> = values.of(*id).collect();
            let wanted_values: Vec<Value> = wanted.iter().copied().map(Value::Int).collect();
            assert_eq!(found, wanted_values.iter().collect());
            let rank = |value: Option<&i64>| value.map_or(NONE, |value| ranks[value]);
            assert_eq!(values.rank(*id, false), rank(wanted.first()));
            assert_eq!(values.rank(*id, true), rank(wanted.last()));
        }
        for value in &distinct {
            let ids = values.with(&Value::Int(*value)).unwrap();
            let wanted = rows(model, |one| one == *value);
            assert_eq!((ids.count_in(&wanted), ids.within(&wanted)), (wanted.len(), wanted));
            let below = |one: &Value| *one < Value::Int(*value);
            assert_eq!(
                values.range(values.between(below, |_| true)),
                rows(model, |one| one >= *value)
            );
            assert_eq!(values.that(below), rows(model, |one| one < *value));
        }
        assert!(values.with(&Value::Int(-1)).is_none());
    }

    fn of_a_row(many: bool) -> BoxedStrategy<BTreeSet<i64>> {
        if many {
            prop::collection::btree_set(0_i64..300, 0..4).boxed()
        } else {
            prop::collection::btree_set(0_i64..300, 0..2).boxed()
        }
    }

    fn histories() -> impl Strategy<Value = (Model, Vec<Model>)> {
        any::<bool>().prop_flat_map(|many| {
            (
                prop::collection::btree_map(0_u32..3_000, of_a_row(many), 0..200),
                prop::collection::vec(
                    prop::collection::btree_map(0_u32..300, of_a_row(many), 0..20),
                    0..5,
                ),
            )
        })
    }

    proptest! {
        #[test]
        fn values_are_those_of_a_naive_map((first, steps) in histories()) {
            let mut model = first;
            model.retain(|_, values| !values.is_empty());
            let mut values = load(&model);
            checked(&mut values, &model);
            for step in steps {
                for (id, now) in step {
                    let list: Vec<Value> = now.iter().copied().map(Value::Int).collect();
                    values.set(id, &list);
                    if now.is_empty() {
                        model.remove(&id);
                    } else {
                        model.insert(id, now);
                    }
                }
                checked(&mut values, &model);
            }
        }
    }
}
