//! `/activity` on the admin listener: what cullers of idle workspaces ask.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::daemon::Daemon;
use crate::harness::http::get;
use crate::harness::process::{PATIENCE, eventually};

fn activity(daemon: &Daemon) -> Value {
    let (status, body) = get(&daemon.admin, "/activity");
    assert_eq!(status, 200);
    serde_json::from_str(&body).expect("JSON")
}

#[test]
fn what_clients_do_is_activity_and_keepalives_are_not() {
    let daemon = Daemon::start(|setup| setup.args(["--keepalive", "1s"]));
    let before = activity(&daemon);
    assert_eq!(
        (&before["connections"], &before["programs"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(before["kept_alive_by"], json!([]));

    let mut command = daemon.client.command("ssh");
    let command = command.args(["workspace", "cat"]).stdin(Stdio::piped());
    let mut session = command.stdout(Stdio::null()).spawn().expect("ssh");
    eventually("the program runs", PATIENCE, || {
        let now = activity(&daemon);
        let wanted = json!(["1 open connection", "1 running program"]);
        (now["kept_alive_by"] == wanted).then_some(())
    });
    // Three keepalives or so pass meanwhile.
    let idle = eventually("it is idle", PATIENCE, || {
        let now = activity(&daemon);
        (now["idle_seconds"].as_i64()? >= 3).then(|| now["last_activity"].clone())
    });
    session
        .stdin
        .as_mut()
        .expect("piped")
        .write_all(b"x\n")
        .expect("ssh reads");
    eventually("typing is seen", PATIENCE, || {
        let last = activity(&daemon)["last_activity"].clone();
        (last.as_str()? > idle.as_str()?).then_some(())
    });
    drop(session.stdin.take());
    session.wait().expect("ssh ends");
    eventually("nothing is open", PATIENCE, || {
        (activity(&daemon)["kept_alive_by"] == json!([])).then_some(())
    });
}
