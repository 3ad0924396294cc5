//! The program's own log, on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a terminal.
    Text,
}

/// Starts the log. `level` is a tracing filter such as `info` or `tripline=debug`.
///
/// # Errors
/// When `level` is no filter.
pub fn init_logging(format: LogFormat, level: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    // Each call that fails is told with what it was for; the client's own line of it tells nothing more.
    let quiet = if level.contains("kube") { "" } else { ",kube_client::client::builder=off" };
    let filter = EnvFilter::try_new(format!("{level}{quiet}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    // A second start, as in tests, keeps the first.
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
    drop(started);
    Ok(())
}

/// An error with all its causes, in one line: none that was said already, and of the API server's answer what it says.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = String::new();
        let mut next = Some(self.0);
        while let Some(error) = next {
            // Below its answer is the same answer.
            let (text, below) = match answer(error) {
                Some(answer) => (answer, None),
                None => (error.to_string(), error.source()),
            };
            if said.is_empty() {
                said = text;
            } else if !said.ends_with(&text) {
                said = format!("{said}: {text}");
            }
            next = below;
        }
        f.write_str(&said)
    }
}

/// The API server's own words, which the client's error buries in a dump of its answer.
fn answer(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let boxed = || error.downcast_ref::<Box<kube::Error>>().map(|error| &**error);
    match error.downcast_ref::<kube::Error>().or_else(boxed)? {
        kube::Error::Api(status) if !status.message.is_empty() => Some(status.message.clone()),
        kube::Error::Api(status) => Some(format!("{} {}", status.code, status.reason)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_not_said_twice() {
        let error = anyhow::anyhow!("no such file").context("cannot open x: no such file").context("failed");
        assert_eq!(Chain(error.as_ref()).to_string(), "failed: cannot open x: no such file");
    }

    #[test]
    fn of_an_answer_the_message_is_enough() {
        let status = kube::core::Status::failure("alerts \"x\" not found", "NotFound").with_code(404);
        let error = kube::Error::Api(status.boxed());
        let error = anyhow::Error::from(Box::new(error)).context("the API server refused the alert");
        assert_eq!(
            Chain(error.as_ref()).to_string(),
            "the API server refused the alert: alerts \"x\" not found"
        );
    }
}
