//! Selectors as SQL over `term` and `ord`: each requirement is membership in a set of row ids that
//! `SQLite` makes once for the statement.

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Error, Result};
use crate::field::FieldSet;
use crate::nearest::nearest;
use crate::selector::{FieldSelector, LabelSelector, Op, Requirement};
use crate::store::Resource;

pub(super) const SELECT: &str = "SELECT o.id, o.key, o.uid, o.rv, o.seq, o.flags, v.body
    FROM object o JOIN version v ON v.seq = o.seq";
pub(super) const SELECT_WITH_CELLS: &str =
    "SELECT o.id, o.key, o.uid, o.rv, o.seq, o.flags, v.body, c.cells
    FROM object o JOIN version v ON v.seq = o.seq LEFT JOIN cells c ON c.object = o.id";

/// Conditions on `o`, each beginning with AND, and their values.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Filter {
    pub(super) fn new(
        db: &Connection,
        resource: i64,
        info: &Resource,
        labels: &LabelSelector,
        fields: &FieldSelector,
    ) -> Result<Self> {
        let mut filter = Self::default();
        for requirement in &labels.requirements {
            filter.label(db, resource, requirement)?;
        }
        let set = info.fields();
        for term in &fields.terms {
            filter.field(db, resource, info, &set, &term.path, term.not_equal, &term.value)?;
        }
        Ok(filter)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sql.is_empty()
    }

    fn label(&mut self, db: &Connection, resource: i64, requirement: &Requirement) -> Result<()> {
        let field = label_id(db, resource, &requirement.key)?;
        let values: Vec<Value> =
            requirement.values.iter().map(|value| Value::from(value.clone())).collect();
        let marks = vec!["?"; values.len()].join(", ");
        match requirement.op {
            Op::Equals | Op::In => {
                self.member("term", field, &format!("t.value IN ({marks})"), values, true);
            }
            // A missing key matches: labels.Requirement.Matches in apimachinery.
            Op::NotEquals | Op::NotIn => {
                self.member("term", field, &format!("t.value IN ({marks})"), values, false);
            }
            Op::Exists => self.member("term", field, "1", values, true),
            Op::NotExists => self.member("term", field, "1", values, false),
            Op::GreaterThan | Op::LessThan => self.compare(db, field, requirement)?,
        }
        Ok(())
    }

    /// Which values compare is decided where labels are matched, over the distinct values.
    fn compare(&mut self, db: &Connection, field: i64, requirement: &Requirement) -> Result<()> {
        let mut statement =
            db.prepare_cached("SELECT DISTINCT value FROM term WHERE field = ?1")?;
        let mut rows = statement.query([field])?;
        let mut matching = Vec::new();
        while let Some(row) = rows.next()? {
            let value: String = row.get(0)?;
            if requirement.matches(Some(&value)) {
                matching.push(value);
            }
        }
        let list = serde_json::to_string(&matching).map_err(Error::internal)?;
        let condition = "t.value IN (SELECT value FROM json_each(?))";
        self.member("term", field, condition, vec![Value::from(list)], true);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a term and where it is looked up")]
    fn field(
        &mut self,
        db: &Connection,
        resource: i64,
        info: &Resource,
        set: &FieldSet,
        path: &str,
        not_equal: bool,
        value: &str,
    ) -> Result<()> {
        let sign = if not_equal { "!=" } else { "=" };
        match path {
            "metadata.name" => {
                let name = "substr(o.key, instr(o.key, '/') + 1)";
                self.condition(&format!("{name} {sign} ?"), value);
                return Ok(());
            }
            "metadata.namespace" if info.namespaced => {
                let namespace = "substr(o.key, 1, instr(o.key, '/') - 1)";
                self.condition(&format!("{namespace} {sign} ?"), value);
                return Ok(());
            }
            // What the server answers for cluster-scoped objects: an empty namespace.
            "metadata.namespace" => {
                self.condition(&format!("'' {sign} ?"), value);
                return Ok(());
            }
            _ => {}
        }
        let Some(def) = set.selectable(path).and_then(|index| set.def(index)) else {
            return Err(unknown_field(info, set, path));
        };
        let field = built_field(db, resource, info, &def.name)?;
        // A field that an object lacks counts as empty (fields.Set.Get in apimachinery).
        let (condition, values, wanted) = if value.is_empty() {
            ("t.value <> ''", Vec::new(), not_equal)
        } else {
            match def.selector_value(value) {
                Some(value) => ("t.value = ?", vec![stored(&value)?], !not_equal),
                // No object has it.
                None => ("0", Vec::new(), !not_equal),
            }
        };
        self.member("ord", field, condition, values, wanted);
        Ok(())
    }

    fn condition(&mut self, sql: &str, value: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(sql);
        self.values.push(Value::from(value.to_owned()));
    }

    fn member(&mut self, table: &str, field: i64, sql: &str, values: Vec<Value>, wanted: bool) {
        let not = if wanted { "" } else { "NOT " };
        for part in [
            " AND o.id ",
            not,
            "IN (SELECT t.object FROM ",
            table,
            " t WHERE t.field = ? AND ",
            sql,
            ")",
        ] {
            self.sql.push_str(part);
        }
        self.values.push(Value::from(field));
        self.values.extend(values);
    }
}

/// A value as `ord` has it.
fn stored(value: &crate::value::Value) -> Result<Value> {
    match value.to_sql() {
        ToSqlOutput::Borrowed(stored) => stored.try_into().map_err(Error::internal),
        ToSqlOutput::Owned(stored) => Ok(stored),
        other => Err(Error::internal(format!("{other:?} is no value of a field"))),
    }
}

/// The id of a label key; -1, which no row has, where none was ever written.
fn label_id(db: &Connection, resource: i64, key: &str) -> Result<i64> {
    let mut statement =
        db.prepare_cached("SELECT id FROM field WHERE resource = ?1 AND kind = 0 AND name = ?2")?;
    let found = statement.query_row(params![resource, key], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(-1))
}

/// The id of a field that every object has its rows of; -1 where nothing is kept yet.
fn built_field(db: &Connection, resource: i64, info: &Resource, name: &str) -> Result<i64> {
    let mut statement = db.prepare_cached(
        "SELECT f.id, s.ready FROM field f JOIN field_state s ON s.field = f.id
         WHERE f.resource = ?1 AND f.kind = 1 AND f.name = ?2",
    )?;
    let found = statement
        .query_row(params![resource, name], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((id, true)) => Ok(id),
        // A part of the objects would look like all of them.
        Some((_, false)) => Err(Error::NotSynced(format!(
            "{} of {}: it was defined a moment ago and is being indexed; try again",
            name,
            info.name()
        ))),
        None => Ok(-1),
    }
}

fn unknown_field(info: &Resource, set: &FieldSet, path: &str) -> Error {
    let mut known = vec!["metadata.name".to_owned()];
    if info.namespaced {
        known.push("metadata.namespace".to_owned());
    }
    known.extend(set.selector_labels().map(str::to_owned));
    Error::UnknownField {
        message: format!(
            "field label not supported: {path}; {} can be selected by {}",
            info.name(),
            known.join(", ")
        ),
        position: None,
        text: String::new(),
        nearest: nearest(path, &known, 3),
    }
}
