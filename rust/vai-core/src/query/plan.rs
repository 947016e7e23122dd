//! From a request to what has to be done, resource by resource.

use std::sync::Arc;

use rusqlite::Connection;

use super::columns::{Column, Compared};
use super::eval::need_of;
use super::explain::Unindexed;
use super::facets::{Counter, Grouping};
use super::past;
use super::request::{Group, MAX_SORT_KEYS, Request};
use super::route::{self, Ask, Source};
use super::steve::{self, Chosen};
use crate::error::{Error, Result};
use crate::expr::steve::SteveQuery;
use crate::expr::{Expr, Field, Fields, SortKey, SortOrder};
use crate::postings::{Definitions, Need};
use crate::selector;
use crate::store::{Inner, Resource, scopes};
use crate::value::Type;

/// What has to be done in one resource.
pub(super) struct Part {
    /// Row of `resource`.
    pub(super) id: i64,
    /// Which of the resources that were asked for.
    pub(super) place: usize,
    pub(super) info: Resource,
    pub(super) sources: Vec<Source>,
    pub(super) known: Arc<Definitions>,
    pub(super) expr: Expr,
    pub(super) sort: Vec<SortKey>,
    /// The column of each sort key.
    pub(super) order: Vec<usize>,
    pub(super) columns: Vec<Column>,
    /// Sorted and distinct.
    pub(super) needs: Vec<Need>,
    /// What only bodies tell.
    pub(super) unindexed: Vec<Unindexed>,
    pub(super) counters: Counters,
}

impl Part {
    /// Whether the bodies of all rows that match have to be read, to order or to count them.
    pub(super) fn is_scanned(&self) -> bool {
        self.columns.iter().any(Column::is_scanned)
    }
}

/// Which scopes are read.
pub(super) enum Read<'a> {
    /// Those that answer now.
    Now,
    /// Those that answer of what had been listed after this entry of the history.
    Then(i64),
    /// Those of each resource, in the order in which they were asked for, that [`read`] gave.
    Again(&'a [Vec<i64>]),
}

/// The parts of a request in the order of resource ids, which is that of their locks.
///
/// `now_us` is what ages count from: of a past moment that moment, in microseconds since 1970.
pub(super) fn parts(
    db: &Connection,
    inner: &Inner,
    request: &Request,
    chosen: &Chosen,
    now_us: i64,
    read: &Read<'_>,
) -> Result<Vec<Part>> {
    let mut parts = Vec::with_capacity(request.resources.len());
    for (place, name) in request.resources.iter().enumerate() {
        if request.resources[..place].contains(name) {
            return Err(Error::Invalid(format!("{name} is named twice")));
        }
        parts.push(part(db, inner, request, chosen, now_us, (place, read))?);
    }
    parts.sort_by_key(|part| part.id);
    if parts.windows(2).any(|two| two[0].sort.len() != two[1].sort.len()) {
        return Err(Error::Invalid(
            "two sort keys are one field in one of the resources, and two in another; leave one out"
                .into(),
        ));
    }
    agree(&mut parts);
    for part in &mut parts {
        part.finish();
    }
    Ok(parts)
}

fn part(
    db: &Connection,
    inner: &Inner,
    request: &Request,
    chosen: &Chosen,
    now_us: i64,
    (place, read): (usize, &Read<'_>),
) -> Result<Part> {
    let (labels, fields) = selector::asked(&request.label_selector, &request.field_selector)?;
    let (id, info) = scopes::resource_named(db, &request.resources[place])?;
    let known = inner.postings.definitions(db, inner, id)?;
    let all = scopes::scopes(db, Some(id))?;
    let namespaces = request.namespaces.as_deref();
    let ask = Ask { info: &info, namespaces, labels: &labels, fields: &fields };
    let sources = match read {
        Read::Now => route::choose(&ask, &all)?,
        Read::Then(seq) => past::choose(db, &ask, &all, *seq)?,
        Read::Again(ids) => route::again(&ask, &all, ids.get(place).map_or(&[], Vec::as_slice))?,
    };
    let catalogue = known.catalogue(&info);
    let steve = SteveQuery::parse(&request.steve, &catalogue)?;
    steve::check_revision(&steve.frame, &info, &sources)?;
    let expr = Expr::and([
        Expr::from_labels(&labels),
        Expr::from_fields(&fields, &catalogue)?,
        Expr::parse(&request.condition, &catalogue, now_us)?,
        steve.filter,
        chosen.condition(&info),
    ]);
    let sort = if request.steve.is_empty() {
        SortKey::parse_all(&request.sort, &catalogue)?
    } else {
        steve.sort
    };
    if sort.len() > MAX_SORT_KEYS {
        return Err(Error::Invalid(format!(
            "{} sort keys; at most {MAX_SORT_KEYS} are possible",
            sort.len()
        )));
    }
    let mut columns = Vec::new();
    let order = sort
        .iter()
        .map(|key| place_of(&mut columns, Column::sorted(&key.field, key.order, &known)))
        .collect();
    let mut counters = Counters::new(request, &known, &catalogue, &mut columns)?;
    if steve.frame.summary_namespaced {
        let column = Column::counted(&Field::Namespace, SortOrder::Natural, &known);
        counters.namespace = Some(Counter::new("metadata.namespace", column, &mut columns));
    }
    for (name, field) in steve.summary {
        let order = match field {
            Field::Path { .. } => SortOrder::AsWritten,
            _ => SortOrder::Natural,
        };
        let column = Column::counted(&field, order, &known);
        counters.summary.push(Counter::new(&name, column, &mut columns));
    }
    Ok(Part {
        id,
        place,
        info,
        sources,
        known,
        expr,
        sort,
        order,
        columns,
        needs: Vec::new(),
        unindexed: Vec::new(),
        counters,
    })
}

/// Where a column is among the columns; one that is not there yet comes last.
fn place_of(columns: &mut Vec<Column>, column: Column) -> usize {
    columns.iter().position(|have| *have == column).unwrap_or_else(|| {
        columns.push(column);
        columns.len() - 1
    })
}

/// Makes what several resources are ordered or counted by comparable: where one of them knows the
/// type of a path, it is read so in all, and integers beside other numbers are numbers.
fn agree(parts: &mut [Part]) {
    let Some(first) = parts.first() else { return };
    let count = first.uses().len();
    for at in 0..count {
        let places: Vec<usize> = parts.iter().map(|part| part.uses()[at]).collect();
        let each = || parts.iter().zip(&places).map(|(part, place)| &part.columns[*place]);
        let known = each().find(|column| !column.written).map(|column| column.field.ty());
        let is_number = |ty| matches!(ty, Type::Int | Type::Number | Type::Quantity);
        let mixed = known.is_some_and(|ty| {
            is_number(ty)
                && each().any(|column| {
                    !column.written && column.field.ty() != ty && is_number(column.field.ty())
                })
        });
        let Some(known) = known else { continue };
        for (part, place) in parts.iter_mut().zip(places) {
            let column = &mut part.columns[place];
            if let (true, Compared::Natural | Compared::Total, Field::Path { ty, .. }) =
                (column.written, column.compared, &mut column.field)
            {
                (*ty, column.written) = (known, false);
            }
            if mixed && column.compared == Compared::Natural && column.field.ty() == Type::Int {
                column.compared = Compared::AsNumber;
            }
        }
    }
}

/// How the sort keys of a question are understood: a digest of their types, of each resource.
pub(super) fn order(parts: &[Part]) -> String {
    let types = parts.iter().flat_map(|part| {
        part.order.iter().map(|at| {
            let column = &part.columns[*at];
            if column.written { "written" } else { column.field.ty().name() }
        })
    });
    match types.collect::<Vec<_>>().join(" ") {
        types if types.is_empty() => types,
        types => super::cursor::digest(types.as_bytes()),
    }
}

/// The scopes that each resource is read from, in the order in which they were asked for.
pub(super) fn read(parts: &[Part]) -> Vec<Vec<i64>> {
    let mut placed: Vec<&Part> = parts.iter().collect();
    placed.sort_by_key(|part| part.place);
    placed.into_iter().map(|part| route::names(&part.sources)).collect()
}

impl Part {
    /// The columns as they are used, in every resource of a query the same number in the same order.
    fn uses(&self) -> Vec<usize> {
        let counted = self.counters.all().map(|counter| counter.column);
        self.order.iter().copied().chain(counted).collect()
    }

    /// What follows from its condition and its columns.
    fn finish(&mut self) {
        for counter in self.counters.all_mut() {
            counter.kind = self.columns[counter.column].kind();
        }
        let known = &self.known;
        let conditions = self.expr.fields();
        let mut needs: Vec<Need> = conditions.iter().filter_map(|field| need_of(field)).collect();
        needs.retain(|need| known.is_ready(need));
        needs.extend(self.columns.iter().filter_map(Column::need));
        needs.sort();
        needs.dedup();
        let open = conditions.into_iter().filter(|field| match field {
            Field::Name | Field::Namespace => false,
            field => need_of(field).is_none_or(|need| !known.is_ready(&need)),
        });
        let scanned = self.columns.iter().filter(|column| column.is_scanned());
        let mut unindexed: Vec<Unindexed> = open.map(|field| Unindexed::of(field, false)).collect();
        unindexed.extend(scanned.map(|column| Unindexed::of(&column.field, column.written)));
        let mut seen = Vec::new();
        unindexed.retain(|one| {
            let fresh = !seen.contains(&one.name);
            seen.push(one.name.clone());
            fresh
        });
        (self.needs, self.unindexed) = (needs, unindexed);
    }
}

/// The fields that are counted by.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) facets: Vec<Counter>,
    pub(super) distinct: Option<Counter>,
    /// Steve's summary.
    pub(super) summary: Vec<Counter>,
    /// Where it is counted per namespace.
    pub(super) namespace: Option<Counter>,
    by: Vec<Counter>,
    sum: Vec<Counter>,
    min: Vec<Counter>,
    max: Vec<Counter>,
}

impl Counters {
    /// Whether there are any. (Groups by nothing count all.)
    pub(super) fn are_wanted(&self, request: &Request) -> bool {
        request.group.is_some() || self.all().next().is_some()
    }

    fn new(
        request: &Request,
        known: &Definitions,
        view: &Fields<'_>,
        columns: &mut Vec<Column>,
    ) -> Result<Self> {
        let mut counters = |names: &[String]| -> Result<Vec<Counter>> {
            names.iter().map(|name| counter(name, known, view, Column::counted, columns)).collect()
        };
        let mut found =
            Self { facets: counters(&request.facets)?, distinct: None, ..Self::default() };
        if let Some(distinct) = &request.distinct {
            found.distinct = counters(std::slice::from_ref(&distinct.field))?.pop();
        }
        if let Some(group) = &request.group {
            found.by = counters(&group.by)?;
            found.min = counters(&group.min)?;
            found.max = counters(&group.max)?;
            for name in &group.sum {
                let counter = counter(name, known, view, Column::added, columns)?;
                let adds = matches!(
                    counter.kind,
                    Type::Int | Type::Number | Type::Quantity | Type::Duration
                );
                if !adds {
                    return Err(Error::Invalid(format!(
                        "can't add up {}: it is {}, and only numbers, quantities and durations add up",
                        counter.asked, counter.kind
                    )));
                }
                found.sum.push(counter);
            }
        }
        Ok(found)
    }

    fn all(&self) -> impl Iterator<Item = &Counter> {
        let lists = [&self.facets, &self.summary, &self.by, &self.sum, &self.min, &self.max];
        lists.into_iter().flatten().chain(&self.distinct).chain(&self.namespace)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Counter> {
        let lists = [
            &mut self.facets,
            &mut self.summary,
            &mut self.by,
            &mut self.sum,
            &mut self.min,
            &mut self.max,
        ];
        lists.into_iter().flatten().chain(&mut self.distinct).chain(&mut self.namespace)
    }

    /// The fields of a grouping as it was asked for.
    pub(super) fn grouping<'a>(&'a self, asked: &'a Group) -> Grouping<'a> {
        Grouping { asked, by: &self.by, sum: &self.sum, min: &self.min, max: &self.max }
    }
}

impl Counter {
    fn new(asked: &str, column: Column, columns: &mut Vec<Column>) -> Self {
        let kind = column.kind();
        Self { asked: asked.to_owned(), column: place_of(columns, column), kind }
    }
}

/// A field to count by is named as one to sort by, without a direction.
fn counter(
    name: &str,
    known: &Definitions,
    view: &Fields<'_>,
    column: fn(&Field, SortOrder, &Definitions) -> Column,
    columns: &mut Vec<Column>,
) -> Result<Counter> {
    let key = SortKey::parse(name, view).map_err(|error| error.in_text(name))?;
    if key.descending {
        return Err(Error::Invalid(format!("{name}: a field to count by has no direction")));
    }
    Ok(Counter::new(name, column(&key.field, key.order, known), columns))
}
