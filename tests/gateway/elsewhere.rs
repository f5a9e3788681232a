//! Where no tunnel may lead.

use std::io::ErrorKind;
use std::net::TcpListener;

/// A listener that nobody reaches.
pub(crate) struct Elsewhere(TcpListener);

impl Elsewhere {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        Self(listener)
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.0.local_addr().expect("bound").to_string()
    }

    /// Fails when somebody came.
    #[track_caller]
    pub(crate) fn was_left_alone(&self) {
        let nobody = self.0.accept().map_err(|error| error.kind());
        assert_eq!(
            nobody.err(),
            Some(ErrorKind::WouldBlock),
            "somebody got through"
        );
    }
}

/// An address where nothing listens.
pub(crate) fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").to_string()
}
