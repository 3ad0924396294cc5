//! Alerts that are not closed, posted to every Alertmanager again and again, as Prometheus does: an Alertmanager takes an
//! alert for resolved that nobody speaks of any more.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Uri};
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::change::Origin;
use super::error::SendError;
use super::firing::{Firing, Posted, REMEMBER};
use super::http::{Http, backoff};
use crate::telemetry::{Chain, Metrics, OutputFailureLabels, OutputLabels};

/// The word for it in metrics.
const OUTPUT: &str = "alertmanager";
/// `alertname`, which receivers group and route by.
const ALERT_NAME: &str = "TriplineSecurityAlert";
/// How often an alert is posted while it lasts.
const RESEND: Duration = Duration::from_mins(1);
/// How long after a post an alert lasts by itself: another process may have to take over meanwhile.
const LASTS: Duration = Duration::from_mins(5);
/// The most alerts in one post.
const BATCH: usize = 256;

/// The files of the credentials.
const TOKEN: &str = "token";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";

/// What one Alertmanager was told of an alert.
struct Told {
    turn: u64,
    at: Instant,
}

/// Posts alerts to one Alertmanager.
pub(super) struct AlertmanagerSender {
    firing: Arc<Firing>,
    metrics: Arc<Metrics>,
    uri: Uri,
    http: Http,
    origin: Origin,
    told: HashMap<String, Told>,
}

impl AlertmanagerSender {
    /// A sender to the API at this address, with the credentials of this folder.
    pub(super) fn new(
        firing: Arc<Firing>,
        uri: Uri,
        credentials: Option<PathBuf>,
        origin: Origin,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.start_output(OUTPUT, &SendError::CATEGORIES, &["refused"]);
        Self { firing, metrics, uri, http: Http::new(credentials), origin, told: HashMap::new() }
    }

    /// Posts until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut changed = self.firing.changed.subscribe();
        let mut failures = 0;
        loop {
            changed.mark_unchanged();
            let (due, next) = self.due(Instant::now());
            let pause = if due.is_empty() {
                next
            } else {
                let posted = tokio::select! {
                    () = stop.cancelled() => return,
                    posted = self.post(&due) => posted,
                };
                match posted {
                    Ok(()) => {
                        if failures > 0 {
                            info!(url = %self.uri, "the Alertmanager takes alerts again");
                        }
                        failures = 0;
                        continue;
                    }
                    Err(error) => {
                        if failures == 0 {
                            warn!(url = %self.uri, why = %Chain(&error), "the Alertmanager takes no alert; it is tried again");
                        }
                        failures += 1;
                        let pause = error.retry_after().unwrap_or_else(|| backoff(failures));
                        // What changes meanwhile waits with the rest.
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = tokio::time::sleep(pause) => continue,
                        }
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                _ = changed.changed() => {}
                () = tokio::time::sleep(pause.unwrap_or(RESEND)) => {}
            }
        }
    }

    /// The alerts to post now, and else how long until the next.
    fn due(&mut self, now: Instant) -> (Vec<Posted>, Option<Duration>) {
        let alerts = self.firing.alerts();
        self.told.retain(|uid, _| alerts.contains_key(uid));
        let (mut due, mut next) = (Vec::new(), None);
        for (uid, posted) in &*alerts {
            if posted.ended.is_some_and(|(_, at)| now.duration_since(at) >= REMEMBER) {
                continue;
            }
            let told = self.told.get(uid).filter(|told| told.turn == posted.turn);
            let wait = told.map_or(Duration::ZERO, |told| (told.at + RESEND).duration_since(now));
            if wait.is_zero() {
                due.push(posted.clone());
            } else {
                next = Some(next.map_or(wait, |next: Duration| next.min(wait)));
            }
        }
        due.truncate(BATCH);
        (due, next)
    }

    async fn post(&mut self, due: &[Posted]) -> Result<(), SendError> {
        let headers = self.authorization()?;
        let time = Timestamp::now();
        let alerts: Vec<_> = due.iter().map(|posted| alert(posted, &self.origin, time)).collect();
        // Strings only: it has a JSON form.
        let body = serde_json::to_vec(&alerts).unwrap_or_default();
        let posted = self.http.post(&self.uri, "application/json", headers, body).await;
        let count = due.len() as u64;
        match &posted {
            Ok(()) => {
                self.metrics.output_sent.get_or_create(&OutputLabels { output: OUTPUT }).inc_by(count);
            }
            Err(error) => {
                let labels = OutputFailureLabels { output: OUTPUT, reason: error.category() };
                self.metrics.output_failures.get_or_create(&labels).inc();
                if !error.is_refusal() {
                    return posted;
                }
                // It has taken the others, and would refuse the same again: it is asked with the next turn.
                warn!(url = %self.uri, why = %Chain(error), alerts = count, "the Alertmanager refused alerts");
                let labels = OutputFailureLabels { output: OUTPUT, reason: "refused" };
                self.metrics.output_dropped.get_or_create(&labels).inc_by(count);
            }
        }
        let at = Instant::now();
        self.told.extend(due.iter().map(|posted| (posted.facts.uid.clone(), Told { turn: posted.turn, at })));
        Ok(())
    }

    fn authorization(&self) -> Result<HeaderMap, SendError> {
        let mut headers = HeaderMap::new();
        let (text, name) = match self.http.text(TOKEN)? {
            Some(token) => (format!("Bearer {token}"), TOKEN),
            None => match (self.http.text(USERNAME)?, self.http.text(PASSWORD)?) {
                (Some(user), Some(password)) => {
                    (format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes())), USERNAME)
                }
                (None, None) => return Ok(headers),
                (Some(_), None) => {
                    return Err(SendError::Credential {
                        path: self.http.path(USERNAME),
                        wrong: "a user without a password",
                    });
                }
                (None, Some(_)) => {
                    return Err(SendError::Credential {
                        path: self.http.path(PASSWORD),
                        wrong: "a password without a user",
                    });
                }
            },
        };
        let value = HeaderValue::from_str(&text);
        let mut value = value.map_err(|_| SendError::Credential {
            path: self.http.path(name),
            wrong: "what makes no header",
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(headers)
    }
}

/// An alert as the API of Alertmanager takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    labels: Labels<'a>,
    annotations: Annotations<'a>,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

/// What an alert is known by. They are few, and none of them is a request's to choose.
#[derive(Serialize)]
struct Labels<'a> {
    alertname: &'static str,
    securityalert: &'a str,
    rule: &'a str,
    severity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
}

#[derive(Serialize)]
struct Annotations<'a> {
    summary: &'a str,
    description: String,
    command: String,
}

fn alert<'a>(posted: &'a Posted, origin: &'a Origin, now: Timestamp) -> Alert<'a> {
    let facts = &*posted.facts;
    let ends_at = posted.ended.map_or_else(|| now + LASTS, |(at, _)| at);
    let who = facts.user.as_deref().unwrap_or("somebody without a name");
    let from = facts.source_ip.as_ref().map(|ip| format!(" from {ip}")).unwrap_or_default();
    let times = if facts.count == 1 { "once".to_owned() } else { format!("{} times", facts.count) };
    Alert {
        labels: Labels {
            alertname: ALERT_NAME,
            securityalert: &facts.name,
            rule: &facts.rule,
            severity: facts.severity.as_str().to_lowercase(),
            cluster: origin.cluster(),
        },
        annotations: Annotations {
            summary: &facts.title,
            description: format!("{who}{from}: {}, {times}", facts.target),
            command: format!("kubectl get securityalert {} --output=yaml", facts.name),
        },
        // The clocks may differ, and nothing ends before it starts.
        starts_at: facts.opened_time.min(ends_at),
        ends_at,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::change::AlertFacts;
    use super::super::change::tests::alert as object;
    use super::*;

    fn facts(uid: &str, state: &str, count: i64) -> AlertFacts {
        AlertFacts::of(&object(uid, "High", state, 1, count)).unwrap()
    }

    fn sender(firing: &Arc<Firing>) -> AlertmanagerSender {
        let uri = Uri::from_static("http://127.0.0.1:1/api/v2/alerts");
        AlertmanagerSender::new(
            Arc::clone(firing),
            uri,
            None,
            Origin::new(Some("eu")),
            Arc::new(Metrics::new()),
        )
    }

    #[test]
    fn starts_and_ends_are_due_at_once_and_the_rest_each_minute() {
        let (firing, time) = (Arc::new(Firing::default()), Timestamp::now());
        let (mut sender, now) = (sender(&firing), Instant::now());
        let told = |sender: &mut AlertmanagerSender, now: Instant| {
            let (due, next) = sender.due(now);
            for posted in &due {
                let told = Told { turn: posted.turn, at: now };
                sender.told.insert(posted.facts.uid.clone(), told);
            }
            (due.iter().map(|p| (p.facts.count, p.ended.is_some())).collect::<Vec<_>>(), next)
        };
        firing.see(facts("a", "Open", 1), now, time);
        firing.see(facts("b", "Closed", 1), now, time);
        assert_eq!(told(&mut sender, now), (vec![(1, false)], None));
        firing.see(facts("a", "Acknowledged", 5), now, time);
        let half = now + RESEND / 2;
        assert_eq!(told(&mut sender, half), (Vec::new(), Some(RESEND / 2)));
        assert_eq!(told(&mut sender, now + RESEND), (vec![(5, false)], None));
        firing.see(facts("a", "Closed", 5), now, time);
        assert_eq!(told(&mut sender, now + RESEND), (vec![(5, true)], None));
        firing.end("a", now, time);
        assert_eq!(told(&mut sender, now + 2 * RESEND), (vec![(5, true)], None));
        assert_eq!(told(&mut sender, now + REMEMBER), (Vec::new(), None));
        firing.see(facts("a", "Open", 6), now, time);
        assert_eq!(told(&mut sender, now + REMEMBER), (vec![(6, false)], None));
        firing.forget();
        assert_eq!(told(&mut sender, now + 2 * REMEMBER), (Vec::new(), None));
    }

    #[test]
    fn an_alert_is_as_alertmanager_takes_it() {
        let now: Timestamp = "2026-11-26T12:30:00Z".parse().unwrap();
        let origin = Origin::new(Some("eu"));
        let mut posted = Posted { facts: Arc::new(facts("u", "Open", 3)), ended: None, turn: 1 };
        let sent = serde_json::to_value(alert(&posted, &origin, now)).unwrap();
        let wanted = json!({
            "labels": {
                "alertname": "TriplineSecurityAlert", "securityalert": "exec-u-1", "rule": "exec",
                "severity": "high", "cluster": "eu",
            },
            "annotations": {
                "summary": "Exec", "description": "alice from 10.0.0.5: pods/exec shop/web-0, 3 times",
                "command": "kubectl get securityalert exec-u-1 --output=yaml",
            },
            "startsAt": "2026-11-26T12:00:00Z", "endsAt": "2026-11-26T12:35:00Z",
        });
        assert_eq!(sent, wanted);
        // By the other clock it ended before it began.
        posted.ended = Some(("2026-11-26T11:00:00Z".parse().unwrap(), Instant::now()));
        let sent = serde_json::to_value(alert(&posted, &origin, now)).unwrap();
        assert_eq!(
            (&sent["startsAt"], &sent["endsAt"]),
            (&json!("2026-11-26T11:00:00Z"), &json!("2026-11-26T11:00:00Z"))
        );
        assert_eq!(sent["labels"], Value::Object(wanted["labels"].as_object().unwrap().clone()));
    }

    #[test]
    fn credentials_are_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut sender = sender(&Arc::default());
        assert!(sender.authorization().unwrap().is_empty());
        sender.http = Http::new(Some(folder.path().to_owned()));
        let shown = |sender: &AlertmanagerSender| {
            sender.authorization().map(|headers| headers[AUTHORIZATION].to_str().unwrap().to_owned())
        };
        std::fs::write(folder.path().join("username"), "tripline").unwrap();
        assert_eq!(shown(&sender).unwrap_err().category(), "credentials");
        std::fs::write(folder.path().join("password"), "secret\n").unwrap();
        assert_eq!(shown(&sender).unwrap(), "Basic dHJpcGxpbmU6c2VjcmV0");
        std::fs::write(folder.path().join("token"), "t1\n").unwrap();
        assert_eq!(shown(&sender).unwrap(), "Bearer t1");
    }
}
