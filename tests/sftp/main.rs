//! The SFTP server against OpenSSH's, request by request, and on its own where nothing compares.

mod client;
mod conformance;
mod extensions;
mod limits;
mod render;
mod servers;
