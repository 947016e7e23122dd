//! How a query was answered, for a person and for machines.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::plan::Part;

/// Collects the steps as they are done.
#[derive(Debug, Default)]
pub(super) struct Explain {
    steps: Vec<Json>,
    advice: Vec<String>,
}

impl Explain {
    pub(super) fn note(&mut self, what: &str, rows: usize, since: Option<Instant>) {
        let micros = since.map(micros);
        self.steps.push(json!({"step": what, "rows": rows, "us": micros}));
    }

    /// Bodies had to be read, because a path is not indexed.
    pub(super) fn scanned(&mut self, part: &Part, bodies: usize, since: Instant) {
        self.note("bodies scanned for what is not indexed", bodies, Some(since));
        for path in &part.unindexed {
            let name = part.info.name();
            let advice = format!("cache.index({name:?}, {path:?}, type=...) would index {path}");
            if !self.advice.contains(&advice) {
                self.advice.push(advice);
            }
        }
    }

    pub(super) fn tell(&self, parts: &[Part], total: usize) -> Json {
        let resources: Vec<Json> = parts
            .iter()
            .map(|part| {
                let scopes: Vec<String> =
                    part.sources.iter().map(|source| source.scope.describe()).collect();
                let indexes: Vec<String> =
                    part.needs.iter().map(std::string::ToString::to_string).collect();
                json!({
                    "resource": part.info.name(),
                    "scopes": scopes,
                    "condition": part.expr.to_string(),
                    "indexes": indexes,
                    "not_indexed": part.unindexed,
                })
            })
            .collect();
        json!({
            "resources": resources, "steps": self.steps, "total": total, "advice": self.advice,
        })
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
