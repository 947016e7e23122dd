//! Pods.

use super::{FieldDef, Reduce, Type, Value, at, images, int, named, selectable, text, time};

pub(super) fn pod() -> Vec<FieldDef> {
    vec![
        // Field selectors: pkg/apis/core/v1/conversion.go, pkg/registry/core/pod/strategy.go.
        // "This is for backwards compatibility with old v1 clients which send spec.host"
        selectable("spec.nodeName")
            .selected_as(&["spec.nodeName", "spec.host"])
            .alias("node")
            .alias("nodeName"),
        selectable("spec.restartPolicy").alias("restartPolicy"),
        selectable("spec.schedulerName").alias("scheduler"),
        selectable("spec.serviceAccountName").alias("serviceAccount"),
        at("spec.hostNetwork", Type::Bool)
            .selected_as(&["spec.hostNetwork"])
            .default(Value::Bool(false))
            .alias("hostNetwork"),
        selectable("status.phase").alias("phase"),
        selectable("status.podIP").alias("podIP"),
        // Accepted, yet ToSelectableFields never sets it: it compares as "" for every pod.
        named("status.podIPs", Type::Text, &[]).selected_as(&["status.podIPs"]),
        selectable("status.nominatedNodeName").alias("nominatedNode"),
        // kubectl's columns. `printPod` adds the restarts of sidecars, and shows those of init
        // containers alone while they run: docs/fields.md.
        named("restarts", Type::Int, &["status.containerStatuses[*].restartCount"])
            .reduce(Reduce::Sum)
            .default(Value::Int(0)),
        named("ready", Type::Int, &["status.containerStatuses[ready=true]"]).reduce(Reduce::Count),
        named("ip", Type::Ip, &["status.podIP"]),
        at("status.hostIP", Type::Ip).alias("hostIP"),
        text("status.reason").alias("reason"),
        // What people group and sort by.
        text("status.qosClass").alias("qos").alias("qosClass"),
        time("status.startTime").alias("startTime"),
        int("spec.priority").alias("priority"),
        images("spec."),
        sum("requests.cpu", "spec.containers[*].resources.requests.cpu"),
        sum("requests.memory", "spec.containers[*].resources.requests.memory"),
        sum("limits.cpu", "spec.containers[*].resources.limits.cpu"),
        sum("limits.memory", "spec.containers[*].resources.limits.memory"),
        named("owner.kind", Type::Text, &["metadata.ownerReferences[controller=true].kind"]),
        named("owner.name", Type::Text, &["metadata.ownerReferences[controller=true].name"])
            .alias("owner"),
        // Who uses a claim is found by it; ConfigMaps and Secrets would be rows of every pod.
        text("spec.volumes[*].persistentVolumeClaim.claimName")
            .many()
            .alias("claims")
            .alias("claim"),
    ]
}

fn sum(name: &str, path: &str) -> FieldDef {
    named(name, Type::Quantity, &[path]).reduce(Reduce::Sum)
}
