//! Keeps the Secret of the webhooks: an authority made once, a server certificate renewed in time, a token made once.
//! The readers have it as files; the administrator makes the API server's credential of it (`tripline webhook-config`).

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::namespaced_name::NamespacedName;
use crate::alert::{WriteError, call, write_params};
use crate::source::{AUTHORITY, Authority, AuthorityError, CERTIFICATE, KEY, Pair, TOKEN, certificate_end};
use crate::telemetry::Chain;

/// The authority's key, which only this process and the administrator have.
pub const AUTHORITY_KEY: &str = "ca.key";

/// How often it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);
/// How often after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How long before its end the server certificate is renewed.
const RENEW_HOURS: i64 = 30 * 24;

/// Why the Secret could not be kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("the Secret {0} is not there; the chart makes it when `source.webhook.enabled` is set")]
    Missing(String),
    #[error(
        "the Secret has only one of ca.crt and ca.key; put the other back, or delete both for a new authority"
    )]
    HalfAnAuthority,
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("no random numbers for a token")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Api(#[from] WriteError),
}

/// Keeps the Secret while this process leads, until `stop`.
pub async fn keep_webhook_secret(
    client: Client,
    name: NamespacedName,
    mut leads: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let mut said = None;
    loop {
        let mut wait = LOOK_INTERVAL;
        if *leads.borrow_and_update() {
            let failed = keep(&client, &name, Timestamp::now()).await.err();
            let why = failed.map(|error| Chain(&error).to_string());
            if let Some(why) = &why {
                wait = RETRY_INTERVAL;
                if said.as_ref() != Some(why) {
                    warn!(secret = %name, why, "the webhook's Secret cannot be kept; it is tried again");
                }
            }
            said = why;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = leads.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn keep(client: &Client, name: &NamespacedName, now: Timestamp) -> Result<(), KeepError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &name.namespace);
    let secret = call("the webhook's Secret", secrets.get_opt(&name.name)).await?;
    let mut secret = secret.ok_or_else(|| KeepError::Missing(name.to_string()))?;
    let Some(data) = completed(secret.data.as_ref(), now)? else { return Ok(()) };
    secret.data = Some(data);
    call("the webhook's Secret", secrets.replace(&name.name, &write_params(), &secret)).await?;
    info!(secret = %name, "the webhook's Secret was renewed");
    Ok(())
}

/// What the Secret should hold, if that is not what it holds.
fn completed(
    present: Option<&BTreeMap<String, ByteString>>,
    now: Timestamp,
) -> Result<Option<BTreeMap<String, ByteString>>, KeepError> {
    let mut data = present.cloned().unwrap_or_default();
    let text = |data: &BTreeMap<_, ByteString>, key: &str| {
        data.get(key).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned())
    };
    let (authority, is_new) = match (text(&data, AUTHORITY), text(&data, AUTHORITY_KEY)) {
        (Some(certificate), Some(key)) => (Authority::read(Pair { certificate, key })?, false),
        (None, None) => (Authority::make(now)?, true),
        // Never make another by oneself: the API servers trust this one.
        _ => return Err(KeepError::HalfAnAuthority),
    };
    let mut put = |key: &str, value: &str| data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
    if is_new {
        put(AUTHORITY, &authority.pair().certificate);
        put(AUTHORITY_KEY, &authority.pair().key);
    }
    let end = present.and_then(|data| certificate_end(&data.get(CERTIFICATE)?.0));
    let has_key = present.is_some_and(|data| data.contains_key(KEY));
    let lasts = end.is_some_and(|end| end.duration_since(now) > SignedDuration::from_hours(RENEW_HOURS));
    if is_new || !has_key || !lasts {
        let server = authority.server(now)?;
        put(CERTIFICATE, &server.certificate);
        put(KEY, &server.key);
    }
    if !present.is_some_and(|data| data.contains_key(TOKEN)) {
        let mut token = [0; 32];
        getrandom::fill(&mut token)?;
        put(TOKEN, &HEXLOWER.encode(&token));
    }
    Ok((present != Some(&data)).then_some(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(days: i64) -> Timestamp {
        let first: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        first + SignedDuration::from_hours(24 * days)
    }

    #[test]
    fn all_is_made_once_and_only_the_server_certificate_anew() {
        let first = completed(None, day(0)).unwrap().unwrap();
        assert_eq!(first.keys().collect::<Vec<_>>(), [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY, TOKEN]);
        for days in [0, 58, 59] {
            assert_eq!(completed(Some(&first), day(days)).unwrap(), None, "{days}");
        }
        let second = completed(Some(&first), day(60)).unwrap().unwrap();
        let changed: Vec<_> = first.keys().filter(|key| first[*key] != second[*key]).collect();
        assert_eq!(changed, [CERTIFICATE, KEY]);
    }

    #[test]
    fn an_authority_is_never_replaced_by_itself() {
        let whole = completed(None, day(0)).unwrap().unwrap();
        for key in [AUTHORITY, AUTHORITY_KEY] {
            let mut half = whole.clone();
            half.remove(key);
            assert!(matches!(completed(Some(&half), day(0)), Err(KeepError::HalfAnAuthority)));
            let mut broken = whole.clone();
            broken.insert(key.to_owned(), ByteString(b"broken".to_vec()));
            assert!(matches!(completed(Some(&broken), day(0)), Err(KeepError::Authority(_))));
        }
        let mut none = whole.clone();
        none.retain(|key, _| key == TOKEN);
        let anew = completed(Some(&none), day(0)).unwrap().unwrap();
        assert!(anew[AUTHORITY] != whole[AUTHORITY] && anew[CERTIFICATE] != whole[CERTIFICATE]);
        assert_eq!(anew[TOKEN], whole[TOKEN]);
    }
}
