//! A scope compared with a list of the server's metadata, while its watch goes on.
//!
//! The list is of one moment, its resourceVersion R; the rows move on. So the two are not compared
//! at once. While the list arrives, each of its objects is looked up: what stands as listed is
//! noted and done with. The few others wait until the caller knows that the rows have reached R
//! (the scope was proven as of a moment after the list). Then they are looked up again, and the
//! rows that were not listed with them. Whatever changed after R is left aside: R says nothing of
//! it, and by changing it showed that its events arrive. Only reads; the watch goes on undisturbed,
//! which a staged list would end. Memory: a bit for each object, and what differs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{Inner, position, unknown_scope};
use crate::error::{Error, Result};
use crate::feed::{FeedError, FeedOptions, Item, ListFeed, PageMeta};
use crate::rv;

/// So many differences are told one by one; beyond that they are only counted.
const MOST_TOLD: usize = 1000;

/// How a row differs from what the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// The server has it, the file does not.
    Missing,
    /// The file has it, the server does not.
    Extra,
    /// The file has another state of it, an older one unless something is very wrong.
    Older,
}

/// One object that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In which way.
    pub what: Drift,
    /// Of the object.
    pub key: String,
    /// resourceVersion of the row; `None` where it is missing.
    pub kept: Option<String>,
    /// resourceVersion in the list; `None` where it is not in it.
    pub listed: Option<String>,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The moment of the list.
    pub resource_version: String,
    /// Objects in the list.
    pub listed: u64,
    /// Of them, those that stand in the file as listed.
    pub equal: u64,
    /// Objects that changed, came or went since, of which the list says nothing.
    pub changed: u64,
    /// Objects that differ, counted.
    pub missing: u64,
    /// The same.
    pub extra: u64,
    /// The same.
    pub older: u64,
    /// The first of them, in key order.
    pub differences: Vec<Difference>,
}

/// An object of the list that the file did not have so when it arrived.
struct Listed {
    key: String,
    uid: String,
    rv: String,
}

#[derive(Default)]
struct Progress {
    feed: Option<ListFeed>,
    /// Of the first page; the lowest, should a server's pages be of several moments.
    resource_version: Option<String>,
    listed: u64,
    /// Ids of rows that stood as listed when the list said so.
    equal: RoaringBitmap,
    waiting: Vec<Listed>,
}

/// See the module.
pub struct Comparison {
    inner: Arc<Inner>,
    scope: i64,
    /// The history before the list was asked for.
    begun: i64,
    progress: Mutex<Progress>,
}

/// A row as far as it is compared.
struct Row {
    id: u32,
    uid: String,
    rv: String,
    seq: i64,
}

impl Comparison {
    pub(super) fn begin(inner: Arc<Inner>, scope: i64) -> Result<Self> {
        let begun = inner.read(|db| {
            published(db, scope)?;
            Ok(position(db)?.1)
        })?;
        Ok(Self { inner, scope, begun, progress: Mutex::default() })
    }

    /// A response follows; `gzip` says how it is encoded.
    pub fn begin_page(&self, gzip: bool) -> Result<()> {
        self.inner.check()?;
        let options = FeedOptions::new("PartialObjectMetadata", "meta.k8s.io/v1");
        self.progress.lock().feed = Some(ListFeed::new(&FeedOptions { gzip, ..options }));
        Ok(())
    }

    /// Takes response bytes, and compares the objects that became complete.
    pub fn push(&self, chunk: &[u8]) -> Result<()> {
        let mut progress = self.progress.lock();
        let feed = progress.feed.as_mut().ok_or_else(no_page)?;
        let mut items: Vec<Item> = Vec::new();
        feed.push(chunk, &mut |mut item: Item| {
            // What is compared of it is small; a chunk's worth of bodies need not be held.
            item.body = Vec::new();
            items.push(item);
            Ok::<_, FeedError>(())
        })?;
        if items.is_empty() {
            return Ok(());
        }
        self.inner.read(|db| {
            for item in items {
                let listed = Listed { key: item.key(), uid: item.uid, rv: item.resource_version };
                progress.listed += 1;
                match row(db, self.scope, &listed.key)? {
                    Some(row) if row.is(&listed) => {
                        progress.equal.insert(row.id);
                    }
                    _ => progress.waiting.push(listed),
                }
            }
            Ok(())
        })
    }

    /// The response has ended.
    pub fn end_page(&self) -> Result<PageMeta> {
        let mut progress = self.progress.lock();
        let head = progress.feed.take().ok_or_else(no_page)?.finish()?;
        if !rv::is_canonical(&head.resource_version) {
            return Err(Error::Invalid(format!(
                "the list's resourceVersion {:?} can't be compared",
                head.resource_version
            )));
        }
        let lower = progress.resource_version.as_ref().is_none_or(|known| {
            rv::compare(&head.resource_version, known).is_some_and(std::cmp::Ordering::is_lt)
        });
        if lower {
            progress.resource_version = Some(head.resource_version.clone());
        }
        Ok(head)
    }

    /// What differs, asked once the rows have reached the list.
    pub fn finish(&self) -> Result<Compared> {
        let progress = self.progress.lock();
        let moment = progress.resource_version.as_deref().ok_or_else(no_page)?;
        self.inner.read(|db| {
            published(db, self.scope)?;
            let mut compared = Compared {
                resource_version: moment.to_owned(),
                listed: progress.listed,
                equal: progress.equal.len(),
                ..Compared::default()
            };
            let mut met = progress.equal.clone();
            self.look_again(db, &progress.waiting, moment, &mut met, &mut compared)?;
            self.not_listed(db, moment, &met, &mut compared)?;
            compared.differences.sort_by(|a, b| a.key.cmp(&b.key));
            compared.differences.truncate(MOST_TOLD);
            Ok(compared)
        })
    }

    /// How many objects the file had at the list's moment, as its history tells; asked once the
    /// rows have reached it.
    pub fn count(&self) -> Result<i64> {
        let progress = self.progress.lock();
        let moment = progress.resource_version.as_deref().ok_or_else(no_page)?;
        self.inner.read(|db| {
            published(db, self.scope)?;
            let mut count: i64 =
                db.query_row("SELECT objects FROM scope WHERE id = ?1", [self.scope], |row| {
                    row.get(0)
                })?;
            let mut statement = db.prepare_cached(
                "SELECT op, rv FROM version INDEXED BY version_scope_seq
                 WHERE scope = ?1 AND seq > ?2 AND op <> 2",
            )?;
            let mut rows = statement.query(params![self.scope, self.begun])?;
            while let Some(row) = rows.next()? {
                let (op, rv): (i64, String) = (row.get(0)?, row.get(1)?);
                if is_after(&rv, moment).unwrap_or(true) {
                    count += if op == 1 { -1 } else { 1 };
                }
            }
            Ok(count)
        })
    }

    /// What the list had and the file did not, when it arrived.
    fn look_again(
        &self,
        db: &Connection,
        waiting: &[Listed],
        moment: &str,
        met: &mut RoaringBitmap,
        compared: &mut Compared,
    ) -> Result<()> {
        let mut gone: Option<HashMap<String, HashSet<String>>> = None;
        for listed in waiting {
            let Some(row) = row(db, self.scope, &listed.key)? else {
                if gone.is_none() {
                    gone = Some(self.deleted_since(db)?);
                }
                let deleted = gone.as_ref().and_then(|gone| gone.get(&listed.key));
                if deleted.is_some_and(|uids| uids.contains(&listed.uid)) {
                    compared.changed += 1;
                } else {
                    compared.missing += 1;
                    compared.tell(Drift::Missing, &listed.key, None, Some(&listed.rv));
                }
                continue;
            };
            met.insert(row.id);
            if row.is(listed) {
                compared.equal += 1;
            } else if self.is_since(&row, moment) {
                compared.changed += 1;
            } else {
                compared.older += 1;
                compared.tell(Drift::Older, &listed.key, Some(&row.rv), Some(&listed.rv));
            }
        }
        Ok(())
    }

    /// Rows that the list did not have.
    fn not_listed(
        &self,
        db: &Connection,
        moment: &str,
        met: &RoaringBitmap,
        compared: &mut Compared,
    ) -> Result<()> {
        let mut statement =
            db.prepare_cached("SELECT id, rv, seq, key FROM object WHERE scope = ?1 ORDER BY key")?;
        let mut rows = statement.query([self.scope])?;
        while let Some(found) = rows.next()? {
            let id: u32 = found.get(0)?;
            if met.contains(id) {
                continue;
            }
            let row = Row { id, uid: String::new(), rv: found.get(1)?, seq: found.get(2)? };
            if self.is_since(&row, moment) {
                compared.changed += 1;
            } else {
                let key: String = found.get(3)?;
                compared.extra += 1;
                compared.tell(Drift::Extra, &key, Some(&row.rv), None);
            }
        }
        Ok(())
    }

    /// Whether the row is of after the list's moment; where versions have no order, whether it was
    /// written since the list was asked for.
    fn is_since(&self, row: &Row, moment: &str) -> bool {
        is_after(&row.rv, moment).unwrap_or(row.seq > self.begun)
    }

    /// uids by key of what was deleted since the list was asked for.
    fn deleted_since(&self, db: &Connection) -> Result<HashMap<String, HashSet<String>>> {
        let mut statement =
            db.prepare_cached("SELECT key, uid FROM free WHERE scope = ?1 AND freed_seq > ?2")?;
        let mut rows = statement.query(params![self.scope, self.begun])?;
        let mut found: HashMap<String, HashSet<String>> = HashMap::new();
        while let Some(row) = rows.next()? {
            found.entry(row.get(0)?).or_default().insert(row.get(1)?);
        }
        Ok(found)
    }
}

impl Row {
    fn is(&self, listed: &Listed) -> bool {
        self.uid == listed.uid && self.rv == listed.rv
    }
}

impl Compared {
    fn tell(&mut self, what: Drift, key: &str, kept: Option<&str>, listed: Option<&str>) {
        // Twice as many, for they are found in two runs and put in order afterwards.
        if self.differences.len() < 2 * MOST_TOLD {
            self.differences.push(Difference {
                what,
                key: key.to_owned(),
                kept: kept.map(str::to_owned),
                listed: listed.map(str::to_owned),
            });
        }
    }
}

fn row(db: &Connection, scope: i64, key: &str) -> Result<Option<Row>> {
    let mut statement = db.prepare_cached(
        "SELECT id, uid, rv, seq FROM object INDEXED BY object_scope_key
         WHERE scope = ?1 AND key = ?2",
    )?;
    Ok(statement
        .query_row(params![scope, key], |row| {
            Ok(Row { id: row.get(0)?, uid: row.get(1)?, rv: row.get(2)?, seq: row.get(3)? })
        })
        .optional()?)
}

/// `None` where the two have no order.
fn is_after(version: &str, moment: &str) -> Option<bool> {
    rv::compare(version, moment).map(std::cmp::Ordering::is_gt)
}

/// # Errors
/// Where the scope is not in the file, or its rows are not a whole state.
fn published(db: &Connection, scope: i64) -> Result<()> {
    let found: Option<bool> = db
        .query_row(
            "SELECT published AND void_reason IS NULL FROM scope WHERE id = ?1",
            [scope],
            |row| row.get(0),
        )
        .optional()?;
    match found {
        Some(true) => Ok(()),
        Some(false) => Err(Error::Invalid("it is to be listed first".into())),
        None => Err(unknown_scope(scope)),
    }
}

fn no_page() -> Error {
    Error::Invalid("there was no page of a list yet".into())
}
