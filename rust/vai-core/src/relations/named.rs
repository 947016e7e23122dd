//! What the JSON of one object says of others: whom it names, and whom it selects.
//!
//! The fields are those of the API reference of each kind
//! (<https://kubernetes.io/docs/reference/kubernetes-api/>).

use serde_json::Value;

/// An object that another one names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Named {
    /// Its kind; the API group in front of a slash, where it is not the core one.
    pub(super) kind: String,
    /// `None`: that of the object which names it, or none if it is cluster-scoped.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

fn named(kind: &str, name: &Value) -> Option<Named> {
    let name = name.as_str().filter(|name| !name.is_empty())?;
    Some(Named { kind: kind.into(), namespace: None, name: name.into() })
}

/// The objects that this one names, owners left out, each once.
pub(super) fn named_by(kind: &str, body: &Value) -> Vec<Named> {
    let spec = &body["spec"];
    let mut found: Vec<Named> = match kind {
        "Ingress" => ingress(spec),
        "HorizontalPodAutoscaler" => target(&spec["scaleTargetRef"]).into_iter().collect(),
        "PersistentVolumeClaim" => [
            named("PersistentVolume", &spec["volumeName"]),
            named("storage.k8s.io/StorageClass", &spec["storageClassName"]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        "PersistentVolume" => {
            let claim = &spec["claimRef"];
            named("PersistentVolumeClaim", &claim["name"])
                .map(|found| Named { namespace: text(&claim["namespace"]), ..found })
                .into_iter()
                .chain(named("storage.k8s.io/StorageClass", &spec["storageClassName"]))
                .collect()
        }
        "EndpointSlice" => {
            named("Service", &body["metadata"]["labels"]["kubernetes.io/service-name"])
                .into_iter()
                .collect()
        }
        "Endpoints" => named("Service", &body["metadata"]["name"]).into_iter().collect(),
        "StatefulSet" => {
            named("Service", &spec["serviceName"]).into_iter().chain(pod(template(body))).collect()
        }
        "ServiceAccount" => names("Secret", &body["secrets"], "name")
            .chain(names("Secret", &body["imagePullSecrets"], "name"))
            .collect(),
        "Pod" => named("Node", &spec["nodeName"]).into_iter().chain(pod(spec)).collect(),
        "Event" => target(&body["involvedObject"]).into_iter().collect(),
        _ => pod(template(body)),
    };
    found.sort_unstable();
    found.dedup();
    found
}

/// The pod's spec in a workload; null for other kinds.
fn template(body: &Value) -> &Value {
    let direct = &body["spec"]["template"]["spec"];
    if direct.is_null() { &body["spec"]["jobTemplate"]["spec"]["template"]["spec"] } else { direct }
}

/// `ConfigMap`s, Secrets, claims and the account that a pod's spec names.
fn pod(spec: &Value) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    found.extend(named("ServiceAccount", &spec["serviceAccountName"]));
    found.extend(names("Secret", &spec["imagePullSecrets"], "name"));
    found.extend(named("scheduling.k8s.io/PriorityClass", &spec["priorityClassName"]));
    for volume in list(&spec["volumes"]) {
        found.extend(named("ConfigMap", &volume["configMap"]["name"]));
        found.extend(named("Secret", &volume["secret"]["secretName"]));
        found.extend(named("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"]));
        for source in list(&volume["projected"]["sources"]) {
            found.extend(named("ConfigMap", &source["configMap"]["name"]));
            found.extend(named("Secret", &source["secret"]["name"]));
        }
    }
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        for container in list(&spec[containers]) {
            for source in list(&container["envFrom"]) {
                found.extend(named("ConfigMap", &source["configMapRef"]["name"]));
                found.extend(named("Secret", &source["secretRef"]["name"]));
            }
            for variable in list(&container["env"]) {
                let from = &variable["valueFrom"];
                found.extend(named("ConfigMap", &from["configMapKeyRef"]["name"]));
                found.extend(named("Secret", &from["secretKeyRef"]["name"]));
            }
        }
    }
    found
}

fn ingress(spec: &Value) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    found.extend(named("Service", &spec["defaultBackend"]["service"]["name"]));
    found.extend(names("Secret", &spec["tls"], "secretName"));
    found.extend(named("networking.k8s.io/IngressClass", &spec["ingressClassName"]));
    for rule in list(&spec["rules"]) {
        for path in list(&rule["http"]["paths"]) {
            found.extend(named("Service", &path["backend"]["service"]["name"]));
        }
    }
    found
}

/// An object reference with its own apiVersion and kind.
fn target(reference: &Value) -> Option<Named> {
    let kind = text(&reference["kind"])?;
    let group = text(&reference["apiVersion"]).and_then(|found| group_of(&found));
    let kind = group.map_or_else(|| kind.clone(), |group| format!("{group}/{kind}"));
    let found = named(&kind, &reference["name"])?;
    Some(Named { namespace: text(&reference["namespace"]), ..found })
}

/// The group of an apiVersion; `None` for the core one.
pub(super) fn group_of(api_version: &str) -> Option<String> {
    api_version.split_once('/').map(|(group, _)| group.to_owned())
}

/// The label selector by which an object of this kind chooses pods, as text; `None` if it chooses
/// none.
pub(super) fn selector_of(kind: &str, body: &Value) -> Option<String> {
    let spec = &body["spec"];
    match kind {
        // Maps of labels; an empty one selects nothing.
        "Service" | "ReplicationController" => {
            equalities(&spec["selector"]).filter(|found| !found.is_empty())
        }
        "NetworkPolicy" => label_selector(&spec["podSelector"]),
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "PodDisruptionBudget" => label_selector(&spec["selector"]),
        _ => None,
    }
}

/// A `metav1.LabelSelector`; an empty one selects everything.
fn label_selector(selector: &Value) -> Option<String> {
    selector.as_object()?;
    let mut parts = Vec::new();
    parts.extend(equalities(&selector["matchLabels"]).filter(|found| !found.is_empty()));
    for wanted in list(&selector["matchExpressions"]) {
        let key = wanted["key"].as_str()?;
        let values: Vec<&str> = list(&wanted["values"]).filter_map(Value::as_str).collect();
        let values = values.join(",");
        parts.push(match wanted["operator"].as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    Some(parts.join(","))
}

fn equalities(labels: &Value) -> Option<String> {
    let each = labels.as_object()?.iter();
    let parts: Option<Vec<String>> =
        each.map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    Some(parts?.join(","))
}

fn names<'a>(
    kind: &'a str,
    entries: &'a Value,
    field: &'a str,
) -> impl Iterator<Item = Named> + 'a {
    list(entries).filter_map(move |entry| named(kind, &entry[field]))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(Into::into)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(kind: &str, body: &Value) -> Vec<String> {
        let shown = |found: &Named| format!("{} {}", found.kind, found.name);
        named_by(kind, body).iter().map(shown).collect()
    }

    #[test]
    fn a_pod_names_its_node_and_what_it_mounts_and_reads() {
        let spec = json!({
            "nodeName": "n1",
            "serviceAccountName": "sa",
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [
                {"name": "a", "configMap": {"name": "cm"}},
                {"name": "b", "secret": {"secretName": "tls"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "d", "projected": {"sources": [
                    {"configMap": {"name": "root-ca"}}, {"secret": {"name": "token"}}
                ]}},
                {"name": "e", "emptyDir": {}}
            ],
            "initContainers": [{"envFrom": [{"secretRef": {"name": "init"}}]}],
            "containers": [{
                "envFrom": [{"configMapRef": {"name": "cm"}}],
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}},
                    {"name": "B", "value": "x"}
                ]
            }]
        });
        let rest = [
            "ConfigMap cm",
            "ConfigMap root-ca",
            "Node n1",
            "PersistentVolumeClaim data",
            "Secret init",
            "Secret key",
            "Secret pull",
            "Secret tls",
            "Secret token",
            "ServiceAccount sa",
        ];
        assert_eq!(told("Pod", &json!({"spec": spec})), rest);
        let templates = [
            json!({"spec": {"template": {"spec": spec}}}),
            json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}),
        ];
        for body in templates {
            let without_node: Vec<_> = rest.iter().filter(|found| **found != "Node n1").collect();
            let found = told("Deployment", &body);
            assert_eq!(
                found.iter().filter(|found| *found != "Node n1").count(),
                without_node.len()
            );
        }
        assert_eq!(told("ConfigMap", &json!({"data": {}})), Vec::<String>::new());
    }

    #[test]
    fn other_kinds_name_what_they_lead_to() {
        let cases = [
            (
                "Ingress",
                json!({"spec": {"tls": [{"secretName": "crt"}], "rules": [
                    {"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}
                ]}}),
                vec!["Secret crt", "Service web"],
            ),
            (
                "HorizontalPodAutoscaler",
                json!({"spec": {"scaleTargetRef":
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}),
                vec!["apps/Deployment web"],
            ),
            (
                "PersistentVolumeClaim",
                json!({"spec": {"volumeName": "pv-1", "storageClassName": "fast"}}),
                vec!["PersistentVolume pv-1", "storage.k8s.io/StorageClass fast"],
            ),
            (
                "EndpointSlice",
                json!({"metadata": {"labels": {"kubernetes.io/service-name": "web"}}}),
                vec!["Service web"],
            ),
        ];
        for (kind, body, wanted) in cases {
            assert_eq!(told(kind, &body), wanted, "{kind}");
        }
    }

    #[test]
    fn selectors_are_told_as_text() {
        let service = json!({"spec": {"selector": {"app": "web", "tier": "x"}}});
        assert_eq!(selector_of("Service", &service).unwrap(), "app=web,tier=x");
        assert_eq!(selector_of("Service", &json!({"spec": {"selector": {}}})), None);
        assert_eq!(selector_of("Service", &json!({"spec": {}})), None);
        let workload = json!({"spec": {"selector": {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["1", "2"]},
                {"key": "b", "operator": "NotIn", "values": ["3"]},
                {"key": "c", "operator": "Exists"},
                {"key": "d", "operator": "DoesNotExist"}
            ]
        }}});
        let wanted = "app=web,a in (1,2),b notin (3),c,!d";
        assert_eq!(selector_of("Deployment", &workload).unwrap(), wanted);
        let everything = json!({"spec": {"podSelector": {}}});
        assert_eq!(selector_of("NetworkPolicy", &everything).unwrap(), "");
        assert_eq!(selector_of("ConfigMap", &workload), None);
    }
}
