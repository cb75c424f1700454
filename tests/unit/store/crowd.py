#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writers of every kind at once on a store over SQL: see crowd.c. And the database never had to undo one for the sake of
another: PostgreSQL looks for such a knot after a second only, when everybody has given up waiting.

    crowd.py sqlite|postgres|mariadb CROWD

The deadline is long, so that a slow machine is not taken for a knot.
"""
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))
import servers  # noqa: E402

KNOTS = {"postgres": lambda server: server.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'latchkey'"),
         "mariadb": lambda server: server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").split()[-1],
         "sqlite": lambda server: "0"}


def main():
    kind, crowd = sys.argv[1:]
    with servers.KINDS[kind]() as server:
        code = subprocess.run([crowd, server.url + "?deadline=5s"], check=False, timeout=100).returncode
        knots = KNOTS[kind](server)
        print(f"deadlocks: {knots}")
        if code != 0:
            server.show_logs()
    print("[  PASSED  ] 1 test(s)." if knots == "0" else "[  FAILED  ] 1 test(s), listed below:\nno_two_writers_wait")
    return 0 if code == 0 and knots == "0" else 1


if __name__ == "__main__":
    sys.exit(main())
