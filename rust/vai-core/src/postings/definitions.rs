//! Which rows of `field` stand for what a query names.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::follow::Need;
use crate::error::Result;
use crate::expr::Fields;
use crate::field::{FieldDef, FieldSet};
use crate::store::{FieldState, Resource};
use crate::value::Type;

/// The fields of a resource that are ready, as one snapshot has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Definitions {
    /// All fields, as bodies are read for them.
    pub(crate) set: Arc<FieldSet>,
    /// Positions of those that are not ready.
    building: Vec<u16>,
    /// By canonical name: row id and type.
    pub(crate) ready: HashMap<String, (i64, Type)>,
}

impl Definitions {
    pub(super) fn of(states: &[FieldState]) -> Self {
        let set = FieldSet::new(states.iter().map(|state| state.def.clone()).collect::<Vec<_>>());
        let ready = states.iter().filter(|state| state.ready);
        let ready = ready.map(|state| (state.def.name.clone(), (state.id, state.def.ty))).collect();
        let unready = (0..).zip(states).filter(|(_, state)| !state.ready);
        let building = unready.map(|(index, _)| index).collect();
        Self { set: Arc::new(set), building, ready }
    }

    /// Whether entries in the file answer for it.
    pub(crate) fn is_ready(&self, need: &Need) -> bool {
        match need {
            Need::Field(name) => self.ready.contains_key(name),
            Need::Label(_) | Need::Names | Need::Namespaces => true,
        }
    }

    /// As expressions look names up.
    pub(crate) fn catalogue(&self, info: &Resource) -> Fields<'_> {
        Fields { set: &self.set, namespaced: info.namespaced, building: &self.building }
    }

    /// The row of `field` whose entries are to be read; `None` where nothing was ever written.
    pub(super) fn row_of(
        &self,
        db: &Connection,
        resource: i64,
        need: &Need,
    ) -> Result<Option<i64>> {
        match need {
            Need::Field(name) => Ok(self.ready.get(name).map(|(row, _)| *row)),
            Need::Label(key) => {
                let mut statement = db.prepare_cached(
                    "SELECT id FROM field WHERE resource = ?1 AND kind = 0 AND name = ?2",
                )?;
                Ok(statement.query_row(params![resource, key], |row| row.get(0)).optional()?)
            }
            Need::Names | Need::Namespaces => Ok(None),
        }
    }

    /// Whether what was loaded from this row is still what the name stands for.
    pub(super) fn is_current(&self, need: &Need, row: Option<i64>) -> bool {
        match need {
            Need::Field(name) => self.ready.get(name).map(|(row, _)| *row) == row,
            // The row of a label key is for ever.
            Need::Label(_) | Need::Names | Need::Namespaces => true,
        }
    }

    /// `None` for labels, whose entries are in `term`.
    pub(super) fn type_of(&self, need: &Need) -> Option<Type> {
        match need {
            Need::Field(name) => self.ready.get(name).map(|(_, kind)| *kind),
            Need::Label(_) | Need::Names | Need::Namespaces => None,
        }
    }

    /// Whether what stands in the place of a field is there though it is no value of it: of texts
    /// an object or a list, as it is where the body is asked.
    pub(super) fn counts_others(&self, need: &Need) -> bool {
        let Need::Field(name) = need else { return false };
        let def = self.set.index_of(name).and_then(|index| self.set.def(index));
        def.is_some_and(FieldDef::counts_others)
    }
}
