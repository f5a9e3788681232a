//! One connection from accept to farewell: where it comes from, its deadlines, its key's fate, and
//! why it ended.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use russh::server::{Handle, RunningSession, run_stream};
use russh::{Disconnect, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Server;
use super::auth::Login;
use super::handler::Handler;
use super::open::Open;
use super::penalties::Offence;
use super::proxied::{self, NoHeader};
use super::roster::Listed;
use super::startups::{Phase, Startup};
use super::stream::Stream;
use crate::channel::{Backlog, Table};
use crate::keys::Identity;

/// What a farewell may take to reach the peer before the stream is cut.
const FAREWELL: Duration = Duration::from_secs(2);
/// To somebody whose address is refused for a while.
const WAIT: &[u8] = b"too many failed logins from your address; wait a minute and try again\r\n";
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
    peer: SocketAddr,
    startup: Arc<Startup>,
    open: Open,
) {
    let counted = server.metrics.connected();
    let started = Instant::now();
    let mut visit = Visit {
        number: open.number,
        client: peer,
        known: false,
        login: Arc::default(),
        listed: None,
        startup,
        began: tokio::time::Instant::now(),
    };
    tracing::debug!(conn = visit.number, %peer, "accepted");
    let ended = match TcpStream::from_std(stream) {
        Ok(stream) => meet(&server, stream, &mut visit).await,
        Err(error) => Ended::Broken(error.into()),
    };
    judge(&server, &visit, &ended);
    tell(&visit, &ended, started.elapsed());
    drop((counted, open, visit));
}

/// Who is here.
struct Visit {
    number: u64,
    /// Where it comes from, as far as that is known.
    client: SocketAddr,
    /// Whether a trusted proxy has named that address; else it may be a gateway's.
    known: bool,
    login: Arc<Login>,
    /// Among those who are shown to whom asks, once it is known where it comes from.
    listed: Option<Listed>,
    startup: Arc<Startup>,
    began: tokio::time::Instant,
}

/// Why a connection ended; the first cause wins.
enum Ended {
    /// The peer closed it, or the network did.
    Finished,
    /// The protocol or the stream failed.
    Broken(Error),
    /// Nobody logged in in time; this was not reached.
    TooSlow(&'static str),
    /// Others needed its place.
    Evicted,
    /// A trusted proxy did not begin as it should.
    NoHeader(String),
    /// Its source has to wait.
    Penalty(Duration),
    /// We ended it, and told the peer why.
    Sent(String),
}

/// Learn where it comes from, then serve it.
async fn meet(server: &Arc<Server>, mut stream: TcpStream, visit: &mut Visit) -> Ended {
    // A dead stream shows it at the first read.
    let _ = stream.set_nodelay(true);
    let mut ahead = BytesMut::new();
    if server.proxies.trust(visit.client.ip()) {
        let source = tokio::select! {
            source = proxied::source(&mut stream, &mut ahead) => source,
            () = visit.startup.evicted() => return Ended::Evicted,
            () = tokio::time::sleep_until(server.deadline(visit.began, Phase::Silent)) => {
                return Ended::NoHeader("it does not come".to_owned());
            }
        };
        match source {
            Ok(Some(source)) => {
                visit.client = source;
                visit.known = true;
                visit.startup.comes_from(source.ip().to_canonical());
            }
            Ok(None) => {}
            Err(NoHeader::Left | NoHeader::Io(_)) => return Ended::Finished,
            Err(error) => return Ended::NoHeader(error.to_string()),
        }
    }
    let penalty = server.penalties.refuses(visit.client.ip(), Instant::now());
    if let Some(left) = penalty.filter(|_| visit.known) {
        turn_away(stream).await;
        return Ended::Penalty(left);
    }
    let login = Arc::clone(&visit.login);
    visit.listed = Some(server.roster.enter(visit.number, visit.client, login));
    Box::pin(serve(server, stream, ahead, visit)).await
}

/// ssh shows lines before the version with `-v`. What it has said already is read, or the line would
/// be lost with a reset.
async fn turn_away(mut stream: TcpStream) {
    let say = async {
        stream.write_all(WAIT).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(4096), &mut tokio::io::sink()).await
    };
    // Whether it listens is its own affair.
    let _ = tokio::time::timeout(Duration::from_secs(1), say).await;
}

async fn serve(server: &Arc<Server>, stream: TcpStream, ahead: BytesMut, visit: &Visit) -> Ended {
    let Ok(local) = stream.local_addr() else {
        return Ended::Finished;
    };
    let switch = CancellationToken::new();
    let off = switch.clone().drop_guard();
    let backlog = Backlog::default();
    let table = Table::new(backlog.clone());
    let handler = Handler::new(
        Arc::clone(server),
        visit.number,
        (visit.client, local),
        table.clone(),
        Arc::clone(&visit.login),
        Arc::clone(&visit.startup),
    );
    let stream = Stream::new(stream, ahead, switch, backlog, Arc::clone(&visit.startup));
    let session = tokio::select! {
        started = run_stream(Arc::clone(&server.ssh), stream, handler) => match started {
            Ok(session) => session,
            Err(error) => return Ended::Broken(error),
        },
        () = visit.startup.evicted() => return Ended::Evicted,
        () = tokio::time::sleep_until(server.deadline(visit.began, Phase::Silent)) => {
            return Ended::TooSlow("no version line");
        }
    };
    visit.startup.reach(Phase::Speaking);
    let ended = follow(server, session, visit, &table, off).await;
    table.close_all();
    ended
}

/// Wait for the first reason to end it, and end it.
async fn follow(
    server: &Server,
    session: RunningSession<Handler>,
    visit: &Visit,
    table: &Table,
    off: DropGuard,
) -> Ended {
    let handle = session.handle();
    let mut session = Box::pin(session);
    let cut = tokio::select! {
        ended = &mut session => return finished(ended),
        late = overdue(server, visit) => Ended::TooSlow(late),
        () = visit.startup.evicted(), if !visit.startup.is_over() => Ended::Evicted,
        reason = watch(server, &visit.login, table) => Ended::Sent(reason),
    };
    table.close_all();
    let Ended::Sent(reason) = cut else {
        drop(off);
        // Cut off, it ends at once; how is known already.
        let _ = session.await;
        return cut;
    };
    if !farewell(&handle, &reason, session.as_mut()).await {
        drop(off);
        let _ = tokio::time::timeout(FAREWELL, session).await;
    }
    Ended::Sent(reason)
}

/// Resolves with what is missing when a phase has lasted too long; never after login.
async fn overdue(server: &Server, visit: &Visit) -> &'static str {
    tokio::time::sleep_until(server.deadline(visit.began, Phase::Speaking)).await;
    if !visit.startup.has_reached(Phase::Encrypted) {
        return "no keys exchanged";
    }
    tokio::time::sleep_until(server.deadline(visit.began, Phase::Encrypted)).await;
    if visit.startup.is_over() {
        std::future::pending::<()>().await;
    }
    "no login"
}

impl Server {
    /// When a phase has to be over: a third of --login-grace for the version line, another for the
    /// key exchange, which wait for no person.
    fn deadline(&self, began: tokio::time::Instant, phase: Phase) -> tokio::time::Instant {
        let third = self.limits.login_grace / 3;
        began
            + match phase {
                Phase::Silent => third,
                Phase::Speaking => 2 * third,
                Phase::Encrypted | Phase::Known => self.limits.login_grace,
            }
    }
}

/// Remember what a source did that is known.
fn judge(server: &Server, visit: &Visit, ended: &Ended) {
    let (source, now) = (visit.client.ip(), Instant::now());
    let encrypted = visit.startup.has_reached(Phase::Encrypted);
    let offence = match ended {
        _ if !visit.known => return,
        _ if visit.login.grant().is_some() => return server.penalties.forget(source),
        // Not its fault, or not to be lengthened by asking again.
        Ended::Evicted | Ended::Penalty(_) | Ended::Sent(_) | Ended::NoHeader(_) => return,
        Ended::TooSlow(_) => Offence::TooSlow,
        Ended::Finished | Ended::Broken(_) if encrypted => Offence::Refused,
        Ended::Finished | Ended::Broken(_) => Offence::NoTry,
    };
    server.penalties.add(source, offence, now);
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

/// The one line a connection leaves in the log. Strangers' noise is for who looks for it.
fn tell(visit: &Visit, ended: &Ended, lasted: Duration) {
    let (number, client, seconds) = (visit.number, visit.client, lasted.as_secs());
    let who = visit.login.grant().map(|grant| &grant.identity);
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
        Ended::Broken(error) if who.is_none() && is_noise(error) => {
            tracing::debug!(conn = number, %client, seconds, %error, "ended without logging in");
        }
        Ended::Broken(error) => {
            tracing::info!(conn = number, %client, who = label, key, seconds, %error, "connection ended");
        }
        Ended::TooSlow(missing) => {
            tracing::info!(conn = number, %client, seconds, missing, "nobody logged in within --login-grace");
        }
        Ended::Evicted => {
            tracing::debug!(conn = number, %client, seconds, "made room for others");
        }
        Ended::NoHeader(reason) => {
            tracing::warn!(conn = number, proxy = %client, reason, "closed: --trusted-proxy names this peer, and it sends no valid PROXY header");
        }
        Ended::Penalty(left) => {
            tracing::debug!(conn = number, %client, left = left.as_secs(), "refused for what this address did before");
        }
        Ended::Sent(reason) => {
            tracing::info!(conn = number, %client, who = label, key, seconds, reason, "connection ended by us");
        }
    }
}

/// What anybody can make happen as often as they like; an honest client's failure is news.
fn is_noise(error: &Error) -> bool {
    !matches!(error, Error::NoCommonAlgo { .. })
}
