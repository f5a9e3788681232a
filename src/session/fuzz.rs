//! Fuzzed: what a client asks of a session before its program, and the user's own environment file.

use std::ffi::OsString;
use std::sync::{Arc, LazyLock};

use nix::pty::openpty;
use nix::unistd::{getgid, getuid};

use super::environment::{Facts, build};
use super::{Connection, Modes, Program, PtyRequest, Setup, Workspace, is_signal};
use crate::channel::{Channel, Size, pair};
use crate::config::{EnvironmentRules, Globs};
use crate::forward::X11;
use crate::keys::Options;
use crate::shutdown::Tasks;
use crate::user::User;
use crate::workspace::condition::{Condition, Variables};
use crate::workspace::last_end::LastEnd;
use crate::workspace::reaper::Reaper;

static WORKSPACE: LazyLock<Arc<Workspace>> = LazyLock::new(|| {
    let user = User {
        name: "jovyan".into(),
        uid: getuid(),
        gid: getgid(),
        home: "/nonexistent".into(),
        shell: "/bin/sh".into(),
    };
    let rules = EnvironmentRules {
        deny: Globs::new(&["*TOKEN*"]),
        allow: Globs::new(&["KEEP_TOKEN"]),
        accept: Globs::new(&["LANG", "LC_*", "*"]),
    };
    Arc::new(Workspace {
        user,
        condition: Condition::new(Vec::new(), LastEnd::Unknown, Vec::new()),
        rules,
        motd: "/nonexistent".into(),
        reaper: Reaper::default(),
        tasks: Tasks::default(),
    })
});

static INHERITED: LazyLock<Variables> = LazyLock::new(|| {
    vec![
        ("PATH".into(), "/bin".into()),
        ("A_TOKEN".into(), "x".into()),
    ]
});

/// Fields as the SSH library hands them over, each behind a byte of its length.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (field, rest) = self.0.split_at(length);
        self.0 = rest;
        field
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// Requests on one channel, one behind the other; then the environment its program would get.
pub(crate) fn requests(data: &[u8]) {
    let (reader, control, writer, _peer) = pair(1 << 20);
    let channel = Channel {
        reader,
        control,
        writer,
    };
    let address = ([10, 0, 0, 1], 2222).into();
    let connection = Connection {
        workspace: Arc::clone(&WORKSPACE),
        number: 1,
        client: address,
        server: address,
        openssh: true,
        options: Arc::new(Options::unrestricted()),
    };
    let mut setup = Setup::new(channel, connection);
    let mut fields = Fields(data);
    while !fields.0.is_empty() {
        request(&mut setup, &mut fields);
    }
    let environment = environment_of(&setup.variables, "", setup.pty.as_ref());
    for (name, value) in environment {
        let zero = |text: &OsString| text.as_encoded_bytes().contains(&0);
        assert!(
            !zero(&name) && !zero(&value),
            "{} could not be given to a program",
            name.display()
        );
        assert!(!name.as_encoded_bytes().contains(&b'=') && name != "A_TOKEN");
    }
}

fn request(setup: &mut Setup, fields: &mut Fields<'_>) {
    match fields.byte() % 6 {
        0 => drop(setup.variable(fields.bytes(), fields.bytes())),
        1 => {
            let modes = (0..fields.byte()).map(|_| (fields.byte(), fields.number()));
            let modes = Modes(modes.collect());
            if let Ok(terminal) = openpty(None, None) {
                let _ = modes.apply(&terminal.slave);
            }
            let term = fields.text();
            setup.pty(PtyRequest {
                term,
                size: Size::default(),
                modes,
            });
        }
        2 => setup.resize(Size {
            columns: fields.number(),
            rows: fields.number(),
            ..Size::default()
        }),
        3 => drop(is_signal(&fields.text())),
        4 => drop(setup.check(&Program::Subsystem(fields.text()))),
        _ => drop(X11::new(
            &fields.text(),
            &fields.text(),
            fields.number(),
            false,
        )),
    }
}

/// The user's own file of variables.
pub(crate) fn environment(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (name, value) in environment_of(&[], &text, None) {
        assert!(!name.is_empty() && !value.as_encoded_bytes().contains(&0));
    }
}

fn environment_of(
    client_variables: &[(String, OsString)],
    user_file: &str,
    pty: Option<&PtyRequest>,
) -> Vec<(OsString, OsString)> {
    let address = ([10, 0, 0, 1], 2222).into();
    build(&Facts {
        inherited: &INHERITED,
        rules: &WORKSPACE.rules,
        user_file,
        user: &WORKSPACE.user,
        client: address,
        server: address,
        tty: None,
        term: pty.map(|pty| pty.term.as_str()),
        original_command: None,
        agent: None,
        display: None,
        client_variables,
        key_variables: &[],
    })
}
