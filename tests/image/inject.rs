//! podssh in images that know nothing of it: brought by the init container of manifests/overlays/inject,
//! by that overlay's own commands, on a read-only root, as a user without a passwd entry.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::container::Container;
use crate::engine::{BASE, PROGRAM, docker, docker_ok, foreign};
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::harness::tools::yaml;

const USER: &str = "1000:100";
const PATCH: &str = include_str!("../../manifests/overlays/inject/stateful-set.yaml");

/// The pod of the overlay: its init container's command, the workspace's command, its variables, and
/// where the volume between them is mounted.
struct Overlay {
    install: Vec<String>,
    command: Vec<String>,
    variables: Vec<String>,
    mount: String,
}

static OVERLAY: LazyLock<Overlay> = LazyLock::new(|| {
    let documents = yaml(PATCH);
    let pod = &documents.first().expect("one object")["spec"]["template"]["spec"];
    let words = |value: &Value| -> Vec<String> {
        let words = value.as_array().expect("a list").iter();
        words.map(|word| text(word).to_owned()).collect()
    };
    let (init, workspace) = (&pod["initContainers"][0], &pod["containers"][0]);
    let variables = workspace["env"].as_array().expect("variables").iter();
    Overlay {
        install: words(&init["command"]),
        command: words(&workspace["command"]),
        variables: variables
            .map(|entry| format!("{}={}", text(&entry["name"]), text(&entry["value"])))
            .collect(),
        mount: text(&workspace["volumeMounts"][0]["mountPath"]).to_owned(),
    }
});

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// A volume as the kubelet hands it out under `fsGroup`, with podssh installed on it.
fn volume_with_podssh() -> TempDir {
    let volume = tempfile::tempdir().expect("a temp dir");
    // Tests that do not run as root keep their own uid; then the container reaches it as others.
    let mode = if chown(volume.path(), Some(0), Some(100)).is_ok() {
        0o2770
    } else {
        0o777
    };
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(mode)).expect("chmod");
    let said = install(volume.path());
    assert!(said.starts_with("installed podssh"), "{said}");
    volume
}

/// Runs the overlay's init container on `volume`, and yields what it printed.
#[track_caller]
fn install(volume: &Path) -> String {
    let mount = format!("{}:{}", volume.display(), OVERLAY.mount);
    let (program, arguments) = OVERLAY.install.split_first().expect("a command");
    let mut args = vec![
        "run",
        "--rm",
        "--user",
        USER,
        "--read-only",
        "--cap-drop",
        "ALL",
    ];
    args.extend(["--security-opt", "no-new-privileges", "--volume", &mount]);
    args.extend(["--entrypoint", program, &PROGRAM]);
    args.extend(arguments.iter().map(String::as_str));
    docker_ok(&args)
}

/// A foreign image, unmodified, as a workspace.
struct Injected {
    container: Container,
    /// The program in the container.
    podssh: String,
    _volume: TempDir,
}

#[track_caller]
fn inject(image: &str, further: &[&str]) -> Injected {
    let volume = volume_with_podssh();
    let mount = format!("{}:{}:ro", volume.path().display(), OVERLAY.mount);
    let (program, arguments) = OVERLAY.command.split_first().expect("a command");
    let mut flags = vec!["--volume", &mount, "--entrypoint", program];
    flags.extend(
        OVERLAY
            .variables
            .iter()
            .flat_map(|variable| ["--env", variable]),
    );
    flags.extend(further);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let container = Container::start_command(image, USER, &flags, &arguments);
    Injected {
        container,
        podssh: program.clone(),
        _volume: volume,
    }
}

/// What must work wherever podssh is put.
#[track_caller]
fn everything_works(workspace: &Injected) {
    commands(&workspace.container);
    shells(&workspace.container);
    files(&workspace.container);
    forwards(workspace);
}

fn commands(container: &Container) {
    assert_eq!(container.client.ssh(["exit 42"]).status.code(), Some(42));
    let output = container
        .client
        .ssh_with(["cat; echo err >&2"], b"\0\xff\n");
    assert_eq!(
        (&*output.stdout, &*output.stderr),
        (&b"\0\xff\n"[..], &b"err\n"[..])
    );
    assert_eq!(
        container.session("pwd; echo $HOME $USER; echo x > by-exec; cat by-exec"),
        "/home/jovyan\n/home/jovyan jovyan\nx"
    );
    let root = container.client.ssh(["echo x > /by-exec"]);
    assert_ne!(root.status.code(), Some(0), "read-only root");
}

fn shells(container: &Container) {
    let mut ssh = container.client.command("ssh");
    ssh.args(["-tt", "workspace", "tty; stty size; exit 7"]);
    let output = run(&mut ssh, b"", PATIENCE);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(screen.contains("/dev/pts/"), "a terminal: {output:?}");
    assert_eq!(output.status.code(), Some(7), "{screen}");
    let none: [&str; 0] = [];
    let output = container.client.ssh_with(none, b"echo I am $0\nexit 3\n");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("I am -"), "a login shell: {output:?}");
    assert_eq!(output.status.code(), Some(3));
    // ssh's own word on its standard input, and nothing of a profile that does not fit.
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let of_the_shell = |line: &&str| !line.starts_with("Pseudo-terminal will not be allocated");
    assert_eq!(complaints.lines().find(of_the_shell), None);
}

fn files(container: &Container) {
    let data: Vec<u8> = (0..1_000_000_u32).map(|i| (i >> 5) as u8).collect();
    let (up, down) = (
        container.home().with_file_name("up"),
        container.home().with_file_name("down"),
    );
    fs::write(&up, &data).expect("a file");
    let client = &container.client;
    let mut scp = client.command("scp");
    let output = run(
        scp.arg("-q").arg(&up).arg("workspace:by-scp"),
        b"",
        PATIENCE,
    );
    assert!(output.status.success(), "{output:?}");
    let batch = format!(
        "rename by-scp by-sftp\nls -l by-sftp\nget by-sftp {}\n",
        down.display()
    );
    let mut sftp = client.command("sftp");
    sftp.args(["-q", "-b", "-", "workspace"]);
    let output = run(&mut sftp, batch.as_bytes(), PATIENCE);
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(&down).expect("the download") == data);
}

fn forwards(workspace: &Injected) {
    let client = &workspace.container.client;
    let mut ssh = client.command("ssh");
    ssh.args(["-W", "localhost:2222", "workspace"]);
    let output = run(&mut ssh, b"not ssh\r\n", PATIENCE);
    let banner = output.stdout.starts_with(b"SSH-2.0-");
    assert!(banner, "a local forward by name: {output:?}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut word = [0; 5];
        stream.read_exact(&mut word)?;
        stream.write_all(&word)
    });
    let control = workspace.container.home().with_file_name("control");
    let mut master = client.command("ssh");
    master
        .arg("-M")
        .arg("-S")
        .arg(&control)
        .args(["-N", "workspace"]);
    let _master = Background::start(master.stdin(Stdio::null()).stderr(Stdio::null()));
    let ask = |what: &[&str]| -> Option<String> {
        let mut command: Command = client.command("ssh");
        command.arg("-S").arg(&control).args(what).arg("workspace");
        let output = run(&mut command, b"", PATIENCE);
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    };
    eventually("the master is connected", PATIENCE, || {
        ask(&["-O", "check"])
    });
    let remote = format!("0:127.0.0.1:{port}");
    let remote = ask(&["-O", "forward", "-R", &remote]).expect("a remote forward");
    // No image has netcat for sure; podssh connects without a gateway too.
    let command = format!(
        "echo hello | {} connect 127.0.0.1 {remote}",
        workspace.podssh
    );
    assert_eq!(workspace.container.session(&command), "hello");
    echo.join().expect("no panic").expect("the echo");
}

/// The checks that complain, as `podssh doctor --json` in a session tells.
#[track_caller]
fn complaints(workspace: &Injected) -> Vec<(String, String)> {
    let command = format!("{} doctor --json", workspace.podssh);
    let output = workspace.container.client.ssh([&command]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(report["schema"], 1);
    let code = if report["faults"] == 0 { 0 } else { 69 };
    assert_eq!(output.status.code(), Some(code), "{report:#}");
    let checks = report["checks"].as_array().expect("checks").iter();
    let wrong = checks.filter(|check| check["severity"] != "ok");
    wrong
        .inspect(|check| assert!(check["fix"].is_string(), "{check}"))
        .map(|check| {
            (
                text(&check["id"]).to_owned(),
                text(&check["found"]).to_owned(),
            )
        })
        .collect()
}

#[track_caller]
fn assert_found(complaints: &[(String, String)], check: &str, words: &str) {
    let found = complaints
        .iter()
        .any(|(id, found)| id == check && found.contains(words));
    assert!(found, "no {check} with {words:?}: {complaints:#?}");
}

#[test]
fn in_a_glibc_image() {
    let workspace = inject(&BASE, &[]);
    everything_works(&workspace);
    let complaints = complaints(&workspace);
    assert_found(&complaints, "tools.git", "git is missing");
    let of_the_home = |(check, _): &(String, String)| check.starts_with("home.");
    assert!(!complaints.iter().any(of_the_home), "{complaints:#?}");
}

#[test]
fn no_name_service_module_of_the_image_is_loaded() {
    // glibc loads what nsswitch.conf names even into a static program; this one kills who loads it.
    let directory = tempfile::tempdir().expect("a temp dir");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let path = |name: &str| directory.path().join(name);
    let source = "__attribute__((constructor)) static void loaded(void) { __builtin_trap(); }";
    fs::write(path("module.c"), source).expect("a file");
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-nostdlib", "-o"])
        .arg(path("module.so"))
        .arg(path("module.c"));
    let output = run(&mut gcc, b"", PATIENCE);
    assert!(output.status.success(), "{output:?}");
    let modules = "passwd: deadly files\ngroup: deadly files\nhosts: deadly files dns\n";
    fs::write(path("nsswitch.conf"), modules).expect("a file");
    let libraries = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let mounts = [
        format!("{}:/etc/nsswitch.conf:ro", path("nsswitch.conf").display()),
        format!(
            "{}:{libraries}/libnss_deadly.so.2:ro",
            path("module.so").display()
        ),
    ];
    let flags: Vec<_> = mounts
        .iter()
        .flat_map(|mount| ["--volume", mount])
        .collect();
    let workspace = inject(&BASE, &flags);
    // The image's own programs do load it, or nothing is shown.
    let by_the_image = workspace.container.session("getent passwd 1000; echo $?");
    assert_eq!(by_the_image, "132", "128 and SIGILL");
    files(&workspace.container);
    forwards(&workspace);
}

#[test]
fn in_an_image_of_one_static_busybox() {
    let workspace = inject(&foreign("busybox"), &[]);
    everything_works(&workspace);
    let complaints = complaints(&workspace);
    assert_found(&complaints, "libraries.glibc", "there is no glibc");
    assert_found(&complaints, "tools.bash", "bash is missing");
    let shell = workspace.container.session("echo $SHELL; ls /etc");
    assert!(shell.starts_with("/bin/sh\n"), "{shell}");
    assert!(
        !shell.contains("passwd") && !shell.contains("profile"),
        "{shell}"
    );
}

#[test]
fn in_a_musl_image() {
    let workspace = inject(&foreign("musl"), &[]);
    everything_works(&workspace);
    assert_found(&complaints(&workspace), "libraries.glibc", "musl");
    // The image's own programs are musl's: nothing of glibc came along.
    let loaders = workspace.container.session("ls /lib");
    assert!(
        loaders.starts_with("ld-musl-") && !loaders.contains('\n'),
        "{loaders}"
    );
}

#[test]
fn in_alpine_itself() {
    let workspace = inject(&foreign("alpine"), &[]);
    everything_works(&workspace);
    assert_found(&complaints(&workspace), "libraries.glibc", "musl");
    let release = workspace.container.session("cat /etc/os-release");
    assert!(release.contains("ID=alpine"), "{release}");
}

#[test]
fn in_an_image_with_an_older_glibc_than_podssh_is_built_with() {
    let workspace = inject(&foreign("older"), &[]);
    everything_works(&workspace);
    let glibc = |text: &str| -> (u32, u32) {
        let version = text.split_whitespace().last().expect("a version");
        let (major, minor) = version.split_once('.').expect("two numbers");
        let number = |text: &str| text.parse().expect("a number");
        (number(major), number(minor))
    };
    let ours = run(
        Command::new("getconf").arg("GNU_LIBC_VERSION"),
        b"",
        PATIENCE,
    );
    let ours = glibc(&String::from_utf8_lossy(&ours.stdout));
    let theirs = glibc(&workspace.container.session("getconf GNU_LIBC_VERSION"));
    assert!(theirs < ours, "{theirs:?} is not older than {ours:?}");
}

#[test]
fn names_are_asked_of_the_dns_server_there() {
    let network = Network::new();
    let other = format!("{}-other", network.0);
    let flags = ["--network", &network.0, "--network-alias", &other];
    let _other = inject(&foreign("busybox"), &flags);
    let workspace = inject(&foreign("busybox"), &["--network", &network.0]);
    let mut ssh = workspace.container.client.command("ssh");
    ssh.args(["-W", &format!("{other}:2222"), "workspace"]);
    let output = run(&mut ssh, b"not ssh\r\n", PATIENCE);
    assert!(output.stdout.starts_with(b"SSH-2.0-"), "{output:?}");

    let doctor = |name: &str| {
        let command = format!("{} doctor --resolve {name}", workspace.podssh);
        let output = workspace.container.client.ssh([&command]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = doctor(&other);
    assert!(said.contains(&format!("{other} has an address")), "{said}");
    let said = doctor("no-such-name.invalid");
    assert!(said.contains("no-such-name.invalid is not found"), "{said}");
}

/// A network with the engine's DNS server; removed on drop, after the containers.
struct Network(String);

impl Network {
    #[track_caller]
    fn new() -> Self {
        let name = format!("podssh-inject-{}", std::process::id());
        docker_ok(&["network", "create", &name]);
        Self(name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.0]);
    }
}

#[test]
fn installing_again_changes_nothing_and_failing_leaves_nothing() {
    let volume = volume_with_podssh();
    let program = volume.path().join("podssh");
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&program).expect("podssh"));
    let before = inode();
    let said = install(volume.path());
    assert!(said.ends_with("already"), "{said}");
    assert_eq!(inode(), before);
    let mode = fs::metadata(&program).expect("podssh").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);

    let into = |directory: &str, user: &str, further: &[&str]| {
        let mut args = vec!["run", "--rm", "--user", user];
        args.extend(further);
        args.extend([&**PROGRAM, "install", directory]);
        let output = docker(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = into("/full", "0", &["--tmpfs", "/full:size=1m,mode=1777"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("No space left") && said.contains("more room"),
        "{said}"
    );
    let (code, said) = into("/etc", "1000", &[]);
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("make /etc writable for uid 1000"), "{said}");
    let (code, said) = into("/none", "1000", &[]);
    assert_eq!(code, Some(66), "{said}");
    assert!(said.contains("name an existing directory"), "{said}");
}

#[test]
fn the_program_needs_no_library() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/podssh");
    let mut readelf = Command::new("readelf");
    let output = run(
        readelf
            .args(["--wide", "--program-headers", "--dynamic"])
            .arg(program),
        b"",
        PATIENCE,
    );
    let headers = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && headers.contains("DYNAMIC"),
        "{output:?}"
    );
    assert!(
        !headers.contains("INTERP") && !headers.contains("NEEDED"),
        "{headers}"
    );
}
