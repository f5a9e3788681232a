//! Remote forwards of one connection: listening for the peer until it cancels or leaves.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use russh::server::{Handle, Msg};
use russh::{Channel, Error};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::algorithms::WINDOW;
use crate::channel::Table;
use crate::forward::{self, Listener, Origin, Socket, X11};
use crate::shutdown::Tasks;

/// Listeners one connection may have; each is a descriptor or two.
const MOST: usize = 256;
/// Displays one connection may have, one a session; each is two descriptors.
const MOST_DISPLAYS: usize = 64;

/// What the peer asked us to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    Tcp(String, u16),
    Unix(String),
    Agent,
    X11 { single: bool },
}

/// A listener's task, which ends when this is dropped.
#[derive(Debug)]
struct Open {
    stop: DropGuard,
    task: JoinHandle<()>,
}

/// The remote forwards of a connection; dropping it closes them all.
#[derive(Debug)]
pub(super) struct Forwards {
    open: HashMap<Asked, Open>,
    /// As many as there are displays, and one.
    displays: Arc<()>,
    tasks: Tasks,
    table: Table,
}

impl Forwards {
    pub(super) fn new(tasks: Tasks, table: Table) -> Self {
        Self {
            open: HashMap::new(),
            displays: Arc::default(),
            tasks,
            table,
        }
    }

    /// Listen on `host:port`; the port that was bound, or `None`.
    pub(super) async fn listen_tcp(
        &mut self,
        host: &str,
        port: u16,
        handle: Handle,
    ) -> Option<u16> {
        if self.open.len() >= MOST {
            return None;
        }
        match forward::listen_tcp(host, port).await {
            Ok((listener, bound)) => {
                self.serve(Asked::Tcp(host.to_owned(), bound), listener, handle);
                Some(bound)
            }
            Err(error) => {
                tracing::info!(host, port, %error, "cannot listen for the client");
                None
            }
        }
    }

    /// Listen on a unix socket.
    pub(super) fn listen_unix(&mut self, path: &str, handle: Handle) -> bool {
        if self.open.len() >= MOST {
            return false;
        }
        match forward::listen_unix(Path::new(path)) {
            Ok(listener) => {
                self.serve(Asked::Unix(path.to_owned()), listener, handle);
                true
            }
            Err(error) => {
                tracing::info!(path, %error, "cannot listen for the client");
                false
            }
        }
    }

    /// Forward the client's agent, once a connection; whether it is forwarded.
    pub(super) fn agent(&mut self, uid: u32, handle: Handle) -> bool {
        if self.open.contains_key(&Asked::Agent) {
            return true;
        }
        match forward::Agent::bind(uid) {
            Ok(agent) => {
                let (handle, tasks, table) = (handle, self.tasks.clone(), self.table.clone());
                self.keep(Asked::Agent, async move {
                    accept(&agent.listener, &Asked::Agent, &handle, &tasks, &table).await;
                });
                true
            }
            Err(error) => {
                tracing::warn!(%error, "cannot forward the client's agent");
                false
            }
        }
    }

    /// Open a display for the client's X server: a session's own, which listens for as long as what
    /// is returned lives.
    pub(super) async fn x11(&self, asked: X11, handle: Handle) -> Option<X11> {
        if Arc::strong_count(&self.displays) > MOST_DISPLAYS {
            return None;
        }
        match asked.bind().await {
            Ok((mut x11, listener)) => {
                let (tasks, table) = (self.tasks.clone(), self.table.clone());
                let (counted, single) = (Arc::clone(&self.displays), x11.single);
                let listening = async move {
                    accept(&listener, &Asked::X11 { single }, &handle, &tasks, &table).await;
                    drop(counted);
                };
                x11.listening = Some(self.listen(listening).stop);
                Some(x11)
            }
            Err(error) => {
                tracing::info!(%error, "cannot open a display for the client");
                None
            }
        }
    }

    /// Stop listening; whether there was anything to stop. Nothing listens any more when it returns.
    pub(super) async fn cancel(&mut self, asked: &Asked) -> bool {
        let Some(Open { stop, task }) = self.open.remove(asked) else {
            return false;
        };
        drop(stop);
        // However it ended, its listener is closed.
        let _ = task.await;
        true
    }

    fn serve(&mut self, asked: Asked, listener: Listener, handle: Handle) {
        let (tasks, table) = (self.tasks.clone(), self.table.clone());
        let named = asked.clone();
        self.keep(asked, async move {
            accept(&listener, &named, &handle, &tasks, &table).await;
        });
    }

    fn keep(&mut self, asked: Asked, listening: impl Future<Output = ()> + Send + 'static) {
        let open = self.listen(listening);
        self.open.insert(asked, open);
    }

    /// Run a listener until it is cancelled.
    fn listen(&self, listening: impl Future<Output = ()> + Send + 'static) -> Open {
        let token = CancellationToken::new();
        let stop = token.clone().drop_guard();
        let task = self.tasks.spawn("remote forward", async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = listening => {}
            }
        });
        Open { stop, task }
    }
}

/// Accept for ever, or once where no more is allowed. Each stream opens its channel in a task of its own: an open that is under way
/// must not be dropped, the library could not take the answer.
async fn accept(listener: &Listener, asked: &Asked, handle: &Handle, tasks: &Tasks, table: &Table) {
    loop {
        match listener.accept().await {
            Ok((socket, origin)) => {
                let (from, handle, table) = (asked.clone(), handle.clone(), table.clone());
                tasks.spawn("forwarded stream", async move {
                    match open(&from, &origin, &handle).await {
                        Ok(channel) => carry(channel, socket, &handle, &table).await,
                        Err(error) => {
                            tracing::debug!(asked = ?from, %error, "the client refused a stream");
                        }
                    }
                });
                if matches!(asked, Asked::X11 { single: true }) {
                    return;
                }
            }
            // Out of descriptors, most likely: let some be closed.
            Err(error) => {
                tracing::warn!(?asked, %error, "cannot accept for the client; trying again");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn open(asked: &Asked, origin: &Origin, handle: &Handle) -> Result<Channel<Msg>, Error> {
    match (asked, origin) {
        (Asked::Tcp(host, port), Origin::Tcp(from)) => {
            let ip = from.ip().to_canonical().to_string();
            let (port, from) = ((*port).into(), from.port().into());
            handle
                .channel_open_forwarded_tcpip(host.as_str(), port, ip, from)
                .await
        }
        (Asked::X11 { .. }, Origin::Tcp(from)) => {
            let ip = from.ip().to_canonical().to_string();
            handle.channel_open_x11(ip, from.port().into()).await
        }
        (Asked::Agent, _) => handle.channel_open_agent().await,
        (Asked::Unix(path), _) => {
            handle
                .channel_open_forwarded_streamlocal(path.as_str())
                .await
        }
        // A TCP listener has TCP streams.
        (Asked::Tcp(..) | Asked::X11 { .. }, Origin::Unix) => Err(Error::Inconsistent),
    }
}

async fn carry(channel: Channel<Msg>, socket: Socket, handle: &Handle, table: &Table) {
    let (_, half) = channel.split();
    forward::splice(table.open(half, handle, WINDOW), socket).await;
}
