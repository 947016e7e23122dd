//! What makes pods, and what scales and protects them.

use super::{FieldDef, Reduce, Type, Value, at, condition, images, int, named, text, time};

pub(super) fn apps(kind: &str) -> Vec<FieldDef> {
    // Replicas that are not there are left out of the JSON (`omitempty`): they are 0.
    let replicas = |path: &str, alias: &str| int(path).alias(alias).default(Value::Int(0));
    let wanted = || int("spec.replicas").alias("replicas").default(Value::Int(1));
    let template = || images("spec.template.spec.");
    match kind {
        "Deployment" => vec![
            wanted(),
            replicas("status.readyReplicas", "ready"),
            replicas("status.updatedReplicas", "updated"),
            replicas("status.availableReplicas", "available"),
            replicas("status.unavailableReplicas", "unavailable"),
            text("spec.strategy.type").alias("strategy"),
            at("spec.paused", Type::Bool).alias("paused").default(Value::Bool(false)),
            condition("progressing", "Progressing"),
            template(),
        ],
        // ReplicaSets compute `status.replicas` (registry/apps/replicaset/strategy.go) and the
        // documentation lists it, but no conversion is registered for apps/v1: the server
        // answers "field label not supported", and so do we.
        "ReplicaSet" => vec![
            wanted(),
            replicas("status.replicas", "current"),
            replicas("status.readyReplicas", "ready"),
            replicas("status.availableReplicas", "available"),
            owner_kind(),
            owner_name(),
            template(),
        ],
        "StatefulSet" => vec![
            wanted(),
            replicas("status.readyReplicas", "ready"),
            replicas("status.currentReplicas", "current"),
            replicas("status.updatedReplicas", "updated"),
            replicas("status.availableReplicas", "available"),
            text("spec.serviceName").alias("serviceName"),
            template(),
        ],
        "DaemonSet" => vec![
            replicas("status.desiredNumberScheduled", "desired"),
            replicas("status.currentNumberScheduled", "current"),
            replicas("status.numberReady", "ready"),
            replicas("status.updatedNumberScheduled", "updated"),
            replicas("status.numberAvailable", "available"),
            replicas("status.numberUnavailable", "unavailable"),
            replicas("status.numberMisscheduled", "misscheduled"),
            template(),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn batch(kind: &str) -> Vec<FieldDef> {
    let zero = |path: &str, alias: &str| int(path).alias(alias).default(Value::Int(0));
    match kind {
        // pkg/registry/batch/job/strategy.go: the label says successful, the field is succeeded.
        "Job" => vec![
            named("status.successful", Type::Int, &["status.succeeded"])
                .selected_as(&["status.successful"])
                .default(Value::Int(0))
                .alias("succeeded")
                .alias("status.succeeded"),
            zero("status.failed", "failed"),
            zero("status.active", "active"),
            int("spec.completions").alias("completions"),
            int("spec.parallelism").alias("parallelism"),
            at("spec.suspend", Type::Bool).alias("suspend").default(Value::Bool(false)),
            time("status.startTime").alias("startTime"),
            time("status.completionTime").alias("completionTime"),
            condition("complete", "Complete"),
            condition("isFailed", "Failed"),
            owner_kind(),
            owner_name(),
            images("spec.template.spec."),
        ],
        "CronJob" => vec![
            text("spec.schedule").alias("schedule"),
            text("spec.timeZone").alias("timeZone"),
            at("spec.suspend", Type::Bool).alias("suspend").default(Value::Bool(false)),
            named("active", Type::Int, &["status.active[*]"]).reduce(Reduce::Count),
            time("status.lastScheduleTime").alias("lastScheduleTime").alias("lastSchedule"),
            time("status.lastSuccessfulTime").alias("lastSuccessfulTime"),
            images("spec.jobTemplate.spec.template.spec."),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn autoscaling(kind: &str) -> Vec<FieldDef> {
    match kind {
        "HorizontalPodAutoscaler" => vec![
            text("spec.scaleTargetRef.kind").alias("target.kind"),
            text("spec.scaleTargetRef.name").alias("target").alias("target.name"),
            int("spec.minReplicas").alias("minReplicas").default(Value::Int(1)),
            int("spec.maxReplicas").alias("maxReplicas"),
            int("status.currentReplicas").alias("replicas").default(Value::Int(0)),
            int("status.desiredReplicas").alias("desired").default(Value::Int(0)),
            condition("scalingLimited", "ScalingLimited"),
            condition("scalingActive", "ScalingActive"),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn policy(kind: &str) -> Vec<FieldDef> {
    match kind {
        "PodDisruptionBudget" => vec![
            text("spec.minAvailable").alias("minAvailable"),
            text("spec.maxUnavailable").alias("maxUnavailable"),
            int("status.disruptionsAllowed").alias("allowed").default(Value::Int(0)),
            int("status.currentHealthy").alias("healthy").default(Value::Int(0)),
            int("status.desiredHealthy").alias("desired").default(Value::Int(0)),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn owner_kind() -> FieldDef {
    named("owner.kind", Type::Text, &["metadata.ownerReferences[controller=true].kind"])
}

pub(super) fn owner_name() -> FieldDef {
    named("owner.name", Type::Text, &["metadata.ownerReferences[controller=true].name"])
        .alias("owner")
}
