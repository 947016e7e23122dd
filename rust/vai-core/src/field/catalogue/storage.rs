//! Volumes, their classes, and devices.

use super::{FieldDef, Type, Value, at, selectable, text};

pub(super) fn fields(group: &str, kind: &str) -> Vec<FieldDef> {
    match (group, kind) {
        ("storage.k8s.io", "StorageClass") => vec![
            text("provisioner"),
            text("reclaimPolicy"),
            text("volumeBindingMode").alias("bindingMode"),
            at("allowVolumeExpansion", Type::Bool).default(Value::Bool(false)),
            text("metadata.annotations[storageclass.kubernetes.io/is-default-class]")
                .alias("default"),
        ],
        ("storage.k8s.io", "VolumeAttachment") => vec![
            text("spec.attacher").alias("attacher"),
            text("spec.nodeName").alias("node"),
            text("spec.source.persistentVolumeName").alias("volume"),
            at("status.attached", Type::Bool).alias("attached").default(Value::Bool(false)),
        ],
        // pkg/apis/resource/v1/conversion.go; ResourceSliceSelectorNodeName,
        // ResourceSliceSelectorDriver
        ("resource.k8s.io", "ResourceSlice") => vec![
            selectable("spec.nodeName").alias("node"),
            selectable("spec.driver").alias("driver"),
            text("spec.pool.name").alias("pool"),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn volume() -> Vec<FieldDef> {
    vec![
        text("status.phase").alias("phase"),
        text("status.reason").alias("reason"),
        at("spec.capacity.storage", Type::Quantity).alias("capacity"),
        text("spec.accessModes[*]").many().alias("accessModes"),
        text("spec.persistentVolumeReclaimPolicy").alias("reclaimPolicy"),
        text("spec.storageClassName").alias("storageClass"),
        text("spec.volumeMode").alias("volumeMode"),
        text("spec.claimRef.namespace").alias("claim.namespace"),
        text("spec.claimRef.name").alias("claim").alias("claim.name"),
    ]
}

pub(super) fn claim() -> Vec<FieldDef> {
    vec![
        text("status.phase").alias("phase"),
        text("spec.volumeName").alias("volume"),
        at("status.capacity.storage", Type::Quantity).alias("capacity"),
        at("spec.resources.requests.storage", Type::Quantity).alias("requests.storage"),
        text("status.accessModes[*]").many().alias("accessModes"),
        text("spec.storageClassName").alias("storageClass"),
        text("spec.volumeMode").alias("volumeMode"),
    ]
}
