"""What a server weighs before anybody connects."""

import statistics

from measure import Row, Sample
from rows.memory import pss


def rows(bench):
    yield size(bench)
    row = Row("footprint", "start to first byte of the banner", "ms", want_gain=1.0)
    yield bench.compare(row, bench.pick(5, 15), lambda server: Sample(start(bench, server) * 1000), higher=False)
    row = Row("footprint", "memory without a connection", "KiB", note="not a target: one process serves all")
    try:
        row.sshd, row.podssh = (empty(bench, server) for server in bench.servers)
    except OSError as error:
        row.failed = f"{error}"
    yield row


def size(bench):
    row = Row("footprint", "binary", "MiB", note="sshd alone, without its libraries and sftp-server")
    row.sshd, row.podssh = (server.binary.stat().st_size / 2**20 for server in bench.servers)
    return row


def start(bench, server):
    with_own_port = type(server)(bench.stage, bench.accounts, label="-start")
    try:
        return with_own_port.start()
    finally:
        with_own_port.stop()


def empty(bench, server):
    def once():
        fresh = type(server)(bench.stage, bench.accounts, label="-empty")
        try:
            fresh.start()
            return pss(fresh)
        finally:
            fresh.stop()

    return statistics.median(once() for _ in range(3))
