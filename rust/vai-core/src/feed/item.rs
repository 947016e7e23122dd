//! From a scan to an [`Item`].

use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::json::{Cursor, Read};
use super::{FeedOptions, Item};
use crate::field::FieldSet;
use crate::object::{Scan, Wanted, spanned};
use crate::path::Path;
use crate::redact::{self, Redaction, partial_object_metadata};

/// Something that cannot be used, at a position of the bytes at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) problem: String,
}

/// What of a feed's options the building of items needs.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    fields: Arc<FieldSet>,
    redact: Redaction,
    expected: String,
    drop: Arc<[Path]>,
    polled: bool,
    /// `"kind":…,` and `"apiVersion":…,`
    kind: Vec<u8>,
    api_version: Vec<u8>,
}

/// The parts of a Table's row besides its object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) cells: Option<Range<usize>>,
    pub(crate) has_object: bool,
}

impl Builder {
    pub(crate) fn new(options: &FeedOptions) -> Self {
        let member = |name: &str, value: &str| {
            format!("\"{name}\":{},", serde_json::Value::from(value)).into_bytes()
        };
        Self {
            fields: Arc::clone(&options.fields),
            redact: options.redact,
            expected: options.kind.clone(),
            drop: Arc::clone(&options.drop),
            polled: options.polled,
            kind: member("kind", &options.kind),
            api_version: member("apiVersion", &options.api_version),
        }
    }

    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted { fields: &self.fields, redact: self.redact }
    }

    /// Whether values may appear in messages.
    pub(crate) fn may_quote(&self) -> bool {
        self.redact == Redaction::None
    }

    /// Reads a row `{"cells": […], "object": {…}}` of a Table.
    pub(crate) fn row(&self, cursor: &mut Cursor<'_>, scan: &mut Scan) -> Read<Row> {
        let mut row = Row::default();
        cursor.object(|cursor, key| {
            if key.is(b"object") {
                // includeObject=None leaves it out or null.
                row.has_object = cursor.peek()? != b'n';
                scan.object(cursor, self.wanted())
            } else if key.is(b"cells") {
                row.cells = Some(spanned(cursor)?);
                Ok(())
            } else {
                cursor.value().map(drop)
            }
        })?;
        Ok(row)
    }

    /// Makes the item of an object in `bytes`, which are valid JSON and UTF-8.
    pub(crate) fn item(
        &self,
        bytes: &[u8],
        mut scan: Scan,
        cells: Option<Range<usize>>,
    ) -> Result<Item, Fault> {
        let at = scan.span.start;
        let key = scan.key();
        let fault = |problem: String| Fault {
            at,
            problem: match &key {
                Some(key) => format!("{problem} (object {key})"),
                None => problem,
            },
        };
        if let Some(problem) = scan.problem.take() {
            return Err(fault(problem));
        }
        if let Some(kind) = scan.kind.as_deref().filter(|kind| !self.is_expected(kind)) {
            // No value: it is cut to the length that a kind has at most (a DNS label).
            let problem = format!("the object is a {kind:.63}, expected a {}", self.expected);
            return Err(fault(problem));
        }
        let lacks = |what: &str| fault(format!("the object has no {what}"));
        let mut body = self.body(&bytes[scan.span.clone()], &scan);
        if let Some(shorter) = redact::without(&body, &self.drop) {
            body = shorter;
            // An index must say of an object what its body says.
            let partial = scan.is_partial();
            scan.values =
                self.fields.read(&body, partial).map_err(|error| fault(error.to_string()))?;
        }
        if self.polled {
            let key = key.as_deref().unwrap_or_default();
            scan.uid.get_or_insert_with(|| format!("polled:{key}"));
            scan.resource_version.get_or_insert_with(|| content_version(&body));
        }
        Ok(Item {
            namespace: scan.namespace,
            name: scan.name.ok_or_else(|| lacks("metadata.name"))?,
            uid: scan.uid.ok_or_else(|| lacks("metadata.uid"))?,
            resource_version: scan
                .resource_version
                .ok_or_else(|| lacks("metadata.resourceVersion"))?,
            created: scan.created,
            labels: scan.labels,
            owners: scan.owners,
            fields: scan.values.fields,
            invalid: scan.values.invalid,
            body,
            cells: cells.map(|cells| bytes[cells].to_vec()),
        })
    }

    /// Whether an object may say that it is of this kind. (Most items of a list say nothing.)
    /// Of what is redacted nothing but its metadata counts, and nothing else may be told of it.
    fn is_expected(&self, kind: &str) -> bool {
        self.redact == Redaction::Metadata
            || kind == self.expected
            || kind == "PartialObjectMetadata"
            || self.expected.is_empty()
    }

    /// The object's bytes as they are kept.
    fn body(&self, object: &[u8], scan: &Scan) -> Vec<u8> {
        if self.redact == Redaction::Metadata {
            return partial_object_metadata(object, scan.span.start, &scan.metadata);
        }
        let mut body = Vec::with_capacity(object.len() + self.kind.len() + self.api_version.len());
        body.push(b'{');
        if scan.kind.is_none() {
            body.extend_from_slice(&self.kind);
        }
        if scan.api_version.is_none() {
            body.extend_from_slice(&self.api_version);
        }
        body.extend_from_slice(&object[1..]);
        body
    }
}

/// A resourceVersion for an object that has none: other bytes are another version.
fn content_version(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    format!("sha256:{:016x}", u64::from_be_bytes(first))
}

/// Whether the bytes are UTF-8, which JSON is by definition (RFC 8259, 8.1).
pub(crate) fn check_utf8(bytes: &[u8]) -> Result<(), Fault> {
    std::str::from_utf8(bytes)
        .map(drop)
        .map_err(|error| Fault { at: error.valid_up_to(), problem: "not UTF-8".to_owned() })
}
