//! The library's own client, logged in to a server of its own.

use std::sync::Arc;

use russh::client;
use russh::keys::PublicKeyOrCertificate;
use russh::server::{self, Handler, RunningSession};
use tokio::io::DuplexStream;

use crate::harness::soon;

/// Believes every host key: who the server is, is not the question here.
pub(crate) struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A client that is to agree with the server on what `config` prefers, logged in by the method "none";
/// between them are pipes of so many bytes.
pub(crate) async fn logged_in<H: Handler + Send + 'static>(
    config: server::Config,
    handler: H,
    pipes: usize,
) -> (client::Handle<Trusting>, RunningSession<H>)
where
    H::Error: std::fmt::Debug,
{
    let (near, far) = tokio::io::duplex(pipes);
    let client = client::Config {
        preferred: config.preferred.clone(),
        ..client::Config::default()
    };
    let server = server::run_stream(Arc::new(config), far, handler);
    // Large futures both.
    let (server, client) = (Box::pin(soon(server)), Box::pin(connect(client, near)));
    let (session, client) = tokio::join!(server, client);
    (client, session.expect("a session"))
}

async fn connect(config: client::Config, stream: DuplexStream) -> client::Handle<Trusting> {
    let client = client::connect_stream(Arc::new(config), stream, Trusting);
    let mut client = soon(client).await.expect("a key exchange");
    let answer = soon(client.authenticate_none("user")).await;
    assert!(answer.expect("an answer").success());
    client
}
