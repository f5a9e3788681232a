//! A gateway in front of a daemon: every stream begins with the same bytes, a PROXY header or none.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::thread;

use crate::harness::client::Client;
use crate::harness::daemon::Daemon;

/// Listens until the test ends; its port.
pub(crate) fn listen(daemon: &Daemon, header: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let address = daemon.address.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (address, header) = (address.clone(), header.clone());
            thread::spawn(move || carry(&client, &address, &header));
        }
    });
    port
}

fn carry(client: &TcpStream, address: &str, header: &[u8]) -> io::Result<()> {
    let mut server = TcpStream::connect(address)?;
    server.write_all(header)?;
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(std::net::Shutdown::Both)
    });
    io::copy(&mut &*client, &mut server)?;
    server.shutdown(std::net::Shutdown::Both)
}

/// A client that comes through such a gateway.
pub(crate) fn client(daemon: &Daemon, header: impl Into<Vec<u8>>) -> Client {
    let port = listen(daemon, header.into());
    let lines = format!("  HostName 127.0.0.1\n  Port {port}\n");
    daemon.client.reaching(&port.to_string(), &lines)
}

/// One command of a client whose address is `source`, by version 1.
pub(crate) fn ssh_from(daemon: &Daemon, source: &str, command: &str) -> Output {
    client(daemon, version_1(source)).ssh([command])
}

/// A header of version 1.
pub(crate) fn version_1(source: &str) -> Vec<u8> {
    let family = if source.contains(':') {
        "TCP6 "
    } else {
        "TCP4 "
    };
    let to = if source.contains(':') {
        "2001:db8::1"
    } else {
        "10.0.0.1"
    };
    format!("PROXY {family}{source} {to} 40001 80\r\n").into_bytes()
}

/// A header of version 2, as Envoy sends it.
pub(crate) fn version_2(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(source);
    header.extend([10, 0, 0, 1, 0x9c, 0x41, 0, 80]);
    header
}
