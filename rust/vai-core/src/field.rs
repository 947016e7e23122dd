//! Field selectors' fields: which ones a kind has, and their typed values.
//!
//! A kind's fields are those a real kube-apiserver accepts in `fieldSelector`: registered by
//! `AddFieldLabelConversionFunc` in kubernetes' `pkg/apis/*/v1/conversion.go` and computed by the
//! `…SelectableFields` functions in `pkg/registry/*/*/strategy.go` (read at v1.36). A kind that
//! registers nothing has only `metadata.name` and `metadata.namespace`, which every kind has and
//! which are therefore not in the sets here
//! (`DefaultMetaV1FieldSelectorConversion` in `apimachinery/pkg/runtime/conversion.go`).

use std::borrow::Cow;

use crate::feed::json::{Cursor, Read, Text};
use crate::object::capped;

/// A typed value taken from an object.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum FieldValue {
    /// A string that is not empty (an empty one is no value: a field selector cannot tell them
    /// apart), cut at [`crate::object::MAX_INDEXED_TEXT_BYTES`].
    Text(String),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
}

impl FieldValue {
    /// The string that a field selector compares with; a missing value compares as `""`.
    #[must_use]
    pub fn selector_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
        }
    }
}

/// One selectable field.
#[derive(Clone, Debug)]
struct Field {
    label: String,
    /// Other names the server accepts for it.
    aliases: Vec<String>,
    /// What the server compares with when the object has no value.
    default: Option<FieldValue>,
}

/// A step in the tree of paths: one visit of the object finds all fields.
#[derive(Clone, Debug, Default)]
struct Node {
    children: Vec<(String, Node)>,
    /// (field, rank): of several sources of one field the lowest rank with a value counts.
    sources: Vec<(u16, u8)>,
}

impl Node {
    fn insert(&mut self, path: &str, source: (u16, u8)) {
        let (head, rest) =
            path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        let index = self.children.iter().position(|(name, _)| name == head).unwrap_or_else(|| {
            self.children.push((head.to_owned(), Self::default()));
            self.children.len() - 1
        });
        let child = &mut self.children[index].1;
        match rest {
            Some(rest) => child.insert(rest, source),
            None => child.sources.push(source),
        }
    }

    fn collect(&self, path: &str, each: &mut impl FnMut(u16, u8, &str)) {
        for (name, child) in &self.children {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            child.sources.iter().for_each(|(index, rank)| each(*index, *rank, &path));
            child.collect(&path, each);
        }
    }

    fn child(&self, key: Text<'_>) -> Option<&Self> {
        self.children.iter().find(|(name, _)| key.is(name.as_bytes())).map(|(_, node)| node)
    }
}

/// Where a definition comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The catalogue of this release.
    BuiltIn,
    /// The resource's `CustomResourceDefinition`.
    Crd,
    /// `Store::index`.
    User,
}

/// What a field is: recorded in the file as JSON.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FieldDef {
    /// `status.phase`
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Where the value is in the served JSON; later paths stand in for an empty earlier one.
    pub paths: Vec<String>,
    /// The server's, for a missing value.
    pub default: Option<FieldValue>,
    /// Whose it is.
    pub source: Source,
}

/// The fields of one kind that a Kubernetes field selector may name, besides `metadata.name` and
/// `metadata.namespace`, which every kind has.
#[derive(Clone, Debug, Default)]
pub struct FieldSet {
    fields: Vec<Field>,
    root: Node,
}

impl FieldSet {
    /// The fields of a built-in kind; empty for a kind that has none.
    #[must_use]
    pub fn for_kind(group: &str, kind: &str) -> Self {
        let mut set = Self::default();
        for rule in catalogue(group, kind) {
            set.add(rule.label, rule.aliases, rule.default.clone(), rule.paths);
        }
        set
    }

    /// These fields, in this order.
    #[must_use]
    pub fn new(definitions: Vec<FieldDef>) -> Self {
        let mut set = Self::default();
        for FieldDef { name, aliases, paths, default, .. } in definitions {
            set.add(&name, &aliases, default, &paths);
        }
        set
    }

    /// The definitions of all fields, by position.
    #[must_use]
    pub fn definitions(&self, source: Source) -> Vec<FieldDef> {
        let mut found: Vec<FieldDef> = self
            .fields
            .iter()
            .map(|field| FieldDef {
                name: field.label.clone(),
                aliases: field.aliases.clone(),
                paths: Vec::new(),
                default: field.default.clone(),
                source,
            })
            .collect();
        let mut paths = Vec::new();
        self.root.collect("", &mut |index, rank, path| paths.push((index, rank, path.to_owned())));
        paths.sort();
        for (index, _, path) in paths {
            found[usize::from(index)].paths.push(path);
        }
        found
    }

    /// The fields of a custom resource: `spec.versions[].selectableFields[].jsonPath` of its
    /// definition.
    ///
    /// The server has validated them: dots between names, nothing else
    /// (`ValidateCustomResourceSelectableFields` in apiextensions-apiserver, which forbids array
    /// notation), the value a string, a boolean or an integer. The label is the path without its
    /// leading dot (`prepareSelectableFields` in `registry/customresource/strategy.go`).
    #[must_use]
    pub fn from_selectable<P: AsRef<str>>(paths: &[P]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path = path.as_ref().trim_start_matches('.');
            if set.index_of(path).is_none() {
                set.add(path, &[] as &[&str], None, &[path]);
            }
        }
        set
    }

    fn add(
        &mut self,
        label: &str,
        aliases: &[impl ToString],
        default: Option<FieldValue>,
        paths: &[impl AsRef<str>],
    ) {
        // Kubernetes allows 8 selectable fields, the largest built-in kind has 11.
        let Ok(index) = u16::try_from(self.fields.len()) else { return };
        let aliases = aliases.iter().map(ToString::to_string).collect();
        self.fields.push(Field { label: label.to_owned(), aliases, default });
        for (rank, path) in (0..).zip(paths) {
            self.root.insert(path.as_ref(), (index, rank));
        }
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether the kind has no field but `metadata.name` and `metadata.namespace`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The field label of a position, for example `spec.nodeName`.
    #[must_use]
    pub fn label(&self, index: u16) -> Option<&str> {
        self.fields.get(usize::from(index)).map(|field| field.label.as_str())
    }

    /// The position of a field label; the other names that the server accepts (`spec.host` of
    /// pods) are understood.
    #[must_use]
    pub fn index_of(&self, label: &str) -> Option<u16> {
        let is = |field: &Field| {
            field.label == label || field.aliases.iter().any(|alias| alias == label)
        };
        self.fields.iter().position(is).and_then(|index| u16::try_from(index).ok())
    }

    /// All labels, by position.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.label.as_str())
    }
}

/// The values found so far in one object.
#[derive(Debug)]
pub(crate) struct Extraction<'f> {
    set: &'f FieldSet,
    found: Vec<Option<(u8, FieldValue)>>,
}

impl<'f> Extraction<'f> {
    pub(crate) fn new(set: &'f FieldSet) -> Self {
        Self { set, found: vec![None; set.fields.len()] }
    }

    /// Whether a top-level key leads to a field.
    pub(crate) fn wants(&self, key: Text<'_>) -> bool {
        self.set.root.child(key).is_some()
    }

    /// Reads the value of a top-level key and takes the fields in it.
    pub(crate) fn visit(&mut self, cursor: &mut Cursor<'_>, key: Text<'_>) -> Read<()> {
        match self.set.root.child(key) {
            Some(node) => self.visit_node(cursor, node),
            None => cursor.value().map(drop),
        }
    }

    fn visit_node(&mut self, cursor: &mut Cursor<'_>, node: &'f Node) -> Read<()> {
        match cursor.peek()? {
            b'{' if !node.children.is_empty() => {
                cursor.object(|cursor, key| match node.child(key) {
                    Some(child) => self.visit_node(cursor, child),
                    None => cursor.value().map(drop),
                })
            }
            _ => {
                let value = scalar(cursor)?;
                for &(index, rank) in &node.sources {
                    self.set_value(index, rank, value.clone());
                }
                Ok(())
            }
        }
    }

    fn set_value(&mut self, index: u16, rank: u8, value: Option<FieldValue>) {
        let slot = &mut self.found[usize::from(index)];
        let held = slot.as_ref().map(|(rank, _)| *rank);
        match value {
            Some(value) if held.is_none_or(|held| rank <= held) => *slot = Some((rank, value)),
            // A duplicate key: the last one counts, here as in Go.
            None if held == Some(rank) => *slot = None,
            _ => {}
        }
    }

    /// The values by position, with the server's defaults for missing ones.
    pub(crate) fn finish(self) -> Vec<(u16, FieldValue)> {
        (0..)
            .zip(self.found)
            .zip(&self.set.fields)
            .filter_map(|((index, found), field)| {
                let value = found.map(|(_, value)| value).or_else(|| field.default.clone())?;
                Some((index, value))
            })
            .collect()
    }
}

/// Reads any value; `None` for what is no scalar or counts as empty.
fn scalar(cursor: &mut Cursor<'_>) -> Read<Option<FieldValue>> {
    Ok(match cursor.peek()? {
        b'"' => {
            let text = cursor.string()?;
            (!text.raw.is_empty()).then(|| FieldValue::Text(capped(text)))
        }
        b'-' | b'0'..=b'9' => Some(number(cursor.value()?)),
        b't' | b'f' => Some(FieldValue::Bool(cursor.value()? == b"true")),
        _ => {
            cursor.value()?;
            None
        }
    })
}

/// Selectable fields are integers by their schema; what does not fit stays the text it is.
fn number(digits: &[u8]) -> FieldValue {
    let text = String::from_utf8_lossy(digits);
    text.parse().map_or_else(|_| FieldValue::Text(text.into_owned()), FieldValue::Int)
}

/// One line of the catalogue.
struct Rule {
    label: &'static str,
    aliases: &'static [&'static str],
    /// Where the value is in the served JSON; later paths stand in for an empty earlier one.
    paths: &'static [&'static str],
    default: Option<FieldValue>,
}

/// The label is the path.
const fn plain(label: &'static str, paths: &'static [&'static str]) -> Rule {
    Rule { label, aliases: &[], paths, default: None }
}

const fn with_default(
    label: &'static str,
    paths: &'static [&'static str],
    default: FieldValue,
) -> Rule {
    Rule { label, aliases: &[], paths, default: Some(default) }
}

macro_rules! same_path {
    ($($label:literal),+ $(,)?) => { [$(plain($label, &[$label])),+] };
}

fn catalogue(group: &str, kind: &str) -> &'static [Rule] {
    match (group, kind) {
        ("", "Pod") => &POD,
        ("", "Node") => &NODE,
        ("", "Namespace") => &NAMESPACE,
        ("", "Secret") => &SECRET,
        ("", "Service") => &SERVICE,
        ("", "ReplicationController") => &REPLICATION_CONTROLLER,
        ("", "Event") => &CORE_EVENT,
        ("events.k8s.io", "Event") => &EVENTS_EVENT,
        ("batch", "Job") => &JOB,
        ("certificates.k8s.io", "CertificateSigningRequest" | "ClusterTrustBundle") => &SIGNED,
        ("certificates.k8s.io", "PodCertificateRequest") => &POD_CERTIFICATE_REQUEST,
        ("resource.k8s.io", "ResourceSlice") => &RESOURCE_SLICE,
        // ReplicaSets compute `status.replicas` (registry/apps/replicaset/strategy.go) and the
        // documentation lists it, but no conversion is registered for apps/v1: the server
        // answers "field label not supported", and so do we.
        _ => &[],
    }
}

// pkg/apis/core/v1/conversion.go, pkg/registry/core/pod/strategy.go
static POD: [Rule; 9] = [
    // "This is for backwards compatibility with old v1 clients which send spec.host"
    Rule {
        label: "spec.nodeName",
        aliases: &["spec.host"],
        paths: &["spec.nodeName"],
        default: None,
    },
    plain("spec.restartPolicy", &["spec.restartPolicy"]),
    plain("spec.schedulerName", &["spec.schedulerName"]),
    plain("spec.serviceAccountName", &["spec.serviceAccountName"]),
    with_default("spec.hostNetwork", &["spec.hostNetwork"], FieldValue::Bool(false)),
    plain("status.phase", &["status.phase"]),
    plain("status.podIP", &["status.podIP"]),
    // Accepted, yet ToSelectableFields never sets it: it compares as "" for every pod.
    plain("status.podIPs", &[]),
    plain("status.nominatedNodeName", &["status.nominatedNodeName"]),
];

// pkg/registry/core/node/strategy.go
static NODE: [Rule; 1] =
    [with_default("spec.unschedulable", &["spec.unschedulable"], FieldValue::Bool(false))];

static NAMESPACE: [Rule; 1] = same_path!["status.phase"];

static SECRET: [Rule; 1] = same_path!["type"];

static SERVICE: [Rule; 2] = same_path!["spec.clusterIP", "spec.type"];

static REPLICATION_CONTROLLER: [Rule; 1] =
    [with_default("status.replicas", &["status.replicas"], FieldValue::Int(0))];

// pkg/registry/batch/job/strategy.go: the label says successful, the field is succeeded.
static JOB: [Rule; 1] =
    [with_default("status.successful", &["status.succeeded"], FieldValue::Int(0))];

// pkg/registry/core/event/strategy.go: `source` is the component, or else the controller.
static CORE_EVENT: [Rule; 11] = [
    plain("involvedObject.kind", &["involvedObject.kind"]),
    plain("involvedObject.namespace", &["involvedObject.namespace"]),
    plain("involvedObject.name", &["involvedObject.name"]),
    plain("involvedObject.uid", &["involvedObject.uid"]),
    plain("involvedObject.apiVersion", &["involvedObject.apiVersion"]),
    plain("involvedObject.resourceVersion", &["involvedObject.resourceVersion"]),
    plain("involvedObject.fieldPath", &["involvedObject.fieldPath"]),
    plain("reason", &["reason"]),
    plain("reportingComponent", &["reportingComponent"]),
    plain("source", &["source.component", "reportingComponent"]),
    plain("type", &["type"]),
];

// pkg/apis/events/v1/conversion.go
static EVENTS_EVENT: [Rule; 10] = same_path![
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

// pkg/apis/certificates/v1/conversion.go, v1beta1/conversion.go
static SIGNED: [Rule; 1] = same_path!["spec.signerName"];

static POD_CERTIFICATE_REQUEST: [Rule; 3] =
    same_path!["spec.signerName", "spec.podName", "spec.nodeName"];

// pkg/apis/resource/v1/conversion.go; ResourceSliceSelectorNodeName, ResourceSliceSelectorDriver
static RESOURCE_SLICE: [Rule; 2] = same_path!["spec.nodeName", "spec.driver"];

#[cfg(test)]
mod tests {
    use super::*;

    /// The values found in a whole object, by label.
    fn values(set: &FieldSet, json: &str) -> Vec<(String, FieldValue)> {
        let mut extraction = Extraction::new(set);
        let mut cursor = Cursor::new(json.as_bytes());
        cursor.object(|cursor, key| extraction.visit(cursor, key)).unwrap();
        let label = |index| set.label(index).unwrap().to_owned();
        extraction.finish().into_iter().map(|(index, value)| (label(index), value)).collect()
    }

    fn text(value: &str) -> FieldValue {
        FieldValue::Text(value.to_owned())
    }

    #[test]
    fn pods_have_the_fields_their_strategy_computes() {
        let set = FieldSet::for_kind("", "Pod");
        let json = r#"{"metadata":{"name":"a"},"spec":{"nodeName":"n1","hostNetwork":true,
            "containers":[{"spec":{"nodeName":"no"}}],"restartPolicy":"Always"},
            "status":{"phase":"Running","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}]}}"#;
        assert_eq!(
            values(&set, json),
            [
                ("spec.nodeName".to_owned(), text("n1")),
                ("spec.restartPolicy".to_owned(), text("Always")),
                ("spec.hostNetwork".to_owned(), FieldValue::Bool(true)),
                ("status.phase".to_owned(), text("Running")),
                ("status.podIP".to_owned(), text("10.0.0.1")),
            ]
        );
        assert_eq!(set.index_of("spec.host"), set.index_of("spec.nodeName"));
        assert!(set.index_of("status.podIPs").is_some());
        assert_eq!(set.index_of("spec.nope"), None);
    }

    #[test]
    fn missing_values_are_the_servers_defaults() {
        for (group, kind, want) in [
            ("", "Node", Some(("spec.unschedulable", FieldValue::Bool(false)))),
            ("", "Pod", Some(("spec.hostNetwork", FieldValue::Bool(false)))),
            ("", "ReplicationController", Some(("status.replicas", FieldValue::Int(0)))),
            ("batch", "Job", Some(("status.successful", FieldValue::Int(0)))),
            ("", "Service", None),
        ] {
            let want: Vec<_> =
                want.into_iter().map(|(label, value)| (label.to_owned(), value)).collect();
            assert_eq!(values(&FieldSet::for_kind(group, kind), "{}"), want, "{kind}");
        }
        let job = FieldSet::for_kind("batch", "Job");
        assert_eq!(
            values(&job, r#"{"status":{"succeeded":3}}"#),
            [("status.successful".to_owned(), FieldValue::Int(3))]
        );
    }

    #[test]
    fn an_events_source_is_its_component_or_else_its_controller() {
        let set = FieldSet::for_kind("", "Event");
        let source = |json: &str| {
            values(&set, json)
                .into_iter()
                .find(|(label, _)| label == "source")
                .map(|(_, value)| value)
        };
        assert_eq!(
            source(r#"{"source":{"component":"a"},"reportingComponent":"b"}"#),
            Some(text("a"))
        );
        assert_eq!(
            source(r#"{"reportingComponent":"b","source":{"component":"a"}}"#),
            Some(text("a"))
        );
        assert_eq!(
            source(r#"{"source":{"component":""},"reportingComponent":"b"}"#),
            Some(text("b"))
        );
        assert_eq!(source(r#"{"reportingComponent":"b","source":{}}"#), Some(text("b")));
        assert_eq!(source(r#"{"reportingComponent":""}"#), None);
    }

    #[test]
    fn custom_resources_have_what_their_definition_declares() {
        let set =
            FieldSet::from_selectable(&[".spec.color", "spec.size", ".spec.on", ".spec.color"]);
        assert_eq!(set.labels().collect::<Vec<_>>(), ["spec.color", "spec.size", "spec.on"]);
        assert_eq!(
            values(&set, r#"{"spec":{"color":"blue","size":-7,"on":false,"other":{"color":1}}}"#),
            [
                ("spec.color".to_owned(), text("blue")),
                ("spec.size".to_owned(), FieldValue::Int(-7)),
                ("spec.on".to_owned(), FieldValue::Bool(false)),
            ]
        );
        // What the schema forbids or leaves out is no value.
        assert_eq!(values(&set, r#"{"spec":{"color":null,"size":{"a":1},"on":[true]}}"#), []);
        assert_eq!(values(&set, r#"{"spec":"blue"}"#), []);
        assert_eq!(values(&set, r#"{"spec":{"color":"a","color":null}}"#), []);
        assert_eq!(
            values(&set, r#"{"spec":{"color":"a","color":"b"}}"#),
            [("spec.color".to_owned(), text("b"))]
        );
        assert_eq!(
            values(&set, r#"{"spec":{"size":123456789012345678901}}"#),
            [("spec.size".to_owned(), text("123456789012345678901"))]
        );
    }

    #[test]
    fn other_kinds_have_no_fields_of_their_own() {
        for (group, kind) in
            [("apps", "Deployment"), ("apps", "ReplicaSet"), ("example.com", "Pod")]
        {
            assert!(FieldSet::for_kind(group, kind).is_empty(), "{group} {kind}");
        }
    }

    #[test]
    fn values_print_as_a_selector_writes_them() {
        assert_eq!(text("a").selector_text(), "a");
        assert_eq!(FieldValue::Int(-3).selector_text(), "-3");
        assert_eq!(FieldValue::Bool(true).selector_text(), "true");
        assert_eq!(FieldValue::Bool(false).selector_text(), "false");
    }
}
