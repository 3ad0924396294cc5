//! How fast lines of an audit log are decoded and judged by the two exec rules, in bytes a second; reading the same
//! lines into `serde_json::Value` is the measure beside it.
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tripline::detect::{Context, Rule, RuleSet, RuleSource};
use tripline::event::{Event, Tape};

const LINES: usize = 2_000;

fn exec_rule(verbs: &str) -> Arc<Rule> {
    let query = format!(
        r#"event.dataset : "kubernetes.audit_logs" and
           kubernetes.audit.annotations.authorization_k8s_io/decision:"allow" and
           kubernetes.audit.verb:{verbs} and
           kubernetes.audit.objectRef.resource:"pods" and
           kubernetes.audit.objectRef.subresource:"exec""#
    );
    match Rule::compile(RuleSource { query, ..RuleSource::default() }) {
        Ok((rule, _)) => Arc::new(rule),
        Err(findings) => unreachable!("the exec rule compiles: {findings:?}"),
    }
}

/// The mix of a busy cluster: mostly leases and reads without bodies, most bytes in the bodies of pods and nodes.
fn line(n: usize) -> String {
    let ns = ["shop", "pay", "kube-system", "search"][n % 4];
    let container = |i: usize| {
        format!(
            r#"{{"name":"c{i}","image":"registry.example.com/{ns}/svc:1.{n}@sha256:{n:064x}","command":["/bin/sh","-c","exec /app 2\u003e\u00261"],"env":[{{"name":"A","value":"x \"y\" \u003cz\u003e"}},{{"name":"B","valueFrom":{{"secretKeyRef":{{"name":"s","key":"k"}}}}}}],"resources":{{"limits":{{"cpu":"2","memory":"2Gi"}}}},"securityContext":{{"runAsNonRoot":true,"allowPrivilegeEscalation":false,"capabilities":{{"drop":["ALL"]}}}}}}"#
        )
    };
    let pod = || {
        let containers: Vec<String> = (0..3).map(container).collect();
        format!(
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"web-{n}","namespace":"{ns}","creationTimestamp":null,"labels":{{"app":"web","pod-template-hash":"7d9f8c6b5"}}}},"spec":{{"containers":[{}],"restartPolicy":"Always","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0}},"status":{{}}}}"#,
            containers.join(",")
        )
    };
    let (level, verb, resource, subresource, bodies) = match n % 20 {
        0 => (
            "RequestResponse",
            "create",
            "pods",
            "",
            format!(r#","requestObject":{0},"responseObject":{0}"#, pod()),
        ),
        1 | 2 => ("Request", "patch", "pods", "status", format!(r#","requestObject":{}"#, pod())),
        3 if n % 200 == 3 => ("Metadata", "get", "pods", "exec", String::new()),
        3..8 => ("Metadata", "get", "secrets", "", String::new()),
        _ => ("Metadata", "update", "leases", "", String::new()),
    };
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"{level}","auditID":"{n:08x}-1b2c-4d3e-a4f5-0123456789ab","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/{ns}/{resource}/web-{n}?timeout=5s\u0026fieldManager=kubelet","verb":"{verb}","user":{{"username":"system:serviceaccount:{ns}:app","uid":"{n:032x}","groups":["system:serviceaccounts","system:serviceaccounts:{ns}","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI={n:032x}"],"authentication.kubernetes.io/pod-name":["app-{n}"]}}}},"sourceIPs":["10.0.{}.7"],"userAgent":"app/v0.0.0 (linux/amd64) kubernetes/$Format","objectRef":{{"resource":"{resource}","namespace":"{ns}","name":"web-{n}","apiVersion":"v1","subresource":"{subresource}"}},"responseStatus":{{"metadata":{{}},"code":200}}{bodies},"requestReceivedTimestamp":"2026-03-01T10:00:00.000001Z","stageTimestamp":"2026-03-01T10:00:00.004321Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"app/{ns}\" of Role \"app\" to ServiceAccount \"app/{ns}\""}}}}"#,
        n % 256
    )
}

fn judge(c: &mut Criterion) {
    let lines: Vec<String> = (0..LINES).map(line).collect();
    let bytes = lines.iter().map(String::len).sum::<usize>();
    let rules = RuleSet::new(vec![exec_rule("\"create\""), exec_rule("(\"create\" or \"get\")")]);
    let mut group = c.benchmark_group("lines");
    group.throughput(Throughput::Bytes(u64::try_from(bytes).unwrap_or(u64::MAX)));
    let (mut tape, mut outcomes) = (Tape::new(), Vec::new());
    let mut judge_all = || {
        let mut found = 0;
        for line in &lines {
            if let Ok(event) = Event::decode(line.as_bytes(), &mut tape) {
                rules.judge(&event, &Context::default(), &mut outcomes);
                found += outcomes.len();
            }
        }
        found
    };
    // Of the second rule, as often as `line` makes an exec.
    assert_eq!(judge_all(), LINES / 200);
    group.bench_function("decode and judge", |b| b.iter(|| black_box(judge_all())));
    group.bench_function("decode", |b| {
        let mut tape = Tape::new();
        b.iter(|| lines.iter().filter(|line| Event::decode(line.as_bytes(), &mut tape).is_ok()).count());
    });
    group.bench_function("serde_json::Value", |b| {
        b.iter(|| {
            lines.iter().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count()
        });
    });
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
