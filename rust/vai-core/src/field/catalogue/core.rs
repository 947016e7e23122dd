//! The other kinds of the core group, and events.

use super::{
    FieldDef, Reduce, Type, Value, at, condition, images, int, named, selectable, text, time,
};

pub(super) fn fields(kind: &str) -> Vec<FieldDef> {
    match kind {
        "Node" => node(),
        "Namespace" => vec![
            selectable("status.phase").alias("phase"),
            text("spec.displayName").alias("displayName"),
        ],
        "Secret" => vec![selectable("type").alias("_type"), count("data", "data[*]")],
        "ConfigMap" => vec![count("data", "data[*]")],
        "Service" => service(),
        "Endpoints" => vec![
            at("subsets[*].addresses[*].ip", Type::Ip).many().alias("ip"),
            text("subsets[*].addresses[*].nodeName").many().alias("node"),
        ],
        "PersistentVolume" => super::storage::volume(),
        "PersistentVolumeClaim" => super::storage::claim(),
        "ReplicationController" => vec![
            at("status.replicas", Type::Int)
                .selected_as(&["status.replicas"])
                .default(Value::Int(0))
                .alias("current"),
            int("spec.replicas").alias("replicas"),
            int("status.readyReplicas").alias("ready").default(Value::Int(0)),
            images("spec.template.spec."),
        ],
        "Event" => core_event(),
        _ => Vec::new(),
    }
}

fn count(name: &str, path: &str) -> FieldDef {
    named(name, Type::Int, &[path]).reduce(Reduce::Count)
}

// pkg/registry/core/node/strategy.go; kubectl's wide columns.
fn node() -> Vec<FieldDef> {
    let quantity = |name: &str| at(name, Type::Quantity);
    let address = |name: &str, kind: &str| {
        named(name, Type::Ip, &[&format!("status.addresses[type={kind}].address")]).many()
    };
    vec![
        at("spec.unschedulable", Type::Bool)
            .selected_as(&["spec.unschedulable"])
            .default(Value::Bool(false))
            .alias("unschedulable"),
        condition("ready", "Ready"),
        condition("memoryPressure", "MemoryPressure"),
        condition("diskPressure", "DiskPressure"),
        text("spec.taints[*].key").many().alias("taints").alias("spec.taints.key"),
        address("internalIP", "InternalIP").alias("ip"),
        address("externalIP", "ExternalIP"),
        text("spec.providerID").alias("providerID"),
        text("status.nodeInfo.kubeletVersion").alias("version").alias("kubeletVersion"),
        text("status.nodeInfo.operatingSystem").alias("os"),
        text("status.nodeInfo.osImage").alias("osImage"),
        text("status.nodeInfo.architecture").alias("arch"),
        text("status.nodeInfo.kernelVersion").alias("kernel"),
        text("status.nodeInfo.containerRuntimeVersion").alias("runtime"),
        quantity("status.capacity.cpu").alias("capacity.cpu"),
        quantity("status.capacity.memory").alias("capacity.memory"),
        quantity("status.allocatable.cpu").alias("allocatable.cpu"),
        quantity("status.allocatable.memory").alias("allocatable.memory"),
        quantity("status.allocatable.pods").alias("allocatable.pods"),
    ]
}

fn service() -> Vec<FieldDef> {
    vec![
        selectable("spec.clusterIP").alias("clusterIP"),
        selectable("spec.type").alias("type"),
        at("spec.clusterIPs[*]", Type::Ip).many().alias("ip"),
        named(
            "externalIP",
            Type::Ip,
            &["status.loadBalancer.ingress[*].ip", "spec.externalIPs[*]"],
        )
        .many(),
        text("status.loadBalancer.ingress[*].hostname").many().alias("hostname"),
        int("spec.ports[*].port").many().alias("port"),
        int("spec.ports[*].nodePort").many().alias("nodePort"),
        text("spec.externalName").alias("externalName"),
    ]
}

// pkg/registry/core/event/strategy.go: `source` is the component, or else the controller.
// `printEvent`: a series counts for itself, an event that says no number happened once.
fn core_event() -> Vec<FieldDef> {
    vec![
        selectable("involvedObject.kind").alias("kind"),
        selectable("involvedObject.namespace"),
        selectable("involvedObject.name").alias("object"),
        selectable("involvedObject.uid"),
        selectable("involvedObject.apiVersion"),
        selectable("involvedObject.resourceVersion"),
        selectable("involvedObject.fieldPath"),
        selectable("reason"),
        selectable("reportingComponent"),
        named("source", Type::Text, &["source.component", "reportingComponent"])
            .selected_as(&["source"]),
        selectable("type").alias("_type"),
        named("count", Type::Int, &["series.count", "count"]).default(Value::Int(1)),
        named(
            "lastTimestamp",
            Type::Time,
            &["series.lastObservedTime", "lastTimestamp", "firstTimestamp", "eventTime"],
        )
        .alias("lastSeen"),
        named("firstTimestamp", Type::Time, &["firstTimestamp", "eventTime"]).alias("firstSeen"),
    ]
}

// pkg/apis/events/v1/conversion.go
pub(super) fn events_group(kind: &str) -> Vec<FieldDef> {
    if kind != "Event" {
        return Vec::new();
    }
    vec![
        selectable("regarding.kind").alias("kind"),
        selectable("regarding.namespace"),
        selectable("regarding.name").alias("object"),
        selectable("regarding.uid"),
        selectable("regarding.apiVersion"),
        selectable("regarding.resourceVersion"),
        selectable("regarding.fieldPath"),
        selectable("reason"),
        selectable("reportingController").alias("source"),
        selectable("type"),
        named("count", Type::Int, &["series.count", "deprecatedCount"]).default(Value::Int(1)),
        named(
            "lastTimestamp",
            Type::Time,
            &[
                "series.lastObservedTime",
                "deprecatedLastTimestamp",
                "deprecatedFirstTimestamp",
                "eventTime",
            ],
        )
        .alias("lastSeen"),
        time("eventTime"),
    ]
}
