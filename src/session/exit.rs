//! How a program ended, and telling the peer: data, end of file, status or signal, close.

use crate::channel::{Closed, Outcome, Writer};
use crate::workspace::reaper::Ended;

/// The end of a session's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// `exit-status`
    Status(u32),
    /// `exit-signal`, with the signal's number.
    Signal {
        /// Signal number
        number: i32,
        /// Whether a core was dumped
        core: bool,
    },
    /// It could not run: a message for standard error, and the status a shell would give.
    Failed(String, u32),
    /// The peer or the connection is gone; there is nobody to tell.
    Abandoned,
}

impl From<Ended> for Exit {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Exited(code) => Self::Status(code as u32),
            Ended::Killed { signal, core } => Self::Signal {
                number: signal,
                core,
            },
        }
    }
}

impl Exit {
    /// Tell the peer and close. Everything the program wrote must have been sent before.
    pub(super) async fn tell(&self, writer: &Writer) -> Result<(), Closed> {
        if let Self::Failed(message, _) = self {
            writer.stderr(format!("podssh: {message}\r\n")).await?;
        }
        writer.end(self.outcome()).await
    }

    fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Status(status) | Self::Failed(_, status) => Some(Outcome::Status(*status)),
            Self::Signal { number, core } => Some(Outcome::Signal {
                name: signal_name(*number).to_owned(),
                core: *core,
            }),
            Self::Abandoned => None,
        }
    }

    /// One word or figure for the log.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Signal { number, .. } => format!("SIG{}", signal_name(*number)),
            Self::Failed(_, status) => format!("failed with {status}"),
            Self::Abandoned => "abandoned".to_owned(),
        }
    }
}

/// Signals of RFC 4254 section 6.10 and their Linux numbers.
const SIGNALS: [(&str, i32); 13] = [
    ("ABRT", 6),
    ("ALRM", 14),
    ("FPE", 8),
    ("HUP", 1),
    ("ILL", 4),
    ("INT", 2),
    ("KILL", 9),
    ("PIPE", 13),
    ("QUIT", 3),
    ("SEGV", 11),
    ("TERM", 15),
    ("USR1", 10),
    ("USR2", 12),
];

/// The name of RFC 4254, or sshd's stand-in for the signals the RFC does not name.
fn signal_name(number: i32) -> &'static str {
    SIGNALS
        .iter()
        .find(|(_, n)| *n == number)
        .map_or("SIG@openssh.com", |(name, _)| name)
}

/// The signal a peer names, `INFO` and other foreign names excepted.
pub(super) fn signal_number(name: &str) -> Option<i32> {
    SIGNALS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// Whether a peer may send the signal of this name.
pub fn is_signal(name: &str) -> bool {
    signal_number(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Output, pair};

    async fn told(exit: Exit) -> Vec<Output> {
        let (_reader, _control, writer, mut peer) = pair(1024);
        exit.tell(&writer).await.unwrap();
        drop(writer);
        let mut all = Vec::new();
        while let Some(output) = peer.receive().await {
            all.push(output);
        }
        all
    }

    #[tokio::test]
    async fn end_of_file_comes_before_the_status_and_close_comes_last() {
        assert_eq!(
            told(Exit::Status(42)).await,
            [
                Output::Eof,
                Output::Outcome(Outcome::Status(42)),
                Output::Close
            ]
        );
    }

    #[tokio::test]
    async fn a_death_by_signal_is_told_by_name() {
        let signal = Output::Outcome(Outcome::Signal {
            name: "TERM".into(),
            core: false,
        });
        assert_eq!(
            told(Exit::Signal {
                number: 15,
                core: false
            })
            .await,
            [Output::Eof, signal, Output::Close]
        );
    }

    #[test]
    fn a_signal_the_rfc_does_not_name_has_sshds_name() {
        assert_eq!(signal_name(31), "SIG@openssh.com");
        assert_eq!(signal_number("INFO@openssh.com"), None);
    }
}
