//! The rule packs of `make bench` on logs of its generator: what the matcher makes of an event is what jq makes of it,
//! and what each rule makes of it alone.

#[path = "../benches/table/generate.rs"]
mod generate;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tripline::detect::{Context, Matcher, Reading, Rule, RuleSet};
use tripline::event::{Event, Tape};

/// Whether these programs can be run; if not, says that the test is left out.
fn have(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(missing) = missing {
        eprintln!("left out: {missing} is not installed");
    }
    missing.is_none()
}

fn rules(pack: &Path) -> Result<Arc<RuleSet>> {
    let compile = |source| match Rule::compile(source) {
        Ok((rule, _)) => Ok(Arc::new(rule)),
        Err(findings) => anyhow::bail!("{findings:?}"),
    };
    Ok(Arc::new(RuleSet::new(generate::rules(pack)?.into_iter().map(compile).collect::<Result<_>>()?)))
}

/// The names of the rules that each event of a log matches, as jq prints them.
fn by_jq(pack: &Path, log: &Path) -> Result<Vec<Vec<String>>> {
    let program = std::fs::read_to_string(generate::jq_program(pack))?;
    // One array an event.
    let output = Command::new("jq").arg("--compact-output").arg(format!("[{program}]")).arg(log).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[test]
fn fifty_rules_match_what_jq_says() -> Result<()> {
    if !have(&["python3", "jq"]) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (log, pack) = (folder.path().join("audit.log"), folder.path().join("pack"));
    generate::log(&log, &["--size", "8MB", "--seed", "2", "--attack-rate", "0.2"])?;
    generate::pack(&pack, 50)?;
    let expected = by_jq(&pack, &log)?;
    let rules = rules(&pack)?;
    let mut matcher = Matcher::new(rules.clone(), &Context::default());
    let text = std::fs::read(&log)?;
    let (mut from, mut number, mut found) = (0, 0, vec![false; rules.rules().len()]);
    while from < text.len() {
        let (next, outcomes) = matcher.judge_next(&text, from, Reading::Enough);
        let mut names = Vec::new();
        for outcome in outcomes? {
            found[outcome.rule] = true;
            names.push(rules.rules()[outcome.rule].name());
        }
        let mut of_jq = expected.get(number).context("jq has fewer events")?.clone();
        // The program has the rules in the order of the pack, the set by name.
        of_jq.sort();
        let line = String::from_utf8_lossy(&text[from..next]);
        assert_eq!(names, of_jq, "line {}: {line}", number + 1);
        (from, number) = (next, number + 1);
    }
    assert_eq!(number, expected.len());
    let rules_found = found.iter().filter(|found| **found).count();
    assert!(rules_found >= 30, "only {rules_found} of the rules match anything: the log shows little");
    Ok(())
}

#[test]
fn five_thousand_rules_are_judged_as_each_alone() -> Result<()> {
    if !have(&["python3"]) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (log, pack) = (folder.path().join("audit.log"), folder.path().join("pack"));
    generate::log(&log, &["--size", "250KB", "--seed", "2", "--attack-rate", "0.3"])?;
    generate::pack(&pack, 5_000)?;
    let rules = rules(&pack)?;
    let context = Context::default();
    let fresh = || Matcher::new(rules.clone(), &context);
    let mut candidates = [
        ("enough", fresh(), Reading::Enough),
        ("whole", fresh(), Reading::Whole),
        ("in any order, enough", fresh().in_any_order(), Reading::Enough),
        ("in any order, whole", fresh().in_any_order(), Reading::Whole),
    ];
    let (mut tape, mut expected, mut total) = (Tape::new(), Vec::new(), 0);
    for line in std::fs::read_to_string(&log)?.lines() {
        rules.judge(&Event::decode(line.as_bytes(), &mut tape)?, &context, &mut expected);
        for (how, matcher, reading) in &mut candidates {
            assert_eq!(matcher.judge(line.as_bytes(), *reading)?, expected, "read {how}: {line}");
        }
        total += expected.len();
    }
    assert!(total > 100, "only {total} outcomes: the log shows little");
    Ok(())
}
