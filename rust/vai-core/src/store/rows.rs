//! What a transaction changes of `posting` and `owner`: at its end at the latest, and each row of
//! `posting` once, whatever changed of its objects.

use rusqlite::{Connection, OptionalExtension, params};

use super::posting::{self, Kind, Posting};
use crate::error::{Error, Result};
use crate::value::Value;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct NewRows {
    /// In the order in which they were asked for.
    changes: Vec<Change>,
    /// The values of the changes.
    bytes: Vec<u8>,
    /// (hash of the owner's uid, object, whether it is to be there)
    owners: Vec<(i64, i64, bool)>,
}

/// An object gets a value, or loses it.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// `posting.id`
    row: i64,
    /// Where its value is.
    start: u32,
    end: u32,
    kind: Kind,
    /// The object's place in its block.
    place: u8,
    has: bool,
}

impl NewRows {
    /// Those of about 1,000 pods: more of them would not make the rows of a load fewer.
    const MOST: usize = 32_768;

    pub(crate) fn is_full(&self) -> bool {
        self.changes.len() >= Self::MOST
    }

    pub(crate) fn add_term(&mut self, field: i64, value: &str, object: i64) {
        self.change_term(field, value, object, true);
    }

    pub(crate) fn delete_term(&mut self, field: i64, value: &str, object: i64) {
        self.change_term(field, value, object, false);
    }

    fn change_term(&mut self, field: i64, value: &str, object: i64, has: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value.as_bytes());
        self.change(field, Kind::Text, start, object, has);
    }

    pub(crate) fn add_ord(&mut self, field: i64, value: &Value, object: i64) {
        self.change_ord(field, value, object, true);
    }

    pub(crate) fn delete_ord(&mut self, field: i64, value: &Value, object: i64) {
        self.change_ord(field, value, object, false);
    }

    fn change_ord(&mut self, field: i64, value: &Value, object: i64, has: bool) {
        let start = self.bytes.len();
        if let Some(kind) = posting::write(&value.to_sql(), &mut self.bytes) {
            self.change(field, kind, start, object, has);
        }
    }

    fn change(&mut self, field: i64, kind: Kind, start: usize, object: i64, has: bool) {
        // Texts are cut at 1 KB, and changes are written long before there are 4 GB of them.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.changes.push(Change {
            row: posting::row_id(posting::block_of(object), field),
            start: place(start),
            end: place(self.bytes.len()),
            kind,
            place: posting::place_in_block(object),
            has,
        });
    }

    pub(crate) fn add_owner(&mut self, uid: &str, object: i64) {
        self.owners.push((owner_hash(uid), object, true));
    }

    pub(crate) fn delete_owner(&mut self, uid: &str, object: i64) {
        self.owners.push((owner_hash(uid), object, false));
    }

    /// Writes all of them.
    pub(crate) fn insert(&mut self, db: &Connection) -> Result<()> {
        self.write_postings(db)?;
        self.write_owners(db)
    }

    fn write_postings(&mut self, db: &Connection) -> Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        // Stable: of all changes of a value of an object the last one stands.
        self.changes.sort_by_key(|change| change.row);
        let mut table = Table::of(db)?;
        for changes in self.changes.chunk_by(|one, other| one.row == other.row) {
            let Some(first) = changes.first() else { continue };
            table.change(first.row, first.kind, |posting| {
                let mut changed = false;
                for change in changes {
                    if change.kind != posting.kind() {
                        return Err(Error::Internal("a field has values of two kinds".into()));
                    }
                    let value = &self.bytes[change.start as usize..change.end as usize];
                    changed |= posting.set(value, 1 << change.place, change.has);
                }
                Ok(changed)
            })?;
        }
        self.changes.clear();
        self.bytes.clear();
        Ok(())
    }

    fn write_owners(&mut self, db: &Connection) -> Result<()> {
        if self.owners.is_empty() {
            return Ok(());
        }
        // Two references of one object may name one owner, and share a row: the last change counts,
        // and comes last, for the sort is stable.
        self.owners.sort_by_key(|(owner, object, _)| (*owner, *object));
        let mut insert =
            db.prepare_cached("INSERT OR IGNORE INTO owner (uid_hash, object) VALUES (?1, ?2)")?;
        let mut delete =
            db.prepare_cached("DELETE FROM owner WHERE uid_hash = ?1 AND object = ?2")?;
        for (owner, object, has) in self.owners.drain(..) {
            let statement = if has { &mut insert } else { &mut delete };
            statement.execute(params![owner, object])?;
        }
        Ok(())
    }
}

/// FNV-1a of 64 bits, <http://www.isthe.com/chongo/tech/comp/fnv/>: whoever looks for an owner's
/// dependents asks their bodies whether it was another one of the same hash.
pub(crate) fn owner_hash(uid: &str) -> i64 {
    let hash = uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

/// Takes all values of some objects away, in the order of their ids.
pub(super) fn forget(db: &Connection, objects: &[i64]) -> Result<()> {
    let mut table = Table::of(db)?;
    let same_block = |one: &i64, other: &i64| posting::block_of(*one) == posting::block_of(*other);
    for some in objects.chunk_by(same_block) {
        let Some(first) = some.first() else { continue };
        let bits = some.iter().fold(0, |bits, object| bits | posting::bit_of(*object));
        let block = posting::block_of(*first);
        for row in rows_of(db, block)? {
            table.change(row, Kind::Blob, |posting| Ok(posting.remove(bits)))?;
        }
    }
    Ok(())
}

fn rows_of(db: &Connection, block: i64) -> Result<Vec<i64>> {
    let mut statement =
        db.prepare_cached("SELECT id FROM posting WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
    let bounds = params![posting::row_id(block, 0), posting::row_id(block + 1, 0)];
    let rows = statement.query_map(bounds, |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// `posting`, to be changed.
struct Table<'a> {
    select: rusqlite::CachedStatement<'a>,
    insert: rusqlite::CachedStatement<'a>,
    update: rusqlite::CachedStatement<'a>,
    delete: rusqlite::CachedStatement<'a>,
    posting: Posting,
    stored: Vec<u8>,
}

impl<'a> Table<'a> {
    fn of(db: &'a Connection) -> Result<Self> {
        Ok(Self {
            select: db.prepare_cached("SELECT rows FROM posting WHERE id = ?1")?,
            insert: db.prepare_cached("INSERT INTO posting (id, rows) VALUES (?1, ?2)")?,
            update: db.prepare_cached("UPDATE posting SET rows = ?2 WHERE id = ?1")?,
            delete: db.prepare_cached("DELETE FROM posting WHERE id = ?1")?,
            posting: Posting::default(),
            stored: Vec::new(),
        })
    }

    /// Changes one row, which is of this kind if there is none yet; `change` says whether it did.
    fn change(
        &mut self,
        row: i64,
        kind: Kind,
        change: impl FnOnce(&mut Posting) -> Result<bool>,
    ) -> Result<()> {
        let posting = &mut self.posting;
        let there = self.select.query_row([row], |row| Ok(posting.decode(row.get_ref(0)?)));
        let there = there.optional()?;
        let is_there = there.is_some();
        match there {
            Some(read) => read?,
            None => posting.clear(kind),
        }
        if !change(posting)? {
            return Ok(());
        }
        if posting.is_empty() {
            self.delete.execute([row])?;
            return Ok(());
        }
        posting.encode(&mut self.stored);
        let statement = if is_there { &mut self.update } else { &mut self.insert };
        statement.execute(params![row, self.stored])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::value::Type;

    type Rows = BTreeSet<(i64, Value, i64)>;

    fn database() -> Connection {
        #[expect(clippy::disallowed_methods, reason = "in memory")]
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE posting (id INTEGER PRIMARY KEY, rows BLOB NOT NULL) STRICT;
             CREATE TABLE owner (uid_hash INTEGER, object INTEGER,
                                 PRIMARY KEY (uid_hash, object)) STRICT, WITHOUT ROWID;",
        )
        .unwrap();
        db
    }

    fn stored(db: &Connection) -> Rows {
        let mut statement = db.prepare("SELECT id, rows FROM posting").unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut posting = Posting::default();
        let mut found = Rows::new();
        while let Some(row) = rows.next().unwrap() {
            let (block, field) = posting::place_of(row.get(0).unwrap());
            posting.decode(row.get_ref(1).unwrap()).unwrap();
            assert!(!posting.is_empty());
            for (value, bits) in posting.iter() {
                let ty = if posting.kind() == Kind::Integer { Type::Int } else { Type::Text };
                let value = posting::read(ty, posting.kind(), value).unwrap();
                found.extend(posting::objects(block, bits).map(|id| (field, value.clone(), id)));
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn of_all_changes_of_a_row_the_last_one_stands(
            texts in vec((1..3_i64, "[ab\\x00é]{0,2}", 1..200_i64, any::<bool>()), 0..400),
            numbers in vec((3..5_i64, -3..3_i64, 1..200_i64, any::<bool>()), 0..400),
            gone in prop::collection::btree_set(1..200_i64, 0..100),
            transactions in 1..4_usize,
        ) {
            let db = database();
            let mut model = Rows::new();
            let changes: Vec<(i64, Value, i64, bool)> = texts
                .into_iter()
                .map(|(field, text, object, has)| (field, Value::text(&text), object, has))
                .chain(numbers.into_iter().map(|(field, number, object, has)| {
                    (field, Value::Int(number), object, has)
                }))
                .collect();
            for some in changes.chunks(changes.len().div_ceil(transactions).max(1)) {
                let mut new = NewRows::default();
                for (field, value, object, has) in some {
                    match value {
                        Value::Text(text) => new.change_term(*field, text, *object, *has),
                        value => new.change_ord(*field, value, *object, *has),
                    }
                    let row = (*field, value.clone(), *object);
                    if *has { model.insert(row); } else { model.remove(&row); }
                }
                new.insert(&db).unwrap();
                prop_assert_eq!(&stored(&db), &model);
            }
            forget(&db, &gone.iter().copied().collect::<Vec<_>>()).unwrap();
            model.retain(|(_, _, object)| !gone.contains(object));
            prop_assert_eq!(stored(&db), model);
        }
    }

    #[test]
    fn an_owner_that_two_references_name_has_one_row() {
        let db = database();
        let mut new = NewRows::default();
        let count = |db: &Connection| -> i64 {
            db.query_row("SELECT count(*) FROM owner", [], |row| row.get(0)).unwrap()
        };
        for object in [7, 7, 8] {
            new.add_owner("u1", object);
        }
        new.add_owner("u2", 7);
        new.insert(&db).unwrap();
        assert_eq!(count(&db), 3);
        new.delete_owner("u1", 7);
        new.delete_owner("u1", 7);
        new.add_owner("u1", 7);
        new.delete_owner("u2", 7);
        new.insert(&db).unwrap();
        assert_eq!(count(&db), 2);
    }
}
