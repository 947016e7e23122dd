//! A question as the engine takes it: the one file here that knows how queries are written.

use vai_core::query::Query;
use vai_core::store::Store;

use crate::Failure;
use crate::data::{LabelTest, Question};

pub(crate) struct Answer {
    /// Of all matches.
    pub(crate) total: usize,
    /// A Kubernetes List.
    pub(crate) body: Vec<u8>,
}

/// Why the engine can't be asked this.
pub(crate) fn missing(question: &Question) -> Option<&'static str> {
    let wants = [
        (question.sort.is_some(), "sort"),
        (question.offsets.iter().any(|offset| *offset > 0), "offset"),
        (!question.name_contains.is_empty(), "contains"),
        (question.unindexed.is_some(), "paths"),
        (!question.facets.is_empty(), "facets"),
    ];
    wants.into_iter().find_map(|(wanted, name)| wanted.then_some(name))
}

/// One page, or for a walk its last one; `number` picks one of several keys.
pub(crate) fn ask(store: &Store, question: &Question, number: usize) -> Result<Answer, Failure> {
    let key = question.gets.get(number % question.gets.len().max(1));
    if let Some((namespace, name)) = key.and_then(|key| key.split_once('/')) {
        let found = store.get("pods", Some(namespace), name)?;
        let total = usize::from(found.is_some());
        let body = found.map(|row| row.body()).transpose()?.unwrap_or_default();
        return Ok(Answer { total, body });
    }
    let mut query = query(question);
    for _ in 1..question.walk {
        let rows = store.rows(&query)?;
        rows.list_json("PodList", "v1", "")?;
        rows.next_key().unwrap_or_default().clone_into(&mut query.after);
    }
    let rows = store.rows(&query)?;
    Ok(Answer { total: rows.total(), body: rows.list_json("PodList", "v1", "")? })
}

fn query(question: &Question) -> Query {
    let labels: Vec<String> = question.labels.iter().map(requirement).collect();
    let fields: Vec<String> =
        question.fields.iter().map(|test| format!("{}={}", test.path, test.value)).collect();
    Query {
        resource: "pods".into(),
        namespaces: question.namespaces.clone(),
        label_selector: labels.join(","),
        field_selector: fields.join(","),
        limit: question.limit,
        ..Query::default()
    }
}

fn requirement(test: &LabelTest) -> String {
    match test.op.as_str() {
        "exists" => test.key.clone(),
        "!" => format!("!{}", test.key),
        "in" | "notin" => format!("{} {} ({})", test.key, test.op, test.values.join(",")),
        op => format!("{}{op}{}", test.key, test.values.concat()),
    }
}
