//! Keys change while data flow, by volume and by time, at the server's wish: no byte is lost.

use std::process::Output;

use crate::harness::daemon::Daemon;
use crate::{python, said};

/// How often the client was asked to change keys after the first time.
fn rekeys(output: &Output) -> usize {
    let text = String::from_utf8_lossy(&output.stderr);
    text.matches("SSH2_MSG_KEXINIT received")
        .count()
        .saturating_sub(1)
}

#[test]
fn keys_change_by_volume_while_data_flow_both_ways() {
    let daemon = Daemon::start(|setup| setup.args(["--rekey-limit", "1M"]));
    let sent = said::noise(24 << 20);
    let output = daemon.client.ssh_with(["-v", "cat"], &sent);
    said::ok(&output);
    assert!(output.stdout == sent, "what came back is not what was sent");
    let rekeys = rekeys(&output);
    assert!(rekeys >= 24, "{rekeys} key exchanges for 24 MiB each way");
}

#[test]
fn keys_change_by_time_while_data_flow_both_ways() {
    let daemon = Daemon::start(|setup| setup.args(["--rekey-limit", "16G 1s"]));
    let sent = said::noise(4 << 20);
    // Output all the while, and input that waits in the windows until the end.
    let command =
        "end=$((SECONDS + 5)); while [ $SECONDS -lt $end ]; do head -c 100000 /dev/zero; done; cat";
    let output = daemon.client.ssh_with(["-v", command], &sent);
    said::ok(&output);
    let (zeros, rest) = output.stdout.split_at(output.stdout.len() - sent.len());
    assert!(zeros.len() % 100_000 == 0 && zeros.iter().all(|byte| *byte == 0));
    assert!(rest == sent, "what came back is not what was sent");
    let rekeys = rekeys(&output);
    assert!(rekeys >= 3, "{rekeys} key exchanges in 5 s");
}

#[test]
fn keys_change_by_time_while_little_is_said() {
    let daemon = Daemon::start(|setup| setup.args(["--rekey-limit", "16G 1s"]));
    let command = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done";
    let output = daemon.ssh(["-v", command]);
    said::ok(&output);
    assert_eq!(said::out(&output), "1\n2\n3\n4\n5\n6\n7\n8\n");
    assert!(rekeys(&output) >= 2, "{output:?}");
}

#[test]
fn other_clients_follow_a_change_of_keys() {
    let daemon = Daemon::start(|setup| setup.args(["--rekey-limit", "256K"]));
    python::check(
        &daemon,
        python::ASYNCSSH,
        r#"
async def main(conn):
    sent = bytes(range(256)) * 16384
    result = await conn.run("cat", input=sent, encoding=None)
    assert result.stdout == sent, len(result.stdout)
start(main)
"#,
    );
    python::check(
        &daemon,
        python::PARAMIKO,
        r#"
import threading
sent = bytes(range(256)) * 16384
channel = connect().get_transport().open_session()
channel.exec_command("cat")
def send():
    channel.sendall(sent)
    channel.shutdown_write()
threading.Thread(target=send).start()
got = bytearray()
while data := channel.recv(65536):
    got += data
assert got == sent, len(got)
"#,
    );
}
