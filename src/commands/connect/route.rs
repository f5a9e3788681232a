//! How to reach a workspace: straight, or by CONNECT to a gateway over TCP or TLS.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::http::{HeaderName, HeaderValue, Uri};
use rustls::ClientConnection;

use super::answer::{Answer, Broken, ask, first_line};
use super::dial::dial;
use super::refusal::{self, Refusal};
use super::tls::{self, Tls};
use crate::cli::ConnectArgs;
use crate::commands::Failed;
use crate::exit_code;

/// A token larger than this is another file.
const MAX_TOKEN: usize = 16 * 1024;
/// The first byte of a TLS alert: what a gateway that expects TLS answers to anything else.
const TLS_ALERT: u8 = 0x15;

/// How to reach the workspace.
pub(super) struct Route {
    /// `host:port` of the workspace, as a gateway is asked for it.
    pub(super) workspace: String,
    host: String,
    port: u16,
    gateway: Option<Gateway>,
}

/// The gateway in front of it.
struct Gateway {
    host: String,
    port: u16,
    /// `host:port`, for sentences.
    name: String,
    tls: Option<Tls>,
    headers: Vec<(HeaderName, HeaderValue)>,
    token_file: Option<PathBuf>,
}

/// An open tunnel.
pub(super) struct Opened {
    /// The socket to the gateway or workspace.
    pub(super) socket: TcpStream,
    /// The TLS connection over it.
    pub(super) tls: Option<Box<ClientConnection>>,
    /// The workspace's bytes that came with the gateway's answer.
    pub(super) early: Vec<u8>,
}

impl Route {
    /// Read the flags and the files they name, but for the token.
    pub(super) fn parse(args: &ConnectArgs) -> Result<Self, Failed> {
        let host = args.host.trim_matches(['[', ']']).to_owned();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(usage(format!(
                "HOST {:?} is not the name of a workspace",
                args.host
            )));
        }
        let bracketed = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        Ok(Self {
            workspace: format!("{bracketed}:{}", args.port),
            host,
            port: args.port,
            gateway: Gateway::parse(args)?,
        })
    }

    /// One try; each step of it takes at most `limit`.
    pub(super) fn open(&self, limit: Duration) -> Result<Opened, Refusal> {
        if let Some(gateway) = &self.gateway {
            return gateway.open(&self.workspace, limit);
        }
        let whom = format!(
            "the workspace {} (without a gateway: none is given by --gateway)",
            self.workspace
        );
        let socket = dial(&self.host, self.port, &whom, limit)?;
        Ok(Opened {
            socket,
            tls: None,
            early: Vec::new(),
        })
    }
}

impl Gateway {
    fn parse(args: &ConnectArgs) -> Result<Option<Self>, Failed> {
        let url = args.gateway.as_deref().filter(|url| !url.is_empty());
        let (tls, host, port) = match url {
            Some(url) => location(url).ok_or_else(|| {
                usage(format!(
                    "--gateway {url:?} is not http://HOST[:PORT] or https://HOST[:PORT]"
                ))
            })?,
            None => (false, String::new(), 0),
        };
        for (flag, given) in [
            ("--gateway-ca", args.gateway_ca.is_some()),
            ("--gateway-cert", args.gateway_cert.is_some()),
            ("--gateway-key", args.gateway_key.is_some()),
            ("--gateway-token-file", args.gateway_token_file.is_some()),
        ] {
            if given && !tls {
                return Err(usage(format!(
                    "{flag} needs --gateway https://..., which it is not"
                )));
            }
        }
        if url.is_none() {
            return Ok(None);
        }
        let name = format!("{host}:{port}");
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Some(Self {
            tls: tls.then(|| Tls::load(&host, args)).transpose()?,
            host,
            port,
            name,
            headers: args
                .gateway_header
                .iter()
                .map(|line| header(line))
                .collect::<Result<_, _>>()?,
            token_file: args.gateway_token_file.clone(),
        }))
    }

    fn open(&self, workspace: &str, limit: Duration) -> Result<Opened, Refusal> {
        let request = self.request(workspace)?;
        let whom = format!("the gateway {}", self.name);
        let mut socket = dial(&self.host, self.port, &whom, limit)?;
        limit_each_step(&socket, Some(limit))?;
        let mut tls = match &self.tls {
            Some(tls) => Some(tls.shake_hands(&mut socket, &whom)?),
            None => None,
        };
        let answer = match &mut tls {
            Some(tls) => ask(
                &mut rustls::Stream::new(tls.as_mut(), &mut socket),
                &request,
            ),
            None => ask(&mut socket, &request),
        };
        let answer = answer.map_err(|broken| self.broken(&broken, workspace, limit))?;
        if !(200..=299).contains(&answer.status) {
            return Err(self.refused(&answer, workspace));
        }
        limit_each_step(&socket, None)?;
        Ok(Opened {
            socket,
            tls,
            early: answer.rest,
        })
    }

    fn request(&self, workspace: &str) -> Result<Vec<u8>, Refusal> {
        let mut request =
            format!("CONNECT {workspace} HTTP/1.1\r\nHost: {workspace}\r\n").into_bytes();
        let mut add =
            |name: &[u8], value: &[u8]| request.extend([name, b": ", value, b"\r\n"].concat());
        for (name, value) in &self.headers {
            add(name.as_str().as_bytes(), value.as_bytes());
        }
        if let Some(path) = &self.token_file {
            let token = token(path).map_err(|reason| Refusal {
                code: exit_code::NO_INPUT,
                ..Refusal::lasting(format!("--gateway-token-file {}: {reason}", path.display()))
            })?;
            add(b"Authorization", format!("Bearer {token}").as_bytes());
        }
        request.extend(b"\r\n");
        Ok(request)
    }

    fn refused(&self, answer: &Answer, workspace: &str) -> Refusal {
        let credentials = self.token_file.is_some()
            || !self.headers.is_empty()
            || self.tls.as_ref().is_some_and(Tls::has_certificate);
        let (said, location) = (answer.said(), &answer.location);
        refusal::status(
            answer.status,
            workspace,
            &self.name,
            credentials,
            &said,
            location,
        )
    }

    fn broken(&self, broken: &Broken, workspace: &str, limit: Duration) -> Refusal {
        let name = &self.name;
        match (broken, &self.tls) {
            (Broken::HungUp, Some(tls)) => tls.hung_up(&format!("the gateway {name}")),
            (Broken::HungUp, None) => Refusal::passing(format!(
                "the gateway {name} hung up without an answer to CONNECT {workspace}: if it speaks TLS on this port, give https:// in --gateway"
            )),
            (Broken::NotHttp(bytes), None) if bytes.first() == Some(&TLS_ALERT) => {
                Refusal::lasting(format!(
                    "the gateway {name} speaks TLS on this port: give https:// in --gateway"
                ))
            }
            (Broken::NotHttp(bytes), _) if bytes.starts_with(b"SSH-") => Refusal::lasting(format!(
                "{name} is an SSH server and no gateway ({}): leave --gateway out to connect to it",
                first_line(bytes)
            )),
            (Broken::NotHttp(bytes), _) => Refusal::lasting(format!(
                "{name} is no HTTP gateway, it answered CONNECT with {:?}: check host and port in --gateway",
                first_line(bytes)
            )),
            (Broken::Stream(error), tls) => match tls {
                Some(tls) if tls::is_about(error) => {
                    tls.refusal(&format!("the gateway {name}"), error)
                }
                _ if is_timeout(error) => Refusal::passing(format!(
                    "the gateway {name} has not answered CONNECT {workspace} within {} s: is it a gateway, and are there too many connections to this workspace?",
                    limit.as_secs_f32()
                )),
                _ => Refusal::passing(format!(
                    "the connection to the gateway {name} broke: {error}"
                )),
            },
        }
    }
}

fn limit_each_step(socket: &TcpStream, limit: Option<Duration>) -> Result<(), Refusal> {
    socket
        .set_read_timeout(limit)
        .and_then(|()| socket.set_write_timeout(limit))
        .map_err(|error| Refusal::passing(format!("cannot set a time-out: {error}")))
}

/// Whether a time-out of the socket has struck; Unix says "would block".
pub(super) fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

fn usage(message: String) -> Failed {
    Failed::new(exit_code::USAGE, message)
}

/// Whether it is TLS, the host as written, the port.
fn location(url: &str) -> Option<(bool, String, u16)> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let uri = Uri::from_str(&url).ok()?;
    let tls = match uri.scheme_str()? {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let authority = uri.authority()?;
    let host = authority.host().to_owned();
    let elsewhere = uri
        .path_and_query()
        .is_some_and(|rest| !matches!(rest.as_str(), "" | "/"));
    if elsewhere || host.is_empty() || authority.as_str().contains('@') {
        return None;
    }
    match authority.port_u16() {
        Some(port) => Some((tls, host, port)),
        // There is none, or it is no number.
        None if authority.as_str() == host => Some((tls, host, if tls { 443 } else { 80 })),
        None => None,
    }
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), Failed> {
    let parsed = line.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::from_str(name.trim()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    // The value may be a secret: only the name is shown.
    let name = line.split(':').next().unwrap_or_default();
    parsed.ok_or_else(|| {
        usage(format!(
            "--gateway-header {name:?}... is not \"NAME: VALUE\" on one line"
        ))
    })
}

fn token(path: &PathBuf) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.is_empty() {
        return Err("is empty: it should hold a token".to_owned());
    }
    if token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds more than one token".to_owned());
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(gateway: Option<&str>, host: &str) -> ConnectArgs {
        ConnectArgs {
            gateway: gateway.map(str::to_owned),
            host: host.to_owned(),
            port: 80,
            ..ConnectArgs::default()
        }
    }

    #[test]
    fn a_gateway_is_a_url_whose_port_is_its_schemes_unless_it_says() {
        let place =
            |url: &str| location(url).map(|(tls, host, port)| format!("{tls} {host} {port}"));
        for (url, meant) in [
            ("http://gw", "false gw 80"),
            ("http://gw:8080/", "false gw 8080"),
            ("gw:81", "false gw 81"),
            ("gw", "false gw 80"),
            ("https://gw", "true gw 443"),
            ("https://[::1]:8443", "true [::1] 8443"),
            ("http://[::1]", "false [::1] 80"),
        ] {
            assert_eq!(place(url).as_deref(), Some(meant), "{url}");
        }
        for url in [
            "http://gw/path",
            "http://gw?x",
            "http://",
            "http://user:word@gw",
            "ftp://gw",
            "gw:99999",
            "gw:",
            "gw:x",
            "http://g w",
            "https://",
        ] {
            assert_eq!(place(url), None, "{url}");
        }
    }

    #[test]
    fn a_workspace_is_asked_for_by_host_and_port() {
        let workspace =
            |host: &str| Route::parse(&args(Some("gw"), host)).map(|route| route.workspace);
        assert_eq!(workspace("a").unwrap(), "a:80");
        assert_eq!(workspace("::1").unwrap(), "[::1]:80");
        assert_eq!(workspace("[::1]").unwrap(), "[::1]:80");
        assert!(workspace("a\r\nx: y").is_err());
        assert!(workspace("").is_err());
    }

    #[test]
    fn a_header_is_name_and_value_and_the_value_is_not_shown() {
        let (name, value) = header("X-Team: a, b").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-team", "a, b"));
        for line in ["no colon", "na me: x", "x: a\r\nb: c", ": x"] {
            assert!(header(line).is_err(), "{line:?}");
        }
        assert!(
            !header("bad name: secret")
                .unwrap_err()
                .message
                .contains("secret")
        );
    }

    #[test]
    fn what_is_for_tls_is_refused_without() {
        for gateway in [Some("http://gw"), None] {
            let args = ConnectArgs {
                gateway_token_file: Some("token".into()),
                ..args(gateway, "a")
            };
            let failed = Route::parse(&args).err().expect("refused");
            assert!(
                failed
                    .message
                    .contains("--gateway-token-file needs --gateway https")
            );
        }
    }
}
