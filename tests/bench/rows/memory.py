"""Memory of the server for connections that have logged in, have a terminal and do nothing: what they
add to its proportional set size. The commands' own memory is not counted."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time

import cpu
from client import Failed
from measure import Row

HELPER = pathlib.Path(__file__).resolve().parents[1] / "idle.py"
SSHD_AT_MOST = 500


def rows(bench):
    for count in bench.pick([50], [50, 500, 2000]):
        row = Row("memory", f"per idle session, {count:,} connections", "KiB")
        row.want_gain = 1 / 0.05
        try:
            row.podssh = per_session(bench, type(bench.podssh), count)
            if count <= SSHD_AT_MOST:
                row.sshd = per_session(bench, type(bench.sshd), count)
                row.gain = row.sshd / row.podssh
                row.pairs = 1
            else:
                row.note = f"sshd not run: it would be {2 * count:,} processes"
        except (Failed, OSError, RuntimeError) as error:
            row.failed = f"{error}"[:600]
        yield row


def per_session(bench, kind, count):
    """On a server of its own: nothing that ran before counts."""
    server = kind(bench.stage, bench.accounts, label=f"-idle-{count}")
    server.start()
    try:
        before = pss(server)
        with idle(bench, server, count):
            time.sleep(1)
            return (pss(server) - before) / count
    finally:
        server.stop()


@contextlib.contextmanager
def idle(bench, server, count):
    command = [sys.executable, HELPER, str(server.port), bench.stage.user, bench.stage.identity, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as helper:
        try:
            if helper.stdout.readline() != b"ready\n":
                raise Failed(f"idle.py: {helper.stderr.read().decode(errors='replace')[-400:]}")
            yield
        finally:
            helper.stdin.close()
            helper.wait(60)


def pss(server):
    """KiB, over the server's own processes."""
    total = 0
    for pid in cpu.descendants(server.process.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if os.readlink(f"/proc/{pid}/exe").split("/")[-1] == server.binary.name:
                rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total
