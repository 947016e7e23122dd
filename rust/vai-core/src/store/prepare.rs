//! From an object of the feed to a row ready to insert: hashed, and mostly compressed, on the thread
//! that read the bytes, so that the writer's thread only writes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::body::Body;
use crate::codec::Encoder;
use crate::error::Result;
use crate::feed::Item;
use crate::feed::json::Cursor;
use crate::field::{FieldSet, Values};
use crate::object::{Owner, Scan, Wanted};
use crate::redact::Redaction;
use crate::value::Value;

/// What is looked up by: rows of `term`, `ord` and `owner`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Derived {
    pub(crate) labels: Vec<(String, String)>,
    /// (position in the set of fields, value)
    pub(crate) fields: Vec<(u16, Value)>,
    /// (position in the set of fields, values that do not parse as its type)
    pub(crate) invalid: Vec<(u16, u32)>,
    pub(crate) owners: Vec<(String, String, String, bool)>,
}

/// One object as the writer takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Prepared {
    pub(crate) key: String,
    pub(crate) uid: String,
    pub(crate) rv: String,
    pub(crate) created_s: Option<i64>,
    pub(crate) derived: Derived,
    pub(crate) derived_hash: i64,
    /// Of the fields that `derived` was taken by.
    pub(crate) edition: i64,
    pub(crate) cells: Option<Vec<u8>>,
    /// Staged in a column of its own.
    #[serde(skip)]
    pub(crate) body: Body,
}

impl Prepared {
    /// About what it takes in memory: the texts that it is looked up by outweigh its body.
    pub(crate) fn memory_bytes(&self) -> usize {
        /// A `String` with its allocation, beyond its text.
        const TEXT: usize = 40;
        let Derived { labels, fields, owners, .. } = &self.derived;
        let labels_bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        let fields_bytes: usize =
            fields.iter().map(|(_, value)| size_of::<Value>() + value.heap_bytes()).sum();
        let texts = 2 * labels.len() + 4 * owners.len();
        let cells = self.cells.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + self.body.len() + cells + labels_bytes + fields_bytes + texts * TEXT
    }
}

impl Derived {
    pub(crate) fn of(labels: Vec<(String, String)>, values: Values, owners: Vec<Owner>) -> Self {
        let owners = owners.into_iter().map(|o| (o.uid, o.kind, o.name, o.controller)).collect();
        let Values { fields, invalid } = values;
        Self { labels, fields, invalid, owners }
    }

    /// Labels, fields and owners of a stored body; `None` where it is not JSON.
    pub(super) fn of_body(json: &[u8], set: &FieldSet) -> Option<(Self, Scan)> {
        let mut scan = Scan::default();
        let wanted = Wanted { fields: set, redact: Redaction::None };
        scan.object(&mut Cursor::new(json), wanted).ok()?;
        let labels = std::mem::take(&mut scan.labels);
        let values = std::mem::take(&mut scan.values);
        let owners = std::mem::take(&mut scan.owners);
        Some((Self::of(labels, values, owners), scan))
    }

    /// What of it is of some fields alone.
    pub(super) fn retain_fields(&mut self, keep: impl Fn(u16) -> bool) {
        self.fields.retain(|(index, _)| keep(*index));
        self.invalid.retain(|(index, _)| keep(*index));
    }

    /// 64 bits that change when any of it does: collisions would leave an old label in place, so
    /// it is cut from a cryptographic hash.
    pub(super) fn hash(&self) -> i64 {
        // Hashed at once, not in 60 small parts.
        let mut all = Vec::with_capacity(1024);
        let mut part = |text: &[u8]| {
            all.extend_from_slice(&(text.len() as u64).to_le_bytes());
            all.extend_from_slice(text);
        };
        for (key, value) in &self.labels {
            part(key.as_bytes());
            part(value.as_bytes());
        }
        part(b"");
        for (index, value) in &self.fields {
            part(&index.to_le_bytes());
            match value {
                Value::Text(text) => part(text.as_bytes()),
                Value::Decimal(number) => part(number.as_bytes()),
                Value::Int(number) | Value::Time(number) | Value::Duration(number) => {
                    part(&number.to_le_bytes());
                }
                Value::Bool(truth) => part(&[u8::from(*truth)]),
                Value::Ip(ip) => part(ip.to_string().as_bytes()),
            }
        }
        part(b"");
        for (index, found) in &self.invalid {
            part(&index.to_le_bytes());
            part(&found.to_le_bytes());
        }
        part(b"");
        for (uid, kind, name, controller) in &self.owners {
            for text in [uid, kind, name] {
                part(text.as_bytes());
            }
            part(&[u8::from(*controller)]);
        }
        let mut short = [0; 8];
        short.copy_from_slice(&Sha256::digest(&all)[..8]);
        i64::from_le_bytes(short)
    }
}

/// Without an encoder the body is left as it is.
pub(crate) fn prepare(item: Item, edition: i64, encoder: Option<&mut Encoder>) -> Result<Prepared> {
    let key = item.key();
    let derived = Derived::of(
        item.labels,
        Values { fields: item.fields, invalid: item.invalid },
        item.owners,
    );
    let body = match encoder {
        Some(encoder) => Body::Frame(encoder.encode(&item.body)?),
        None => Body::Json(item.body),
    };
    Ok(Prepared {
        key,
        uid: item.uid,
        rv: item.resource_version,
        created_s: item.created.and_then(|text| seconds(&text)),
        derived_hash: derived.hash(),
        derived,
        edition,
        cells: item.cells,
        body,
    })
}

fn seconds(timestamp: &str) -> Option<i64> {
    timestamp.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}
