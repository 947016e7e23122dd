//! The fields of well-known kinds, one file for each area of the API.
//!
//! Three sources, named where a field comes from neither of the usual ones:
//!
//! - field selectors: registered by `AddFieldLabelConversionFunc` in kubernetes'
//!   `pkg/apis/*/v1/conversion.go` and computed by the `…SelectableFields` functions in
//!   `pkg/registry/*/*/strategy.go` (read at v1.36). A kind that registers nothing has only
//!   `metadata.name` and `metadata.namespace`, which every kind has and which are therefore not in
//!   the sets here (`DefaultMetaV1FieldSelectorConversion` in
//!   `apimachinery/pkg/runtime/conversion.go`);
//! - kubectl's columns: `pkg/printers/internalversion/printers.go`;
//! - what Rancher's lists sort and filter by: `TypeSpecificIndexedFields` in
//!   `pkg/stores/sqlproxy/proxy_store.go` of rancher/steve, whose names without `[*]` are aliases.

mod access;
mod core;
mod network;
mod pods;
mod rancher;
mod storage;
mod workloads;

use super::{FieldDef, Reduce, Source};
use crate::path::Path;
use crate::value::{Type, Value};

/// The fields of a kind, those of every kind behind them.
#[must_use]
pub fn fields(group: &str, kind: &str) -> Vec<FieldDef> {
    let mut fields = match group {
        "" if kind == "Pod" => pods::pod(),
        "" => core::fields(kind),
        "events.k8s.io" => core::events_group(kind),
        "apps" => workloads::apps(kind),
        "batch" => workloads::batch(kind),
        "autoscaling" => workloads::autoscaling(kind),
        "policy" => workloads::policy(kind),
        "networking.k8s.io" | "discovery.k8s.io" | "gateway.networking.k8s.io" => {
            network::fields(kind)
        }
        "storage.k8s.io" | "resource.k8s.io" => storage::fields(group, kind),
        "cluster.x-k8s.io" => rancher::machines(kind),
        _ if group.ends_with("cattle.io") => rancher::fields(group, kind),
        _ => access::fields(group, kind),
    };
    fields.extend(of_every_kind());
    fields
}

/// The fields of every kind.
#[must_use]
pub fn of_every_kind() -> Vec<FieldDef> {
    vec![
        // `age` counts from it, the other way round.
        at("metadata.creationTimestamp", Type::Time).alias("creationTimestamp"),
        at("metadata.deletionTimestamp", Type::Time).alias("deletionTimestamp"),
    ]
}

/// A field named like its path.
fn at(path: &str, ty: Type) -> FieldDef {
    named(path, ty, &[path])
}

/// A field named otherwise than its paths.
fn named(name: &str, ty: Type, paths: &[&str]) -> FieldDef {
    FieldDef {
        name: name.to_owned(),
        aliases: Vec::new(),
        // That all of them are paths is tested.
        paths: paths.iter().filter_map(|path| Path::parse(path).ok()).collect(),
        ty,
        many: false,
        selector_names: Vec::new(),
        default: None,
        source: Source::BuiltIn,
        reduce: None,
    }
}

/// A text that servers select by under the name of its path.
fn selectable(path: &str) -> FieldDef {
    at(path, Type::Text).selected_as(&[path])
}

fn text(path: &str) -> FieldDef {
    at(path, Type::Text)
}

fn int(path: &str) -> FieldDef {
    at(path, Type::Int)
}

fn time(path: &str) -> FieldDef {
    at(path, Type::Time)
}

/// The status of a condition: `True`, `False` or `Unknown`.
fn condition(alias: &str, name: &str) -> FieldDef {
    text(&format!("status.conditions[type={name}].status")).alias(alias)
}

/// The images of a pod template.
fn images(path: &str) -> FieldDef {
    let containers = format!("{path}containers[*].image");
    let steve = format!("{path}containers.image");
    text(&containers).many().alias("images").alias("image").alias(&steve)
}

impl FieldDef {
    fn alias(mut self, alias: &str) -> Self {
        self.aliases.push(alias.to_owned());
        self
    }

    fn selected_as(mut self, names: &[&str]) -> Self {
        self.selector_names = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    fn default(mut self, value: Value) -> Self {
        self.default = Some(value);
        self
    }

    fn many(mut self) -> Self {
        self.many = true;
        self
    }

    fn reduce(mut self, reduce: Reduce) -> Self {
        self.reduce = Some(reduce);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_definition_is_sound() {
        for (group, kind) in KINDS {
            let fields = fields(group, kind);
            assert!(fields.len() > 2, "{group} {kind} has no fields of its own");
            let mut names = HashSet::new();
            for field in &fields {
                let what = format!("{group} {kind} {}", field.name);
                assert_eq!(field.paths.is_empty(), field.name == "status.podIPs", "{what}");
                for name in std::iter::once(&field.name).chain(&field.aliases) {
                    assert!(names.insert(name.clone()), "{what}: {name} is taken");
                }
                // Several values need a way to keep them.
                let many = field.paths.iter().any(Path::is_many);
                let condition = field.name.contains("[type=")
                    || field
                        .paths
                        .iter()
                        .any(|path| path.to_string().contains("[controller=true]"));
                assert_eq!(field.many || field.reduce.is_some(), many && !condition, "{what}");
                assert_eq!(field.source, Source::BuiltIn);
                if let Some(default) = &field.default {
                    assert_eq!(Value::parse(field.ty, &default.to_string()).as_ref(), Ok(default));
                }
                let json = serde_json::to_string(field).unwrap();
                assert_eq!(serde_json::from_str::<FieldDef>(&json).unwrap(), *field, "{json}");
            }
        }
    }

    #[test]
    fn a_path_that_is_written_wrong_would_be_noticed() {
        assert!(named("x", Type::Text, &["a[", "b"]).paths.len() == 1);
        let count = |paths: &[&str]| named("x", Type::Text, paths).paths.len();
        assert_eq!(count(&["status.conditions[type=Ready].status"]), 1);
    }

    #[test]
    fn unknown_kinds_have_what_every_kind_has() {
        for (group, kind) in
            [("example.com", "Pod"), ("", "Nope"), ("apps", "Nope"), ("x.cattle.io", "Nope")]
        {
            assert_eq!(fields(group, kind), of_every_kind(), "{group} {kind}");
        }
    }

    const KINDS: &[(&str, &str)] = &[
        ("", "ConfigMap"),
        ("", "Endpoints"),
        ("", "Event"),
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("", "Pod"),
        ("", "ReplicationController"),
        ("", "Secret"),
        ("", "Service"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("batch", "CronJob"),
        ("batch", "Job"),
        ("catalog.cattle.io", "App"),
        ("catalog.cattle.io", "ClusterRepo"),
        ("catalog.cattle.io", "Operation"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("certificates.k8s.io", "ClusterTrustBundle"),
        ("certificates.k8s.io", "PodCertificateRequest"),
        ("cluster.x-k8s.io", "Machine"),
        ("cluster.x-k8s.io", "MachineDeployment"),
        ("coordination.k8s.io", "Lease"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("events.k8s.io", "Event"),
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "HTTPRoute"),
        ("management.cattle.io", "Cluster"),
        ("management.cattle.io", "ClusterRoleTemplateBinding"),
        ("management.cattle.io", "GlobalRoleBinding"),
        ("management.cattle.io", "Node"),
        ("management.cattle.io", "NodePool"),
        ("management.cattle.io", "NodeTemplate"),
        ("management.cattle.io", "Project"),
        ("management.cattle.io", "ProjectRoleTemplateBinding"),
        ("management.cattle.io", "RoleTemplate"),
        ("management.cattle.io", "User"),
        ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "IngressClass"),
        ("policy", "PodDisruptionBudget"),
        ("provisioning.cattle.io", "Cluster"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("resource.k8s.io", "ResourceSlice"),
        ("rke.cattle.io", "ETCDSnapshot"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "VolumeAttachment"),
    ];
}
