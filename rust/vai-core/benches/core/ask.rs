//! A question as the engine takes it: the one file here that knows how queries are written.

use serde_json::json;
use vai_core::query::Request;
use vai_core::store::Store;

use crate::Failure;
use crate::data::{LabelTest, Question, SortKey};

pub(crate) struct Answer {
    /// Of all matches.
    pub(crate) total: usize,
    /// A Kubernetes List.
    pub(crate) body: Vec<u8>,
}

/// A page of a question; `number` picks one of several offsets and keys.
pub(crate) fn ask(store: &Store, question: &Question, number: usize) -> Result<Answer, Failure> {
    let key = question.gets.get(number % question.gets.len().max(1));
    if let Some((namespace, name)) = key.and_then(|key| key.split_once('/')) {
        let found = store.get("pods", Some(namespace), name)?;
        let total = usize::from(found.is_some());
        let body = found.map(|row| row.body()).transpose()?.unwrap_or_default();
        return Ok(Answer { total, body });
    }
    let mut request = request(question, number)?;
    for _ in 1..question.walk {
        let rows = store.query(&request)?;
        rows.list_json("PodList", "v1", "")?;
        rows.cursor().unwrap_or_default().clone_into(&mut request.cursor);
    }
    let rows = store.query(&request)?;
    Ok(Answer { total: rows.total(), body: rows.list_json("PodList", "v1", "")? })
}

/// As JSON, the form in which queries cross from Python.
fn request(question: &Question, number: usize) -> Result<Request, Failure> {
    let labels: Vec<String> = question.labels.iter().map(requirement).collect();
    let fields: Vec<String> =
        question.fields.iter().map(|test| format!("{}={}", test.path, test.value)).collect();
    let mut condition = Vec::new();
    if !question.name_contains.is_empty() {
        condition.push(format!("metadata.name contains {}", json!(question.name_contains)));
    }
    if let Some(test) = &question.unindexed {
        condition.push(format!(".{} = {}", test.path, json!(test.value)));
    }
    let sort: Vec<String> = question.sort.iter().map(sort_key).collect();
    let document = json!({
        "resources": ["pods"],
        "namespaces": question.namespaces,
        "label_selector": labels.join(","),
        "field_selector": fields.join(","),
        "where": condition.join(" and "),
        "sort": sort,
        "limit": question.limit,
        "offset": question.offsets.get(number % question.offsets.len().max(1)).unwrap_or(&0),
        "facets": question.facets,
    });
    Ok(Request::parse(document.to_string().as_bytes())?)
}

fn requirement(test: &LabelTest) -> String {
    match test.op.as_str() {
        "exists" => test.key.clone(),
        "!" => format!("!{}", test.key),
        "in" | "notin" => format!("{} {} ({})", test.key, test.op, test.values.join(",")),
        op => format!("{}{op}{}", test.key, test.values.concat()),
    }
}

fn sort_key(key: &SortKey) -> String {
    let name =
        if key.label.is_empty() { key.path.clone() } else { format!("labels[{}]", key.label) };
    if key.descending { format!("-{name}") } else { name }
}
