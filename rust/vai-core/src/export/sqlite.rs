//! A plain `SQLite` database: a table per resource, for people who know SQL.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use serde_json::Value as Json;

use super::Part;
use super::fields::{ColumnType, Layout};
use super::record::{COMMON, Record};
use super::target;
use crate::db;
use crate::error::{Error, Result};
use crate::store::{Cluster, Resource, ScopeStatus};

/// What was exported, from where, and how fresh it was: an answer never hides its age.
const ABOUT: &str = "CREATE TABLE _export (
    \"table\" TEXT PRIMARY KEY,
    resource TEXT NOT NULL,
    api_version TEXT NOT NULL,
    kind TEXT NOT NULL,
    objects INTEGER NOT NULL,
    metadata_only INTEGER NOT NULL,
    state TEXT NOT NULL,
    age_s REAL,
    resource_version TEXT,
    exported_at TEXT NOT NULL,
    server TEXT,
    cluster_uid TEXT
) STRICT";

/// A database that is being made, under a temporary name; dropped unfinished, it is removed.
pub(super) struct Database {
    connection: Option<Connection>,
    made: PathBuf,
    target: PathBuf,
    inserts: Vec<String>,
}

impl Database {
    pub(super) fn create(target: &Path) -> Result<Self> {
        let made = target::beside(target);
        let connection = db::create_plain(&made)?;
        let database = Self {
            connection: Some(connection),
            made,
            target: target.to_owned(),
            inserts: Vec::new(),
        };
        // One transaction for all of it: there is no one to see a part.
        database.db()?.execute_batch("BEGIN")?;
        database.db()?.execute_batch(ABOUT)?;
        Ok(database)
    }

    fn db(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or(Error::Closed)
    }

    /// Makes the table of a part.
    pub(super) fn begin(
        &mut self,
        part: &Part,
        info: &Resource,
        statuses: &[ScopeStatus],
        cluster: Option<&Cluster>,
    ) -> Result<()> {
        let table = quoted(&part.table);
        let key = if info.namespaced { "namespace, name" } else { "name" };
        let common = COMMON.iter().map(|name| format!("{} TEXT", quoted(name)));
        let fields = part.columns.iter().map(|column| {
            let kind = match column.ty {
                _ if column.many => "TEXT",
                ColumnType::Text | ColumnType::Time => "TEXT",
                ColumnType::Int | ColumnType::Bool => "INTEGER",
                ColumnType::Real => "REAL",
            };
            format!("{} {kind}", quoted(&column.name))
        });
        let columns: Vec<String> = common.chain(fields).collect();
        let columns = columns.join(", ");
        let db = self.db()?;
        db.execute_batch(&format!(
            "CREATE TABLE {table} ({columns}, body TEXT NOT NULL, PRIMARY KEY ({key})) STRICT"
        ))?;
        let used: Vec<_> =
            statuses.iter().filter(|status| part.scopes.contains(&status.id)).collect();
        let worst = used.iter().map(|status| status.freshness.state).max();
        let state = serde_json::to_value(worst).map_err(Error::internal)?;
        // An age that one scope does not know is not known.
        let age_s = used
            .iter()
            .map(|status| status.freshness.age_s)
            .try_fold(0.0_f64, |oldest, age| age.map(|age| oldest.max(age)));
        db.execute(
            "INSERT INTO _export VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                part.table,
                part.resource,
                part.api_version,
                part.kind,
                counted(part.objects),
                counted(part.redacted),
                state.as_str().unwrap_or("never"),
                age_s,
                Some(&part.resource_version).filter(|version| !version.is_empty()),
                Timestamp::now().to_string(),
                cluster.map(|cluster| &cluster.server),
                cluster.map(|cluster| &cluster.uid),
            ],
        )?;
        let marks = vec!["?"; COMMON.len() + part.columns.len() + 1].join(", ");
        self.inserts.push(format!("INSERT INTO {table} VALUES ({marks})"));
        Ok(())
    }

    /// Adds an object to the table of a part.
    pub(super) fn add(
        &mut self,
        part: usize,
        info: &Resource,
        layout: &Layout,
        body: &[u8],
    ) -> Result<()> {
        let record = Record::of(info, layout, body)?;
        let text = std::str::from_utf8(body).map_err(|_| {
            Error::Corrupt(format!("a stored body of {} is not UTF-8", info.name()))
        })?;
        let common = record.common.into_iter().map(|value| value.map_or(Sql::Null, Sql::Text));
        let values = common
            .chain(record.fields.into_iter().map(sql))
            .chain(std::iter::once(Sql::Text(text.to_owned())));
        let mut statement = self.db()?.prepare_cached(&self.inserts[part])?;
        statement.execute(params_from_iter(values))?;
        Ok(())
    }

    /// Gives the whole database its name.
    pub(super) fn finish(mut self) -> Result<()> {
        self.db()?.execute_batch("COMMIT")?;
        if let Some(connection) = self.connection.take() {
            connection.close().map_err(|(_, error)| error)?;
        }
        target::publish(&self.made, &self.target)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.connection = None;
        // Renamed if it was finished; else half a database is none.
        let _ = std::fs::remove_file(&self.made);
    }
}

/// A list is the JSON of it, for `json_each`.
fn sql(value: Json) -> Sql {
    match value {
        Json::Null => Sql::Null,
        Json::Bool(truth) => Sql::Integer(truth.into()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Sql::Integer(whole),
            None => number.as_f64().map_or(Sql::Null, Sql::Real),
        },
        Json::String(text) => Sql::Text(text),
        other => Sql::Text(other.to_string()),
    }
}

fn counted(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An identifier, whatever its letters.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
