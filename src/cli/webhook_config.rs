//! `tripline webhook-config`: what kube-apiserver needs to send its audit log to a webhook.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use data_encoding::BASE64;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::Outcome;
use super::terminal::say;
use crate::alert::call;
use crate::api::{AuditSource, Webhook, WebhookAuthentication};
use crate::controller::{AUTHORITY_KEY, NamespacedName, connect};
use crate::source::{AUTHORITY, Authority, Pair, SERVER_NAME, TOKEN, certificate_end};

/// Options of `tripline webhook-config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline webhook-config >tripline-webhook.kubeconfig
  tripline webhook-config --source kube-apiserver --server https://10.96.0.50:9443 --days 90

It prints the file for --audit-webhook-config-file to standard output, and to standard error what to set and where. \
The file holds a credential by which whoever has it can send records: keep it as kube-apiserver's own keys. Where \
senders prove themselves by a certificate, each call makes another one, which nothing else has; it is stored nowhere.

It needs `get` on the AuditSource and on the Secret, which a cluster administrator has.

Exit codes: 0 it is printed, 2 it is not, and the message says what is missing.")]
pub(super) struct Args {
    /// AuditSource that the log is sent to; without it, the only one that is a webhook
    #[arg(long, value_name = "NAME", env = "TRIPLINE_WEBHOOK_SOURCE")]
    source: Option<String>,
    /// Secret of the webhooks
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        default_value = "tripline-system/tripline-webhook",
        env = "TRIPLINE_WEBHOOK_SECRET"
    )]
    secret: NamespacedName,
    /// URL that the API server reaches it by; without it, the source's own address
    #[arg(long, value_name = "URL", env = "TRIPLINE_WEBHOOK_SERVER")]
    server: Option<String>,
    /// For how many days the certificate is good
    #[arg(long, value_name = "DAYS", default_value_t = 365, env = "TRIPLINE_WEBHOOK_DAYS",
          value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Kubeconfig to use instead of the usual file
    #[arg(long, value_name = "FILE", env = "TRIPLINE_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
}

/// Where the documentation puts the file on a control-plane node.
const FILE: &str = "/etc/kubernetes/tripline-webhook.kubeconfig";

/// The flags, with what they are for. kube-apiserver's own defaults wait up to 30 s for a batch, and give up early.
const FLAGS: [(&str, &str); 7] = [
    ("--audit-webhook-mode=batch", "no request waits for it"),
    ("--audit-webhook-batch-max-wait=1s", "alerts come within a second or two; the default is 30s"),
    ("--audit-webhook-batch-max-size=400", "records in a batch, the default"),
    ("--audit-webhook-batch-buffer-size=100000", "records that may wait in its memory; the default is 10000"),
    ("--audit-webhook-batch-throttle-qps=100", "batches a second; the default is 10"),
    ("--audit-webhook-batch-throttle-burst=200", "and at once; the default is 15"),
    (
        "--audit-webhook-initial-backoff=30s",
        "a batch is tried for some four minutes; the default, 10s, is one and a half",
    ),
];

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (source, webhook, secret) = runtime.block_on(async {
        let client = connect(args.kubeconfig.as_deref()).await?;
        let (source, webhook) = source(&client, args.source.as_deref()).await?;
        let secrets: Api<Secret> = Api::namespaced(client, &args.secret.namespace);
        let secret = call("the webhook's Secret", secrets.get_opt(&args.secret.name)).await?;
        let secret = secret.with_context(|| format!("there is no Secret {}; give --secret", args.secret))?;
        anyhow::Ok((source, webhook, secret))
    })?;
    let server = server_url(args.server.as_deref(), &source, &webhook)?;
    let data = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
        bytes.with_context(|| {
            format!("the Secret {} has no {key} yet; the controller fills it within a minute", args.secret)
        })
    };
    let authority = data(AUTHORITY)?;
    let (user, end) = match webhook.authentication {
        WebhookAuthentication::ClientCertificate => {
            let pair = Pair {
                certificate: String::from_utf8_lossy(&authority).into_owned(),
                key: String::from_utf8_lossy(&data(AUTHORITY_KEY)?).into_owned(),
            };
            let client = Authority::read(pair)?.client(Timestamp::now(), args.days)?;
            (
                json!({
                    "client-certificate-data": BASE64.encode(client.certificate.as_bytes()),
                    "client-key-data": BASE64.encode(client.key.as_bytes()),
                }),
                certificate_end(client.certificate.as_bytes()),
            )
        }
        WebhookAuthentication::BearerToken => {
            let token = String::from_utf8(data(TOKEN)?).context("the Secret's token is no text")?;
            (json!({"token": token.trim()}), None)
        }
    };
    out.write_all(serde_saphyr::to_string(&kubeconfig(&server, &authority, &user))?.as_bytes())?;
    out.flush()?;
    tell(end);
    Ok(Outcome::Fine)
}

/// The source that was asked for, or the only webhook.
async fn source(client: &Client, name: Option<&str>) -> anyhow::Result<(String, Webhook)> {
    let sources: Api<AuditSource> = Api::all(client.clone());
    let listed = call("the AuditSources", sources.list(&kube::api::ListParams::default())).await?;
    let mut webhooks: Vec<_> = listed
        .into_iter()
        .filter(|source| name.is_none_or(|name| source.name_any() == name))
        .map(|source| (source.name_any(), source.spec.webhook))
        .collect();
    if name.is_none() {
        webhooks.retain(|(_, webhook)| webhook.is_some());
    }
    match (webhooks.pop(), webhooks.is_empty(), name) {
        (Some((found, Some(webhook))), true, _) => Ok((found, webhook)),
        (Some((found, None)), ..) => bail!("the AuditSource {found} reads a file; nothing is sent to it"),
        (None, _, Some(name)) => bail!("there is no AuditSource {name}"),
        (None, _, None) => {
            bail!(
                "no AuditSource is a webhook; apply one with spec.webhook, or set source.webhook.enabled in the chart"
            )
        }
        (Some(_), false, _) => bail!("several AuditSources are webhooks; name one by --source"),
    }
}

fn server_url(given: Option<&str>, source: &str, webhook: &Webhook) -> anyhow::Result<String> {
    let base = match given {
        Some(url) => {
            ensure!(url.starts_with("https://"), "--server {url:?} must begin with https://");
            url.trim_end_matches('/').to_owned()
        }
        None => match webhook.address.parse::<std::net::IpAddr>() {
            Ok(address) if !address.is_unspecified() => {
                format!("https://{}", std::net::SocketAddr::new(address, u16::try_from(webhook.port)?))
            }
            _ => bail!(
                "the source listens on {}, which is no address to send to; give --server, such as \
                 https://CLUSTER-IP:{}",
                webhook.address,
                webhook.port
            ),
        },
    };
    Ok(format!("{base}/audit/{source}"))
}

fn kubeconfig(server: &str, authority: &[u8], user: &Value) -> Value {
    let cluster = json!({
        "server": server,
        "tls-server-name": SERVER_NAME,
        "certificate-authority-data": BASE64.encode(authority),
    });
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tripline", "cluster": cluster}],
        "users": [{"name": "kube-apiserver", "user": user}],
        "contexts": [{"name": "tripline", "context": {"cluster": "tripline", "user": "kube-apiserver"}}],
        "current-context": "tripline",
    })
}

/// What to do with the file.
fn tell(end: Option<Timestamp>) {
    say!("Put this file on each control-plane node as {FILE}, mode 0600, owned by the API server's user;");
    say!("mount it into kube-apiserver, and give that, besides its --audit-policy-file:");
    say!("  --audit-webhook-config-file={FILE}");
    for (flag, why) in FLAGS {
        say!("  {flag:<45} # {why}");
    }
    if let Some(end) = end {
        say!("The certificate in it is good until {end}. Run this again before then, and replace the file.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(address: &str) -> Webhook {
        serde_json::from_value(json!({"address": address})).unwrap()
    }

    #[test]
    fn the_url_is_the_sources_own_unless_it_listens_everywhere() {
        let url =
            |given, address| server_url(given, "apiserver", &webhook(address)).map_err(|e| e.to_string());
        assert_eq!(url(None, "127.0.0.1").unwrap(), "https://127.0.0.1:9443/audit/apiserver");
        assert_eq!(url(None, "::1").unwrap(), "https://[::1]:9443/audit/apiserver");
        assert_eq!(
            url(Some("https://10.0.0.9:1/"), "0.0.0.0").unwrap(),
            "https://10.0.0.9:1/audit/apiserver"
        );
        assert!(url(None, "0.0.0.0").unwrap_err().contains("give --server, such as https://CLUSTER-IP:9443"));
        assert!(url(Some("http://x"), "127.0.0.1").unwrap_err().contains("must begin with https://"));
    }
}
