//! The values of the chart: documented, bounded by the schema, and refused where they contradict each other.
mod support;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::helm::{CRDS, Helm, TRIPLINE};

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).context(path.to_owned())
}

/// The keys of one level that are ours, and none where the level is Kubernetes'.
fn properties<'a>(schema: &'a Value, node: &'a Value) -> Option<&'a serde_json::Map<String, Value>> {
    let node = match node["$ref"].as_str() {
        // Its keys are those of a container.
        Some("#/definitions/resources") => return None,
        Some(reference) => schema.pointer(reference.trim_start_matches('#'))?,
        None => node,
    };
    node["properties"].as_object()
}

fn schema_at<'a>(schema: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(schema, |node, key| properties(schema, node)?.get(*key))
}

/// The keys that stand in only one of schema and values.
fn unequal(schema: &Value, node: &Value, values: &Value, path: &str) -> BTreeSet<String> {
    let Some(known) = properties(schema, node) else { return BTreeSet::new() };
    let given: BTreeSet<&String> = values.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
    let mut found: BTreeSet<String> =
        given.symmetric_difference(&known.keys().collect()).map(|key| format!("{path}{key}")).collect();
    for (key, node) in known {
        found.extend(unequal(schema, node, &values[key], &format!("{path}{key}.")));
    }
    found
}

/// The keys of the file that have no comment right above, as far as they are the chart's own.
fn undocumented(schema: &Value, text: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut commented = false;
    for line in text.lines() {
        let inner = line.trim_start();
        let indent = line.len() - inner.len();
        let key = inner.split(':').next().unwrap_or_default();
        if inner.starts_with('#') {
            commented = true;
            continue;
        }
        if inner.contains(':') && !inner.starts_with('-') {
            path.retain(|(depth, _)| *depth < indent);
            path.push((indent, key));
            let keys: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
            if schema_at(schema, &keys).is_some() && !commented {
                missing.push(keys.join("."));
            }
        }
        commented = false;
    }
    missing
}

#[test]
fn every_value_is_documented_and_in_the_schema() -> Result<()> {
    // What a parent chart and Helm itself add, which has no place in the values.
    for (chart, added) in [("tripline", "enabled"), ("tripline-crds", "global")] {
        let text = read(&format!("charts/{chart}/values.yaml"))?;
        let schema: Value = serde_json::from_str(&read(&format!("charts/{chart}/values.schema.json"))?)?;
        let found = unequal(&schema, &schema, &serde_saphyr::from_str(&text)?, "");
        assert_eq!(found, BTreeSet::from([added.to_owned()]), "{chart}: in only one of schema and values");
        let missing = undocumented(&schema, &text);
        assert!(missing.is_empty(), "values of {chart} without a comment: {}", missing.join(", "));
    }
    Ok(())
}

#[test]
fn the_check_of_comments_sees_one_that_is_missing() -> Result<()> {
    let schema = serde_json::from_str(&read("charts/tripline/values.schema.json")?)?;
    let text = "# What.\nimage:\n  tag: dev\n  # When.\n  pullPolicy: Always\nreader:\n  # It.\n  resources:\n    limits: {}\n";
    assert_eq!(undocumented(&schema, text), ["image.tag", "reader"]);
    Ok(())
}

/// Renders with a value; it must be refused, with a message that has this in it.
fn refused(helm: &Helm, arguments: &[&str], message: &str) -> Result<()> {
    let error = helm.template(arguments).err().map(|error| error.to_string());
    let error = error.with_context(|| format!("{arguments:?} was accepted"))?;
    // One line, for Helm wraps a message in the place of each template.
    let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(error.contains(message), "{arguments:?} was refused, but not for {message:?}:\n{error}");
    Ok(())
}

#[test]
fn the_schema_refuses_what_is_no_value() -> Result<()> {
    let helm = Helm::new()?;
    for (set, message) in [
        ("mod=all", "additional properties 'mod' not allowed"),
        ("mode=both", "at '/mode': value must be one of 'split', 'all'"),
        ("distribution=gentoo", "at '/distribution': value must be one of"),
        ("source.file.pth=/a", "at '/source/file': additional properties 'pth' not allowed"),
        ("source.file.path=audit.log", "at '/source/file/path'"),
        ("source.startAt=Now", "at '/source/startAt': value must be one of"),
        ("source.lastSeconds=0", "at '/source/lastSeconds'"),
        ("source.omitStages={Never}", "at '/source/omitStages/0': value must be one of"),
        ("source.name=Kube_Apiserver", "at '/source/name'"),
        ("source.webhook.address=::1", "at '/source/webhook': additional properties 'address' not allowed"),
        ("source.webhook.authentication=None", "at '/source/webhook/authentication': value must be one of"),
        ("source.webhook.port=0", "at '/source/webhook/port'"),
        ("source.webhook.spoolMebibytes=63", "at '/source/webhook/spoolMebibytes'"),
        ("source.webhook.clusterIP=None", "at '/source/webhook/clusterIP'"),
        ("source.webhook.existingSecret=Own", "at '/source/webhook/existingSecret'"),
        ("outputs.countSeconds=0", "at '/outputs/countSeconds'"),
        ("outputs.alertmanager.urls={am:9093}", "at '/outputs/alertmanager/urls/0'"),
        ("outputs.alertmanager.urls={https://a:b@am}", "at '/outputs/alertmanager/urls/0'"),
        ("outputs.webhook.url=http://example.com", "at '/outputs/webhook/url'"),
        ("outputs.webhook.existingSecret=Own", "at '/outputs/webhook/existingSecret'"),
        ("networkPolicy.outputs.ports={0}", "at '/networkPolicy/outputs/ports/0'"),
        ("events=everywhere", "at '/events': value must be one of"),
        ("eventDetail=perhaps", "at '/eventDetail': got string, want boolean"),
        ("ignoreUsers={a\\,b}", "at '/ignoreUsers/0'"),
        ("image.digest=sha256:abc", "at '/image/digest'"),
        ("image.repository=Tripline", "at '/image/repository'"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of"),
        ("rules.minSeverity=Huge", "at '/rules/minSeverity': value must be one of"),
        ("rules.include.name=x", "at '/rules/include': additional properties 'name' not allowed"),
        (
            "rules.overrides.exec-into-pod.mode=Off",
            "at '/rules/overrides/exec-into-pod/mode': value must be one of",
        ),
        (
            "rules.overrides.exec-into-pod.sevrity=Low",
            "at '/rules/overrides/exec-into-pod': additional properties 'sevrity' not allowed",
        ),
        (
            "rules.overrides.exec-into-pod.grouping.windows=1",
            "at '/rules/overrides/exec-into-pod/grouping': additional properties 'windows' not allowed",
        ),
        (
            "rules.overrides.exec-into-pod.exceptions[0].name=x",
            "at '/rules/overrides/exec-into-pod/exceptions/0': missing property 'query'",
        ),
        ("rules.exclude.severities={low}", "at '/rules/exclude/severities/0': value must be one of"),
        ("kubernetesApi.port=0", "at '/kubernetesApi/port'"),
        ("kubernetesApi.host=https://api", "at '/kubernetesApi/host'"),
        ("reader.statePath=var", "at '/reader/statePath'"),
        ("reader.replicas=2", "at '/reader': additional properties 'replicas' not allowed"),
        ("reader.resources.memory=1Gi", "at '/reader/resources': additional properties 'memory' not allowed"),
        ("controller.replicas=-1", "at '/controller/replicas'"),
        ("controller.hostPath=/", "at '/controller': additional properties 'hostPath' not allowed"),
        ("imagePullSecrets={pull}", "at '/imagePullSecrets/0': got string, want object"),
        ("metrics.serviceMonitor.interval=often", "at '/metrics/serviceMonitor/interval'"),
        ("networkPolicy.apiServer.cidrs={10.0.0.1}", "at '/networkPolicy/apiServer/cidrs/0'"),
        ("test.timeoutSeconds=60s", "at '/test/timeoutSeconds'"),
    ] {
        refused(&helm, &["--set", set], message)?;
    }
    let error = helm.run(&["template", "crds", CRDS, "--set", "crds.keep=true"]).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("additional properties 'crds' not allowed"), "{error}");
    // The condition of a parent chart, which hands it down with the rest.
    helm.template(&["--set", "enabled=true"])?;
    Ok(())
}

#[test]
fn values_that_contradict_each_other_are_refused() -> Result<()> {
    let helm = Helm::new()?;
    for (set, message) in [
        ("distribution=custom", "distribution=custom needs source.file.path"),
        (
            "source.file.path=/srv/audit.log,source.file.mountPath=/var/log",
            "source.file.path /srv/audit.log is not beneath source.file.mountPath /var/log",
        ),
        ("source.file.path=/audit.log", "lies in the host's root folder"),
        ("source.file.logRoot=/srv", "source.file.mountPath /var/log/kubernetes is not beneath"),
        ("source.startAt=LastSeconds", "source.startAt=LastSeconds needs source.lastSeconds"),
        ("source.lastSeconds=60", "source.lastSeconds is for source.startAt=LastSeconds, which is End"),
        ("controller.replicas=3,lease.enabled=false", "controller.replicas above 1 needs lease.enabled=true"),
        ("kubernetesApi.host=127.0.0.1", "a loopback address needs hostNetwork=true"),
        ("hostNetwork=true", "controller.port and reader.port must differ"),
        (
            "reader.serviceAccount.name=one,controller.serviceAccount.name=one",
            "reader.serviceAccount.name and controller.serviceAccount.name must differ",
        ),
        (
            "source.webhook.enabled=true,source.webhook.hostNetwork=false",
            "source.webhook.hostNetwork=false needs source.webhook.clusterIP",
        ),
        (
            "source.webhook.enabled=true,source.webhook.clusterIP=10.96.0.53",
            "source.webhook.clusterIP 10.96.0.53 is for source.webhook.hostNetwork=false",
        ),
        (
            "source.webhook.clusterIP=10.96.0.53",
            "source.webhook.clusterIP 10.96.0.53 needs source.webhook.enabled=true",
        ),
        (
            "source.webhook.existingSecret=own",
            "source.webhook.existingSecret own needs source.webhook.enabled",
        ),
        ("source.webhook.enabled=true,reader.port=9443", "source.webhook.port and reader.port must differ"),
        (
            "source.webhook.enabled=true,hostNetwork=true,controller.port=9443",
            "source.webhook.port and controller.port must differ",
        ),
        (
            "source.webhook.enabled=true,source.file.path=/var/log/kubernetes/audit.log",
            "source.file.path /var/log/kubernetes/audit.log is for a log file",
        ),
        (
            "source.webhook.enabled=true,source.startAt=Start",
            "source.startAt=Start is for a log file: a webhook has no past to start at",
        ),
        (
            "outputs.webhook.url=https://example.com",
            "outputs.webhook.url needs outputs.webhook.existingSecret",
        ),
        (
            "outputs.webhook.existingSecret=own",
            "outputs.webhook.existingSecret own needs outputs.webhook.url",
        ),
        (
            "outputs.alertmanager.existingSecret=own",
            "outputs.alertmanager.existingSecret own needs outputs.alertmanager.urls",
        ),
        ("reader.statePath=/var/log/kubernetes/state", "lie in each other"),
        ("reader.statePath=/var/log", "lie in each other"),
        ("metrics.serviceMonitor.enabled=true", "needs metrics.service.enabled=true"),
        (
            "metrics.service.enabled=true,metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true",
            "would count everything twice",
        ),
        (
            "metrics.prometheusRule.enabled=true,metrics.prometheusRule.disabled={TriplineDawn}",
            "there is no alert \"TriplineDawn\"; there are: TriplineDown",
        ),
        ("logLevel=loud", "/logLevel"),
    ] {
        refused(&helm, &["--set", set], message)?;
    }
    for set in [
        "kubernetesApi.host=10.0.0.1",
        "logLevel=warn\\,tripline=debug\\,kube=info",
        "mode=all,hostNetwork=true,kubernetesApi.host=127.0.0.1",
        "mode=all,lease.enabled=false",
        "controller.replicas=1,lease.enabled=false",
        "distribution=custom,source.file.path=/srv/audit/audit.log",
        // Another file in the folder that the distribution mounts, and one in another folder.
        "source.file.path=/var/log/kubernetes/other.log",
        "source.file.path=/srv/audit/audit.log",
        // Without a file no path is asked for, and the controller stays off the host's network.
        "source.webhook.enabled=true,distribution=custom",
        "source.webhook.enabled=true,controller.port=9443",
        "source.webhook.enabled=true,reader.statePath=/var/log/kubernetes",
        "source.webhook.enabled=true,source.webhook.hostNetwork=false,source.webhook.clusterIP=fd00:10:96::53",
    ] {
        helm.template(&["--set", set])?;
    }
    Ok(())
}

#[test]
fn rules_that_are_not_in_the_library_cannot_be_chosen_or_changed() -> Result<()> {
    let helm = Helm::new()?;
    for (set, message) in [
        (
            "rules.include.names={exec-into-pot}",
            "no rule of the library is named \"exec-into-pot\"; there are: admin-",
        ),
        ("rules.exclude.tags={Nothing}", "no rule of the library has the tag \"Nothing\"; there are: "),
        (
            "rules.include.names={exec-into-pod},rules.exclude.names={exec-into-pod}",
            "\"exec-into-pod\" is in include.names and in exclude.names",
        ),
        (
            "rules.overrides.exec-into-pot.mode=DryRun",
            "rules.overrides: no rule of the library is named \"exec-into-pot\"; there are: admin-",
        ),
        (
            "rules.overrides.exec-into-pod.mode=DryRun,rules.exclude.names={exec-into-pod}",
            "\"exec-into-pod\" is in overrides and in exclude.names",
        ),
    ] {
        refused(&helm, &["--set", set], message)?;
    }
    Ok(())
}

#[test]
fn where_no_node_has_a_log_it_says_so() -> Result<()> {
    let helm = Helm::new()?;
    for (set, message) in [
        ("eks", "its audit log goes to CloudWatch, so there is no log on a node to read"),
        ("gke", "its audit log goes to Cloud Logging, so there is no log on a node to read"),
        ("aks", "its audit log goes to a diagnostic setting, so there is no log on a node to read"),
        ("minikube", "standard output, not to a file. Start it with audit-log-path set to a file"),
    ] {
        let set = format!("distribution={set}");
        refused(&helm, &["--set", &set], message)?;
        // Nobody can give that API server flags either, but for minikube's.
        let webhook = ["--set", &set, "--set", "source.webhook.enabled=true"];
        if set == "distribution=minikube" {
            helm.template(&webhook)?;
        } else {
            refused(&helm, &webhook, message)?;
        }
    }
    for (version, message) in [
        ("v1.34.1-eks-113cf36", "this is EKS (Kubernetes v1.34.1-eks-113cf36)"),
        ("v1.34.1-gke.1000", "this is GKE (Kubernetes v1.34.1-gke.1000)"),
    ] {
        refused(&helm, &["--kube-version", version], message)?;
        // Built from the same sources, but on machines of one's own.
        helm.template(&["--kube-version", version, "--set", "distribution=eks-anywhere"])?;
    }
    refused(&helm, &["--kube-version", "v1.31.9"], "chart requires kubeVersion: >=1.32.0-0")?;
    Ok(())
}

/// The metrics in the table of docs/operating.md, and the one of the lease.
fn metrics() -> Result<BTreeSet<String>> {
    let page = read("docs/operating.md")?;
    let rows = page.lines().filter(|line| line.starts_with("| `tripline_"));
    let mut names: BTreeSet<String> =
        rows.flat_map(|row| names_in(row.split('|').nth(1).unwrap_or_default())).collect();
    names.insert("tripline_leader".to_owned());
    Ok(names)
}

/// Every `tripline_…` in a text.
fn names_in(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let found = text.match_indices("tripline_");
    found.map(|(at, _)| text[at..].chars().take_while(|c| is_part(*c)).collect()).collect()
}

#[test]
fn alerts_and_dashboard_know_the_metrics_there_are() -> Result<()> {
    let known = metrics()?;
    for file in ["monitoring/alerts.yaml", "monitoring/dashboard.json"] {
        let text = std::fs::read_to_string(format!("{TRIPLINE}/{file}"))?;
        let used: BTreeSet<String> = names_in(&text).into_iter().collect();
        assert!(used.is_subset(&known), "{file}: {:?}", used.difference(&known));
        assert!(used.len() > 10);
    }
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{TRIPLINE}/monitoring/dashboard.json"))?)?;
    assert_eq!(dashboard["title"], "Tripline");
    Ok(())
}

#[test]
fn every_alert_has_its_runbook() -> Result<()> {
    let page = read("docs/troubleshooting.md")?;
    let alerts: Vec<Value> =
        serde_saphyr::from_str(&std::fs::read_to_string(format!("{TRIPLINE}/monitoring/alerts.yaml"))?)?;
    let names: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert["alert"].as_str()).collect();
    let headings: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(names, headings);
    Ok(())
}
