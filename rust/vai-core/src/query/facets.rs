//! Counting: facets, distinct values and groups over all that matches.

use std::collections::{BTreeMap, HashMap};

use roaring::RoaringBitmap;
use serde_json::{Map, Value as Json, json};

use super::columns::Columns;
use super::plan::Counters;
use super::request::{Distinct, Group};
use super::scan::PastRow;
use crate::error::{Error, Result};
use crate::postings::Values;
use crate::value::{Sum, Type, Value, Whole};

/// Values of a facet, and distinct values, where no number was given.
const DEFAULT_VALUES: usize = 100;
/// Up to so many values it is quicker to intersect each one's rows than to look at every row.
const FEW_VALUES: usize = 256;
/// More groups than that are no summary.
const MAX_GROUPS: usize = 100_000;

/// What is counted: rows as they are now, and rows as they were.
pub(super) struct Counted<'a> {
    pub(super) columns: &'a Columns<'a>,
    pub(super) rows: &'a RoaringBitmap,
    pub(super) past: &'a [PastRow],
}

/// A field to count by.
pub(super) struct Counter {
    pub(super) asked: String,
    pub(super) column: usize,
    pub(super) kind: Type,
}

impl<'a> Counted<'a> {
    pub(super) fn counters(&self) -> &'a Counters {
        &self.columns.part.counters
    }

    /// What is counted by is always a column of values.
    pub(super) fn values(&self, counter: &Counter) -> Result<&'a Values> {
        let values = self.columns.values(counter.column);
        values.ok_or_else(|| Error::Internal(format!("{} was not loaded", counter.asked)))
    }
}

impl PastRow {
    pub(super) fn of(&self, counter: &Counter) -> &[Value] {
        self.columns.get(counter.column).map_or(&[], Vec::as_slice)
    }
}

/// Which of the counters of each resource is meant.
pub(super) type Which<'w> = &'w dyn Fn(&Counters) -> Option<&Counter>;

fn counts(parts: &[Counted<'_>], which: Which<'_>) -> Result<(HashMap<Value, u64>, u64)> {
    let mut counts: HashMap<Value, u64> = HashMap::new();
    let mut missing = 0;
    for part in parts {
        let Some(counter) = which(part.counters()) else { continue };
        let values = part.values(counter)?;
        if values.sorted().len() <= FEW_VALUES {
            for term in values.sorted() {
                let count = values.ids(*term).count_in(part.rows);
                if count > 0 {
                    *counts.entry(values.value(*term).clone()).or_default() += count;
                }
            }
        } else {
            for (term, count) in per_term(values, part.rows) {
                *counts.entry(values.value(term).clone()).or_default() += count;
            }
        }
        missing += (part.rows - values.present()).len();
        for row in part.past {
            let found = row.of(counter);
            missing += u64::from(found.is_empty());
            for value in found {
                *counts.entry(value.clone()).or_default() += 1;
            }
        }
    }
    Ok((counts, missing))
}

fn per_term(values: &Values, rows: &RoaringBitmap) -> impl Iterator<Item = (u32, u64)> {
    let mut counts = vec![0_u64; values.term_count()];
    for id in rows {
        for term in values.terms_of(id) {
            counts[term as usize] += 1;
        }
    }
    (0..).zip(counts).filter(|(_, count)| *count > 0)
}

/// The values of a field with their counts, most frequent first.
pub(super) fn facet(
    parts: &[Counted<'_>],
    which: Which<'_>,
    kind: Type,
    limit: usize,
) -> Result<Json> {
    let limit = if limit == 0 { DEFAULT_VALUES } else { limit };
    let (counts, missing) = counts(parts, which)?;
    let distinct = counts.len();
    let mut values: Vec<(Value, u64)> = counts.into_iter().collect();
    values.sort_unstable_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
    values.truncate(limit);
    let values: Vec<Json> = values
        .iter()
        .map(|(value, count)| json!({"value": value.to_json(kind), "count": count}))
        .collect();
    Ok(json!({"values": values, "distinct": distinct, "missing": missing}))
}

/// The values of a field in their order, that begin with a prefix.
pub(super) fn distinct(parts: &[Counted<'_>], kind: Type, asked: &Distinct) -> Result<Json> {
    let limit = if asked.limit == 0 { DEFAULT_VALUES } else { asked.limit };
    let (counts, _) = counts(parts, &|counters| counters.distinct.as_ref())?;
    let mut values: Vec<(Value, u64)> = counts
        .into_iter()
        .filter(|(value, _)| asked.prefix.is_empty() || begins(value, kind, &asked.prefix))
        .collect();
    values.sort_unstable();
    let more = values.len() > limit;
    values.truncate(limit);
    let values: Vec<Json> = values
        .iter()
        .map(|(value, count)| json!({"value": value.to_json(kind), "count": count}))
        .collect();
    Ok(json!({"values": values, "more": more}))
}

fn begins(value: &Value, kind: Type, prefix: &str) -> bool {
    match value {
        Value::Text(text) => text.starts_with(prefix),
        other => match other.to_json(kind) {
            Json::String(text) => text.starts_with(prefix),
            other => other.to_string().starts_with(prefix),
        },
    }
}

/// The fields of a grouping, in the order in which they were asked for.
pub(super) struct Grouping<'a> {
    pub(super) asked: &'a Group,
    pub(super) by: &'a [Counter],
    pub(super) sum: &'a [Counter],
    pub(super) min: &'a [Counter],
    pub(super) max: &'a [Counter],
}

/// What is known of one group.
#[derive(Clone, Default)]
struct Summary {
    count: u64,
    /// `None` where nothing was added up: that is not zero.
    sums: Vec<Option<Sum>>,
    mins: Vec<Option<Value>>,
    maxs: Vec<Option<Value>>,
}

type Key = Vec<Option<Value>>;

/// Counts, sums and bounds per combination of values; of a field with several values the first
/// counts.
pub(super) fn groups(parts: &[Counted<'_>], grouping: &Grouping<'_>) -> Result<Json> {
    let mut found: BTreeMap<Key, Summary> = BTreeMap::new();
    for part in parts {
        let own = part.counters().grouping(grouping.asked);
        let columns = |counters: &[Counter]| -> Result<Vec<&Values>> {
            counters.iter().map(|counter| part.values(counter)).collect()
        };
        let (by, sum) = (columns(own.by)?, columns(own.sum)?);
        let (min, max) = (columns(own.min)?, columns(own.max)?);
        for id in part.rows {
            let key: Key = by.iter().map(|values| values.of(id).next().cloned()).collect();
            let summary = summary(&mut found, key, grouping)?;
            summary.count += 1;
            for (total, values) in summary.sums.iter_mut().zip(&sum) {
                values.of(id).for_each(|value| add(total, value));
            }
            for (least, values) in summary.mins.iter_mut().zip(&min) {
                bound(least, values.of(id), |new, old| new < old);
            }
            for (most, values) in summary.maxs.iter_mut().zip(&max) {
                bound(most, values.of(id), |new, old| new > old);
            }
        }
        for row in part.past {
            let key: Key = own.by.iter().map(|by| row.of(by).first().cloned()).collect();
            let summary = summary(&mut found, key, grouping)?;
            summary.count += 1;
            for (total, counter) in summary.sums.iter_mut().zip(own.sum) {
                for value in row.of(counter) {
                    add(total, value);
                }
            }
            for (least, counter) in summary.mins.iter_mut().zip(own.min) {
                bound(least, row.of(counter).iter(), |new, old| new < old);
            }
            for (most, counter) in summary.maxs.iter_mut().zip(own.max) {
                bound(most, row.of(counter).iter(), |new, old| new > old);
            }
        }
    }
    Ok(Json::Array(found.iter().map(|(key, summary)| told(key, summary, grouping)).collect()))
}

fn summary<'m>(
    found: &'m mut BTreeMap<Key, Summary>,
    key: Key,
    grouping: &Grouping<'_>,
) -> Result<&'m mut Summary> {
    if found.len() >= MAX_GROUPS && !found.contains_key(&key) {
        return Err(Error::Invalid(format!(
            "more than {MAX_GROUPS} groups by {}; group by fields with fewer values",
            grouping.asked.by.join(", ")
        )));
    }
    Ok(found.entry(key).or_insert_with(|| Summary {
        count: 0,
        sums: vec![None; grouping.sum.len()],
        mins: vec![None; grouping.min.len()],
        maxs: vec![None; grouping.max.len()],
    }))
}

fn bound<'v>(
    held: &mut Option<Value>,
    values: impl Iterator<Item = &'v Value>,
    better: impl Fn(&Value, &Value) -> bool,
) {
    for value in values {
        if held.as_ref().is_none_or(|held| better(value, held)) {
            *held = Some(value.clone());
        }
    }
}

fn add(total: &mut Option<Sum>, value: &Value) {
    // Only fields that hold numbers are added up: see `plan`.
    total.get_or_insert_default().add(value);
}

/// As the values are told: a sum of durations is one, unless it is too long to be one.
fn told_sum(kind: Type, sum: Option<&Sum>) -> Json {
    let Some(total) = sum.and_then(Sum::total) else { return Json::Null };
    match (kind, total.whole()) {
        (Type::Duration, Whole::Exactly(nanos)) => Value::Duration(nanos).to_json(kind),
        _ => Value::Decimal(total).to_json(kind),
    }
}

fn told(key: &[Option<Value>], summary: &Summary, grouping: &Grouping<'_>) -> Json {
    let named = |counters: &[Counter], values: Vec<Json>| -> Json {
        let names = counters.iter().map(|counter| counter.asked.clone());
        Json::Object(names.zip(values).collect::<Map<_, _>>())
    };
    let told = |counters: &[Counter], values: &[Option<Value>]| -> Json {
        let values = counters.iter().zip(values).map(|(counter, value)| {
            value.as_ref().map_or(Json::Null, |value| value.to_json(counter.kind))
        });
        named(counters, values.collect())
    };
    let sums = grouping.sum.iter().zip(&summary.sums);
    let sums = sums.map(|(counter, sum)| told_sum(counter.kind, sum.as_ref()));
    json!({
        "key": told(grouping.by, key),
        "count": summary.count,
        "sum": named(grouping.sum, sums.collect()),
        "min": told(grouping.min, &summary.mins),
        "max": told(grouping.max, &summary.maxs),
    })
}
