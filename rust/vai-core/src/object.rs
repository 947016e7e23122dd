//! The scan of one object: identity, labels, owners and fields in one pass, without a tree of it.

use std::ops::Range;

use crate::extract::{Members, Tests, Visit};
use crate::feed::json::{Cursor, Read, Text};
use crate::field::{FieldSet, Values};
use crate::redact::{MetadataSpan, Redaction, is_copy_of_content};

/// Indexed text is cut here; a longer value is compared again on the body.
/// (Labels end at 63 bytes, names at 253: only free text is ever cut.)
pub const MAX_INDEXED_TEXT_BYTES: usize = 1024;

/// The annotation of the bookmark that ends the initial events of a watch list:
/// `InitialEventsAnnotationKey` in `k8s.io/apimachinery/pkg/apis/meta/v1/types.go`.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `uid` of the owner.
    pub uid: String,
    /// `kind` of the owner.
    pub kind: String,
    /// `name` of the owner.
    pub name: String,
    /// Whether it is the managing controller; at most one entry says so.
    pub controller: bool,
}

/// A string for an index: decoded, lone surrogates replaced, cut at a character's boundary.
pub(crate) fn capped(text: Text<'_>) -> String {
    let mut decoded = text.decode().into_owned();
    if decoded.len() > MAX_INDEXED_TEXT_BYTES {
        decoded.truncate(decoded.floor_char_boundary(MAX_INDEXED_TEXT_BYTES));
    }
    decoded
}

/// What one pass over an object finds. It is filled as the pass goes, so that a scan that fails
/// still knows whose object it was.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) span: Range<usize>,
    pub(crate) kind: Option<String>,
    pub(crate) api_version: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) created: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) owners: Vec<Owner>,
    pub(crate) values: Values,
    pub(crate) initial_events_end: bool,
    /// The `metadata` values (more than one only in an object with duplicate keys).
    pub(crate) metadata: Vec<MetadataSpan>,
    /// `rows` and `columnDefinitions`, which mean something in a Table.
    pub(crate) rows: Option<Range<usize>>,
    pub(crate) columns: Option<Range<usize>>,
    /// The first thing that is valid JSON but cannot be a Kubernetes object.
    pub(crate) problem: Option<String>,
}

/// How to scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'f> {
    pub(crate) fields: &'f FieldSet,
    pub(crate) redact: Redaction,
}

impl Scan {
    /// Scans the value at the cursor, which should be an object.
    pub(crate) fn object(&mut self, cursor: &mut Cursor<'_>, wanted: Wanted<'_>) -> Read<()> {
        *self = Self::default();
        let first = cursor.peek()?;
        let start = cursor.pos;
        if first != b'{' {
            self.complain("the object is not a JSON object");
            self.span = start..start + cursor.value()?.len();
            return Ok(());
        }
        let mut visit = Visit::with_capacity(wanted.fields.len());
        let mut members = visit.members(wanted.fields.paths().root());
        cursor.object(|cursor, key| {
            let node = members.next(&mut visit, key);
            if key.is(b"metadata") {
                // What paths lead through is visited on the way.
                let whole = node.filter(|node| !node.has_only_keys());
                let inner = node.filter(|node| node.has_only_keys());
                let before = cursor.pos;
                let fields = inner.map(|node| (visit.members(node), &mut visit));
                self.read_metadata(cursor, wanted.redact, fields)?;
                if let Some(node) = whole {
                    cursor.pos = before;
                    visit.value(cursor, node, Tests::NONE)?;
                }
                return Ok(());
            }
            let before = cursor.pos;
            let taken = self.top_level(cursor, key)?;
            match node {
                Some(node) if wanted.redact == Redaction::None => {
                    cursor.pos = before;
                    visit.value(cursor, node, Tests::NONE)
                }
                _ if taken => Ok(()),
                _ => cursor.value().map(drop),
            }
        })?;
        self.span = start..cursor.pos;
        let partial = wanted.redact == Redaction::Metadata || self.is_partial();
        self.values = wanted.fields.values(&visit.into_found(), partial);
        // The sort is stable: of a duplicate key the last is at the end of its run.
        self.labels.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.labels.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
        Ok(())
    }

    /// Whether the server sent the metadata alone: then missing fields are unknown, not default.
    pub(crate) fn is_partial(&self) -> bool {
        self.kind.as_deref() == Some("PartialObjectMetadata")
    }

    /// Whether the object is a Table of one of the versions the server speaks.
    pub(crate) fn is_table(&self) -> bool {
        self.kind.as_deref() == Some("Table")
            && self
                .api_version
                .as_deref()
                .is_some_and(|version| version.starts_with("meta.k8s.io/"))
    }

    /// `namespace/name` or `name`, as far as known.
    pub(crate) fn key(&self) -> Option<String> {
        let name = self.name.as_deref()?;
        Some(self.namespace.as_deref().map_or_else(|| name.to_owned(), |ns| format!("{ns}/{name}")))
    }

    fn complain(&mut self, problem: impl Into<String>) {
        if self.problem.is_none() {
            self.problem = Some(problem.into());
        }
    }

    /// Reads the values that every object has; `false` for other keys, whose value is not read.
    fn top_level(&mut self, cursor: &mut Cursor<'_>, key: Text<'_>) -> Read<bool> {
        if key.is(b"kind") {
            self.kind = self.text(cursor, "kind")?;
        } else if key.is(b"apiVersion") {
            self.api_version = self.text(cursor, "apiVersion")?;
        } else if key.is(b"rows") {
            self.rows = Some(spanned(cursor)?);
        } else if key.is(b"columnDefinitions") {
            self.columns = Some(spanned(cursor)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads the metadata; `fields`: the paths that lead through it, and what was found.
    fn read_metadata<'b>(
        &mut self,
        cursor: &mut Cursor<'b>,
        redact: Redaction,
        mut fields: Option<(Members<'_>, &mut Visit<'b>)>,
    ) -> Read<()> {
        let first = cursor.peek()?;
        let start = cursor.pos;
        if first != b'{' {
            if first != b'n' {
                self.complain("metadata is not an object");
            }
            return cursor.value().map(drop);
        }
        let mut rewritten = Vec::new();
        cursor.object(|cursor, key| {
            let before = cursor.pos;
            if key.is(b"name") {
                self.name = self.text(cursor, "metadata.name")?;
            } else if key.is(b"namespace") {
                self.namespace = self.text(cursor, "metadata.namespace")?;
            } else if key.is(b"uid") {
                self.uid = self.text(cursor, "metadata.uid")?;
            } else if key.is(b"resourceVersion") {
                self.resource_version = self.text(cursor, "metadata.resourceVersion")?;
            } else if key.is(b"creationTimestamp") {
                self.created = self.text(cursor, "metadata.creationTimestamp")?;
            } else if key.is(b"labels") {
                self.read_labels(cursor)?;
            } else if key.is(b"annotations") {
                self.read_annotations(cursor, redact, &mut rewritten)?;
            } else if key.is(b"ownerReferences") {
                self.read_owners(cursor)?;
            } else if fields.is_none() {
                cursor.value()?;
            }
            if let Some((members, visit)) = &mut fields {
                match members.next(visit, key) {
                    Some(node) => {
                        cursor.pos = before;
                        visit.value(cursor, node, Tests::NONE)?;
                    }
                    None if cursor.pos == before => {
                        cursor.value()?;
                    }
                    None => {}
                }
            }
            Ok(())
        })?;
        if redact == Redaction::Metadata {
            self.metadata.push(MetadataSpan { span: start..cursor.pos, annotations: rewritten });
        }
        Ok(())
    }

    /// Reads a string; null and `""` are no value, as Go's `omitempty` has it.
    fn text(&mut self, cursor: &mut Cursor<'_>, what: &str) -> Read<Option<String>> {
        match cursor.peek()? {
            b'"' => {
                let text = cursor.string()?;
                Ok((!text.raw.is_empty()).then(|| text.decode().into_owned()))
            }
            first => {
                cursor.value()?;
                if first != b'n' {
                    self.complain(format!("{what} is not a string"));
                }
                Ok(None)
            }
        }
    }

    fn read_labels(&mut self, cursor: &mut Cursor<'_>) -> Read<()> {
        self.map(cursor, "metadata.labels", |this, cursor, key| {
            let value = match cursor.peek()? {
                b'"' => capped(cursor.string()?),
                first => {
                    cursor.value()?;
                    if first != b'n' {
                        this.complain("a value in metadata.labels is not a string");
                    }
                    String::new()
                }
            };
            this.labels.push((capped(key), value));
            Ok(())
        })
    }

    fn read_annotations(
        &mut self,
        cursor: &mut Cursor<'_>,
        redact: Redaction,
        rewritten: &mut Vec<(Range<usize>, Vec<Range<usize>>)>,
    ) -> Read<()> {
        cursor.peek()?;
        let start = cursor.pos;
        let mut kept = Vec::new();
        let mut dropped = false;
        self.map(cursor, "metadata.annotations", |this, cursor, key| {
            let value = cursor.value()?;
            if key.is(INITIAL_EVENTS_END.as_bytes()) {
                this.initial_events_end = value == br#""true""#;
            }
            if redact == Redaction::Metadata {
                if is_copy_of_content(&key.decode()) {
                    dropped = true;
                } else {
                    kept.push(key.start - 1..cursor.pos);
                }
            }
            Ok(())
        })?;
        if dropped {
            rewritten.push((start..cursor.pos, kept));
        }
        Ok(())
    }

    fn read_owners(&mut self, cursor: &mut Cursor<'_>) -> Read<()> {
        match cursor.peek()? {
            b'[' => cursor.array(|cursor| {
                let mut owner = Owner::default();
                self.map(cursor, "an entry of metadata.ownerReferences", |this, cursor, key| {
                    if key.is(b"uid") {
                        owner.uid = this.owner_text(cursor)?;
                    } else if key.is(b"kind") {
                        owner.kind = this.owner_text(cursor)?;
                    } else if key.is(b"name") {
                        owner.name = this.owner_text(cursor)?;
                    } else if key.is(b"controller") {
                        owner.controller = cursor.value()? == b"true";
                    } else {
                        cursor.value()?;
                    }
                    Ok(())
                })?;
                self.owners.push(owner);
                Ok(())
            }),
            first => {
                cursor.value()?;
                if first != b'n' {
                    self.complain("metadata.ownerReferences is not an array");
                }
                Ok(())
            }
        }
    }

    fn owner_text(&mut self, cursor: &mut Cursor<'_>) -> Read<String> {
        Ok(self.text(cursor, "a name in metadata.ownerReferences")?.unwrap_or_default())
    }

    /// Reads an object or null; anything else is a complaint.
    fn map(
        &mut self,
        cursor: &mut Cursor<'_>,
        what: &str,
        mut each: impl FnMut(&mut Self, &mut Cursor<'_>, Text<'_>) -> Read<()>,
    ) -> Read<()> {
        match cursor.peek()? {
            b'{' => cursor.object(|cursor, key| each(self, cursor, key)),
            first => {
                cursor.value()?;
                if first != b'n' {
                    self.complain(format!("{what} is not an object"));
                }
                Ok(())
            }
        }
    }
}

/// Skips a value and says where it was.
pub(crate) fn spanned(cursor: &mut Cursor<'_>) -> Read<Range<usize>> {
    let length = cursor.value()?.len();
    Ok(cursor.pos - length..cursor.pos)
}
