//! Fields that are in no log: what rules would otherwise compute by hand, and get wrong.
use std::borrow::Cow;
use std::ops::ControlFlow;

use percent_encoding::percent_decode_str;

use super::audit::Event;
use super::glob::Glob;
use super::value::Value;
use super::walk::{Scope, leaves, reach};
use super::wanted::Wanted;

/// What `podSpec.allContainers` stands for.
const ALL_CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Whether the request was a dry run; `None` without a request URI.
pub(super) fn dry_run(event: &Event<'_>) -> Option<bool> {
    let uri = event.request_uri()?;
    Some(query_pairs(&uri).any(|(name, value)| name == "dryRun" && value == "All"))
}

/// The decoded command of an exec request, a value an argument.
pub(super) fn exec_argv(event: &Event<'_>) -> Vec<String> {
    let Some(uri) = event.request_uri() else {
        return Vec::new();
    };
    // As the API server reads it: whoever wants to hide an exec writes its name with a percent sign.
    let path = uri.split_once('?').map_or(&*uri, |(path, _)| path);
    let path = percent_decode_str(path).decode_utf8_lossy();
    if !path.trim_end_matches('/').ends_with("/exec") {
        return Vec::new();
    }
    query_pairs(&uri).filter(|(name, _)| name == "command").map(|(_, value)| value.into_owned()).collect()
}

fn query_pairs(uri: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes())
}

/// A name below `podSpec`, spelled out for the places where a pod spec may stand.
#[derive(Debug, Clone)]
pub(super) struct PodPath {
    pod: Vec<String>,
    workload: Vec<String>,
    template: Vec<String>,
}

impl PodPath {
    /// From what follows `podSpec.`; `None` for the whole spec.
    pub(super) fn new(rest: Option<&str>) -> PodPath {
        let rests: Vec<String> = match rest {
            None => vec![String::new()],
            Some(rest) => match rest.strip_prefix("allContainers") {
                Some(below) if below.is_empty() || below.starts_with('.') => {
                    ALL_CONTAINERS.iter().map(|list| format!(".{list}{below}")).collect()
                }
                _ => vec![format!(".{rest}")],
            },
        };
        let under = |specs: &[&str]| {
            specs
                .iter()
                .flat_map(|spec| rests.iter().map(move |rest| format!("requestObject.{spec}{rest}")))
                .collect()
        };
        PodPath {
            pod: under(&["spec"]),
            workload: under(&["spec.template.spec", "spec.jobTemplate.spec.template.spec"]),
            template: under(&["template.spec"]),
        }
    }

    /// Adds what of the bodies it may be read from.
    pub(super) fn add_wanted(&self, wanted: &mut Wanted) {
        [&self.pod, &self.workload, &self.template].into_iter().flatten().for_each(|path| wanted.add(path));
        // Which of them it is, see `Carrier`.
        wanted.add("requestObject.kind");
    }

    fn paths(&self, event: &Event<'_>) -> &[String] {
        match Carrier::of(event) {
            Carrier::Pod => &self.pod,
            Carrier::Workload => &self.workload,
            Carrier::Template => &self.template,
        }
    }

    pub(super) fn visit<'a>(
        &self,
        event: &Event<'a>,
        above: bool,
        visit: &mut dyn FnMut(Value<'a>, Scope) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.paths(event)
            .iter()
            .try_for_each(|path| reach(event.root(), Scope::Own, Some(path), above, visit))
    }
}

/// Which kind of object carries the pod spec.
enum Carrier {
    Pod,
    Template,
    Workload,
}

impl Carrier {
    /// By the resource, because the body of a patch does not say its kind; by the kind where there is no resource.
    fn of(event: &Event<'_>) -> Carrier {
        let resource = event.object_ref().and_then(|object| object.resource());
        let kind = || event.root().get("requestObject")?.get("kind")?.text();
        match resource.as_deref() {
            Some("pods") => Carrier::Pod,
            Some("podtemplates") => Carrier::Template,
            Some(_) => Carrier::Workload,
            None => match kind().as_deref() {
                None | Some("Pod") => Carrier::Pod,
                Some("PodTemplate") => Carrier::Template,
                Some(_) => Carrier::Workload,
            },
        }
    }
}

/// Every scalar whose name under `podSpec` fits `glob`.
pub(super) fn pod_leaves<'a>(
    event: &Event<'a>,
    glob: &Glob,
    visit: &mut dyn FnMut(&str, Value<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let whole = PodPath::new(None);
    whole.visit(event, false, &mut |spec, scope| leaves(spec, scope, "podSpec", Some(glob), visit))?;
    if glob.can_begin_with("podSpec.allContainers.") {
        let containers = PodPath::new(Some("allContainers"));
        containers.visit(event, false, &mut |container, scope| {
            leaves(container, scope, "podSpec.allContainers", Some(glob), visit)
        })?;
    }
    ControlFlow::Continue(())
}
