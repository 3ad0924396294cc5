//! From the `DetectionRule` and `DetectionException` of the API to what can be judged.
//!
//! Pure: no client, no clock. The operator and the command line both come through here, so a rule file that
//! `tripline lint` accepts is a rule the operator runs.

use std::ops::Range;

use super::rule_tests::covering;
use crate::api::{self, DetectionException, DetectionRule, reason};
use crate::detect::{self, Exception, ExceptionSource, RuleSource};
use crate::query::{Diagnostic, Severity};

/// The most a rule may take up, as JSON without its status.
pub const MOST_BYTES: usize = 200 * 1024;

/// A rule ready to judge events, with what may be wrong with it.
#[derive(Debug)]
pub struct Compiled {
    /// The rule.
    pub rule: detect::Rule,
    /// What does not stop it: a value that can never match, an unknown field.
    pub warnings: Vec<Finding>,
}

/// An exception that stands for itself, ready to be bound to rules, with what may be wrong with it.
#[derive(Debug)]
pub struct CompiledException {
    /// The exception.
    pub exception: Exception,
    /// What does not stop it.
    pub warnings: Vec<Finding>,
}

/// The part of a spec that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole of it.
    Spec,
    /// `spec.query`.
    Query,
    /// `query` of the exception with this name.
    Exception(String),
    /// The entry of `spec.grouping.by` with this number.
    GroupBy(usize),
}

/// What is wrong with a rule, or may be.
#[derive(Clone, Debug)]
pub struct Finding {
    part: Part,
    problem: Problem,
}

#[derive(Clone, Debug)]
enum Problem {
    /// Of a text in the query language, which is kept to show the place.
    Query { diagnostic: Diagnostic, text: String },
    /// Of the rule as a whole.
    Spec { message: String, help: String },
}

impl Finding {
    fn spec(message: String, help: &str) -> Self {
        Self { part: Part::Spec, problem: Problem::Spec { message, help: help.to_owned() } }
    }

    fn query(part: Part, diagnostic: Diagnostic, text: &str) -> Self {
        Self { part, problem: Problem::Query { diagnostic, text: text.to_owned() } }
    }

    fn of(found: detect::Finding, source: &RuleSource) -> Self {
        let (part, text) = match found.part {
            detect::Part::Query => (Part::Query, source.query.clone()),
            detect::Part::Exception(name) => {
                let exception = source.exceptions.iter().find(|exception| exception.name == name);
                (Part::Exception(name), exception.map_or(String::new(), |exception| exception.query.clone()))
            }
            detect::Part::GroupBy(index) => {
                (Part::GroupBy(index), source.group_by.get(index).cloned().unwrap_or_default())
            }
        };
        Self { part, problem: Problem::Query { diagnostic: found.diagnostic, text } }
    }

    /// The part of the spec it is about.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Whether the rule cannot run because of it.
    pub fn is_error(&self) -> bool {
        match &self.problem {
            Problem::Query { diagnostic, .. } => diagnostic.severity == Severity::Error,
            Problem::Spec { .. } => true,
        }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        match &self.problem {
            Problem::Query { diagnostic, .. } => &diagnostic.message,
            Problem::Spec { message, .. } => message,
        }
    }

    /// What to write instead.
    pub fn help(&self) -> Option<&str> {
        match &self.problem {
            Problem::Query { diagnostic, .. } => diagnostic.help.as_deref(),
            Problem::Spec { help, .. } => Some(help),
        }
    }

    /// The bytes of the query, or of the grouping field, that it is about.
    pub fn span(&self) -> Option<Range<usize>> {
        match &self.problem {
            Problem::Query { diagnostic, .. } => Some(diagnostic.span.clone()),
            Problem::Spec { .. } => None,
        }
    }

    /// Line and column inside the query, both from 1.
    pub fn line_column(&self) -> Option<(usize, usize)> {
        match &self.problem {
            Problem::Query { diagnostic, text } => Some(diagnostic.line_column(text)),
            Problem::Spec { .. } => None,
        }
    }

    /// The reason of the condition that reports it, also its category in metrics.
    pub fn reason(&self) -> &'static str {
        match self.part {
            Part::Query | Part::Exception(_) => reason::INVALID_QUERY,
            Part::Spec | Part::GroupBy(_) => reason::INVALID_SPEC,
        }
    }
}

impl std::fmt::Display for Finding {
    /// Place, message, the line with a caret, and what to do: the text of the `Accepted` condition.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.part {
            Part::Spec | Part::Query => {}
            Part::Exception(name) => write!(f, "exception {name}: ")?,
            Part::GroupBy(index) => write!(f, "grouping.by[{index}]: ")?,
        }
        match &self.problem {
            Problem::Query { diagnostic, text } => f.write_str(&diagnostic.render(text)),
            Problem::Spec { message, help } => write!(f, "{message}: {help}"),
        }
    }
}

/// The most of a condition's message that findings take up, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// Several findings as the message of a condition: as many as there is room for, and how many more there are.
pub fn describe(findings: &[Finding]) -> String {
    let mut text = String::new();
    for (index, finding) in findings.iter().enumerate() {
        let next = finding.to_string();
        let next = next.trim_end();
        if index > 0 && text.len() + next.len() > LONGEST_MESSAGE {
            text.extend(["\n… and ", &(findings.len() - index).to_string(), " more"]);
            break;
        }
        if index > 0 {
            text.push('\n');
        }
        text.push_str(next);
    }
    text
}

/// Compiles a rule, or says everything that is wrong with it.
///
/// What the API server's schema already refuses is not looked at again; what it cannot express is: the languages,
/// the size of the whole, the fields of the grouping.
pub fn compile(rule: &DetectionRule) -> Result<Compiled, Vec<Finding>> {
    let spec = &rule.spec;
    let source = RuleSource {
        name: rule.metadata.name.clone().unwrap_or_default(),
        uid: rule.metadata.uid.clone().unwrap_or_default(),
        generation: rule.metadata.generation.unwrap_or_default(),
        query: spec.query.clone(),
        missing_body: match spec.missing_body {
            api::MissingBody::Unknown => detect::MissingBody::Unknown,
            api::MissingBody::Absent => detect::MissingBody::Absent,
        },
        exceptions: spec
            .exceptions
            .iter()
            .map(|exception| ExceptionSource {
                name: exception.name.clone(),
                query: exception.query.clone(),
                expire: exception.expire_time.as_ref().map(|time| time.0),
            })
            .collect(),
        group_by: spec.grouping.by.clone(),
    };
    let size = serde_json::to_vec(spec).map_or(0, |bytes| bytes.len());
    let too_large = (size > MOST_BYTES).then(|| {
        let message = format!(
            "the rule takes up {} KiB, at most {} are allowed",
            size.div_ceil(1024),
            MOST_BYTES / 1024
        );
        Finding::spec(message, "shorten the events of its tests, or split the rule")
    });
    match (detect::Rule::compile(source.clone()), too_large) {
        (Ok((rule, warnings)), None) => {
            let warnings = warnings.into_iter().map(|finding| Finding::of(finding, &source));
            let covering = covering(rule.exceptions(), &spec.tests).into_iter().filter_map(|name| {
                let exception = source.exceptions.iter().find(|exception| exception.name == name)?;
                let part = Part::Exception(name);
                Some(Finding::query(part, covers_the_tests(&exception.query), &exception.query))
            });
            let warnings = warnings.chain(covering).collect();
            Ok(Compiled { rule, warnings })
        }
        (Ok(_), Some(too_large)) => Err(vec![too_large]),
        (Err(found), too_large) => {
            Err(found.into_iter().map(|finding| Finding::of(finding, &source)).chain(too_large).collect())
        }
    }
}

/// Compiles an exception that stands for itself, or says everything that is wrong with it.
pub fn compile_exception(object: &DetectionException) -> Result<CompiledException, Vec<Finding>> {
    let spec = &object.spec;
    let source = ExceptionSource {
        name: object.metadata.name.clone().unwrap_or_default(),
        query: spec.query.clone(),
        expire: spec.expire_time.as_ref().map(|time| time.0),
    };
    let found = |remarks: Vec<Diagnostic>| {
        remarks.into_iter().map(|remark| Finding::query(Part::Query, remark, &spec.query)).collect()
    };
    match Exception::compile(source) {
        Ok((exception, remarks)) => Ok(CompiledException { exception, warnings: found(remarks) }),
        Err(remarks) => Err(found(remarks)),
    }
}

fn covers_the_tests(query: &str) -> Diagnostic {
    Diagnostic::warning(0..query.len(), "the exception covers every test of the rule that must match")
        .help("it may leave nothing of the rule: name whom or what is excepted, or add a test that must still alert")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(spec: &serde_json::Value) -> DetectionRule {
        let mut whole =
            json!({"displayName": "x", "severity": "Low", "riskScore": 1, "query": "verb: create"});
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        DetectionRule {
            spec: serde_json::from_value(whole).unwrap(),
            ..DetectionRule::new("a-rule", spec_of_nothing())
        }
    }

    fn spec_of_nothing() -> api::DetectionRuleSpec {
        serde_json::from_value(json!({"displayName": "", "severity": "Low", "riskScore": 0, "query": ""}))
            .unwrap()
    }

    fn errors(spec: &serde_json::Value) -> Vec<Finding> {
        compile(&rule(spec)).expect_err("an error")
    }

    #[test]
    fn an_error_says_where_it_is_and_shows_it() {
        let found = errors(&json!({"query": "verb: create and\n  level: )"}));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].part(), found[0].reason()), (&Part::Query, reason::INVALID_QUERY));
        assert_eq!(found[0].line_column(), Some((2, 10)));
        let text = found[0].to_string();
        assert!(text.starts_with("line 2, column 10: ") && text.contains('^'), "{text}");
    }

    #[test]
    fn every_part_is_looked_at() {
        let found = errors(&json!({
            "query": "verb: )",
            "exceptions": [{"name": "fine", "query": "verb: get"}, {"name": "bad", "query": "("}],
            "grouping": {"by": ["verb", "user.*"]},
        }));
        let parts: Vec<_> = found.iter().map(|finding| finding.part().clone()).collect();
        assert_eq!(parts, [Part::Query, Part::Exception("bad".to_owned()), Part::GroupBy(1)]);
        assert!(found[1].to_string().starts_with("exception bad: "), "{}", found[1]);
        assert_eq!(found[2].reason(), reason::INVALID_SPEC);
    }

    #[test]
    fn a_message_has_room_for_some_and_counts_the_rest() {
        let exceptions: Vec<_> = (0..60)
            .map(|number| json!({"name": format!("e{number}"), "query": format!("verb: {}", "(".repeat(60))}))
            .collect();
        let text = describe(&errors(&json!({"exceptions": exceptions})));
        assert!(text.len() < 5000 && text.starts_with("exception e0: line 1"), "{text}");
        assert!(text.lines().last().unwrap().ends_with(" more"), "{text}");
    }

    #[test]
    fn a_rule_is_bounded_as_a_whole() {
        let event = json!({"userAgent": "x".repeat(MOST_BYTES)});
        let found = errors(&json!({"tests": [{"name": "a", "event": event, "expect": "Match"}]}));
        assert_eq!((found.len(), found[0].part(), found[0].is_error()), (1, &Part::Spec, true));
    }

    #[test]
    fn warnings_do_not_stop_a_rule() {
        let compiled = compile(&rule(&json!({"query": "vreb: create"}))).unwrap();
        assert_eq!(compiled.warnings.len(), 1);
        assert!(!compiled.warnings[0].is_error());
    }
}
