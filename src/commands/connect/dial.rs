//! A TCP connection to the gateway or the workspace, and what it means when there is none.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::refusal::Refusal;

/// A gateway that vanished is noticed within two minutes, so that ssh ends and does not hang: with a
/// quiet session this side sends nothing that could fail. The shipped gateways ask the same of us.
const SILENCE: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_secs(20);
const PROBES: u32 = 3;

/// Connect to `host:port` within `limit`; `whom` is how the sentences call it.
pub(super) fn dial(
    host: &str,
    port: u16,
    whom: &str,
    limit: Duration,
) -> Result<TcpStream, Refusal> {
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| unknown(host, whom, &error))?
        .collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in &addresses {
        match TcpStream::connect_timeout(address, limit / addresses.len() as u32) {
            Ok(socket) => {
                // Both are a favour: the tunnel works without.
                let _ = socket.set_nodelay(true);
                let keepalive = TcpKeepalive::new()
                    .with_time(SILENCE)
                    .with_interval(PROBE)
                    .with_retries(PROBES);
                let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable(whom, limit, &last))
}

/// The name service's answers reach us as text only: the standard library keeps no code.
fn unknown(host: &str, whom: &str, error: &io::Error) -> Refusal {
    let text = error.to_string();
    let reason = text.rsplit(": ").next().unwrap_or(&text);
    if ["Temporary failure", "Try again"]
        .iter()
        .any(|start| reason.starts_with(start))
    {
        return Refusal::passing(format!(
            "cannot look up {whom}, the name service does not answer ({reason}): is the network or the VPN up?"
        ));
    }
    Refusal::lasting(format!(
        "cannot look up {whom}: there is no host {host} ({reason}): check the name"
    ))
}

fn unreachable(whom: &str, limit: Duration, error: &io::Error) -> Refusal {
    Refusal::passing(match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{whom} refuses connections: is the port right, and is it running?")
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!(
            "{whom} does not answer, no connection within {} s: is a firewall in between, or the VPN down?",
            limit.as_secs_f32()
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("there is no way to {whom} ({error}): is the network or the VPN up?")
        }
        _ => format!("cannot reach {whom}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_is_final_and_a_silent_name_service_is_not() {
        let error =
            |text: &str| io::Error::other(format!("failed to lookup address information: {text}"));
        let refusal = unknown(
            "gw.nowhere",
            "the gateway gw.nowhere:80",
            &error("Name or service not known"),
        );
        assert!(!refusal.passing);
        assert!(
            refusal
                .message
                .contains("no host gw.nowhere (Name or service not known)")
        );
        for text in ["Temporary failure in name resolution", "Try again"] {
            assert!(
                unknown("gw", "the gateway gw:80", &error(text)).passing,
                "{text}"
            );
        }
    }

    #[test]
    fn every_way_not_to_connect_names_the_next_step() {
        for (kind, step) in [
            (io::ErrorKind::ConnectionRefused, "is the port right"),
            (io::ErrorKind::TimedOut, "within 30 s"),
            (io::ErrorKind::HostUnreachable, "VPN up?"),
        ] {
            let refusal = unreachable("the gateway gw:80", Duration::from_secs(30), &kind.into());
            assert!(refusal.passing && refusal.message.contains("gw:80"));
            assert!(refusal.message.contains(step), "{}", refusal.message);
        }
    }
}
