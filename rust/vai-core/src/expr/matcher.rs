//! Evaluation on JSON bodies.

use std::cell::OnceCell;

use super::bind::of_keys;
use super::needles::Needles;
use super::{Expr, Field, Op};
use crate::error::{Error, Result};
use crate::extract::{Found, Paths};
use crate::feed::json::Cursor;
use crate::field::{FieldDef, FieldSet};
use crate::path::Path;
use crate::value::{Taken, Type, Value};

/// Reads the values of some fields from bodies, all in one visit.
///
/// Texts are whole here, where an index cuts them.
#[derive(Clone, Debug)]
pub struct Reader {
    slots: Vec<Slot>,
    paths: Paths,
    /// The path of `kind`, where a partial object must be told from a whole one.
    kind: Option<u16>,
}

/// What a body has of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Its values; of a many-valued indexed field each once, ascending.
    pub values: Vec<Value>,
    /// Whether something else is there, where texts are read: an object, a list.
    pub others: bool,
}

#[derive(Clone, Debug)]
struct Slot {
    source: Source,
    /// Its paths begin here.
    start: u16,
    /// And end before this one.
    end: u16,
}

#[derive(Clone, Debug)]
enum Source {
    Name,
    Namespace,
    Label,
    Uid,
    Indexed(Box<FieldSet>),
    Path(Type),
    /// A place of which nobody said what its values are.
    Written,
}

impl Reader {
    /// Prepares to read these fields. The definitions of indexed ones are looked up by name; a name
    /// that they don't have is an error.
    pub fn new<'f>(
        fields: impl IntoIterator<Item = &'f Field>,
        definitions: &FieldSet,
    ) -> Result<Self> {
        let mut paths: Vec<Path> = Vec::new();
        let mut slots = Vec::new();
        let mut has_defaults = false;
        for field in fields {
            let start = paths.len();
            let source = match field {
                Field::Name => Source::Name,
                Field::Namespace => Source::Namespace,
                Field::Uid => {
                    paths.extend(of_keys(&["metadata", "uid"]));
                    Source::Uid
                }
                Field::Label(key) => {
                    paths.extend(of_keys(&["metadata", "labels", key]));
                    Source::Label
                }
                Field::Path { path, ty } => {
                    paths.push(path.clone());
                    Source::Path(*ty)
                }
                Field::Indexed { name, .. } => {
                    let def = definitions.index_of(name).and_then(|index| definitions.def(index));
                    let def = def.ok_or_else(|| Error::internal(format!("no field {name}")))?;
                    has_defaults |= def.default.is_some() || def.reduce.is_some();
                    paths.extend(def.paths.iter().cloned());
                    Source::Indexed(Box::new(FieldSet::new([def.clone()])))
                }
            };
            let position = |length: usize| {
                u16::try_from(length)
                    .map_err(|_| Error::Invalid("more than 65,535 paths in one question".into()))
            };
            slots.push(Slot { source, start: position(start)?, end: position(paths.len())? });
        }
        let kind = if has_defaults { u16::try_from(paths.len()).ok() } else { None };
        if kind.is_some() {
            paths.extend(of_keys(&["kind"]));
        }
        Ok(Self { slots, paths: Paths::new(&paths), kind })
    }

    /// The same, but the values of the path at this position are what JSON has them as: truths,
    /// numbers and texts.
    #[must_use]
    pub fn as_written(mut self, position: usize) -> Self {
        if let Some(slot) = self.slots.get_mut(position) {
            slot.source = Source::Written;
        }
        self
    }

    /// The values in an object, by the order of the fields. The key is `namespace/name`, or the
    /// name of what has no namespace.
    pub fn read(&self, key: &str, body: &[u8]) -> Result<Vec<Held>> {
        let found = self.paths.find(body)?;
        let partial = self.kind.is_some_and(|kind| {
            found.iter().any(|one| one.path == kind && one.raw == br#""PartialObjectMetadata""#)
        });
        Ok(self.slots.iter().map(|slot| slot.held(key, &found, partial)).collect())
    }

    /// The values that the key alone decides; `None` for a field of the body.
    fn of_key(&self, slot: usize, key: &str) -> Option<Held> {
        let slot = self.slots.get(slot)?;
        matches!(slot.source, Source::Name | Source::Namespace).then(|| slot.held(key, &[], false))
    }
}

impl Slot {
    fn held(&self, key: &str, found: &[Found<'_>], partial: bool) -> Held {
        let (namespace, name) = match key.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, key),
        };
        let from = found.partition_point(|one| one.path < self.start);
        let behind = found.partition_point(|one| one.path < self.end);
        let own = &found[from..behind];
        match &self.source {
            Source::Name => Held::of([Value::text(name)]),
            Source::Namespace => Held::of(namespace.map(Value::text)),
            // The empty text is a value of theirs.
            Source::Label => Held::of(own.iter().rev().find_map(|one| string(one.raw))),
            Source::Uid => Held::of(
                own.iter().find_map(|one| string(one.raw)).filter(|uid| *uid != Value::text("")),
            ),
            Source::Path(ty) => path(own, *ty == Type::Text, |raw| take(*ty, raw)),
            Source::Written => path(own, true, |raw| take(written(raw), raw)),
            Source::Indexed(set) => match set.def(0) {
                Some(def) if def.counts_others() => whole_texts(def, own, partial),
                _ => {
                    let shifted =
                        own.iter().map(|one| Found { path: one.path - self.start, ..*one });
                    let values = set.values(&shifted.collect::<Vec<_>>(), partial);
                    Held::of(values.fields.into_iter().map(|(_, value)| value))
                }
            },
        }
    }
}

impl Held {
    fn of(values: impl IntoIterator<Item = Value>) -> Self {
        Self { values: values.into_iter().collect(), others: false }
    }

    /// Whether the values together pass.
    fn passes(&self, op: &Op, all: bool) -> bool {
        if *op == Op::Exists {
            return self.others || !self.values.is_empty();
        }
        if all {
            let exists = !self.others && !self.values.is_empty();
            return exists && self.values.iter().all(|value| op.accepts(value));
        }
        self.values.iter().any(|value| op.accepts(value))
    }
}

/// A string's value, whole.
fn string(raw: &[u8]) -> Option<Value> {
    if raw.first() != Some(&b'"') {
        return None;
    }
    Cursor::new(raw).string().ok().map(|text| Value::text(&text.decode()))
}

/// Text is read whole; everything else as an index reads it.
fn take(ty: Type, raw: &[u8]) -> Taken {
    match Value::take(ty, raw) {
        Taken::Value(Value::Text(_)) if raw.first() == Some(&b'"') => {
            string(raw).map_or(Taken::Invalid, Taken::Value)
        }
        taken => taken,
    }
}

fn path(found: &[Found<'_>], counts_others: bool, take: impl Fn(&[u8]) -> Taken) -> Held {
    let mut held = Held::default();
    for one in found {
        match take(one.raw) {
            Taken::Value(value) => held.values.push(value),
            Taken::Missing => {}
            Taken::Invalid => held.others |= counts_others,
        }
    }
    held
}

/// The type of a JSON scalar, as it is written.
fn written(raw: &[u8]) -> Type {
    match raw.first() {
        Some(b't' | b'f') => Type::Bool,
        Some(b'-' | b'0'..=b'9') => Type::Number,
        _ => Type::Text,
    }
}

/// What [`FieldSet::values`] makes of a text field, but uncut.
fn whole_texts(def: &FieldDef, found: &[Found<'_>], partial: bool) -> Held {
    let mut held = Held::default();
    for one in found {
        match take(def.ty, one.raw) {
            Taken::Value(value) => held.values.push(value),
            Taken::Missing => {}
            Taken::Invalid => held.others = true,
        }
        if !def.many && !held.values.is_empty() {
            break;
        }
    }
    held.values.sort_unstable();
    held.values.dedup();
    if held.values.is_empty() && !partial {
        held.values.extend(def.default.clone());
    }
    held
}

/// An expression ready to be asked of many bodies.
#[derive(Clone, Debug)]
pub struct Matcher {
    reader: Reader,
    root: Step,
    needles: Option<Needles>,
}

/// An expression whose fields are slots of the reader.
#[derive(Clone, Debug)]
enum Step {
    True,
    And(Vec<Step>),
    Or(Vec<Step>),
    Not(Box<Step>),
    Test { slot: usize, op: Op, all: bool },
}

impl Matcher {
    /// Prepares an expression that was bound for objects with these fields.
    pub fn new(expr: &Expr, definitions: &FieldSet) -> Result<Self> {
        let fields = expr.fields();
        Ok(Self {
            reader: Reader::new(fields.iter().copied(), definitions)?,
            root: step(expr, &fields),
            needles: Needles::of(expr, definitions),
        })
    }

    /// Whether it holds for an object. The body is read once, and only if the key does not decide.
    pub fn matches(&self, key: &str, body: &[u8]) -> Result<bool> {
        if self.needles.as_ref().is_some_and(|needles| needles.rule_out(body)) {
            return Ok(false);
        }
        let read = OnceCell::new();
        let object = Object { reader: &self.reader, key, body, read: &read };
        object.holds(&self.root)
    }
}

fn step(expr: &Expr, fields: &[&Field]) -> Step {
    let all = |parts: &[Expr]| parts.iter().map(|part| step(part, fields)).collect();
    match expr {
        Expr::True => Step::True,
        Expr::And(parts) => Step::And(all(parts)),
        Expr::Or(parts) => Step::Or(all(parts)),
        Expr::Not(inner) => Step::Not(Box::new(step(inner, fields))),
        Expr::Test(test) => Step::Test {
            slot: fields.iter().position(|field| **field == test.field).unwrap_or(usize::MAX),
            op: test.op.clone(),
            all: test.all,
        },
    }
}

/// One object while it is asked.
struct Object<'m> {
    reader: &'m Reader,
    key: &'m str,
    body: &'m [u8],
    read: &'m OnceCell<Vec<Held>>,
}

impl Object<'_> {
    fn holds(&self, step: &Step) -> Result<bool> {
        Ok(match step {
            Step::True => true,
            Step::And(parts) => {
                for part in parts {
                    if !self.holds(part)? {
                        return Ok(false);
                    }
                }
                true
            }
            Step::Or(parts) => {
                for part in parts {
                    if self.holds(part)? {
                        return Ok(true);
                    }
                }
                false
            }
            Step::Not(inner) => !self.holds(inner)?,
            Step::Test { slot, op, all } => match self.reader.of_key(*slot, self.key) {
                Some(held) => held.passes(op, *all),
                None => self.held(*slot)?.passes(op, *all),
            },
        })
    }

    fn held(&self, slot: usize) -> Result<&Held> {
        let all = if let Some(all) = self.read.get() {
            all
        } else {
            let read = self.reader.read(self.key, self.body)?;
            self.read.get_or_init(|| read)
        };
        all.get(slot).ok_or_else(|| Error::internal("a test without its field"))
    }
}
