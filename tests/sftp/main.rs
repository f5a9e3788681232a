//! The SFTP server against OpenSSH's, request by request, and on its own where nothing compares.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test that cannot go on fails where it stands; scripts read better with values"
)]

mod client;
mod conformance;
mod extensions;
mod limits;
mod random;
mod render;
mod servers;
mod storage;
