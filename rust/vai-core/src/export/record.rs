//! The columns of one object.

use super::fields::Layout;
use crate::error::{Error, Result};
use crate::feed::json::Cursor;
use crate::field::FieldSet;
use crate::object::{Scan, Wanted};
use crate::redact::Redaction;
use crate::store::Resource;

/// What every table has, in this order; the fields and the body follow.
pub(super) const COMMON: [&str; 6] =
    ["namespace", "name", "uid", "resource_version", "created", "labels"];

/// One object as a row of a table.
pub(super) struct Record {
    /// As [`COMMON`]; the labels are a JSON object.
    pub(super) common: [Option<String>; 6],
    /// As the layout's columns.
    pub(super) fields: Vec<serde_json::Value>,
}

impl Record {
    pub(super) fn of(info: &Resource, layout: &Layout, body: &[u8]) -> Result<Self> {
        let none = FieldSet::default();
        let mut scan = Scan::default();
        let wanted = Wanted { fields: &none, redact: Redaction::None };
        scan.object(&mut Cursor::new(body), wanted).map_err(|_| {
            Error::Corrupt(format!(
                "a stored body of {} is no JSON; restore a backup, or remove the file and sync again",
                info.name()
            ))
        })?;
        let labels: serde_json::Map<String, serde_json::Value> =
            scan.labels.into_iter().map(|(key, value)| (key, value.into())).collect();
        let labels = serde_json::Value::Object(labels).to_string();
        let common = [
            scan.namespace,
            scan.name,
            scan.uid,
            scan.resource_version,
            scan.created,
            Some(labels),
        ];
        Ok(Self { common, fields: layout.values(body)? })
    }
}
