//! From a request to what has to be done, resource by resource.

use std::sync::Arc;

use rusqlite::Connection;

use super::eval::need_of;
use super::facets::{Counter, Grouping};
use super::request::{Group, Request};
use super::route::{self, Ask, Source};
use crate::error::{Error, Result};
use crate::expr::{Expr, Field, Fields, SortKey, SortOrder};
use crate::postings::{Definitions, Need};
use crate::selector::{FieldSelector, LabelSelector};
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
    /// Sorted and distinct.
    pub(super) needs: Vec<Need>,
    /// Paths of the condition that only bodies tell.
    pub(super) unindexed: Vec<String>,
    pub(super) counters: Counters,
}

/// The parts of a request in the order of resource ids, which is that of their locks.
///
/// `now_us` is what ages count from: of a past moment that moment, in microseconds since 1970.
pub(super) fn parts(
    db: &Connection,
    inner: &Inner,
    request: &Request,
    now_us: i64,
) -> Result<Vec<Part>> {
    let mut parts = Vec::with_capacity(request.resources.len());
    for (place, name) in request.resources.iter().enumerate() {
        if request.resources[..place].contains(name) {
            return Err(Error::Invalid(format!("{name} is named twice")));
        }
        parts.push(part(db, inner, request, now_us, place)?);
    }
    parts.sort_by_key(|part| part.id);
    Ok(parts)
}

fn part(
    db: &Connection,
    inner: &Inner,
    request: &Request,
    now_us: i64,
    place: usize,
) -> Result<Part> {
    let labels = LabelSelector::parse(&request.label_selector)?;
    let fields = FieldSelector::parse(&request.field_selector)?;
    let (id, info) = scopes::resource_named(db, &request.resources[place])?;
    let known = inner.postings.definitions(db, inner, id)?;
    let all = scopes::scopes(db, Some(id))?;
    let namespaces = request.namespaces.as_deref();
    let ask = Ask { info: &info, namespaces, labels: &labels, fields: &fields };
    let sources = route::choose(&ask, &all)?;
    let catalogue = known.catalogue(&info);
    let expr = Expr::and([
        Expr::from_labels(&labels),
        Expr::from_fields(&fields, &catalogue)?,
        Expr::parse(&request.condition, &catalogue, now_us)?,
    ]);
    let sort = SortKey::parse_all(&request.sort, &catalogue)?;
    let counters = Counters::new(request, &known, &catalogue)?;
    let mut wanted: Vec<Need> = expr.fields().into_iter().filter_map(need_of).collect();
    wanted.retain(|need| known.is_ready(need));
    for key in &sort {
        wanted.extend(sort_need(key, &known, &info)?);
    }
    wanted.extend(counters.all().map(|counter| counter.need.clone()));
    wanted.sort();
    wanted.dedup();
    let unindexed = unindexed(&expr, &known);
    Ok(Part { id, place, info, sources, known, expr, sort, needs: wanted, unindexed, counters })
}

fn sort_need(key: &SortKey, known: &Definitions, info: &Resource) -> Result<Option<Need>> {
    if key.order != SortOrder::Natural {
        return Err(Error::Invalid(format!(
            "can't sort by {key}: values sort as what they are indexed as; cache.index() makes an \
             index of a path as another type"
        )));
    }
    match &key.field {
        Field::Name => Ok(Some(Need::Names)),
        // Namespaces are known with the keys.
        Field::Namespace => Ok(None),
        field => ready_need(field, known, &format!("sort {} by", info.name())).map(Some),
    }
}

/// The index of a field that has to be one.
fn ready_need(field: &Field, known: &Definitions, what: &str) -> Result<Need> {
    match need_of(field) {
        Some(need) if known.is_ready(&need) => Ok(need),
        Some(need) => Err(Error::Invalid(format!(
            "can't {what} {need} yet: its index is being built; `vai status` shows how far it is"
        ))),
        None => Err(Error::Invalid(format!(
            "can't {what} {field}: it is not indexed; cache.index() makes an index of it"
        ))),
    }
}

/// Paths and fields of a condition that only bodies tell.
fn unindexed(expr: &Expr, known: &Definitions) -> Vec<String> {
    let fields = expr.fields();
    let open = fields.into_iter().filter(|field| match field {
        Field::Name | Field::Namespace => false,
        field => need_of(field).is_none_or(|need| !known.is_ready(&need)),
    });
    open.map(std::string::ToString::to_string).collect()
}

/// The fields that are counted by.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) facets: Vec<Counter>,
    pub(super) distinct: Option<Counter>,
    by: Vec<Counter>,
    sum: Vec<Counter>,
    min: Vec<Counter>,
    max: Vec<Counter>,
}

impl Counters {
    /// Whether a request asks for any.
    pub(super) fn wanted(request: &Request) -> bool {
        !request.facets.is_empty() || request.distinct.is_some() || request.group.is_some()
    }

    fn new(request: &Request, known: &Definitions, view: &Fields<'_>) -> Result<Self> {
        let counters = |names: &[String]| -> Result<Vec<Counter>> {
            names.iter().map(|name| counter(name, known, view)).collect()
        };
        let mut found =
            Self { facets: counters(&request.facets)?, distinct: None, ..Self::default() };
        if let Some(distinct) = &request.distinct {
            found.distinct = Some(counter(&distinct.field, known, view)?);
        }
        if let Some(group) = &request.group {
            found.by = counters(&group.by)?;
            found.sum = counters(&group.sum)?;
            found.min = counters(&group.min)?;
            found.max = counters(&group.max)?;
            for counter in &found.sum {
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
            }
        }
        Ok(found)
    }

    fn all(&self) -> impl Iterator<Item = &Counter> {
        let lists = [&self.facets, &self.by, &self.sum, &self.min, &self.max];
        lists.into_iter().flatten().chain(&self.distinct)
    }

    /// The fields of a grouping as it was asked for.
    pub(super) fn grouping<'a>(&'a self, asked: &'a Group) -> Grouping<'a> {
        Grouping { asked, by: &self.by, sum: &self.sum, min: &self.min, max: &self.max }
    }
}

/// A field to count by is named as one to sort by, without a direction.
fn counter(name: &str, known: &Definitions, view: &Fields<'_>) -> Result<Counter> {
    let key = SortKey::parse(name, view)?;
    let need = match &key.field {
        Field::Namespace => Need::Namespaces,
        field => ready_need(field, known, "count by")?,
    };
    if key.descending {
        return Err(Error::Invalid(format!("{name}: a field to count by has no direction")));
    }
    Ok(Counter { asked: name.to_owned(), need, kind: key.field.ty() })
}
