//! Who may what, and what extends the API.

use super::{FieldDef, Reduce, Type, Value, at, condition, int, named, selectable, text, time};

pub(super) fn fields(group: &str, kind: &str) -> Vec<FieldDef> {
    match group {
        "rbac.authorization.k8s.io" => rbac(kind),
        "certificates.k8s.io" => certificates(kind),
        "coordination.k8s.io" if kind == "Lease" => vec![
            text("spec.holderIdentity").alias("holder"),
            time("spec.renewTime").alias("renewTime"),
        ],
        "scheduling.k8s.io" if kind == "PriorityClass" => {
            vec![int("value"), at("globalDefault", Type::Bool).default(Value::Bool(false))]
        }
        "apiextensions.k8s.io" if kind == "CustomResourceDefinition" => vec![
            text("spec.group").alias("group"),
            text("spec.names.kind").alias("kind"),
            text("spec.scope").alias("scope"),
            text("spec.versions[*].name").many().alias("versions"),
            condition("established", "Established"),
        ],
        "apiregistration.k8s.io" if kind == "APIService" => vec![
            text("spec.group").alias("group"),
            text("spec.service.name").alias("service"),
            condition("available", "Available"),
        ],
        "admissionregistration.k8s.io"
            if matches!(
                kind,
                "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration"
            ) =>
        {
            vec![named("webhooks", Type::Int, &["webhooks[*]"]).reduce(Reduce::Count)]
        }
        _ => Vec::new(),
    }
}

fn rbac(kind: &str) -> Vec<FieldDef> {
    match kind {
        "RoleBinding" | "ClusterRoleBinding" => vec![
            text("roleRef.kind"),
            text("roleRef.name").alias("role"),
            text("subjects[*].name").many().alias("subject"),
            text("subjects[kind=User].name").many().alias("user"),
            text("subjects[kind=Group].name").many().alias("group"),
            text("subjects[kind=ServiceAccount].name").many().alias("serviceAccount"),
        ],
        _ => Vec::new(),
    }
}

// pkg/apis/certificates/v1/conversion.go, v1beta1/conversion.go
fn certificates(kind: &str) -> Vec<FieldDef> {
    let signer = || selectable("spec.signerName").alias("signer");
    match kind {
        "CertificateSigningRequest" => vec![
            signer(),
            text("spec.username").alias("requestor"),
            text("status.conditions[*].type").many().alias("condition"),
        ],
        "ClusterTrustBundle" => vec![signer()],
        "PodCertificateRequest" => vec![
            signer(),
            selectable("spec.podName").alias("pod"),
            selectable("spec.nodeName").alias("node"),
        ],
        _ => Vec::new(),
    }
}
