//! A scenario: a script, and what its head says of it.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// The folder of scripts that no rule is there to notice.
pub(crate) const EVERYDAY: &str = "everyday";

/// The folder of scripts that do in another way what some rules have a script for already.
pub(crate) const AGAIN: &str = "again";

/// A script of commands that one rule is there to notice. It bears the rule's name, and so does its namespace.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// The rule.
    pub(crate) name: String,
    pub(crate) script: PathBuf,
    /// Whether it is everyday work instead, about which no rule that is on by default may say anything.
    pub(crate) is_everyday: bool,
    /// Whether no rule bears its name: all that must fire is said.
    pub(crate) is_again: bool,
    /// What is done, in a sentence.
    pub(crate) title: String,
    /// Who does it.
    pub(crate) actor: String,
    /// The group that its certificate names.
    pub(crate) group: Option<String>,
    /// What the actor may: verbs and resources.
    may: Vec<(Vec<String>, Vec<String>)>,
    /// How many detections its rule must make, where that was counted.
    pub(crate) detections: Option<i64>,
    /// The rules besides its own that must fire, and why.
    pub(crate) also: BTreeMap<String, String>,
}

impl Scenario {
    /// All of them, by name.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let mut all = files("tests/scenarios", "sh")?
            .iter()
            .map(|path| Self::read(path))
            .collect::<Result<Vec<_>>>()?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn read(script: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(script)?;
        let (tactic, name) = place(script)?;
        let mut lines = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        let mut scenario = Self {
            actor: format!("{name}@example.com"),
            name,
            script: script.to_owned(),
            is_everyday: tactic == EVERYDAY,
            is_again: tactic == AGAIN,
            title: lines.next().unwrap_or_default().to_owned(),
            group: None,
            may: Vec::new(),
            detections: None,
            also: BTreeMap::new(),
        };
        ensure!(scenario.title.ends_with('.'), "{} does not begin with a sentence", script.display());
        for line in lines.skip_while(|line| !line.is_empty()).filter(|line| !line.is_empty()) {
            scenario.take(line).with_context(|| format!("{}: {line}", script.display()))?;
        }
        Ok(scenario)
    }

    fn take(&mut self, line: &str) -> Result<()> {
        let (key, value) = line.split_once(": ").context("no `key: value`")?;
        let words = |text: &str| text.split(',').map(|word| word.trim().to_owned()).collect();
        match key {
            "actor" => value.clone_into(&mut self.actor),
            "group" => self.group = Some(value.to_owned()),
            "may" => {
                let (verbs, resources) = value.split_once(' ').context("no `VERBS RESOURCES`")?;
                self.may.push((words(verbs), words(resources)));
            }
            "detections" => self.detections = Some(value.parse()?),
            "also" => {
                let (rule, reason) = value.split_once(": ").context("no `RULE: REASON`")?;
                self.also.insert(rule.to_owned(), reason.to_owned());
            }
            _ => bail!("no such key"),
        }
        Ok(())
    }

    /// The rules that must fire.
    pub(crate) fn fires(&self) -> BTreeSet<String> {
        let own = (!self.is_everyday && !self.is_again).then_some(&self.name);
        self.also.keys().chain(own).cloned().collect()
    }

    /// Whether a request is this scenario's: its actor's, or that of somebody else but the administrator in its
    /// namespace, who may be a controller that finishes what the actor began.
    pub(crate) fn owns(&self, user: &str, namespace: &str) -> bool {
        let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split(':').next());
        user == self.actor && user != "system:anonymous"
            || account == Some(&self.name)
            || namespace == self.name && user != "admin"
    }

    /// The objects that give it its namespace and its actor their rights.
    pub(crate) fn objects(&self) -> Vec<Value> {
        // Scenarios bring pods of all kinds.
        let labels = json!({"pod-security.kubernetes.io/enforce": "privileged"});
        let rule = |(verbs, names): &(Vec<String>, Vec<String>)| {
            if names[0].starts_with('/') {
                json!({"verbs": verbs, "nonResourceURLs": names})
            } else {
                json!({"verbs": verbs, "apiGroups": ["*"], "resources": names})
            }
        };
        // What kubectl asks for before it applies anything.
        let namespaces = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["namespaces"]});
        let rules: Vec<_> = self.may.iter().map(rule).chain([namespaces]).collect();
        let name = format!("scenario-{}", self.name);
        let group = "rbac.authorization.k8s.io";
        vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}),
            json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}),
            json!({
                "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": group, "kind": "User", "name": self.actor}],
            }),
        ]
    }

    /// The pod that is in its namespace, on a node that is only an object.
    pub(crate) fn pod(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web", "namespace": self.name, "labels": {"app": "web"}},
            "spec": {"nodeName": "paper", "containers": [{"name": "web", "image": "registry.k8s.io/pause:3.10"}]},
        })
    }
}

/// Tactic and name of a file that stands in a folder a tactic.
pub(crate) fn place(path: &Path) -> Result<(String, String)> {
    let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
    let tactic = path.parent().and_then(|folder| text(folder.file_name()));
    tactic.zip(text(path.file_stem())).with_context(|| format!("{} is in no folder", path.display()))
}

/// The files with this ending in the folders of a folder of the repository.
pub(crate) fn files(folder: &str, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for tactic in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))? {
        let tactic = tactic?.path();
        if tactic.is_dir() {
            for file in std::fs::read_dir(&tactic)? {
                found.push(file?.path());
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    found.sort();
    Ok(found)
}
