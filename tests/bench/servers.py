"""The two servers under test: same user, same host key, same authorized key, loopback."""

import pathlib
import shutil
import signal
import socket
import subprocess
import time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 20.0
# Commands run by way of /bin/sh, the smallest shell. Should it be bash, this makes it take itself for
# a nested one, which reads no start-up file for a remote command: what is measured is the server.
NESTED = "2"


class Server:
    """One running server. Subclasses say how it is started."""

    name = ""
    installed = pathlib.Path()

    def __init__(self, stage, accounts, label=""):
        self.stage = stage
        self.title = self.name + label
        self.account = accounts.account(self.title)
        self.port = free_port()
        self.log = stage.path / f"{self.title}.log"
        self.process = None

    @property
    def binary(self):
        """A copy that the servers' user can reach wherever the repository is, under a name of its own:
        whoever stops every sshd or podssh on this machine by name does not mean ours."""
        copy = self.stage.path / f"{self.name[0]}-under-test"
        if not copy.exists():
            shutil.copy(self.installed, copy)
        return copy

    def command(self):
        raise NotImplementedError

    def start(self):
        """Yields seconds until the first byte of its banner."""
        start = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.stage.as_user(), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.stage.home,
                env={"PATH": PATH, "HOME": str(self.stage.home), "LANG": "C.UTF-8", "SHLVL": NESTED},
                preexec_fn=self.account.enter,
            )
        self.account.started(self.process.pid)
        while time.monotonic() - start < PATIENCE:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as probe:
                    if probe.recv(4) == b"SSH-":
                        return time.monotonic() - start
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.0005)
        raise RuntimeError(f"{self.title} does not answer on its port; its log ends:\n{self.tail()}")

    def died(self):
        """What it last said, if it ended by itself; else nothing."""
        if self.process.poll() is None:
            return ""
        return f"{self.title} ended with {self.process.returncode}: {self.tail()}"

    def tail(self):
        return self.log.read_text(errors="replace")[-1000:]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Sshd(Server):
    """Debian's, as an ordinary user: the same work as for root, minus PAM and the login records."""

    name = "sshd"
    installed = pathlib.Path(shutil.which("sshd", path=PATH) or "/usr/sbin/sshd")

    def command(self):
        config = self.stage.path / f"{self.title}.conf"
        lines = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.stage.host_keys / "ssh_host_ed25519_key",
            "AuthorizedKeysFile": self.stage.authorized_keys,
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "MaxStartups": 5000,
            "MaxSessions": 100,
            "LogLevel": "INFO",
            "SetEnv": f"SHLVL={NESTED}",
            "Subsystem": "sftp internal-sftp",
        }
        # From 9.8 on, what serves a connection is another program, not always where it was built for.
        for key, program in (("SshdSessionPath", "sshd-session"), ("SshdAuthPath", "sshd-auth")):
            own = self.installed.parents[1] / "lib/openssh" / program
            if own.exists():
                lines[key] = own
        config.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
        return [self.binary, "-D", "-e", "-f", config]


class Podssh(Server):
    """The release binary."""

    name = "podssh"
    installed = pathlib.Path(__file__).resolve().parents[2] / "target/release/podssh"

    def command(self):
        return [
            *(self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--admin-listen", "none"),
            *("--user", self.stage.user, "--home", self.stage.home, "--shell", "/bin/sh"),
            *("--authorized-keys", self.stage.authorized_keys),
            *("--host-keys", self.stage.host_keys, "--max-startups", "5000", "--log-format", "text"),
            *("--skel", "none"),
        ]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
