//! A passwd entry for a workspace user that has none, as when a cluster assigns uids: `id -un`, ssh,
//! `scp -O` and git ask for one. The image looks for users in a second file too (libnss-extrausers),
//! which leads to the runtime directory, so that no root file system need be writable.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use nix::unistd;

use crate::user::User;

/// The second file. Nobody becomes root by it: entries with an id below 500 do not count there, except
/// for the group `users`.
const EXTRA: &str = "/var/lib/extrausers/passwd";
const LEAST: u32 = 500;
const USERS: u32 = 100;
/// Writable for group 0 in images made for OpenShift.
const PASSWD: &str = "/etc/passwd";

/// Make an entry for `user` where there is none; the file it is in now, or why it is in none.
pub fn ensure(user: &User) -> Result<Option<&'static str>, String> {
    if unistd::User::from_uid(user.uid).is_ok_and(|entry| entry.is_some()) {
        return Ok(None);
    }
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    if uid >= LEAST {
        // What counts for a process are the ids it has; this one is what others read here.
        let gid = if gid < LEAST { USERS } else { gid };
        if fs::write(EXTRA, line(user, gid)).is_ok() {
            return Ok(Some(EXTRA));
        }
    }
    match append(Path::new(PASSWD), &line(user, gid)) {
        Ok(()) => Ok(Some(PASSWD)),
        Err(error) => Err(format!(
            "uid {} has no passwd entry and none can be made ({PASSWD}: {error}): id -un, ssh and scp -O fail in sessions",
            user.uid
        )),
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let before = fs::read_to_string(path)?;
    let gap = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(format!("{gap}{line}").as_bytes())
}

/// Nothing in a field may end it.
fn line(user: &User, gid: u32) -> String {
    let field = |text: &str| text.replace([':', '\n'], "_");
    let path = |path: &Path| field(&path.to_string_lossy());
    format!(
        "{}:x:{}:{}:workspace user:{}:{}\n",
        field(&user.name),
        user.uid,
        gid,
        path(&user.home),
        path(&user.shell),
    )
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::*;

    #[test]
    fn an_entry_has_seven_fields_whatever_is_in_them() {
        let user = User {
            name: "a:b".into(),
            uid: Uid::from_raw(123_456),
            gid: Gid::from_raw(0),
            home: "/home/x\ny".into(),
            shell: "/bin/bash".into(),
        };
        let expected = "a_b:x:123456:0:workspace user:/home/x_y:/bin/bash\n";
        assert_eq!(line(&user, 0), expected);
    }

    #[test]
    fn an_entry_goes_on_a_line_of_its_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "root:x:0:0::/root:/bin/sh").unwrap();
        append(file.path(), "new\n").unwrap();
        append(file.path(), "newer\n").unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert_eq!(text, "root:x:0:0::/root:/bin/sh\nnew\nnewer\n");
    }
}
