//! `tripline completion`: what makes a shell complete commands and flags.

use std::io::Write;

use clap::CommandFactory as _;

use super::{Cli, Outcome};

/// Options of `tripline completion`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  source <(tripline completion bash)
  tripline completion zsh > \"${fpath[1]}/_tripline\"
  tripline completion fish > ~/.config/fish/completions/tripline.fish")]
pub(super) struct Args {
    /// The shell to print for.
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let mut command = Cli::command();
    clap_complete::generate(args.shell, &mut command, "tripline", out);
    Outcome::Fine
}
