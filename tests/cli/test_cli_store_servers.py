# SPDX-License-Identifier: Apache-2.0
"""latchkey store on real servers: made, checked, copied round, and what is said when something is wrong with them."""
import contextlib
import json
import re
import subprocess
import sys
import time

import pytest

from conftest import COMMAND, FAULT, NO, PASSWORD, ROOT, WRONG, YES, Latchkey
from stores import dump, fill, public_ids, sessions, tool

sys.path.insert(0, str(ROOT / "tests" / "lib"))
import servers  # noqa: E402

EMPTY = {
    "postgres": lambda s: s.sql("DROP OWNED BY latchkey; GRANT ALL ON SCHEMA public TO latchkey"),
    "mariadb": lambda s: s.server.sql("DROP DATABASE latchkey; CREATE DATABASE latchkey", ""),
    "redis": lambda s: s.server.ask("FLUSHALL"),
}
SQL = ["postgres", "mariadb"]
SERVERS = [*SQL, "redis"]
running = {}


@pytest.fixture(scope="module", autouse=True)
def ended():
    yield
    for server in running.values():
        server.close()
    running.clear()


def server_of(kind):
    """One server of each kind for this module, without data."""
    if kind not in running:
        running[kind] = servers.KINDS[kind]()
    EMPTY[kind](running[kind])
    return running[kind]


@pytest.fixture
def server(request):
    return server_of(request.param)


def on(kinds):
    return pytest.mark.parametrize("server", kinds, indirect=True)


def secret_of(server):
    """What no answer may show: the password, and as it is written in a URL."""
    return [server.login.password, server.url.split("//")[1].split(":")[1].split("@")[0]]


def said(latchkey, server, *words, code):
    """What a command on SERVER says, which never is its password."""
    done = latchkey.run(*words)
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == code, text
    for secret in secret_of(server):
        assert secret not in text, text
    return text


def findings(latchkey, url, env=None):
    """By their names. The answer is a yes exactly when all are facts."""
    done = latchkey.run("store", "check", "--store", url, "--json", env=env)
    answer = json.loads(done.stdout)
    bad = [finding for finding in answer["findings"] if finding["level"] != "fact"]
    assert done.returncode == (NO if bad else YES), done
    assert len(bad) == answer["warnings"] + answer["problems"]
    return {finding["name"]: finding for finding in answer["findings"]}


# ---- init, upgrade ----


@on(SQL)
def test_tables_are_made_once(latchkey, server):
    words = ["store", "init", "--store", server.url]
    assert "made" in said(latchkey, server, *words, code=YES)
    assert "ready" in said(latchkey, server, *words, code=YES)
    assert latchkey.json("store", "upgrade", "--store", server.url)["store"]["done"] == "ready"
    assert latchkey.json("store", "stats", "--store", server.url)["sessions"] == 0


@on(SQL)
def test_tables_of_accounts_are_made_with_those_of_the_store(tmp_path, server):
    latchkey = Latchkey(tmp_path, latchkey_store=f'"{server.url}"', latchkey_accounts=f'"{server.url}"')
    assert "latchkey store init" in said(latchkey, server, "user", "list", code=FAULT)
    made = latchkey.json("store", "init")
    assert (made["store"]["done"], made["accounts"]["done"]) == ("made", "made")
    made = latchkey.json("store", "init")
    assert (made["store"]["done"], made["accounts"]["done"]) == ("ready", "ready")
    latchkey.text("user", "add", "alice", input=PASSWORD)
    assert [user["name"] for user in latchkey.json("user", "list")["users"]] == ["alice"]
    latchkey.text("user", "disable", "alice")
    assert latchkey.json("store", "init", "--store", f"lmdb:{tmp_path}/x", "--accounts", server.url)["accounts"]["done"] == "ready"


@on(["redis"])
def test_redis_needs_no_tables(latchkey, server):
    assert "ready" in said(latchkey, server, "store", "init", "--store", server.url, code=YES)


@on(SQL)
def test_store_without_tables_is_told_with_the_command_that_makes_them(latchkey, server):
    for words in (["stats"], ["sweep"], ["copy", f"lmdb:{latchkey.folder}/a"]):
        where = [server.url] if words[0] == "copy" else ["--store", server.url]
        assert "latchkey store init" in said(latchkey, server, "store", *words, *where, code=FAULT)
    assert "latchkey store init" in said(latchkey, server, "store", "check", "--store", server.url, code=NO)
    latchkey.settings["latchkey_store"] = f'"{server.url}"'
    latchkey.write()
    assert "latchkey store init" in said(latchkey, server, "session", "list", code=FAULT)


@on(SQL)
def test_newer_format_is_refused_with_a_clear_sentence(latchkey, server):
    latchkey.text("store", "init", "--store", server.url)
    server.sql("UPDATE latchkey_meta SET number = 99 WHERE name = 'format'")
    for verb in ("init", "upgrade", "check"):
        text = said(latchkey, server, "store", verb, "--store", server.url, code=NO)
        assert "format 99" in text and "newer" in text
    assert "newer" in said(latchkey, server, "store", "stats", "--store", server.url, code=FAULT)
    assert server.sql("SELECT number FROM latchkey_meta WHERE name = 'format'") == "99"


# ---- what is wrong ----


@on(SERVERS)
def test_wrong_password_is_wrong_settings_and_says_so(latchkey, server):
    url = re.sub(r"//latchkey:[^@]*@", "//latchkey:not-this-one@", server.url)
    for words in (["check", "--store", url], ["stats", "--store", url], ["init", "--store", url]):
        text = said(latchkey, server, "store", *words, code=WRONG)
        assert "password" in text and "not-this-one" not in text


@on(SERVERS)
def test_server_that_is_not_there_is_a_fault(latchkey, server):
    server.stop()
    try:
        for words in (["check"], ["stats"], ["init"], ["sweep"]):
            text = said(latchkey, server, "store", *words, "--store", server.url, code=FAULT)
            assert "127.0.0.1" in text
    finally:
        server.start()


@pytest.mark.parametrize("kind", SERVERS)
def test_host_that_does_not_answer_is_given_up_soon(latchkey, kind):
    started = time.monotonic()
    latchkey.error("store", "check", "--store", f"{kind}://u:p@192.0.2.1:9/{'0' if kind == 'redis' else 'db'}", code=FAULT)
    assert time.monotonic() - started < 8


@on(SERVERS)
def test_url_may_come_from_a_file_or_the_environment(latchkey, server, tmp_path):
    file = tmp_path / "url"
    file.write_text(server.url + "\n")
    file.chmod(0o600)
    latchkey.text("store", "init", "--store", f"file:{file}")
    assert latchkey.json("store", "stats", "--store", "env:STORE", env={"STORE": server.url})["sessions"] == 0
    file.chmod(0o644)
    assert "chmod" in said(latchkey, server, "store", "stats", "--store", f"file:{file}", code=WRONG)


@on(["redis"])
def test_password_is_not_in_the_list_of_processes(latchkey, server):
    fill(f"lmdb:{latchkey.folder}/a?sync=fast", 300)
    process = subprocess.Popen([str(COMMAND), "store", "copy", f"lmdb:{latchkey.folder}/a", server.url, "--rate", "100/s"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    with open(f"/proc/{process.pid}/cmdline", "rb") as f:
        words = f.read()
    process.kill()
    process.wait()
    assert b"copy" in words and b"redis://latchkey:***@127.0.0.1" in words and not [secret for secret in secret_of(server) if secret.encode() in words]


# ---- check ----


@on(SERVERS)
def test_check_says_what_it_is_and_how_far_away(latchkey, server):
    latchkey.text("store", "init", "--store", server.url)
    found = findings(latchkey, server.url)
    assert re.search(r"\d+\.\d+", found["version"]["value"])
    assert found["round_trip"]["level"] == "fact" and found["clock"]["level"] == "fact"
    assert abs(float(found["clock"]["value"].split()[0])) < 1
    for finding in found.values():
        assert bool(finding["advice"]) == (finding["level"] != "fact"), finding


@on(["redis"])
def test_check_finds_a_redis_that_throws_sessions_away_or_forgets_them(latchkey, server):
    with contextlib.ExitStack() as stack:
        for name, bad, good in (("maxmemory", "100mb", "0"), ("maxmemory-policy", "allkeys-lru", "noeviction"),
                                ("appendonly", "no", "yes")):
            server.server.ask("CONFIG", "SET", name, bad)
            stack.callback(server.server.ask, "CONFIG", "SET", name, good)
        text = said(latchkey, server, "store", "check", "--store", server.url, code=NO)
        assert "allkeys-lru" in text and "noeviction" in text
        found = findings(latchkey, server.url)
        assert found["eviction_policy"]["level"] == "problem"
        assert found["fsync"]["level"] == "warning"
    assert findings(latchkey, server.url)["eviction_policy"]["level"] == "fact"


@on(["redis"])
def test_check_finds_a_redis_that_does_not_wait_for_its_disk(latchkey, server):
    assert findings(latchkey, server.url)["fsync"]["value"] == "no"
    server.server.ask("CONFIG", "SET", "appendfsync", "everysec")
    try:
        assert findings(latchkey, server.url)["fsync"]["level"] == "fact"
    finally:
        server.server.ask("CONFIG", "SET", "appendfsync", "no")


CLOCK = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The wall clock of this process is as many seconds off as CLOCK_OFF_S says. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
    int answer = (int)syscall(SYS_clock_gettime, clock, ts);
    const char *off = getenv("CLOCK_OFF_S");
    if (clock == CLOCK_REALTIME && off != NULL)
        ts->tv_sec += atoi(off);
    return answer;
}
"""


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    """The environment of a machine whose clock is off by some seconds."""
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "clock.so", folder / "clock.c"], check=True)
    linked = subprocess.run(["ldd", str(COMMAND)], capture_output=True, text=True, check=True).stdout
    asan = re.search(r"libasan\S* => (\S+)", linked)
    preload = ":".join([*([asan[1]] if asan else []), str(folder / "clock.so")])
    return lambda seconds: {"LD_PRELOAD": preload, "CLOCK_OFF_S": str(seconds)}


@on(SERVERS)
def test_check_finds_a_clock_that_differs(latchkey, server, off):
    latchkey.text("store", "init", "--store", server.url)
    for seconds, level, words in ((-300, "problem", "ahead"), (300, "problem", "behind"), (5, "warning", "behind"),
                                  (0, "fact", "")):
        clock = findings(latchkey, server.url, env=off(seconds))["clock"]
        assert (clock["level"], words in clock["value"]) == (level, True), clock
        assert abs(float(clock["value"].split()[0]) - abs(seconds)) < 1


def test_check_looks_at_the_replica_too(tmp_path):
    with servers.PostgresPair() as pair:
        latchkey = Latchkey(tmp_path, latchkey_store=f'"{pair.url}"', latchkey_replica=f'"{pair.replica_url}"')
        latchkey.text("store", "init")
        pair.wait_well()
        found = {f["name"]: f for f in latchkey.json("store", "check", code=NO)["replica"]["findings"]}
        assert found["role"]["level"] == "fact" and "copy" not in found
        assert "round_trip" in found
        pair.replica.stop()
        assert pair.replica.address in said(latchkey, pair, "store", "check", code=FAULT)
        fill(pair.url, 20)  # and what ends sessions goes on without it
        latchkey.text("key", "new", "--alg", "EdDSA")
        done = latchkey.run("session", "revoke", public_ids(pair.url)[0])
        assert done.returncode == YES and b"replica" in done.stderr
        pair.replica.start()
        latchkey.settings["latchkey_replica"], latchkey.settings["latchkey_store"] = f'"{pair.url}?deadline=300ms"', f'"{pair.url}"'
        latchkey.write()
        assert "no replica" in said(latchkey, pair, "store", "check", code=NO)


# ---- stats, sweep ----


@on(SERVERS)
def test_stats_count_and_sweep_removes_what_is_over(latchkey, server, off):
    latchkey.text("store", "init", "--store", server.url)
    fill(server.url, 200)
    stats = latchkey.json("store", "stats", "--store", server.url)
    assert stats["sessions"] >= 200 and stats["bytes"] > 0 and stats["events"] >= 20
    assert stats["bytes_per_session"] == stats["bytes"] // stats["sessions"]
    assert latchkey.json("store", "sweep", "--store", server.url, "--all")["removed"] == 0
    year = off(400 * 86400)
    step = latchkey.json("store", "sweep", "--store", server.url, "--max-rows", "50", env=year)
    if server.name != "redis":  # which lets its keys expire by itself
        assert 0 < step["removed"] <= 60 and step["more"]
    rest = latchkey.json("store", "sweep", "--store", server.url, "--all", env=year)
    assert not rest["more"]
    assert not sessions(server.url) or server.name == "redis"


# ---- copy ----


def test_copy_goes_round_every_store_and_keeps_everything(latchkey, tmp_path):
    stations = [f"lmdb:{tmp_path}/a?sync=fast", f"sqlite:{tmp_path}/b.db", *(server_of(kind).url for kind in SERVERS),
                f"lmdb:{tmp_path}/c?sync=fast"]
    fill(stations[0], 2000)
    before = dump(stations[0])
    assert len(before) == 2000 + 40 + 200
    for here, there in zip(stations, stations[1:]):
        latchkey.text("store", "init", "--store", there)
        answer = latchkey.json("store", "copy", here, there)
        assert (answer["copied"], answer["cutoffs"], answer["compared"], answer["differing"]) == (2000, 200, 1000, 0)
        assert [line for line in dump(there) if line not in before] == [], there
        assert dump(there) == before, there


@pytest.mark.parametrize("kind", ["redis+sentinel", "redis+cluster"])
def test_copy_into_several_redis_servers_and_back_keeps_everything(latchkey, tmp_path, kind):
    here, back = f"lmdb:{tmp_path}/a?sync=fast", f"sqlite:{tmp_path}/b.db?sync=fast"
    fill(here, 500)
    with servers.KINDS[kind]() as several:
        assert latchkey.json("store", "copy", here, several.url)["copied"] == 500
        assert dump(several.url) == dump(here)
        assert latchkey.json("store", "copy", several.url, back)["copied"] == 500
    assert dump(back) == dump(here)


@on(SERVERS)
def test_killed_copy_goes_on(latchkey, server):
    latchkey.text("store", "init", "--store", server.url)
    start = f"lmdb:{latchkey.folder}/a?sync=fast"
    fill(start, 2000)
    process = subprocess.Popen([str(COMMAND), "store", "copy", start, server.url, "--rate", "1500/s"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    process.kill()
    process.wait()
    half = len(sessions(server.url))
    assert 0 < half < 2000
    answer = latchkey.json("store", "copy", start, server.url)
    assert answer["copied"] == 2000 - half and answer["there_before"] == half
    assert dump(server.url) == dump(start)


@on(SERVERS)
def test_server_that_restarts_in_the_middle_costs_nothing(latchkey, server):
    latchkey.text("store", "init", "--store", server.url)
    start = f"lmdb:{latchkey.folder}/a?sync=fast"
    fill(start, 2000)
    process = subprocess.Popen([str(COMMAND), "store", "copy", start, server.url, "--rate", "1000/s", "--json"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.7)
    server.kill()
    server.start()
    out = process.communicate(timeout=60)
    assert process.returncode == YES, out
    assert dump(server.url) == dump(start)


@on(SERVERS)
def test_what_ended_and_changed_meanwhile_comes_along(latchkey, server):
    latchkey.text("store", "init", "--store", server.url)
    start = f"lmdb:{latchkey.folder}/a?sync=fast"
    fill(start, 100)
    latchkey.text("store", "copy", start, server.url)
    ended, used, changed = public_ids(start)[:3]
    tool("end", start, ended)
    tool("touch", start, used, 700)
    tool("set", start, changed, "cart", "[9]")
    answer = latchkey.json("store", "copy", start, server.url)
    assert (answer["copied"], answer["brought_up_to_date"], answer["ended"]) == (0, 2, 1)
    assert sessions(server.url) == sessions(start)


# ---- the other commands, on a store of a server ----


@on(SERVERS)
def test_commands_work_on_sessions_of_a_server(tmp_path, server):
    latchkey = Latchkey(tmp_path, latchkey_store=f'"{server.url}"')
    latchkey.text("store", "init")
    latchkey.text("key", "new", "--alg", "EdDSA")
    fill(server.url, 20)
    public_id = public_ids(server.url)[0]
    assert len(latchkey.json("session", "list")["sessions"]) == 20
    assert latchkey.json("session", "show", public_id)["state"] == "alive"
    latchkey.text("session", "revoke", public_id)
    latchkey.error("session", "show", public_id, code=NO)
    assert len(latchkey.json("session", "list")["sessions"]) == 19
    latchkey.text("cutoff", "add", "--level", "role", "--key", "editor", "--realm", "shop")
    assert latchkey.json("cutoff", "list")["cutoffs"][-1]["key"] == "shop/editor"
    assert {s["kind"] for s in latchkey.json("session", "list")["sessions"]} == {"anonymous"}
    for secret in secret_of(server):
        assert secret not in latchkey.text("settings", "check", "--json")


