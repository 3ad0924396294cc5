//! What requests and responses carry.
use super::dice::Dice;
use super::json::{Json, Member, member, object, text, word};
use super::pools::{IMAGES, NAMES, NUMBERS, REQUESTS, TIMES, VERBS, WORDS};

/// A body that fits verb and resource, or any other.
pub(super) fn body(verb: &str, resource: &str, dice: &mut Dice) -> Json {
    if verb.starts_with("delete") && dice.chance(70) {
        return delete_options(dice);
    }
    if dice.chance(25) {
        return odd_body(dice);
    }
    if dice.chance(2) {
        return leaf(dice);
    }
    let spec = pod_spec(dice);
    match resource {
        "pods" => with_metadata("Pod", ("spec", spec), dice),
        "deployments" => with_metadata("Deployment", ("spec", template(spec)), dice),
        "cronjobs" => {
            let job = object([("jobTemplate", object([("spec", template(spec))]))]);
            with_metadata("CronJob", ("spec", job), dice)
        }
        "podtemplates" => with_metadata("PodTemplate", ("template", object([("spec", spec)])), dice),
        "secrets" => {
            let content = object([("token", text("c2VjcmV0"))]);
            let name = dice.one_of(&["data", "data", "stringData", "Raw", "x.data"]);
            with_metadata("Secret", (name, content), dice)
        }
        "certificatesigningrequests" => {
            let (request, ..) = REQUESTS[dice.below(REQUESTS.len())];
            let spec = object([("request", text(request)), ("signerName", text("a.example/b"))]);
            with_metadata("CertificateSigningRequest", ("spec", spec), dice)
        }
        "clusterrolebindings" => {
            let role = object([("kind", text("ClusterRole")), ("name", text(dice.one_of(&NAMES)))]);
            with_metadata("ClusterRoleBinding", ("roleRef", role), dice)
        }
        _ => with_metadata("ClusterRole", ("rules", rules(dice)), dice),
    }
}

fn delete_options(dice: &mut Dice) -> Json {
    let mut members = vec![member("kind", text("DeleteOptions"))];
    match dice.below(4) {
        0 => {}
        1 => members.push(member("dryRun", Json::List(vec![text("None")]))),
        2 => members.push(member("dryRun", Json::List(vec![text("All")]))),
        _ => members.push(member("dryRun", text("All"))),
    }
    Json::Object(members)
}

fn with_metadata(kind: &str, content: (&str, Json), dice: &mut Dice) -> Json {
    let labels = object([("app", text(dice.one_of(&WORDS))), ("app.kubernetes.io/name", text("web"))]);
    let metadata = object([
        ("name", text(dice.one_of(&NAMES))),
        ("creationTimestamp", word("null")),
        ("labels", if dice.chance(70) { labels } else { object([]) }),
    ]);
    object([("kind", text(kind)), ("apiVersion", text("v1")), ("metadata", metadata), content])
}

fn template(spec: Json) -> Json {
    object([
        ("replicas", word("1")),
        ("template", object([("metadata", object([("creationTimestamp", word("null"))])), ("spec", spec)])),
    ])
}

fn pod_spec(dice: &mut Dice) -> Json {
    let mut members = vec![member("containers", containers(dice))];
    if dice.chance(30) {
        members.push(member("initContainers", containers(dice)));
    }
    if dice.chance(20) {
        members.push(member("ephemeralContainers", containers(dice)));
    }
    if dice.chance(50) {
        members.push(member("hostPID", word(dice.one_of(&["true", "true", "false"]))));
    }
    if dice.chance(20) {
        members.push(member("hostNetwork", text("true")));
    }
    if dice.chance(20) {
        members.push(member("securityContext", object([])));
    }
    Json::Object(members)
}

fn containers(dice: &mut Dice) -> Json {
    let list = (0..dice.below(3) + usize::from(dice.chance(80))).map(|_| {
        let mut members =
            vec![member("name", text(dice.one_of(&["c", "d"]))), member("image", text(dice.one_of(&IMAGES)))];
        if dice.chance(50) {
            let privileged = word(dice.one_of(&["true", "false"]));
            members.push(member("securityContext", object([("privileged", privileged)])));
        }
        if dice.chance(30) {
            let ports = object([("containerPort", word(dice.one_of(&NUMBERS[..10])))]);
            members.push(member("ports", Json::List(vec![ports])));
        }
        Json::Object(members)
    });
    Json::List(list.collect())
}

fn rules(dice: &mut Dice) -> Json {
    let list = (0..=dice.below(3)).map(|_| {
        object([
            ("verbs", Json::List(vec![text(dice.one_of(&["*", "get", "create"]))])),
            ("resources", Json::List(vec![text(dice.one_of(&["pods", "secrets", "*"]))])),
        ])
    });
    Json::List(list.collect())
}

/// A patch, a body that looks like the rest of an event, or a tree of any form.
fn odd_body(dice: &mut Dice) -> Json {
    match dice.below(8) {
        0 => Json::List(vec![
            object([
                ("op", text("add")),
                ("path", text(dice.one_of(&["/spec/hostPID", "x/spec/hostPID", "/metadata/labels", ""]))),
                ("value", word("true")),
                ("metadata", object([("name", text("web-0"))])),
            ]),
            object([("op", text("replace")), ("value", text(dice.one_of(&WORDS)))]),
        ]),
        1 => object([("spec", object([("hostPID", word("true"))]))]),
        2 => Json::Object(vec![
            member("spec.hostPID", word("true")),
            member("spec.containers", containers(dice)),
            member("metadata.name", text(dice.one_of(&NAMES))),
        ]),
        3 => end_of_an_event(dice),
        4 => object([
            ("kind", text("Event")),
            ("apiVersion", text("audit.k8s.io/v1")),
            ("stage", text("ResponseComplete")),
            ("verb", text(dice.one_of(&VERBS))),
            ("nested", end_of_an_event(dice)),
        ]),
        _ => tree(4, dice),
    }
}

/// What a reader that looks for the end of a line may take for it.
fn end_of_an_event(dice: &mut Dice) -> Json {
    object([
        ("requestReceivedTimestamp", text(dice.one_of(&TIMES))),
        ("stageTimestamp", text(dice.one_of(&TIMES))),
        (
            "annotations",
            object([
                ("authorization.k8s.io/decision", text(dice.one_of(&["allow", "forbid"]))),
                ("authorization.k8s.io/reason", text("")),
            ]),
        ),
    ])
}

/// Any value, with few different keys, dotted and empty ones among them.
pub(super) fn tree(depth: usize, dice: &mut Dice) -> Json {
    if depth == 0 || dice.chance(30) {
        return leaf(dice);
    }
    let count = dice.below(4);
    if dice.chance(30) {
        return Json::List((0..count).map(|_| tree(depth - 1, dice)).collect());
    }
    let key = |dice: &mut Dice| dice.one_of(&["x", "y", "z", "x.y", "y.z", "metadata", "spec", ""]);
    let members = (0..count).map(|_| member(key(dice), tree(depth - 1, dice)));
    Json::Object(members.collect::<Vec<Member>>())
}

/// Any scalar.
pub(super) fn leaf(dice: &mut Dice) -> Json {
    match dice.below(6) {
        0 => word(dice.one_of(&["true", "false"])),
        1 => word("null"),
        2 => word(dice.one_of(&NUMBERS)),
        _ => text(dice.one_of(&WORDS)),
    }
}
