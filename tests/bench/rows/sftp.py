"""sftp: one large file, many small ones, a long listing, and sshfs where this machine has FUSE."""

import contextlib
import os
import shutil
import subprocess
import time

from client import Failed
from measure import Row, Sample

GIB = 1 << 30
SMALL = 5000


def rows(bench):
    far, near = bench.stage.home, bench.stage.path / "near"
    near.mkdir(exist_ok=True)
    fill(far / "large", GIB)
    fill(near / "large", GIB)
    for tree in (far / "small", near / "small"):
        tree.mkdir(exist_ok=True)
        for number in range(SMALL):
            (tree / f"file-{number:05}").write_bytes(os.urandom(4096))
    deep(far / "tree")
    bench.stage.give(far)
    large, small = bench.pick(2, 5), bench.pick(2, 5)

    def row(name, want, unit="s/GiB"):
        return Row("sftp", name, "s", cpu_unit=unit, want_gain=want[0], want_cpu=want[1])

    yield batch(bench, row("get 1 GiB", (1.6, 0.5)), large, f"get {far}/large {near}/copy")
    yield batch(bench, row("put 1 GiB", (1.6, 0.5)), large, f"put {near}/large {far}/copy", far / "copy")
    yield batch(bench, row("get 5,000 x 4 KiB", (1.5, None), "s"), small, f"get -r {far}/small {near}/copies")
    yield batch(bench, row("put 5,000 x 4 KiB", (1.5, None), "s"), small, f"put -r {near}/small {far}/copies", far / "copies")
    listing = "".join(f"ls -la {far}/tree/{name}\n" for name in sorted(os.listdir(far / "tree")))
    yield batch(bench, row("ls -la of 200 directories, 20,000 files", (2.5, None), "s"), bench.pick(3, 7), listing)
    yield mounted(bench, row("sshfs read 1 GiB", (1.0, None)), read, 1)
    yield mounted(bench, row("sshfs write 256 MiB", (1.0, None)), write, 4)
    yield mounted(bench, row("sshfs find over 20,000 files", (1.0, None), "s"), find, 1)


def batch(bench, row, pairs, commands, target=None):
    def run(server):
        if target:
            remove(target)
        for name in ("copy", "copies"):
            remove(bench.stage.path / "near" / name)
        seconds, cpu = bench.cpu(server, lambda: bench.client.sftp(server, commands))
        return Sample(seconds, cpu)

    return bench.compare(row, pairs, run, higher=False)


def mounted(bench, row, work, scale):
    missing = why_no_fuse()
    if missing:
        row.failed = missing
        return row

    def run(server):
        with sshfs(bench, server) as root:
            seconds, cpu = bench.cpu(server, lambda: work(bench, root))
            return Sample(seconds, cpu * scale)

    return bench.compare(row, bench.pick(1, 3), run, higher=False)


def why_no_fuse():
    if not shutil.which("sshfs"):
        return "no sshfs: run scripts/install bench"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened: this machine or user has no FUSE"
    return None


@contextlib.contextmanager
def sshfs(bench, server):
    point = bench.stage.path / f"mount-{server.title}"
    point.mkdir(exist_ok=True)
    line = bench.client.line("sshfs", server, "-o", "dcache_timeout=1")
    bench.client.run(line + [f"workspace:{bench.stage.home}", point], stdout=subprocess.DEVNULL)
    try:
        yield point
    finally:
        subprocess.run(["fusermount3", "-u", "-z", point], check=False, stderr=subprocess.DEVNULL)
        time.sleep(0.2)


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


def read(_bench, root):
    return timed(lambda: subprocess.run(["cat", root / "large"], stdout=subprocess.DEVNULL, check=True))


def write(bench, root):
    remove(bench.stage.home / "written")
    command = ["dd", "if=/dev/zero", f"of={root / 'written'}", "bs=1M", "count=256", "status=none"]
    return timed(lambda: subprocess.run(command, check=True))


def find(_bench, root):
    command = ["find", root / "tree", "-type", "f", "-size", "+100k"]
    return timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))


def fill(path, size):
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(block)


def deep(root):
    """200 directories of 100 small files."""
    if root.exists():
        return
    for directory in range(200):
        (root / f"directory-{directory:03}").mkdir(parents=True)
        for file in range(100):
            (root / f"directory-{directory:03}" / f"file-{file:03}").write_bytes(b"x" * 512)
    if not root.exists():
        raise Failed("no tree")


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
