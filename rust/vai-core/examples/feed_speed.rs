//! How fast list pages become items, on one thread, and how much memory that takes.
//!
//! `cargo run --release -p vai-core --example feed_speed [MEGABYTES] [CHUNK_BYTES]`
//!
//! Prints one line per kind of response: megabytes and objects per second, and by how much the
//! resident memory grew at its peak (Linux only; the prepared bytes were there before). The
//! prepared objects are pushed through as often as needed to reach the size asked for.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(clippy::cast_precision_loss, reason = "figures to read")]

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use vai_core::feed::{FeedError, FeedOptions, Item, ListFeed, WatchFeed};
use vai_core::field::FieldSet;
use vai_core::redact::Redaction;

/// Different objects in the prepared bytes; later ones repeat them.
const PREPARED_OBJECTS: usize = 2_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let (Ok(megabytes), Ok(chunk_bytes)) = (
        arguments.next().unwrap_or(Ok(500)),
        // What the transport reads at once.
        arguments.next().unwrap_or(Ok(64 * 1024)),
    ) else {
        println!("usage: feed_speed [MEGABYTES] [CHUNK_BYTES]");
        return ExitCode::FAILURE;
    };
    let chunk_bytes = chunk_bytes.max(1);
    match run(megabytes << 20, chunk_bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bytes: usize, chunk_bytes: usize) -> Result<(), FeedError> {
    let pods: Vec<String> = (0..PREPARED_OBJECTS).map(pod).collect();
    println!(
        "{:<34} {:>9} {:>11} {:>10} {:>9}",
        "response", "MB/s", "objects/s", "objects", "added MB"
    );

    let items: Vec<_> = pods.iter().map(|pod| format!("{pod},")).collect();
    let list = Page {
        head: r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":["#,
        block: items.concat().into_bytes(),
        tail: format!("{}]}}", pod(0)),
    };
    list.measure("list", &options(Redaction::None), bytes, chunk_bytes)?;
    list.measure("list, chunks of 1,000 bytes", &options(Redaction::None), bytes / 4, 1_000)?;
    list.measure("list, reduced to metadata", &options(Redaction::Metadata), bytes, chunk_bytes)?;

    let rows: Vec<_> = pods
        .iter()
        .map(|pod| {
            let typed = pod.replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1);
            format!(r#"{{"cells":["web",1,"Running",0,"3d"],"object":{typed}}},"#)
        })
        .collect();
    let table = Page {
        head: r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{},"columnDefinitions":[],"rows":["#,
        block: rows.concat().into_bytes(),
        tail: format!(r#"{{"cells":[],"object":{}}}]}}"#, pod(0)),
    };
    table.measure("Table", &options(Redaction::None), bytes, chunk_bytes)?;

    measure_gzip(&list, bytes / 4, chunk_bytes)?;
    measure_watch(&pods, bytes / 2, chunk_bytes)
}

fn options(redact: Redaction) -> FeedOptions {
    FeedOptions {
        redact,
        fields: Arc::new(FieldSet::for_kind("", "Pod")),
        ..FeedOptions::new("Pod", "v1")
    }
}

/// A page whose items are one block, repeated, and a last one in the tail.
struct Page {
    head: &'static str,
    block: Vec<u8>,
    tail: String,
}

impl Page {
    fn measure(
        &self,
        name: &str,
        options: &FeedOptions,
        bytes: usize,
        chunk_bytes: usize,
    ) -> Result<(), FeedError> {
        let mut feed = ListFeed::new(options);
        let mut count = Count::start();
        let mut pushed = 0;
        feed.push(self.head.as_bytes(), &mut |item| count.add(&item))?;
        while pushed < bytes {
            for chunk in self.block.chunks(chunk_bytes) {
                feed.push(chunk, &mut |item| count.add(&item))?;
                pushed += chunk.len();
            }
        }
        feed.push(self.tail.as_bytes(), &mut |item| count.add(&item))?;
        feed.finish()?;
        count.print(name, pushed);
        Ok(())
    }
}

fn measure_gzip(page: &Page, bytes: usize, chunk_bytes: usize) -> Result<(), FeedError> {
    let gzip = |problem: std::io::Error| FeedError::Gzip { problem: problem.to_string() };
    // Level 1 as in apiserver/pkg/endpoints/handlers/responsewriters/writers.go.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(page.head.as_bytes()).map_err(gzip)?;
    let mut length = 0;
    while length < bytes {
        encoder.write_all(&page.block).map_err(gzip)?;
        length += page.block.len();
    }
    encoder.write_all(page.tail.as_bytes()).map_err(gzip)?;
    let compressed = encoder.finish().map_err(gzip)?;
    let mut feed = ListFeed::new(&FeedOptions { gzip: true, ..options(Redaction::None) });
    let mut count = Count::start();
    for chunk in compressed.chunks(chunk_bytes) {
        feed.push(chunk, &mut |item| count.add(&item))?;
    }
    feed.finish()?;
    count.print("list, gzip", length);
    Ok(())
}

fn measure_watch(pods: &[String], bytes: usize, chunk_bytes: usize) -> Result<(), FeedError> {
    let frames: Vec<_> = pods
        .iter()
        .map(|pod| {
            let typed = pod.replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1);
            format!("{{\"type\":\"MODIFIED\",\"object\":{typed}}}\n")
        })
        .collect();
    let frames = frames.concat();
    let mut feed = WatchFeed::new(&options(Redaction::None));
    let mut count = Count::start();
    let mut pushed = 0;
    while pushed < bytes {
        for chunk in frames.as_bytes().chunks(chunk_bytes) {
            feed.push::<FeedError>(chunk, &mut |_| {
                count.objects += 1;
                Ok(())
            })?;
            pushed += chunk.len();
        }
    }
    feed.finish()?;
    count.print("watch", pushed);
    Ok(())
}

struct Count {
    before: Option<u64>,
    started: Instant,
    objects: usize,
    body_bytes: usize,
    labels: usize,
    fields: usize,
}

impl Count {
    fn start() -> Self {
        let before = forget_peak();
        Self { before, started: Instant::now(), objects: 0, body_bytes: 0, labels: 0, fields: 0 }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is the sink")]
    fn add(&mut self, item: &Item) -> Result<(), FeedError> {
        self.objects += 1;
        self.body_bytes += item.body.len();
        self.labels += item.labels.len();
        self.fields += item.fields.len();
        Ok(())
    }

    fn print(&self, name: &str, bytes: usize) {
        let seconds = self.started.elapsed().as_secs_f64();
        println!(
            "{name:<34} {:>9.0} {:>11.0} {:>10} {:>9}",
            bytes as f64 / 1e6 / seconds,
            self.objects as f64 / seconds,
            self.objects,
            added_mb(self.before),
        );
    }
}

/// Begins a measurement: from here the peak of the resident memory is counted anew.
/// (`5` resets `VmHWM`: proc(5), `clear_refs`.) Returns the kilobytes resident now.
fn forget_peak() -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    status_kilobytes("VmRSS:")
}

fn status_kilobytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// By how much the memory grew at its peak, where the system says it.
fn added_mb(before: Option<u64>) -> String {
    let added =
        status_kilobytes("VmHWM:").zip(before).map(|(peak, before)| peak.saturating_sub(before));
    added.map_or_else(|| "?".to_owned(), |added| format!("{:.1}", added as f64 / 1024.0))
}

/// A pod of about 5 KB as a list sends it, without kind and apiVersion.
fn pod(index: usize) -> String {
    let uid = format!("{index:08x}-1b2c-4d3e-8f90-abcdef012345");
    let node = index % 50;
    let host = index % 250;
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map(|kind| {
            format!(
                r#"{{"type":"{kind}","status":"True","lastProbeTime":null,"lastTransitionTime":"2025-03-01T10:{:02}:00Z","observedGeneration":1}}"#,
                index % 60
            )
        })
        .join(",");
    let environment = (0..12)
        .map(|at| format!(r#"{{"name":"SETTING_{at}","value":"value {at} of pod {index} at https://example.com/{at}"}}"#))
        .collect::<Vec<_>>()
        .join(",");
    let managed = ["kubelet", "kube-controller-manager"]
        .map(|manager| {
            format!(
                r#"{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"2025-03-01T10:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:generateName":{{}},"f:labels":{{".":{{}},"f:app":{{}},"f:pod-template-hash":{{}},"f:tier":{{}}}},"f:ownerReferences":{{".":{{}},"k:{{\"uid\":\"{uid}\"}}":{{}}}}}},"f:spec":{{"f:containers":{{"k:{{\"name\":\"web\"}}":{{".":{{}},"f:env":{{}},"f:image":{{}},"f:imagePullPolicy":{{}},"f:resources":{{}}}}}},"f:dnsPolicy":{{}},"f:restartPolicy":{{}}}}}}}}"#
            )
        })
        .join(",");
    format!(
        r#"{{"metadata":{{"name":"web-{index:05}","generateName":"web-","namespace":"team-{ns}","uid":"{uid}","resourceVersion":"{rv}","generation":1,"creationTimestamp":"2025-03-01T10:00:00Z","labels":{{"app":"web","pod-template-hash":"7c9f8d6b5","tier":"frontend","shard":"{host}"}},"annotations":{{"prometheus.io/scrape":"true","prometheus.io/port":"9090","note":"a \"quoted\" note\nwith lines"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7c9f8d6b5","uid":"{uid}","controller":true,"blockOwnerDeletion":true}}],"managedFields":[{managed}]}},"spec":{{"volumes":[{{"name":"kube-api-access","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}}],"defaultMode":420}}}}],"containers":[{{"name":"web","image":"registry.example.com/team/web:1.{host}","ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}}],"env":[{environment}],"resources":{{"limits":{{"cpu":"1","memory":"512Mi"}},"requests":{{"cpu":"100m","memory":"128Mi"}}}},"volumeMounts":[{{"name":"kube-api-access","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],"livenessProbe":{{"httpGet":{{"path":"/healthz","port":"http","scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","serviceAccount":"default","nodeName":"node-{node}","securityContext":{{}},"schedulerName":"default-scheduler","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}},"status":{{"phase":"Running","conditions":[{conditions}],"hostIP":"10.0.0.{node}","podIP":"10.1.{node}.{host}","podIPs":[{{"ip":"10.1.{node}.{host}"}}],"startTime":"2025-03-01T10:00:00Z","containerStatuses":[{{"name":"web","state":{{"running":{{"startedAt":"2025-03-01T10:00:05Z"}}}},"lastState":{{}},"ready":true,"restartCount":{restarts},"image":"registry.example.com/team/web:1.{host}","imageID":"registry.example.com/team/web@sha256:{index:064x}","containerID":"containerd://{index:064x}","started":true}}],"qosClass":"Burstable"}}}}"#,
        ns = index % 20,
        rv = 100_000 + index,
        restarts = index % 5,
    )
}
