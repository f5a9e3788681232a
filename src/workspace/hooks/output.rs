//! What hooks print, bounded: the end of it is kept, in a file too; and what they export.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Receiver;

use crate::shutdown::Tasks;
use crate::workspace::condition::{Outcome, Variables};

/// What is kept of a hook's output: its last bytes.
const KEPT: usize = 64 * 1024;
/// An environment larger than this is none that could be executed with.
const MAX_EXPORTS: usize = 2 * 1024 * 1024;
/// Pause between reads of what nobody wants.
const SLOWLY: Duration = Duration::from_millis(10);

/// The end of what a hook printed.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    dropped: usize,
}

impl Output {
    /// Read to the end of file.
    pub(super) async fn read(&mut self, from: &Receiver) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = read(from, &mut buffer).await {
            self.bytes
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
            if self.bytes.len() > 2 * KEPT {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        let dropped = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..dropped);
        self.dropped += dropped;
    }

    /// Its last `most` bytes as text.
    pub(super) fn end(&self, most: usize) -> String {
        let start = self.bytes.len().saturating_sub(most);
        let end = self.bytes.get(start..).unwrap_or_default();
        String::from_utf8_lossy(end).trim_end().to_owned()
    }
}

async fn read(from: &Receiver, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// The variables that a sourced hook's shell told at its end; none if it did not get that far.
pub(super) async fn read_exports(from: &Receiver) -> Variables {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    while let Ok(count @ 1..) = read(from, &mut buffer).await {
        all.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if all.len() > MAX_EXPORTS {
            return Variables::new();
        }
    }
    parse(&all)
}

/// `NAME=value`, each ended by a NUL; without what the shell keeps for itself.
fn parse(environ: &[u8]) -> Variables {
    let pairs = environ.split(|byte| *byte == 0).filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
        let own: [&[u8]; 5] = [b"", b"_", b"SHLVL", b"PWD", b"OLDPWD"];
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        (!own.contains(&name)).then(|| (text(name), text(value)))
    });
    pairs.collect()
}

/// Go on reading what a hook's background processes print: closing the pipe would kill them.
pub(super) fn discard(from: Receiver, tasks: &Tasks) {
    let stop = tasks.clone();
    tasks.spawn("hook output", async move {
        let mut buffer = vec![0; 4096];
        let reading = async {
            while let Ok(1..) = read(&from, &mut buffer).await {
                tokio::time::sleep(SLOWLY).await;
            }
        };
        tokio::select! {
            () = reading => {}
            () = stop.stopping() => {}
        }
    });
}

/// The file with the output of this start's hooks.
#[derive(Debug, Default)]
pub(super) struct Log(Option<File>);

impl Log {
    /// Begin it anew at the first of `paths` that can be written.
    pub(super) async fn create(paths: &[PathBuf]) -> Self {
        for path in paths {
            let mut options = File::options();
            options.create(true).write(true).truncate(true).mode(0o600);
            if let Ok(file) = options.open(path).await {
                return Self(Some(file));
            }
        }
        Self(None)
    }

    /// One hook's part. A full disk costs the file, not the start.
    pub(super) async fn add(
        &mut self,
        hook: &Path,
        outcome: &Outcome,
        took: Duration,
        output: &Output,
    ) {
        let Some(file) = &mut self.0 else { return };
        let (path, seconds) = (hook.display(), took.as_secs_f64());
        let mut text = format!("== {path}: {outcome} after {seconds:.1} s\n");
        if output.dropped > 0 {
            text.push_str("(only the end of its output)\n");
        }
        let output = output.end(KEPT);
        if !output.is_empty() {
            text.push_str(&output);
            text.push('\n');
        }
        let _ = file.write_all(text.as_bytes()).await;
        let _ = file.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shells_own_variables_are_left_out_of_its_exports() {
        let text = b"A=1\0_=/bin/cat\0B=x=y\nz\0SHLVL=2\0PWD=/\0EMPTY=\0broken\0";
        let expected = [("A", "1"), ("B", "x=y\nz"), ("EMPTY", "")];
        let expected = expected.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn the_end_of_much_output_is_kept() {
        let mut output = Output {
            bytes: vec![b'x'; 3 * KEPT],
            dropped: 0,
        };
        output.bytes.extend_from_slice(b"last\n");
        output.cut();
        assert_eq!((output.bytes.len(), output.dropped), (KEPT, 2 * KEPT + 5));
        assert_eq!(output.end(5), "last");
    }
}
