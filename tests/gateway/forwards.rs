//! `-L` and `-D` through the gateway, and the way VS Code opens its connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use crate::envoy::Envoy;
use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually, run};

/// A server on a free port that sends back what it gets; yields the port.
fn echo_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut back = stream.try_clone()?;
                io::copy(&mut &stream, &mut back)?;
                back.shutdown(Shutdown::Write)
            });
        }
    });
    port
}

/// Where ssh may listen. It takes no port 0 for `-D` and would not tell which one it got.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// Sends a megabyte, expects it back.
#[track_caller]
fn carries_data(stream: impl Read, mut writer: impl Write + Send + 'static) {
    let data: Vec<u8> = (0..1_000_000_u32).map(|i| (i >> 3) as u8).collect();
    let sent = data.clone();
    thread::spawn(move || writer.write_all(&sent));
    let mut back = Vec::new();
    stream
        .take(data.len() as u64)
        .read_to_end(&mut back)
        .expect("the data comes back");
    assert!(back == data, "{} bytes came back", back.len());
}

#[test]
fn local_forwarding_carries_data() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let client = envoy.client_by_nc(&daemon);
    let socket = envoy.xds().with_file_name("forward");
    let mut ssh = client.command("ssh");
    ssh.arg("-NL")
        .arg(format!("{}:127.0.0.1:{}", socket.display(), echo_server()));
    let _ssh = Background::start(ssh.args(["-o", "ExitOnForwardFailure yes", "workspace"]));
    let stream = eventually("ssh listens", PATIENCE, || {
        UnixStream::connect(&socket).ok()
    });
    carries_data(stream.try_clone().expect("a second handle"), stream);
}

#[test]
fn dynamic_forwarding_carries_data() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let client = envoy.client_by_nc(&daemon);
    let proxy = free_address();
    let mut ssh = client.command("ssh");
    ssh.args([
        "-o",
        "ExitOnForwardFailure yes",
        "-ND",
        &proxy.to_string(),
        "workspace",
    ]);
    let _ssh = Background::start(&mut ssh);
    let mut stream = eventually("ssh listens", PATIENCE, || TcpStream::connect(proxy).ok());

    stream.write_all(&[5, 1, 0]).expect("SOCKS greeting");
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).expect("SOCKS answer");
    assert_eq!(answer, [5, 0], "no authentication");
    let port = echo_server().to_be_bytes();
    stream
        .write_all(&[5, 1, 0, 1, 127, 0, 0, 1, port[0], port[1]])
        .expect("SOCKS request");
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).expect("SOCKS answer");
    assert_eq!(answer[1], 0, "connected");
    carries_data(stream.try_clone().expect("a second handle"), stream);
}

#[test]
fn vs_codes_opening_line_prints_ready_and_nothing_else() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let mut ssh = envoy.client_by_nc(&daemon).command("ssh");
    ssh.args(["-T", "-D", &free_address().to_string(), "workspace", "bash"]);
    let output = run(&mut ssh, b"echo READY\n", PATIENCE);
    assert_eq!(output.stdout, b"READY\n", "{output:?}");
    assert_eq!(output.status.code(), Some(0));
}
