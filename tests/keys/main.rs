//! Keys against the real thing: files made by `ssh-keygen`, decisions compared with OpenSSH's sshd
//! on the same files. Needs `openssh-server` and `openssh-client`; without them the tests fail.
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
mod parity;
mod revocation;
