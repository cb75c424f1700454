# SPDX-License-Identifier: Apache-2.0
"""Servers that hang, die, restart, refuse or only read, under a program that keeps its database open (talker.c)."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))
import servers  # noqa: E402

TALKER = os.environ["LATCHKEY_TEST_TALKER"]
DEADLINE_MS = 250
SPARE_MS = 150  # what a machine with other work may add


class Talker:
    """talker URL, spoken to a line at a time. Ends with the test, and must end well (no leak, no sanitizer report)."""

    def __init__(self, url, before=()):
        self.process = subprocess.Popen([*before, TALKER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.opened = self.read()

    def read(self):
        line = self.process.stdout.readline()
        assert line, "the talker ended"
        status, took_ms, note = line.rstrip("\n").split(" ", 2)
        return status, int(took_ms), note

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.process.stdin.close()
        code = self.process.wait(10)
        assert code == 0 or failure[0] is not None, f"the talker ended with {code}"


def is_fault_in_time(answer):
    status, took_ms, note = answer
    assert status == "fault", answer
    assert took_ms <= DEADLINE_MS + SPARE_MS, answer
    return note


def ask_until_ok(talker, within_s):
    """Gives the seconds it took."""
    began = time.monotonic()
    while talker.say("ask")[0] != "ok":
        assert time.monotonic() - began < within_s, "not found again"
        time.sleep(0.02)
    return time.monotonic() - began


def end_connections(server, kind):
    """As an operator does; gives when they are gone."""
    if kind == "postgres":
        server.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'latchkey'")
        return
    server.sql("KILL USER latchkey")
    while server.sql("SELECT count(*) FROM information_schema.processlist WHERE user = 'latchkey'") != "0":
        time.sleep(0.02)


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def server(kind):
    with {"postgres": servers.Postgres, "mariadb": servers.Mariadb}[kind]() as s:
        yield s


@pytest.fixture
def talker(server):
    for _ in range(20):  # what comes before the fault may take longer than the deadline on a machine that is busy
        with Talker(server.url) as t:
            if t.opened[0] == "ok" and t.say("make")[0] == "ok" and t.say("ask")[0] == "ok":
                yield t
                return
    raise AssertionError(f"the server is not there: {t.opened}")


def test_server_that_hangs_is_a_fault_in_time_and_found_again(server, talker):
    server.freeze()
    try:
        note = is_fault_in_time(talker.say("ask"))
        assert "did not answer within 250 ms" in note
        assert "latchkey@127.0.0.1" in note and server.login.password not in note
        took = [talker.say("ask")[1] for _ in range(40)]
        assert max(took) <= DEADLINE_MS + SPARE_MS
        assert sum(one > 20 for one in took) <= 4, f"most are answered at once: {took}"
        is_fault_in_time(talker.say("begin"))
        is_fault_in_time(talker.say("wait 10"))
    finally:
        server.thaw()
    assert ask_until_ok(talker, 5) < 4


def test_many_threads_on_a_server_that_hangs_are_not_held(server, talker):
    assert talker.say("storm 500")[2].startswith("asked=")
    server.freeze()
    try:
        counts = dict(re.findall(r"(\w+)=(\d+)", talker.say("storm 3000")[2]))
    finally:
        server.thaw()
    assert int(counts["good"]) <= 16 and counts["late"] == "0", counts  # what was answered before it was stopped
    # The eight connections meet their deadline once, and so do those who waited for one; then it is one at a time.
    assert int(counts["slow"]) <= 16 + 8, counts
    assert int(counts["asked"]) > 1000, counts
    assert ask_until_ok(talker, 5) < 4


def test_commit_that_is_not_answered_is_a_fault_in_time(server, talker):
    assert talker.say("begin")[0] == "ok"
    assert talker.say("add 1")[0] == "ok"
    server.freeze()
    try:
        is_fault_in_time(talker.say("commit"))
    finally:
        server.thaw()
    ask_until_ok(talker, 5)
    assert talker.say("begin")[0] == "ok"
    assert talker.say("add 2")[0] == "ok"
    assert talker.say("commit")[0] == "ok"


def test_server_that_was_restarted_is_found_by_the_next_question(server, talker):
    for end in (server.stop, server.kill):
        end()
        server.start()
        status, took_ms, note = talker.say("ask")
        assert status == "ok", note
        assert took_ms < DEADLINE_MS


def test_connections_that_the_server_ended_are_replaced(server, kind, talker):
    with Talker(server.url + "?deadline=3s") as patient:  # eight new connections at once are work for a server
        assert patient.say("storm 300")[0] == "ok"
        end_connections(server, kind)
        counts = patient.say("storm 500")[2]
        asked, good = re.match(r"asked=(\d+) good=(\d+)", counts).groups()
        assert asked == good, counts


def test_transaction_whose_connection_was_ended_is_a_fault_and_not_written(server, kind, talker):
    assert talker.say("begin")[0] == "ok"
    answer = talker.say("add 7")
    assert answer[0] == "ok", answer
    end_connections(server, kind)
    status, _, note = talker.say("commit")
    assert status == "fault" and note, note
    assert talker.say("begin")[0] == "ok"
    assert talker.say("add 7")[0] == "ok"
    assert talker.say("rollback")[0] == "ok"


def test_server_that_is_down_is_a_fault_at_once_and_found_when_it_is_up(server, talker):
    server.kill()
    took = [talker.say("ask") for _ in range(30)]
    assert all(one[0] == "fault" for one in took)
    assert max(one[1] for one in took) <= 100, took
    assert any("tried again in a moment" in one[2] for one in took), took
    server.start()
    assert ask_until_ok(talker, 5) < 3


def test_server_that_only_reads_is_a_fault_for_writes_until_it_writes_again(server, kind, talker):
    def read_only(on):
        if kind == "mariadb":
            server.sql(f"SET GLOBAL read_only = {int(on)}")
            return
        server.sql(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
        server.sql("SELECT pg_reload_conf()")
        time.sleep(0.3)

    read_only(True)
    try:
        assert talker.say("ask")[0] == "ok"
        assert talker.say("begin")[0] == "ok"
        status, _, note = talker.say("add 3")
        assert status == "fault" and "takes no writes" in note, note
        talker.say("rollback")
    finally:
        read_only(False)
    assert talker.say("begin")[0] == "ok"
    assert talker.say("add 3")[0] == "ok"
    assert talker.say("commit")[0] == "ok"


def test_listener_goes_on_after_a_restart(server, kind, talker):
    assert talker.say("wait 50")[0] == ("miss" if kind == "postgres" else "ok")
    server.kill()
    assert talker.say("wait 50")[0] == "fault"
    server.start()
    deadline = time.monotonic() + 5
    while talker.say("wait 10")[0] == "fault":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if kind == "postgres":
        server.sql("NOTIFY lk_talk")
        assert talker.say("wait 1000")[0] == "ok"


def test_waiting_on_a_server_that_dies_ends_at_once(server, kind, talker):
    if kind != "postgres":  # the others do not wait on the server
        return
    assert talker.say("wait 10")[0] == "miss"
    talker.process.stdin.write("wait 5000\n")
    talker.process.stdin.flush()
    time.sleep(0.2)
    server.kill()
    status, took_ms, _ = talker.read()
    server.start()
    assert status == "fault" and took_ms < 1000


def hosts_url(server, *others):
    return re.sub(r"@([^/]*)/", lambda m: "@" + ",".join([*others, m[1]]) + "/", server.url)


def test_host_that_does_not_answer_is_passed_over(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = hosts_url(server, "127.0.0.1:1", f"127.0.0.1:{silent.getsockname()[1]}")
        with Talker(url) as t:
            assert t.opened[0] == "ok" and t.opened[1] <= DEADLINE_MS + SPARE_MS, t.opened
            assert t.say("make")[0] == "ok"
            assert t.say("storm 300")[0] == "ok"
            status, took_ms, _ = t.say("ask")
            assert status == "ok" and took_ms < 50  # it stays with the one that works


def test_server_that_never_says_a_word_is_a_fault_in_time(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = re.sub(r":\d+/", f":{silent.getsockname()[1]}/", server.url)
        with Talker(url) as t:
            assert "no connection within 250 ms" in is_fault_in_time(t.opened)
            assert server.login.password not in t.opened[2]


def test_name_that_nobody_looks_up_is_a_fault_in_time(server, tmp_path):
    """Its resolver is a socket that never answers, for the talker alone."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.77\n")
    into = ["unshare", "--mount", "sh", "-c", f"mount --bind {conf} /etc/resolv.conf && exec \"$@\"", "sh"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.77", 53))
        with Talker(server.url.replace("@127.0.0.1:", "@db.example:"), into) as t:
            assert "db.example could not be looked up: no answer in time" in is_fault_in_time(t.opened)
        with Talker(server.url.replace("@127.0.0.1:", "@db.example,127.0.0.1:"), into) as t:
            assert t.opened[0] == "ok", t.opened


def test_name_of_several_addresses_is_tried_at_each(server):
    with Talker(server.url.replace("@127.0.0.1:", "@localhost:")) as t:  # of which ::1 may be the first
        assert t.opened[0] == "ok", t.opened


def test_unix_socket_will_do(server, kind):
    user, password = server.login.user, server.url.split("//")[1].split("@")[0].split(":")[1]
    place = server.directory.path
    url = (f"postgres://{user}@/latchkey?host={place}&port={server.port}" if kind == "postgres" else
           f"mariadb://{user}:{password}@/latchkey?socket={place}/mariadb.sock")
    if kind == "mariadb":
        server.sql(f"CREATE USER IF NOT EXISTS '{user}'@'localhost' IDENTIFIED BY '{server.login.password}'")
        server.sql(f"GRANT ALL ON latchkey.* TO '{user}'@'localhost'")
    with Talker(url) as t:
        assert t.opened[0] == "ok", t.opened
        assert t.say("make")[0] == "ok"


def test_too_many_connections_is_a_fault_that_says_so(server, kind, talker):
    """Who has a connection goes on with it; who needs a new one is told, and gets it when there is room."""
    limit, most = ("ALTER ROLE latchkey CONNECTION LIMIT {}", 2) if kind == "postgres" else (
        "ALTER USER latchkey@'127.0.0.1' WITH MAX_USER_CONNECTIONS {}", 1)  # who came before the limit does not count
    server.sql(limit.format(most))
    try:
        with Talker(server.url) as second, Talker(server.url) as third:
            assert second.opened[0] == "ok"
            status, _, note = third.opened
            assert status == "fault" and "connections" in note, note
            assert talker.say("ask")[0] == "ok"
    finally:
        server.sql(limit.format(-1 if kind == "postgres" else 0))
    with Talker(server.url) as second:
        assert second.opened[0] == "ok"


def in_small_room(server, kind):
    """lk_talk anew, with rows of some kilobytes, on a file system of 12 MB. Gives where it is mounted."""
    room = tempfile.mkdtemp(prefix="latchkey-room-", dir="/tmp")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0777", "tmpfs", room], check=True)
    os.chmod(room, 0o777)
    filler = " || ".join(["md5(random()::text)"] * 60) if kind == "postgres" else None
    server.sql("DROP TABLE IF EXISTS lk_talk")
    if kind == "postgres":
        os.mkdir(f"{room}/space")
        shutil.chown(f"{room}/space", "postgres")
        os.chmod(f"{room}/space", 0o700)
        server.sql(f"CREATE TABLESPACE small LOCATION '{room}/space'")
        server.sql(f"CREATE TABLE lk_talk (n INTEGER NOT NULL PRIMARY KEY, x TEXT DEFAULT {filler}) TABLESPACE small")
        server.sql("ALTER TABLE lk_talk OWNER TO latchkey")
    else:
        server.sql(f"CREATE TABLE lk_talk (n INTEGER NOT NULL PRIMARY KEY, x VARCHAR(3000) DEFAULT (repeat('x', 3000))) "
                   f"ENGINE=InnoDB DATA DIRECTORY='{room}'")
    return room


def test_full_disk_is_full_and_reading_goes_on(server, kind, talker):
    room = in_small_room(server, kind)
    try:
        answers = [talker.say("begin"), talker.say("fill 10000")]
        talker.say("rollback")
        assert answers[1][0] == "full", answers
        assert "no room left on the disk" in answers[1][2]
        assert talker.say("ask")[0] == "ok"
    finally:
        server.sql("DROP TABLE lk_talk")
        if kind == "postgres":
            server.sql("DROP TABLESPACE small")
        subprocess.run(["umount", "-l", room], check=True)
        os.rmdir(room)
    assert talker.say("make")[0] == "ok"
    assert talker.say("begin")[0] == "ok"
    assert talker.say("add 1")[0] == "ok"
    assert talker.say("commit")[0] == "ok"


# ---- a primary and its standby ----

@pytest.fixture(scope="module")
def pair():
    with servers.PostgresPair(synchronous="on") as s:
        yield s


def test_commit_that_the_standby_did_not_confirm_is_not_called_done(pair):
    with Talker(pair.url) as t:
        assert t.say("make")[0] == "ok"
        pair.replica.freeze()
        try:
            assert t.say("begin")[0] == "ok"
            assert t.say("add 2")[0] == "ok"
            is_fault_in_time(t.say("commit"))
        finally:
            pair.replica.thaw()
        assert ask_until_ok(t, 5) < 3


def test_commit_whose_wait_for_the_standby_was_ended_is_not_called_done(pair):
    """PostgreSQL then answers that it committed, and adds a warning."""
    with Talker(pair.url + "?deadline=10s") as t:
        assert t.say("make")[0] == "ok"
        pair.replica.freeze()
        try:
            assert t.say("begin")[0] == "ok"
            assert t.say("add 3")[0] == "ok"
            t.process.stdin.write("commit\n")
            t.process.stdin.flush()
            servers.wait_for(lambda: "SyncRep" in pair.sql("SELECT wait_event FROM pg_stat_activity"), 5, "no commit waits")
            pair.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            status, _, note = t.read()
            assert status == "fault" and "standby did not confirm" in note, note
        finally:
            pair.replica.thaw()
        assert t.say("ask")[0] == "ok"


def test_standby_that_was_promoted_is_found(pair):
    """The primary hangs, as one does that lost its disk; its standby takes over."""
    both = re.sub(r"@[^/]*/", f"@{pair.primary.address},{pair.replica.address}/", pair.url)
    with Talker(both + "?target_session_attrs=read-write") as t:
        assert t.say("make")[0] == "ok"
        pair.wait_well()
        pair.primary.freeze()
        assert t.say("ask")[0] == "fault"
        pair.replica.promote()
        assert ask_until_ok(t, 8) < 6
        assert t.say("begin")[0] == "ok"
        assert t.say("add 5")[0] == "ok"
        assert t.say("rollback")[0] == "ok"


# ---- TLS ----

@pytest.fixture(scope="module")
def certificates():
    """Of 127.0.0.1, signed by a CA of our own; and another CA."""
    place = Path(tempfile.mkdtemp(prefix="latchkey-tls-", dir="/tmp"))
    place.chmod(0o755)

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=place)

    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout",
            "server.key", "-out", "server.csr")
    (place / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
            "names", "-out", "server.pem")
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def tls_server(kind, certificates):
    key = certificates / f"{kind}.key"
    shutil.copy(certificates / "server.key", key)
    shutil.chown(key, "postgres" if kind == "postgres" else "mysql")
    key.chmod(0o600)
    files = certificates / "server.pem", key, certificates / "ca.pem"
    if kind == "postgres":
        made = servers.Postgres(settings=["ssl = on", f"ssl_cert_file = '{files[0]}'", f"ssl_key_file = '{files[1]}'"])
    else:
        made = servers.Mariadb(settings=[f"--ssl-cert={files[0]}", f"--ssl-key={files[1]}", f"--ssl-ca={files[2]}"])
    with made as s:
        yield s


def test_server_is_known_by_its_certificate(tls_server, certificates):
    url = tls_server.url + "?sslmode=verify-full&sslrootcert=" + str(certificates)
    with Talker(url + "/ca.pem") as t:
        assert t.opened[0] == "ok", t.opened
        assert t.say("make")[0] == "ok"
        for _ in range(3):  # what is said by the server's TLS in between is no end of the connection
            assert t.say("ask")[0] == "ok"
    with Talker(url + "/other.pem") as t:
        assert t.opened[0] == "fault" and "certificate" in t.opened[2], t.opened


def test_certificate_of_another_name_is_not_believed(tls_server, certificates):
    url = tls_server.url.replace("@127.0.0.1:", "@localhost:") + f"?sslmode=verify-full&sslrootcert={certificates}/ca.pem"
    with Talker(url) as t:
        assert t.opened[0] == "fault", t.opened


def test_tls_is_asked_for_and_not_taken_without(server):
    with Talker(server.url + "?sslmode=require") as t:
        assert t.opened[0] in ("fault", "refused") and re.search("SSL|TLS", t.opened[2]), t.opened
