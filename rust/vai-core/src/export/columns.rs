//! Rows turned into columns, as JSON: what column-oriented formats are made of.

use serde_json::{Map, Value};

use super::fields::Layout;
use super::record::{COMMON, Record};
use crate::error::{Error, Result};
use crate::store::Resource;

/// The rows of the piece that is being made.
#[derive(Default)]
pub(super) struct Columns {
    common: [Vec<Value>; COMMON.len()],
    fields: Vec<Vec<Value>>,
    bodies: Vec<Value>,
}

impl Columns {
    pub(super) fn add(&mut self, info: &Resource, layout: &Layout, body: Vec<u8>) -> Result<()> {
        let record = Record::of(info, layout, &body)?;
        for (column, value) in self.common.iter_mut().zip(record.common) {
            column.push(value.map_or(Value::Null, Value::from));
        }
        self.fields.resize_with(layout.columns.len(), Vec::new);
        for (column, value) in self.fields.iter_mut().zip(record.fields) {
            column.push(value);
        }
        let body = String::from_utf8(body).map_err(|_| {
            Error::Corrupt(format!("a stored body of {} is not UTF-8", info.name()))
        })?;
        self.bodies.push(Value::from(body));
        Ok(())
    }

    /// `{"namespace": [...], …, "phase": [...], …, "body": [...]}` of what was added since the last time.
    pub(super) fn take(&mut self, layout: &Layout) -> Result<Vec<u8>> {
        let mut all = Map::new();
        for (name, column) in COMMON.iter().zip(&mut self.common) {
            all.insert((*name).to_owned(), std::mem::take(column).into());
        }
        for (column, values) in layout.columns.iter().zip(std::mem::take(&mut self.fields)) {
            all.insert(column.name.clone(), values.into());
        }
        all.insert("body".to_owned(), std::mem::take(&mut self.bodies).into());
        serde_json::to_vec(&Value::Object(all)).map_err(Error::internal)
    }
}
