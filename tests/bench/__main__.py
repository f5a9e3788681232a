"""podssh against OpenSSH's sshd: `make bench`, `make bench QUICK=1`, `make bench ONLY=bulk,sftp`,
`make bench SSHD=10`.

Prints each row as it is done and writes RESULTS.md and results.json (a run of some parts only writes
them below target/bench). Ends with 1 if a row could not run: nothing is left out in silence."""

import argparse
import pathlib
import signal
import subprocess
import sys

import machine
import stage
import table
from client import Client
from cpu import Accounts
from measure import Bench
from rows import PARTS
from servers import Podssh, Sshd

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller runs")
    parser.add_argument("--only", default="", help="parts, separated by commas")
    parser.add_argument("--sshd10", action="store_true", help="against OpenSSH 10; its table is RESULTS-sshd10.md")
    options = parser.parse_args()
    wanted = [part for part in options.only.split(",") if part] or list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not Podssh.installed.exists():
        sys.exit("bench: target/release/podssh is missing: run 'make build'")
    stage.enter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what cleans up
    place = stage.Stage()
    if options.sshd10:
        newer = place.path / "openssh10"
        subprocess.run([HERE.parents[1] / "scripts/openssh10", newer], check=True, stdout=subprocess.DEVNULL)
        Sshd.installed = newer / "usr/sbin/sshd"
    accounts = Accounts(place.uid)
    servers = [Sshd(place, accounts), Podssh(place, accounts)]
    rows = []
    facts = machine.facts(accounts, options.quick)
    try:
        for server in servers:
            server.start()
        bench = Bench(place, accounts, servers, Client(place), options.quick)
        for part in wanted:
            for row in PARTS[part].rows(bench):
                rows.append(row)
                print(table.line(row), flush=True)
                dead = [said for server in servers if (said := server.died())]
                if dead:
                    sys.exit(f"bench: {dead[0]}")
    finally:
        for server in servers:
            server.stop()
        accounts.close()
        place.remove()
    facts["load after"] = machine.load()
    directory = HERE
    if len(wanted) < len(PARTS):
        directory = HERE.parents[1] / "target/bench"
        directory.mkdir(parents=True, exist_ok=True)
    name = "-sshd10" if options.sshd10 else ""
    table.write(directory, facts, rows, name)
    failed = [row for row in rows if row.failed]
    print(f"{len(rows)} rows, {len(failed)} could not run; {directory / f'RESULTS{name}.md'}")
    return 1 if failed else 0


sys.exit(main())
