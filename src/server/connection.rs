//! One connection from accept to farewell: its deadlines, its key's fate, and why it ended.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use russh::server::{Handle, RunningSession, run_stream};
use russh::{Disconnect, Error};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Server;
use super::auth::Login;
use super::handler::Handler;
use super::limits::{Open, Startup};
use super::stream::Stream;
use crate::channel::{Backlog, Table};
use crate::keys::Identity;

/// What a farewell may take to reach the peer before the stream is cut.
const FAREWELL: Duration = Duration::from_secs(2);
/// What sessions may take to tell their end once the daemon stops.
const LAST_SESSIONS: Duration = Duration::from_secs(4);
/// What a client that knows how its last session ended has to leave by itself.
const LEAVE_BY_ITSELF: Duration = Duration::from_millis(700);
/// How long after its expiry a key is looked at again at the latest, were the clock to jump.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// Run a connection to its end. Never fails: how it ended is one line in the log.
pub(super) async fn run(
    server: Arc<Server>,
    stream: std::net::TcpStream,
    client: SocketAddr,
    startup: Startup,
    open: Open,
) {
    let counted = server.metrics.connected();
    let started = Instant::now();
    let number = open.number;
    tracing::debug!(conn = number, %client, "accepted");
    let login = Arc::new(Login::default());
    let listed = server.roster.enter(number, client, Arc::clone(&login));
    let ended = match TcpStream::from_std(stream) {
        Ok(stream) => Box::pin(serve(&server, stream, client, startup, number, &login)).await,
        Err(error) => Ended::Broken(error.into()),
    };
    tell(number, client, &login, &ended, started.elapsed());
    drop((counted, open, listed));
}

/// Why a connection ended; the first cause wins.
enum Ended {
    /// The peer closed it, or the network did.
    Finished,
    /// The protocol or the stream failed.
    Broken(Error),
    /// Nobody logged in in time.
    TooSlow,
    /// We ended it, and told the peer why.
    Sent(String),
}

async fn serve(
    server: &Arc<Server>,
    stream: TcpStream,
    client: SocketAddr,
    startup: Startup,
    number: u64,
    login: &Arc<Login>,
) -> Ended {
    // A dead stream shows it at the first read.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else {
        return Ended::Finished;
    };
    let switch = CancellationToken::new();
    let off = switch.clone().drop_guard();
    let backlog = Backlog::default();
    let table = Table::new(backlog.clone());
    let ends = (client, local);
    let handler = Handler::new(
        Arc::clone(server),
        number,
        ends,
        table.clone(),
        Arc::clone(login),
        startup,
    );
    let deadline = tokio::time::Instant::now() + server.limits.login_grace;
    let stream = Stream::new(stream, switch, backlog);
    let started = run_stream(Arc::clone(&server.ssh), stream, handler);
    let session = match tokio::time::timeout_at(deadline, started).await {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return Ended::Broken(error),
        Err(_) => return Ended::TooSlow,
    };
    let ended = follow(server, session, login, &table, deadline, off).await;
    table.close_all();
    ended
}

/// Wait for the first reason to end it, and end it.
async fn follow(
    server: &Server,
    session: RunningSession<Handler>,
    login: &Login,
    table: &Table,
    deadline: tokio::time::Instant,
    off: DropGuard,
) -> Ended {
    let handle = session.handle();
    let mut session = Box::pin(session);
    let nobody = async {
        tokio::time::sleep_until(deadline).await;
        if login.grant().is_some() {
            std::future::pending::<()>().await;
        }
    };
    let reason = tokio::select! {
        ended = &mut session => return finished(ended),
        () = nobody => None,
        reason = watch(server, login, table) => Some(reason),
    };
    table.close_all();
    let Some(reason) = reason else {
        drop(off);
        // Cut off, it ends at once; how is known already.
        let _ = session.await;
        return Ended::TooSlow;
    };
    if !farewell(&handle, &reason, session.as_mut()).await {
        drop(off);
        let _ = tokio::time::timeout(FAREWELL, session).await;
    }
    Ended::Sent(reason)
}

fn finished(ended: Result<(), Error>) -> Ended {
    match ended {
        Ok(()) => Ended::Finished,
        Err(Error::IO(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Ended::Finished
        }
        Err(error) => Ended::Broken(error),
    }
}

/// Send the reason and give it a moment to arrive; whether the connection has ended by itself.
async fn farewell(
    handle: &Handle,
    reason: &str,
    session: Pin<&mut (impl Future + ?Sized)>,
) -> bool {
    let said = async {
        let sent = handle.disconnect(Disconnect::ByApplication, reason.to_owned(), String::new());
        // A connection that takes no message any more is about to end.
        let _ = sent.await;
        session.await;
    };
    tokio::time::timeout(FAREWELL, said).await.is_ok()
}

/// Resolves with a reason to end the connection: its key has left, or the daemon stops.
async fn watch(server: &Server, login: &Login, table: &Table) -> String {
    tokio::select! {
        reason = key_leaves(server, login) => reason,
        reason = daemon_stops(server, table) => reason,
    }
}

/// Sessions get a moment to tell how they ended before the connection does.
async fn daemon_stops(server: &Server, table: &Table) -> String {
    let tasks = &server.workspace.tasks;
    tasks.stopping().await;
    let had_sessions = !table.is_empty();
    let told = async {
        while !table.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(LAST_SESSIONS, told).await;
    if had_sessions {
        // A client that finds the farewell behind its session's status ends with 255 instead of it.
        tokio::time::sleep(LEAVE_BY_ITSELF).await;
    }
    format!("this workspace is stopping: {}", tasks.reason())
}

async fn key_leaves(server: &Server, login: &Login) -> String {
    let mut sets = server.keys.subscribe();
    let grant = login.accepted().await;
    loop {
        let set = Arc::clone(&sets.borrow_and_update());
        let again = match set.still_allows(grant, SystemTime::now()) {
            Ok(again) => again,
            Err(denied) => {
                let (who, path, line) = (
                    &grant.identity.label,
                    &grant.identity.path,
                    grant.identity.line,
                );
                tracing::info!(who, path = %path.display(), line, reason = denied.as_label(), detail = %denied, "key no longer good for its connection");
                server.metrics.revoked();
                return denied.farewell().to_owned();
            }
        };
        tokio::select! {
            // The keys live as long as the daemon.
            _ = sets.changed() => {}
            () = passes(again) => {}
        }
    }
}

/// Resolves when `time` has passed. A clock may jump, so it is looked at again and again.
async fn passes(time: Option<SystemTime>) {
    let Some(time) = time else {
        return std::future::pending().await;
    };
    while SystemTime::now() < time {
        let left = time.duration_since(SystemTime::now()).unwrap_or_default();
        tokio::time::sleep(left.clamp(Duration::from_millis(10), CLOCK_CHECK)).await;
    }
}

/// The one line a connection leaves in the log.
fn tell(number: u64, client: SocketAddr, login: &Login, ended: &Ended, lasted: Duration) {
    let (seconds, who) = (lasted.as_secs(), login.grant().map(|grant| &grant.identity));
    let key = who.map(|identity: &Identity| identity.fingerprint.as_str());
    let label = who.map(|identity| identity.label.as_str());
    match ended {
        // A probe that connects and leaves is no news.
        Ended::Finished if who.is_none() => {
            tracing::debug!(conn = number, %client, seconds, "left without logging in");
        }
        Ended::Finished => {
            tracing::info!(conn = number, %client, who = label, key, seconds, "disconnected");
        }
        Ended::Broken(error) => {
            tracing::info!(conn = number, %client, who = label, key, seconds, %error, "connection ended");
        }
        Ended::TooSlow => {
            tracing::info!(conn = number, %client, seconds, "nobody logged in within --login-grace");
        }
        Ended::Sent(reason) => {
            tracing::info!(conn = number, %client, who = label, key, seconds, reason, "connection ended by us");
        }
    }
}
