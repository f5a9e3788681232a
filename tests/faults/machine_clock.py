"""Moves the machine's own wall clock, as root: each line of standard input is how many seconds away from the
right time it is to be, and answered with a line once it is. It is right again at the end of the input, however
whoever wrote it has ended: right is what it was at the start and what has passed on the monotonic clock since."""

import signal
import sys
import time

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_IGN)


def elapsed():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


start, right = elapsed(), time.clock_gettime_ns(time.CLOCK_REALTIME)


def move(seconds):
    time.clock_settime_ns(time.CLOCK_REALTIME, right + elapsed() - start + seconds * 10**9)


try:
    for line in sys.stdin:
        move(int(line))
        print("moved", flush=True)
finally:
    move(0)
