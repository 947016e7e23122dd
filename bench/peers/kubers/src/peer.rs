//! The store of typed pods that a kube-rs reflector keeps. It looks up one object by its key and
//! filters by a predicate or selector; order, pages and counts are the loop that its users write.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube_core::{Expression, ResourceExt, Selector, SelectorExt};
use kube_runtime::reflector::store::Writer;
use kube_runtime::reflector::{ObjectRef, Store, store};
use kube_runtime::watcher::Event;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::question::{LabelTest, Question, SortKey};

/// Counts by field and value.
pub type Facets = BTreeMap<String, BTreeMap<String, usize>>;
pub type Failure = Box<dyn std::error::Error>;

pub struct Answer {
    pub total: usize,
    pub body: Vec<u8>,
    pub facets: Facets,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Line<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

pub struct Peer {
    store: Store<Pod>,
    writer: Writer<Pod>,
}

impl Peer {
    pub fn new() -> Self {
        let (store, writer) = store();
        Self { store, writer }
    }

    pub fn begin_load(&mut self) {
        self.writer.apply_watcher_event(&Event::Init);
    }

    pub fn load_page(&mut self, page: &[u8]) -> Result<(), Failure> {
        for item in serde_json::from_slice::<Page<'_>>(page)?.items {
            let pod = serde_json::from_str(item.get())?;
            self.writer.apply_watcher_event(&Event::InitApply(pod));
        }
        Ok(())
    }

    pub fn end_load(&mut self) {
        self.writer.apply_watcher_event(&Event::InitDone);
    }

    pub fn apply(&mut self, line: &[u8]) -> Result<(), Failure> {
        let line: Line<'_> = serde_json::from_slice(line)?;
        let pod = serde_json::from_str(line.object.get())?;
        let event = if line.r#type == "DELETED" { Event::Delete(pod) } else { Event::Apply(pod) };
        self.writer.apply_watcher_event(&event);
        Ok(())
    }

    pub fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let mut matches = self.matches(question);
        matches.sort_unstable_by(|a, b| compare(a, b, question.sort.as_ref()));
        let mut facets = Facets::new();
        for path in &question.facets {
            let counts = facets.entry(path.clone()).or_default();
            for value in matches.iter().filter_map(|pod| field(pod, path)) {
                *counts.entry(value).or_default() += 1;
            }
        }
        let start = question.offset.min(matches.len());
        let end = match question.limit {
            0 => matches.len(),
            limit => (start + limit).min(matches.len()),
        };
        let mut body = br#"{"kind":"PodList","apiVersion":"v1","items":["#.to_vec();
        for (at, pod) in matches[start..end].iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            serde_json::to_writer(&mut body, pod.as_ref())?;
        }
        body.extend_from_slice(b"]}");
        Ok(Answer { total: matches.len(), body, facets })
    }

    fn matches(&self, question: &Question) -> Vec<Arc<Pod>> {
        if let Some((namespace, name)) = question.get.split_once('/') {
            return self.store.get(&ObjectRef::new(name).within(namespace)).into_iter().collect();
        }
        let selector: Selector = question.labels.iter().map(expression).collect();
        let allowed: Option<HashSet<&str>> =
            question.namespaces.as_ref().map(|names| names.iter().map(String::as_str).collect());
        let paths: Vec<_> = question.fields.iter().chain(&question.unindexed).collect();
        self.store.state_filter(|pod| {
            allowed.as_ref().is_none_or(|names| {
                pod.metadata.namespace.as_deref().is_some_and(|name| names.contains(name))
            }) && pod
                .metadata
                .name
                .as_deref()
                .is_some_and(|name| name.contains(&question.name_contains))
                && selector.matches(pod.labels())
                && paths.iter().all(|test| field(pod, &test.path).as_ref() == Some(&test.value))
        })
    }
}

fn expression(test: &LabelTest) -> Expression {
    let (key, mut values) = (test.key.clone(), test.values.clone());
    match test.op.as_str() {
        "=" => Expression::Equal(key, values.remove(0)),
        "!=" => Expression::NotEqual(key, values.remove(0)),
        "in" => Expression::In(key, values.into_iter().collect()),
        "notin" => Expression::NotIn(key, values.into_iter().collect()),
        "exists" => Expression::Exists(key),
        _ => Expression::DoesNotExist(key),
    }
}

/// The value at one of the paths that the questions have.
fn field(pod: &Pod, path: &str) -> Option<String> {
    match path {
        "metadata.creationTimestamp" => created(pod),
        "spec.nodeName" => pod.spec.as_ref()?.node_name.clone(),
        "status.phase" => pod.status.as_ref()?.phase.clone(),
        "status.containerStatuses[0].lastState.terminated.reason" => {
            let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
            statuses.first()?.last_state.as_ref()?.terminated.as_ref()?.reason.clone()
        }
        other => panic!("no question has {other}"),
    }
}

fn created(pod: &Pod) -> Option<String> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string())
}

fn compare(a: &Pod, b: &Pod, order: Option<&SortKey>) -> Ordering {
    let Some(order) = order else { return by_key(a, b) };
    let found = if !order.label.is_empty() {
        a.labels().get(&order.label).cmp(&b.labels().get(&order.label))
    } else if order.path == "metadata.creationTimestamp" {
        let time = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        time(a).cmp(&time(b))
    } else {
        field(a, &order.path).cmp(&field(b, &order.path))
    };
    let found = if order.descending { found.reverse() } else { found };
    found.then_with(|| by_key(a, b))
}

/// etcd's order, that of the bytes of namespace/name.
fn by_key(a: &Pod, b: &Pod) -> Ordering {
    key(a).cmp(key(b))
}

fn key(pod: &Pod) -> impl Iterator<Item = &u8> {
    let meta = &pod.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default().as_bytes();
    let name = meta.name.as_deref().unwrap_or_default().as_bytes();
    namespace.iter().chain(b"/").chain(name)
}
