//! A case: what is done, and how the two outcomes compare.

use std::fmt::Write as _;
use std::sync::{Mutex, OnceLock};
use std::thread;

use crate::harness::process::{PATIENCE, run};
use crate::server::{Pair, Server};
use crate::wire;

/// Cases at once on one server: most of them wait.
const WORKERS: usize = 3;

/// One behaviour, tried on both servers.
pub(crate) struct Case {
    /// What is compared, as README's table names it.
    pub(crate) name: &'static str,
    pub(crate) how: How,
    pub(crate) verdict: Verdict,
}

/// What is done to a server.
pub(crate) enum How {
    /// `ssh OPTIONS workspace COMMAND` with these bytes on standard input; no command means a shell.
    Ssh {
        options: &'static [&'static str],
        command: &'static str,
        stdin: &'static str,
    },
    /// Messages sent by hand, one connection a case: the language of `wire.py`.
    Wire(&'static [&'static str]),
    /// Anything else; the text is the outcome.
    Custom(fn(&Server) -> String),
    /// The same for what changes the home in a way that others would notice: nothing runs beside it.
    Alone(fn(&Server) -> String),
}

/// How the outcomes compare.
pub(crate) enum Verdict {
    Same,
    /// They differ on purpose.
    Intended(Difference),
    /// The same as with OpenSSH 10; an older sshd differs.
    SinceTen(Difference),
}

/// A part of each outcome that the other one lacks, and the reason.
pub(crate) struct Difference {
    pub(crate) sshd: &'static str,
    pub(crate) podssh: &'static str,
    pub(crate) why: &'static str,
}

impl Case {
    pub(crate) const fn exec(name: &'static str, command: &'static str) -> Self {
        Self::ssh(name, &[], command, "")
    }

    /// On a terminal.
    pub(crate) const fn tty(name: &'static str, command: &'static str) -> Self {
        Self::ssh(name, &["-tt"], command, "")
    }

    pub(crate) const fn ssh(
        name: &'static str,
        options: &'static [&'static str],
        command: &'static str,
        stdin: &'static str,
    ) -> Self {
        let how = How::Ssh {
            options,
            command,
            stdin,
        };
        let verdict = Verdict::Same;
        Self { name, how, verdict }
    }

    pub(crate) const fn wire(name: &'static str, steps: &'static [&'static str]) -> Self {
        let (how, verdict) = (How::Wire(steps), Verdict::Same);
        Self { name, how, verdict }
    }

    pub(crate) const fn custom(name: &'static str, act: fn(&Server) -> String) -> Self {
        let (how, verdict) = (How::Custom(act), Verdict::Same);
        Self { name, how, verdict }
    }

    pub(crate) const fn alone(name: &'static str, act: fn(&Server) -> String) -> Self {
        let (how, verdict) = (How::Alone(act), Verdict::Same);
        Self { name, how, verdict }
    }

    /// The outcomes differ on purpose: sshd's holds `sshd`, podssh's holds `podssh`.
    pub(crate) const fn intended(
        self,
        sshd: &'static str,
        podssh: &'static str,
        why: &'static str,
    ) -> Self {
        let verdict = Verdict::Intended(Difference { sshd, podssh, why });
        let Self { name, how, .. } = self;
        Self { name, how, verdict }
    }

    /// As with OpenSSH 10; what an older sshd shows holds `sshd`, and podssh's `podssh`.
    pub(crate) const fn since_ten(
        self,
        sshd: &'static str,
        podssh: &'static str,
        why: &'static str,
    ) -> Self {
        let verdict = Verdict::SinceTen(Difference { sshd, podssh, why });
        let Self { name, how, .. } = self;
        Self { name, how, verdict }
    }

    /// Judges, with nothing beside it where it failed among others; how the two differ, if they do.
    fn settle(&self, pair: &Pair, mut sshd: String, mut podssh: String) -> Result<(), String> {
        let mut verdict = self.judge(pair.is_ten, &sshd, &podssh);
        for _ in 0..AGAIN {
            if verdict.is_ok() {
                break;
            }
            sshd = outcomes(&[self], &pair.sshd).remove(0);
            podssh = outcomes(&[self], &pair.podssh).remove(0);
            verdict = self.judge(pair.is_ten, &sshd, &podssh);
        }
        verdict.map_err(|complaint| {
            let (sshd, podssh) = shortened(&sshd, &podssh);
            let name = self.name;
            format!("=== {name}: {complaint}\n--- sshd\n{sshd}\n--- podssh\n{podssh}")
        })
    }

    fn judge(&self, is_ten: bool, sshd: &str, podssh: &str) -> Result<(), String> {
        let difference = match &self.verdict {
            Verdict::Intended(difference) => difference,
            Verdict::SinceTen(difference) if !is_ten => difference,
            _ if sshd == podssh => return Ok(()),
            _ => return Err("the outcomes differ".into()),
        };
        if sshd == podssh {
            return Err("no difference any more: make it Same, here and in README.md".into());
        }
        for (outcome, marker, who) in [
            (sshd, difference.sshd, "sshd"),
            (podssh, difference.podssh, "podssh"),
        ] {
            if !outcome.contains(marker) {
                return Err(format!("{who}'s outcome does not show {marker:?}"));
            }
        }
        Ok(())
    }
}

/// How often a case that is not as the table says is tried again by itself. Cases have waits of their
/// own ("nothing more for 0.3 s"), which a machine busy with their neighbours can stretch.
const AGAIN: usize = 2;

/// The outcomes of all `cases` on one server, in order; what can run beside others does.
fn outcomes(cases: &[&Case], server: &Server) -> Vec<String> {
    let outcomes: Vec<OnceLock<String>> = cases.iter().map(|_| OnceLock::new()).collect();
    let queue = Mutex::new(cases.iter().zip(&outcomes));
    thread::scope(|scope| {
        scope.spawn(|| {
            let by_wire = |(case, at): (&&Case, _)| Some((case.how.steps()?, at));
            let (conversations, places): (Vec<_>, Vec<&OnceLock<String>>) =
                cases.iter().zip(&outcomes).filter_map(by_wire).unzip();
            let said = wire::talk_all(server, &conversations);
            for (place, outcome) in places.into_iter().zip(said) {
                place.get_or_init(|| outcome);
            }
        });
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some((case, place)) = queue.lock().unwrap().next() else {
                        break;
                    };
                    match case.how {
                        How::Ssh {
                            options,
                            command,
                            stdin,
                        } => place.get_or_init(|| ssh(server, options, command, stdin.as_bytes())),
                        How::Custom(act) => place.get_or_init(|| act(server)),
                        How::Wire(_) | How::Alone(_) => continue,
                    };
                }
            });
        }
    });
    let last = |(case, outcome): (&&Case, OnceLock<String>)| match case.how {
        How::Alone(act) => act(server),
        How::Ssh { .. } | How::Wire(_) | How::Custom(_) => outcome.into_inner().unwrap(),
    };
    cases.iter().zip(outcomes).map(last).collect()
}

impl How {
    fn steps(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::Wire(steps) => Some(steps),
            Self::Ssh { .. } | Self::Custom(_) | Self::Alone(_) => None,
        }
    }
}

/// Runs ssh and yields status, output and messages, the server's own paths and port left out.
pub(crate) fn ssh(server: &Server, options: &[&str], command: &str, stdin: &[u8]) -> String {
    let mut client = server.client.command("ssh");
    client.args(options).arg("workspace");
    if !command.is_empty() {
        client.arg(command);
    }
    let output = run(&mut client, stdin, PATIENCE);
    let mut outcome = match output.status.code() {
        Some(code) => format!("status {code}\n"),
        None => format!("{}\n", output.status),
    };
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            let text = bytes.escape_ascii().to_string().replace("\\n", "\n");
            writeln!(outcome, "{name}:\n{}", text.trim_end_matches('\n')).unwrap();
        }
    }
    server.neutral(&outcome)
}

/// Of long outcomes only the lines that differ.
fn shortened(sshd: &str, podssh: &str) -> (String, String) {
    if sshd.lines().count() < 50 {
        return (sshd.to_owned(), podssh.to_owned());
    }
    let differing = sshd.lines().zip(podssh.lines()).filter(|(a, b)| a != b);
    differing.fold(Default::default(), |(sshd, podssh), (a, b)| {
        (sshd + a + "\n", podssh + b + "\n")
    })
}

/// Tries every case on both servers and reports all that are not as the table says.
#[track_caller]
pub(crate) fn check(cases: &[Case]) {
    let pair = Pair::start();
    let only = std::env::var("PARITY_CASE").unwrap_or_default();
    let cases: Vec<_> = cases
        .iter()
        .filter(|case| case.name.contains(&only))
        .collect();
    let (sshd, podssh) = thread::scope(|scope| {
        let sshd = scope.spawn(|| outcomes(&cases, &pair.sshd));
        let podssh = outcomes(&cases, &pair.podssh);
        (sshd.join().unwrap(), podssh)
    });
    let mut report = String::new();
    for (case, (sshd, podssh)) in cases.iter().zip(sshd.into_iter().zip(podssh)) {
        if let Err(difference) = case.settle(&pair, sshd, podssh) {
            writeln!(report, "{difference}").unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
