"""A program's output and input in bulk, cipher by cipher. The program's own CPU is not counted."""

from measure import Row, Sample

GIB = 1 << 30
CIPHERS = [
    ("aes256-gcm", "aes256-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com", (1.5, 0.62), (1.4, 0.62)),
    ("chacha20-poly1305", "chacha20-poly1305@openssh.com", "hmac-sha2-256-etm@openssh.com", (1.3, 0.65), (1.3, 0.65)),
    ("aes128-ctr + hmac-sha2-256-etm", "aes128-ctr", "hmac-sha2-256-etm@openssh.com", (1.0, 1.0), (1.0, 1.0)),
]


def rows(bench):
    size = bench.pick(GIB // 2, GIB)
    for label, cipher, mac, down, up in CIPHERS:
        options = ["-o", f"Ciphers={cipher}", "-o", f"MACs={mac}"]
        yield transfer(bench, f"exec down, {label}", options, size, download, down)
        yield transfer(bench, f"exec up, {label}", options, size, upload, up)


def transfer(bench, name, options, size, move, want):
    row = Row("bulk", name, "MiB/s", cpu_unit="s/GiB", want_gain=want[0], want_cpu=want[1])

    def run(server):
        seconds, cpu = bench.cpu(server, lambda: move(bench, server, options, size))
        return Sample(size / 2**20 / seconds, cpu * GIB / size)

    return bench.compare(row, bench.pick(3, 7), run, higher=True)


def download(bench, server, options, size):
    command = bench.accounts.apart(f"exec head -c {size} /dev/zero")
    return bench.client.run(bench.client.ssh(server, *options, command=command))


def upload(bench, server, options, size):
    command = bench.accounts.apart("exec cat > /dev/null")
    source = bench.stage.path / f"zeroes-{size}"
    if not source.exists():
        with open(source, "wb") as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    with open(source, "rb") as stdin:
        return bench.client.run(bench.client.ssh(server, *options, command=command), stdin=stdin)
