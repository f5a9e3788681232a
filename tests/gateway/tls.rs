//! TLS on 443 beside plain CONNECT on 80: the listeners of manifests/gateway/auth on a real Envoy, with
//! certificates in the form a Secret mount has.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::clients::megabyte;
use crate::envoy::{Envoy, WORKSPACE, replace};
use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, binary};
use crate::harness::process::{PATIENCE, eventually, run};
use crate::harness::tools::python;
use crate::session::Session;

const TLS: &str = include_str!("../../manifests/gateway/auth/tls/listener.yaml");
const SERVER: &str = include_str!("../../manifests/gateway/auth/wiring/server.yaml");
const CLIENTS: &str = include_str!("../../manifests/gateway/auth/wiring/clients.yaml");

/// Certificates, keys and tokens: see pki.py.
pub(crate) struct Pki(TempDir);

impl Pki {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/pki.py");
        let mut command = Command::new(python());
        let output = run(command.arg(script).arg(directory.path()), b"", PATIENCE);
        assert!(output.status.success(), "{output:?}");
        Self(directory)
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        assert!(path.exists(), "pki.py makes no {name}");
        path
    }

    /// The same as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// The shipped gateway with one further listener, which speaks TLS.
pub(crate) struct Door {
    pub(crate) envoy: Envoy,
    /// `127.0.0.1:PORT` of that listener.
    pub(crate) address: String,
    pub(crate) pki: Pki,
    secret: TempDir,
}

impl Door {
    /// In front of one daemon, with a `listener.yaml` that `change` may still change.
    #[track_caller]
    pub(crate) fn before(
        daemon: &Daemon,
        listener: &str,
        change: impl FnOnce(String, &Pki) -> String,
    ) -> Self {
        let pki = Pki::new();
        let secret = tempfile::tempdir().expect("a temp dir");
        let here = secret.path();
        for name in ["tls", "sds"] {
            fs::create_dir(here.join(name)).expect("a directory");
        }
        let place = |text: &str, name: &str| {
            let path = here.join(name);
            replace(
                text,
                &format!("/etc/envoy-{name}"),
                path.to_str().expect("UTF-8"),
            )
        };
        for (file, text) in [("server.yaml", SERVER), ("clients.yaml", CLIENTS)] {
            fs::write(here.join("sds").join(file), place(text, "tls")).expect(file);
        }
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(file), here.join("tls").join(file)).expect(file);
        }
        write_secret(here, &pki, "server");
        let listener = replace(
            &place(listener, "sds"),
            "0.0.0.0, port_value: 8443",
            "127.0.0.1, port_value: 0",
        );
        let listener = change(listener, &pki);
        let workspaces = [(WORKSPACE, daemon.address.as_str())];
        let envoy = Envoy::start(&workspaces, str::to_owned, &["--config-yaml", &listener]);
        let address = envoy.listener("ssh_connect_tls");
        Self {
            envoy,
            address,
            pki,
            secret,
        }
    }

    /// `podssh connect` through it, with more flags.
    pub(crate) fn connect(&self, flags: &str) -> String {
        let (_, port) = self.address.rsplit_once(':').expect("HOST:PORT");
        let authority = self.pki.text("authority.crt");
        let podssh = binary();
        format!(
            "{} connect --gateway https://localhost:{port} --gateway-ca {authority} {flags}",
            podssh.display()
        )
    }

    /// ssh by `podssh connect` through it, with more flags.
    pub(crate) fn client(&self, daemon: &Daemon, flags: &str) -> Client {
        self.envoy
            .client(daemon, &format!("{} %h %p", self.connect(flags)))
    }

    /// What `podssh connect` with `flags` says when it is not let through, for want of a right.
    #[track_caller]
    pub(crate) fn refuses(&self, flags: &str) -> String {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("exec {} {WORKSPACE} 80", self.connect(flags)),
        ]);
        let output = run(&mut command, b"", PATIENCE);
        assert_eq!(output.status.code(), Some(77), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    }

    /// Replaces the certificate as the kubelet replaces a Secret.
    fn renew(&self, name: &str) {
        write_secret(self.secret.path(), &self.pki, name);
    }
}

fn write_secret(here: &Path, pki: &Pki, name: &str) {
    let (tls, version) = (here.join("tls"), here.join("tls").join(name));
    fs::create_dir(&version).expect("a version of the Secret");
    for (file, from) in [
        ("tls.crt", format!("{name}.crt")),
        ("tls.key", format!("{name}.key")),
        ("ca.crt", "clients.crt".to_owned()),
    ] {
        fs::copy(pki.path(&from), version.join(file)).expect(file);
    }
    symlink(name, tls.join("..data_tmp")).expect("a link");
    fs::rename(tls.join("..data_tmp"), tls.join("..data")).expect("..data");
}

/// ssh by `client` tells the exit status and returns every byte.
#[track_caller]
pub(crate) fn carries_ssh(client: &Client) {
    let output = client.ssh(["exit 42"]);
    assert_eq!(output.status.code(), Some(42), "{output:?}");
    let data = megabyte();
    let output = client.ssh_with(["cat"], &data);
    assert!(
        output.stdout == data,
        "{} bytes came back",
        output.stdout.len()
    );
}

#[test]
fn tls_on_443_stands_beside_plain_connect_on_80() {
    let daemon = Daemon::start(|_| ());
    let door = Door::before(&daemon, TLS, |listener, _| listener);
    carries_ssh(&door.client(&daemon, ""));
    carries_ssh(&door.envoy.client_by_nc(&daemon));
}

#[test]
fn megabytes_pass_both_ways_at_once_through_tls() {
    let daemon = Daemon::start(|_| ());
    let door = Door::before(&daemon, TLS, |listener, _| listener);
    let data = megabyte().repeat(20);
    let output = door.client(&daemon, "").ssh_with(["cat"], &data);
    assert!(
        output.stdout == data,
        "{} bytes came back",
        output.stdout.len()
    );
}

#[test]
fn other_clients_speak_tls_to_the_gateway_too() {
    let daemon = Daemon::start(|_| ());
    let door = Door::before(&daemon, TLS, |listener, _| listener);
    let (address, authority) = (&door.address, door.pki.text("authority.crt"));
    let proxytunnel = format!("proxytunnel -q -E -C {authority} -p {address} -d %h:%p");
    carries_ssh(&door.envoy.client(&daemon, &proxytunnel));
    let openssl = format!(
        r#"sh -c '{{ printf "CONNECT %h:%p HTTP/1.1\r\nHost: %h:%p\r\n\r\n"; exec cat; }} | openssl s_client -quiet -verify_return_error -CAfile {authority} -connect {address} 2>/dev/null'"#
    );
    carries_ssh(&door.envoy.client(&daemon, &openssl));
}

#[test]
fn a_renewed_certificate_closes_no_session() {
    let daemon = Daemon::start(|_| ());
    let door = Door::before(&daemon, TLS, |listener, _| listener);
    let client = door.client(&daemon, "");
    let mut session = Session::open(&client);
    door.renew("renewed");
    eventually("Envoy shows the new certificate", PATIENCE, || {
        let mut openssl = Command::new("openssl");
        let output = run(
            openssl.args(["s_client", "-connect", &door.address]),
            b"",
            PATIENCE,
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.contains("gateway, renewed").then_some(())
    });
    assert!(session.echoes(), "the session that was open lives on");
    assert!(Session::open(&client).echoes(), "and new ones come");
}
