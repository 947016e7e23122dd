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

/// A question as it crosses from Python: JSON, one document for each of its offsets.
pub(crate) struct Asked<'a> {
    question: &'a Question,
    documents: Vec<Vec<u8>>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(question: &'a Question) -> Self {
        let offsets: &[usize] =
            if question.offsets.is_empty() { &[0] } else { question.offsets.as_slice() };
        let documents = offsets.iter().map(|offset| document(question, *offset)).collect();
        Self { question, documents }
    }

    /// A page; `number` picks one of several offsets and keys.
    pub(crate) fn ask(&self, store: &Store, number: usize) -> Result<Answer, Failure> {
        let keys = &self.question.gets;
        let key = keys.get(number % keys.len().max(1));
        if let Some((namespace, name)) = key.and_then(|key| key.split_once('/')) {
            let found = store.get("pods", Some(namespace), name)?;
            let total = usize::from(found.is_some());
            let body = found.map(|row| row.body()).transpose()?.unwrap_or_default();
            return Ok(Answer { total, body });
        }
        let mut request = Request::parse(&self.documents[number % self.documents.len()])?;
        for _ in 1..self.question.walk {
            let rows = store.query(&request)?;
            rows.list_json("PodList", "v1", "")?.to_vec()?;
            rows.cursor().unwrap_or_default().clone_into(&mut request.cursor);
        }
        let rows = store.query(&request)?;
        Ok(Answer { total: rows.total(), body: rows.list_json("PodList", "v1", "")?.to_vec()? })
    }

    /// What the second page is asked for with.
    pub(crate) fn cursor(&self, store: &Store) -> Result<String, Failure> {
        let rows = store.query(&Request::parse(&self.documents[0])?)?;
        Ok(rows.cursor().ok_or("there is one page only")?.to_owned())
    }

    /// The page of a cursor.
    pub(crate) fn after(&self, store: &Store, cursor: &str) -> Result<Answer, Failure> {
        let mut request = Request::parse(&self.documents[0])?;
        cursor.clone_into(&mut request.cursor);
        let rows = store.query(&request)?;
        Ok(Answer { total: rows.total(), body: rows.list_json("PodList", "v1", "")?.to_vec()? })
    }
}

fn document(question: &Question, offset: usize) -> Vec<u8> {
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
    let access = question
        .namespaces
        .as_ref()
        .map(|names| names.iter().map(|name| json!({"namespace": name})).collect::<Vec<_>>());
    let document = json!({
        "resources": ["pods"],
        "access": access,
        "label_selector": labels.join(","),
        "field_selector": fields.join(","),
        "where": condition.join(" and "),
        "sort": sort,
        "limit": question.limit,
        "offset": offset,
        "facets": question.facets,
    });
    document.to_string().into_bytes()
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
