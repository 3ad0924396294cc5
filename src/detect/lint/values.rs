//! Values that a field never takes.
use super::super::compare::{Target, Test};
use super::pairs::{RESOURCE, SUBRESOURCE, known_plural};
use crate::event::{Field, Glob, Type, is_numeric};
use crate::query::{Diagnostic, Literal, Operator, Values, shown};

/// Verbs of the API and of its authorizer, and HTTP methods as the log writes them for other paths.
const VERBS: [&str; 23] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "proxy",
    "connect",
    "redirect",
    "post",
    "put",
    "head",
    "options",
    "trace",
    "bind",
    "escalate",
    "impersonate",
    "approve",
    "sign",
    "use",
    "attest",
];

/// What people write for a verb, and what to write.
const MISTAKEN: [(&str, &str); 8] = [
    ("replace", "a replacement is logged as `update`"),
    ("apply", "an apply is logged as `patch`"),
    ("exec", "exec is a subresource: `objectRef.subresource:exec`, with verb `get` or `create`"),
    ("attach", "attach is a subresource: `objectRef.subresource:attach`"),
    ("portforward", "portforward is a subresource: `objectRef.subresource:portforward`"),
    ("read", "reading is logged as `get`, `list` or `watch`"),
    ("write", "writing is logged as `create`, `update`, `patch` or `delete`"),
    ("remove", "a removal is logged as `delete`"),
];

/// A field that takes few values.
struct Closed {
    names: &'static [&'static str],
    values: &'static [&'static str],
}

const CLOSED: [Closed; 5] = [
    Closed { names: &["verb", "kubernetes.audit.verb", "event.action"], values: &VERBS },
    Closed {
        names: &["stage", "kubernetes.audit.stage"],
        values: &["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"],
    },
    Closed {
        names: &["level", "kubernetes.audit.level"],
        values: &["None", "Metadata", "Request", "RequestResponse"],
    },
    Closed { names: &["event.outcome"], values: &["success", "failure"] },
    Closed {
        names: &[
            "annotations.authorization.k8s.io/decision",
            "kubernetes.audit.annotations.authorization_k8s_io/decision",
        ],
        values: &["allow", "forbid"],
    },
];

/// `name` is the field's whole name; none for one with wildcards.
pub(super) fn check(name: Option<&str>, values: &Values, warnings: &mut Vec<Diagnostic>) {
    match values {
        Values::One(value) => {
            if let Some(name) = name {
                warnings.extend(remark(name, value, &Test::of_value(value)));
            }
        }
        Values::And(parts) | Values::Or(parts) => parts.iter().for_each(|part| check(name, part, warnings)),
        Values::Not(inner) => check(name, inner, warnings),
    }
}

/// The same for a range.
pub(super) fn check_range(name: Option<&str>, value: &Literal, warnings: &mut Vec<Diagnostic>) {
    if let (Some(name), Some(_)) = (name, value.plain()) {
        // Of which side makes no difference to what can be said.
        warnings.extend(remark(name, value, &Test::of_range(Operator::Less, value)));
    }
}

fn remark(name: &str, value: &Literal, test: &Test) -> Option<Diagnostic> {
    let written = shown(&value.name(), 60);
    let warning = |message: String| Diagnostic::warning(value.span.clone(), message);
    if value.plain() == Some("") && name.starts_with("kubernetes.audit.") {
        let own = shown(name.trim_start_matches("kubernetes.audit."), 80);
        let help = format!("write the event's own `{own}:\"\"`");
        return Some(warning("under `kubernetes.audit` empty values do not exist".to_owned()).help(help));
    }
    if let Some(text) = value.plain().filter(|text| value.quoted && is_pattern(name, text)) {
        let help = format!("for any text write it without quotes: `{}`", shown(&unquoted(text), 80));
        return Some(warning(format!("in quotes a star is only a star: `{written}`")).help(help));
    }
    match test {
        Test::Is(target) => of_plain(name, target, &written, &warning)
            .or_else(|| of_closed(name, value))
            .or_else(|| of_resource(name, value)),
        Test::Range(_, target) => of_plain(name, target, &written, &warning),
        Test::Fits(_) if is_numeric(name) => Some(
            warning(format!("a pattern never matches a number: `{written}`"))
                .help("use a range: `field >= 400 and field < 500`"),
        ),
        Test::Fits(_) if is_boolean(name) => {
            Some(warning(format!("a pattern never matches a boolean: `{written}`")))
        }
        Test::Fits(glob) => of_pattern(name, glob, &written, &warning),
        Test::Exists | Test::Never => None,
    }
}

/// Whether the text was most likely meant as a pattern. Bodies hold stars that are stars, as a role's `pods/*`.
fn is_pattern(name: &str, text: &str) -> bool {
    let own = name.trim_start_matches("kubernetes.audit.");
    let is_body = own.starts_with("requestObject") || own.starts_with("responseObject");
    !is_body && text.contains('*') && text.bytes().any(|byte| byte != b'*')
}

/// The text as a value without quotes, in which only stars mean something.
fn unquoted(text: &str) -> String {
    text.chars().fold(String::new(), |mut written, c| {
        if "\\():<>\"{}".contains(c) {
            written.push('\\');
        }
        written.push(c);
        written
    })
}

/// Names of resources that are none.
fn of_resource(name: &str, value: &Literal) -> Option<Diagnostic> {
    let text = value.plain()?;
    let written = shown(text, 60);
    let warning = |help: String| {
        Some(Diagnostic::warning(value.span.clone(), format!("`{name}` is never `{written}`")).help(help))
    };
    let is_resource = RESOURCE.contains(&name);
    match text.split_once('/') {
        Some((resource, sub)) if is_resource || SUBRESOURCE.contains(&name) => warning(format!(
            "write `objectRef.resource:{} and objectRef.subresource:{}`",
            shown(resource, 40),
            shown(sub, 40)
        )),
        None if is_resource => match known_plural(text) {
            Some(plural) => warning(format!("resources are named as in the URL: write `{plural}`")),
            None => alternatives(text).and_then(warning),
        },
        _ => None,
    }
}

/// What to write for a list in the way of other languages.
fn alternatives(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.trim_matches(['[', ']']).split(',').map(str::trim).collect();
    let joined = shown(&parts.join(" or "), 60);
    (parts.len() > 1).then(|| format!("alternatives are joined by `or`: write `({joined})`"))
}

fn is_boolean(name: &str) -> bool {
    name == "request.dryRun"
}

fn of_plain(
    name: &str,
    target: &Target,
    written: &str,
    warning: &dyn Fn(String) -> Diagnostic,
) -> Option<Diagnostic> {
    let kind = Field::resolve(name).map_or(Type::Plain, |field| field.kind());
    if is_numeric(name) && !target.is_number() {
        return Some(warning(format!("`{written}` is no number, and the field holds one")));
    }
    if is_boolean(name) && target.boolean().is_none() {
        let says =
            warning(format!("`{written}` is neither `true` nor `false`, and the field is one of them"));
        let lower = written.to_lowercase();
        let is_one = lower == "true" || lower == "false";
        return Some(if is_one { says.help(format!("write `{lower}`")) } else { says });
    }
    match kind {
        Type::Address if !target.is_address() => {
            Some(warning(format!("`{written}` is neither an address nor a network such as `10.0.0.0/8`")))
        }
        Type::Date if !target.is_date() => Some(
            warning(format!("`{written}` is no date"))
                .help("write `2026-01-31`, `2026-01-31T12:00:00Z`, or date math such as `now-15m`"),
        ),
        _ => None,
    }
}

/// Whether the field of this name never holds the value, which has no wildcard.
pub(in crate::detect) fn is_never(name: &str, value: &Literal) -> bool {
    let closed = CLOSED.iter().find(|closed| closed.names.contains(&name));
    closed.is_some_and(|closed| value.plain().is_some_and(|text| !closed.values.contains(&text)))
}

fn of_closed(name: &str, value: &Literal) -> Option<Diagnostic> {
    let closed = CLOSED.iter().find(|closed| closed.names.contains(&name))?;
    let text = value.plain()?;
    if closed.values.contains(&text) || text.starts_with('\'') {
        return None;
    }
    let written = shown(text, 60);
    let warning = Diagnostic::warning(value.span.clone(), format!("`{name}` is never `{written}`"));
    if let Some(help) = alternatives(text) {
        return Some(warning.help(help));
    }
    let lower = text.to_lowercase();
    if let Some(known) = closed.values.iter().find(|known| known.to_lowercase() == lower) {
        return Some(warning.help(format!("values are case-sensitive: write `{known}`")));
    }
    let mistaken = MISTAKEN.iter().find(|(wrong, _)| closed.values.len() == VERBS.len() && *wrong == lower);
    if let Some((_, help)) = mistaken {
        return Some(warning.help(*help));
    }
    // Long texts are nobody's typing mistake, and the distance costs their square.
    let near = closed
        .values
        .iter()
        .filter(|_| text.len() <= 40)
        .find(|known| strsim::levenshtein(&lower, &known.to_lowercase()) <= 2);
    Some(match near {
        Some(known) => warning.help(format!("did you mean `{known}`?")),
        None if closed.values.len() == VERBS.len() => {
            warning.help("verbs are get, list, watch, create, update, patch, delete, deletecollection")
        }
        None => warning.help(format!("it is one of {}", closed.values.join(", "))),
    })
}

fn of_pattern(
    name: &str,
    glob: &Glob,
    written: &str,
    warning: &dyn Fn(String) -> Diagnostic,
) -> Option<Diagnostic> {
    let closed = CLOSED.iter().find(|closed| closed.names.contains(&name))?;
    let fits = closed.values.iter().any(|value| glob.matches(value));
    (!fits).then(|| warning(format!("no value of `{name}` fits `{written}`")))
}
