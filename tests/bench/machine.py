"""The machine, the versions and the load: without them no figure means anything."""

import datetime
import os
import pathlib
import platform
import re
import subprocess

from servers import Podssh, Sshd


def facts(accounts, quick):
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    vector = [name for name in ("vaes", "avx512f") if re.search(rf"^flags.*\b{name}\b", cpuinfo, re.MULTILINE)]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "mode": "quick" if quick else "full",
        "processor": f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "for ciphers": " ".join(["aes-ni", *vector]) if "aes" in cpuinfo else "unknown",
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "load before": load(),
        "sshd": said([Sshd.installed, "-V"]),
        "client": said(["ssh", "-V"]),
        "podssh": f"{said([Podssh.installed, '--version'])}, {revision()}",
        "files": "in memory (tmpfs)",
        "CPU": "a control group a server, commands apart" if accounts.grouped else "the process tree, commands included",
        "scheduling": "all in one group" if accounts.weighed else "as the system does (each sshd session in a group of its own)",
    }


def load():
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def said(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "OpenSSH" in line or "podssh" in line]
    return lines[0].strip() if lines else "unknown"


def revision():
    directory = pathlib.Path(__file__).parent
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=directory)
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "no commit"
