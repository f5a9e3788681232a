//! The control socket, by which the workspace's own user asks the running daemon. One line a
//! connection, a word and its arguments; one JSON document in answer, then the end. An answer to a
//! word that is not known is `{"error": …}`. Nobody but the user and root is answered.

mod status;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

pub use self::status::{Home, Side, Status, Told};
use crate::runtime_dir;
use crate::shutdown::Tasks;

/// The socket's name in the runtime directory.
const NAME: &str = "control.sock";
/// Names the socket where it is elsewhere.
pub const VARIABLE: &str = "PODSSH_CONTROL";
/// The word that asks for a [`Status`].
pub const STATUS: &str = "status";
/// Who asks has this long to do so.
const PATIENCE: Duration = Duration::from_secs(5);
/// No question is longer.
const MAX_LINE: u64 = 4096;

/// Where the socket is unless it was given.
pub fn path(uid: u32) -> PathBuf {
    runtime_dir::path(uid).join(NAME)
}

/// The socket, bound; removed when dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    uid: u32,
}

impl Control {
    /// Bind it at `given`, or where it is by default. Needs this thread's runtime.
    pub fn bind(given: Option<&Path>, uid: u32) -> Result<Self, String> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => {
                let directory = runtime_dir::prepare(uid);
                directory
                    .map_err(|error| explained(&path(uid), &error))?
                    .join(NAME)
            }
        };
        // One that nobody listens on was left by a daemon that was killed.
        if StdStream::connect(&path).is_ok() {
            let path = path.display();
            return Err(format!(
                "{path}: another podssh has it; `podssh status` will ask that one (give --control)"
            ));
        }
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).map_err(|error| explained(&path, &error))?;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).map_err(|error| explained(&path, &error))?;
        Ok(Self {
            listener,
            path,
            uid,
        })
    }

    /// Answer until the daemon stops.
    pub async fn serve(self, told: Told, tasks: Tasks) {
        let told = Arc::new(told);
        loop {
            let accepted = tokio::select! {
                () = tasks.stopping() => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors: a breath, not a spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let peer = stream.peer_cred().map(|peer| peer.uid());
            if !peer.is_ok_and(|uid| uid == self.uid || uid == 0) {
                tracing::warn!("control socket: refused another user");
                continue;
            }
            let told = Arc::clone(&told);
            tasks.spawn("control", async move {
                // Who does not ask, or does not listen, misses the answer.
                let _ = tokio::time::timeout(PATIENCE, answer(stream, &told)).await;
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn explained(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    format!("{path}: no control socket: {error}; `podssh status` will not work (give --control)")
}

async fn answer(mut stream: UnixStream, told: &Told) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    BufReader::new(read)
        .take(MAX_LINE)
        .read_line(&mut line)
        .await?;
    let mut words = line.split_whitespace();
    let answer = match words.next() {
        Some(STATUS) => serde_json::to_value(told.status())?,
        word => unknown(word.unwrap_or_default()),
    };
    write.write_all(format!("{answer}\n").as_bytes()).await?;
    write.shutdown().await
}

fn unknown(word: &str) -> Value {
    json!({ "error": format!("this podssh knows no {word:?}; it knows {STATUS}") })
}
