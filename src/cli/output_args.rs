//! The flags of `run` that say where alerts go besides the API.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;

use crate::output::{Alertmanagers, OutputSettings, WebhookTarget};

/// See the module.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// Write each detection and each change of an alert as a line of JSON to standard output
    #[arg(long, env = "TRIPLINE_OUTPUT_STDOUT")]
    output_stdout: bool,
    /// How long an alert's further matches are gathered before outputs are told of them
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        env = "TRIPLINE_OUTPUT_COUNT_SECONDS"
    )]
    output_count_seconds: u64,
    /// Alertmanager that open alerts are posted to; may be given several times, each gets all of them
    #[arg(
        long,
        value_name = "URL",
        value_parser = http_or_https,
        env = "TRIPLINE_ALERTMANAGER_URL",
        value_delimiter = ','
    )]
    alertmanager_url: Vec<Uri>,
    /// Folder with ca.crt, and token or username and password, for the Alertmanagers
    #[arg(
        long,
        value_name = "DIR",
        requires = "alertmanager_url",
        env = "TRIPLINE_ALERTMANAGER_CREDENTIALS"
    )]
    alertmanager_credentials: Option<PathBuf>,
    /// Address that each change of an alert is sent to
    #[arg(
        long,
        value_name = "URL",
        value_parser = https,
        requires = "output_webhook_credentials",
        env = "TRIPLINE_OUTPUT_WEBHOOK_URL"
    )]
    output_webhook_url: Option<Uri>,
    /// Folder with secret, which changes are signed with, and ca.crt, for that address
    #[arg(
        long,
        value_name = "DIR",
        requires = "output_webhook_url",
        env = "TRIPLINE_OUTPUT_WEBHOOK_CREDENTIALS"
    )]
    output_webhook_credentials: Option<PathBuf>,
}

impl OutputArgs {
    pub(super) fn settings(self) -> OutputSettings {
        let webhook = self.output_webhook_url.zip(self.output_webhook_credentials);
        OutputSettings {
            stdout: self.output_stdout,
            count_interval: Duration::from_secs(self.output_count_seconds),
            alertmanagers: Alertmanagers {
                urls: self.alertmanager_url,
                credentials: self.alertmanager_credentials,
            },
            webhook: webhook.map(|(url, credentials)| WebhookTarget { url, credentials }),
        }
    }
}

fn https(text: &str) -> Result<Uri, String> {
    let uri = http_or_https(text)?;
    if uri.scheme() != Some(&Scheme::HTTPS) {
        return Err("it must begin with https://".to_owned());
    }
    Ok(uri)
}

fn http_or_https(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("it must begin with http:// or https://".to_owned());
    }
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        return Err(
            "it must not hold a user or password: these belong in the folder of credentials".to_owned()
        );
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("it must name a host".to_owned());
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_whole_and_hold_no_secret() {
        assert!(http_or_https("http://alertmanager.monitoring:9093/prefix").is_ok());
        assert!(https("https://example.com/hook?x=1").is_ok());
        for wrong in [
            "http://example.com/",
            "example.com",
            "ftp://example.com/",
            "https://a:b@example.com/",
            "https:///x",
        ] {
            assert!(https(wrong).is_err(), "{wrong}");
        }
    }
}
