//! `podSpec`: the specification of a pod, wherever a request holds it.
use std::ops::ControlFlow;

use super::audit::Event;
use super::glob::Glob;
use super::image::ImagePart;
use super::json::Kind;
use super::value::Value;
use super::walk::{Scope, leaves, reach};
use super::wanted::Wanted;

/// What `podSpec.allContainers` stands for.
const ALL_CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

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
        for path in [&self.pod, &self.workload, &self.template].into_iter().flatten() {
            wanted.add(path);
            wanted.add(&in_response(path));
        }
        // Which of them it is, see `Carrier`, and whether a JSON patch is about it.
        for name in ["kind", "op", "path"] {
            wanted.add(&format!("requestObject.{name}"));
        }
    }

    pub(super) fn visit<'a>(
        &self,
        event: &Event<'a>,
        above: bool,
        visit: &mut dyn FnMut(Value<'a>, Scope) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let carrier = Carrier::of(event);
        let paths = match carrier {
            Carrier::Pod => &self.pod,
            Carrier::Workload => &self.workload,
            Carrier::Template => &self.template,
        };
        let is_patched = carrier.is_json_patched(event);
        paths.iter().try_for_each(|path| {
            reach(event.root(), Scope::Own, Some(path), above, visit)?;
            if !is_patched {
                return ControlFlow::Continue(());
            }
            reach(event.root(), Scope::Own, Some(&in_response(path)), above, visit)
        })
    }
}

/// The same place in what was answered.
fn in_response(path: &str) -> String {
    path.replacen("requestObject", "responseObject", 1)
}

/// Takes a part of an image's name off a field's name: `podSpec.containers.image` and the tag of
/// `podSpec.containers.image.tag`.
pub(super) fn image_part(name: &str) -> Option<(&str, ImagePart)> {
    let (image, part) = name.rsplit_once('.')?;
    let list = image.strip_prefix("podSpec.")?.strip_suffix(".image")?;
    let is_list = list == "allContainers" || ALL_CONTAINERS.contains(&list);
    is_list.then(|| ImagePart::named(part).map(|part| (image, part)))?
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

    /// Whether the request is a JSON patch of the pod spec, or of what it stands in. Such a patch says what is done and
    /// not what comes of it, which is in the answer.
    fn is_json_patched(&self, event: &Event<'_>) -> bool {
        let specs: &[&str] = match self {
            Carrier::Pod => &["/spec"],
            Carrier::Template => &["/template/spec"],
            Carrier::Workload => &["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"],
        };
        let is_below = |path: &str, above: &str| {
            path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // The API server passes over what stands before the first slash.
        let pointer = |path: &str| path.find('/').map_or(String::new(), |at| path[at..].to_owned());
        let operations = event.root().get("requestObject").filter(|body| body.kind() == Kind::Array);
        operations.into_iter().flat_map(|operations| operations.elements()).any(|operation| {
            let text = |name| operation.get(name).and_then(|value| value.text());
            text("op").is_none_or(|op| op != "test")
                && text("path").map(|path| pointer(&path)).is_some_and(|path| {
                    specs.iter().any(|spec| is_below(spec, &path) || is_below(&path, spec))
                })
        })
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
