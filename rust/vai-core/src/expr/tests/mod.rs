//! What expressions mean, and that they survive printing.

mod language;
mod matching;
mod round_trip;

use super::{Catalogue, FieldInfo};
use crate::value::Type;

/// A few fields of pods.
pub(super) struct Pods;

const FIELDS: [(&str, &str, Type, bool, bool); 10] = [
    ("status.phase", "phase", Type::Text, false, true),
    ("spec.nodeName", "node", Type::Text, false, true),
    ("restarts", "", Type::Int, false, false),
    ("spec.hostNetwork", "", Type::Bool, false, true),
    ("requests.memory", "", Type::Quantity, false, false),
    ("containers.image", "images", Type::Text, true, false),
    ("status.podIPs[*].ip", "ip", Type::Ip, true, false),
    ("metadata.creationTimestamp", "created", Type::Time, false, false),
    ("ttl", "", Type::Duration, false, false),
    ("scores", "", Type::Int, true, false),
];

impl Pods {
    pub(super) fn info(name: &str) -> Option<FieldInfo> {
        FIELDS.iter().find(|field| field.0 == name || (field.1 == name && !name.is_empty())).map(
            |&(name, _, ty, many, _)| FieldInfo { name: name.to_owned(), ty, many, ready: true },
        )
    }
}

impl Catalogue for Pods {
    fn field(&self, name: &str) -> Option<FieldInfo> {
        Self::info(name)
    }

    fn names(&self) -> Vec<String> {
        let all = FIELDS.iter().flat_map(|field| [field.0, field.1]);
        all.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn selectable(&self, label: &str) -> Option<FieldInfo> {
        let info = Self::info(label)?;
        FIELDS.iter().any(|field| field.0 == label && field.4).then_some(info)
    }

    fn selectable_names(&self) -> Vec<String> {
        FIELDS.iter().filter(|field| field.4).map(|field| field.0.to_owned()).collect()
    }

    fn namespaced(&self) -> bool {
        true
    }
}

/// 2026-01-01T00:00:00Z
pub(super) const NOW_US: i64 = 1_767_225_600_000_000;
