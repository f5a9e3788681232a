"""What this machine can do at most, with no SSH server in between: not a comparison."""

import multiprocessing
import os
import re
import socket
import subprocess
import time

from measure import Row

BLOCK = 1 << 18
ITEMS = [("aes-256-gcm", "AES-256-GCM"), ("aes-128-ctr", "AES-128-CTR"), ("sha256", "SHA-256"), ("chacha20-poly1305", "ChaCha20-Poly1305")]


def rows(bench):
    for cipher, name in ITEMS:
        row = Row("limits", f"{name}, OpenSSL, one core, 32 KiB", "MiB/s")
        row.note = "limit of the machine"
        line = ["openssl", "speed", "-seconds", "1", "-bytes", "32768", "-mr", "-evp", cipher]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        speed = re.search(r"^\+F:\d+:[^:]+:([\d.]+)$", done.stdout, re.MULTILINE)
        if speed:
            row.podssh = float(speed[1]) / 2**20
        else:
            row.failed = f"openssl speed: {done.stderr.strip()[-200:]}"
        yield row
    size = bench.pick(1 << 30, 4 << 30)
    yield Row("limits", "loopback TCP, one stream", "MiB/s", podssh=loopback(size), note="limit of the machine")
    yield Row("limits", "pipe, 64 KiB", "MiB/s", podssh=pipe(size), note="limit of the machine")


def loopback(size):
    listener = socket.create_server(("127.0.0.1", 0))
    child = fork(lambda: send_all(socket.create_connection(listener.getsockname()), size))
    end, _ = listener.accept()
    with end:
        speed = drain(lambda buffer: end.recv_into(buffer), size)
    child.join()
    listener.close()
    return speed


def pipe(size):
    reader, writer = os.pipe()

    def write():
        block, left = bytes(1 << 16), size
        while left > 0:
            left -= os.write(writer, block)

    child = fork(write)
    os.close(writer)
    with open(reader, "rb", buffering=0) as end:
        speed = drain(end.readinto, size)
    child.join()
    return speed


def send_all(end, size):
    block = bytes(BLOCK)
    with end:
        for _ in range(size // BLOCK):
            end.sendall(block)


def drain(read, size):
    buffer, left, start = bytearray(BLOCK), size, time.monotonic()
    while left > 0:
        got = read(buffer)
        if not got:
            raise OSError("ended too early")
        left -= got
    return size / 2**20 / (time.monotonic() - start)


def fork(work):
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process
