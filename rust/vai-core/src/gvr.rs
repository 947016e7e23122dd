//! Names of resources, as `k8s.io/apimachinery/pkg/runtime/schema` has them.

use std::fmt;

/// A resource without its version: what a user names, `pods` or `deployments.apps`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name.
    pub resource: String,
}

impl GroupResource {
    /// Splits `resource.group` at the first dot, like `schema.ParseGroupResource`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (resource, group) = text.split_once('.').unwrap_or((text, ""));
        Self { group: group.to_owned(), resource: resource.to_owned() }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// A resource in one version: what a server serves at one path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionResource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Plural name.
    pub resource: String,
}

impl GroupVersionResource {
    /// A resource by its three names.
    #[must_use]
    pub fn new(group: &str, version: &str, resource: &str) -> Self {
        Self { group: group.to_owned(), version: version.to_owned(), resource: resource.to_owned() }
    }

    /// The `apiVersion` of its objects: `v1`, `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The same without the version.
    #[must_use]
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.clone(), resource: self.resource.clone() }
    }

    /// Reads `resource.version.group`, like `schema.ParseResourceArg`; the core group is written
    /// with a trailing dot (`pods.v1.`). `None` when there are fewer than two dots or an empty
    /// name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (resource, rest) = text.split_once('.')?;
        let (version, group) = rest.split_once('.')?;
        (!resource.is_empty() && !version.is_empty()).then(|| Self::new(group, version, resource))
    }
}

/// The form that [`GroupVersionResource::parse`] reads and kubectl accepts.
impl fmt::Display for GroupVersionResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.resource, self.version, self.group)
    }
}

/// Splits an `apiVersion` into (group, version); the core group is empty.
#[must_use]
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_resources_are_split_at_the_first_dot() {
        for (text, group, resource) in [
            ("pods", "", "pods"),
            ("deployments.apps", "apps", "deployments"),
            ("roles.rbac.authorization.k8s.io", "rbac.authorization.k8s.io", "roles"),
        ] {
            let parsed = GroupResource::parse(text);
            assert_eq!((parsed.group.as_str(), parsed.resource.as_str()), (group, resource));
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn full_names_survive_a_round_trip() {
        for text in ["pods.v1.", "deployments.v1.apps", "roles.v1.rbac.authorization.k8s.io"] {
            let parsed = GroupVersionResource::parse(text).unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(
                split_api_version(&parsed.api_version()),
                (parsed.group.as_str(), parsed.version.as_str())
            );
        }
        for text in ["pods", "pods.v1", ".v1.apps", "pods..apps", ""] {
            assert_eq!(GroupVersionResource::parse(text), None, "{text:?}");
        }
    }
}
