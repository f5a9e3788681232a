"""Port forwarding: -L in both directions, and the rate at which a SOCKS client opens streams."""

import concurrent.futures
import contextlib
import multiprocessing
import socket
import time

from client import Failed, wait_for
from measure import Row, Sample
from servers import free_port

GIB = 1 << 30
AT_ONCE = 16
BLOCK = 1 << 18


def rows(bench):
    size = bench.pick(GIB // 2, GIB)
    with peers() as ports:
        for name, port, move, want in (("-L down", "source", drain, 1.4), ("-L up", "sink", pour, 1.2)):
            row = Row("forward", f"{name}, aes256-gcm", "MiB/s", cpu_unit="s/GiB", want_gain=want, want_cpu=1.0)
            run = stream(bench, ports[port], move, size)
            yield bench.compare(row, bench.pick(3, 7), run, higher=True)
        row = Row("forward", f"SOCKS opens, {AT_ONCE} at once", "1/s", cpu_unit="ms", want_gain=1.0, want_cpu=1.0)
        yield bench.compare(row, bench.pick(3, 7), opens(bench, ports["greeter"]), higher=True)


def stream(bench, port, move, size):
    def run(server):
        near = free_port()
        line = bench.client.ssh(server, "-N", "-L", f"127.0.0.1:{near}:127.0.0.1:{port}")
        with bench.client.background(line):
            wait_for(lambda: answers(near), "the forward's listener")
            seconds, cpu = bench.cpu(server, lambda: move(near, size))
        return Sample(size / 2**20 / seconds, cpu * GIB / size)

    return run


def opens(bench, port):
    def run(server):
        near, total = free_port(), bench.pick(1000, 4000)
        line = bench.client.ssh(server, "-N", "-D", f"127.0.0.1:{near}")
        with bench.client.background(line), concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            wait_for(lambda: answers(near), "the SOCKS listener")

            def burst():
                start = time.monotonic()
                for _ in pool.map(lambda _: greet(near, port), range(total)):
                    pass
                return time.monotonic() - start

            seconds, cpu = bench.cpu(server, burst)
        return Sample(total / seconds, cpu * 1000 / total)

    return run


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def drain(port, size):
    """Ask the source for `size` bytes."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as end:
        end.sendall(size.to_bytes(8, "big"))
        buffer, left = bytearray(BLOCK), size
        while left:
            got = end.recv_into(buffer)
            if not got:
                raise Failed(f"-L closed {left} bytes too early")
            left -= got
    return time.monotonic() - start


def pour(port, size):
    """Give the sink `size` bytes and wait until it has them."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as end:
        end.sendall(size.to_bytes(8, "big"))
        block = bytes(BLOCK)
        for _ in range(size // BLOCK):
            end.sendall(block)
        if end.recv(1) != b"k":
            raise Failed("-L lost bytes on the way up")
    return time.monotonic() - start


def greet(near, port):
    """One SOCKS5 open to the greeter, up to its byte."""
    with socket.create_connection(("127.0.0.1", near)) as end:
        end.sendall(b"\x05\x01\x00" + b"\x05\x01\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
        answer = b""
        while len(answer) < 13:
            got = end.recv(64)
            if not got:
                raise Failed("the SOCKS proxy closed a stream")
            answer += got


@contextlib.contextmanager
def peers():
    """What forwards lead to: a source, a sink and a greeter, each a process of its own."""
    processes, ports = [], {}
    for name, serve in (("source", serve_source), ("sink", serve_sink), ("greeter", serve_greeter)):
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        ports[name] = listener.getsockname()[1]
        process = multiprocessing.get_context("fork").Process(target=accept, args=(listener, serve), daemon=True)
        process.start()
        listener.close()
        processes.append(process)
    try:
        yield ports
    finally:
        for process in processes:
            process.terminate()
            process.join()


def accept(listener, serve):
    while True:
        end, _ = listener.accept()
        with end, contextlib.suppress(OSError):
            serve(end)


def length(end):
    header = end.recv(8, socket.MSG_WAITALL)
    return int.from_bytes(header, "big") if len(header) == 8 else 0


def serve_source(end):
    left, block = length(end), bytes(BLOCK)
    while left > 0:
        end.sendall(block[: min(BLOCK, left)])
        left -= BLOCK


def serve_sink(end):
    left, buffer = length(end), bytearray(BLOCK)
    while left > 0:
        got = end.recv_into(buffer)
        if not got:
            return
        left -= got
    end.sendall(b"k")


def serve_greeter(end):
    end.sendall(b"g")
