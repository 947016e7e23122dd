//! Columns: what rows are ordered and counted by, one value for each row, several or none.
//!
//! Most are indexes as they are. Some are made for one query: of an index whose values are compared
//! otherwise (folded, as addresses), of the keys, or of the bodies of the rows that match.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use roaring::RoaringBitmap;

use super::eval::need_of;
use super::plan::Part;
use crate::error::{Error, Result};
use crate::expr::{Field, Fold, Reader, SortOrder};
use crate::object::MAX_INDEXED_TEXT_BYTES;
use crate::postings::{Definitions, Index, Keys, Need, Values};
use crate::value::{Decimal, Sum, Type, Value};

/// What the columns of one query that are read from bodies may take in memory. (All indexes
/// together have 24 MB; 100,000 rows with a text of 64 bytes each take 13 MB.)
const MAX_SCANNED_BYTES: usize = 64 << 20;
/// A distinct value beside its text: itself, its place in the map, its list of rows.
const VALUE_BYTES: usize = size_of::<Value>() + size_of::<Vec<u32>>() + 16;

/// How the values of a field are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// As they are.
    Natural,
    /// Texts with `A` to `Z` as `a` to `z`.
    Folded,
    /// Texts as addresses.
    AsIp,
    /// Integers as decimal numbers, beside those of another resource.
    AsNumber,
    /// All of an object's values added up.
    Total,
}

/// Where the values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The keys, which are in memory and in order.
    Keys,
    /// The keys, as values to be counted.
    KeyValues,
    Index(Need),
    Bodies,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) field: Field,
    pub(super) compared: Compared,
    /// Whether its values are what JSON has them as, because nobody said what they are.
    pub(super) written: bool,
    pub(super) origin: Origin,
}

impl Column {
    /// What a sort key orders by.
    pub(super) fn sorted(field: &Field, order: SortOrder, known: &Definitions) -> Self {
        let is_path = matches!(field, Field::Path { .. });
        let (compared, written) = match order {
            SortOrder::Natural => (Compared::Natural, false),
            SortOrder::AsciiFolded => (Compared::Folded, is_path),
            SortOrder::AsIp => (Compared::AsIp, false),
            SortOrder::AsWritten => (Compared::Natural, is_path),
        };
        let origin = match field {
            Field::Name | Field::Namespace => Origin::Keys,
            field => origin(field, known),
        };
        Self { field: field.clone(), compared, written, origin }
    }

    /// What is counted by a field.
    pub(super) fn counted(field: &Field, order: SortOrder, known: &Definitions) -> Self {
        let origin = match field {
            Field::Name => Origin::KeyValues,
            Field::Namespace => Origin::Index(Need::Namespaces),
            field => origin(field, known),
        };
        Self { origin, ..Self::sorted(field, order, known) }
    }

    /// What is added up. An index of several values has each once, so that equal ones would count
    /// once: they are taken from the bodies.
    pub(super) fn added(field: &Field, order: SortOrder, known: &Definitions) -> Self {
        let column = Self::counted(field, order, known);
        let several = match field {
            Field::Indexed { name, many: true, .. } => {
                let def = known.set.index_of(name).and_then(|index| known.set.def(index));
                def.filter(|def| def.reduce.is_none()).and_then(|def| match &*def.paths {
                    [path] => Some(Field::Path { path: path.clone(), ty: def.ty }),
                    _ => None,
                })
            }
            Field::Path { .. } => Some(field.clone()),
            _ => None,
        };
        match several {
            Some(field) => {
                Self { field, compared: Compared::Total, origin: Origin::Bodies, ..column }
            }
            None => column,
        }
    }

    /// What its values are told as.
    pub(super) fn kind(&self) -> Type {
        match self.compared {
            Compared::AsIp => Type::Ip,
            Compared::AsNumber => Type::Number,
            _ if self.written => Type::Number,
            _ => self.field.ty(),
        }
    }

    /// The index that it needs.
    pub(super) fn need(&self) -> Option<Need> {
        match (&self.origin, &self.field) {
            (Origin::Index(need), _) => Some(need.clone()),
            (Origin::Keys, Field::Name) => Some(Need::Names),
            _ => None,
        }
    }

    pub(super) fn is_scanned(&self) -> bool {
        self.origin == Origin::Bodies
    }

    /// The value that is compared; `None` for what counts as missing.
    fn seen(&self, value: Value) -> Option<Value> {
        match (self.compared, value) {
            (Compared::Folded, Value::Text(text)) => Some(Value::text(&Fold::Ascii.fold(&text))),
            (Compared::AsIp, Value::Text(text)) => Value::parse(Type::Ip, &text).ok(),
            (Compared::AsNumber, Value::Int(number)) => Some(Value::Decimal(number.into())),
            (_, value) => Some(value),
        }
    }

    /// The values of one object, as an index would have them: cut, ascending, each once.
    fn held(&self, key: &str, values: Vec<Value>) -> Result<Vec<Value>> {
        if self.compared == Compared::Total {
            return Ok(self.total(key, &values)?.map(Value::Decimal).into_iter().collect());
        }
        let mut values: Vec<Value> =
            values.into_iter().filter_map(|value| self.seen(cut(value))).collect();
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn total(&self, key: &str, values: &[Value]) -> Result<Option<Decimal>> {
        let mut sum = Sum::default();
        for value in values {
            if !sum.add(value) {
                return Err(Error::Invalid(format!(
                    "can't add up {0}: in {key} it is {1:?}; say what it is: quantity({0}), \
                     number({0}) or duration({0})",
                    self.field,
                    super::explain::shown(value),
                )));
            }
        }
        if values.is_empty() {
            return Ok(None);
        }
        let total = sum.total().ok_or_else(|| {
            Error::Invalid(format!("the sum of {} in {key} has too many digits", self.field))
        })?;
        Ok(Some(total))
    }
}

fn origin(field: &Field, known: &Definitions) -> Origin {
    match need_of(field) {
        Some(need) if known.is_ready(&need) => Origin::Index(need),
        _ => Origin::Bodies,
    }
}

/// Texts end where an index cuts them.
fn cut(value: Value) -> Value {
    match value {
        Value::Text(text) if text.len() > MAX_INDEXED_TEXT_BYTES => {
            Value::text(&text[..text.floor_char_boundary(MAX_INDEXED_TEXT_BYTES)])
        }
        value => value,
    }
}

/// Reads columns from bodies.
pub(super) struct ColumnReader<'a> {
    columns: Vec<&'a Column>,
    reader: Reader,
}

impl<'a> ColumnReader<'a> {
    /// All columns that `wanted` wants.
    pub(super) fn new(part: &'a Part, wanted: impl Fn(&Column) -> bool) -> Result<Self> {
        let columns: Vec<&Column> = part.columns.iter().filter(|column| wanted(column)).collect();
        let fields = columns.iter().map(|column| &column.field);
        let mut reader = Reader::new(fields, &part.known.set)?;
        for (position, column) in columns.iter().enumerate() {
            if column.written {
                reader = reader.as_written(position);
            }
        }
        Ok(Self { columns, reader })
    }

    /// The values in an object, by the order of the columns.
    pub(super) fn read(&self, key: &str, json: &[u8]) -> Result<Vec<Vec<Value>>> {
        let held = self.reader.read(key, json)?;
        let each = self.columns.iter().zip(held);
        each.map(|(column, held)| column.held(key, held.values)).collect()
    }
}

/// What one thread has read. Each row takes 4 bytes for each of its values, and each distinct value
/// is held once: at most 1 KB of text.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) rows: Vec<u32>,
    columns: Vec<HashMap<Value, Vec<u32>>>,
}

impl Gathered {
    /// Takes in a row. `bytes` is what all threads have taken.
    pub(super) fn add(
        &mut self,
        id: u32,
        columns: Vec<Vec<Value>>,
        bytes: &AtomicUsize,
    ) -> Result<()> {
        self.rows.push(id);
        self.columns.resize_with(columns.len(), HashMap::new);
        let mut taken = 0;
        for (held, values) in self.columns.iter_mut().zip(columns) {
            for value in values {
                taken += size_of::<u32>();
                if let Some(rows) = held.get_mut(&value) {
                    rows.push(id);
                } else {
                    taken += VALUE_BYTES + value.heap_bytes();
                    held.insert(value, vec![id]);
                }
            }
        }
        if bytes.fetch_add(taken, Ordering::Relaxed) + taken > MAX_SCANNED_BYTES {
            return Err(Error::Invalid(format!(
                "the values that are not indexed take more than {} MB in memory; narrow the query, \
                 or order and count by something shorter",
                MAX_SCANNED_BYTES >> 20
            )));
        }
        Ok(())
    }
}

/// The columns of one resource that were read from bodies, in the order of all its columns.
#[derive(Default)]
pub(super) struct Scanned(Vec<Values>);

impl Scanned {
    /// What all threads have read together.
    pub(super) fn of(gathered: Vec<Gathered>) -> Self {
        let mut all: Vec<BTreeMap<Value, Vec<u32>>> = Vec::new();
        for one in gathered {
            all.resize_with(all.len().max(one.columns.len()), BTreeMap::new);
            for (held, column) in all.iter_mut().zip(one.columns) {
                for (value, rows) in column {
                    held.entry(value).or_default().extend(rows);
                }
            }
        }
        Self(all.into_iter().map(of_runs).collect())
    }
}

fn of_runs(mut runs: BTreeMap<Value, Vec<u32>>) -> Values {
    for rows in runs.values_mut() {
        rows.sort_unstable();
    }
    Values::of_runs(runs)
}

enum Held<'a> {
    /// By the keys themselves.
    Keys,
    There(&'a Values),
    Made(Box<Values>),
}

/// The columns of a resource at a moment.
pub(super) struct Columns<'a> {
    pub(super) part: &'a Part,
    pub(super) index: &'a Index,
    held: Vec<Held<'a>>,
}

impl<'a> Columns<'a> {
    /// `scanned` is of these rows.
    pub(super) fn new(
        part: &'a Part,
        index: &'a Index,
        rows: &RoaringBitmap,
        scanned: &'a Scanned,
    ) -> Result<Self> {
        let mut scanned = scanned.0.iter();
        let mut held = Vec::with_capacity(part.columns.len());
        for column in &part.columns {
            held.push(match &column.origin {
                // Without a row there are no values either.
                Origin::Bodies => scanned.next().map_or(Held::Made(Box::default()), Held::There),
                Origin::Index(need) => of_index(column, index.values(need)?),
                Origin::KeyValues => Held::Made(Box::new(of_keys(column, index.keys(), rows))),
                Origin::Keys => match column.compared {
                    Compared::Natural => Held::Keys,
                    Compared::Folded if !has_capitals(column, index.keys(), rows) => Held::Keys,
                    _ => Held::Made(Box::new(of_keys(column, index.keys(), rows))),
                },
            });
        }
        Ok(Self { part, index, held })
    }

    /// The values of a column; `None` for one that the keys themselves are.
    pub(super) fn values(&self, column: usize) -> Option<&Values> {
        match self.held.get(column)? {
            Held::Keys => None,
            Held::There(values) => Some(values),
            Held::Made(values) => Some(values),
        }
    }
}

fn of_index<'a>(column: &Column, values: &'a Values) -> Held<'a> {
    let as_is = |term: &u32| match (column.compared, values.value(*term)) {
        (Compared::Folded, Value::Text(text)) => {
            !text.bytes().any(|byte| byte.is_ascii_uppercase())
        }
        (Compared::AsIp, Value::Text(_)) | (Compared::AsNumber, Value::Int(_)) => false,
        _ => true,
    };
    if column.compared == Compared::Natural || values.sorted().iter().all(as_is) {
        return Held::There(values);
    }
    let mut runs: BTreeMap<Value, RoaringBitmap> = BTreeMap::new();
    for term in values.sorted() {
        if let Some(value) = column.seen(values.value(*term).clone()) {
            values.ids(*term).add_to(runs.entry(value).or_default());
        }
    }
    let runs = runs.into_iter().map(|(value, rows)| (value, rows.iter().collect()));
    Held::Made(Box::new(Values::of_runs(runs)))
}

fn of_key<'k>(column: &Column, keys: &'k Keys, id: u32) -> Option<&'k [u8]> {
    if column.field == Field::Name {
        return Some(keys.name(id));
    }
    let key = keys.key(id);
    memchr::memchr(b'/', key).map(|slash| &key[..slash])
}

/// Names seldom have any: most kinds forbid them.
fn has_capitals(column: &Column, keys: &Keys, rows: &RoaringBitmap) -> bool {
    rows.iter().any(|id| {
        of_key(column, keys, id).is_some_and(|text| text.iter().any(u8::is_ascii_uppercase))
    })
}

fn of_keys(column: &Column, keys: &Keys, rows: &RoaringBitmap) -> Values {
    let mut runs: BTreeMap<Value, Vec<u32>> = BTreeMap::new();
    for id in rows {
        let text = of_key(column, keys, id).map(String::from_utf8_lossy);
        if let Some(value) = text.and_then(|text| column.seen(Value::text(&text))) {
            runs.entry(value).or_default().push(id);
        }
    }
    of_runs(runs)
}
