//! Fields as columns: their names, their types, and the values of one object.

use serde::Serialize;
use serde_json::Value as Json;

use super::record::COMMON;
use crate::error::Result;
use crate::field::{FieldDef, FieldSet};
use crate::value::{Type, Value};

/// What every table already has in columns of its own.
const ALREADY: [&str; 1] = ["metadata.creationTimestamp"];

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Texts and addresses.
    Text,
    /// Integers.
    Int,
    /// Numbers, quantities in their base unit, durations in seconds.
    Real,
    /// Truths.
    Bool,
    /// RFC 3339 times.
    Time,
}

/// One field as a column.
#[derive(Clone, Debug, Serialize)]
pub struct FieldColumn {
    /// `node`, `requests_memory`
    pub name: String,
    /// The field in queries: `spec.nodeName`.
    pub field: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub ty: ColumnType,
    /// Whether it holds a list.
    pub many: bool,
}

/// The fields of one resource.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) columns: Vec<FieldColumn>,
    set: FieldSet,
    /// The column of each field of the set.
    places: Vec<Option<usize>>,
}

impl Layout {
    pub(super) fn new(defs: impl IntoIterator<Item = FieldDef>) -> Self {
        let set = FieldSet::new(defs);
        let mut layout = Self { columns: Vec::new(), places: Vec::new(), set };
        for def in layout.set.defs() {
            // A field without a path never has a value.
            if ALREADY.contains(&def.name.as_str()) || def.paths.is_empty() {
                layout.places.push(None);
                continue;
            }
            layout.places.push(Some(layout.columns.len()));
            let taken = |name: &str| {
                name == "body"
                    || COMMON.contains(&name)
                    || layout.columns.iter().any(|column| column.name == name)
            };
            let mut name = column_name(def);
            if taken(&name) {
                name = snake(&def.name);
            }
            while taken(&name) {
                name.push('_');
            }
            layout.columns.push(FieldColumn {
                name,
                field: def.name.clone(),
                ty: column_type(def.ty),
                many: def.many,
            });
        }
        layout
    }

    /// The value of each column; `null` without one, an array where there may be several.
    pub(super) fn values(&self, body: &[u8]) -> Result<Vec<Json>> {
        let mut row = vec![Json::Null; self.columns.len()];
        for (field, value) in self.set.extract(body)?.fields {
            let Some(Some(place)) = self.places.get(usize::from(field)) else { continue };
            let value = json(&value);
            if !self.columns[*place].many {
                row[*place] = value;
            } else if let Json::Array(values) = &mut row[*place] {
                values.push(value);
            } else {
                row[*place] = Json::Array(vec![value]);
            }
        }
        Ok(row)
    }
}

fn column_type(ty: Type) -> ColumnType {
    match ty {
        Type::Text | Type::Ip => ColumnType::Text,
        Type::Int => ColumnType::Int,
        Type::Number | Type::Quantity | Type::Duration => ColumnType::Real,
        Type::Time => ColumnType::Time,
        Type::Bool => ColumnType::Bool,
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Int(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
        // As near as a column can hold it; exact in the body. What no double holds is null.
        Value::Decimal(number) => number.to_string().parse::<f64>().map_or(Json::Null, Json::from),
        #[expect(clippy::cast_precision_loss, reason = "seconds as a double")]
        Value::Duration(nanos) => (*nanos as f64 / 1e9).into(),
        Value::Text(_) | Value::Time(_) | Value::Ip(_) => value.to_string().into(),
    }
}

/// The short name of a field where it has one: `node` of `spec.nodeName`.
fn column_name(def: &FieldDef) -> String {
    let short = def.aliases.iter().find(|alias| !alias.contains('.') && !alias.starts_with('_'));
    snake(short.unwrap_or(&def.name))
}

/// `requests.memory` → `requests_memory`, `nodeName` → `node_name`, `podIP` → `pod_ip`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push('_');
        }
        if letter.is_alphanumeric() {
            out.extend(letter.to_lowercase());
        } else if !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
        before = letter;
    }
    out.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::catalogue;

    #[test]
    fn names_are_snakes() {
        for (name, snake) in [
            ("status.phase", "status_phase"),
            ("nodeName", "node_name"),
            ("podIP", "pod_ip"),
            ("spec.containers[*].image", "spec_containers_image"),
            ("status.conditions[type=Ready].status", "status_conditions_type_ready_status"),
            ("a-b", "a_b"),
        ] {
            assert_eq!(super::snake(name), snake);
        }
    }

    #[test]
    fn a_pods_columns_are_readable_and_each_once() {
        let layout = Layout::new(catalogue::fields("", "Pod"));
        let names: Vec<&str> = layout.columns.iter().map(|column| column.name.as_str()).collect();
        for wanted in ["node", "phase", "restarts", "requests_memory", "images", "owner_kind"] {
            assert!(names.contains(&wanted), "{wanted}: {names:?}");
        }
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        assert!(names.iter().all(|name| !COMMON.contains(name) && *name != "body"));
    }

    #[test]
    fn values_have_the_types_of_columns() {
        let layout = Layout::new(catalogue::fields("", "Pod"));
        let body = br#"{"metadata":{"name":"a"},"spec":{"nodeName":"n","containers":[
            {"image":"i","resources":{"requests":{"memory":"1Ki","cpu":"500m"}}},{"image":"j"}]},
            "status":{"containerStatuses":[{"restartCount":2},{"restartCount":3}]}}"#;
        let row = layout.values(body).unwrap();
        let of = |field: &str| {
            let at = layout.columns.iter().position(|column| column.field == field).unwrap();
            row[at].clone()
        };
        assert_eq!(of("spec.nodeName"), "n");
        assert_eq!(of("restarts"), 5);
        assert_eq!(of("requests.memory"), 1024.0);
        assert_eq!(of("requests.cpu"), 0.5);
        assert_eq!(of("spec.containers[*].image"), serde_json::json!(["i", "j"]));
        assert_eq!(of("status.phase"), Json::Null);
    }
}
