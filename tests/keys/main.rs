//! Keys against the real thing: what is decided about files made by `ssh-keygen`. Needs
//! `openssh-client`; without it the tests fail. Over the wire, and against OpenSSH's sshd, they are
//! put to the test in `tests/identity`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code; a panic is the report"
)]

mod bench;
mod certificates;
mod hardware;
mod host_keys;
mod key_types;
mod revocation;
