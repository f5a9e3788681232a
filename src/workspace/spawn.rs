//! Starting a process as vfork(2) does, which copies nothing of the daemon's memory: with fork(2) that,
//! and faulting pages in again afterwards, was a sixth of the CPU of a connection.
//!
//! posix_spawn(3) does so too, but sets neither limits nor the OOM score before the program begins.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::libc;

use super::reaper::program_score;
use crate::descriptors;

/// What a process gets as its three standard streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standard<'a> {
    /// Input, output and error.
    Each([BorrowedFd<'a>; 3]),
    /// A terminal by its name, which becomes the controlling one.
    Terminal(&'a Path),
}

/// Execute `program` with `arguments`, the first of which is its name for itself, in `directory`, as
/// the leader of a session and a process group of its own. Returns its id.
pub(crate) fn spawn(
    program: &Path,
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    directory: &Path,
    standard: Standard<'_>,
) -> io::Result<u32> {
    let arguments = arguments.into_iter().map(|argument| c_string(&argument));
    let arguments: Vec<CString> = arguments.collect::<io::Result<_>>()?;
    let environment = environment.into_iter().map(|(name, value)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend_from_slice(value.as_bytes());
        Ok(CString::new(entry)?)
    });
    let environment: Vec<CString> = environment.collect::<io::Result<_>>()?;
    let (arguments, environment) = (pointers(&arguments), pointers(&environment));
    give(&mut Birth {
        program: c_string(program.as_os_str())?,
        arguments: &arguments,
        environment: &environment,
        directory: c_string(directory.as_os_str())?,
        streams: match standard {
            Standard::Each(streams) => Streams::Each(streams.map(|stream| stream.as_raw_fd())),
            Standard::Terminal(name) => Streams::Terminal(c_string(name.as_os_str())?),
        },
        score: program_score().unwrap_or_default(),
        error: 0,
    })
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

/// Keep what the daemon itself inherited from sessions. Once, before anything is opened.
#[expect(unsafe_code, reason = "close_range(2) has no safe wrapper")]
pub(crate) fn keep_inherited() {
    // SAFETY: it takes numbers only and closes nothing now. Kernels before 5.11 lack the flag.
    unsafe {
        libc::close_range(
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC as libc::c_int,
        );
    }
}

/// Enough for the few calls a process makes before it is another program.
const STACK: usize = 64 << 10;

/// The kernel's number of signals.
const SIGNALS: libc::c_int = 64;

/// What a process does between its birth and its program, prepared so that nothing is allocated then.
struct Birth<'a> {
    program: CString,
    arguments: &'a [*mut libc::c_char],
    environment: &'a [*mut libc::c_char],
    directory: CString,
    streams: Streams,
    score: &'static str,
    /// Why it became no program; 0 if it did.
    error: libc::c_int,
}

/// [`Standard`] in numbers.
enum Streams {
    Each([RawFd; 3]),
    Terminal(CString),
}

impl Birth<'_> {
    /// Runs in the new process, on a stack of its own and the daemon's memory, while the thread that
    /// started it stands still. Returns only if something failed, which the system then says.
    #[expect(unsafe_code, reason = "see the comment")]
    fn become_program(&self) {
        // SAFETY: every pointer is to a string that ends with a zero, to an array that ends with a null,
        // or to an object on this stack, all of which outlive the calls. Nothing here allocates, takes a
        // lock or touches what other threads of the daemon use: descriptors, directory, limits and
        // signals are this process's own. A signal set of zeros is the empty one.
        unsafe {
            // All signals are blocked as yet; a handler of the daemon's must never run here.
            for signal in 1..=SIGNALS {
                let mut action: libc::sigaction = std::mem::zeroed();
                let known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
                let ignored = action.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE;
                if known && action.sa_sigaction != libc::SIG_DFL && !ignored {
                    let default: libc::sigaction = std::mem::zeroed();
                    libc::sigaction(signal, &raw const default, std::ptr::null_mut());
                }
            }
            if libc::setsid() < 0
                || !self.take_streams()
                || libc::chdir(self.directory.as_ptr()) < 0
            {
                return;
            }
            // Before it can start anything that would inherit the daemon's. The kernel may say no.
            let file = libc::open(
                c"/proc/self/oom_score_adj".as_ptr(),
                libc::O_WRONLY | libc::O_CLOEXEC,
            );
            if file >= 0 {
                libc::write(file, self.score.as_ptr().cast(), self.score.len());
                libc::close(file);
            }
            if descriptors::give_back().is_err() {
                return;
            }
            let none: libc::sigset_t = std::mem::zeroed();
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::execve(
                self.program.as_ptr(),
                self.arguments.as_ptr().cast(),
                self.environment.as_ptr().cast(),
            );
        }
    }

    #[expect(unsafe_code, reason = "a part of become_program")]
    fn take_streams(&self) -> bool {
        // SAFETY: as in become_program.
        unsafe {
            match &self.streams {
                Streams::Each(streams) => (streams.iter().zip(0..))
                    .all(|(stream, number)| libc::dup2(*stream, number) >= 0),
                // The first terminal that a session's leader opens becomes its controlling one.
                Streams::Terminal(name) => {
                    let terminal = libc::open(name.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
                    terminal >= 0 && (0..3).all(|number| libc::dup2(terminal, number) >= 0)
                }
            }
        }
    }
}

extern "C" fn begin(birth: *mut libc::c_void) -> libc::c_int {
    #[expect(unsafe_code, reason = "what clone(2) was given")]
    // SAFETY: it is the Birth that `give` borrows for as long as this runs.
    let birth = unsafe { &mut *birth.cast::<Birth<'_>>() };
    birth.become_program();
    birth.error = io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EINVAL);
    127
}

/// Give birth to the process; its id once it is its program.
#[expect(unsafe_code, reason = "the standard library has no vfork(2)")]
fn give(birth: &mut Birth<'_>) -> io::Result<u32> {
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK / 16);
    // SAFETY: the signal sets are initialised by the calls that fill them. The stack is aligned, grows
    // down from its end, and outlives the process's use of it, as does `birth`: with CLONE_VFORK this
    // thread goes on only when the process has become a program or has ended. Both share the memory
    // until then, and `become_program` says why that is sound. The process that failed is waited for.
    unsafe {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        let pid = libc::clone(
            begin,
            stack.as_mut_ptr().add(STACK / 16).cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            std::ptr::from_mut(birth).cast(),
        );
        let failed = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        if pid < 0 {
            return Err(failed);
        }
        if birth.error != 0 {
            libc::waitpid(pid, std::ptr::null_mut(), 0);
            return Err(io::Error::from_raw_os_error(birth.error));
        }
        Ok(pid as u32)
    }
}

/// As C wants it: with a null at the end.
fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    let strings = strings.iter().map(|string| string.as_ptr().cast_mut());
    strings.chain([std::ptr::null_mut()]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, pipe};
    use std::os::fd::AsFd;

    use super::*;

    fn run(program: &str, command: &str, directory: &str) -> io::Result<String> {
        let (mut output, theirs) = pipe()?;
        let null = std::fs::File::open("/dev/null")?;
        let environment = [("NAME".into(), "value".into())];
        let pid = spawn(
            Path::new(program),
            ["name".into(), "-c".into(), command.into()],
            environment,
            Path::new(directory),
            Standard::Each([null.as_fd(), theirs.as_fd(), theirs.as_fd()]),
        )?;
        drop(theirs);
        let mut text = String::new();
        output.read_to_string(&mut text)?;
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        nix::sys::wait::waitpid(pid, None)?;
        Ok(text)
    }

    #[test]
    fn a_process_gets_its_name_environment_directory_and_streams() {
        let text = run("/bin/sh", "echo $0 $NAME $(pwd); echo error >&2", "/usr");
        assert_eq!(text.unwrap(), "name value /usr\nerror\n");
    }

    #[test]
    fn a_process_leads_a_session_and_minds_broken_pipes() {
        let text = run(
            "/bin/sh",
            "cut -d' ' -f1,5,6 /proc/$$/stat; grep SigIgn /proc/$$/status",
            "/",
        );
        let text = text.unwrap();
        let (ids, ignored) = text.split_once('\n').unwrap();
        let ids: Vec<_> = ids.split(' ').collect();
        assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
        let ignored =
            u64::from_str_radix(ignored.trim_start_matches("SigIgn:").trim(), 16).unwrap();
        assert_eq!(ignored & 1 << (libc::SIGPIPE - 1), 0, "{ignored:x}");
    }

    #[test]
    fn a_process_has_its_oom_score_before_it_begins() {
        let text = run(
            "/bin/sh",
            "read score </proc/self/oom_score_adj; echo $score",
            "/",
        );
        assert_eq!(text.unwrap().trim(), program_score().unwrap());
    }

    #[test]
    fn what_cannot_start_is_an_error() {
        let missing = run("/nonexistent", "", "/").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let nowhere = run("/bin/sh", "", "/nonexistent").unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
        let nul = run("/bin/sh", "a\0b", "/").unwrap_err();
        assert_eq!(nul.kind(), io::ErrorKind::InvalidInput);
    }
}
