//! What kinds of requests an hour of an ordinary node holds: `cargo run --example hour -- [SECONDS]`, as root.
//!
//! A node whose servers are set as they are by default, with the usual objects on it, is left alone for that time. How
//! often each kind was asked meanwhile is printed: the number, who, the verb, the resource. `tests/quiet.rs` holds its
//! hour against it.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use anyhow::Result;
use support::node::{Node, NodeOptions, Pace};
use support::ordinary::{kinds, roll_out};
use support::{Options, all_at};

fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(3600), |text| text.parse())?;
    let policy = Some(all_at("Metadata"));
    let plane = Options { audit_log_max_size: 500, audit_policy: policy, ..Options::default() };
    Node::with(NodeOptions { plane, services: true, pace: Pace::Usual, ..NodeOptions::default() }, |node| {
        let plane = node.plane();
        roll_out(plane)?;
        eprintln!("{}", plane.audit_log().display());
        let before = plane.audit_events()?.len();
        std::thread::sleep(Duration::from_secs(seconds));
        for ((user, verb, resource), count) in kinds(&plane.audit_events()?[before..]) {
            println!("{count}\t{user}\t{verb}\t{resource}");
        }
        Ok(())
    })
}
