//! The container engine, and the images built once for all tests of this binary.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

use crate::harness::process::run;

/// A build on a loaded machine, packages downloaded.
const BUILD: Duration = Duration::from_secs(1800);

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

static ENGINE: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let pid = std::process::id().to_string();
    let answer = script("container-engine", &[&pid], &[]);
    answer
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
});

/// What the workspace image is built on: an image without podssh.
pub(crate) static BASE: LazyLock<String> =
    LazyLock::new(|| script("base-image", &[], &ENGINE).trim().to_owned());

/// The program alone, as init containers run it.
pub(crate) static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let root = Path::new(ROOT);
    build_with(
        "podssh:test",
        root,
        &["--target", "podssh"],
        &[("BIN_STAGE", "prebuilt")],
    )
});

/// An image that podssh was never meant for: `alpine`, `busybox`, `musl` or `older`.
pub(crate) fn foreign(flavour: &str) -> String {
    let image = script("foreign-image", &[flavour], &ENGINE);
    image.trim().to_owned()
}

/// The workspace image, built from the Dockerfile around the release binary.
pub(crate) static IMAGE: LazyLock<String> = LazyLock::new(|| flavour("plain"));
/// The same, where jovyan may become root.
pub(crate) static SUDO: LazyLock<String> = LazyLock::new(|| flavour("sudo"));
/// The same, for a CUDA toolkit.
pub(crate) static CUDA: LazyLock<String> = LazyLock::new(|| flavour("cuda"));

fn flavour(flavour: &str) -> String {
    assert!(
        Path::new(ROOT).join("target/release/podssh").is_file(),
        "the image holds the release binary: run 'make build' first"
    );
    build(
        &tag(flavour),
        Path::new(ROOT),
        &[
            ("BASE_IMAGE", &BASE),
            ("BIN_STAGE", "prebuilt"),
            ("FLAVOUR", flavour),
        ],
    )
}

/// Of this checkout: another one's tests may share the engine.
fn tag(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    ROOT.hash(&mut hasher);
    format!("podssh-workspace-{name}:test-{:016x}", hasher.finish())
}

/// A child image of `base`: the lines of its Dockerfile after `FROM`.
#[track_caller]
pub(crate) fn child_of(base: &str, name: &str, lines: &str) -> String {
    let context = tempfile::tempdir().expect("a temp dir");
    let dockerfile = format!("FROM {base}\nUSER 0\n{lines}\nUSER 1000:100\n");
    fs::write(context.path().join("Dockerfile"), dockerfile).expect("a Dockerfile");
    build(&tag(name), context.path(), &[])
}

/// The example child image on top of it.
pub(crate) static CHILD: LazyLock<String> = LazyLock::new(|| {
    let context = Path::new(ROOT).join("image/examples/python");
    build(&tag("python"), &context, &[("BASE_IMAGE", &IMAGE)])
});

/// Runs `docker ARGS...` to its end.
#[track_caller]
pub(crate) fn docker(args: &[&str]) -> Output {
    run(command().args(args), b"", BUILD)
}

/// Runs `docker ARGS...`, insists that it succeeds, and yields its standard output without the line end.
#[track_caller]
pub(crate) fn docker_ok(args: &[&str]) -> String {
    let output = docker(args);
    assert!(output.status.success(), "docker {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

fn command() -> Command {
    let program = ENGINE
        .iter()
        .find(|(name, _)| name == "DOCKER")
        .expect("DOCKER=");
    let mut command = Command::new(&program.1);
    command
        .envs(ENGINE.iter().map(|(name, value)| (name, value)))
        .env("DOCKER_BUILDKIT", "1");
    command
}

#[track_caller]
fn build(tag: &str, context: &Path, args: &[(&str, &str)]) -> String {
    build_with(tag, context, &[], args)
}

#[track_caller]
fn build_with(tag: &str, context: &Path, options: &[&str], args: &[(&str, &str)]) -> String {
    let mut build = command();
    build.args(["build", "--progress", "plain", "--tag", tag]);
    build.args(options);
    for (name, value) in args {
        build.arg("--build-arg").arg(format!("{name}={value}"));
    }
    let output = run(build.arg(context), b"", BUILD);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "docker build {}:\n{log}",
        context.display()
    );
    tag.to_owned()
}

#[track_caller]
fn script(name: &str, args: &[&str], env: &[(String, String)]) -> String {
    let mut command = Command::new(Path::new(ROOT).join("scripts").join(name));
    command
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)));
    let output = run(&mut command, b"", BUILD);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "scripts/{name}: {}\n{stderr}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
