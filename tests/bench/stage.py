"""Where a run takes place: a private directory in memory and, for root, a mount namespace with an
unprivileged user that exists in no other, so that both servers run as the same uid and nothing on
the machine changes."""

import grp
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

NAME = "bench"
MARK = "PODSSH_BENCH_STAGE"


def enter():
    """Root only: start again in a mount namespace of our own."""
    if os.geteuid() == 0 and MARK not in os.environ:
        os.environ[MARK] = "1"
        arguments = ["unshare", "--mount", "--propagation", "private", "--"]
        os.execvp("unshare", arguments + [sys.executable, *sys.argv])


class Stage:
    """The directory of one run, its keys and its user."""

    def __init__(self):
        memory = pathlib.Path("/dev/shm")
        place = memory if os.access(memory, os.W_OK) else None
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=NAME + "-", dir=place))
        self.path.chmod(0o755)
        self.home = self.directory("home")
        if os.geteuid() == 0:
            self.uid, self.gid = make_user(self.path, self.home)
            self.user = NAME
        else:
            self.uid, self.gid = os.getuid(), os.getgid()
            self.user = pwd.getpwuid(self.uid).pw_name
        self.identity = self.key("identity")
        # Alone in its directory, which podssh watches.
        self.authorized_keys = self.directory("keys") / "authorized_keys"
        self.authorized_keys.write_text(public(self.identity))
        self.host_keys = self.directory("host_keys")
        self.key("host_keys/ssh_host_ed25519_key")
        self.give(self.home)
        self.give(self.host_keys)

    def directory(self, name):
        path = self.path / name
        path.mkdir(mode=0o755)
        return path

    def key(self, name):
        path = self.path / name
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", path]
        subprocess.run(command, check=True)
        return path

    def give(self, path):
        """Hand a file or a tree to the servers' user."""
        if os.geteuid() != 0:
            return
        os.chown(path, self.uid, self.gid)
        for directory, directories, files in os.walk(path):
            for name in directories + files:
                os.chown(os.path.join(directory, name), self.uid, self.gid, follow_symlinks=False)

    def as_user(self):
        """What comes before the command of a process of that user. It does not see what is mounted
        later: an sshfs of ours would else be a network file system on the server's own machine."""
        if os.geteuid() != 0:
            return []
        alone = ["unshare", "--mount", "--propagation", "private", "--"]
        return [*alone, "setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--"]

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def make_user(directory, home):
    """A user known in this namespace only. Its group is tty's: an sshd that is not root cannot give
    a terminal to that group, and has nothing to do when it is there already."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    uid = next(number for number in range(2000, 60000) if number not in taken)
    groups = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()}
    gid = groups.get("tty", uid)
    passwd = directory / "passwd"
    line = f"{NAME}:*:{uid}:{gid}::{home}:/bin/sh\n"
    passwd.write_text(pathlib.Path("/etc/passwd").read_text() + line)
    passwd.chmod(0o644)
    subprocess.run(["mount", "--bind", passwd, "/etc/passwd"], check=True)
    return uid, gid


def public(key):
    return key.with_suffix(".pub").read_text()
