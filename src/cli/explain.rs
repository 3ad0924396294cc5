//! `tripline explain`: why a rule matches an event, or does not.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};

use super::load::{self, Loaded};
use super::schema::nearest;
use super::{Outcome, document, rule_files, terminal};
use crate::detect::{self, Context, Judgement, Origin, RuleSet, Verdict};
use crate::event::{Event, Stage, Tape};
use crate::query::shown;

/// Options of `tripline explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline explain --rule rules/execution/exec-into-pod.yaml event.json
  grep 1f1a0b3c audit.log | tripline explain --rule rules/ --name exec-into-pod -

An event is one JSON object, as a line of the audit log has it, or the same as YAML. Several events are explained one \
after the other.

Exit codes: 0 explained, whatever the verdict, 1 the rule has an error, 2 the input cannot be read.")]
pub(super) struct Args {
    /// The file with the rule, or a folder and --name
    #[arg(long, value_name = "PATH", env = "TRIPLINE_RULE")]
    rule: PathBuf,
    #[command(flatten)]
    installation: load::Installation,
    /// Which rule, where there are several
    #[arg(long, value_name = "RULE", env = "TRIPLINE_NAME")]
    name: Option<String>,
    /// The cluster's name, for `orchestrator.cluster.name`
    #[arg(long, value_name = "NAME", env = "TRIPLINE_CLUSTER")]
    cluster: Option<String>,
    /// A stage that the audit policy leaves out, repeatable: a request is then decided at another
    #[arg(long, value_name = "STAGE", value_delimiter = ',', env = "TRIPLINE_OMIT_STAGES")]
    omit_stage: Vec<String>,
    /// The file with the event; `-` reads standard input
    #[arg(value_name = "EVENT")]
    event: PathBuf,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let loading = load::load(std::slice::from_ref(&args.rule), args.installation)?;
    if loading.has_errors() {
        loading.report_errors()?;
        return Ok(Outcome::Findings);
    }
    loading.need_rules()?;
    let Loaded { compiled, .. } = pick(loading.rules, args.name.as_deref(), &args.rule)?;
    let rule = Arc::new(compiled.rule);
    let explainer = Explainer { set: RuleSet::new(vec![Arc::clone(&rule)]), rule };
    let omitted = stages(&args.omit_stage)?;
    let context = Context { cluster: args.cluster.as_deref(), omitted_stages: &omitted };
    let bytes = rule_files::read_bytes(&args.event)?;
    let events = std::str::from_utf8(&bytes)
        .context("not UTF-8")
        .and_then(events)
        .with_context(|| format!("cannot read {}", source(&args.event)))?;
    let mut tape = Tape::default();
    for (number, text) in events.iter().enumerate() {
        let event = Event::from_object(text, &mut tape)
            .map_err(anyhow::Error::from)
            .and_then(|event| if is_other_kind(&event) { bail!(OTHER_KIND) } else { Ok(event) })
            .with_context(|| format!("{} holds no audit event", source(&args.event)))?;
        if number > 0 {
            writeln!(out)?;
        }
        write!(out, "{}", terminal::lines(&explainer.explain(&event, &context)))?;
    }
    Ok(Outcome::Fine)
}

const OTHER_KIND: &str = "it has no field of one; an event is a line of the audit log";

/// Whether what it has is all of some other kind.
fn is_other_kind(event: &Event<'_>) -> bool {
    let every_object_has = ["apiVersion", "kind", "metadata"];
    let is_of_event = |name: &str| super::lint::EVENT.contains(&name) && !every_object_has.contains(&name);
    let mut members = event.root().members().peekable();
    members.peek().is_some() && !members.any(|(key, _)| is_of_event(&key.text()))
}

/// What an event is read from, in words.
fn source(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

/// A rule, alone.
struct Explainer {
    rule: Arc<detect::Rule>,
    set: RuleSet,
}

impl Explainer {
    /// The query as a tree, what a match would be, and the group it would belong to.
    fn explain(&self, event: &Event<'_>, context: &Context<'_>) -> String {
        let mut text =
            format!("event: {}\n\n{}", subject(event), detect::explain(&self.rule, event, context));
        text.extend(["\nresult: ", &self.result(event, context), "\n"]);
        if self.rule.verdict(event, context) == Verdict::Match {
            text.push_str("group:\n");
            for value in self.rule.group(event, context) {
                let values = value.values.map_or_else(|| "none".to_owned(), |values| format!("{values:?}"));
                text.extend(["  ", &value.field, ": ", &terminal::line(&values), "\n"]);
            }
        }
        text
    }

    fn result(&self, event: &Event<'_>, context: &Context<'_>) -> String {
        let mut outcomes = Vec::new();
        self.set.judge(event, context, &mut outcomes);
        let decides = |stage| format!("this request is decided at {stage}");
        match (outcomes.first().map(|outcome| outcome.what), event.stage()) {
            (Some(Judgement::Detection), _) => "a detection".to_owned(),
            (Some(Judgement::Suppressed { exception }), _) => {
                let exception = self.rule.exceptions().get(exception);
                let what = match exception.map(|exception| exception.origin()) {
                    Some(Origin::Shared) => "DetectionException",
                    _ => "exception",
                };
                let name = exception.map_or("", |exception| exception.name());
                format!("a match that the {what} `{}` lets pass", terminal::line(name))
            }
            (Some(Judgement::Undecidable), _) => {
                "undecidable: the query needs a part of the event that was not logged".to_owned()
            }
            (Some(Judgement::Passing), Some(Stage::ResponseComplete | Stage::Panic)) => {
                format!("a match, but no detection here: {}", decides("ResponseStarted"))
            }
            (Some(Judgement::Passing), Some(Stage::ResponseStarted)) => {
                format!("a match, but no detection here: {}", decides("ResponseComplete"))
            }
            (Some(Judgement::Passing), _) => {
                format!("a match, but no detection here: {}", decides("a later stage"))
            }
            (None, _) if self.rule.verdict(event, context) == Verdict::Unknown => {
                format!("not known at this stage: {}", decides("another"))
            }
            (None, _) => "no match".to_owned(),
        }
    }
}

/// Who did what to what, and at which stage.
fn subject(event: &Event<'_>) -> String {
    let user = event.user().and_then(|user| user.username());
    let object = event.object_ref();
    let part = |part: Option<Cow<'_, str>>, before: &str| {
        part.filter(|text| !text.is_empty()).map_or_else(String::new, |text| format!("{before}{text}"))
    };
    let text = [
        part(user, ""),
        part(event.verb(), ""),
        part(object.and_then(|object| object.resource()), "")
            + &part(object.and_then(|object| object.subresource()), "/"),
        part(object.and_then(|object| object.namespace()), "")
            + &part(object.and_then(|object| object.name()), "/"),
        event.stage().map_or_else(String::new, |stage| format!("at {}", stage.as_str())),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join(" ");
    if text.is_empty() { "says nothing of user, verb, object or stage".to_owned() } else { shown(&text, 300) }
}

/// How many rules are listed to choose among.
const MOST_NAMES: usize = 10;

fn pick(mut rules: Vec<Loaded>, name: Option<&str>, file: &Path) -> anyhow::Result<Loaded> {
    let name_of = |loaded: &Loaded| loaded.object.metadata.name.clone().unwrap_or_default();
    let all: Vec<_> = rules.iter().map(name_of).collect();
    let more =
        if all.len() > MOST_NAMES { format!(" and {} more", all.len() - MOST_NAMES) } else { String::new() };
    let names = all.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ") + &more;
    let found = match name {
        Some(name) => all.iter().position(|known| known == name).with_context(|| {
            let near = nearest(name, all.iter().map(String::as_str));
            let help = near.map_or_else(|| format!("it has {names}"), |near| format!("did you mean {near}?"));
            format!("{} has no rule {name}: {help}", file.display())
        })?,
        None if all.len() > 1 => {
            bail!("{} holds several rules: choose one with --name: {names}", file.display())
        }
        None => 0,
    };
    ensure!(found < rules.len(), "{} holds no rule", file.display());
    Ok(rules.swap_remove(found))
}

pub(super) fn stages(names: &[String]) -> anyhow::Result<Vec<Stage>> {
    let known = || Stage::ALL.map(Stage::as_str).join(", ");
    let stage = |name: &String| {
        Stage::from_name(name).with_context(|| format!("no stage `{name}`: write one of {}", known()))
    };
    names.iter().map(stage).collect()
}

/// The text of each event: JSON objects one after the other, as in a log, or YAML documents.
fn events(text: &str) -> anyhow::Result<Vec<String>> {
    ensure!(!text.trim().is_empty(), "there is nothing in it");
    if !text.trim_start().starts_with('{') {
        return yaml(text);
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let mut events = Vec::new();
    loop {
        let from = stream.byte_offset();
        match stream.next() {
            // The log's own text is judged, not a copy that lost what JSON values do not keep.
            Some(Ok(_)) => events.extend(text.get(from..stream.byte_offset()).map(str::to_owned)),
            // `{verb: get}` is YAML.
            Some(Err(json)) => {
                return yaml(text).map_err(|_| anyhow::Error::from(json).context("not valid JSON"));
            }
            None => return Ok(events),
        }
    }
}

fn yaml(text: &str) -> anyhow::Result<Vec<String>> {
    let (documents, unreadable) = document::read(text);
    if let Some(error) = unreadable {
        let (line, column) = super::finding::line_column(text, error.span.start);
        bail!("not valid YAML: line {line}, column {column}: {}", error.message);
    }
    documents.iter().map(|node| Ok(serde_json::to_string(&node.to_json())?)).collect()
}
