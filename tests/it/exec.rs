//! Commands without a terminal: status, signals, streams, and nothing lost at the end.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::bare::{Place, podssh, text};
use crate::harness::daemon::{Daemon, user};
use crate::harness::process::{PATIENCE, run};
use crate::master::Master;
use crate::{python, said};

#[test]
fn every_exit_code_arrives_over_one_connection() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    thread::scope(|scope| {
        for lane in 0..8 {
            let master = &master;
            scope.spawn(move || {
                for code in (lane..256).step_by(8) {
                    let output = master.ssh(&format!("echo {code}; exit {code}"));
                    said::failed(&output, code);
                    assert_eq!(said::out(&output), format!("{code}\n"));
                }
            });
        }
    });
}

#[test]
fn a_death_by_signal_is_told_by_name_and_openssh_says_255() {
    let daemon = Daemon::start(|_| ());
    said::failed(&daemon.ssh(["kill -TERM $$"]), 255);
    python::check(
        &daemon,
        python::ASYNCSSH,
        r#"
import tempfile
async def main(conn):
    for name in "TERM HUP INT KILL QUIT ABRT ALRM PIPE USR1 USR2 SEGV FPE ILL".split():
        result = await conn.run("ulimit -c 0; exec sh -c 'kill -%s $$'" % name)
        assert result.exit_signal and result.exit_signal[0] == name, (name, result.exit_signal)
        assert result.exit_status == -1, result
        assert not result.exit_signal[1], "no core"
    # Whether the kernel leaves a core is its affair; what it says is passed on.
    die = "ulimit -S -c $(ulimit -H -c); kill -ABRT $$"
    with tempfile.TemporaryDirectory() as place:
        here = os.WCOREDUMP(os.system("cd %s; %s" % (place, die)))
    result = await conn.run(die)
    assert result.exit_signal[:2] == ("ABRT", here), (result.exit_signal, here)
    result = await conn.run("kill -XCPU $$") # a signal the RFC does not name
    assert result.exit_signal[0] == "SIG@openssh.com", result.exit_signal
start(main)
"#,
    );
}

#[test]
fn standard_error_comes_apart_from_standard_output() {
    let daemon = Daemon::start(|_| ());
    let output = daemon.ssh(["echo out; echo err >&2; echo more"]);
    assert_eq!(said::ok(&output), "out\nmore\n");
    assert_eq!(said::err(&output), "err\n");
    let output = daemon.ssh(["head -c 3000000 /dev/zero >&2"]);
    said::ok(&output);
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 3_000_000));
}

#[test]
fn twenty_megabytes_of_every_byte_go_both_ways_at_once() {
    let daemon = Daemon::start(|_| ());
    let data = said::noise(20_000_000);
    let output = daemon.client.ssh_with(["cat"], &data);
    assert!(output.stdout == data, "{}", said::show(&output));
    let output = daemon.client.ssh_with(["cat >&2"], &data);
    assert!(output.stderr == data, "{} came back", output.stderr.len());
}

#[test]
fn end_of_file_reaches_the_command_and_its_answer_comes_back() {
    let daemon = Daemon::start(|_| ());
    let output = daemon
        .client
        .ssh_with(["wc -c; echo done"], &said::noise(100_000));
    assert_eq!(said::ok(&output), "100000\ndone\n");
}

#[test]
fn a_command_that_closes_its_output_still_gets_all_of_its_input() {
    let daemon = Daemon::start(|_| ());
    let data = said::noise(5_000_000);
    let output = daemon
        .client
        .ssh_with(["exec >&- 2>&-; cat >up; exit 7"], &data);
    said::failed(&output, 7);
    let arrived = std::fs::read(daemon.home().join("up")).expect("the file");
    assert!(arrived == data, "{} bytes arrived", arrived.len());
}

#[test]
fn a_command_that_does_not_read_its_input_ends_all_the_same() {
    let daemon = Daemon::start(|_| ());
    let output = daemon
        .client
        .ssh_with(["echo x; exit 3"], &vec![0; 20_000_000]);
    said::failed(&output, 3);
    assert_eq!(said::out(&output), "x\n");
}

#[test]
fn a_remote_shell_fed_by_a_pipe_says_nothing_of_its_own() {
    let daemon = Daemon::start(|setup| {
        let motd = setup.home().join("motd");
        std::fs::write(&motd, "NOISE\n").expect("motd");
        setup.args(["--motd", text(&motd)]);
    });
    for args in [
        &["-T", "bash"][..],
        &["-T"],
        &["-T", "-o", "RemoteCommand=none", "bash"],
    ] {
        let mut command = daemon.client.command("ssh");
        command.args(&args[..1]).arg("workspace").args(&args[1..]);
        let output = run(&mut command, b"echo READY\n", PATIENCE);
        assert_eq!(said::ok(&output), "READY\n", "{args:?}");
        assert_eq!(said::err(&output), "", "{args:?}");
    }
}

#[test]
fn a_command_goes_through_the_shell_byte_for_byte() {
    let daemon = Daemon::start(|_| ());
    let output =
        daemon.ssh(["printf '%s|' \"a  b\" $((1+1)) 'ü' \"$0\"; shopt -q login_shell; echo $?"]);
    assert_eq!(said::ok(&output), "a  b|2|ü|bash|1\n");
    let output = daemon.ssh(["no-such-command-anywhere"]);
    assert!(said::failed(&output, 127).contains("not found"));
}

#[test]
fn a_large_output_right_before_the_exit_is_whole_a_hundred_times() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..25 {
                    let output = master.ssh("head -c 1000000 /dev/zero; exit 9");
                    said::failed(&output, 9);
                    assert_eq!(output.stdout.len(), 1_000_000, "round {round}");
                }
            });
        }
    });
}

#[test]
fn the_tail_of_a_pipeline_that_outlives_its_shell_is_not_lost() {
    let daemon = Daemon::start(|_| ());
    let by_substitution = "exec > >(tee copy); head -c 5000000 /dev/zero";
    let by_background = "head -c 5000000 /dev/zero | (sleep 0.2; cat) & exit 0";
    for command in [by_substitution, by_background] {
        let output = daemon.ssh([command]);
        said::ok(&output);
        assert_eq!(output.stdout.len(), 5_000_000, "{command}");
    }
}

/// A client whose shell is not there; the harness's daemon always has one.
#[test]
fn a_missing_shell_is_told_to_the_client_with_127() {
    let place = Place::new();
    let (_daemon, client) = place.serve(&[
        "--home",
        text(&place.path("home")),
        "--shell",
        "/opt/no-such-shell",
    ]);
    for args in [vec!["true"], vec![]] {
        let message = said::failed(&client.ssh(args), 127);
        assert!(
            message.contains("/opt/no-such-shell") && message.contains("--shell"),
            "{message}"
        );
    }
}

#[test]
fn a_missing_home_is_told_to_the_client_with_1() {
    let daemon = Daemon::start(|_| ());
    said::ok(&daemon.ssh(["true"]));
    std::fs::rename(daemon.home(), daemon.home().with_extension("away")).expect("rename");
    let message = said::failed(&daemon.ssh(["true"]), 1);
    let home = daemon.home();
    assert!(
        message.contains(text(&home)) && message.contains("--home"),
        "{message}"
    );
}

#[test]
fn a_shell_that_is_not_bash_runs_commands_and_logs_in() {
    let place = Place::new();
    let mut command = podssh();
    place.flags(&mut command);
    command.args(["--user", user(), "--shell", "/bin/sh", "--home"]);
    command.arg(place.path("home"));
    let (_daemon, client) = place.start(&mut command, user());
    assert_eq!(said::ok(&client.ssh(["echo $0 $SHELL"])), "sh /bin/sh\n");
    let output = client.ssh_with(Vec::<&str>::new(), b"echo $0\n");
    assert_eq!(said::ok(&output), "-sh\n");
}

#[test]
fn output_arrives_while_the_command_runs() {
    let daemon = Daemon::start(|_| ());
    let mut command = daemon.client.command("ssh");
    command.args(["workspace", "echo first; read line; echo second $line"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut session = crate::harness::process::Background::start(&mut command);
    let mut stdout = session.0.stdout.take().expect("piped");
    let mut first = [0; 6];
    std::io::Read::read_exact(&mut stdout, &mut first).expect("the first line, without any input");
    assert_eq!(&first, b"first\n");
    let mut stdin = session.0.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, b"word\n").expect("the session reads");
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).expect("text");
    assert_eq!(rest, "second word\n");
    crate::harness::process::eventually("the session ends", Duration::from_secs(20), || {
        (!session.is_running()).then_some(())
    });
}
