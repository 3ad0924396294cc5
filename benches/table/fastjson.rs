//! Against the parser of Falco's plugin for the audit log, a Go program that makes passes when it is asked to.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tripline::detect::Reading;

use crate::inputs::{Inputs, matcher};
use crate::measure::{Rounds, shown, speed};
use crate::report::{Goal, Row, Taken};
use crate::{passes, process};

pub(crate) const AGAINST_FALCO: Row =
    Row { name: "fastjson", figure: "in memory, 50 rules", goal: Goal::Faster(4.0), take: against_falco };

fn against_falco(inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    if !process::is_found("go") {
        return Ok(Taken::Nothing("go not found".to_owned()));
    }
    let (pack, text) = (inputs.few()?, inputs.log()?);
    let mut peer = Peer::start(&build(inputs.folder())?, &inputs.log_file(usize::MAX)?)?;
    let [judged, parsed] = rounds
        .in_turn([&mut || Ok(passes::judge(matcher(&pack.rules), text, Reading::Enough)?.0), &mut || {
            peer.pass()
        }])?;
    let (judged, parsed) = (speed(text.len(), judged), speed(text.len(), parsed));
    let against = format!("Go fastjson parses, four look-ups, {}", shown(parsed, "MB/s"));
    Ok(Taken::number(judged / parsed, shown(judged, "MB/s"), against))
}

fn build(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("fastjson");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/fastjson");
    process::output(Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(module))?;
    Ok(program)
}

/// The running program, which has the log in memory.
struct Peer {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(program: &Path, log: &Path) -> Result<Peer> {
        let mut child = Command::new(program)
            .arg(log)
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the program over fastjson does not start")?;
        let asked = child.stdin.take().context("not piped")?;
        let answers = BufReader::new(child.stdout.take().context("not piped")?);
        Ok(Peer { child, asked, answers })
    }

    fn pass(&mut self) -> Result<Duration> {
        writeln!(self.asked)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(Duration::from_nanos(answer.trim().parse().context("the program over fastjson failed")?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
