//! Below the sessions: identification, algorithms told, keys changed under load, compression.

use crate::case::{Case, check, ssh};
use crate::execution::{noise, ssh_pipe};
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case::custom("first line on the wire", first_line).intended("OpenSSH_", "podssh_", "podssh never pretends to be OpenSSH"),
    Case::custom("server-sig-algs", signature_algorithms)
        .since_ten("ssh-rsa,", "rsa-sha2-512", "no SHA-1, no DSA; webauthn signatures are for browsers"),
    Case::custom("extension publickey-hostbound", |server| {
        debug(
            server,
            &[
                "publickey-hostbound@openssh.com=",
                "publickey-hostbound-v00",
            ],
        )
    }),
    Case::custom("extension ping", |server| {
        debug(server, &["kex_input_ext_info: ping"])
    }).since_ten("", "ping@openssh.com", "sshd has it since 9.5; Debian 12's is older"),
    Case::custom("key exchange agreed on by default", |server| {
        debug(
            server,
            &[
                "kex: algorithm",
                "kex: host key",
                "kex: server->client",
                "kex: client->server",
            ],
        )
    }),
    Case::custom("strict key exchange", |server| {
        debug(server, &["will use strict"])
    }),
    Case::custom("host keys announced after login", |server| {
        let lines = debug(
            server,
            &[
                "client_input_hostkeys: received",
                "client_input_global_request",
            ],
        );
        lines
            .lines()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }),
    Case::custom("host keys proved", |server| {
        let known = server.home.with_extension("known_hosts");
        std::fs::copy(&server.client.known_hosts, &known).unwrap();
        let text = std::fs::read_to_string(&known).unwrap();
        // Only the first key is known beforehand; the client learns and checks the others.
        let first = text.lines().next().unwrap_or_default();
        std::fs::write(&known, format!("{first}\n")).unwrap();
        let option = format!("-oUserKnownHostsFile={}", known.display());
        let outcome = ssh(server, &[&option, "-oUpdateHostKeys=yes"], "sleep 0.5", b"");
        let learnt = std::fs::read_to_string(&known).unwrap();
        let mut types: Vec<_> = learnt
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        types.sort_unstable();
        std::fs::remove_file(known).ok();
        format!("{outcome}{}", types.join(" "))
    }).intended("ecdsa-sha2-nistp256", "status 0\nssh-ed25519", "an ECDSA key that podssh made itself is for `--compat`"),
    Case::custom("methods offered to a stranger", |server| {
        debug(server, &["Authentications that can continue"])
    }),
    Case::custom("banner before login", |server| {
        debug(server, &["input_userauth_banner"])
    }),
    Case::custom("too many failed keys", too_many).intended("6 keys tried", "20 keys tried", "agents offer many keys, and there is nothing to guess; the disconnect has the library's words"),
    Case::custom("rekey by the client, 16 MiB out", |server| {
        ssh_pipe(
            server,
            &["-oRekeyLimit=1M"],
            "head -c 16777216 /dev/zero",
            b"",
        )
    }),
    Case::custom("rekey by the client, 8 MiB in", |server| {
        ssh(server, &["-oRekeyLimit=1M"], "cksum", &noise(8 << 20))
    }),
    Case::custom("rekey by the client, 8 MiB both ways", |server| {
        ssh_pipe(server, &["-oRekeyLimit=1M"], "cat", &noise(8 << 20))
    }),
    Case::custom("compression", |server| {
        ssh_pipe(server, &["-C"], "cat", &noise(4 << 20))
    }),
    Case::custom("compression with rekey", |server| {
        ssh_pipe(
            server,
            &["-C", "-oRekeyLimit=1M"],
            "head -c 16777216 /dev/zero; cat",
            &noise(4 << 20),
        )
    }),
    Case::custom("compression agreed on", |server| {
        let lines = debug_with(server, &["-C"], &["kex: server->client"]);
        lines
            .rsplit("compression: ")
            .next()
            .unwrap_or_default()
            .to_owned()
    }),
    Case::custom("keepalives answered", |server| {
        ssh(
            server,
            &["-oServerAliveInterval=1", "-oServerAliveCountMax=1"],
            "sleep 3.5; echo alive",
            b"",
        )
    }),
    Case::custom("rubbish instead of an identification", |server| {
        say(server, b"GET / HTTP/1.0\r\n\r\n")
    }).intended("Invalid SSH identification", "; ", "what is no SSH client is told nothing"),
    Case::custom("protocol 1", |server| say(server, b"SSH-1.5-old\r\n")).intended("Protocol major versions differ", "; ", "what is no SSH client is told nothing"),
    Case::custom("protocol 1.99", |server| say(server, b"SSH-1.99-old\r\n")),
    Case::custom("identification without CR", |server| {
        say(server, b"SSH-2.0-plain\n")
    }),
    Case::custom("connection closed at once", |server| say(server, b"")),
];

/// The first time they are told: OpenSSH 10 tells them once more for the user's sake.
fn signature_algorithms(server: &Server) -> String {
    let told = debug(server, &["server-sig-algs="]);
    let (_, list) = told.split_once("server-sig-algs=").unwrap();
    list.lines().next().unwrap().to_owned()
}

/// Lines of the client's debug output that hold one of `words`.
fn debug(server: &Server, words: &[&str]) -> String {
    debug_with(server, &[], words)
}

fn debug_with(server: &Server, options: &[&str], words: &[&str]) -> String {
    let options = [&["-vvv"], options].concat();
    let outcome = ssh(server, &options, "true", b"");
    let kept = |line: &&str| words.iter().any(|word| line.contains(word));
    outcome
        .lines()
        .filter(kept)
        .fold(String::new(), |all, line| all + line + "\n")
}

fn first_line(server: &Server) -> String {
    use std::io::{BufRead, BufReader};
    let stream = std::net::TcpStream::connect(server.address).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.escape_default().to_string()
}

/// What a server says to bytes that are no SSH client's, up to its end; a key exchange is only named.
fn say(server: &Server, bytes: &[u8]) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(2)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    if bytes.is_empty() {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break "closed",
            Ok(count) => all.extend(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break "waits",
            Err(_) => break "reset",
        }
    };
    let line_end = all
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let rest = &all[line_end..];
    // RFC 4253 section 6: length, padding length, and then the message's number.
    let said = match rest.get(5) {
        Some(20) => "KEXINIT".to_owned(),
        _ => rest.escape_ascii().to_string(),
    };
    format!("{said}; {end}")
}

/// Keys nobody knows, more than either server lets pass.
fn too_many(server: &Server) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut options = vec!["-oIdentitiesOnly=yes".to_owned(), "-F/dev/null".to_owned()];
    options.push(format!(
        "-oUserKnownHostsFile={}",
        server.client.known_hosts.display()
    ));
    for number in 0..25 {
        let path = directory.path().join(number.to_string());
        crate::harness::daemon::generate_key(&path);
        options.push(format!("-oIdentityFile={}", path.display()));
    }
    let mut command = std::process::Command::new("ssh");
    command
        .args(&options)
        .args(["-oHostKeyAlias=workspace", "-oBatchMode=yes", "-v", "-p"])
        .arg(server.address.port().to_string())
        .args(["-l", crate::harness::daemon::user(), "127.0.0.1", "true"])
        .env_remove("SSH_AUTH_SOCK");
    let output = crate::harness::process::run(&mut command, b"", crate::harness::process::PATIENCE);
    let text = String::from_utf8_lossy(&output.stderr);
    let tried = text.matches("Offering public key").count();
    let last: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("debug"))
        .collect();
    server.neutral(&format!("{tried} keys tried\n{}", last.join("\n")))
}

#[test]
fn the_transport_behaves_as_sshds() {
    check(CASES);
}
