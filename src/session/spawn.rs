//! Starting a session's process by posix_spawn(3), which copies nothing of the daemon's memory: with
//! fork(2) that, and faulting pages in again afterwards, was a sixth of the CPU of a connection.
//!
//! The standard library does so too, but not for a process in a session of its own.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::libc;

/// What a process gets as its three standard streams.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standard<'a> {
    /// Input, output and error.
    Each([BorrowedFd<'a>; 3]),
    /// A terminal by its name, which becomes the controlling one.
    Terminal(&'a Path),
}

/// Execute `program` with `arguments`, the first of which is its name for itself, in `directory`, as
/// the leader of a session and a process group of its own. Returns its id.
pub(super) fn spawn(
    program: &Path,
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    directory: &Path,
    standard: Standard<'_>,
) -> io::Result<u32> {
    let mut actions = Actions::new()?;
    // The streams first: a relative name means the daemon's directory.
    match standard {
        Standard::Each(streams) => {
            for (stream, number) in streams.iter().zip(0..) {
                actions.duplicate(stream.as_raw_fd(), number)?;
            }
        }
        // The first terminal that a session's leader opens becomes its controlling one.
        Standard::Terminal(name) => {
            actions.open(&c_string(name.as_os_str())?, 0)?;
            actions.duplicate(0, 1)?;
            actions.duplicate(0, 2)?;
        }
    }
    actions.change_directory(&c_string(directory.as_os_str())?)?;
    let arguments = arguments.into_iter().map(|argument| c_string(&argument));
    let arguments: Vec<_> = arguments.collect::<io::Result<_>>()?;
    let environment = environment.into_iter().map(|(name, value)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend_from_slice(value.as_bytes());
        Ok(CString::new(entry)?)
    });
    let environment: Vec<_> = environment.collect::<io::Result<_>>()?;
    execute(
        &c_string(program.as_os_str())?,
        &arguments,
        &environment,
        &actions,
    )
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

/// Signals that are ignored here and are not to be in a program: SIGPIPE by Rust, and 32 to 34, which
/// the C library keeps for its threads, leaves ignored in a child, and refuses in sigaddset(3).
const IGNORED: u64 = 1 << (libc::SIGPIPE - 1) | 0b111 << 31;

/// Steps between the process's birth and its program, in order.
struct Actions(libc::posix_spawn_file_actions_t);

/// The outcome of a call that returns an error number instead of setting it.
fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[expect(
    unsafe_code,
    reason = "the standard library's use of it takes no session id"
)]
impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: init fills what it is given, and nothing is read unless it says so.
        unsafe {
            check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(Self(actions.assume_init()))
        }
    }

    fn duplicate(&mut self, from: i32, to: i32) -> io::Result<()> {
        // SAFETY: `self.0` is initialised, and the rest are numbers.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from, to) })
    }

    fn open(&mut self, name: &CString, to: i32) -> io::Result<()> {
        let (name, flags) = (name.as_ptr(), libc::O_RDWR);
        // SAFETY: `self.0` is initialised; the name ends with a zero, and the call copies it.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(&raw mut self.0, to, name, flags, 0)
        })
    }

    fn change_directory(&mut self, name: &CString) -> io::Result<()> {
        let name = name.as_ptr();
        // SAFETY: as for `open`.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, name) })
    }
}

#[expect(unsafe_code, reason = "the pair of the call in new")]
impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: `self.0` is initialised and not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

#[expect(
    unsafe_code,
    reason = "the standard library's use of it takes no session id"
)]
fn execute(
    program: &CString,
    arguments: &[CString],
    environment: &[CString],
    actions: &Actions,
) -> io::Result<u32> {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    let mut attributes = MaybeUninit::uninit();
    let (mut none, mut ignored) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let mut pid = 0;
    let flags = libc::POSIX_SPAWN_SETSID as i32
        | libc::POSIX_SPAWN_SETSIGDEF
        | libc::POSIX_SPAWN_SETSIGMASK;
    // SAFETY: each object is initialised by the call made for that before it is used, and the
    // attributes are destroyed on every way out after it; the calls on them cannot fail for these
    // values. The pointer arrays end with a null and outlive the call, as do the strings they point
    // into, which the call does not change. A signal set begins with a word for the first 64 signals.
    unsafe {
        check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
        let mut attributes = attributes.assume_init();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigemptyset(ignored.as_mut_ptr());
        ignored.as_mut_ptr().cast::<u64>().write(IGNORED);
        libc::posix_spawnattr_setsigmask(&raw mut attributes, none.as_ptr());
        libc::posix_spawnattr_setsigdefault(&raw mut attributes, ignored.as_ptr());
        libc::posix_spawnattr_setflags(&raw mut attributes, flags as libc::c_short);
        let started = libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            &raw const actions.0,
            &raw const attributes,
            arguments.as_ptr(),
            environment.as_ptr(),
        );
        libc::posix_spawnattr_destroy(&raw mut attributes);
        check(started)?;
    }
    Ok(pid as u32)
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
        assert_eq!(ignored & IGNORED, 0, "{ignored:x}");
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
