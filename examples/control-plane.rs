//! A real control plane to try things on: `cargo run --example control-plane -- [--node] FOLDER`.
//!
//! It starts etcd and kube-apiserver as the tests do, prints a kubeconfig for each user, and runs until it is
//! interrupted or terminated, or until its standard input ends where that is a pipe. With `--node` it is a whole
//! cluster of one node, which takes root (see `tests/support/node/mod.rs`); `--can-run-node` alone says whether this
//! machine can, and if not why not.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::thread;

use anyhow::{Context, Result, ensure};
use support::node::{Node, NodeOptions, node_missing};
use support::{ControlPlane, Options};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

fn main() -> Result<()> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let whole_node = arguments.first().is_some_and(|argument| argument == "--node");
    arguments.drain(..usize::from(whole_node));
    let usage = "usage: control-plane [--node] FOLDER | --can-run-node";
    let folder = arguments.pop().context(usage)?;
    if folder == "--can-run-node" {
        if let Some(reason) = node_missing() {
            println!("{reason}");
            std::process::exit(1);
        }
        return Ok(());
    }
    ensure!(arguments.is_empty() && !folder.as_encoded_bytes().starts_with(b"-"), usage);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the servers start, so that no signal finds them without an owner.
    let (mut interrupted, mut terminated) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let options = Options { folder: Some(folder.into()), ..Options::default() };
    let running = if whole_node {
        Running::Node(Box::new(Node::start(NodeOptions { plane: options, ..NodeOptions::default() })?))
    } else {
        Running::Plane(Box::new(ControlPlane::start(options)?))
    };
    let plane = running.plane();
    println!("audit log   {}", plane.audit_log().display());
    println!("API server  {}", plane.url());
    for user in ["admin", "alice", "bob", "tripline"] {
        println!("{user:<11} {}", plane.kubeconfig(user).display());
    }
    if let Running::Node(node) = &running {
        println!("containerd  {}", node.runtime().display());
        println!("node        {}", Node::NAME);
    }
    println!("ready");
    io::stdout().flush()?;
    runtime.block_on(async {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            () = input_ended() => {}
        }
    });
    // The thread that reads standard input may still do so.
    runtime.shutdown_background();
    Ok(())
}

enum Running {
    Plane(Box<ControlPlane>),
    Node(Box<Node>),
}

impl Running {
    fn plane(&self) -> &ControlPlane {
        match self {
            Self::Plane(plane) => plane,
            Self::Node(node) => node.plane(),
        }
    }
}

/// Waits for the end of standard input. Where it is no pipe (a terminal, or nothing in a background job), it says
/// nothing about whether anybody still wants the servers.
async fn input_ended() {
    let is_pipe = std::fs::metadata("/dev/stdin").is_ok_and(|metadata| metadata.file_type().is_fifo());
    let (ended, end) = oneshot::channel::<()>();
    if is_pipe {
        thread::spawn(move || {
            let mut byte = [0];
            while io::stdin().read(&mut byte).is_ok_and(|count| count > 0) {}
            drop(ended);
        });
        drop(end.await);
    } else {
        std::future::pending::<()>().await;
    }
}
