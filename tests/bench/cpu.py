"""CPU seconds of a server and everything it started, alive or gone, and apart from that the CPU of
the commands it ran for a client.

With root: one control group a server, and one more that a command moves into by itself, so that only
the server's own work is counted. Without: the process tree, in which commands count as well."""

import contextlib
import os
import pathlib
import time

TICK = os.sysconf("SC_CLK_TCK")
NAME = "bench"
# More than one terminal's worth: the machine may be busy with other things.
WEIGHT = "4096"


class Tree:
    """The process tree below one pid, as /proc tells it."""

    exact = False
    prefix = ""

    def __init__(self, _name):
        self.pid = None

    def enter(self):
        return None

    def started(self, pid):
        self.pid = pid

    def seconds(self):
        return sum(self.process(pid) for pid in descendants(self.pid))

    @staticmethod
    def process(pid):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(int(field) for field in fields[11:15]) / TICK  # with reaped children

    def close(self):
        pass


class Group:
    """A control group, of version 1 (cpuacct) or 2."""

    exact = True
    base = None

    def __init__(self, name, owner):
        self.path = self.base / name
        self.path.mkdir(exist_ok=True)
        self.procs = self.path / "cgroup.procs"
        os.chown(self.procs, owner, -1)

    @classmethod
    def available(cls, owner):
        if os.geteuid() != 0:
            return False
        for root in ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"):
            root = pathlib.Path(root)
            if (root / "cpuacct.usage").exists() or (root / "cgroup.controllers").exists():
                with contextlib.suppress(OSError):
                    cls.base = root / f"{NAME}-{os.getpid()}"
                    cls.base.mkdir()
                    os.chown(cls.base / "cgroup.procs", owner, -1)
                    return True
        return False

    def enter(self):
        """For the process that will be measured, before it starts anything."""
        self.procs.write_text("0")

    def started(self, _pid):
        pass

    def seconds(self):
        usage = self.path / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        for line in (self.path / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
        raise OSError(f"{self.path} counts no CPU time")

    def close(self):
        for _ in range(50):
            with contextlib.suppress(OSError):
                self.path.rmdir()
                return
            time.sleep(0.1)


class Accounts:
    """The accounts of a run."""

    def __init__(self, owner):
        self.owner = owner
        self.grouped = Group.available(owner)
        self.open = []
        self.command = Group("command", owner) if self.grouped else None
        self.own_weight()

    def account(self, name):
        account = Group(name, self.owner) if self.grouped else Tree(name)
        self.open.append(account)
        return account

    def apart(self, command):
        """`command`, not counted as the server's work."""
        if not self.grouped:
            return command
        return f"echo 0 > {self.command.procs}; {command}"

    def own_weight(self):
        """Everything of this run in one scheduler group. Otherwise each session of each sshd would be
        one of its own (the kernel groups by setsid) and get another share of a busy machine."""
        self.weighed = None
        cpu = pathlib.Path("/sys/fs/cgroup/cpu")
        if self.grouped and (cpu / "cpu.shares").exists():
            self.weighed = cpu / f"{NAME}-{os.getpid()}"
            self.weighed.mkdir()
            (self.weighed / "cpu.shares").write_text(WEIGHT)
            (self.weighed / "cgroup.procs").write_text("0")

    def close(self):
        for account in self.open:
            account.close()
        if self.weighed:
            (self.weighed.parent / "cgroup.procs").write_text("0")
            for pid in self.weighed.joinpath("cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (self.weighed.parent / "cgroup.procs").write_text(pid)
            with contextlib.suppress(OSError):
                self.weighed.rmdir()
        if self.grouped:
            self.command.close()
            with contextlib.suppress(OSError):
                Group.base.rmdir()


def descendants(pid):
    """`pid` and every process below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found
