//! What is judged: made on first use, kept in `target/bench/`, read once.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tripline::api::Mode;
use tripline::detect::{self, Matcher, Rule, RuleSet, RuleSource};

use crate::{generate, variants};

/// The size of the variants, in MB.
const VARIANT: usize = 128;

/// The log, its variants and the packs.
pub(crate) struct Inputs {
    folder: PathBuf,
    megabytes: usize,
    log: OnceCell<Vec<u8>>,
    reordered: OnceCell<Vec<u8>>,
    unique: OnceCell<Vec<u8>>,
    few: OnceCell<Pack>,
    many: OnceCell<Pack>,
    library: OnceCell<Arc<RuleSet>>,
}

/// A pack of rules.
pub(crate) struct Pack {
    pub(crate) folder: PathBuf,
    pub(crate) sources: Vec<RuleSource>,
    pub(crate) rules: Arc<RuleSet>,
}

impl Inputs {
    pub(crate) fn new(megabytes: usize) -> Result<Inputs> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&folder)?;
        Ok(Inputs {
            folder,
            megabytes,
            log: OnceCell::new(),
            reordered: OnceCell::new(),
            unique: OnceCell::new(),
            few: OnceCell::new(),
            many: OnceCell::new(),
            library: OnceCell::new(),
        })
    }

    /// Where everything is kept.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of the log, or of its beginning where that is asked for.
    pub(crate) fn log_file(&self, at_most: usize) -> Result<PathBuf> {
        let size = format!("{}MB", self.megabytes.min(at_most));
        let file = self.folder.join(format!("audit-{size}.log"));
        if is_outdated(&file, "audit_log.py")? {
            // It gets its name when it is whole.
            let unfinished = file.with_added_extension("unfinished");
            generate::log(&unfinished, &["--seed", "1", "--size", &size])?;
            std::fs::rename(unfinished, &file)?;
        }
        Ok(file)
    }

    /// The whole log.
    pub(crate) fn log(&self) -> Result<&[u8]> {
        once(&self.log, || Ok(std::fs::read(self.log_file(usize::MAX)?)?)).map(Vec::as_slice)
    }

    /// The log's beginning with the keys of every event in another order.
    pub(crate) fn reordered(&self) -> Result<&[u8]> {
        once(&self.reordered, || variants::reordered(&std::fs::read(self.log_file(VARIANT)?)?))
            .map(Vec::as_slice)
    }

    /// The log's beginning with a user, an address and an agent of its own in every event.
    pub(crate) fn unique(&self) -> Result<&[u8]> {
        once(&self.unique, || variants::unique(&std::fs::read(self.log_file(VARIANT)?)?)).map(Vec::as_slice)
    }

    /// The 50 rules.
    pub(crate) fn few(&self) -> Result<&Pack> {
        once(&self.few, || self.pack(50))
    }

    /// The 5,000 rules.
    pub(crate) fn many(&self) -> Result<&Pack> {
        once(&self.many, || self.pack(5_000))
    }

    /// The rules of `rules/` that ship switched on.
    pub(crate) fn library(&self) -> Result<&Arc<RuleSet>> {
        once(&self.library, || {
            let mut rules = Vec::new();
            for tactic in Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").read_dir()? {
                rules.extend(generate::definitions(&tactic?.path())?);
            }
            rules.retain(|rule| rule.spec.mode != Mode::Disabled);
            compiled(&generate::sources(rules)?)
        })
    }

    fn pack(&self, count: usize) -> Result<Pack> {
        let folder = self.folder.join(format!("pack-{count}"));
        // The program for jq is written last.
        if is_outdated(&generate::jq_program(&folder), "rule_pack.py")? {
            generate::pack(&folder, count)?;
        }
        let sources = generate::rules(&folder)?;
        let rules = compiled(&sources)?;
        Ok(Pack { folder, sources, rules })
    }
}

impl Pack {
    /// The exec rule alone.
    pub(crate) fn exec_rule(&self) -> Result<Arc<RuleSet>> {
        let rule = self.rules.rules().iter().find(|rule| rule.name() == "exec-allowed");
        Ok(Arc::new(RuleSet::new(vec![rule.context("the pack has no exec rule")?.clone()])))
    }
}

/// A matcher that has met nothing yet.
pub(crate) fn matcher(rules: &Arc<RuleSet>) -> Matcher {
    Matcher::new(rules.clone(), &detect::Context::default())
}

/// The rules at work.
pub(crate) fn compiled(sources: &[RuleSource]) -> Result<Arc<RuleSet>> {
    let rules = sources.iter().map(|source| match Rule::compile(source.clone()) {
        Ok((rule, _)) => Ok(Arc::new(rule)),
        Err(findings) => anyhow::bail!("{} does not compile: {findings:?}", source.name),
    });
    Ok(Arc::new(RuleSet::new(rules.collect::<Result<_>>()?)))
}

fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

/// Whether a file is still to be made by this program, or was made by an earlier form of it.
fn is_outdated(file: &Path, program: &str) -> Result<bool> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(program);
    let changed = program.metadata()?.modified()?;
    let outdated = !file.metadata().and_then(|file| file.modified()).is_ok_and(|made| made > changed);
    if outdated {
        eprintln!("making {}", file.display());
    }
    Ok(outdated)
}
