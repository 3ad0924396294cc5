//! What has to be there before rules can be read: the kinds, as new as this program, and an account.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::alert::{WriteError, call};
use crate::api::{GROUP, SCHEMA_REVISION, SCHEMA_REVISION_ANNOTATION, VERSION, crds};
use crate::telemetry::{Chain, Health};

/// How long to wait before looking again.
const RETRY: Duration = Duration::from_secs(2);
/// The part of the health report this is.
const PART: &str = "cluster";

/// Why the cluster is not ready for this program.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error(
        "the CustomResourceDefinition {name} is missing: install the definitions, `tripline crds | kubectl apply -f -`"
    )]
    Missing { name: String },
    #[error(
        "the CustomResourceDefinition {name} is older than this program (schema revision {found}, wanted {SCHEMA_REVISION}): \
         update the definitions, `tripline crds | kubectl apply -f -`"
    )]
    Older { name: String, found: u32 },
    #[error(transparent)]
    Api(#[from] WriteError),
}

/// Waits until the cluster has the kinds, and says as whom this process writes; none when told to stop before.
pub async fn wait_until_ready(client: &Client, health: &Health, stop: &CancellationToken) -> Option<String> {
    let mut said = String::new();
    loop {
        match check(client).await {
            Ok(account) => {
                health.ready(PART);
                info!(account, "the cluster is ready");
                return Some(account);
            }
            Err(why) => {
                let why = Chain(&why).to_string();
                if why != said {
                    warn!(why, "not ready; looking again until it is");
                }
                health.not_ready(PART, why.clone());
                said = why;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn check(client: &Client) -> Result<String, NotReady> {
    let review: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer =
        call("who this is", review.create(&PostParams::default(), &SelfSubjectReview::default())).await?;
    match check_definitions(client).await {
        // Reading the definitions is a permission of its own. Without it the lists of the kinds are the test, and their
        // age is not known.
        Err(NotReady::Api(error)) if error.is_forbidden() => check_lists(client).await?,
        checked => checked?,
    }
    let user = answer.status.and_then(|status| status.user_info);
    Ok(user.and_then(|user| user.username).unwrap_or_default())
}

/// Whether the kinds are defined, and as new as this program.
async fn check_definitions(client: &Client) -> Result<(), NotReady> {
    let installed: Api<CustomResourceDefinition> = Api::all(client.clone());
    for wanted in crds() {
        let name = wanted.name_any();
        let Some(found) = call("the definition of a kind", installed.get_metadata_opt(&name)).await? else {
            return Err(NotReady::Missing { name });
        };
        let revision = found.annotations().get(SCHEMA_REVISION_ANNOTATION).and_then(|text| text.parse().ok());
        let found = revision.unwrap_or(0);
        if found < SCHEMA_REVISION {
            return Err(NotReady::Older { name, found });
        }
    }
    Ok(())
}

/// Whether the kinds are served.
async fn check_lists(client: &Client) -> Result<(), NotReady> {
    for wanted in crds() {
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(GROUP, VERSION, &wanted.spec.names.kind),
            &wanted.spec.names.plural,
        );
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        match call("the list of a kind", api.list_metadata(&ListParams::default().limit(1))).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {
                return Err(NotReady::Missing { name: wanted.name_any() });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
