//! The ready file: written once connections are accepted, whole or not at all.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Write `pid`, `listen` (one line each) and `admin` to `path`, through a rename.
pub(super) fn write(
    path: &Path,
    listen: &[SocketAddr],
    admin: Option<SocketAddr>,
) -> io::Result<()> {
    let mut text = format!("pid={}\n", std::process::id());
    for address in listen {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "listen={address}");
    }
    if let Some(address) = admin {
        let _ = writeln!(text, "admin={address}");
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    std::fs::write(&name, text)?;
    std::fs::rename(&name, path)
}
