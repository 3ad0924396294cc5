//! The charts on a real API server, with a real helm. No node is needed: pods stay pending.
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::helm::{CRDS, Helm, TRIPLINE, name, of_kind};
use support::{ControlPlane, Options};

/// Not the namespace that the test's users have something in.
const NAMESPACE: &str = "watch";
const PRIVILEGED: &str = "pod-security.kubernetes.io/enforce=privileged";
const KINDS: [&str; 4] = [
    "auditsources.tripline.dev",
    "detectionexceptions.tripline.dev",
    "detectionrules.tripline.dev",
    "securityalerts.tripline.dev",
];

fn install(helm: &Helm, arguments: &[&str]) -> Result<String> {
    helm.run(&[&["install", "tripline", TRIPLINE, "--namespace", NAMESPACE], arguments].concat())
}

/// The names of all objects of all kinds, but what the API server itself keeps writing.
fn inventory(plane: &ControlPlane) -> Result<BTreeSet<String>> {
    let kinds = plane.run("admin", &["api-resources", "--verbs=list", "--output=name", "--cached=false"])?;
    let own = [
        "events",
        "events.events.k8s.io",
        "leases.coordination.k8s.io",
        "apiservices.apiregistration.k8s.io",
    ];
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !own.contains(kind)).collect();
    let listed = plane.run("admin", &["get", &kinds.join(","), "--all-namespaces", "--output=name"])?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn exists(plane: &ControlPlane, kind: &str, name: &str) -> Result<bool> {
    let found = plane.run("admin", &["get", kind, name, "--namespace", NAMESPACE, "--ignore-not-found"])?;
    Ok(!found.is_empty())
}

/// Whether what a mode runs is there, and what the other runs is not.
fn runs_as(plane: &ControlPlane, mode: &str) -> Result<()> {
    for (kind, name, of) in [
        ("daemonset", "tripline-reader", "split"),
        ("deployment", "tripline-controller", "split"),
        ("poddisruptionbudget", "tripline-controller", "split"),
        ("serviceaccount", "tripline-controller", "split"),
        ("clusterrole", "tripline-controller", "split"),
        ("daemonset", "tripline", "all"),
        ("serviceaccount", "tripline", "all"),
        ("role", "tripline", "all"),
    ] {
        ensure!(exists(plane, kind, name)? == (of == mode), "mode {mode}: {kind} {name}");
    }
    for policy in ["tripline-alerts", "tripline-sources"] {
        ensure!(exists(plane, "validatingadmissionpolicy", policy)?, "{policy} is missing");
        ensure!(exists(plane, "validatingadmissionpolicybinding", policy)?, "{policy} is not bound");
    }
    ensure!(exists(plane, "auditsource", "kube-apiserver")?);
    ensure!(exists(plane, "detectionrule", "exec-into-pod")?);
    Ok(())
}

#[test]
fn a_release_is_installed_changed_rolled_back_and_removed() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| lifecycle(plane))
}

fn lifecycle(plane: &ControlPlane) -> Result<()> {
    let helm = Helm::of(plane, "admin")?;
    plane.run("admin", &["create", "namespace", NAMESPACE])?;
    plane.run("admin", &["label", "namespace", NAMESPACE, PRIVILEGED])?;
    let before = inventory(plane)?;

    helm.run(&["install", "tripline-crds", CRDS, "--namespace", NAMESPACE])?;
    plane.await_definitions()?;
    let notes = install(&helm, &["--skip-crds"])?;
    ensure!(!notes.contains("WARNING"), "{notes}");
    ensure!(notes.contains("kubectl get auditsources") && notes.contains("helm test tripline"), "{notes}");
    runs_as(plane, "split")?;
    let secret = ["get", "secret", "sh.helm.release.v1.tripline.v1", "--namespace", NAMESPACE];
    let size = plane.run("admin", &[&secret[..], &["--output", "jsonpath={.data.release}"]].concat())?.len();
    eprintln!("the release's Secret holds {size} bytes in base64");
    ensure!(size < 700 * 1024, "the release's Secret is nearly too large: {size}");

    // What people make is theirs: a rule, and an alert (by the account that may).
    plane.apply("admin", &support::operator::rule("our-own", "verb: \"delete\"").to_string())?;
    plane.add_service_account(NAMESPACE, "tripline-reader")?;
    plane.create("tripline-reader", &support::helm::alert("our-own-aaaaaaaaaaaaa-1"))?;

    let upgrade = ["upgrade", "tripline", TRIPLINE, "--namespace", NAMESPACE];
    helm.run(&[&upgrade[..], &["--set", "mode=all,source.startAt=Start"]].concat())?;
    runs_as(plane, "all")?;
    let start = ["get", "auditsource", "kube-apiserver", "--output", "jsonpath={.spec.startAt}"];
    assert_eq!(plane.run("admin", &start)?, "Start");
    helm.run(&["rollback", "tripline", "1", "--namespace", NAMESPACE])?;
    runs_as(plane, "split")?;
    assert_eq!(plane.run("admin", &start)?, "End");
    // The same chart again changes nothing, and the kinds' chart can be upgraded beside it.
    helm.run(&["upgrade", "tripline-crds", CRDS, "--namespace", NAMESPACE])?;
    helm.run(&upgrade)?;
    runs_as(plane, "split")?;

    helm.run(&["uninstall", "tripline", "--namespace", NAMESPACE])?;
    helm.run(&["uninstall", "tripline-crds", "--namespace", NAMESPACE])?;
    let left: BTreeSet<String> = inventory(plane)?.difference(&before).cloned().collect();
    let mut expected: BTreeSet<String> =
        KINDS.iter().map(|kind| format!("customresourcedefinition.apiextensions.k8s.io/{kind}")).collect();
    expected.insert("detectionrule.tripline.dev/our-own".to_owned());
    expected.insert("securityalert.tripline.dev/our-own-aaaaaaaaaaaaa-1".to_owned());
    assert_eq!(left, expected);
    Ok(())
}

#[test]
fn one_command_installs_the_kinds_too_and_they_can_be_handed_over() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let helm = Helm::of(plane, "admin")?;
        let notes = install(&helm, &["--create-namespace", "--set", "distribution=talos"])?;
        // Helm makes the namespace after it has rendered this: nothing to look at, so it says what to do.
        ensure!(
            notes.contains(&format!("kubectl label namespace {NAMESPACE} --overwrite {PRIVILEGED}")),
            "{notes}"
        );
        ensure!(notes.contains("Talos logs the metadata of every request"), "{notes}");
        runs_as(plane, "split")?;

        // The kinds belong to no release, until the one of their chart takes them.
        let hand_over = ["install", "tripline-crds", CRDS, "--namespace", NAMESPACE];
        let refused = helm.run(&hand_over).err().context("a release took what is not its own")?;
        ensure!(refused.to_string().contains("cannot be imported into the current release"), "{refused}");
        helm.run(&[&hand_over[..], &["--take-ownership"]].concat())?;
        for kind in KINDS {
            let definition = plane.get(&["crd", kind])?;
            let annotations = &definition["metadata"]["annotations"];
            assert_eq!(annotations["meta.helm.sh/release-name"], "tripline-crds");
            assert_eq!(annotations["helm.sh/resource-policy"], "keep");
        }
        ensure!(exists(plane, "detectionrule", "exec-into-pod")?, "the kinds were made anew");
        Ok(())
    })
}

/// API servers hold what was made of it: nothing that Helm does may empty it or take it away.
#[test]
fn the_webhooks_secret_keeps_what_was_filled_in() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let helm = Helm::of(plane, "admin")?;
        let webhook = ["--set", "source.webhook.enabled=true"];
        install(&helm, &[&["--create-namespace"], &webhook[..]].concat())?;
        let secret = ["secret", "tripline-webhook", "--namespace", NAMESPACE];
        let fill = ["--type=merge", "--patch", r#"{"data":{"ca.key":"eA=="}}"#];
        plane.run("admin", &[&["patch"], &secret[..], &fill].concat())?;
        let kept = |what: &str| -> Result<()> {
            let data = ["--output", "jsonpath={.data}"];
            let data = plane.run("admin", &[&["get"], &secret[..], &data].concat())?;
            ensure!(data == r#"{"ca.key":"eA=="}"#, "after {what} it holds {data:?}");
            Ok(())
        };

        let upgrade = ["upgrade", "tripline", TRIPLINE, "--namespace", NAMESPACE];
        helm.run(&[&upgrade[..], &webhook, &["--set", "clusterName=other"]].concat())?;
        kept("an upgrade")?;
        let back = ["get", "auditsource", "kube-apiserver", "--output", "jsonpath={.spec.file.path}"];
        assert_eq!(plane.run("admin", &back)?, "");
        helm.run(&[&upgrade[..], &["--set", "source.webhook.enabled=false"]].concat())?;
        kept("an upgrade to a log file")?;
        assert_eq!(plane.run("admin", &back)?, "/var/log/kubernetes/audit/audit.log");
        helm.run(&[&upgrade[..], &webhook].concat())?;
        kept("an upgrade back to the webhook")?;
        helm.run(&["uninstall", "tripline", "--namespace", NAMESPACE])?;
        kept("an uninstall")?;
        install(&helm, &webhook)?;
        kept("an install over it")
    })
}

/// The packages of earlier versions, oldest first.
fn earlier() -> Result<Vec<String>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/earlier");
    let mut found: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path().display().to_string()))
        .collect::<Result<_, _>>()?;
    found.retain(|path| Path::new(path).extension().is_some_and(|extension| extension == "tgz"));
    found.sort();
    ensure!(!found.is_empty(), "there is no earlier version in {folder}");
    Ok(found)
}

#[test]
fn a_release_of_an_earlier_version_is_upgraded_and_loses_nothing() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let helm = Helm::of(plane, "admin")?;
        plane.run("admin", &["create", "namespace", NAMESPACE])?;
        for package in earlier()? {
            let values = ["--set", "clusterName=old,rules.exclude.names={user-exec-into-pod}"];
            let old = ["install", "tripline", &package, "--namespace", NAMESPACE];
            helm.run(&[&old[..], &values].concat())?;
            plane.apply("admin", &support::operator::rule("our-own", "verb: \"delete\"").to_string())?;
            plane.add_service_account(NAMESPACE, "tripline-reader")?;
            plane.create("tripline-reader", &support::helm::alert("our-own-aaaaaaaaaaaaa-1"))?;
            let uid = |kind: &str, name: &str| {
                plane.run("admin", &["get", kind, name, "--output", "jsonpath={.metadata.uid}"])
            };
            let kept = [
                ("auditsource", "kube-apiserver"),
                ("detectionrule", "exec-into-pod"),
                ("detectionrule", "our-own"),
                ("securityalert", "our-own-aaaaaaaaaaaaa-1"),
            ];
            let before: Vec<_> = kept.iter().map(|(kind, name)| uid(kind, name)).collect::<Result<_>>()?;

            // As docs/install.md has it: the kinds first, then the program with the values it had.
            let kinds = ["upgrade", "tripline-crds", CRDS, "--install", "--take-ownership"];
            helm.run(&[&kinds[..], &["--namespace", NAMESPACE]].concat())?;
            let upgrade =
                ["upgrade", "tripline", TRIPLINE, "--namespace", NAMESPACE, "--reset-then-reuse-values"];
            helm.run(&upgrade)?;
            runs_as(plane, "split")?;
            let after: Vec<_> = kept.iter().map(|(kind, name)| uid(kind, name)).collect::<Result<_>>()?;
            assert_eq!(before, after, "{package}");
            ensure!(!exists(plane, "detectionrule", "user-exec-into-pod")?, "the values were not kept");
            let manifest = helm.run(&["get", "manifest", "tripline", "--namespace", NAMESPACE])?;
            ensure!(manifest.contains("--cluster=old"), "the values were not kept");

            helm.run(&["uninstall", "tripline", "--namespace", NAMESPACE])?;
            plane.run("admin", &["delete", "securityalerts,detectionrules", "--all"])?;
        }
        Ok(())
    })
}

/// What a rule has at this place.
fn at(plane: &ControlPlane, rule: &str, path: &str) -> Result<String> {
    plane.run("admin", &["get", "detectionrule", rule, "--output", &format!("jsonpath={{{path}}}")])
}

#[test]
fn a_rule_that_was_edited_by_hand_stops_the_upgrade_which_says_so() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let helm = Helm::of(plane, "admin")?;
        install(&helm, &["--create-namespace"])?;
        let rule = "exec-into-pod";
        let edit = |patch: &str| {
            plane.run("admin", &["patch", "detectionrule", rule, "--type=merge", "--patch", patch])
        };
        let upgrade = ["upgrade", "tripline", TRIPLINE, "--namespace", NAMESPACE];

        // A field that the chart sets: it is told, with the rule and the field, and the edit stays.
        edit(r#"{"spec":{"severity":"Low"}}"#)?;
        let error = helm.run(&upgrade).err().context("the upgrade succeeded")?.to_string();
        for part in [rule, "conflict", "kubectl-patch", ".spec.severity"] {
            ensure!(error.contains(part), "{part:?} is not in: {error}");
        }
        assert_eq!(at(plane, rule, ".spec.severity")?, "Low");
        // Said in the values instead, it is no conflict any more.
        let values = [
            "--set",
            "rules.overrides.exec-into-pod.severity=Low,rules.overrides.exec-into-pod.riskScore=47",
        ];
        helm.run(&[&upgrade[..], &values].concat())?;
        assert_eq!(at(plane, rule, ".spec.severity")?, "Low");

        // A field that the chart does not set stays, without a word.
        edit(r#"{"spec":{"mode":"DryRun"}}"#)?;
        helm.run(&[&upgrade[..], &values].concat())?;
        assert_eq!(at(plane, rule, ".spec.mode")?, "DryRun");

        // With the flag, the chart wins where it has a say.
        edit(r#"{"spec":{"severity":"Critical"}}"#)?;
        helm.run(&[&upgrade[..], &values, &["--force-conflicts"]].concat())?;
        assert_eq!(at(plane, rule, ".spec.severity")?, "Low");
        assert_eq!(at(plane, rule, ".spec.mode")?, "DryRun");
        // From then on it is the chart's again, and one that was deleted comes back.
        plane.run("admin", &["delete", "detectionrule", rule])?;
        helm.run(&[&upgrade[..], &["--reset-values"]].concat())?;
        assert_eq!(at(plane, rule, ".spec.severity")?, "Medium");
        Ok(())
    })
}

/// A pod as the controller of a workload would make it, asked for without making it. What the API server says.
fn try_pod(plane: &ControlPlane, workload: &Value) -> Result<String> {
    let template = &workload["spec"]["template"];
    let mut pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"],
    });
    pod["metadata"]["name"] = "try".into();
    pod["metadata"]["namespace"] = NAMESPACE.into();
    let output = plane.kubectl_file("admin", &["create", "--dry-run=server"], &pod)?;
    Ok(String::from_utf8([output.stdout, output.stderr].concat())?)
}

#[test]
fn where_pod_security_is_enforced_the_notes_say_what_the_namespace_needs() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| pod_security(plane))
}

fn pod_security(plane: &ControlPlane) -> Result<()> {
    let helm = Helm::of(plane, "admin")?;
    plane.run("admin", &["create", "namespace", NAMESPACE])?;
    let notes = install(&helm, &[])?;
    let command = format!("kubectl label namespace {NAMESPACE} --overwrite {PRIVILEGED}");
    ensure!(notes.contains(&format!("WARNING: the namespace {NAMESPACE} is not labelled")), "{notes}");
    ensure!(notes.contains(&command), "{notes}");

    let installed = helm.run(&["get", "manifest", "tripline", "--namespace", NAMESPACE])?;
    let installed = support::helm::objects(&installed)?;
    let reader = of_kind(&installed, "DaemonSet")[0];
    let controller = of_kind(&installed, "Deployment")[0];
    let hooks =
        support::helm::objects(&helm.run(&["get", "hooks", "tripline", "--namespace", NAMESPACE])?)?;
    let canary = of_kind(&hooks, "Pod")[0];
    let canary = serde_json::json!({"spec": {"template": {
        "metadata": {"labels": canary["metadata"]["labels"]}, "spec": canary["spec"],
    }}});
    assert_eq!(name(reader), "tripline-reader");

    let said = try_pod(plane, reader)?;
    ensure!(said.contains("violates PodSecurity \"baseline:latest\": hostPath volumes"), "{said}");
    plane.run("admin", &command.split(' ').skip(1).collect::<Vec<_>>())?;
    let said = try_pod(plane, reader)?;
    ensure!(said.contains("pod/try created"), "{said}");
    let upgrade = ["upgrade", "tripline", TRIPLINE, "--namespace", NAMESPACE];
    let notes = helm.run(&upgrade)?;
    ensure!(!notes.contains("WARNING") && !notes.contains("kubectl label"), "{notes}");

    // What needs no host fits the strictest level; its account must be there for a pod to be made.
    plane.run("admin", &["create", "serviceaccount", "tripline-canary", "--namespace", NAMESPACE])?;
    let strict = PRIVILEGED.replace("privileged", "restricted");
    plane.run("admin", &["label", "namespace", NAMESPACE, "--overwrite", &strict])?;
    for workload in [controller, &canary] {
        let said = try_pod(plane, workload)?;
        ensure!(said.contains("pod/try created"), "{said}");
    }
    let notes = helm.run(&upgrade)?;
    ensure!(notes.contains(&format!("WARNING: the namespace {NAMESPACE} is labelled restricted")), "{notes}");
    Ok(())
}
