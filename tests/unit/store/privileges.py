#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway needs the rights that docs/stores tells to grant, and has no others.

    privileges.py postgres|mariadb DUTIES

The statements are taken from the page itself, so that it stays true. Each sentence prints a line as cmocka does.
"""
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import servers  # noqa: E402


def granted(kind):
    """The statements of the page, one by one."""
    block = re.search(r"```sql\n(.*?)```", (ROOT / "docs" / "stores" / f"{kind}.md").read_text(), re.S).group(1)
    return [line for line in block.splitlines() if line]


def url_of(server):
    """The URL of the gateway that the page lets in."""
    parts = urllib.parse.urlsplit(server.url)
    return parts._replace(netloc=f"gateway:change-me@{parts.netloc.rsplit('@', 1)[1]}").geturl()


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def asked(kind, server, text):
    """What becomes of TEXT when the gateway asks for it: "done", "refused", or what was said."""
    host, port = url_of(server).rsplit("@", 1)[1].split("/")[0].split(":")
    if kind == "postgres":
        words = ["psql", "-X", "-q", "-h", host, "-p", port, "-U", "gateway", "-d", "latchkey", "-c", text]
    else:
        words = ["mariadb", "--no-defaults", "-h", host, "-P", port, "-u", "gateway", "latchkey", "-e", text]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "PGPASSWORD": "change-me", "MYSQL_PWD": "change-me"})
    if done.returncode == 0:
        return "done"
    return "refused" if re.search("denied|must be owner", done.stderr) else done.stderr


FORBIDDEN = ["DROP TABLE latchkey_session", "CREATE TABLE other (n int)", "ALTER TABLE latchkey_session ADD more int",
             "DELETE FROM latchkey_meta", "UPDATE latchkey_event SET kind = 3", "INSERT INTO latchkey_stream VALUES (2, 0)",
             "DELETE FROM latchkey_lease"]


def sentences(kind, duties, server):
    """Name and truth of each."""
    server.sql("CREATE TABLE accounts (secret int)")
    code, said = run(duties, server.url)
    yield "gateway_without_tables_says_what_to_run", code == 1 and "latchkey store init" in said, said
    code, said = run(duties, "setup", server.url)
    yield "owner_makes_the_tables", code == 0, said
    for statement in granted(kind):
        server.sql(statement)
    code, said = run(duties, url_of(server))
    yield "gateway_can_do_all_its_duties_with_the_rights_of_the_page", code == 0, said
    yield "what_bites_is_told_with_its_cure", re.search(r"(problem|warning) \w+=\S+ [A-Z].*set ", said) is not None, said
    said = asked(kind, server, "SELECT count(*) FROM latchkey_session")
    yield "gateway_may_look", said == "done", said
    for statement in FORBIDDEN + ["SELECT * FROM accounts"]:
        said = asked(kind, server, statement)
        yield "gateway_may_not_" + re.sub(r"\W+", "_", statement.lower()), said == "refused", said


def main():
    kind, duties = sys.argv[1:]
    passed, failed = 0, []
    with {"postgres": servers.Postgres, "mariadb": servers.Mariadb}[kind]() as server:
        for name, is_so, said in sentences(kind, duties, server):
            passed += is_so
            if not is_so:
                failed.append(name)
                print(f"[  FAILED  ] {name}\n{said}")
    print(f"[  PASSED  ] {passed} test(s).")
    if failed:
        print(f"[  FAILED  ] {len(failed)} test(s), listed below:\n" + "\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
