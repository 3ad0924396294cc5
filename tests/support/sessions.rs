//! Load: sessions that somebody opens, one after the other, as fast as is asked for.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::process::wait_for;

/// Sessions in pods `pod-0` to `pod-(PODS-1)` of the namespace `shop`, which do not exist: allowed, audited, and
/// answered with 404.
pub(crate) struct Sessions {
    runtime: Runtime,
    task: JoinHandle<Result<()>>,
    opened: Arc<AtomicU64>,
    unanswered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// How many pods the sessions are in, in turn.
pub(crate) const PODS: u64 = 60;
/// After how many sessions through outages the log is filled.
const FILLING: u64 = 8;

impl Sessions {
    /// Begins to open at most so many, with a pause after each. One that is not answered ends it with an error.
    pub(crate) fn start(kubeconfig: &Path, most: u64, pause: Duration) -> Result<Self> {
        Self::begin(kubeconfig, most, pause, false)
    }

    /// Begins to open them until it is ended, whether a server answers or not: one without the usual answer is not
    /// counted as opened, and is in the log or not. In between the pod `web-0` is changed, which fills the log.
    pub(crate) fn start_through_outages(kubeconfig: &Path, pause: Duration) -> Result<Self> {
        Self::begin(kubeconfig, u64::MAX, pause, true)
    }

    fn begin(kubeconfig: &Path, most: u64, pause: Duration, through_outages: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (opened, unanswered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let task = runtime.spawn({
            let (opened, unanswered, stop) =
                (Arc::clone(&opened), Arc::clone(&unanswered), Arc::clone(&stop));
            async move {
                let config =
                    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
                let client = Client::try_from(config)?;
                for n in 0..most {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match open(&client, n % PODS).await {
                        Ok(404) => drop(opened.fetch_add(1, Ordering::Relaxed)),
                        _ if through_outages => drop(unanswered.fetch_add(1, Ordering::Relaxed)),
                        Ok(code) => bail!("an exec was answered with {code}"),
                        Err(error) => return Err(error),
                    }
                    if through_outages && n % FILLING == 0 {
                        // Done, or not.
                        drop(fill(&client, n).await);
                    }
                    tokio::time::sleep(pause).await;
                }
                Ok(())
            }
        });
        Ok(Self { runtime, task, opened, unanswered, stop })
    }

    /// Waits until so many were opened.
    pub(crate) fn wait_for(&self, count: u64) -> Result<()> {
        wait_for("sessions to be opened", Duration::from_mins(2), || {
            (self.opened.load(Ordering::Relaxed) >= count).then_some(())
        })
    }

    /// How many were opened until now.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many had not the usual answer until now.
    pub(crate) fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Ends it now; gives how many were opened.
    pub(crate) fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits for its end; gives how many were opened.
    pub(crate) fn finish(self) -> Result<u64> {
        self.runtime.block_on(self.task).context("the sessions ended abnormally")??;
        Ok(self.opened.load(Ordering::Relaxed))
    }
}

/// How many of `opened` sessions were in a pod, by the pod's name.
pub(crate) fn opened_in(pod: &str, opened: u64) -> Result<u64> {
    let n: u64 = pod.strip_prefix("pod-").context("another pod than those of the sessions")?.parse()?;
    Ok(opened / PODS + u64::from(n < opened % PODS))
}

/// Gives the answer's code.
async fn open(client: &Client, pod: u64) -> Result<u16> {
    let uri = format!("/api/v1/namespaces/shop/pods/pod-{pod}/exec?command=id&stdout=true");
    match client.request_text(http::Request::post(uri).body(Vec::new())?).await {
        Err(kube::Error::Api(status)) => Ok(status.code),
        other => bail!("an exec was answered with {other:?}"),
    }
}

/// A change of a pod that is logged with request and response, some 300 KB.
async fn fill(client: &Client, number: u64) -> Result<()> {
    let patch =
        json!({"metadata": {"annotations": {"filler": number.to_string().repeat(100_000)[..100_000]}}});
    let request = http::Request::patch("/api/v1/namespaces/shop/pods/web-0")
        .header("content-type", "application/merge-patch+json")
        .body(patch.to_string().into_bytes())?;
    client.request_text(request).await?;
    Ok(())
}
