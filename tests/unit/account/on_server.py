#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The suites of accounts on a real server.

    on_server.py postgres|mariadb owner|gateway PROGRAM...

As `gateway` the accounts are opened by a user who has the rights that docs/accounts.md tells to grant and no others; the
statements are taken from the page. The tables are made by their owner, as `latchkey store init` does.
"""
import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import servers  # noqa: E402

FORBIDDEN = ["DROP TABLE latchkey_user", "CREATE TABLE other (n int)", "ALTER TABLE latchkey_user ADD more int",
             "INSERT INTO latchkey_schema VALUES (6)", "DELETE FROM latchkey_schema", "SELECT * FROM others"]


def granted(kind):
    """Of the page: who is made, and what is granted."""
    heading = {"postgres": "PostgreSQL", "mariadb": "MariaDB"}[kind]
    page = (ROOT / "docs" / "accounts.md").read_text().split(f"\n## {heading}\n", 1)[1]
    lines = re.search(r"```sql\n(.*?)```", page, re.S).group(1).splitlines()
    return lines[0], [line for line in lines[1:] if line]


def gateway_url(server):
    parts = urllib.parse.urlsplit(server.url)
    return parts._replace(netloc=f"gateway:change-me@{parts.netloc.rsplit('@', 1)[1]}").geturl()


def is_forbidden(kind, server, text):
    host, port = gateway_url(server).rsplit("@", 1)[1].split("/")[0].split(":")
    if kind == "postgres":
        words = ["psql", "-X", "-q", "-h", host, "-p", port, "-U", "gateway", "-d", "latchkey", "-c", text]
    else:
        words = ["mariadb", "--no-defaults", "-h", host, "-P", port, "-u", "gateway", "latchkey", "-e", text]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "PGPASSWORD": "change-me", "MYSQL_PWD": "change-me"})
    return re.search("denied|must be owner", done.stderr) is not None


def main():
    kind, person, *programs = sys.argv[1:]
    failed = 0
    with {"postgres": servers.Postgres, "mariadb": servers.Mariadb}[kind]() as server:
        environment = dict(os.environ, **server.environment())
        grants = []
        if person == "gateway":
            made, grants = granted(kind)
            server.sql(made)
            server.sql("CREATE TABLE others (secret int)")
            if kind == "mariadb":  # the owner of the database passes on what he has
                server.sql("GRANT ALL ON latchkey.* TO latchkey@'127.0.0.1' WITH GRANT OPTION")
            else:
                grants = [one for one in grants if "DATABASE" not in one and "SCHEMA" not in one]
                for one in granted(kind)[1]:
                    if one not in grants:
                        server.sql(one)
            environment.update(LATCHKEY_TEST_RUN_URL=gateway_url(server), LATCHKEY_TEST_GRANTS="\n".join(grants))
        for program in programs:
            failed += subprocess.run([program], env=environment, check=False).returncode != 0
        for text in FORBIDDEN if person == "gateway" else []:
            if not is_forbidden(kind, server, text):
                print(f"[  FAILED  ] the gateway may: {text}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
