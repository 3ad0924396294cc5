//! Which alerts a command is about.

use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

use crate::alert::call;
use crate::api::{SecurityAlert, Severity, Stored, TriageState};
use crate::cli::terminal::{self, say};

/// How many alerts are asked for at a time.
const PAGE: u32 = 500;

/// Filters, each of which an alert must meet. The API server applies them.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Selection {
    /// Only alerts in this state: Open, Acknowledged, Closed
    #[arg(long, value_name = "STATE", env = "TRIPLINE_ALERTS_STATE", value_parser = state)]
    pub(super) state: Option<TriageState>,
    /// Only alerts of this severity: Low, Medium, High, Critical
    #[arg(long, value_name = "SEVERITY", env = "TRIPLINE_ALERTS_SEVERITY", value_parser = severity)]
    severity: Option<Severity>,
    /// Only alerts of this rule
    #[arg(long, value_name = "NAME", env = "TRIPLINE_ALERTS_RULE")]
    rule: Option<String>,
    /// Only alerts whose first match this user made
    #[arg(long, value_name = "NAME", env = "TRIPLINE_ALERTS_USER")]
    user: Option<String>,
    /// Only alerts whose first match touched something in this namespace
    #[arg(long, short, value_name = "NAME", env = "TRIPLINE_ALERTS_NAMESPACE")]
    namespace: Option<String>,
}

fn state(text: &str) -> Result<TriageState, &'static str> {
    TriageState::ALL
        .into_iter()
        .find(|state| state.as_str().eq_ignore_ascii_case(text))
        .ok_or("a state is Open, Acknowledged or Closed")
}

fn severity(text: &str) -> Result<Severity, &'static str> {
    Severity::ALL
        .into_iter()
        .find(|severity| severity.as_str().eq_ignore_ascii_case(text))
        .ok_or("a severity is Low, Medium, High or Critical")
}

impl Selection {
    /// Whether it leaves out nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.fields().is_empty()
    }

    /// As a field selector.
    fn fields(&self) -> String {
        let fields = [
            (".triage.state", self.state.map(|state| state.as_str().to_owned())),
            (".detection.severity", self.severity.map(|severity| severity.as_str().to_owned())),
            (".detection.ruleName", self.rule.clone()),
            (".detection.event.user.username", self.user.clone()),
            (".detection.event.object.namespace", self.namespace.clone()),
        ];
        let chosen = fields.into_iter().filter_map(|(field, value)| Some((field, value?)));
        chosen.map(|(field, value)| format!("spec{field}={}", escaped(&value))).collect::<Vec<_>>().join(",")
    }

    /// The alerts that meet it.
    pub(super) async fn alerts(&self, client: &Client) -> anyhow::Result<Vec<SecurityAlert>> {
        let api: Api<Stored<SecurityAlert>> = Api::all(client.clone());
        let mut params = ListParams::default().limit(PAGE).fields(&self.fields());
        let mut alerts = Vec::new();
        loop {
            let page = call("the list of alerts", api.list(&params)).await?;
            for stored in page.items {
                let name = stored.name_any();
                match stored.0 {
                    Ok(alert) => alerts.push(alert),
                    Err(error) => {
                        say!("{} cannot be read: {}", terminal::line(&name), terminal::line(&error.error));
                    }
                }
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok(alerts);
            }
        }
    }
}

/// A value as it stands in a field selector.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ',' | '=') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_a_field_selector() {
        assert!(Selection::default().is_empty());
        let selection = Selection {
            state: state("open").ok(),
            user: Some("cn=a,b\\c".to_owned()),
            ..Selection::default()
        };
        assert_eq!(
            selection.fields(),
            r"spec.triage.state=Open,spec.detection.event.user.username=cn\=a\,b\\c"
        );
        assert!(state("Done").is_err() && severity("Bad").is_err());
    }
}
