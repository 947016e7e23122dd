//! A file of an older format becomes one of this release, with all its rows and checkpoints: in one
//! transaction, so that whatever is killed leaves the one or the other.

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, TransactionBehavior, params};

use super::posting::{self, Posting};
use super::rows::owner_hash;
use crate::db;
use crate::error::{Error, Result};

/// Brings the file to this release's format.
pub(super) fn bring_up(connection: &mut Connection) -> Result<()> {
    if db::version(connection)? >= db::SCHEMA_VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    blocks_of_values(&transaction)?;
    db::set_version(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Format 1 had a row for each value of each object, and owners by their uid.
fn blocks_of_values(db: &Connection) -> Result<()> {
    db.execute_batch(
        "CREATE TABLE posting (id INTEGER PRIMARY KEY, rows BLOB NOT NULL) STRICT;
         ALTER TABLE owner RENAME TO owner_by_uid;
         CREATE TABLE owner (
             uid_hash INTEGER NOT NULL,
             object INTEGER NOT NULL,
             PRIMARY KEY (uid_hash, object)
         ) STRICT, WITHOUT ROWID;
         DELETE FROM invalid WHERE field IN (SELECT id FROM field WHERE kind = 2);
         DELETE FROM field WHERE kind = 2;",
    )?;
    postings(db)?;
    owners(db)?;
    db.execute_batch("DROP TABLE term; DROP TABLE ord; DROP TABLE owner_by_uid;")?;
    Ok(())
}

fn postings(db: &Connection) -> Result<()> {
    // SQLite sorts what does not fit its cache on the disk. Fields that were being dropped are gone.
    let mut statement = db.prepare(
        "SELECT (object >> 6 << 32) | field AS id, value, object FROM term
         UNION ALL
         SELECT (object >> 6 << 32) | field, value, object FROM ord
         WHERE field IN (SELECT id FROM field)
         ORDER BY id",
    )?;
    let mut insert = db.prepare("INSERT INTO posting (id, rows) VALUES (?1, ?2)")?;
    let (mut posting, mut value, mut stored) = (Posting::default(), Vec::new(), Vec::new());
    let mut last = None;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let found = row.get_ref(1)?;
        if let Some(last) = last.replace(id).filter(|last| *last != id) {
            posting.encode(&mut stored);
            insert.execute(params![last, stored])?;
            posting.clear(posting::Kind::Blob);
        }
        value.clear();
        let kind = posting::write(&ToSqlOutput::Borrowed(found), &mut value)
            .ok_or_else(|| Error::Corrupt(format!("{found:?} is no stored value")))?;
        if posting.is_empty() {
            posting.clear(kind);
        }
        posting.set(&value, posting::bit_of(row.get(2)?), true);
    }
    if let Some(last) = last {
        posting.encode(&mut stored);
        insert.execute(params![last, stored])?;
    }
    Ok(())
}

fn owners(db: &Connection) -> Result<()> {
    let mut statement = db.prepare("SELECT uid, object FROM owner_by_uid")?;
    let mut insert =
        db.prepare("INSERT OR IGNORE INTO owner (uid_hash, object) VALUES (?1, ?2)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let hash = owner_hash(row.get_ref(0)?.as_str().unwrap_or_default());
        insert.execute(params![hash, row.get::<_, i64>(1)?])?;
    }
    Ok(())
}
