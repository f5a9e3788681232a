//! The two servers: a podssh of the harness, and an sshd of the same user with the same keys.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, generate_key, user, write_secret};
use crate::harness::process::{Background, PATIENCE, eventually};

/// Gives sshd a passwd entry for the user without touching the machine's.
const NSS_WRAPPER: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/libnss_wrapper.so",
    "/usr/lib/aarch64-linux-gnu/libnss_wrapper.so",
];

/// Without it xauth complains about its absence, each by the name the server calls it by.
const XAUTHORITY: &str = ".Xauthority";

/// What podssh accepts from clients by default, in sshd's words; and the limits podssh sets itself.
const SSHD_CONFIG: &str = "\
UsePAM no
StrictModes no
PidFile none
Subsystem sftp internal-sftp
AcceptEnv LANG LC_* COLORTERM TERM_PROGRAM* GIT_PROTOCOL EDITOR TZ NO_COLOR
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserEnvironment yes
GatewayPorts clientspecified
MaxSessions 1000
X11Forwarding yes
LogLevel DEBUG1
";

/// Keys beside the plain one, and the options each has in authorized_keys.
const KEYS: [(&str, &str); 15] = [
    (
        "forced",
        r#"command="echo forced; echo \"original: $SSH_ORIGINAL_COMMAND\"; tty""#,
    ),
    ("forced-sftp", r#"command="internal-sftp""#),
    ("restrict", "restrict"),
    ("restrict-pty", "restrict,pty"),
    ("no-pty", "no-pty"),
    ("no-forwarding", "no-port-forwarding"),
    ("no-agent", "no-agent-forwarding"),
    ("no-rc", "no-user-rc"),
    ("permit-open", r#"permitopen="127.0.0.1:1""#),
    ("permit-listen", r#"permitlisten="127.0.0.1:*""#),
    ("permit-port", r#"permitlisten="localhost:1""#),
    (
        "environment",
        r#"environment="WHO=alice",environment="WHO=bob",environment="LANG=key""#,
    ),
    ("elsewhere", r#"from="10.9.9.9""#),
    ("here", r#"from="127.0.0.1""#),
    ("expired", r#"expiry-time="20200101""#),
];

/// One server as a case sees it.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    pub(crate) home: PathBuf,
    pub(crate) is_podssh: bool,
}

impl Server {
    /// The same client with another key of [`KEYS`].
    pub(crate) fn with_key(&self, name: &str) -> Self {
        // Several cases may use one key at once: each has a configuration of its own.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mut client = self.client.clone();
        client.identity.set_file_name(name);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let client = client.reaching(&format!("{number}_{name}"), &direct(self.address));
        let (address, home, is_podssh) = (self.address, self.home.clone(), self.is_podssh);
        Self {
            client,
            address,
            home,
            is_podssh,
        }
    }

    /// `text` without what is only this server's: its home and its port.
    pub(crate) fn neutral(&self, text: &str) -> String {
        text.replace(&self.home.display().to_string(), "~")
            .replace(&self.address.port().to_string(), "PORT")
    }
}

/// Both servers.
pub(crate) struct Pair {
    pub(crate) sshd: Server,
    pub(crate) podssh: Server,
    /// Whether sshd is OpenSSH 10 or newer.
    pub(crate) is_ten: bool,
    // In this order: a server goes before its files.
    _background: Background,
    _sshd_files: TempDir,
    _daemon: Daemon,
}

fn direct(address: SocketAddr) -> String {
    format!("  HostName {}\n  Port {}\n", address.ip(), address.port())
}

impl Pair {
    #[track_caller]
    pub(crate) fn start() -> Self {
        // Both servers inherit a file that their sessions should not have.
        let inherited = File::open("/dev/null").and_then(|file| Ok(nix::unistd::dup(file)?));
        let mut lines = String::new();
        let daemon = Daemon::start(|setup| {
            let identity = setup.identity();
            let plain = fs::read_to_string(identity.with_extension("pub")).unwrap();
            let mut files = vec![("tester", plain)];
            for (name, options) in KEYS {
                let public = generate_key(&identity.with_file_name(name));
                files.push((name, format!("{options} {public}")));
            }
            let contents: Vec<_> = files
                .iter()
                .map(|(name, line)| (*name, line.as_bytes()))
                .collect();
            write_secret(&setup.authorized_keys(), &contents);
            lines = files.iter().map(|(_, line)| line.as_str()).collect();
            fs::write(setup.home().join(XAUTHORITY), "").unwrap();
            setup.env("POD_VARIABLE", "from the pod");
            setup.args(["--motd", "/etc/motd"]);
        });
        let sshd_files = tempfile::Builder::new()
            .prefix("podssh-parity-")
            .tempdir()
            .unwrap();
        let root = sshd_files.path();
        let ids = fs::metadata(daemon.home()).unwrap();
        let (background, address) = start_sshd(root, &lines, &daemon, (ids.uid(), ids.gid()));
        drop(inherited);
        let sshd = Server {
            client: daemon.client.reaching("sshd", &direct(address)),
            address,
            home: root.join("home"),
            is_podssh: false,
        };
        let podssh = Server {
            client: daemon.client.clone(),
            address: daemon.address.parse().unwrap(),
            home: daemon.home(),
            is_podssh: true,
        };
        Self {
            sshd,
            podssh,
            is_ten: is_ten(),
            _background: background,
            _sshd_files: sshd_files,
            _daemon: daemon,
        }
    }
}

/// The sshd compared with: this machine's, or the one `PODSSH_SSHD` names, as a newer one.
fn sshd() -> PathBuf {
    env::var_os("PODSSH_SSHD").map_or_else(|| "/usr/sbin/sshd".into(), PathBuf::from)
}

/// By what it says of itself; before 9.3 only beside a complaint that it knows no such option.
fn is_ten() -> bool {
    let said = Command::new(sshd()).arg("-V").output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    let (_, version) = said.split_once("OpenSSH_").expect("a version");
    version.split('.').next().unwrap().parse::<u32>().unwrap() >= 10
}

/// From 9.8 on, what serves a connection is another program, not always where it was built for.
fn write_parts(config: &mut String, sshd: &Path) {
    let parts = sshd.ancestors().nth(2).unwrap().join("lib/openssh");
    for (key, name) in [
        ("SshdSessionPath", "sshd-session"),
        ("SshdAuthPath", "sshd-auth"),
    ] {
        let part = parts.join(name);
        if part.exists() {
            writeln!(config, "{key} {}", part.display()).unwrap();
        }
    }
}

/// An sshd with podssh's host keys that serves the user podssh serves.
#[track_caller]
fn start_sshd(
    root: &Path,
    authorized_keys: &str,
    daemon: &Daemon,
    ids: (u32, u32),
) -> (Background, SocketAddr) {
    let own = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        chown(path, Some(ids.0), Some(ids.1)).unwrap();
    };
    own(root, 0o755);
    let home = root.join("home");
    fs::create_dir(&home).unwrap();
    own(&home, 0o750);
    fs::write(home.join(XAUTHORITY), "").unwrap();
    own(&home.join(XAUTHORITY), 0o600);
    let mut config = SSHD_CONFIG.to_owned();
    writeln!(
        config,
        "AuthorizedKeysFile {}",
        root.join("authorized_keys").display()
    )
    .unwrap();
    fs::write(root.join("authorized_keys"), authorized_keys).unwrap();
    for entry in fs::read_dir(daemon.host_keys()).unwrap() {
        let from = entry.unwrap().path();
        let is_private = fs::read_to_string(&from).is_ok_and(|text| text.contains("PRIVATE KEY"));
        if is_private {
            let to = root.join(from.file_name().unwrap());
            fs::copy(&from, &to).unwrap();
            own(&to, 0o600);
            writeln!(config, "HostKey {}", to.display()).unwrap();
        }
    }
    write_accounts(root, &home, ids);
    let wrapper = NSS_WRAPPER
        .iter()
        .find(|path| Path::new(path).exists())
        .expect("libnss-wrapper is missing: run scripts/install test");

    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .unwrap();
    writeln!(config, "ListenAddress {port}").unwrap();
    write_parts(&mut config, &sshd());
    fs::write(root.join("sshd_config"), config).unwrap();
    let log = File::create(root.join("log")).unwrap();
    let sshd = sshd();
    let mut command = Command::new(&sshd);
    command
        .args(["-D", "-e", "-f"])
        .arg(root.join("sshd_config"))
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LD_PRELOAD", wrapper)
        .env("NSS_WRAPPER_PASSWD", root.join("passwd"))
        .env("NSS_WRAPPER_GROUP", root.join("group"))
        .current_dir(&home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    if nix::unistd::geteuid().is_root() {
        command.uid(ids.0).gid(ids.1);
    }
    let mut background = Background::start(&mut command);
    eventually("sshd accepts", PATIENCE, || {
        assert!(
            background.is_running(),
            "sshd ended at start:\n{}",
            fs::read_to_string(root.join("log")).unwrap_or_default()
        );
        TcpStream::connect_timeout(&port, Duration::from_secs(1)).ok()
    });
    (background, port)
}

fn write_accounts(root: &Path, home: &Path, (uid, gid): (u32, u32)) {
    let home = home.display();
    let user = user();
    let passwd = format!("{user}:x:{uid}:{gid}::{home}:/bin/bash\n");
    fs::write(root.join("passwd"), passwd).unwrap();
    let mut groups = format!("workspace:x:{gid}:\n");
    // Where terminals belong to a group, sshd must be told its name: it cannot chown.
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let terminals = mounts.lines().find(|line| line.contains(" devpts "));
    let owner =
        terminals.and_then(|line| line.split([',', ' ']).find_map(|o| o.strip_prefix("gid=")));
    if let Some(gid) = owner {
        writeln!(groups, "tty:x:{gid}:").unwrap();
    }
    fs::write(root.join("group"), groups).unwrap();
}
