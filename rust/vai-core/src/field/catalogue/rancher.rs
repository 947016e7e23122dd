//! Kinds of Rancher, with the fields that its lists sort and filter by: `TypeSpecificIndexedFields`
//! in `pkg/stores/sqlproxy/proxy_store.go` of rancher/steve.

use super::{FieldDef, Type, at, int, text, time};

pub(super) fn fields(group: &str, kind: &str) -> Vec<FieldDef> {
    match (group, kind) {
        ("catalog.cattle.io", "App") => vec![text("spec.chart.metadata.name")],
        ("catalog.cattle.io", "ClusterRepo") => vec![
            text("metadata.annotations[clusterrepo.cattle.io/hidden]"),
            text("spec.gitBranch"),
            text("spec.gitRepo"),
        ],
        ("catalog.cattle.io", "Operation") => {
            vec![text("status.action"), text("status.namespace"), text("status.releaseName")]
        }
        ("management.cattle.io", _) => management(kind),
        ("provisioning.cattle.io", "Cluster") => [
            vec![
                text(
                    "metadata.annotations[provisioning.cattle.io/management-cluster-display-name]",
                ),
                text("status.clusterName"),
                text("status.provider"),
            ],
            resources(),
        ]
        .concat(),
        ("rke.cattle.io", "ETCDSnapshot") => {
            vec![time("snapshotFile.createdAt"), text("spec.clusterName")]
        }
        _ => Vec::new(),
    }
}

pub(super) fn machines(kind: &str) -> Vec<FieldDef> {
    match kind {
        "Machine" | "MachineDeployment" => vec![text("spec.clusterName").alias("cluster")],
        _ => Vec::new(),
    }
}

fn management(kind: &str) -> Vec<FieldDef> {
    match kind {
        "Cluster" => [
            vec![
                text("spec.displayName").alias("displayName"),
                text("spec.fleetWorkspaceName"),
                at("spec.internal", Type::Bool),
                text("status.driver"),
                text("status.info.kubernetesVersion"),
                text("status.info.machineProvider"),
                int("status.info.nodeCount"),
                at("status.connected", Type::Bool),
                text("status.provider"),
            ],
            resources(),
        ]
        .concat(),
        "ClusterRoleTemplateBinding" => {
            vec![text("clusterName"), text("userName"), text("userPrincipalName")]
        }
        "GlobalRoleBinding" | "ProjectRoleTemplateBinding" => {
            vec![text("userName"), text("userPrincipalName")]
        }
        "Node" => vec![text("status.nodeName")],
        "NodePool" | "NodeTemplate" => vec![text("spec.clusterName").alias("cluster")],
        "Project" => vec![
            text("spec.clusterName").alias("cluster"),
            text("spec.displayName").alias("displayName"),
        ],
        "RoleTemplate" => vec![text("context")],
        "User" => vec![text("principalIds[*]").many().alias("principalIds"), text("username")],
        _ => Vec::new(),
    }
}

/// The `…Raw` columns beside them are the same in floating point.
fn resources() -> Vec<FieldDef> {
    ["allocatable", "requested"]
        .into_iter()
        .flat_map(|which| {
            ["cpu", "memory", "pods"]
                .map(|what| at(&format!("status.{which}.{what}"), Type::Quantity))
        })
        .collect()
}
