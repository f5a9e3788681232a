//! The image's own main program, say a notebook server: started beside the daemon, told to stop with
//! it; when it ends by itself, the daemon drains and exits with its code.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::reaper::{Ended, Reaper};

/// The running side process.
#[derive(Debug)]
pub struct SideProcess {
    pid: Pid,
    ended: oneshot::Receiver<Ended>,
    code: Option<u8>,
}

impl SideProcess {
    /// Start `command` with the daemon's own environment and streams, in a process group of its
    /// own; `None` for an empty one.
    pub fn start(command: &[OsString], reaper: &Reaper) -> Result<Option<Self>, String> {
        let Some((program, arguments)) = command.split_first() else {
            return Ok(None);
        };
        let started = reaper.start(|| {
            let mut command = Command::new(program);
            command
                .args(arguments)
                .process_group(0)
                .spawn()
                .map(|child| child.id())
        });
        let started = started.map_err(|error| {
            let program = program.to_string_lossy();
            format!(
                "cannot start {program:?}, the command after --: {error}; correct the image's CMD"
            )
        })?;
        tracing::info!(pid = started.pid.as_raw(), "side process started");
        Ok(Some(Self {
            pid: started.pid,
            ended: started.ended,
            code: None,
        }))
    }

    /// Resolves with its exit code, 128 and the number for a signal, as a shell says it.
    pub async fn ended(&mut self) -> u8 {
        if let Some(code) = self.code {
            return code;
        }
        let code = match (&mut self.ended).await {
            Ok(Ended::Exited(code)) => code as u8,
            Ok(Ended::Killed { signal, .. }) => 128u8.saturating_add(signal as u8),
            // The reaper goes away only with the whole daemon.
            Err(_) => 0,
        };
        tracing::info!(code, "side process ended");
        self.code = Some(code);
        code
    }

    /// Ask it to stop and wait; its exit code, or 0 for one that the signal ended, as asked.
    pub async fn stop(&mut self) -> u8 {
        if let Some(code) = self.code {
            return code;
        }
        // It may have ended just now.
        let _ = kill(self.pid, Signal::SIGTERM);
        match self.ended().await {
            code if code == 128 + Signal::SIGTERM as u8 => 0,
            code => code,
        }
    }
}
