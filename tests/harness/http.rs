//! Just enough HTTP to ask an admin page, and to send a CONNECT as it stands.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A plain HTTP GET: status and body; status 0 when there is no answer.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    request(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    )
    .unwrap_or_default()
}

/// Sends `head` and yields the status without waiting for more: Envoy closes a second after it has answered.
pub(crate) fn status(address: &str, head: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    stream.write_all(head.as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    line.split(' ').nth(1)?.parse().ok()
}

/// Sends `head` and yields the status and all that follows the head of the answer until the end.
pub(crate) fn request(address: &str, head: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { join(body) } else { body.to_owned() };
    Some((head.split(' ').nth(1)?.parse().ok()?, body))
}

/// A chunked body in one piece (RFC 9112 section 7.1).
fn join(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        body.push_str(rest.get(..size).unwrap_or_default());
        chunks = rest.get(size + 2..).unwrap_or_default();
        if size == 0 {
            break;
        }
    }
    body
}
