//! Networking, discovery, the gateway API.

use super::{FieldDef, Type, at, condition, int, named, text};

pub(super) fn fields(kind: &str) -> Vec<FieldDef> {
    match kind {
        "Ingress" => vec![
            text("spec.ingressClassName").alias("class"),
            text("spec.rules[*].host").many().alias("host").alias("spec.rules.host"),
            text("spec.rules[*].http.paths[*].backend.service.name").many().alias("service"),
            named("ip", Type::Ip, &["status.loadBalancer.ingress[*].ip"]).many(),
            text("status.loadBalancer.ingress[*].hostname").many().alias("hostname"),
            text("spec.tls[*].secretName").many().alias("secret"),
        ],
        "IngressClass" => vec![text("spec.controller").alias("controller")],
        "EndpointSlice" => vec![
            text("addressType"),
            text("endpoints[*].addresses[*]").many().alias("address"),
            text("endpoints[*].nodeName").many().alias("node"),
            int("ports[*].port").many().alias("port"),
        ],
        "Gateway" => vec![
            text("spec.gatewayClassName").alias("class"),
            at("status.addresses[*].value", Type::Text).many().alias("address"),
            condition("programmed", "Programmed"),
        ],
        "HTTPRoute" => vec![
            text("spec.hostnames[*]").many().alias("host"),
            text("spec.parentRefs[*].name").many().alias("gateway"),
        ],
        _ => Vec::new(),
    }
}
