//! Two servers behind one interface: packets in, packets out.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use podssh::channel::{Control, Output, Peer, pair};
use podssh::sftp::{Failure, Options, serve};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const OPENSSH: &str = "/usr/lib/openssh/sftp-server";
const PATIENCE: Duration = Duration::from_secs(20);
/// The channel's window towards the server, in bytes.
pub(crate) const WINDOW: u32 = 2 * 1024 * 1024;

/// One server with one session.
pub(crate) trait Server {
    /// Bytes towards the server.
    fn send(&mut self, bytes: &[u8]);
    /// Exactly `length` bytes from it.
    fn receive(&mut self, length: usize) -> Vec<u8>;

    /// One packet from it, without its length.
    fn packet(&mut self) -> Vec<u8> {
        let length = self.receive(4).try_into().unwrap();
        self.receive(u32::from_be_bytes(length) as usize)
    }
}

/// OpenSSH's sftp-server, a process with pipes.
pub(crate) struct Theirs {
    child: Child,
    input: ChildStdin,
    /// Read by a thread, so that a test may ask much before it takes an answer.
    output: mpsc::Receiver<Vec<u8>>,
    received: Vec<u8>,
}

impl Theirs {
    pub(crate) fn start(home: &Path) -> Self {
        assert!(
            Path::new(OPENSSH).exists(),
            "{OPENSSH} is missing: apt-get install openssh-sftp-server"
        );
        let mut child = Command::new(OPENSSH)
            .current_dir(home)
            .env_remove("TZ")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, output) = mpsc::channel();
        let mut from = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            input: child.stdin.take().unwrap(),
            output,
            received: Vec::new(),
            child,
        }
    }
}

impl Server for Theirs {
    fn send(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            let more = self.output.recv_timeout(PATIENCE);
            self.received.extend(more.expect("no reply in time"));
        }
        let rest = self.received.split_off(length);
        std::mem::replace(&mut self.received, rest)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ours, on an in-memory channel and a current-thread runtime, as a connection runs it.
pub(crate) struct Ours {
    runtime: Runtime,
    session: JoinHandle<Result<(), Failure>>,
    pub(crate) peer: Peer,
    _control: Control,
    received: Vec<u8>,
}

impl Ours {
    pub(crate) fn start(home: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (mut reader, control, writer, peer) = pair(WINDOW);
        let options = Options {
            home: home.to_owned(),
        };
        let session = runtime.spawn(async move { serve(&mut reader, &writer, options).await });
        Self {
            runtime,
            session,
            peer,
            _control: control,
            received: Vec::new(),
        }
    }

    /// How the session ends, once the peer has done its part. Replies not received are dropped.
    pub(crate) fn end(self) -> Result<(), Failure> {
        let Self {
            runtime,
            session,
            mut peer,
            ..
        } = self;
        let drained = async {
            while peer.receive().await.is_some() {}
            session.await.unwrap()
        };
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, drained).await })
            .expect("the session does not end")
    }

    /// Let the server work without receiving anything.
    pub(crate) fn pause(&self, time: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }
}

impl Server for Ours {
    fn send(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(32 * 1024) {
            self.peer.send(chunk.to_vec());
        }
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            let next = async { tokio::time::timeout(PATIENCE, self.peer.receive()).await };
            match self.runtime.block_on(next).expect("no reply in time") {
                Some(Output::Data(data)) => self.received.extend_from_slice(&data),
                other => panic!("instead of a reply: {other:?}"),
            }
        }
        let rest = self.received.split_off(length);
        std::mem::replace(&mut self.received, rest)
    }
}
