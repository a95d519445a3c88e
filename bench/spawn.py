"""Starts a program and prints what it took, as JSON: `python -I -S spawn.py OUTPUT PROGRAM [ARGUMENT...]`.

The program's standard output goes to the file OUTPUT. A program of its own, because a child's peak memory as the
system reports it starts at that of the process which started it: this one is smaller than any contestant.
"""

import json
import os
import sys
import time


def main() -> None:
    """Print `exit_code`, `cpu_ms` (user and system), `wall_ms` and `peak_mb` (resident, in 10^6 bytes)."""
    output, *command = sys.argv[1:]
    to_file = [(os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    started = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=to_file)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    result = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000,
        "wall_ms": wall * 1000,
        "peak_mb": usage.ru_maxrss * unit / 1e6,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
