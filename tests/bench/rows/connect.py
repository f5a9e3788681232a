"""From the start of ssh to the first byte of a command's output, one by one and 16 at once."""

import concurrent.futures
import subprocess
import time

from client import Failed
from measure import Row, Sample

AT_ONCE = 16


def rows(bench):
    serial = bench.pick(20, 50)
    row = Row("connect", "connect to first byte, one at a time", "ms", cpu_unit="ms", want_gain=1 / 0.16, want_cpu=0.12)
    row.note = "the ssh client's own start included; CPU without the command"
    yield bench.compare(row, serial, lambda server: one(bench, server), higher=False)
    row = Row("connect", f"connections, {AT_ONCE} at once", "1/s", cpu_unit="ms", want_gain=2.5, want_cpu=0.12)
    yield bench.compare(row, bench.pick(2, 5), lambda server: many(bench, server), higher=True)


def one(bench, server):
    seconds, cpu = bench.cpu(server, lambda: first_byte(bench, server))
    return Sample(seconds * 1000, cpu * 1000)


def first_byte(bench, server):
    line = bench.client.ssh(server, command=bench.accounts.apart("echo x; exit 0"))
    start = time.monotonic()
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        byte = process.stdout.read(1)
        took = time.monotonic() - start
    if byte != b"x" or process.returncode != 0:
        raise Failed(f"ssh ended with {process.returncode}")
    return took


def many(bench, server):
    total = bench.pick(96, 320)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:

        def burst():
            start = time.monotonic()
            for _ in pool.map(lambda _: first_byte(bench, server), range(total)):
                pass
            return time.monotonic() - start

        seconds, cpu = bench.cpu(server, burst)
    return Sample(total / seconds, cpu * 1000 / total)
