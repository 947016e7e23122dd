//! Pods as the server prints them, in list pages and watch frames.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A pod; what is `None` is left out of its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) rv: u64,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) node: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) host_network: Option<bool>,
    pub(crate) owner: Option<String>,
    /// Makes bodies of different lengths.
    pub(crate) note: String,
    /// More members of its spec: `,"size":3`.
    pub(crate) spec: String,
}

impl Pod {
    pub(crate) fn new(key: &str, uid: &str, rv: u64) -> Self {
        let (namespace, name) = key.split_once('/').unwrap();
        Self {
            namespace: namespace.into(),
            name: name.into(),
            uid: uid.into(),
            rv,
            labels: BTreeMap::new(),
            node: None,
            phase: None,
            host_network: None,
            owner: None,
            note: String::new(),
            spec: String::new(),
        }
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// All but the opening brace, `kind` and `apiVersion`.
    fn rest(&self) -> String {
        let mut json = format!(
            r#""metadata":{{"name":"{}","namespace":"{}","uid":"{}","resourceVersion":"{}""#,
            self.name, self.namespace, self.uid, self.rv
        );
        json.push_str(r#","creationTimestamp":"2026-01-02T03:04:05Z""#);
        if !self.labels.is_empty() {
            write!(json, r#","labels":{}"#, serde_json::json!(self.labels)).unwrap();
        }
        if let Some(owner) = &self.owner {
            write!(
                json,
                r#","ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"{owner}","controller":true}}]"#
            )
            .unwrap();
        }
        write!(json, r#","annotations":{{"note":"{}"}}}},"spec":{{"containers":[]"#, self.note)
            .unwrap();
        if let Some(node) = &self.node {
            write!(json, r#","nodeName":"{node}""#).unwrap();
        }
        if let Some(host) = self.host_network {
            write!(json, r#","hostNetwork":{host}"#).unwrap();
        }
        json.push_str(&self.spec);
        json.push_str(r#"},"status":{"#);
        if let Some(phase) = &self.phase {
            write!(json, r#""phase":"{phase}""#).unwrap();
        }
        json.push_str("}}");
        json
    }

    /// As it is stored, and as a watch event has it.
    pub(crate) fn body(&self) -> Vec<u8> {
        format!(r#"{{"kind":"Pod","apiVersion":"v1",{}"#, self.rest()).into_bytes()
    }

    /// As a list has it.
    fn item(&self) -> String {
        format!("{{{}", self.rest())
    }
}

/// One page of a list.
pub(crate) fn page<'a>(
    pods: impl IntoIterator<Item = &'a Pod>,
    rv: u64,
    continue_token: &str,
) -> Vec<u8> {
    let items: Vec<String> = pods.into_iter().map(Pod::item).collect();
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{rv}","continue":"{continue_token}"}},"items":[{}]}}"#,
        items.join(",")
    )
    .into_bytes()
}

/// One watch frame.
pub(crate) fn event(kind: &str, pod: &Pod) -> Vec<u8> {
    let body = String::from_utf8(pod.body()).unwrap();
    format!("{{\"type\":\"{kind}\",\"object\":{body}}}\n").into_bytes()
}

pub(crate) fn bookmark(rv: u64) -> Vec<u8> {
    format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"{rv}\"}}}}}}\n"
    )
    .into_bytes()
}

/// JSON that is no event.
pub(crate) fn malformed() -> Vec<u8> {
    b"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":7}}}\n".to_vec()
}
