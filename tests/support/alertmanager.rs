//! An Alertmanager as it is, built by `tests/alertmanager/build.sh`.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use data_encoding::BASE64;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use super::process::Server;
use super::receiver::self_signed;

/// Who may speak with one that asks for it.
pub(crate) const USER: &str = "tripline";
pub(crate) const PASSWORD: &str = "of-a-test";
/// The password, as bcrypt has it.
const HASH: &str = "$2a$04$5xJ.Umt8RDEWK.CAiBhqQ.X6Gr9foBFhHFGxsbiR6d0MCiBHtdINy";

/// How long it may take to start.
const START: Duration = Duration::from_secs(30);

/// A running Alertmanager.
pub(crate) struct Alertmanager {
    _server: Server,
    url: String,
    certificate: Option<String>,
}

impl Alertmanager {
    /// Starts one in a folder of its own. With `asks` it speaks TLS, with a certificate written to `ca.crt` in that
    /// folder, and asks for user and password.
    pub(crate) fn start(folder: &Path, port: u16, asks: bool) -> Result<Self> {
        let built = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alertmanager/build.sh"))
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(built.status.success(), "Alertmanager was not built");
        let program = PathBuf::from(String::from_utf8(built.stdout)?.trim()).join("alertmanager");
        fs::create_dir_all(folder)?;
        // It need not tell anybody: what it knows is asked of it. JSON is YAML.
        let config = json!({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]});
        fs::write(folder.join("config.yml"), config.to_string())?;
        let mut arguments = vec![
            format!("--config.file={}", folder.join("config.yml").display()),
            format!("--storage.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let mut certificate = None;
        if asks {
            let (of, key) = self_signed()?;
            fs::write(folder.join("ca.crt"), &of)?;
            fs::write(folder.join("tls.key"), key)?;
            let tls = json!({"cert_file": folder.join("ca.crt"), "key_file": folder.join("tls.key")});
            let web = json!({"tls_server_config": tls, "basic_auth_users": {USER: HASH}});
            fs::write(folder.join("web.yml"), web.to_string())?;
            arguments.push(format!("--web.config.file={}", folder.join("web.yml").display()));
            certificate = Some(of);
        }
        let mut server = Server::start(&program, folder, &arguments)?;
        let url = format!("{}://127.0.0.1:{port}", if asks { "https" } else { "http" });
        let get = |path: &str| get(&format!("{url}{path}"), certificate.as_deref());
        server.wait_until(START, || get("/-/ready").is_ok())?;
        Ok(Self { _server: server, url, certificate })
    }

    /// The alerts that it takes for firing.
    pub(crate) fn firing(&self) -> Result<Vec<Value>> {
        let alerts = get(&format!("{}/api/v2/alerts", self.url), self.certificate.as_deref())?;
        Ok(serde_json::from_slice(&alerts)?)
    }
}

fn get(url: &str, certificate: Option<&str>) -> Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = certificate {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
    }
    let builder =
        ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()));
    let tls =
        builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    let password = BASE64.encode(format!("{USER}:{PASSWORD}").as_bytes());
    let request = http::Request::get(url).header(AUTHORIZATION, format!("Basic {password}"));
    let request = request.body(Empty::<Bytes>::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let asked = Client::builder(TokioExecutor::new()).build(connector).request(request);
        let answer =
            tokio::time::timeout(Duration::from_secs(5), asked).await.context("no answer in time")??;
        ensure!(answer.status().is_success(), "{url} answered {}", answer.status());
        Ok(answer.into_body().collect().await?.to_bytes().to_vec())
    })
}
