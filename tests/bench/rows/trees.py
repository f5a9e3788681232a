"""rsync of a tree of 20,000 small files, and the second, empty, run over it."""

import shutil

from measure import Row, Sample
from rows.sftp import deep


def rows(bench):
    deep(bench.stage.home / "tree")
    bench.stage.give(bench.stage.home)
    if not shutil.which("rsync"):
        yield Row("rsync", "rsync -a of 20,000 files", "s", failed="no rsync: run scripts/install bench")
        return
    for name, fresh in (("rsync -a of 20,000 files", True), ("rsync -a with nothing to do", False)):
        row = Row("rsync", name, "s", cpu_unit="s", want_gain=1.0)
        yield bench.compare(row, bench.pick(2, 5), lambda server: sync(bench, server, fresh), higher=False)


def sync(bench, server, fresh):
    target = bench.stage.path / "near-tree"
    if fresh:
        shutil.rmtree(target, ignore_errors=True)
    shell = " ".join(str(part) for part in bench.client.line("ssh", server))
    # The far rsync counts as a command, not as the server.
    far = bench.accounts.apart("rsync")
    source = f"workspace:{bench.stage.home}/tree/"
    line = ["rsync", "-a", "-e", shell, f"--rsync-path={far}", source, target]
    seconds, cpu = bench.cpu(server, lambda: bench.client.run(line))
    return Sample(seconds, cpu)
