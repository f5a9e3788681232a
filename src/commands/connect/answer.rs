//! The answer to a CONNECT: its head, and what follows. SSH speaks first, so the banner may be there
//! already; a refusal's body may say why.

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;

use std::io::{self, Read, Write};

/// A response head larger than this is none of a CONNECT.
const MAX_HEAD: usize = 16 * 1024;
/// Of a refusal's body, as much as can hold a sentence.
const MAX_BODY: usize = 4 * 1024;
const MAX_SENTENCE: usize = 200;

/// What a gateway said.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// What followed the head.
    pub(super) rest: Vec<u8>,
    /// Where a redirection leads, empty without one.
    pub(super) location: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The stream failed.
    Stream(io::Error),
    /// It ended before an answer.
    HungUp,
    /// Something else than HTTP; this is how it began.
    NotHttp(Vec<u8>),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::HungUp,
            _ => Self::Stream(error),
        }
    }
}

/// Send `request` and read the answer.
pub(super) fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> Result<Answer, Broken> {
    stream.write_all(request)?;
    stream.flush()?;
    read(stream)
}

fn read(stream: &mut impl Read) -> Result<Answer, Broken> {
    let mut read = Vec::new();
    loop {
        if !more(stream, &mut read)? {
            return Err(if read.is_empty() {
                Broken::HungUp
            } else {
                Broken::NotHttp(read)
            });
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&read) {
            Ok(httparse::Status::Complete(length)) => {
                let header = |name: &str| {
                    let found = response.headers.iter();
                    let found = found.filter(|header| header.name.eq_ignore_ascii_case(name));
                    let text = |header: &httparse::Header<'_>| printable(header.value);
                    found.map(text).next().unwrap_or_default()
                };
                let status = response.code.unwrap_or_default();
                let location = header("location");
                let body = header("content-length").parse().unwrap_or(0);
                let mut rest = read.split_off(length);
                while !(200..=299).contains(&status)
                    && rest.len() < MAX_BODY.min(body)
                    && more(stream, &mut rest).unwrap_or(false)
                {}
                return Ok(Answer {
                    status,
                    rest,
                    location,
                });
            }
            Ok(httparse::Status::Partial) if read.len() < MAX_HEAD => {}
            _ => return Err(Broken::NotHttp(read)),
        }
    }
}

/// Whether there was more.
fn more(stream: &mut impl Read, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let read = loop {
        match stream.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    into.extend_from_slice(buffer.get(..read).unwrap_or_default());
    Ok(read > 0)
}

impl Answer {
    /// The first line of the body, unless it is a page.
    pub(super) fn said(&self) -> String {
        let line = first_line(&self.rest);
        if line.contains('<') {
            String::new()
        } else {
            line
        }
    }
}

/// The first line of what a stranger sent, fit for a terminal.
pub(super) fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next();
    printable(line.unwrap_or_default())
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = text.trim().chars().filter(|c| !c.is_control());
    shown.take(MAX_SENTENCE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_come_with_the_answer_are_kept() {
        let mut stream: &[u8] = b"HTTP/1.1 200 OK\r\nserver: envoy\r\n\r\nSSH-2.0-podssh\r\n";
        let answer = read(&mut stream).unwrap();
        assert_eq!(
            (answer.status, answer.rest.as_slice()),
            (200, b"SSH-2.0-podssh\r\n".as_slice())
        );
    }

    #[test]
    fn an_answer_in_pieces_is_read_to_the_end_of_its_body() {
        let head: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 14\r\n\r\n";
        let mut stream = head
            .chain(b"Jwt is ".as_slice())
            .chain(b"expired".as_slice());
        let answer = read(&mut stream).unwrap();
        assert_eq!(
            (answer.status, answer.said().as_str()),
            (401, "Jwt is expired")
        );
    }

    #[test]
    fn an_answer_that_is_not_http_or_never_ends_is_none() {
        let not_http = |mut stream: &[u8]| matches!(read(&mut stream), Err(Broken::NotHttp(_)));
        assert!(not_http(b"SSH-2.0-other\r\n"));
        assert!(not_http(b"HTTP/1.1 200 OK\r\n"));
        assert!(matches!(
            read(&mut io::repeat(b'H')),
            Err(Broken::NotHttp(_))
        ));
        assert!(matches!(read(&mut io::empty()), Err(Broken::HungUp)));
    }

    #[test]
    fn nothing_a_stranger_sends_controls_the_terminal() {
        assert_eq!(
            first_line(b"\x1b]0;title\x07 hello\r\nmore"),
            "]0;title hello"
        );
        let page = Answer {
            status: 403,
            rest: b"<html>".into(),
            location: String::new(),
        };
        assert_eq!(page.said(), "");
    }
}
