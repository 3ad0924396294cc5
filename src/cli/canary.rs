//! `tripline canary`: a request that a rule waits for, from its sending to its alert.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::Outcome;
use super::terminal::say;
use crate::alert::call;
use crate::api::{ConditionStatus, DetectionRule, SecurityAlert, Stored, condition_type, label};
use crate::controller::connect;

/// The pod that is asked for; there is none of this name.
const POD: &str = "tripline-canary";
/// How often an answer is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Options of `tripline canary`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  helm test tripline --namespace tripline-system     runs it in the cluster
  tripline canary --rule tripline-canary

It waits until the rule is evaluated, asks for an exec into a pod `tripline-canary` in its own namespace, which is \
refused (403, or 404 where it is allowed), and waits until an alert of the rule counts it. The rule must match that \
request; the account needs `get` on detectionrules and `list` on securityalerts.

Exit codes: 0 the alert is there, 2 it is not, and the message says what is missing.")]
pub(super) struct Args {
    /// Rule that matches the request
    #[arg(long, value_name = "NAME", env = "TRIPLINE_CANARY_RULE")]
    rule: String,
    /// Kubeconfig to use instead of the pod's account or the usual file
    #[arg(long, value_name = "FILE", env = "TRIPLINE_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// How long each of the two waits may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, env = "TRIPLINE_CANARY_TIMEOUT",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = connect(args.kubeconfig.as_deref()).await?;
        let patience = Duration::from_secs(args.timeout);
        wait_until_ready(&client, &args.rule, patience).await?;
        let before = counted(&client, &args.rule).await?.1;
        let asked = Instant::now();
        ask(&client).await?;
        while asked.elapsed() < patience {
            let (alert, count) = counted(&client, &args.rule).await?;
            if count > before {
                say!("alert {alert} after {} ms", asked.elapsed().as_millis());
                return Ok(Outcome::Fine);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        bail!(
            "no alert of rule {} within {} s, though the request was made. Is the log read? `kubectl get auditsources` \
             says so. Does the audit policy log requests for pods/exec? Does the rule match {POD}? \
             `kubectl describe detectionrule {0}` shows its count",
            args.rule,
            args.timeout
        )
    })
}

/// Waits until the rule is evaluated.
async fn wait_until_ready(client: &Client, name: &str, patience: Duration) -> anyhow::Result<()> {
    let api: Api<DetectionRule> = Api::all(client.clone());
    let began = Instant::now();
    loop {
        let rule = call("the canary's rule", api.get(name)).await?;
        let status = rule.status.unwrap_or_default();
        let ready = status.conditions.iter().find(|c| c.type_ == condition_type::READY);
        if let Some(ready) = ready
            && ready.status == ConditionStatus::True
            && ready.observed_generation == rule.metadata.generation
        {
            return Ok(());
        }
        if began.elapsed() > patience {
            let why = ready.map_or("no process has said anything of it", |ready| ready.message.as_str());
            bail!("rule {name} is not evaluated after {} s: {why}", patience.as_secs());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The newest alert of a rule, and what all of them count together.
async fn counted(client: &Client, rule: &str) -> anyhow::Result<(String, i64)> {
    let api: Api<Stored<SecurityAlert>> = Api::all(client.clone());
    let of_rule = ListParams::default().labels(&format!("{}={rule}", label::RULE));
    let alerts = call("the canary's alerts", api.list(&of_rule)).await?;
    let alerts: Vec<_> = alerts.into_iter().filter_map(|stored| stored.0.ok()).collect();
    let count = |alert: &SecurityAlert| alert.status.as_ref().map_or(0, |status| status.count);
    let newest = alerts
        .iter()
        .max_by_key(|alert| alert.status.as_ref().map(|s| s.last_seen_time.as_ref().map(|t| t.0)));
    Ok((newest.map(ResourceExt::name_any).unwrap_or_default(), alerts.iter().map(count).sum()))
}

/// Makes the request. That it is refused is what is hoped for: it is in the log as any other.
async fn ask(client: &Client) -> anyhow::Result<()> {
    let uri =
        format!("/api/v1/namespaces/{}/pods/{POD}/exec?command=true&stdout=true", client.default_namespace());
    let request = http::Request::post(uri).body(Vec::new())?;
    match call("an exec", client.request_text(request)).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_forbidden() || error.is_not_found() => Ok(()),
        Err(error) => Err(error).context("the canary's request got no answer that is logged"),
    }
}
