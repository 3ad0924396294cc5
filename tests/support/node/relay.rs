//! An address that pods reach, passed on to the API server on its loopback address: that of the `kubernetes` Service,
//! the part of kube-proxy that a pod needs, or what stands behind it where kube-proxy runs.
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Takes connections as long as it lives. (The runtime, because a thread that waits for the next connection could only be
/// woken by one, and to make one when the address is gone already would be to dial somebody else.)
#[derive(Debug)]
pub(super) struct Relay(Runtime);

impl Relay {
    /// Listens at `address`, for the server at this port of the loopback interface.
    pub(super) fn start(address: SocketAddr, port: u16) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .with_context(|| format!("failed to listen at {address}"))?;
        runtime.spawn(async move {
            loop {
                if let Ok((client, _)) = listener.accept().await {
                    drop(pass_on(client, port));
                }
            }
        });
        Ok(Self(runtime))
    }
}

/// In threads, which end with the connection.
fn pass_on(client: tokio::net::TcpStream, port: u16) -> Result<()> {
    let client = client.into_std()?;
    client.set_nonblocking(false)?;
    // A server that is down refuses; to the client that looks as if it hung up.
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(|| copy(from_client, server));
    thread::spawn(|| copy(from_server, client));
    Ok(())
}

/// Until one side says no more, which the other then hears.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    if io::copy(&mut from, &mut to).is_err() {
        drop(from.shutdown(Shutdown::Both));
    }
    drop(to.shutdown(Shutdown::Write));
}
