"""The result, as Markdown for people and JSON for programs."""

import dataclasses
import json

HEAD = """\
# podssh against OpenSSH's sshd

Written by `make bench`; do not edit. Both servers run side by side on one machine as the same user, with
the same keys, client and cipher; runs alternate, and *times better* and *CPU share* are medians over
pairs of neighbouring runs (above 1 and below 1 are better for podssh). CPU is the server's, with all its
processes; wall times on two cores are bounded by the client and by what else runs.
"""
TITLES = {
    "bulk": "A program's output and input",
    "sftp": "SFTP",
    "rsync": "rsync",
    "connect": "Connecting",
    "keystroke": "Keystrokes",
    "forward": "Port forwarding",
    "memory": "Memory",
    "gateway": "Through the gateway",
    "footprint": "Footprint",
    "limits": "Limits of this machine",
}
COLUMNS = ["", "unit", "sshd", "podssh", "times better", "target", "CPU unit", "sshd", "podssh", "CPU share", "target", "pairs", "verdict"]


def write(directory, facts, rows, name=""):
    data = {"machine": facts, "rows": [dataclasses.asdict(row) | {"verdict": row.verdict} for row in rows]}
    (directory / f"results{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    (directory / f"RESULTS{name}.md").write_text(markdown(facts, rows))


def markdown(facts, rows):
    text = HEAD + "\n| | |\n|---|---|\n"
    text += "".join(f"| {key} | {value} |\n" for key, value in facts.items())
    for part, title in TITLES.items():
        inside = [row for row in rows if row.part == part]
        if not inside:
            continue
        text += f"\n## {title}\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
        text += "".join(f"| {' | '.join(cells(row))} |\n" for row in inside)
        notes = [f"- {row.name}: {row.note or row.failed}\n" for row in inside if row.note or row.failed]
        text += "\n" + "".join(notes) if notes else ""
    return text


def cells(row):
    values = [row.name, row.unit, number(row.sshd), number(row.podssh), times(row.gain), times(row.want_gain)]
    values += [row.cpu_unit, number(row.sshd_cpu), number(row.podssh_cpu), times(row.cpu), times(row.want_cpu)]
    return values + [str(row.pairs or ""), row.verdict]


def line(row):
    """One row for the terminal, as it is done."""
    if row.failed:
        return f"{row.part:9} {row.name:48} could not run: {row.failed}"
    text = f"{row.part:9} {row.name:48} {number(row.sshd):>8} {number(row.podssh):>8} {row.unit:6}"
    text += f" {times(row.gain):>6}  CPU {number(row.sshd_cpu):>7} {number(row.podssh_cpu):>7} {row.cpu_unit:6}{times(row.cpu):>6}"
    return f"{text}  {row.verdict}"


def number(value):
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def times(value):
    return "" if value is None else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
