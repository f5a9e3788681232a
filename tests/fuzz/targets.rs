//! One test a target: the corpus, then mutations guided by coverage.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::harness::process::run;

/// Building the fuzzer on a busy machine.
const BUILD: Duration = Duration::from_secs(30 * 60);
/// What a target may take beyond its time: the corpus, and one slow input.
const BEYOND: Duration = Duration::from_secs(300);
/// Nobody's uid: a fuzzed session works on files, and must not be able to touch any but its own.
const NOBODY: u32 = 65_534;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How long one target is fuzzed, in seconds.
pub(crate) fn seconds() -> u64 {
    let given = std::env::var("PODSSH_FUZZ_SECONDS").ok();
    given.map_or(6, |text| {
        text.parse().expect("PODSSH_FUZZ_SECONDS is a number")
    })
}

/// Builds the fuzzer, once; a copy at a place that everybody can reach.
fn fuzzer() -> &'static Path {
    static FUZZER: OnceLock<PathBuf> = OnceLock::new();
    FUZZER.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args([
                "build",
                "--locked",
                "--features",
                "fuzz",
                "--example",
                "fuzz",
            ])
            .env("RUSTC_WORKSPACE_WRAPPER", root().join("tests/fuzz/rustc"))
            .current_dir(root());
        let built = run(&mut cargo, b"", BUILD);
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(built.status.success(), "the fuzzer does not build:\n{said}");
        // Only this run's copy is used, so that another build cannot change it meanwhile.
        let copy = std::env::temp_dir().join(format!("podssh-fuzzer-{}", std::process::id()));
        fs::copy(root().join("target/debug/examples/fuzz"), &copy).expect("the fuzzer");
        copy
    })
}

/// Where new inputs of `name` are kept between runs, and crashes.
fn kept(name: &str, what: &str) -> PathBuf {
    let directory = root().join("target/fuzz").join(what).join(name);
    fs::create_dir_all(&directory).expect("below target");
    directory
}

/// A private directory of `name` that the fuzzer's user may write to.
fn scratch(name: &str) -> tempfile::TempDir {
    // In memory where there is such a place: SFTP sessions flush files to the disk all the time.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let directory = tempfile::Builder::new()
        .prefix(&format!("podssh-fuzz-{name}-"))
        .tempdir_in(place)
        .expect("a temp dir");
    for part in ["corpus", "seeds", "crashes", "tmp"] {
        fs::create_dir(directory.path().join(part)).expect("a fresh directory");
    }
    directory
}

fn copy_all(from: &Path, to: &Path) -> usize {
    let Ok(entries) = fs::read_dir(from) else {
        return 0;
    };
    let files = entries.map(|entry| entry.expect("an entry"));
    let copies = files.map(|file| fs::copy(file.path(), to.join(file.file_name())));
    copies
        .map(|copy| copy.expect("a copy"))
        .fold(0, |count, _| count + 1)
}

/// Gives `directory` and what is in it to the fuzzer's user.
fn hand_over(directory: &Path) {
    std::os::unix::fs::chown(directory, Some(NOBODY), Some(NOBODY)).expect("root may chown");
    for entry in fs::read_dir(directory).expect("a directory of ours") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            hand_over(&path);
        } else {
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may chown");
        }
    }
}

/// Runs one target and asserts that nothing was found, and that there was something to find it with.
#[track_caller]
fn fuzz(name: &str) {
    let directory = scratch(name);
    let at = |part: &str| directory.path().join(part);
    let seeds = copy_all(&root().join("tests/fuzz/corpus").join(name), &at("seeds"));
    assert!(seeds > 0, "tests/fuzz/corpus/{name} is empty");
    copy_all(&kept(name, "corpus"), &at("corpus"));
    // A file that grows beyond 16 MiB fails to, as on a full disk; libFuzzer is not to take it for a crash.
    let mut command = Command::new("env");
    command
        .args(["--ignore-signal=XFSZ", "prlimit", "--fsize=16777216"])
        .arg(fuzzer())
        .arg(at("corpus"))
        .arg(at("seeds"))
        .args([
            "-timeout=20",
            "-rss_limit_mb=1024",
            "-max_len=4096",
            "-print_final_stats=1",
        ])
        .arg("-handle_xfsz=0")
        .arg(format!("-max_total_time={}", seconds()))
        .arg(format!("-artifact_prefix={}/", at("crashes").display()))
        .env("PODSSH_FUZZ", name)
        .env("TMPDIR", at("tmp"))
        .current_dir(at("tmp"));
    let words = root().join("tests/fuzz/words").join(name);
    if words.exists() {
        fs::copy(&words, at("words")).expect("the words");
        command.arg(format!("-dict={}", at("words").display()));
    }
    if geteuid().is_root() {
        hand_over(directory.path());
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = run(&mut command, b"", Duration::from_secs(seconds()) + BEYOND);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<_> = said.lines().collect();
    let end = lines[lines.len().saturating_sub(60)..].join("\n");
    copy_all(&at("corpus"), &kept(name, "corpus"));
    let crashes = kept(name, "crashes");
    copy_all(&at("crashes"), &crashes);
    assert!(
        output.status.success(),
        "{name}: found something, kept in {}\n{end}",
        crashes.display()
    );
    assert!(
        !said.contains("no interesting inputs"),
        "not instrumented:\n{end}"
    );
    let covered = number(&said, " cov: ").expect("libFuzzer counts what it covers");
    let tried =
        number(&said, "stat::number_of_executed_units:").expect("libFuzzer counts its tries");
    assert!(
        covered > 20 && tried > 50,
        "{name} tried {tried}, covered {covered}:\n{end}"
    );
    eprintln!("{name}: {tried} inputs, {covered} edges");
}

/// The number behind the last `key`.
fn number(said: &str, key: &str) -> Option<u64> {
    let (_, rest) = said.rsplit_once(key)?;
    let digits = rest.trim_start();
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

macro_rules! targets {
    ($($test:ident: $name:literal,)*) => {$(
        #[test]
        fn $test() {
            fuzz($name);
        }
    )*

        #[test]
        fn every_target_of_the_source_is_fuzzed_here() {
            let source = fs::read_to_string(root().join("src/fuzz.rs")).expect("src/fuzz.rs");
            let known = source.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next());
            assert_eq!(known.collect::<Vec<_>>(), [$($name),*]);
        }
    };
}

targets! {
    any_line_of_authorized_keys_is_read_or_refused: "authorized_keys",
    no_certificate_option_is_ignored: "certificate",
    any_request_of_a_session_leaves_a_sound_environment: "channel",
    any_command_line_is_refused_in_words_or_a_configuration: "config",
    any_answer_to_connect_is_read_the_same_in_pieces: "connect",
    any_file_of_variables_is_read: "environment",
    host_keys_sign_for_themselves_only: "hostkeys",
    any_revocation_list_is_read_or_refused: "krl",
    any_options_field_is_read_or_refused: "options",
    no_proxy_header_names_a_source_it_does_not_spell_out: "proxy",
    any_sftp_session_gets_whole_answers: "sftp",
}
