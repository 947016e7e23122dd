//! How a query was answered, for a person and for machines.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::plan::Part;
use crate::expr::Field;
use crate::value::Value;

/// A path or field that only bodies tell.
pub(super) struct Unindexed {
    /// As it can be asked for.
    pub(super) name: String,
    /// Its path, and its type as a call has it.
    path: Option<(String, String)>,
    /// Whether it is a field whose index is not whole yet.
    building: bool,
}

impl Unindexed {
    /// `written`: nobody said its type.
    pub(super) fn of(field: &Field, written: bool) -> Self {
        let path = match field {
            Field::Path { path, .. } if written => Some((path.to_string(), "...".to_owned())),
            Field::Path { path, ty } => Some((path.to_string(), format!("{:?}", ty.name()))),
            _ => None,
        };
        let building = matches!(field, Field::Indexed { .. });
        Self { name: field.to_string(), path, building }
    }

    fn advice(&self, resource: &str) -> Option<String> {
        let name = &self.name;
        if self.building {
            return Some(format!(
                "the index of {name} of {resource} is being built; `vai status` shows how far it is"
            ));
        }
        let (path, ty) = self.path.as_ref()?;
        Some(format!("cache.index({resource:?}, {path:?}, type={ty}) would index {path}"))
    }
}

/// A value in a message.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let end = text.floor_char_boundary(SHOWN_BYTES);
    if end < text.len() { format!("{}…", &text[..end]) } else { text }
}

/// Values in messages end here.
const SHOWN_BYTES: usize = 60;

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
        let name = part.info.name();
        for advice in part.unindexed.iter().filter_map(|one| one.advice(&name)) {
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
                let unindexed: Vec<&str> =
                    part.unindexed.iter().map(|one| one.name.as_str()).collect();
                json!({
                    "resource": part.info.name(),
                    "scopes": scopes,
                    "condition": part.expr.to_string(),
                    "indexes": indexes,
                    "not_indexed": unindexed,
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
