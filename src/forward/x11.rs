//! X11 forwarding: a display of the workspace that is the client's (RFC 4254 section 6.3).
//!
//! The cookie the client sends is a stand-in for its real one, checked at its end; here it is only
//! put where X programs look for it, by `xauth`. Without `xauth` there is no X11.

use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::DropGuard;

use super::remote::{Listener, listen_tcp};

/// The first display number, above those of a real X server; sshd's X11DisplayOffset.
const FIRST: u16 = 10;
/// Displays tried at most; sshd's.
const MOST: u16 = 1000;
/// The port of display 0.
const PORT: u16 = 6000;

/// A display a client offers.
#[derive(Debug)]
pub struct X11 {
    protocol: String,
    cookie: String,
    screen: u32,
    /// Whether one program may use it, once.
    pub single: bool,
    /// The display's number here, once it is bound.
    number: u16,
    /// Ends the listening when the session that asked for it has ended.
    pub listening: Option<DropGuard>,
}

impl X11 {
    /// `None` for a protocol or cookie that is none: both go into an xauth command.
    pub fn new(protocol: &str, cookie: &str, screen: u32, single: bool) -> Option<Self> {
        let word = |text: &str| {
            let allowed = |c: char| {
                c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '+')
            };
            !text.is_empty() && text.len() < 512 && text.chars().all(allowed)
        };
        let hexadecimal = cookie.chars().all(|c| c.is_ascii_hexdigit());
        (word(protocol) && word(cookie) && hexadecimal).then(|| Self {
            protocol: protocol.to_owned(),
            cookie: cookie.to_owned(),
            screen,
            single,
            number: 0,
            listening: None,
        })
    }

    /// Bind the first free display on loopback.
    pub async fn bind(mut self) -> io::Result<(Self, Listener)> {
        for number in FIRST..FIRST + MOST {
            if let Ok((listener, _)) = listen_tcp("localhost", PORT + number).await {
                self.number = number;
                return Ok((self, listener));
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "every display is taken",
        ))
    }

    /// `DISPLAY`.
    pub fn display(&self) -> String {
        format!("localhost:{}.{}", self.number, self.screen)
    }

    /// What `xauth -q -` or the user's `~/.ssh/rc` is told on standard input: for the former, to
    /// forget what it knew of the display and learn its cookie, for the latter the bare pair.
    pub fn xauth_commands(&self) -> String {
        let (number, screen) = (self.number, self.screen);
        let display = format!("unix:{number}.{screen}");
        format!(
            "remove {display}\nadd {display} {} {}\n",
            self.protocol, self.cookie
        )
    }

    /// The line sshd hands to `~/.ssh/rc`.
    pub fn rc_line(&self) -> String {
        format!("{} {}\n", self.protocol, self.cookie)
    }

    /// Where xauth is, if the image has it.
    pub fn xauth() -> Option<PathBuf> {
        let places = ["/usr/bin/xauth", "/usr/local/bin/xauth", "/bin/xauth"];
        places
            .iter()
            .map(Path::new)
            .find(|path| path.is_file())
            .map(Path::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_another_xauth_command_is_no_cookie() {
        assert!(X11::new("MIT-MAGIC-COOKIE-1", "00ff", 0, false).is_some());
        assert!(X11::new("MIT-MAGIC-COOKIE-1", "00ff\nadd x", 0, false).is_none());
        assert!(X11::new("MIT MAGIC", "00ff", 0, false).is_none());
        assert!(X11::new("MIT-MAGIC-COOKIE-1", "", 0, false).is_none());
    }

    #[test]
    fn a_display_is_named_as_sshd_names_it() {
        let mut x11 = X11::new("MIT-MAGIC-COOKIE-1", "00ff", 1, false).unwrap();
        x11.number = 10;
        assert_eq!(x11.display(), "localhost:10.1");
        assert_eq!(
            x11.xauth_commands(),
            "remove unix:10.1\nadd unix:10.1 MIT-MAGIC-COOKIE-1 00ff\n"
        );
    }
}
