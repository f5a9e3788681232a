//! podssh as a container's first process: orphans, the drain, leftovers, and memory.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::container::{Container, HARDENED, Place};
use crate::engine::IMAGE;
use crate::harness::http::get;
use crate::harness::process::{PATIENCE, eventually};
use crate::terminal::Terminal;

const USER: &str = "1000:100";

#[track_caller]
fn appears(container: &Container, name: &str) -> String {
    eventually(name, PATIENCE, || {
        let text = fs::read_to_string(container.home().join(name)).ok()?;
        (!text.is_empty()).then_some(text)
    })
}

#[test]
fn orphans_are_reaped_and_no_status_is_stolen() {
    let container = Container::start(&IMAGE, USER, &[]);
    let script = "for i in $(seq 60); do (setsid sh -c 'sleep 0.0$((RANDOM % 9)); exit 9' &); \
                  sh -c \"exit $((i % 5))\"; [ $? = $((i % 5)) ] || echo stolen; done; exit 7";
    let output = container.client.ssh([script]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(output.stdout, b"");
    let zombies = "for s in /proc/[0-9]*/stat; do sed 's/.*) //' $s 2>/dev/null; done | grep -c ^Z";
    eventually("no zombie is left", PATIENCE, || {
        let output = container.client.ssh([zombies]);
        (output.stdout == b"0\n").then_some(())
    });
}

#[test]
fn a_stop_tells_everybody_and_ends_everything_in_time() {
    let place = Arc::new(Place::new());
    let home = format!("{}:/home/jovyan", place.home().display());
    let side =
        "trap 'echo side >side; exit 0' TERM; echo up >side-up; while :; do sleep 0.05; done";
    let options = [HARDENED, &["--env", "PODSSH_GRACE=8s"]].concat();
    let container = place.start_at(&home, &IMAGE, USER, &options, &["bash", "-c", side]);
    appears(&container, "side-up");
    // Two that outlive their session: one that listens to SIGTERM, one that listens to nothing.
    container.session(
        "setsid -f bash -c 'trap \"echo told >polite; exit\" TERM; echo up >polite-up; while :; do sleep 0.05; done' \
         </dev/null >/dev/null 2>&1; \
         setsid -f bash -c 'trap \"\" TERM HUP; echo up >deaf-up; while :; do sleep 0.05; done' </dev/null >/dev/null 2>&1",
    );
    appears(&container, "polite-up");
    appears(&container, "deaf-up");
    let mut terminal = Terminal::shell(&container.client);
    terminal.line("trap 'echo hung >up; exit 4' HUP");

    let (address, started) = (container.address.clone(), Instant::now());
    container.signal("TERM");
    terminal.until(0, "this workspace is stopping: SIGTERM");
    assert_eq!(get(&container.admin, "/readyz").0, 503);
    eventually("nobody new is let in", PATIENCE, || {
        let refused = container.client.ssh(["true"]).status.code() == Some(255);
        (refused || TcpStream::connect(&address).is_err()).then_some(())
    });
    assert_eq!(terminal.line("echo still here"), "still here\n");
    assert_eq!(container.exit_code(), "0");
    assert!(
        started.elapsed() < Duration::from_secs(40),
        "{:?}",
        started.elapsed()
    );
    for (name, text) in [("side", "side\n"), ("polite", "told\n"), ("up", "hung\n")] {
        assert_eq!(appears(&container, name), text, "{name}");
    }
    assert_eq!(terminal.end(), 4);
}

#[test]
fn a_second_sigterm_hurries() {
    let container = Container::start(&IMAGE, USER, &["--env", "PODSSH_GRACE=1h"]);
    let mut terminal = Terminal::shell(&container.client);
    container.signal("TERM");
    terminal.until(0, "this workspace is stopping: SIGTERM");
    container.signal("TERM");
    assert_eq!(container.exit_code(), "0");
    assert!([129, 255].contains(&terminal.end()));
}

#[test]
fn lack_of_memory_kills_a_program_not_the_daemon_and_is_told() {
    let place = Arc::new(Place::new());
    let options = [HARDENED, &["--memory", "160m", "--memory-swap", "160m"]].concat();
    let container = place.start(&IMAGE, USER, &options);
    let eat = "python3 -c 'x = bytearray(10**9)'";
    let output = container.client.ssh([eat]);
    assert!(!output.status.success(), "{output:?}");
    let kills = eventually("it is noticed", PATIENCE, || {
        container.status()["memory_kills"]
            .as_u64()
            .filter(|kills| *kills > 0)
    });
    assert!(kills >= 1);
    let mut terminal = Terminal::shell(&container.client);
    let screen = terminal.screen();
    assert!(
        screen.contains("killed here for lack of memory"),
        "{screen}"
    );
    terminal.key("exit\r");
    // Then the whole container goes without a word, as with memory.oom.group.
    container.signal("KILL");
    container.exit_code();
    drop(container);
    let next = place.start(&IMAGE, USER, HARDENED);
    let end = next.status()["last_end"].clone();
    assert_eq!(
        (&end["how"], &end["memory"]),
        (&"cut".into(), &true.into()),
        "{end}"
    );
    let terminal = Terminal::shell(&next.client);
    assert!(
        terminal.screen().contains("probably for lack of memory"),
        "{}",
        terminal.screen()
    );
}
