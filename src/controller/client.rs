//! How the API server is reached.

use std::path::{Path, PathBuf};

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The named kubeconfig cannot be used.
    #[error("the kubeconfig {} cannot be used", path.display())]
    Kubeconfig {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// The named context cannot be used.
    #[error("the context {context:?} cannot be used")]
    Context {
        /// Its name.
        context: String,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// Neither a pod's account nor a kubeconfig.
    #[error("no cluster to talk to: {}, and no usable kubeconfig; give --kubeconfig", no_pod(in_cluster))]
    Nowhere {
        /// Why this is no pod.
        in_cluster: InClusterError,
        /// What is wrong with the usual kubeconfig.
        source: KubeconfigError,
    },
    /// What was found cannot be made a client of, such as a certificate that is none.
    #[error("a client cannot be made of what was found")]
    Client(#[source] kube::Error),
}

/// Why there is no account of a pod, briefly where this is none.
fn no_pod(error: &InClusterError) -> String {
    match error {
        InClusterError::ReadEnvironmentVariable(_) => "this is no pod".to_owned(),
        other => format!("the pod's account cannot be used ({other})"),
    }
}

/// A client: by the named kubeconfig, else as the pod's account, else by the usual kubeconfig.
///
/// # Errors
/// When there is no usable one.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    // With more than one provider in the program rustls would not choose by itself.
    drop(rustls::crypto::ring::default_provider().install_default());
    let options = KubeConfigOptions::default();
    let config = match kubeconfig {
        Some(path) => {
            let named = |source| ConnectError::Kubeconfig { path: path.to_owned(), source };
            let file = Kubeconfig::read_from(path).map_err(named)?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(named)?
        }
        None => match Config::incluster() {
            Ok(config) => config,
            Err(in_cluster) => Config::from_kubeconfig(&options)
                .await
                .map_err(|source| ConnectError::Nowhere { in_cluster, source })?,
        },
    };
    client(config)
}

/// A client as kubectl would have it: by the named kubeconfig, else those that `KUBECONFIG` names, else the usual one, and
/// by this context of it. In a pod without any, as the pod's account.
///
/// # Errors
/// When there is no usable one.
pub async fn connect_as_kubectl(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Client, ConnectError> {
    if kubeconfig.is_some() && context.is_none() {
        return connect(kubeconfig).await;
    }
    drop(rustls::crypto::ring::default_provider().install_default());
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let found = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let config = match found {
        Ok(file) => Config::from_custom_kubeconfig(file, &options).await,
        Err(error) => Err(error),
    };
    match (config, context) {
        (Ok(config), _) => client(config),
        (Err(source), Some(context)) => Err(ConnectError::Context { context: context.to_owned(), source }),
        (Err(source), None) => match Config::incluster() {
            Ok(config) => client(config),
            Err(in_cluster) => Err(ConnectError::Nowhere { in_cluster, source }),
        },
    }
}

fn client(mut config: Config) -> Result<Client, ConnectError> {
    // kube's own retry would hold a write for up to a quarter of an hour; every caller here has its own.
    config.default_retry = false;
    let agent = http::HeaderValue::from_static(concat!("tripline/", env!("CARGO_PKG_VERSION")));
    config.headers.push((http::header::USER_AGENT, agent));
    Client::try_from(config).map_err(ConnectError::Client)
}
