#!/usr/bin/env python3
"""Usage: own_clock.py OFFSET-FILE PROGRAM ARG...

Runs PROGRAM, in this very process, with a wall clock of its own: what it asks for as CLOCK_REALTIME is the
machine's time plus the seconds that OFFSET-FILE holds at that moment, so that writing the file is a jump of the
clock, and no other program's. The monotonic clock is the machine's, as it is when somebody sets the time.

A static program asks the kernel's shared page for the time, not the kernel. So that page is hidden from it (an
entry of its auxiliary vector is voided before its first instruction), and the system call, which it makes then,
is answered by a helper (seccomp's user notification). No privilege is needed.
"""

import ctypes
import os
import platform
import select
import socket
import struct
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long] * 4
# Numbers of the machine: its AUDIT_ARCH, and the calls seccomp, clock_gettime, gettimeofday and time (x86 only).
AUDIT, SECCOMP, CLOCK_GETTIME, GETTIMEOFDAY, TIME = {
    "x86_64": (0xC000003E, 317, 228, 96, 201),
    "aarch64": (0xC00000B7, 277, 113, 169, None),
}[platform.machine()]
SET_DUMPABLE, NO_NEW_PRIVS, SET_PTRACER = 4, 38, 0x59616D61
SEIZE, DETACH, TRACE_EXEC = 0x4206, 17, 1 << 4
SYSINFO_EHDR, IGNORE = 33, 1
# _IOWR('!', 0, struct seccomp_notif), _IOWR('!', 1, struct seccomp_notif_resp), _IOW('!', 2, u64)
RECEIVE, ANSWER, VALID = 0xC0502100, 0xC0182101, 0x40082102
REALTIME = (0, 5)  # CLOCK_REALTIME and its coarse twin


def done(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def listener():
    """A filter for this process and what it becomes; the descriptor on which its calls are announced."""
    load, equal, ret = 0x20, 0x15, 0x06
    allow, notify = 0x7FFF0000, 0x7FC00000
    # The machine at offset 4, the call at 0, the low half of its first argument at 16.
    code = [(load, 0, 0, 4), (equal, 0, 8, AUDIT), (load, 0, 0, 0)]
    code += [(equal, 5, 0, GETTIMEOFDAY), (equal, 4, 0, TIME or GETTIMEOFDAY), (equal, 0, 4, CLOCK_GETTIME)]
    code += [(load, 0, 0, 16), (equal, 1, 0, REALTIME[0]), (equal, 0, 1, REALTIME[1])]
    code += [(ret, 0, 0, notify), (ret, 0, 0, allow)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    whole = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program)))
    done(LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    return done(LIBC.syscall(SECCOMP, 1, 1 << 3, whole), "a seccomp filter")


def hide_shared_page(pid):
    """Voids AT_SYSINFO_EHDR of a process that is stopped at its exec."""
    stat = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    at = int(stat[28 - 3])  # startstack: argc, arguments, 0, environment, 0, the vector
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        def word(address):
            return struct.unpack("Q", os.pread(memory.fileno(), 8, address))[0]
        at += 8 * (word(at) + 2)
        while word(at):
            at += 8
        at += 8
        while word(at) != SYSINFO_EHDR:
            assert word(at) != 0, "no shared page to hide"
            at += 16
        os.pwrite(memory.fileno(), struct.pack("Q", IGNORE), at)


def answer(notifications, offset_file):
    """Answers one call with another time."""
    asked = ctypes.create_string_buffer(80)
    if LIBC.ioctl(notifications, RECEIVE, asked) < 0:
        return  # who asked has been killed meanwhile
    ident, pid, _, call = struct.unpack_from("QIIi", asked)
    arguments = struct.unpack_from("6Q", asked, 32)
    now = time.time_ns() + int(float(open(offset_file).read() or 0) * 1e9)
    value = 0
    if call == CLOCK_GETTIME:
        address, data = arguments[1], struct.pack("qq", *divmod(now, 10**9))
    elif call == GETTIMEOFDAY:
        address, data = arguments[0], struct.pack("qq", now // 10**9, now // 1000 % 10**6)
    else:
        value = now // 10**9
        address, data = arguments[0], struct.pack("q", value)
    try:
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            if LIBC.ioctl(notifications, VALID, ctypes.byref(ctypes.c_uint64(ident))) < 0:
                return
            if address:
                os.pwrite(memory.fileno(), data, address)
    except OSError:
        return
    LIBC.ioctl(notifications, ANSWER, struct.pack("QqiI", ident, value, 0, 0))


def serve(pid, ours, offset_file):
    done(LIBC.ptrace(SEIZE, pid, 0, TRACE_EXEC), "to trace the program")
    ours.send(b"s")
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    notifications = descriptors[0]
    os.waitpid(pid, 0x40000000)  # __WALL: the stop at its exec
    hide_shared_page(pid)
    done(LIBC.ptrace(DETACH, pid, 0, 0), "to let it go")
    poll = select.poll()
    poll.register(notifications, select.POLLIN)
    while all(not event & select.POLLHUP for _, event in poll.poll()):
        answer(notifications, offset_file)


def main():
    offset_file, program = sys.argv[1], sys.argv[2:]
    ours, its = socket.socketpair()
    pid = os.getpid()
    LIBC.prctl(SET_PTRACER, -1, 0, 0, 0)  # where Yama asks for it
    # The helper is nobody's child: the program is to find none that it has not started.
    if os.fork() == 0:
        if os.fork() != 0:
            os._exit(0)
        its.close()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.setsid()
        serve(pid, ours, offset_file)
        os._exit(0)
    os.wait()
    ours.close()
    its.recv(1)
    socket.send_fds(its, [b"n"], [listener()])
    its.close()
    os.closerange(3, 1 << 16)
    os.execv(program[0], program)


main()
