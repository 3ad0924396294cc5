//! What a name stands for on one event: every spelling of every value, written down before any is asked for.
use std::net::IpAddr;

use serde_json::Value;

use super::derived::derived;
use super::document::{Node, elastic_view};
use super::image::{PARTS, image_of, part_of};
use super::unlogged::unlogged_parts;
use super::value::{Kind, fits};

const VIEW: &str = "kubernetes.audit";
const IMAGE: &str = "container.image.name";
const OUTCOME: &str = "event.outcome";

/// The fields of the schema that are a path of the event, if that is not empty.
const RENAMED: [(&str, &str); 10] = [
    ("@timestamp", "stageTimestamp"),
    ("event.action", "verb"),
    ("user.name", "user.username"),
    ("user.id", "user.uid"),
    ("user_agent.original", "userAgent"),
    ("orchestrator.api_version", "apiVersion"),
    ("orchestrator.resource.type", "objectRef.resource"),
    ("orchestrator.resource.name", "objectRef.name"),
    ("orchestrator.namespace", "objectRef.namespace"),
    (IMAGE, "requestObject.spec.containers.image"),
];

const CONSTANT: [(&str, &str); 5] = [
    ("event.dataset", "kubernetes.audit_logs"),
    ("data_stream.dataset", "kubernetes.audit_logs"),
    ("event.kind", "event"),
    ("event.module", "kubernetes"),
    ("orchestrator.type", "kubernetes"),
];

const COMPUTED: [&str; 6] =
    [OUTCOME, "source.ip", "client.ip", "related.ip", "related.user", "orchestrator.cluster.name"];

const DERIVED: [&str; 6] = [
    "request.dryRun",
    "request.fromPublicAddress",
    "exec.command",
    "exec.argv",
    "csr.subject.organization",
    "csr.subject.commonName",
];

/// Whether `container:*` is unknown with the body that `container.image.name` is read from, as the page has it. The
/// evaluator takes it for missing.
const LOOKS_BELOW: bool = false;

/// Which of the spellings a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Own,
    View,
    Schema,
    Derived,
    /// A part of an image's name, which no pattern finds.
    ImagePart,
}

#[derive(Debug)]
struct Leaf {
    spelling: Spelling,
    name: String,
    value: Value,
}

/// An event with all its names.
#[derive(Debug)]
pub(super) struct Fields {
    own: Node,
    view: Node,
    leaves: Vec<Leaf>,
    pod_specs: Vec<&'static str>,
    unlogged: Vec<&'static str>,
}

impl Fields {
    pub(super) fn of(event: &Value, cluster: Option<&str>) -> Fields {
        let (own, view) = (Node::of(event), elastic_view(event));
        let pod_specs = places_of_the_pod_spec(event);
        let mut leaves = Vec::new();
        let mut add = |spelling, name: &str, value: &Value| {
            leaves.push(Leaf { spelling, name: name.to_owned(), value: value.clone() });
        };
        for (name, value) in own.leaves() {
            add(Spelling::Own, &name, value);
            for (field, _) in RENAMED.iter().filter(|(_, path)| *path == name && value != "") {
                add(Spelling::Schema, field, value);
            }
            for rest in pod_specs.iter().filter_map(|place| name.strip_prefix(place)) {
                if rest.is_empty() || rest.starts_with('.') {
                    add(Spelling::Derived, &format!("podSpec{rest}"), value);
                }
                for list in [".containers", ".initContainers", ".ephemeralContainers"] {
                    if let Some(rest) = below(rest, list) {
                        add(Spelling::Derived, &format!("podSpec.allContainers{rest}"), value);
                    }
                    if rest == format!("{list}.image") {
                        for part in PARTS {
                            let found = value.as_str().and_then(|image| part_of(image, part));
                            for list in [list, ".allContainers"].iter().filter(|_| found.is_some()) {
                                let value = Value::from(found.clone());
                                add(Spelling::ImagePart, &format!("podSpec{list}.image.{part}"), &value);
                            }
                        }
                    }
                }
            }
        }
        for (name, value) in view.leaves() {
            add(Spelling::View, &format!("{VIEW}.{name}"), value);
        }
        for (name, value) in CONSTANT {
            add(Spelling::Schema, name, &value.into());
        }
        for (name, value) in computed(event, cluster) {
            add(Spelling::Schema, name, &value.into());
        }
        for (name, value) in derived(event) {
            add(Spelling::Derived, name, &value);
        }
        Fields { leaves, pod_specs, unlogged: unlogged_parts(event), own, view }
    }

    /// The values of the field of this plain name.
    pub(super) fn named<'f>(&'f self, name: &'f str) -> impl Iterator<Item = (Kind, &'f Value)> {
        let spelling = spelling_of(name);
        let leaves = self.leaves.iter().filter(move |leaf| leaf.spelling == spelling && leaf.name == name);
        leaves.map(|leaf| (kind_of(&leaf.name), &leaf.value))
    }

    /// Whether a plain name has a value or one below it.
    pub(super) fn exists(&self, name: &str) -> bool {
        let spelling = spelling_of(name);
        self.leaves.iter().any(|leaf| {
            let is_asked =
                leaf.spelling == spelling || (spelling == Spelling::Own && leaf.spelling == Spelling::Schema);
            is_asked && below(&leaf.name, name).is_some()
        })
    }

    /// The values of all names that fit the pattern, among the spellings that its beginning asks for.
    pub(super) fn fitting<'f>(&'f self, pieces: &'f [String]) -> impl Iterator<Item = (Kind, &'f Value)> {
        let start = pieces[0].as_str();
        let leaves = self.leaves.iter().filter(move |leaf| {
            let is_asked = match leaf.spelling {
                Spelling::Own => !is_view(start),
                Spelling::View => is_view(start),
                Spelling::ImagePart => false,
                Spelling::Schema | Spelling::Derived => begins_in_the_family(start, &leaf.name),
            };
            is_asked && fits(pieces, &leaf.name)
        });
        leaves.map(|leaf| (kind_of(&leaf.name), &leaf.value))
    }

    /// All values of the event.
    pub(super) fn any(&self) -> impl Iterator<Item = (Kind, &Value)> {
        let own = self.leaves.iter().filter(|leaf| leaf.spelling == Spelling::Own);
        own.map(|leaf| (kind_of(&leaf.name), &leaf.value))
    }

    /// What a nested group on this name looks at one by one.
    pub(super) fn elements(&self, name: &str) -> Vec<&Node> {
        if let Some(rest) = below(name, VIEW) {
            return self.view.elements(rest.strip_prefix('.'));
        }
        let Some(rest) = below(name, "podSpec") else { return self.own.elements(Some(name)) };
        let rests: Vec<String> = match below(rest, ".allContainers") {
            Some(rest) => ["containers", "initContainers", "ephemeralContainers"]
                .map(|list| format!(".{list}{rest}"))
                .to_vec(),
            None => vec![rest.to_owned()],
        };
        let paths =
            self.pod_specs.iter().flat_map(|place| rests.iter().map(move |rest| format!("{place}{rest}")));
        paths.flat_map(|path| self.own.elements(Some(&path))).collect()
    }

    /// Whether a plain name lies in a part of the event that was not logged.
    pub(super) fn is_open(&self, name: &str) -> bool {
        let own = name.strip_prefix("kubernetes.audit.").unwrap_or(name);
        self.is_unlogged(match own.split('.').next().unwrap_or_default() {
            "podSpec" if own == name => "requestObject",
            "csr" if DERIVED.contains(&name) => "requestObject",
            _ if name == IMAGE => "requestObject",
            _ if name == OUTCOME => "annotations",
            first => first,
        })
    }

    /// The same of a name whose existence is asked for: what is below it counts too.
    pub(super) fn is_open_below(&self, name: &str) -> bool {
        let is_above =
            |field: &str| LOOKS_BELOW && spelling_of(name) == Spelling::Own && below(field, name).is_some();
        self.is_open(name)
            || (is_above(IMAGE) && self.is_unlogged("requestObject"))
            || (is_above(OUTCOME) && self.is_unlogged("annotations"))
    }

    /// Whether a name that fits the pattern could lie in such a part.
    pub(super) fn could_be_open(&self, pieces: &[String]) -> bool {
        let start = pieces[0].as_str();
        let own = start.strip_prefix("kubernetes.audit.").unwrap_or(start);
        self.unlogged.iter().any(|part| could_begin(own, &format!("{part}.")))
            || (["podSpec.", "csr."].iter().any(|family| start.starts_with(family))
                && self.is_unlogged("requestObject"))
            || (self.is_unlogged("requestObject")
                && begins_in_the_family(start, IMAGE)
                && fits(pieces, IMAGE))
            || (self.is_unlogged("annotations")
                && begins_in_the_family(start, OUTCOME)
                && fits(pieces, OUTCOME))
    }

    /// Whether anything was not logged.
    pub(super) fn is_anything_open(&self) -> bool {
        !self.unlogged.is_empty()
    }

    fn is_unlogged(&self, part: &str) -> bool {
        self.unlogged.contains(&part)
    }
}

/// Whether a text that begins as the one can begin as the other.
fn could_begin(pattern: &str, start: &str) -> bool {
    pattern.starts_with(start) || start.starts_with(pattern)
}

/// What of a name follows `above`, with its dot.
pub(super) fn below<'n>(name: &'n str, above: &str) -> Option<&'n str> {
    name.strip_prefix(above).filter(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_view(pattern_start: &str) -> bool {
    pattern_start.starts_with("kubernetes.audit.")
}

/// Whether the pattern spells out the first word of the name, and its dot.
fn begins_in_the_family(pattern_start: &str, name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(first, _)| pattern_start.strip_prefix(first).is_some_and(|rest| rest.starts_with('.')))
}

fn spelling_of(name: &str) -> Spelling {
    let in_schema = RENAMED.iter().chain(&CONSTANT).map(|(name, _)| *name).chain(COMPUTED).any(|n| n == name);
    if below(name, VIEW).is_some() {
        Spelling::View
    } else if in_schema {
        Spelling::Schema
    } else if image_of(name).is_some() {
        Spelling::ImagePart
    } else if below(name, "podSpec").is_some() || DERIVED.contains(&name) {
        Spelling::Derived
    } else {
        Spelling::Own
    }
}

/// How the strings of a full name compare.
pub(super) fn kind_of(name: &str) -> Kind {
    match name.strip_prefix("kubernetes.audit.").unwrap_or(name) {
        "sourceIPs" => Kind::Address,
        "stageTimestamp" | "requestReceivedTimestamp" => Kind::Date,
        _ => match name {
            "source.ip" | "client.ip" | "related.ip" => Kind::Address,
            "@timestamp" => Kind::Date,
            _ => Kind::Plain,
        },
    }
}

fn computed(event: &Value, cluster: Option<&str>) -> Vec<(&'static str, String)> {
    let mut values = Vec::new();
    match event["annotations"]["authorization.k8s.io/decision"].as_str() {
        Some("allow") => values.push((OUTCOME, "success".to_owned())),
        Some("forbid") => values.push((OUTCOME, "failure".to_owned())),
        _ => {}
    }
    values.extend(cluster.map(|cluster| ("orchestrator.cluster.name", cluster.to_owned())));
    let users = [&event["user"]["uid"], &event["user"]["username"]];
    for user in users.iter().filter_map(|user| user.as_str()).filter(|user| !user.is_empty()) {
        values.push(("related.user", user.to_owned()));
    }
    let sources = event["sourceIPs"].as_array().map_or(&[][..], |list| list);
    let address =
        |value: &Value| value.as_str().filter(|text| text.parse::<IpAddr>().is_ok()).map(str::to_owned);
    let is_clean = sources.iter().all(|source| address(source).is_some());
    for source in sources.iter().filter_map(address) {
        values.push(("related.ip", source.clone()));
        if is_clean {
            values.extend([("source.ip", source.clone()), ("client.ip", source)]);
        }
    }
    values
}

/// Where an event holds a pod spec: by the resource, by the body's kind if that is not known; in the answer too where the
/// request is a JSON patch of one.
fn places_of_the_pod_spec(event: &Value) -> Vec<&'static str> {
    let (places, answered, spec): (Vec<_>, Vec<_>, Vec<_>) =
        match (event["objectRef"]["resource"].as_str(), event["requestObject"]["kind"].as_str()) {
            (Some("pods"), _) | (None, None | Some("Pod")) => {
                (vec!["requestObject.spec"], vec!["responseObject.spec"], vec!["/spec"])
            }
            (Some("podtemplates"), _) | (None, Some("PodTemplate")) => (
                vec!["requestObject.template.spec"],
                vec!["responseObject.template.spec"],
                vec!["/template/spec"],
            ),
            _ => (
                vec!["requestObject.spec.template.spec", "requestObject.spec.jobTemplate.spec.template.spec"],
                vec![
                    "responseObject.spec.template.spec",
                    "responseObject.spec.jobTemplate.spec.template.spec",
                ],
                vec!["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"],
            ),
        };
    let operations = event["requestObject"].as_array().map_or(&[][..], |list| list);
    let is_patched = operations.iter().any(|operation| {
        let Some(path) = operation["path"].as_str() else { return false };
        let path = path.find('/').map_or("", |at| &path[at..]);
        let (path, is_above) = (format!("{path}/"), |long: &str, short: &str| long.starts_with(short));
        let meets = |spec: &&str| {
            let spec = format!("{spec}/");
            is_above(&path, &spec) || is_above(&spec, &path)
        };
        operation["op"] != "test" && spec.iter().any(meets)
    });
    if is_patched { [places, answered].concat() } else { places }
}
