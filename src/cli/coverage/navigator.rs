//! A layer file of the ATT&CK Navigator, format 4.5.

use serde_json::{Value, json};

use super::{Coverage, Rule, Technique};
use crate::cli::terminal;

/// The version of ATT&CK whose ids the library's rules use, see docs/severity.md.
const ATTACK_VERSION: &str = "17";

pub(super) fn layer(coverage: &Coverage<'_>) -> anyhow::Result<String> {
    let mut most = 1;
    let mut techniques = Vec::new();
    for (tactic, technique) in coverage.techniques() {
        let Some((tactic, reference)) = tactic.reference.zip(technique.reference) else { continue };
        let on = technique.rules.iter().filter(|rule| rule.is_on()).count();
        most = most.max(on);
        techniques.push(json!({
            "techniqueID": reference.id,
            // The Navigator knows a tactic by its name in this form.
            "tactic": tactic.name.to_lowercase().replace(' ', "-"),
            "score": on,
            "comment": comment(technique),
            "enabled": true,
        }));
    }
    let legend = |label: &str, color: &str| json!({"label": label, "color": color});
    let layer: Value = json!({
        "name": "Tripline",
        "description": "Techniques that detection rules over the Kubernetes audit log look for. The score is how many of \
                        a technique's rules are on.",
        "domain": "enterprise-attack",
        "versions": {"attack": ATTACK_VERSION, "navigator": "5.1.0", "layer": "4.5"},
        "filters": {"platforms": ["Containers"]},
        "sorting": 3,
        "techniques": techniques,
        "gradient": {"colors": ["#fff4c2", "#8ec843"], "minValue": 0, "maxValue": most},
        "legendItems": [legend("all of its rules are off", "#fff4c2"), legend("most rules on", "#8ec843")],
    });
    Ok(terminal::escape_json(&serde_json::to_string_pretty(&layer)?).into_owned())
}

fn comment(technique: &Technique<'_>) -> String {
    let named = |rule: &&Rule<'_>| {
        let off = if rule.is_on() { "" } else { ", disabled" };
        format!("{} ({}, {}{off})", rule.name(), rule.severity().as_str(), rule.level())
    };
    technique.rules.iter().map(named).collect::<Vec<_>>().join("\n")
}
