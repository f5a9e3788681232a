//! Commands and shells without a terminal: status, streams, and the process they start in.

use crate::case::{Case, check, ssh};
use crate::wire;

pub(crate) const CASES: &[Case] = &[
    Case::exec("exit status 0", "true"),
    Case::exec("exit status 42", "exit 42"),
    Case::exec("exit status 255", "exit 255"),
    Case::exec("exit status of a missing program", "/no/such/program"),
    Case::exec("death by SIGTERM, as the client sees it", "kill -TERM $$"),
    Case::exec("death by SIGKILL, as the client sees it", "kill -KILL $$"),
    Case::exec("death by SIGHUP, as the client sees it", "kill -HUP $$"),
    Case::exec("death by SIGPIPE, as the client sees it", "kill -PIPE $$"),
    Case::exec("death by SIGUSR1, as the client sees it", "kill -USR1 $$"),
    Case::exec("death by a real-time signal", "kill -40 $$"),
    Case::exec("stdout and stderr apart", "echo out; echo err >&2; exit 3"),
    Case::exec("stderr alone", "echo err >&2"),
    Case::exec("$0 of a command", "echo $0"),
    Case::exec("$0 replaced by itself", "exec $0 -c 'echo $0'"),
    Case::exec("$- of a command", "echo $-"),
    Case::exec("shell options of a command", "set -o"),
    Case::exec(
        "login_shell of a command",
        "shopt login_shell; shopt | sort",
    ),
    Case::ssh(
        "$0 and $- of a shell without a terminal",
        &["-T"],
        "",
        "echo $0 $-\n",
    ),
    Case::ssh(
        "login_shell of a shell without a terminal",
        &["-T"],
        "",
        "shopt login_shell\n",
    ),
    Case::ssh(
        "script on standard input of -T",
        &["-T"],
        "",
        "echo one\ncd /\npwd\nexit 7\n",
    ),
    Case::ssh(
        "script on standard input without an exit",
        &["-T"],
        "",
        "echo one\nfalse\n",
    ),
    Case::ssh(
        "script on standard input of bash",
        &["-T"],
        "bash",
        "echo $0\ncat <<X\n$PWD\nX\nexit 9\n",
    ),
    Case::exec("working directory", "pwd; pwd -P"),
    Case::exec("umask", "umask"),
    Case::exec("limits", "ulimit -a; ulimit -Ha"),
    Case::exec("traps at the start", "trap -p"),
    Case::exec(
        "ignored and blocked signals",
        "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; trap",
    ),
    Case::exec(
        "ignored and blocked signals of a program",
        "exec cat /proc/self/status | grep -E '^Sig(Blk|Ign)'",
    ),
    Case::exec("open files of a program", "ls /proc/self/fd"),
    Case::exec(
        "what the streams are",
        "for f in 0 1 2; do readlink /proc/self/fd/$f | sed 's/:.*//'; done",
    ),
    Case::exec(
        "leader of its session and group",
        "set -- $(cat /proc/$$/stat); echo $(( $1 == $5 )) $(( $1 == $6 )) tty $7",
    ),
    Case::exec("user and groups", "id -u; id -g; id -G"),
    Case::exec(
        "nice value, scheduling and OOM score",
        "nice; cat /proc/self/oom_score_adj",
    )
    .intended(
        "\n0\n0",
        "\n100",
        "when memory runs out a program goes before the daemon, which can then say so",
    ),
    Case::exec(
        "capabilities and no_new_privs",
        "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status",
    ),
    Case::exec("no terminal", "tty; test -t 0; echo $?"),
    Case::ssh(
        "standard input to its end",
        &[],
        "cat; echo end",
        "one\ntwo",
    ),
    Case::ssh("empty standard input", &[], "cat; echo end $?", ""),
    Case::ssh(
        "standard input not read",
        &[],
        "exit 5",
        "nobody reads this",
    ),
    Case::ssh("-n", &["-n"], "cat; echo end", "unread"),
    Case::exec(
        "bytes of a binary",
        "printf '\\000\\001\\377\\r\\n\\033' | od -An -tx1; printf '\\000\\377\\r\\n'",
    ),
    Case::exec("an empty line of output", "echo"),
    Case::exec(
        "quoting of a command",
        "echo \"a  b\" 'c  $d' \\\\; echo \"$(echo nested)\"",
    ),
    Case::exec("a command of several lines", "echo a\necho b\n"),
    Case::exec(
        "a command that is not UTF-8 inside",
        "printf '%s' $'\\xff\\xfe' | od -An -tx1",
    ),
    Case::exec("a blank command", " "),
    Case::exec(
        "output pending at the exit",
        "head -c 3000000 /dev/zero | tr '\\0' x | cksum; head -c 3000000 /dev/zero | tr '\\0' x; exit 4",
    ),
    Case::custom("64 MiB of output", |server| {
        ssh_pipe(
            server,
            &["-c", "aes128-ctr"],
            "head -c 67108864 /dev/zero | openssl enc -aes-128-ctr -pass pass:x -nosalt 2>/dev/null || head -c 67108864 /dev/zero",
            b"",
        )
    }),
    Case::custom("16 MiB of standard input", |server| {
        ssh(server, &[], "cksum", &noise(16 << 20))
    }),
    Case::custom("8 MiB there and back", |server| {
        ssh_pipe(server, &[], "cat", &noise(8 << 20))
    }),
    Case::custom("a command of 100,000 bytes", |server| {
        ssh(
            server,
            &[],
            &format!("echo {} | wc -c", "x".repeat(100_000)),
            b"",
        )
    }),
    Case::custom("a command of 200,000 bytes", |server| {
        let command = format!("req exec 'echo {} | wc -c'", "x".repeat(200_000));
        wire::talk(server, &["open", &command, "wait close"])
    })
    .intended(
        "exit-status 1",
        "exit-status 254",
        "the message names podssh and the cause; the status says that it was not the command's own",
    ),
    Case::exec(
        "a missing interpreter",
        "printf '#!/no/such\\n' > x; chmod +x x; ./x",
    ),
    Case::ssh("a subsystem that is none", &["-s"], "nosuch", ""),
    Case::ssh("the subsystem sftp and its end", &["-s"], "sftp", ""),
    Case::exec(
        "zombies are not left",
        "sleep 0 & sleep 0.2; ps -o stat= --ppid $$ | grep -c Z",
    ),
    Case::exec("who the parent is", "test $PPID -gt 0 && echo yes"),
    Case::ssh("ssh -f", &["-f"], "echo x", ""),
];

/// Bytes that do not compress and are the same on every run.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// As [`ssh`], for output too long to look at: length and sum of the bytes.
pub(crate) fn ssh_pipe(
    server: &crate::server::Server,
    options: &[&str],
    command: &str,
    stdin: &[u8],
) -> String {
    use crate::harness::process::{PATIENCE, run};
    let mut client = server.client.command("ssh");
    client.args(options).args(["workspace", command]);
    let output = run(&mut client, stdin, PATIENCE);
    let hash = output
        .stdout
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!(
        "{}\n{} bytes, hash {hash:x}\n{}",
        output.status,
        output.stdout.len(),
        server.neutral(&String::from_utf8_lossy(&output.stderr))
    )
}

#[test]
fn commands_run_as_under_sshd() {
    check(CASES);
}
