//! What the charts render. The goldens: `UPDATE_GOLDENS=1 cargo test --test chart_render`.
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use support::helm::{CRDS, Helm, TRIPLINE, name, objects, of_kind};

const DISTRIBUTIONS: [&str; 8] =
    ["kubeadm", "k3s", "rke2", "talos", "kind", "openshift", "kops", "eks-anywhere"];
const EVERYTHING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/everything.yaml");
const WEBHOOK: [&str; 2] = ["--set", "source.webhook.enabled=true"];
/// A webhook behind a Service, of a Secret that somebody else keeps.
const WEBHOOK_SERVICE: [&str; 2] = [
    "--set",
    "mode=all,networkPolicy.enabled=true,source.webhook.enabled=true,source.webhook.hostNetwork=false,\
     source.webhook.clusterIP=10.96.0.53,source.webhook.authentication=BearerToken,source.webhook.existingSecret=own",
];

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder of the repository, in order.
fn files(path: &str) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    add_files(&folder(path), &mut paths)?;
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).map_err(Into::into)).collect()
}

fn add_files(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add_files(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

#[test]
fn lint_finds_nothing() -> Result<()> {
    let helm = Helm::new()?;
    for chart in [TRIPLINE, CRDS] {
        helm.run(&["lint", "--strict", chart])?;
    }
    for values in [["--values", EVERYTHING], WEBHOOK, WEBHOOK_SERVICE] {
        helm.run(&[&["lint", "--strict", TRIPLINE], &values[..]].concat())?;
    }
    Ok(())
}

/// The rules are left out: they have a test of their own, and one more of them changes no golden.
#[test]
fn what_is_rendered_is_as_the_goldens_say() -> Result<()> {
    let helm = Helm::new()?;
    let whole = |arguments: &[&str]| helm.template(&[&["--set", "rules.enabled=false"], arguments].concat());
    let mut rendered = vec![
        ("split".to_owned(), whole(&[])?),
        ("all".to_owned(), whole(&["--set", "mode=all"])?),
        ("everything".to_owned(), whole(&["--values", EVERYTHING])?),
        ("webhook".to_owned(), whole(&WEBHOOK)?),
        ("webhook-service".to_owned(), whole(&WEBHOOK_SERVICE)?),
    ];
    for distribution in DISTRIBUTIONS {
        let set = format!("distribution={distribution}");
        let mut arguments = vec!["--set", &set];
        let mut shown = vec!["reader/daemonset", "auditsource"];
        if distribution == "openshift" {
            shown.extend(["openshift/securitycontextconstraints", "openshift/role", "openshift/rolebinding"]);
        }
        let shown: Vec<_> = shown.iter().map(|file| format!("--show-only=templates/{file}.yaml")).collect();
        arguments.extend(shown.iter().map(String::as_str));
        rendered.push((format!("preset-{distribution}"), helm.template(&arguments)?));
    }
    let goldens = folder("tests/chart/golden");
    let mut names = BTreeSet::new();
    for (name, text) in rendered {
        let path = goldens.join(format!("{name}.yaml"));
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&path, &text)?;
        }
        let golden = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        assert!(
            golden == text,
            "{name} is not as in {}; see the difference: UPDATE_GOLDENS=1 cargo test --test chart_render",
            path.display()
        );
        assert!(text.lines().all(|line| line.trim_end() == line), "{name} has blanks at the end of a line");
        names.insert(format!("{name}.yaml"));
    }
    let found: BTreeSet<String> = std::fs::read_dir(goldens)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    assert_eq!(found, names);
    Ok(())
}

/// A permission as one line, so that two lists of them can be compared.
fn permissions(role: &Value) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    for rule in role["rules"].as_array().into_iter().flatten() {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                for verb in list(&rule["verbs"]) {
                    let names = list(&rule["resourceNames"]).join(" ");
                    lines.insert(format!("{verb} {group}/{resource} {names}").trim_end().to_owned());
                }
            }
        }
    }
    lines
}

const DEFINITIONS: &str = "get apiextensions.k8s.io/customresourcedefinitions \
    detectionrules.tripline.dev detectionexceptions.tripline.dev securityalerts.tripline.dev auditsources.tripline.dev";
const READER: [&str; 16] = [
    "list tripline.dev/detectionrules",
    "watch tripline.dev/detectionrules",
    "list tripline.dev/detectionexceptions",
    "watch tripline.dev/detectionexceptions",
    "list tripline.dev/auditsources",
    "watch tripline.dev/auditsources",
    "update tripline.dev/detectionrules/status",
    "update tripline.dev/auditsources/status",
    "get tripline.dev/securityalerts",
    "list tripline.dev/securityalerts",
    "watch tripline.dev/securityalerts",
    "create tripline.dev/securityalerts",
    "update tripline.dev/securityalerts/status",
    "get /nodes",
    "get /pods",
    "create events.k8s.io/events",
];
const CONTROLLER: [&str; 17] = [
    "list tripline.dev/detectionrules",
    "watch tripline.dev/detectionrules",
    "list tripline.dev/detectionexceptions",
    "watch tripline.dev/detectionexceptions",
    "list tripline.dev/auditsources",
    "watch tripline.dev/auditsources",
    "update tripline.dev/detectionrules/status",
    "patch tripline.dev/detectionrules/status",
    "update tripline.dev/detectionexceptions/status",
    "patch tripline.dev/detectionexceptions/status",
    "update tripline.dev/auditsources/status",
    "get tripline.dev/securityalerts",
    "list tripline.dev/securityalerts",
    "watch tripline.dev/securityalerts",
    "delete tripline.dev/securityalerts",
    "update tripline.dev/securityalerts/status",
    "create events.k8s.io/events",
];
const LEASE: [&str; 3] = [
    "create coordination.k8s.io/leases",
    "get coordination.k8s.io/leases tripline",
    "update coordination.k8s.io/leases tripline",
];
/// Of whoever leads, in kube-system.
const API_SERVERS: &str = "list coordination.k8s.io/leases";
const WEBHOOK_SECRET: [&str; 2] = ["get /secrets tripline-webhook", "update /secrets tripline-webhook"];
const CANARY: [&str; 2] =
    ["get tripline.dev/detectionrules tripline-canary", "list tripline.dev/securityalerts"];

#[test]
fn each_account_may_do_what_it_needs_and_no_more() -> Result<()> {
    let helm = Helm::new()?;
    let set = |lists: &[&[&str]]| -> BTreeSet<String> {
        lists.iter().copied().flatten().map(|&line| line.to_owned()).collect()
    };
    let roles = |arguments: &[&str]| -> Result<Vec<(String, BTreeSet<String>)>> {
        let accounts_only = ["--set", "rbac.userRoles.create=false"];
        let objects = helm.objects(&[arguments, &accounts_only].concat())?;
        let mut roles: Vec<_> = ["ClusterRole", "Role"]
            .iter()
            .flat_map(|kind| of_kind(&objects, kind))
            .map(|role| (format!("{} {}", role["kind"].as_str().unwrap(), name(role)), permissions(role)))
            .collect();
        roles.sort();
        Ok(roles)
    };
    let own = |name: &str, lists: &[&[&str]]| (name.to_owned(), set(lists));
    let canary = own("ClusterRole tripline-canary", &[&CANARY]);
    let controller = |without: usize| {
        let lines = &CONTROLLER[..CONTROLLER.len() - without];
        own("ClusterRole tripline-controller", &[lines, &[DEFINITIONS]])
    };
    let lease = |name: &str| own(&format!("Role {name}"), &[&LEASE]);
    let api_servers = |name: &str| own(&format!("Role {name}-api-servers"), &[&[API_SERVERS]]);
    let reader = |without: usize| {
        own("ClusterRole tripline-reader", &[&READER[..READER.len() - without], &[DEFINITIONS]])
    };

    let split = |without: usize| {
        let controller = controller(without.min(1));
        let leader = "tripline-controller";
        vec![canary.clone(), controller, reader(without), lease(leader), api_servers(leader)]
    };
    assert_eq!(roles(&[])?, split(0));
    // Without Events on pods, no pod is read; without Events, none is written.
    let alert = roles(&["--set", "events=alert"])?;
    assert_eq!(set(&[&["get /pods"]]), &reader(0).1 - &alert[2].1);
    assert_eq!(roles(&["--set", "events=none"])?, split(2));

    let all = own("ClusterRole tripline", &[&READER, &CONTROLLER, &[DEFINITIONS]]);
    assert_eq!(
        roles(&["--set", "mode=all"])?,
        [all.clone(), canary.clone(), lease("tripline"), api_servers("tripline")]
    );
    let alone = ["--set", "mode=all,lease.enabled=false"];
    assert_eq!(roles(&alone)?, [all.clone(), canary.clone(), api_servers("tripline")]);
    assert!(roles(&["--set", "rbac.create=false,test.enabled=false"])?.is_empty());

    // Whoever leads follows the alerts anyway: outputs take no more.
    for values in [
        "outputs.stdout.enabled=true",
        "outputs.alertmanager.urls={http://am:9093}",
        "outputs.webhook.url=https://example.com,outputs.webhook.existingSecret=own",
    ] {
        assert_eq!(roles(&["--set", values])?, split(0), "{values}");
    }

    // With a webhook whoever leads keeps one Secret, and with a Secret of somebody else nobody does.
    let keeps = |name: &str| own(&format!("Role {name}-webhook"), &[&WEBHOOK_SECRET]);
    let mut expected = split(0);
    expected.push(keeps("tripline-controller"));
    assert_eq!(roles(&WEBHOOK)?, expected);
    let in_all = roles(&[&WEBHOOK[..], &["--set", "mode=all"]].concat())?;
    assert_eq!(
        in_all,
        [all.clone(), canary.clone(), lease("tripline"), api_servers("tripline"), keeps("tripline")]
    );
    assert_eq!(roles(&WEBHOOK_SERVICE)?, [all, canary, lease("tripline"), api_servers("tripline")]);
    let none = ["--set", "rbac.create=false,test.enabled=false"];
    assert!(roles(&[&WEBHOOK[..], &none].concat())?.is_empty());
    Ok(())
}

#[test]
fn people_have_roles_of_their_own() -> Result<()> {
    let helm = Helm::new()?;
    let names = ["tripline-rule-editor", "tripline-triage", "tripline-viewer"];
    let roles = |arguments: &[&str]| -> Result<Vec<Value>> {
        let objects = helm.objects(arguments)?;
        Ok(objects.into_iter().filter(|o| o["kind"] == "ClusterRole" && names.contains(&name(o))).collect())
    };
    let into = |role: &Value| -> Vec<String> {
        let labels = role["metadata"]["labels"].as_object().into_iter().flatten();
        labels.filter(|(key, _)| key.contains("aggregate-to")).map(|(key, _)| key.clone()).collect()
    };
    let lines = |role: &Value, reading: bool| -> Vec<String> {
        let reads = |line: &String| ["get ", "list ", "watch "].iter().any(|verb| line.starts_with(verb));
        permissions(role).into_iter().filter(|line| reads(line) == reading).collect()
    };
    let found = roles(&[])?;
    assert_eq!(found.iter().map(name).collect::<BTreeSet<_>>(), names.into());
    for role in &found {
        assert!(into(role).is_empty());
        assert_eq!(lines(role, true).len(), 12, "{role}");
        let wanted: &[&str] = match name(role) {
            "tripline-viewer" => &[],
            "tripline-triage" => &["patch tripline.dev/securityalerts", "update tripline.dev/securityalerts"],
            _ => &[
                "create tripline.dev/detectionexceptions",
                "create tripline.dev/detectionrules",
                "delete tripline.dev/detectionexceptions",
                "delete tripline.dev/detectionrules",
                "deletecollection tripline.dev/detectionexceptions",
                "deletecollection tripline.dev/detectionrules",
                "patch tripline.dev/detectionexceptions",
                "patch tripline.dev/detectionrules",
                "update tripline.dev/detectionexceptions",
                "update tripline.dev/detectionrules",
            ],
        };
        assert_eq!(lines(role, false), wanted);
    }
    for role in roles(&["--set", "rbac.userRoles.aggregate=true"])? {
        let wanted = match name(&role) {
            "tripline-viewer" => "view",
            "tripline-triage" => "edit",
            _ => "admin",
        };
        assert_eq!(into(&role), [format!("rbac.authorization.k8s.io/aggregate-to-{wanted}")]);
    }
    assert!(roles(&["--set", "rbac.userRoles.create=false"])?.is_empty());
    assert!(roles(&["--set", "rbac.create=false"])?.is_empty());
    Ok(())
}

#[test]
fn every_role_is_bound_to_its_account_alone() -> Result<()> {
    for arguments in [
        &["--set", "distribution=openshift"][..],
        &["--set", "mode=all"],
        &["--set", "source.webhook.enabled=true"],
        &["--set", "mode=all,source.webhook.enabled=true"],
    ] {
        let objects = Helm::new()?.objects(arguments)?;
        for kind in ["ClusterRoleBinding", "RoleBinding"] {
            for binding in of_kind(&objects, kind) {
                let more = ["-scc", "-webhook", "-api-servers"];
                let account = more.iter().fold(name(binding), |name, more| name.trim_end_matches(more));
                let subject =
                    json!({"kind": "ServiceAccount", "name": account, "namespace": "tripline-system"});
                assert_eq!(binding["subjects"], json!([subject]));
                assert_eq!(binding["roleRef"]["name"], name(binding));
            }
        }
        let accounts = of_kind(&objects, "ServiceAccount").len();
        assert_eq!(accounts, if arguments[1].contains("mode=all") { 2 } else { 3 });
    }
    Ok(())
}

/// The arguments of a workload's only container.
fn arguments(workload: &Value) -> Vec<&str> {
    let arguments = &workload["spec"]["template"]["spec"]["containers"][0]["args"];
    arguments.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn a_webhook_needs_no_log_and_its_key_stays_with_whoever_leads() -> Result<()> {
    let helm = Helm::new()?;
    let keeps = "--webhook-secret=tripline-system/tripline-webhook";
    for (more, leader) in [("mode=split", "Deployment"), ("mode=all", "DaemonSet")] {
        let objects = helm.objects(&[&WEBHOOK[..], &["--set", more]].concat())?;
        let reader = of_kind(&objects, "DaemonSet")[0];
        let pod = &reader["spec"]["template"]["spec"];
        assert_eq!(pod["hostNetwork"], true);
        assert!(arguments(reader).contains(&"--webhook-credentials=/etc/tripline/webhook"));
        assert!(!arguments(reader).iter().any(|argument| argument.starts_with("--log-root")));
        assert_eq!(pod["containers"][0]["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));

        let volumes = pod["volumes"].as_array().context("volumes")?;
        let hosts: Vec<_> = volumes.iter().filter_map(|volume| volume["hostPath"]["path"].as_str()).collect();
        assert_eq!(hosts, ["/var/lib/tripline"]);
        let secret =
            &volumes.iter().find(|volume| volume["name"] == "webhook").context("a volume")?["secret"];
        assert_eq!((&secret["secretName"], &secret["optional"]), (&json!("tripline-webhook"), &json!(true)));
        let keys = secret["items"].as_array().context("keys")?.iter().map(|item| &item["key"]);
        assert_eq!(keys.collect::<Vec<_>>(), ["tls.crt", "tls.key", "ca.crt", "token"]);

        // Nothing in it that an upgrade would put back, and kept by an uninstall.
        let secret = of_kind(&objects, "Secret")[0];
        assert_eq!((&secret["data"], &secret["stringData"]), (&Value::Null, &Value::Null));
        assert_eq!(secret["metadata"]["annotations"], json!({"helm.sh/resource-policy": "keep"}));
        for kind in ["Deployment", "DaemonSet"] {
            for workload in of_kind(&objects, kind) {
                assert_eq!(arguments(workload).contains(&keeps), kind == leader, "{more}: {kind}");
                assert_eq!(workload["spec"]["template"]["spec"]["hostNetwork"] == true, kind == "DaemonSet");
            }
        }
        assert!(of_kind(&objects, "Service").is_empty());
    }

    let objects = helm.objects(&WEBHOOK_SERVICE)?;
    assert!(of_kind(&objects, "Secret").is_empty());
    let reader = of_kind(&objects, "DaemonSet")[0];
    assert!(!arguments(reader).iter().any(|argument| argument.starts_with("--webhook-secret")));
    assert_eq!(reader["spec"]["template"]["spec"]["hostNetwork"], Value::Null);
    let volumes = reader["spec"]["template"]["spec"]["volumes"].as_array().context("volumes")?;
    assert!(volumes.iter().any(|volume| volume["secret"]["secretName"] == "own"));
    // On Talos root needs a capability for the log, and none for what it writes itself.
    let talos = helm.objects(&[&WEBHOOK[..], &["--set", "distribution=talos"]].concat())?;
    let container = &of_kind(&talos, "DaemonSet")[0]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    Ok(())
}

#[test]
fn whoever_leads_has_what_outputs_take_and_a_reader_only_writes_lines() -> Result<()> {
    let helm = Helm::new()?;
    let set = "clusterName=eu,outputs.stdout.enabled=true,outputs.alertmanager.urls={http://am:9093,https://am/x},\
        outputs.alertmanager.existingSecret=am,outputs.webhook.url=https://example.com/a,outputs.webhook.existingSecret=own";
    for (mode, leader) in [("split", "Deployment"), ("all", "DaemonSet")] {
        let objects = helm.objects(&["--set", set, "--set", &format!("mode={mode}")])?;
        for workload in [of_kind(&objects, "Deployment"), of_kind(&objects, "DaemonSet")].concat() {
            let leads = workload["kind"] == *leader;
            assert!(arguments(workload).contains(&"--output-stdout"));
            for argument in [
                "--alertmanager-url=http://am:9093",
                "--alertmanager-url=https://am/x",
                "--alertmanager-credentials=/etc/tripline/alertmanager",
                "--output-webhook-url=https://example.com/a",
                "--output-webhook-credentials=/etc/tripline/output-webhook",
                "--output-count-seconds=60",
            ] {
                assert_eq!(arguments(workload).contains(&argument), leads, "{mode}: {argument}");
            }
            if leads {
                assert!(
                    ["--cluster=eu", "--state-dir=/var/lib/tripline"]
                        .iter()
                        .all(|a| arguments(workload).contains(a))
                );
            }
            let pod = &workload["spec"]["template"]["spec"];
            let names = |list: &Value| -> Vec<String> {
                list.as_array().into_iter().flatten().map(name_of).collect()
            };
            let (volumes, mounts) = (names(&pod["volumes"]), names(&pod["containers"][0]["volumeMounts"]));
            for volume in ["alertmanager", "output-webhook"] {
                assert_eq!(volumes.iter().filter(|name| *name == volume).count(), usize::from(leads));
                assert_eq!(mounts.iter().filter(|name| *name == volume).count(), usize::from(leads));
            }
            assert!(volumes.contains(&"state".to_owned()) && mounts.contains(&"state".to_owned()));
        }
    }
    // No queue, no disk.
    let objects = helm.objects(&["--set", "outputs.stdout.enabled=true"])?;
    assert_eq!(of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["volumes"], Value::Null);
    Ok(())
}

fn name_of(item: &Value) -> String {
    item["name"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_notes_of_a_webhook_say_what_the_api_server_needs() -> Result<()> {
    let helm = Helm::new()?;
    let notes = |arguments: &[&str]| {
        let install = ["install", "tripline", TRIPLINE, "--namespace", "watch", "--dry-run=client"];
        helm.run(&[&install[..], arguments].concat())
    };
    let command = "tripline webhook-config --source kube-apiserver --secret watch/tripline-webhook";
    let said = notes(&WEBHOOK)?;
    assert!(said.contains(&format!("{command} > tripline-webhook.kubeconfig")), "{said}");
    assert!(said.contains("https://127.0.0.1:9443/audit/kube-apiserver of each node"), "{said}");
    let service = ["--set", "source.webhook.hostNetwork=false,source.webhook.clusterIP=fd00:10:96::53"];
    let said = notes(&[&WEBHOOK[..], &service].concat())?;
    assert!(said.contains(&format!("{command} --server https://[fd00:10:96::53]:9443 >")), "{said}");
    let said = notes(&WEBHOOK_SERVICE)?;
    assert!(said.contains("https://10.96.0.53:9443/audit/kube-apiserver.\n"), "{said}");
    // Its authority's key is somebody else's: nothing to mint a certificate with.
    assert!(said.contains("the Secret own lets in") && !said.contains(command), "{said}");
    assert!(!notes(&[])?.contains("webhook-config"));
    Ok(())
}

/// The rules that are rendered, by name.
fn rules(helm: &Helm, arguments: &[&str]) -> Result<BTreeSet<String>> {
    let objects = helm.objects(&[&["--set", "test.enabled=false"], arguments].concat())?;
    Ok(of_kind(&objects, "DetectionRule").iter().map(|rule| name(rule).to_owned()).collect())
}

#[test]
fn the_library_is_rendered_whole_or_as_it_is_chosen() -> Result<()> {
    let helm = Helm::new()?;
    let library = objects(&files("rules")?.join("---\n"))?;
    let objects = helm.objects(&["--set", "test.enabled=false"])?;
    let rendered = of_kind(&objects, "DetectionRule");
    assert_eq!(rendered.len(), library.len());
    for (rendered, rule) in rendered.iter().zip(&library) {
        assert_eq!(name(rendered), name(rule));
        assert!(rendered["spec"] == rule["spec"], "{}", name(rule));
    }

    let chosen = |choice: &dyn Fn(&Value) -> bool| -> BTreeSet<String> {
        library.iter().filter(|rule| choice(rule)).map(|rule| name(rule).to_owned()).collect()
    };
    let is_exec = |rule: &Value| name(rule) == "exec-into-pod";
    let tag = library[0]["spec"]["tags"][0].as_str().context("a tag")?;
    let has_tag =
        |rule: &Value| rule["spec"]["tags"].as_array().is_some_and(|tags| tags.contains(&tag.into()));
    let is_medium = |rule: &Value| rule["spec"]["severity"] == "Medium";
    let severe = |rule: &Value| rule["spec"]["severity"] == "High" || rule["spec"]["severity"] == "Critical";
    let json = |key: &str, value: &str| format!("rules.{key}=[\"{value}\"]");
    let with = |key: &str, value: &str| rules(&helm, &["--set-json", &json(key, value)]);
    assert_eq!(with("include.names", "exec-into-pod")?, chosen(&is_exec));
    assert_eq!(with("exclude.names", "exec-into-pod")?, chosen(&|rule| !is_exec(rule)));
    assert_eq!(with("include.tags", tag)?, chosen(&has_tag));
    assert_eq!(with("exclude.tags", tag)?, chosen(&|rule| !has_tag(rule)));
    assert_eq!(with("include.severities", "Medium")?, chosen(&is_medium));
    assert_eq!(with("exclude.severities", "Medium")?, chosen(&|rule| !is_medium(rule)));
    assert_eq!(rules(&helm, &["--set", "rules.minSeverity=High"])?, chosen(&severe));
    let both = ["--set-json", &json("include.names", "exec-into-pod"), "--set", "rules.minSeverity=Critical"];
    assert_eq!(rules(&helm, &both)?, BTreeSet::new());
    assert_eq!(rules(&helm, &["--set", "rules.enabled=false"])?, BTreeSet::new());
    Ok(())
}

#[test]
fn what_a_site_says_of_a_rule_is_laid_over_it_and_nothing_else() -> Result<()> {
    let helm = Helm::new()?;
    let rule = |override_: Value| -> Result<Value> {
        let values = json!({"exec-into-pod": override_});
        let objects = helm.objects(&["--set-json", &format!("rules.overrides={values}")])?;
        let rules = of_kind(&objects, "DetectionRule").into_iter();
        Ok(rules.filter(|rule| name(rule) == "exec-into-pod").map(|rule| rule["spec"].clone()).collect())
    };
    let own = |spec: &Value| spec[0].clone();
    let default = objects(&helm.template(&["--show-only=templates/rules.yaml"])?)?;
    let default = default.iter().find(|rule| name(rule) == "exec-into-pod").context("the rule")?;
    let default = default["spec"].clone();
    for (given, changes) in [
        (json!({"mode": "DryRun"}), json!({"mode": "DryRun"})),
        // 47 is Medium; the score goes no further than it must.
        (json!({"severity": "High"}), json!({"severity": "High", "riskScore": 60})),
        (json!({"severity": "Low"}), json!({"severity": "Low", "riskScore": 29})),
        (json!({"severity": "Medium"}), json!({})),
        (json!({"severity": "High", "riskScore": 73}), json!({"severity": "High", "riskScore": 73})),
        (json!({"riskScore": 0}), json!({"riskScore": 0})),
        (
            json!({"grouping": {"windowSeconds": 60}}),
            json!({"grouping": {"by": default["grouping"]["by"], "windowSeconds": 60}}),
        ),
        (
            json!({"grouping": {"by": ["user.username"]}}),
            json!({"grouping": {"by": ["user.username"], "windowSeconds": default["grouping"]["windowSeconds"]}}),
        ),
        (
            json!({"exceptions": [{"name": "ci", "query": "user.username: ci", "expireTime": "2030-01-31T00:00:00Z"}]}),
            json!({"exceptions": [{"name": "ci", "query": "user.username: ci", "expireTime": "2030-01-31T00:00:00Z"}]}),
        ),
    ] {
        let mut expected = default.clone();
        for (key, value) in changes.as_object().context("an object")? {
            expected[key] = value.clone();
        }
        assert_eq!(own(&rule(given.clone())?), expected, "{given}");
    }

    // Chosen by the severity that it has here.
    let severe = ["--set", "rules.minSeverity=Critical,rules.overrides.exec-into-pod.severity=Critical"];
    assert!(rules(&helm, &severe)?.contains("exec-into-pod"));
    let mild = ["--set", "rules.minSeverity=Medium,rules.overrides.exec-into-pod.severity=Low"];
    assert!(!rules(&helm, &mild)?.contains("exec-into-pod"));
    Ok(())
}

#[test]
fn the_kinds_are_those_of_the_repository_in_both_charts() -> Result<()> {
    let helm = Helm::new()?;
    let kinds = objects(&files("crds")?.join("---\n"))?;
    assert!(objects(&helm.run(&["show", "crds", TRIPLINE])?)? == kinds, "crds/ is not what Helm installs");

    let keep = "helm.sh/resource-policy";
    let rendered = objects(&helm.run(&["template", "crds", CRDS])?)?;
    for (rendered, kind) in rendered.iter().zip(&kinds) {
        assert_eq!(name(rendered), name(kind));
        assert!(rendered["spec"] == kind["spec"], "{}", name(kind));
        assert_eq!(rendered["metadata"]["annotations"][keep], "keep");
        for (key, value) in kind["metadata"]["annotations"].as_object().into_iter().flatten() {
            assert_eq!(&rendered["metadata"]["annotations"][key], value);
        }
    }
    assert_eq!(rendered.len(), kinds.len());
    let without = helm.run(&["template", "crds", CRDS, "--set", "keep=false"])?;
    assert!(!without.contains(keep));
    assert!(objects(&helm.run(&["template", "crds", CRDS, "--set", "enabled=false"])?)?.is_empty());
    Ok(())
}

/// The charts' folders have links to crds/ and rules/; a package has the files.
#[test]
fn a_package_renders_what_the_folder_does() -> Result<()> {
    let helm = Helm::new()?;
    for chart in [TRIPLINE, CRDS] {
        let destination = tempfile::tempdir()?;
        helm.run(&["package", chart, "--destination", &destination.path().display().to_string()])?;
        let packed = std::fs::read_dir(&destination)?.next().context("no package")??;
        let package = packed.path().display().to_string();
        let render = |chart: &str| helm.run(&["template", "tripline", chart, "--include-crds"]);
        assert!(render(&package)? == render(chart)?, "{package} differs from its folder");
    }
    Ok(())
}

#[test]
fn the_canary_is_a_rule_without_a_fault() -> Result<()> {
    let rule = Helm::new()?.template(&["--show-only", "templates/tests/detectionrule.yaml"])?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("canary.yaml");
    std::fs::write(&file, rule)?;
    for (command, verdict) in [("lint", "0 errors, 0 warnings"), ("test", "0 failed")] {
        let output = Command::new(env!("CARGO_BIN_EXE_tripline")).arg(command).arg(&file).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.contains(verdict), "{command}: {said}");
    }
    Ok(())
}
