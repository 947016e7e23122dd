//! Rows of `term`, `ord` and `owner` that a transaction adds or deletes: in their order and many at
//! once, at its end at the latest. (One by one they took 26 µs of a pod's 39 on the writer's
//! thread.) Most values are shared by many objects, so they are gathered by value: there are far
//! fewer values to sort than rows.

use std::collections::HashMap;
use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql, params};

use crate::error::Result;
use crate::value::Value;

/// Rows of one statement.
const AT_ONCE: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct NewRows {
    terms: Table,
    ords: Table,
    owners: Vec<Owner>,
    /// Where a key is put together.
    key: Vec<u8>,
}

/// The statements of one table: rows of their own value, rows that share one, a row; a row goes.
struct Sql {
    mixed: String,
    shared: String,
    one: String,
    delete: String,
}

static TERM: LazyLock<Sql> = LazyLock::new(|| Sql::of("term"));
static ORD: LazyLock<Sql> = LazyLock::new(|| Sql::of("ord"));

impl Sql {
    fn of(table: &str) -> Self {
        let insert = |marks: Vec<String>| {
            let marks = marks.join(", ");
            format!("INSERT OR IGNORE INTO {table} (field, value, object) VALUES {marks}")
        };
        Self {
            mixed: insert(vec!["(?, ?, ?)".to_owned(); AT_ONCE]),
            shared: insert((0..AT_ONCE).map(|at| format!("(?1, ?2, ?{})", at + 3)).collect()),
            one: insert(vec!["(?, ?, ?)".to_owned()]),
            delete: format!("DELETE FROM {table} WHERE field = ?1 AND value = ?2 AND object = ?3"),
        }
    }
}

/// The rows of one table.
#[derive(Debug, Default)]
struct Table {
    /// By field and value, as bytes that sort as both do.
    groups: HashMap<Box<[u8]>, Group>,
    /// What becomes of objects, in the order in which it was asked for.
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    object: i64,
    add: bool,
    /// Position of the next one of its group.
    next: Option<usize>,
}

/// The objects that have one value.
#[derive(Clone, Copy, Debug)]
struct Group {
    kind: Kind,
    first: usize,
    last: usize,
}

/// How a value is stored.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// As [`sortable`] bytes.
    Integer,
    Text,
    Blob,
}

#[derive(Debug)]
struct Owner {
    uid: String,
    object: i64,
    /// Kind, name, whether it is the controller; `None` deletes.
    new: Option<(String, String, bool)>,
}

impl NewRows {
    /// Those of about 3,000 pods.
    const MOST: usize = 98_304;

    pub(crate) fn is_full(&self) -> bool {
        self.terms.changes.len() + self.ords.changes.len() >= Self::MOST
    }

    pub(crate) fn add_term(&mut self, field: i64, value: &str, object: i64) {
        self.change_term(field, value, object, true);
    }

    pub(crate) fn delete_term(&mut self, field: i64, value: &str, object: i64) {
        self.change_term(field, value, object, false);
    }

    fn change_term(&mut self, field: i64, value: &str, object: i64, add: bool) {
        let key = key(&mut self.key, field, value.as_bytes());
        self.terms.change(key, Kind::Text, object, add);
    }

    pub(crate) fn add_ord(&mut self, field: i64, value: &Value, object: i64) {
        self.change_ord(field, value, object, true);
    }

    pub(crate) fn delete_ord(&mut self, field: i64, value: &Value, object: i64) {
        self.change_ord(field, value, object, false);
    }

    fn change_ord(&mut self, field: i64, value: &Value, object: i64, add: bool) {
        let stored = value.to_sql();
        let stored = match &stored {
            ToSqlOutput::Borrowed(value) => *value,
            ToSqlOutput::Owned(value) => ValueRef::from(value),
            // No value is stored otherwise, nor as what is left out below.
            _ => return,
        };
        let number;
        let (kind, bytes) = match stored {
            ValueRef::Integer(stored) => {
                number = sortable(stored);
                (Kind::Integer, number.as_slice())
            }
            ValueRef::Text(text) => (Kind::Text, text),
            ValueRef::Blob(bytes) => (Kind::Blob, bytes),
            ValueRef::Null | ValueRef::Real(_) => return,
        };
        self.ords.change(key(&mut self.key, field, bytes), kind, object, add);
    }

    pub(crate) fn add_owner(
        &mut self,
        [uid, kind, name]: [&str; 3],
        controller: bool,
        object: i64,
    ) {
        let new = Some((kind.to_owned(), name.to_owned(), controller));
        self.owners.push(Owner { uid: uid.to_owned(), object, new });
    }

    pub(crate) fn delete_owner(&mut self, uid: &str, object: i64) {
        self.owners.push(Owner { uid: uid.to_owned(), object, new: None });
    }

    /// Inserts and deletes all of them.
    pub(crate) fn insert(&mut self, db: &Connection) -> Result<()> {
        self.terms.insert(db, &TERM)?;
        self.ords.insert(db, &ORD)?;
        self.insert_owners(db)
    }

    fn insert_owners(&mut self, db: &Connection) -> Result<()> {
        if self.owners.is_empty() {
            return Ok(());
        }
        // Two references of one object may name one owner, and share a row: the last one counts,
        // and comes last, for the sort is stable. So does what deletes it.
        self.owners.sort_by(|one, other| (&one.uid, one.object).cmp(&(&other.uid, other.object)));
        let mut statement = db.prepare_cached(
            "INSERT OR REPLACE INTO owner (uid, object, kind, name, controller)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for Owner { uid, object, new } in self.owners.drain(..) {
            match new {
                Some((kind, name, controller)) => {
                    statement.execute(params![uid, object, kind, name, controller])?;
                }
                None => {
                    db.prepare_cached("DELETE FROM owner WHERE uid = ?1 AND object = ?2")?
                        .execute(params![uid, object])?;
                }
            }
        }
        Ok(())
    }
}

/// Field and value as bytes that sort as both do.
fn key<'k>(key: &'k mut Vec<u8>, field: i64, value: &[u8]) -> &'k [u8] {
    key.clear();
    key.extend_from_slice(&sortable(field));
    key.extend_from_slice(value);
    key
}

/// The sign's bit is inverted.
fn sortable(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

fn number(sortable: [u8; 8]) -> i64 {
    (u64::from_be_bytes(sortable) ^ 1 << 63).cast_signed()
}

impl Table {
    fn change(&mut self, key: &[u8], kind: Kind, object: i64, add: bool) {
        let at = self.changes.len();
        self.changes.push(Change { object, add, next: None });
        if let Some(group) = self.groups.get_mut(key) {
            self.changes[group.last].next = Some(at);
            group.last = at;
        } else {
            self.groups.insert(key.into(), Group { kind, first: at, last: at });
        }
    }

    /// The objects of a group that get the value, and those that lose it, ascending. Of several
    /// changes of one object the last one counts, whatever row was there before.
    fn objects(&self, group: Group) -> (Vec<i64>, Vec<i64>) {
        let changes = std::iter::successors(Some(self.changes[group.first]), |change| {
            change.next.map(|at| self.changes[at])
        });
        let mut last: Vec<(i64, bool)> =
            changes.map(|change| (change.object, change.add)).collect();
        // Stable. Ids rise, but for those that are used again.
        last.sort_by_key(|(object, _)| *object);
        last.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        let (add, delete): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, add)| *add);
        let ids = |rows: Vec<(i64, bool)>| rows.into_iter().map(|(object, _)| object).collect();
        (ids(add), ids(delete))
    }

    fn insert(&mut self, db: &Connection, sql: &Sql) -> Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let mut insert = Insert { db, sql, rows: Vec::with_capacity(AT_ONCE) };
        let mut groups: Vec<(&[u8], Group)> =
            self.groups.iter().map(|(key, group)| (&**key, *group)).collect();
        groups.sort_unstable_by_key(|(key, _)| *key);
        for (key, group) in groups {
            let Some((field, value)) = key.split_first_chunk() else { continue };
            let value = match (group.kind, value.first_chunk()) {
                (Kind::Integer, Some(bytes)) => ValueRef::Integer(number(*bytes)),
                (Kind::Blob, _) => ValueRef::Blob(value),
                (Kind::Text | Kind::Integer, _) => ValueRef::Text(value),
            };
            let (add, delete) = self.objects(group);
            insert.delete(number(*field), value, &delete)?;
            insert.group(number(*field), value, &add)?;
        }
        insert.finish()?;
        self.groups.clear();
        self.changes.clear();
        Ok(())
    }
}

/// Rows on their way into a table.
struct Insert<'a> {
    db: &'a Connection,
    sql: &'a Sql,
    /// Fewer than a statement takes.
    rows: Vec<(i64, ValueRef<'a>, i64)>,
}

impl<'a> Insert<'a> {
    fn delete(&self, field: i64, value: ValueRef<'a>, objects: &[i64]) -> Result<()> {
        for object in objects {
            let mut statement = self.db.prepare_cached(&self.sql.delete)?;
            execute(&mut statement, &[(field, value, *object)])?;
        }
        Ok(())
    }

    fn group(&mut self, field: i64, value: ValueRef<'a>, objects: &[i64]) -> Result<()> {
        let (many, rest) = objects.as_chunks::<AT_ONCE>();
        if !many.is_empty() {
            // What they share is bound, and copied, once.
            let mut statement = self.db.prepare_cached(&self.sql.shared)?;
            statement.raw_bind_parameter(1, field)?;
            statement.raw_bind_parameter(2, Stored(value))?;
            for objects in many {
                for (at, object) in (3..).zip(objects) {
                    statement.raw_bind_parameter(at, object)?;
                }
                statement.raw_execute()?;
            }
        }
        for object in rest {
            self.rows.push((field, value, *object));
            if self.rows.len() == AT_ONCE {
                let mut statement = self.db.prepare_cached(&self.sql.mixed)?;
                execute(&mut statement, &self.rows)?;
                self.rows.clear();
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let mut statement = self.db.prepare_cached(&self.sql.one)?;
        self.rows.chunks(1).try_for_each(|row| execute(&mut statement, row))
    }
}

fn execute(statement: &mut Statement<'_>, rows: &[(i64, ValueRef<'_>, i64)]) -> Result<()> {
    for (at, (field, value, object)) in (0..).step_by(3).zip(rows) {
        statement.raw_bind_parameter(at + 1, field)?;
        statement.raw_bind_parameter(at + 2, Stored(*value))?;
        statement.raw_bind_parameter(at + 3, object)?;
    }
    statement.raw_execute()?;
    Ok(())
}

struct Stored<'v>(ValueRef<'v>);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Rows = Vec<(i64, Value, i64)>;

    fn database() -> Connection {
        #[expect(clippy::disallowed_methods, reason = "in memory")]
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE term (field INTEGER, value TEXT, object INTEGER,
                                PRIMARY KEY (field, value, object)) WITHOUT ROWID;
             CREATE TABLE ord (field INTEGER, value ANY, object INTEGER,
                               PRIMARY KEY (field, value, object)) STRICT, WITHOUT ROWID;",
        )
        .unwrap();
        db
    }

    /// What is in the table, in its order.
    fn stored(db: &Connection, table: &str) -> Rows {
        let sql = format!("SELECT field, value, object FROM {table} ORDER BY 1, 2, 3");
        let mut statement = db.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| {
            let value = match row.get_ref(1)? {
                ValueRef::Integer(number) => Value::Int(number),
                other => Value::text(other.as_str()?),
            };
            Ok((row.get(0)?, value, row.get(2)?))
        });
        rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn of_all_changes_of_a_row_the_last_one_stands(
            // Few values, so that some fill whole statements.
            texts in vec((1..3_i64, "[ab\\x00é]{0,2}", 1..200_i64, any::<bool>()), 0..400),
            numbers in vec((3..5_i64, -3..3_i64, 1..200_i64, any::<bool>()), 0..400),
            transactions in 1..4_usize,
        ) {
            let db = database();
            let mut ords = BTreeSet::new();
            let mut terms = BTreeSet::new();
            let changes: Vec<(i64, Value, i64, bool)> = texts
                .into_iter()
                .map(|(field, text, object, add)| (field, Value::text(&text), object, add))
                .chain(numbers.into_iter().map(|(field, number, object, add)| {
                    (field, Value::Int(number), object, add)
                }))
                .collect();
            for some in changes.chunks(changes.len().div_ceil(transactions).max(1)) {
                let mut new = NewRows::default();
                for (field, value, object, add) in some {
                    new.change_ord(*field, value, *object, *add);
                    let row = (*field, value.clone(), *object);
                    if let Value::Text(text) = value {
                        new.change_term(*field, text, *object, *add);
                        if *add { terms.insert(row.clone()); } else { terms.remove(&row); }
                    }
                    if *add { ords.insert(row); } else { ords.remove(&row); }
                }
                new.insert(&db).unwrap();
            }
            prop_assert_eq!(stored(&db, "term"), terms.into_iter().collect::<Rows>());
            prop_assert_eq!(stored(&db, "ord"), ords.into_iter().collect::<Rows>());
        }

        #[test]
        fn bytes_sort_as_numbers_do(one: i64, other: i64) {
            prop_assert_eq!(sortable(one).cmp(&sortable(other)), one.cmp(&other));
            prop_assert_eq!(number(sortable(one)), one);
        }
    }
}
