"""The echo of a keystroke through a terminal, alone and beside bulk transfers.

A program with a terminal that echoes (the kernel does it at once), reached by the OpenSSH client over
a shared connection; one character is sent and awaited at a time, with a pause between."""

import contextlib
import random
import select
import time

from client import Failed, wait_for
from measure import Row, Sample, fill, quantile

# A shared connection of a client without a terminal switches every mode off.
PROGRAM = "stty sane -icanon; echo ready; exec cat > /dev/null"
DOWN = "exec cat /dev/zero"
UP = "exec cat > /dev/null"
CASES = [
    ("idle", None, None),
    ("beside bulk down, same connection", DOWN, True),
    ("beside bulk up, same connection", UP, True),
    ("beside bulk down, other connection", DOWN, False),
    ("beside bulk up, other connection", UP, False),
]


def rows(bench):
    for name, bulk, shared in CASES:
        p50 = Row("keystroke", f"echo {name}, p50", "us", want_gain=1.0)
        p99 = Row("keystroke", f"echo {name}, p99", "us", want_gain=1.0)
        halves, tails = {}, {}
        rounds = bench.pick(3, 6)
        try:
            for number in range(rounds):
                for server in bench.servers:
                    times = measure(bench, server, bulk, shared, bench.pick(200, 500))
                    halves.setdefault(server.name, []).append(Sample(quantile(times, 0.5) * 1e6))
                    tails.setdefault(server.name, []).append(Sample(quantile(times, 0.99) * 1e6))
        except (Failed, OSError) as error:
            p50.failed = p99.failed = f"{error}"
            yield from (p50, p99)
            continue
        yield fill(p50, halves["sshd"], halves["podssh"], higher=False)
        yield fill(p99, tails["sshd"], tails["podssh"], higher=False)


def measure(bench, server, bulk, shared, count):
    with contextlib.ExitStack() as stack:
        over = stack.enter_context(bench.client.master(server))
        terminal = stack.enter_context(bench.client.background([*over, "-tt", "workspace", PROGRAM], stdin=-1, stdout=-1))
        wait_for_ready(terminal)
        if bulk:
            line = over if shared else bench.client.ssh(server)[:-1]
            zeroes = stack.enter_context(open("/dev/zero", "rb"))
            command = bench.accounts.apart(bulk)
            stdin = {"stdin": zeroes} if bulk is UP else {}
            stack.enter_context(bench.client.background([*line, "workspace", command], **stdin))
            warm = server.account.seconds()
            wait_for(lambda: server.account.seconds() > warm + 0.2, "the bulk transfer to run")
        return echoes(terminal, count)


def wait_for_ready(terminal):
    seen = b""
    while b"ready" not in seen:
        byte = terminal.stdout.read1(64)
        if not byte:
            raise Failed("the terminal's session ended at once")
        seen += byte
    time.sleep(0.2)


def echoes(terminal, count):
    times, chance = [], random.Random(1)
    descriptor = terminal.stdout
    while select.select([descriptor], [], [], 0)[0]:
        descriptor.read1(4096)
    for _ in range(count):
        time.sleep(chance.uniform(0.002, 0.012))
        start = time.monotonic()
        terminal.stdin.write(b"x")
        terminal.stdin.flush()
        if not select.select([descriptor], [], [], 10)[0]:
            raise Failed("a keystroke got no echo for 10 s")
        if descriptor.read1(64) != b"x":
            raise Failed("the echo is not what was typed")
        times.append(time.monotonic() - start)
    return times
