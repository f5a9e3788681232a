"""Runs in alternating pairs, and what comes out of them."""

import dataclasses
import statistics
import subprocess
import time

from client import Failed


# Two runs of one thing differ by this much: a ratio so close to 1 says nothing.
NOISE = 0.05


@dataclasses.dataclass
class Sample:
    """One run: what it took or moved, and the server's CPU seconds in the row's unit."""

    value: float
    cpu: float | None = None


@dataclasses.dataclass
class Row:
    """One line of the table. `gain` is how many times better podssh is (above 1 is better), `cpu`
    podssh's CPU as a share of sshd's (below 1 is better): medians over pairs, not ratios of medians."""

    part: str
    name: str
    unit: str
    sshd: float | None = None
    podssh: float | None = None
    gain: float | None = None
    cpu_unit: str = ""
    sshd_cpu: float | None = None
    podssh_cpu: float | None = None
    cpu: float | None = None
    pairs: int = 0
    want_gain: float | None = None
    want_cpu: float | None = None
    note: str = ""
    failed: str = ""

    @property
    def verdict(self):
        if self.failed:
            return "could not run"
        if self.gain is None and self.cpu is None:
            return ""
        short = self.want_gain is not None and self.gain is not None and self.gain < self.want_gain
        dear = self.want_cpu is not None and self.cpu is not None and self.cpu > self.want_cpu
        if self.gain is not None and self.gain < 1 - NOISE:
            return "slower"
        if self.gain is not None and self.gain < 1:
            return "even"
        return "below target" if short or dear else "ok"


class Bench:
    """What rows get: both servers, the client, and how thorough to be."""

    def __init__(self, stage, accounts, servers, client, quick):
        self.stage, self.accounts, self.client, self.quick = stage, accounts, client, quick
        self.sshd, self.podssh = servers
        self.servers = servers

    def pick(self, quick, full):
        return quick if self.quick else full

    def cpu(self, server, work):
        """`work`'s result with the CPU seconds the server spent on it, its children gone."""
        before = server.account.seconds()
        result = work()
        settle(server)
        return result, server.account.seconds() - before

    def compare(self, row, pairs, run, *, higher):
        """Fill `row` by `run(server) -> Sample`, A B A B, one warm-up each."""
        samples = {server.name: [] for server in self.servers}
        try:
            for number in range(pairs + 1):
                for server in self.servers:
                    sample = run(server)
                    if number > 0:
                        samples[server.name].append(sample)
        except (Failed, OSError, RuntimeError, subprocess.SubprocessError) as error:
            row.failed = f"{type(error).__name__}: {error}"[:600]
            return row
        return fill(row, samples["sshd"], samples["podssh"], higher=higher)


def fill(row, ours, theirs, *, higher):
    """Medians and medians of ratios of samples taken side by side; sshd's first."""
    sshd, podssh = ours, theirs
    median = statistics.median
    row.pairs = len(sshd)
    row.sshd = median(sample.value for sample in sshd)
    row.podssh = median(sample.value for sample in podssh)
    pairs = list(zip(sshd, podssh))
    if higher:
        row.gain = median(b.value / a.value for a, b in pairs)
    else:
        row.gain = median(a.value / b.value for a, b in pairs)
    if all(sample.cpu is not None for sample in sshd + podssh):
        row.sshd_cpu = median(sample.cpu for sample in sshd)
        row.podssh_cpu = median(sample.cpu for sample in podssh)
        ratios = [b.cpu / a.cpu for a, b in pairs if a.cpu > 0]
        row.cpu = median(ratios) if ratios else None
    return row


def settle(server, patience=2.0):
    """Wait until the server is idle: what the last client left behind is done and counted."""
    end = time.monotonic() + patience
    last = server.account.seconds()
    while time.monotonic() < end:
        time.sleep(0.05)
        now = server.account.seconds()
        if now - last < 0.0005:
            return
        last = now


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
