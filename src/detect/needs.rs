//! Which requests a rule asks about, and how these must be logged for it to decide.
//!
//! A request is known in part: its verb and resource, perhaps its user. Every test on what is known is decided, every
//! other one may come out either way, and one on a part that a level does not log is open. So what is found is wide
//! where a query says little, and never too narrow.
use std::collections::BTreeMap;

use super::Verdict;
use super::asked::{Asked, Known, Property, VERBS};
use super::compare::Test;
use super::conjunct::without_constants;
use super::evaluate::MissingBody;
use super::plan::{Leaf, Plan};
use super::rule::Rule;
use super::stage::decides;
use crate::event::{Field, Parts, Scalar, Slot, Stage, is_long_running};

/// An audit level, from the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Nothing is logged.
    #[default]
    None,
    /// Everything but bodies.
    Metadata,
    /// The request's body as well.
    Request,
    /// Both bodies.
    RequestResponse,
}

impl Level {
    /// Every level, from the lowest.
    pub const ALL: [Level; 4] = [Level::None, Level::Metadata, Level::Request, Level::RequestResponse];

    /// As a policy writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::None => "None",
            Level::Metadata => "Metadata",
            Level::Request => "Request",
            Level::RequestResponse => "RequestResponse",
        }
    }

    /// From a policy's spelling.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

/// How a request must be logged for a rule to decide on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The lowest level that is enough.
    pub level: Level,
    /// The stages it is decided at; one of them is enough.
    pub stages: Vec<Stage>,
}

impl Rule {
    /// How requests that are known so far must be logged; `None` where the rule can match none of them.
    pub fn need(&self, asked: &Asked<'_>) -> Option<Need> {
        let text = |known: Known<'_>| if let Known::Is(text) = known { Some(text.to_owned()) } else { None };
        let (verb, subresource) = (text(asked.verb), text(asked.subresource));
        // Who could not prove who they are is logged once, when the answer starts.
        let starts = is_long_running(verb.as_deref(), subresource.as_deref())
            || asked.user == Known::Missing && asked.group == Known::Missing;
        let is_decisive = |stage: &Stage| match (self.names_stage(), stage) {
            (true, Stage::ResponseStarted) => starts,
            // A panic is no answer to wait for.
            (true, _) => *stage != Stage::Panic,
            (false, _) => *stage != Stage::Panic && decides(*stage, starts),
        };
        let query = without_constants(&self.query);
        let mut need: Option<Need> = None;
        for stage in Stage::ALL.into_iter().filter(is_decisive) {
            let outcomes =
                |level| Look { asked, level, stage, missing_body: self.missing_body }.outcomes(&query);
            let best = outcomes(Level::RequestResponse);
            if !best.has(Verdict::Match) {
                continue;
            }
            let enough = |level: &Level| {
                let found = outcomes(*level);
                found.has(Verdict::Match) && found.has(Verdict::Unknown) == best.has(Verdict::Unknown)
            };
            let level = [Level::Metadata, Level::Request].into_iter().find(enough);
            let level = level.unwrap_or(Level::RequestResponse);
            let need = need.get_or_insert_with(|| Need { level, stages: Vec::new() });
            need.level = need.level.max(level);
            need.stages.push(stage);
        }
        need
    }

    /// The level that each of the usual verbs needs, where the query asks about requests with it.
    pub fn levels(&self) -> BTreeMap<Level, Vec<&'static str>> {
        let mut levels = BTreeMap::<_, Vec<_>>::new();
        for verb in VERBS {
            if let Some(need) = self.need(&Asked { verb: Known::Is(verb), ..Asked::default() }) {
                levels.entry(need.level).or_default().push(verb);
            }
        }
        levels
    }

    /// The values that the query names of a property.
    pub fn named(&self, property: Property) -> Vec<String> {
        let mut found = Vec::new();
        self.query.leaves(&mut |leaf| {
            if Property::of(&leaf.field) == Some(property)
                && let Some(text) = leaf.value.plain().filter(|_| matches!(leaf.test, Test::Is(_)))
                && !found.iter().any(|known| known == text)
            {
                found.push(text.to_owned());
            }
        });
        found
    }

    /// The fields of its query that are read from a body which `level` does not log.
    pub fn fields_above(&self, level: Level) -> Vec<String> {
        let missing = unlogged(level, Stage::ResponseComplete);
        let mut found: Vec<String> = Vec::new();
        self.query.fields(&mut |field| {
            if asks_for_body(field)
                && parts_of(field, Known::Any).meets(missing)
                && !found.iter().any(|f| f == field.name())
            {
                found.push(field.name().to_owned());
            }
        });
        found
    }
}

/// Whether a field is read from a body and asks for one: a pattern such as `*.name` could reach it, but does not.
pub(super) fn asks_for_body(field: &Field) -> bool {
    let start = field.name().split('*').next().unwrap_or_default();
    field.parts().meets(Parts::BODIES) && (field.is_plain() || start.contains('.'))
}

/// The parts that a field is read from with this verb: what a JSON patch came to stands in the answer.
fn parts_of(field: &Field, verb: Known<'_>) -> Parts {
    let is_patch = matches!(verb, Known::Any | Known::Is("patch"));
    if is_patch && field.is_plain() && field.slots().has(Slot::ResponseObject) {
        field.parts().with(Parts::RESPONSE)
    } else {
        field.parts()
    }
}

/// The parts that are not logged at a level and stage.
fn unlogged(level: Level, stage: Stage) -> Parts {
    let by_level = match level {
        Level::None | Level::Metadata => Parts::BODIES,
        Level::Request => Parts::RESPONSE,
        Level::RequestResponse => Parts::NONE,
    };
    let by_stage = match stage {
        Stage::RequestReceived => {
            Parts::BODIES.with(Parts::ANNOTATIONS).with(Parts::STATUS).with(Parts::IMPERSONATED)
        }
        Stage::ResponseStarted => Parts::RESPONSE,
        Stage::ResponseComplete | Stage::Panic => Parts::NONE,
    };
    by_level.with(by_stage)
}

/// The verdicts that a part of a query may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcomes(u8);

impl Outcomes {
    const EITHER: Outcomes = Outcomes(3);

    fn only(verdict: Verdict) -> Outcomes {
        Outcomes(match verdict {
            Verdict::Match => 1,
            Verdict::NoMatch => 2,
            Verdict::Unknown => 4,
        })
    }

    fn has(self, verdict: Verdict) -> bool {
        self.0 & Outcomes::only(verdict).0 != 0
    }

    fn negated(self) -> Outcomes {
        Outcomes(self.0 & 4 | (self.0 & 1) << 1 | (self.0 & 2) >> 1)
    }

    fn all(parts: impl IntoIterator<Item = Outcomes>) -> Outcomes {
        parts.into_iter().fold(Outcomes::only(Verdict::Match), |left, right| {
            let mut both = Outcomes(0);
            for l in [Verdict::Match, Verdict::NoMatch, Verdict::Unknown].into_iter().filter(|v| left.has(*v))
            {
                for r in
                    [Verdict::Match, Verdict::NoMatch, Verdict::Unknown].into_iter().filter(|v| right.has(*v))
                {
                    both.0 |= Outcomes::only(Verdict::all([l, r])).0;
                }
            }
            both
        })
    }
}

/// A request, as a level and stage would log it.
struct Look<'a> {
    asked: &'a Asked<'a>,
    level: Level,
    stage: Stage,
    missing_body: MissingBody,
}

impl Look<'_> {
    /// Recursion ends: the parser bounds a query's depth.
    fn outcomes(&self, plan: &Plan) -> Outcomes {
        match plan {
            Plan::Everything => Outcomes::only(Verdict::Match),
            Plan::And(parts) => Outcomes::all(parts.iter().map(|part| self.outcomes(part))),
            Plan::Or(parts) => {
                Outcomes::all(parts.iter().map(|part| self.outcomes(part).negated())).negated()
            }
            Plan::Not(inner) => self.outcomes(inner).negated(),
            Plan::Leaf(leaf) => self.leaf(leaf),
            Plan::Nested(field, _) => self.unknown(field),
        }
    }

    fn leaf(&self, leaf: &Leaf) -> Outcomes {
        let name = leaf.field.name();
        let known = match (Property::of(&leaf.field), name.strip_prefix("kubernetes.audit.").unwrap_or(name))
        {
            (Some(property), _) => self.known(property),
            (None, "stage") => Known::Is(self.stage.as_str()),
            (None, "level") => Known::Is(self.level.as_str()),
            (None, _) => return self.unknown(&leaf.field),
        };
        let passes = |text: &str| leaf.test.passes(&Scalar::Text(text.into()), leaf.field.kind(), None);
        let is_group = Property::of(&leaf.field) == Some(Property::Group);
        match (known, &leaf.test) {
            (Known::Any, _) | (Known::Other, Test::Fits(_) | Test::Range(..)) => Outcomes::EITHER,
            (Known::Are(texts), _) => Outcomes::only(Verdict::of(texts.iter().any(|text| passes(text)))),
            (Known::Other, Test::Exists) => Outcomes::only(Verdict::Match),
            // Whoever is known is in this group as well.
            (Known::Other | Known::Is(_), Test::Is(_)) if is_group && passes("system:authenticated") => {
                Outcomes::EITHER
            }
            (Known::Is(text), _) if passes(text) => Outcomes::only(Verdict::Match),
            // There may be other groups.
            (Known::Is(_), _) if is_group => Outcomes::EITHER,
            (Known::Is(_) | Known::Other | Known::Missing, _) => Outcomes::only(Verdict::NoMatch),
        }
    }

    fn known(&self, property: Property) -> Known<'_> {
        match property {
            Property::Verb => self.asked.verb,
            Property::User => self.asked.user,
            Property::Group => self.asked.group,
            Property::ApiGroup => self.asked.api_group,
            Property::Resource => self.asked.resource,
            Property::Subresource => self.asked.subresource,
            Property::Namespace => self.asked.namespace,
            Property::Name => self.asked.name,
        }
    }

    /// A test on what is not known, or not logged.
    fn unknown(&self, field: &Field) -> Outcomes {
        let is_of_body = field.parts().meets(Parts::BODIES);
        let is_asked = !is_of_body || asks_for_body(field);
        if !is_asked || !parts_of(field, self.asked.verb).meets(unlogged(self.level, self.stage)) {
            Outcomes::EITHER
        } else if is_of_body && self.missing_body == MissingBody::Absent {
            Outcomes::only(Verdict::NoMatch)
        } else {
            Outcomes::only(Verdict::Unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::RuleSource;

    fn rule(query: &str) -> Rule {
        Rule::compile(RuleSource { query: query.to_owned(), ..RuleSource::default() }).unwrap().0
    }

    fn asked<'a>(verb: &'a str, resource: &'a str, subresource: &'a str) -> Asked<'a> {
        let subresource = if subresource.is_empty() { Known::Missing } else { Known::Is(subresource) };
        Asked { verb: Known::Is(verb), resource: Known::Is(resource), subresource, ..Asked::default() }
    }

    fn level(query: &str, verb: &str, resource: &str) -> Level {
        rule(query).need(&asked(verb, resource, "")).map_or(Level::None, |need| need.level)
    }

    #[test]
    fn the_level_follows_from_what_is_asked_of_which_request() {
        let query = "objectRef.resource:(pods or jobs) and verb:create and requestObject.spec.hostPID:true";
        assert_eq!(level(query, "create", "pods"), Level::Request);
        assert_eq!(level(query, "get", "pods"), Level::None);
        assert_eq!(level(query, "create", "secrets"), Level::None);
        assert_eq!(level("podSpec.hostPID:true and verb:create", "create", "pods"), Level::Request);
        assert_eq!(level("verb:create and not podSpec.hostPID:*", "create", "pods"), Level::Request);
        assert_eq!(level("podSpec.hostPID:true and verb:patch", "patch", "pods"), Level::RequestResponse);
        let mixed = rule("podSpec.hostPID:true and verb:(create or update or patch)").levels();
        let request = (Level::Request, vec!["create", "update"]);
        assert_eq!(mixed.into_iter().collect::<Vec<_>>(), [request, (Level::RequestResponse, vec!["patch"])]);
        // What a body must say in one case only is needed in that case only.
        let patch = "objectRef.resource:roles and (requestObject.a:b or verb:patch and responseObject.a:b)";
        assert_eq!(level(patch, "create", "roles"), Level::Request);
        assert_eq!(level(patch, "patch", "roles"), Level::RequestResponse);
        // A pattern or a word that a body could hold as well does not ask for one.
        assert_eq!(level("verb:create and *.name:a", "create", "pods"), Level::Metadata);
        assert_eq!(level("verb:create and word", "create", "pods"), Level::Metadata);
        assert_eq!(level("event.kind:event and verb:create", "create", "pods"), Level::Metadata);
        assert_eq!(level("event.kind:alert and verb:create", "create", "pods"), Level::None);
        assert_eq!(level("kubernetes.audit.verb:create", "get", "pods"), Level::None);
        // Where a body that is not logged counts as missing, some rules decide without it.
        for (query, needed) in
            [("podSpec.hostPID:true", Level::Request), ("not podSpec.hostPID:*", Level::Metadata)]
        {
            let source = RuleSource {
                query: query.to_owned(),
                missing_body: MissingBody::Absent,
                ..RuleSource::default()
            };
            let rule = Rule::compile(source).unwrap().0;
            assert_eq!(rule.need(&asked("create", "pods", "")).unwrap().level, needed, "{query}");
        }
    }

    #[test]
    fn the_stage_is_the_one_that_decides() {
        let stages = |query: &str, asked: &Asked<'_>| rule(query).need(asked).unwrap().stages;
        assert_eq!(stages("verb:create", &asked("create", "pods", "exec")), [Stage::ResponseStarted]);
        assert_eq!(stages("verb:create", &asked("create", "pods", "")), [Stage::ResponseComplete]);
        assert_eq!(stages("verb:watch", &asked("watch", "pods", "")), [Stage::ResponseStarted]);
        assert_eq!(stages("stage:RequestReceived", &asked("get", "pods", "")), [Stage::RequestReceived]);
        let nobody = Asked { user: Known::Missing, group: Known::Missing, ..asked("get", "pods", "") };
        assert_eq!(stages("responseStatus.code:401", &nobody), [Stage::ResponseStarted]);
        // Nothing says at this stage how the request ended.
        let early = rule("stage:RequestReceived and responseStatus.code:403");
        assert_eq!(early.need(&asked("get", "pods", "")), None);
    }

    #[test]
    fn a_user_narrows_and_one_that_is_not_known_does_not() {
        let rule = rule("verb:get and user.groups:a and not user.username:root");
        let as_user = |user, group| rule.need(&Asked { user, group, ..asked("get", "pods", "") }).is_some();
        assert!(as_user(Known::Any, Known::Any) && as_user(Known::Any, Known::Is("a")));
        assert!(as_user(Known::Other, Known::Is("b")), "it may be in both");
        assert!(!as_user(Known::Other, Known::Other) && !as_user(Known::Is("root"), Known::Is("a")));
        assert!(!as_user(Known::Missing, Known::Missing));
        assert_eq!(rule.named(Property::User), ["root"]);
    }
}
