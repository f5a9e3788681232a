"""The parts of the table, in its order. Each module has `rows(bench)`, which yields finished rows."""

from . import bulk, connect, footprint, forward, gateway, keystroke, limits, memory, sftp, trees

PARTS = {
    "bulk": bulk,
    "sftp": sftp,
    "trees": trees,
    "connect": connect,
    "keystroke": keystroke,
    "forward": forward,
    "memory": memory,
    "gateway": gateway,
    "footprint": footprint,
    "limits": limits,
}
