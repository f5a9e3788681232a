//! `podssh connect`: an ssh ProxyCommand that tunnels through a gateway's HTTP CONNECT.
//!
//! Standard output carries tunnel bytes only; every word for the user goes to standard error. Sends
//! HTTP/1.1, which every gateway speaks, and retries while a workspace starts.

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use super::{Failed, report};
use crate::cli::ConnectArgs;
use crate::{config, exit_code};

/// A response head larger than this is none of a CONNECT.
const MAX_HEAD: usize = 16 * 1024;
/// One read of the tunnel.
const BUFFER: usize = 256 * 1024;
/// Between two tries, doubling up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A gateway that says nothing for this long after CONNECT is not going to.
const ANSWER: Duration = Duration::from_secs(60);

/// Run it; 0 once the tunnel has ended.
pub fn run(args: &ConnectArgs) -> u8 {
    match tunnel(args) {
        Ok(()) => 0,
        Err(failed) => report(&failed),
    }
}

fn tunnel(args: &ConnectArgs) -> Result<(), Failed> {
    let usage = |message| Failed::new(exit_code::USAGE, message);
    let wait = config::duration("--wait", &args.wait).map_err(usage)?;
    let route = Route::parse(args).map_err(usage)?;
    let (stream, early) = route.open_patiently(wait)?;
    carry(stream, &early).map_err(|error| Failed::new(exit_code::UNAVAILABLE, error))
}

/// How to reach the workspace.
struct Route {
    /// `host:port` to dial.
    dial: String,
    /// `host:port` to ask a gateway for; `None` when dialling the workspace itself.
    authority: Option<String>,
}

/// Why one try failed.
enum Try {
    /// Worth another: the workspace or the gateway may be starting.
    Later(String),
    /// The answer will be the same.
    Never(String),
}

impl Route {
    fn parse(args: &ConnectArgs) -> Result<Self, String> {
        let bracketed = if args.host.contains(':') {
            format!("[{}]", args.host)
        } else {
            args.host.clone()
        };
        let workspace = format!("{bracketed}:{}", args.port);
        let Some(url) = args.gateway.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(Self {
                dial: workspace,
                authority: None,
            });
        };
        if url.starts_with("https://") {
            return Err(format!(
                "--gateway {url}: TLS to the gateway is not built yet; use its http:// port, or openssl s_client"
            ));
        }
        let rest = url
            .strip_prefix("http://")
            .unwrap_or(url)
            .trim_end_matches('/');
        if rest.is_empty() || rest.contains(['/', '@', ' ']) {
            return Err(format!("--gateway {url:?} is not http://HOST[:PORT]"));
        }
        let has_port = rest
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let dial = if has_port {
            rest.to_owned()
        } else {
            format!("{rest}:80")
        };
        Ok(Self {
            dial,
            authority: Some(workspace),
        })
    }

    /// Try until the wait is over; the stream, and the bytes that came with the answer.
    fn open_patiently(&self, wait: Duration) -> Result<(TcpStream, Vec<u8>), Failed> {
        let deadline = Instant::now() + wait;
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        loop {
            let reason = match self.open() {
                Ok(opened) => return Ok(opened),
                Err(Try::Never(reason)) => return Err(Failed::new(exit_code::UNAVAILABLE, reason)),
                Err(Try::Later(reason)) => reason,
            };
            if Instant::now() + pause >= deadline {
                return Err(Failed::new(exit_code::UNAVAILABLE, reason));
            }
            if !std::mem::replace(&mut told, true) {
                let seconds = wait.as_secs();
                report(&Failed::new(
                    0,
                    format!("{reason}; trying for up to {seconds} s"),
                ));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn open(&self) -> Result<(TcpStream, Vec<u8>), Try> {
        let failed = |error: io::Error| Try::Later(format!("cannot reach {}: {error}", self.dial));
        let mut stream = TcpStream::connect(&self.dial).map_err(failed)?;
        let _ = stream.set_nodelay(true);
        let Some(authority) = &self.authority else {
            return Ok((stream, Vec::new()));
        };
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
        let (status, early) = read_answer(&mut stream).map_err(failed)?;
        stream.set_read_timeout(None).map_err(failed)?;
        match status {
            200..=299 => Ok((stream, early)),
            status => Err(refusal(status, authority, &self.dial)),
        }
    }
}

/// A sentence for each answer a gateway gives, with what to do.
fn refusal(status: u16, workspace: &str, gateway: &str) -> Try {
    match status {
        404 => Try::Never(format!(
            "the gateway {gateway} knows no workspace {workspace}: check the name and namespace (404)"
        )),
        403 => Try::Never(format!(
            "the gateway {gateway} does not route to {workspace}: the name is outside what it allows (403)"
        )),
        401 | 407 => Try::Never(format!(
            "the gateway {gateway} asks for credentials of its own ({status})"
        )),
        503 => Try::Later(format!(
            "the workspace {workspace} is stopped or starting (503)"
        )),
        429 => Try::Later(format!(
            "the gateway {gateway} limits how often one may connect (429)"
        )),
        502 | 504 => Try::Later(format!(
            "the gateway {gateway} cannot reach {workspace} ({status})"
        )),
        status => Try::Never(format!(
            "the gateway {gateway} answered CONNECT with {status}: is it one, with CONNECT allowed?"
        )),
    }
}

/// The status, and what follows the head: SSH speaks first, so its banner may be there already.
fn read_answer(stream: &mut impl Read) -> io::Result<(u16, Vec<u8>)> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it hung up without an answer",
            ));
        }
        head.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(length)) => {
                let status = response.code.unwrap_or_default();
                return Ok((status, head.split_off(length)));
            }
            Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => {}
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "its answer is not HTTP",
                ));
            }
        }
    }
}

/// Both ways until the far end closes.
///
/// By read and write on the bare descriptors: the standard library's output holds bytes back until a
/// newline, and its copy splices, which keeps a pipe locked while it waits for the socket.
fn carry(stream: TcpStream, early: &[u8]) -> io::Result<()> {
    let mut to_workspace = stream.try_clone()?;
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    thread::spawn(move || {
        // Either end may leave; the other direction notices.
        let _ = copy(&mut stdin, &mut to_workspace);
        let _ = to_workspace.shutdown(Shutdown::Write);
    });
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    stdout.write_all(early)?;
    let mut from_workspace = stream;
    match copy(&mut from_workspace, &mut stdout) {
        // ssh has gone; that is how a tunnel ends.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(buffer.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(gateway: Option<&str>, host: &str) -> Result<Route, String> {
        let (gateway, host) = (gateway.map(str::to_owned), host.to_owned());
        Route::parse(&ConnectArgs {
            gateway,
            wait: "1s".into(),
            host,
            port: 80,
        })
    }

    #[test]
    fn a_gateway_is_a_url_whose_port_is_80_unless_it_says() {
        assert_eq!(route(Some("http://gw"), "a").unwrap().dial, "gw:80");
        assert_eq!(route(Some("http://gw:8080/"), "a").unwrap().dial, "gw:8080");
        assert_eq!(
            route(Some("gw:81"), "a").unwrap().authority.unwrap(),
            "a:80"
        );
        assert!(route(Some("https://gw"), "a").is_err());
        assert!(route(Some("http://gw/path"), "a").is_err());
        assert_eq!(route(None, "::1").unwrap().dial, "[::1]:80");
    }

    #[test]
    fn bytes_that_come_with_the_answer_are_kept() {
        let mut answer: &[u8] = b"HTTP/1.1 200 OK\r\nserver: envoy\r\n\r\nSSH-2.0-podssh\r\n";
        let (status, early) = read_answer(&mut answer).unwrap();
        assert_eq!(
            (status, early.as_slice()),
            (200, b"SSH-2.0-podssh\r\n".as_slice())
        );
    }

    #[test]
    fn an_answer_that_is_not_http_or_never_ends_is_refused() {
        assert!(read_answer(&mut b"SSH-2.0-other\r\n".as_slice()).is_err());
        assert!(read_answer(&mut io::repeat(b'H')).is_err());
        assert!(read_answer(&mut b"HTTP/1.1 200 OK\r\n".as_slice()).is_err());
    }
}
