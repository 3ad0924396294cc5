//! The table: rows as they are declared, what came of each, and how it stands to its goal.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use anyhow::Result;
use tabwriter::TabWriter;

use crate::inputs::Inputs;
use crate::measure::{Rounds, shown};

/// A figure, and how it is taken.
pub(crate) struct Row {
    /// What `ROWS=` picks it by.
    pub(crate) name: &'static str,
    /// What is measured.
    pub(crate) figure: &'static str,
    /// What it should come to.
    pub(crate) goal: Goal,
    /// Takes it.
    pub(crate) take: fn(&Inputs, Rounds) -> Result<Taken>,
}

/// What a number should come to.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// How many times as fast as the other.
    Faster(f64),
    /// How many times the other's time.
    Longer(f64),
    /// A number of its own, in a unit.
    Below(f64, &'static str),
}

/// What came of a row.
pub(crate) enum Taken {
    /// A number to hold against the goal, and what it was made of.
    Number {
        /// The number.
        number: f64,
        /// What was measured, with its unit.
        value: String,
        /// What it was measured against, with its own figure.
        against: String,
        /// What else there is to say, below the table.
        remark: Option<String>,
    },
    /// Nothing, for this reason.
    Nothing(String),
}

impl Taken {
    /// A number without a remark.
    pub(crate) fn number(number: f64, value: String, against: String) -> Taken {
        Taken::Number { number, value, against, remark: None }
    }
}

impl Goal {
    fn is_met(self, number: f64) -> bool {
        match self {
            Goal::Faster(least) => number >= least,
            Goal::Longer(most) | Goal::Below(most, _) => number <= most,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Faster(least) => write!(f, "≥ {least} ×"),
            Goal::Longer(most) => write!(f, "≤ {most} ×"),
            Goal::Below(most, "") => write!(f, "≤ {most}"),
            Goal::Below(most, unit) => write!(f, "≤ {most} {unit}"),
        }
    }
}

/// The rows that were taken.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<String>,
    remarks: Vec<String>,
}

impl Report {
    /// Enters what came of a row. One that failed says why and stops no other.
    pub(crate) fn add(&mut self, row: &Row, taken: Result<Taken>) {
        let (value, against, ratio, met) = match taken {
            Ok(Taken::Number { number, value, against, remark }) => {
                self.remarks.extend(remark);
                let ratio = match row.goal {
                    Goal::Faster(_) | Goal::Longer(_) => shown(number, "×"),
                    Goal::Below(..) => "-".to_owned(),
                };
                (value, against, ratio, if row.goal.is_met(number) { "met" } else { "not met" })
            }
            Ok(Taken::Nothing(why)) => ("-".to_owned(), why, "-".to_owned(), "-"),
            Err(error) => {
                self.remarks.push(format!("{}: {error:#}", row.name));
                ("failed".to_owned(), "see below".to_owned(), "-".to_owned(), "-")
            }
        };
        let (name, figure, goal) = (row.name, row.figure, row.goal);
        self.lines.push(format!("{name}\t{figure}\t{value}\t{against}\t{ratio}\t{goal}\t{met}"));
    }

    /// All of it, aligned.
    pub(crate) fn table(&self) -> Result<String> {
        let mut writer = TabWriter::new(Vec::new()).padding(3);
        writeln!(writer, "row\tfigure\tvalue\tagainst\tratio\tgoal\treached")?;
        self.lines.iter().try_for_each(|line| writeln!(writer, "{line}"))?;
        writer.flush()?;
        let mut text = String::from_utf8(writer.into_inner()?)?;
        self.remarks.iter().try_for_each(|remark| write!(text, "\n{remark}"))?;
        Ok(text)
    }
}
