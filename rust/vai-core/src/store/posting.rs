//! A row of `posting`: the values that a field, or a label key, has among 64 objects whose ids
//! follow each other, in their order, and who has each of them.
//!
//! Objects that follow each other came in the order of their keys, so they share most values, and
//! what they don't share begins alike.

use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::error::{Error, Result};
use crate::value::{Type, Value};

/// Objects whose ids differ in these last bits alone share a row.
const BITS: u32 = 6;
const OBJECTS: i64 = 1 << BITS;
/// `posting.id` is the block of objects above these bits, and the field in them.
const FIELD_BITS: u32 = 32;
/// Before eight bytes with a bit for each object that has the value; less is one object's place.
const MANY: u8 = 0xff;
/// This and their number is before a few objects' places.
const FEW: u8 = 0x40;
const MOST_FEW: u8 = 7;

/// The objects with this one among them, counted from 0.
pub(crate) fn block_of(object: i64) -> i64 {
    object >> BITS
}

/// Where an object is in its block.
pub(crate) fn place_in_block(object: i64) -> u8 {
    (object & (OBJECTS - 1)).to_le_bytes()[0]
}

/// The bit of an object in its block.
pub(crate) fn bit_of(object: i64) -> u64 {
    1 << place_in_block(object)
}

/// `posting.id` of a field in a block; those of one block follow each other.
pub(crate) fn row_id(block: i64, field: i64) -> i64 {
    (block << FIELD_BITS) | field
}

/// (block, field) of a `posting.id`.
pub(crate) fn place_of(row: i64) -> (i64, i64) {
    (row >> FIELD_BITS, row & ((1 << FIELD_BITS) - 1))
}

/// The ids of objects, of a block and the bits there, ascending.
pub(crate) fn objects(block: i64, mut bits: u64) -> impl Iterator<Item = i64> {
    std::iter::from_fn(move || {
        let at = bits.trailing_zeros();
        bits &= bits.checked_sub(1)?;
        Some((block << BITS) + i64::from(at))
    })
}

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As bytes that sort as the numbers do.
    Integer = 1,
    Text = 2,
    Blob = 3,
}

/// Appends the bytes of a value, which sort as values do; `None` for what no value is stored as.
pub(crate) fn write(stored: &ToSqlOutput<'_>, into: &mut Vec<u8>) -> Option<Kind> {
    let stored = match stored {
        ToSqlOutput::Borrowed(stored) => *stored,
        ToSqlOutput::Owned(stored) => ValueRef::from(stored),
        _ => return None,
    };
    let kind = match stored {
        ValueRef::Integer(number) => {
            // The sign's bit is inverted.
            into.extend_from_slice(&(number.cast_unsigned() ^ 1 << 63).to_be_bytes());
            Kind::Integer
        }
        ValueRef::Text(text) => {
            into.extend_from_slice(text);
            Kind::Text
        }
        ValueRef::Blob(bytes) => {
            into.extend_from_slice(bytes);
            Kind::Blob
        }
        ValueRef::Null | ValueRef::Real(_) => return None,
    };
    Some(kind)
}

/// Reads what [`write`] wrote.
pub(crate) fn read(ty: Type, kind: Kind, bytes: &[u8]) -> Result<Value> {
    let stored = match (kind, <[u8; 8]>::try_from(bytes)) {
        (Kind::Integer, Ok(bytes)) => {
            ValueRef::Integer((u64::from_be_bytes(bytes) ^ 1 << 63).cast_signed())
        }
        (Kind::Integer, Err(_)) => return Err(corrupt()),
        (Kind::Text, _) => ValueRef::Text(bytes),
        (Kind::Blob, _) => ValueRef::Blob(bytes),
    };
    Value::from_sql(ty, stored)
}

fn corrupt() -> Error {
    Error::Corrupt("a row of posting is not what its format says".into())
}

/// One row, taken apart.
#[derive(Debug)]
pub(crate) struct Posting {
    kind: Kind,
    /// The values behind each other, in the order in which they came.
    bytes: Vec<u8>,
    /// In the order of values.
    entries: Vec<Entry>,
    /// The entry that was changed last: neighbours mostly have the same value.
    last: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    end: usize,
    /// Who has it.
    bits: u64,
}

impl Default for Posting {
    fn default() -> Self {
        Self { kind: Kind::Blob, bytes: Vec::new(), entries: Vec::new(), last: 0 }
    }
}

impl Posting {
    /// As where there is no row yet.
    pub(crate) fn clear(&mut self, kind: Kind) {
        self.kind = kind;
        self.bytes.clear();
        self.entries.clear();
        self.last = 0;
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether nobody has any value: there is no such row.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The values in their order, and who has them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.entries.iter().map(|entry| (self.value(*entry), entry.bits))
    }

    fn value(&self, entry: Entry) -> &[u8] {
        &self.bytes[entry.start..entry.end]
    }

    /// Gives a value to an object, or takes it away; whether that changed anything.
    pub(crate) fn set(&mut self, value: &[u8], bit: u64, has: bool) -> bool {
        let found = match self.entries.get(self.last) {
            Some(entry) if self.value(*entry) == value => Ok(self.last),
            _ => self.entries.binary_search_by(|entry| self.value(*entry).cmp(value)),
        };
        match found {
            Ok(at) => {
                let entry = &mut self.entries[at];
                let before = entry.bits;
                entry.bits = if has { before | bit } else { before & !bit };
                let changed = entry.bits != before;
                self.last = at;
                if entry.bits == 0 {
                    self.entries.remove(at);
                }
                changed
            }
            Err(at) if has => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(value);
                self.entries.insert(at, Entry { start, end: self.bytes.len(), bits: bit });
                self.last = at;
                true
            }
            Err(_) => false,
        }
    }

    /// Takes all values of some objects away; whether they had any.
    pub(crate) fn remove(&mut self, bits: u64) -> bool {
        let had = self.entries.iter().any(|entry| entry.bits & bits != 0);
        self.entries.iter_mut().for_each(|entry| entry.bits &= !bits);
        self.entries.retain(|entry| entry.bits != 0);
        had
    }

    /// As it is stored: the kind; then for each value how many of its first bytes are those of the
    /// value before, how many follow, those, and who has it.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        into.clear();
        into.push(self.kind as u8);
        let mut before: &[u8] = &[];
        for (value, bits) in self.iter() {
            let shared = before.iter().zip(value).take_while(|(one, other)| one == other).count();
            write_number(shared, into);
            write_number(value.len() - shared, into);
            into.extend_from_slice(&value[shared..]);
            write_bits(bits, into);
            before = value;
        }
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(&mut self, stored: ValueRef<'_>) -> Result<()> {
        let ValueRef::Blob(stored) = stored else { return Err(corrupt()) };
        self.decode_bytes(stored).ok_or_else(corrupt)
    }

    fn decode_bytes(&mut self, stored: &[u8]) -> Option<()> {
        let (kind, mut rest) = stored.split_first()?;
        let kind = [Kind::Integer, Kind::Text, Kind::Blob].into_iter().find(|k| *k as u8 == *kind);
        self.clear(kind?);
        let mut before = 0..0_usize;
        while !rest.is_empty() {
            let shared = read_number(&mut rest)?;
            let own = read_number(&mut rest)?;
            let start = self.bytes.len();
            let shared = before.start..before.start.checked_add(shared)?;
            if shared.end > before.end {
                return None;
            }
            self.bytes.extend_from_within(shared);
            self.bytes.extend_from_slice(rest.split_off(..own)?);
            let bits = read_bits(&mut rest)?;
            before = start..self.bytes.len();
            self.entries.push(Entry { start, end: before.end, bits });
        }
        Some(())
    }
}

/// Seven bits in a byte, the lowest ones first; the eighth says that there is more.
fn write_number(mut number: usize, into: &mut Vec<u8>) {
    while number > 0x7f {
        into.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    into.push(number.to_le_bytes()[0]);
}

fn read_number(from: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..28).step_by(7) {
        let byte = *from.split_off_first()?;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn write_bits(bits: u64, into: &mut Vec<u8>) {
    let count = bits.count_ones().to_le_bytes()[0];
    if count > MOST_FEW {
        into.push(MANY);
        into.extend_from_slice(&bits.to_le_bytes());
        return;
    }
    if count > 1 {
        into.push(FEW + count);
    }
    into.extend(objects(0, bits).map(place_in_block));
}

fn read_bits(from: &mut &[u8]) -> Option<u64> {
    match *from.split_off_first()? {
        MANY => Some(u64::from_le_bytes(from.split_off(..8)?.try_into().ok()?)),
        one if one < FEW => Some(1 << one),
        few => {
            let places = from.split_off(..usize::from(few - FEW))?;
            let bit = |place: &u8| 1_u64.checked_shl(u32::from(*place));
            places.iter().try_fold(0, |bits, place| Some(bits | bit(place)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_has_what_it_was_given_and_is_read_as_it_was_written(
            // Few texts with common beginnings, and some that are long.
            changes in vec(("[ab\\x00é]{0,3}|[ab]{120,140}", 0..64_i64, any::<bool>()), 0..300),
            gone: u64,
        ) {
            let mut posting = Posting::default();
            posting.clear(Kind::Text);
            let mut model = BTreeSet::new();
            for (value, object, has) in &changes {
                let row = (value.as_bytes().to_vec(), *object);
                let changed = if *has { model.insert(row) } else { model.remove(&row) };
                prop_assert_eq!(posting.set(value.as_bytes(), bit_of(*object), *has), changed);
            }
            let removed = model.iter().any(|(_, object)| gone & bit_of(*object) != 0);
            prop_assert_eq!(posting.remove(gone), removed);
            model.retain(|(_, object)| gone & bit_of(*object) == 0);

            let mut stored = Vec::new();
            posting.encode(&mut stored);
            let mut read = Posting::default();
            read.decode(ValueRef::Blob(&stored)).unwrap();
            prop_assert_eq!((read.kind(), read.is_empty()), (Kind::Text, model.is_empty()));
            let rows = |posting: &Posting| -> Vec<(Vec<u8>, i64)> {
                let of = |(value, bits): (&[u8], u64)| {
                    let value = value.to_vec();
                    objects(0, bits).map(move |object| (value.clone(), object)).collect::<Vec<_>>()
                };
                posting.iter().flat_map(of).collect()
            };
            prop_assert_eq!(rows(&read), model.into_iter().collect::<Vec<_>>());
            let mut again = Vec::new();
            read.encode(&mut again);
            prop_assert_eq!(again, stored);
        }

        #[test]
        fn a_damaged_row_is_an_error_or_another_row_and_never_a_panic(
            mut stored in vec(any::<u8>(), 0..60),
            kind in 0..5_u8,
        ) {
            if let Some(first) = stored.first_mut() {
                *first = kind;
            }
            let mut posting = Posting::default();
            if posting.decode(ValueRef::Blob(&stored)).is_ok() {
                for (value, _) in posting.iter() {
                    let _ = read(Type::Int, posting.kind(), value);
                }
            }
        }

        #[test]
        fn numbers_are_read_as_they_were_written_and_their_bytes_sort_as_they_do(one: i64, other: i64) {
            let bytes = |number: i64| {
                let mut bytes = Vec::new();
                assert_eq!(write(&Value::Int(number).to_sql(), &mut bytes), Some(Kind::Integer));
                bytes
            };
            prop_assert_eq!(bytes(one).cmp(&bytes(other)), one.cmp(&other));
            prop_assert_eq!(read(Type::Int, Kind::Integer, &bytes(one)).unwrap(), Value::Int(one));
        }

        #[test]
        fn a_row_is_found_by_its_objects_and_its_field(object in 0..i64::from(u32::MAX), field in 1..i64::from(u32::MAX)) {
            let block = block_of(object);
            prop_assert_eq!(place_of(row_id(block, field)), (block, field));
            prop_assert_eq!(objects(block, bit_of(object)).collect::<Vec<_>>(), [object]);
        }
    }
}
