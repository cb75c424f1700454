#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway needs the rights that docs/stores/redis.md tells to grant, and has no others.

    privileges_redis.py redis|redis+sentinel|redis+cluster DUTIES

The words are taken from the page itself, so that it stays true. Each sentence prints a line as cmocka does.
"""
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import servers  # noqa: E402
from server_redis import RedisServer  # noqa: E402
from server_resp import Resp, RespError  # noqa: E402

KINDS = {"redis": servers.Redis, "redis+sentinel": servers.RedisSentinel, "redis+cluster": servers.RedisCluster}

FORBIDDEN = ["GET other", "SET other 1", "KEYS *", "FLUSHALL", "FLUSHDB", "CONFIG SET maxmemory 1", "SHUTDOWN NOSAVE",
             "ACL LIST", "SCRIPT FLUSH", "PUBLISH a b", "REPLICAOF no one", "MONITOR", "CLUSTER RESET", "SAVE",
             "CLIENT KILL TYPE normal"]


def granted():
    """What comes after the name in the ACL SETUSER of the page."""
    page = (ROOT / "docs" / "stores" / "redis.md").read_text()
    return re.search(r"ACL SETUSER latchkey (.*?)```", page, re.S).group(1).split()


def let_in(found):
    """The gateway, on every server; sentinels are told its password alone."""
    for node in found.nodes:
        rights = granted() if isinstance(node, RedisServer) else ["on", ">SECRET", "~*", "&*", "+@all"]
        node.ask("ACL", "SETUSER", "gateway", *rights)
    parts = urllib.parse.urlsplit(found.url)
    return parts._replace(netloc=f"gateway:SECRET@{parts.netloc.rsplit('@', 1)[1]}").geturl()


def asked(node, words):
    """What becomes of WORDS when the gateway says them: "done", "refused", or what was said."""
    try:
        with Resp(node.port, "gateway", "SECRET") as server:
            server(*words.split())
        return "done"
    except RespError as error:
        return "refused" if "NOPERM" in str(error) or "no permissions" in str(error) else str(error)


def sentences(duties, found):
    """Name and truth of each."""
    done = subprocess.run([duties, let_in(found)], capture_output=True, text=True, check=False, timeout=60)
    said = done.stdout + done.stderr
    yield "gateway_can_do_all_its_duties_with_the_rights_of_the_page", done.returncode == 0, said
    yield "settings_are_told", "not told" not in said, said
    yield "what_bites_is_told_with_its_cure", "warning maxmemory=" in said and "Set maxmemory" in said, said
    node = next(node for node in found.nodes if isinstance(node, RedisServer))
    for words in FORBIDDEN:
        said = asked(node, words)
        yield "gateway_may_not_" + re.sub(r"\W+", "_", words.lower()).rstrip("_"), said == "refused", said


def main():
    kind, duties = sys.argv[1:]
    passed, failed = 0, []
    with KINDS[kind]() as found:
        for name, is_so, said in sentences(duties, found):
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
