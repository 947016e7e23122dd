//! Steve's summary: how many of all that matches have each value of a field, also per namespace.
//!
//! Its form is that of rancher/apiserver's `types.APISummary`. Steve counts the page that is asked
//! for; here all that matches is counted, whatever the page.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use super::facets::Counted;
use crate::error::Result;
use crate::value::Value;

#[derive(Default)]
struct Count<'v> {
    total: u64,
    namespaces: HashMap<&'v Value, u64>,
}

impl Count<'_> {
    fn add(&mut self, more: Self) {
        self.total += more.total;
        for (namespace, count) in more.namespaces {
            *self.namespaces.entry(namespace).or_default() += count;
        }
    }
}

/// `[{"property": …, "counts": {value: {"total": …, "namespace": {…}}}}]`, by property.
pub(super) fn summary(parts: &[Counted<'_>]) -> Result<Json> {
    let Some(first) = parts.first() else { return Ok(Json::Array(Vec::new())) };
    let mut properties = Vec::new();
    for (at, counter) in first.counters().summary.iter().enumerate() {
        let mut counts: HashMap<&Value, Count<'_>> = HashMap::new();
        for part in parts {
            count(part, at, &mut counts)?;
        }
        let per_namespace = first.counters().namespace.is_some();
        // 8080 and "8080" are two values and one text.
        let mut texts: HashMap<String, Count<'_>> = HashMap::new();
        for (value, count) in counts {
            texts.entry(text(&value.to_json(counter.kind))).or_default().add(count);
        }
        let told: Map<String, Json> =
            texts.into_iter().map(|(text, count)| (text, told(&count, per_namespace))).collect();
        properties.push((
            counter.asked.to_lowercase(),
            json!({
                "property": counter.asked,
                "counts": told,
            }),
        ));
    }
    properties.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(properties.into_iter().map(|(_, property)| property).collect())
}

fn count<'v>(
    part: &Counted<'v>,
    at: usize,
    counts: &mut HashMap<&'v Value, Count<'v>>,
) -> Result<()> {
    let counters = part.counters();
    let Some(counter) = counters.summary.get(at) else { return Ok(()) };
    let values = part.values(counter)?;
    let namespaces = counters.namespace.as_ref().map(|counter| part.values(counter)).transpose()?;
    let mut add = |value: &'v Value, namespace: Option<&'v Value>| {
        // An empty text is how Steve keeps what is missing.
        if !matches!(value, Value::Text(text) if text.is_empty()) {
            let count = counts.entry(value).or_default();
            count.total += 1;
            if let Some(namespace) = namespace {
                *count.namespaces.entry(namespace).or_default() += 1;
            }
        }
    };
    for id in part.rows {
        let namespace = namespaces.and_then(|namespaces| namespaces.of(id).next());
        values.of(id).for_each(|value| add(value, namespace));
    }
    for row in part.past {
        let namespace = counters.namespace.as_ref().and_then(|counter| row.of(counter).first());
        row.of(counter).iter().for_each(|value| add(value, namespace));
    }
    Ok(())
}

fn told(count: &Count<'_>, per_namespace: bool) -> Json {
    if !per_namespace {
        return json!({"total": count.total});
    }
    let each = count.namespaces.iter();
    let each: Map<String, Json> =
        each.map(|(name, count)| (name.to_string(), (*count).into())).collect();
    json!({"total": count.total, "namespace": each})
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
