"""Runs a program and prints what it took, as JSON: `python -I -S spawn.py PROGRAM [ARGUMENT...]`.

A program of its own, because the system reports a child's peak memory as at least that of the process that started it:
this one is smaller than any program that is measured.
"""

import json
import os
import sys


def main() -> None:
    """Print `cpu_ms` (user and system) and `peak_mb` (resident, in 10^6 bytes); exit with the program's code."""
    child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
    _, status, usage = os.wait4(child, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000
    sys.stdout.write(json.dumps({"cpu_ms": cpu_ms, "peak_mb": usage.ru_maxrss * unit / 1e6}))
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
