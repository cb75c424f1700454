# SPDX-License-Identifier: Apache-2.0
"""The store is dead, frozen or wrong: nobody is logged out, nobody gets in, everything else goes on as before."""
import os
import re
import signal
import sqlite3
import threading
import time

import pytest

from gateway_lab import Client, free_port, wait_until
from store_lab import Background, Storm, Visitors, get, is_ready, nodes, opened, timed, wait_ready

EVERY = "life=0s"
LOCATIONS = """
    location /stale/ { latchkey required; latchkey_on_unknown stale=1m; @up; }
    location /short/ { latchkey required; latchkey_on_unknown stale=3s; @up; }
    location /safe/ { latchkey required; latchkey_on_unknown safe; @up;
        location /safe/inner/ { @up; }
        location /safe/not/ { latchkey_on_unknown 503; @up; }
    }
    location /deny/ { latchkey required; latchkey_revocation_lag 1s deny; @up; }
    location /serve/ { latchkey required; latchkey_revocation_lag 1s serve; @up; }
    location /quick/ { latchkey required; latchkey_revocation_lag 500ms ask; @up; }
"""


@pytest.fixture(scope="module", params=["redis", "postgres", "mariadb"])
def store(request):
    with opened(request.param, durable=True) as server:
        yield server


@pytest.fixture
def frozen(store):
    """Freezes the store for a block, and thaws it whatever happens there."""
    class Frozen:
        def __enter__(self):
            store.freeze()

        def __exit__(self, *e):
            store.thaw()
    return Frozen


def is_unknown(answer):
    """503 with Retry-After, and no word to the browser about its cookie."""
    return answer.status == 503 and answer.get("Retry-After") is not None and answer.get("Set-Cookie") is None


def wait_back(gateway, cookie, path="/echo/", seconds=20):
    """Until every worker has found the store again: each tries for itself, a second or two apart."""
    wait_until(lambda: all(get(gateway, path, cookie).status == 200 for _ in range(20)), seconds, "answers of the store")


# ---- a store that hangs ----

def test_a_store_that_hangs_holds_up_nothing_but_what_asks_it(gateways, tmp_path, store, frozen):
    [gateway] = nodes(gateways, tmp_path, store.url, near=EVERY, workers=1, locations=LOCATIONS)
    visitors = Visitors(gateway, users=1, anonymous=50)
    program = Client(gateway.port)
    assert program.login("user0", credential="jwt", carrier="header").status == 200
    (gateway.folder / "www/file").write_text("file")

    def latencies():
        took = []
        for path, bearer in [("/open/", None), ("/file", None), ("/serve/", program.token), ("/auth/health/live", None)] * 40:
            answer, seconds = timed(lambda: get(gateway, path, bearer=bearer))
            assert answer.status == 200, (path, answer)
            took.append(seconds)
        return took

    with frozen():
        begun = time.monotonic()
        with Background(Storm([gateway.port], visitors.told), 5) as storm:
            hung = latencies()
            while time.monotonic() < begun + 4.5:
                hung += latencies()
        hung.sort()
    # Without the lane, each of the others would wait for deadlines of the store: 1 s and more.
    assert hung[len(hung) * 95 // 100] < 0.8
    assert storm.wrong == [] and storm.unknown > 100, "everybody was told that nobody knows"
    wait_back(gateway, visitors.users["user0"])
    storm = Storm([gateway.port], visitors.told).run(requests=10)
    assert storm.wrong == [] and storm.unknown == 0 and storm.lost == 0


def test_accounts_that_hang_hold_up_no_session(gateways, tmp_path, store):
    with opened("mariadb") as accounts:
        [gateway] = nodes(gateways, tmp_path, store.url, near=EVERY, workers=1,
                          settings={"latchkey_accounts": f'"{accounts.url}?deadline=5s"'})
        visitors = Visitors(gateway, users=2, anonymous=20)
        accounts.freeze()
        try:
            threads = [threading.Thread(target=Client(gateway.port).login, args=("user0",)) for _ in range(40)]
            for t in threads:
                t.start()
            time.sleep(0.2)
            took = [timed(lambda: get(gateway, "/echo/", visitors.users["user1"])) for _ in range(50)]
        finally:
            accounts.thaw()
            for t in threads:
                t.join()
        assert all(answer.status == 200 for answer, _ in took)
        assert sorted(seconds for _, seconds in took)[45] < 2.5, "the deadline of the accounts is 5 s"


def test_a_request_gets_its_503_within_the_deadline(gateways, tmp_path, store, frozen):
    [gateway] = nodes(gateways, tmp_path, store.url + "?deadline=1s", near=EVERY, workers=1)
    cookie = Visitors(gateway).log_in(gateway, "alice")
    with frozen():
        answer, first = timed(lambda: get(gateway, "/echo/", cookie))
        assert is_unknown(answer)
        assert first < 10, "the deadline, once more for a new connection, and a slow machine"
        took = []
        for _ in range(20):
            answer, seconds = timed(lambda: get(gateway, "/echo/", cookie))
            assert is_unknown(answer)
            took.append(seconds)
        assert sorted(took)[10] < 0.8, "most are answered at once while nobody tries to reach the store"
    wait_back(gateway, cookie)


def test_who_finds_the_queue_full_is_answered_at_once(gateways, tmp_path, store, frozen):
    [gateway] = nodes(gateways, tmp_path, store.url + "?deadline=10s", near=EVERY, workers=1, locations=LOCATIONS,
                      http="latchkey_lane queue=5 wait=20s;")
    visitors = Visitors(gateway, anonymous=40)
    took = []

    def ask(cookie):
        answer, seconds = timed(lambda: get(gateway, "/who/", cookie))
        assert is_unknown(answer) or answer.text == visitors.told[cookie], answer
        took.append((answer.status, seconds))

    threads = [threading.Thread(target=ask, args=(c,)) for c in visitors.told]
    with frozen():
        threads[0].start()
        time.sleep(0.3)  # its batch is under way
        for t in threads[1:]:
            t.start()
        wait_until(lambda: sum(status == 503 for status, _ in list(took)) >= 30, 9, "30 that are not kept waiting")
    for t in threads:
        t.join()
    assert len(took) == 40
    wait_until(lambda: get(gateway, "/who/", list(visitors.told)[0]).status == 200, 20, "an answer of the store")


def test_a_batch_that_never_ends_is_waited_for_no_longer_than_the_lane_says(gateways, tmp_path, store, frozen):
    [gateway] = nodes(gateways, tmp_path, store.url + "?deadline=900ms", near=EVERY, workers=1,
                      http="latchkey_lane wait=1s;")
    cookie = Visitors(gateway).log_in(gateway, "alice")
    with frozen():
        for _ in range(5):
            answer, seconds = timed(lambda: get(gateway, "/echo/", cookie))
            assert is_unknown(answer) and seconds < 6
    wait_back(gateway, cookie)


def test_a_database_file_that_somebody_locks_is_read_and_not_written(gateways, tmp_path):
    with opened("sqlite") as store:
        [gateway] = nodes(gateways, tmp_path, store.url, near=EVERY, workers=1)
        visitors = Visitors(gateway, users=1, anonymous=20)
        cookie = visitors.users["user0"]
        logout = {"method": "POST", "headers": "Sec-Fetch-Site: same-origin\r\n"}
        lock = sqlite3.connect(store.path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            with Background(Storm([gateway.port], visitors.told, connections=8), 2) as storm:
                answer, seconds = timed(lambda: get(gateway, "/auth/logout", cookie, **logout))
                assert is_unknown(answer) and seconds < 10
                answer = Client(gateway.port).login("user0")
                assert is_unknown(answer)
            assert storm.wrong == [] and storm.unknown == 0 and storm.right > 50
        finally:
            lock.execute("ROLLBACK")
        wait_until(lambda: get(gateway, "/auth/logout", cookie, **logout).status == 204, 30, "a logout")
        assert get(gateway, "/echo/", cookie).status == 401


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_a_gateway_stops_although_its_store_hangs(gateways, tmp_path, store, frozen, how):
    [gateway] = nodes(gateways, tmp_path, store.url, near=EVERY)
    gateway.expected_faults += ["exited on signal 9"]  # what nginx does to workers that take longer than a second
    cookie = Visitors(gateway).log_in(gateway, "alice")
    with frozen():
        assert is_unknown(get(gateway, "/echo/", cookie))
        _, seconds = timed(lambda: gateway.stop(how))
        assert seconds < 15


# ---- a store that is away ----

def test_nobody_is_logged_out_and_nobody_gets_in_while_the_store_is_dead(gateways, tmp_path, store):
    [gateway] = nodes(gateways, tmp_path, store.url, near=EVERY, locations=LOCATIONS)
    visitors = Visitors(gateway, users=2, anonymous=10)
    strange = "A" * 43
    pid = gateway.children()
    store.kill()
    try:
        for _ in range(3):
            for cookie in list(visitors.told) + [strange]:
                answer = get(gateway, "/echo/", cookie)
                assert is_unknown(answer), answer
                assert answer.json["reason"] == "store_unavailable"
                answer = get(gateway, "/who/", cookie)
                assert is_unknown(answer), "optional lets in whom it knows, not whom it cannot know"
            assert get(gateway, "/echo/").status == 401, "who shows nothing is nobody, store or not"
            assert get(gateway, "/who/").status == 200
            assert get(gateway, "/open/").status == 200
            login = Client(gateway.port).login("user0")
            assert login.status == 503 and login.get("Set-Cookie") is None
            out = get(gateway, "/auth/logout", visitors.users["user0"], method="POST", headers="Sec-Fetch-Site: same-origin\r\n")
            assert out.status == 503 and out.get("Set-Cookie") is None
            ready = get(gateway, "/auth/health/ready")
            assert ready.status == 503 and len(ready.json["detail"]) > 20
            assert get(gateway, "/auth/health/live").status == 200
            time.sleep(0.5)
    finally:
        store.start()
    wait_ready(gateway)
    wait_back(gateway, visitors.users["user0"])
    assert get(gateway, "/echo/", strange).status == 401
    storm = Storm([gateway.port], visitors.told, connections=8).run(requests=10)
    assert storm.wrong == [] and storm.unknown == 0
    assert gateway.children() == pid, "and no worker was started anew"
    log = gateway.log()
    assert 1 <= log.count("the store could not be asked") <= 6, "said once in an outage, by each worker"
    assert "the store answers again" in log


def test_an_outage_in_the_midst_of_a_storm_tells_nobody_anything_wrong(gateways, tmp_path, store):
    made = nodes(gateways, tmp_path, store.url, 2, near="life=1s")
    visitors = Visitors(made[0], users=2, anonymous=100)
    with Background(Storm([g.port for g in made], visitors.told, connections=24), 600) as storm:
        try:
            for _ in range(3):
                time.sleep(0.7)
                store.freeze()
                time.sleep(1.5)
                store.thaw()
                for gateway in made:
                    wait_back(gateway, visitors.users["user0"])
        finally:
            store.thaw()
            storm.stop()
    assert storm.wrong == [] and storm.lost == 0 and storm.right > 100


# ---- latchkey_on_unknown ----

def test_what_was_known_stands_in_where_the_location_says_so(gateways, tmp_path, store, frozen):
    [gateway] = nodes(gateways, tmp_path, store.url, near="life=1s", workers=1, locations=LOCATIONS)
    visitors = Visitors(gateway, users=2)
    known, other = visitors.users["user0"], visitors.users["user1"]
    told = visitors.told[known]
    over = visitors.log_in(gateway, "user1", register=False)
    for cookie in (known, over):
        assert get(gateway, "/stale/", cookie).status == 200
    assert get(gateway, "/auth/logout", over, method="POST", headers="Sec-Fetch-Site: same-origin\r\n").status == 204
    gateway.stop()   # a new start: the copy of `other` is forgotten, unlike that of `known`
    (gateway.folder / "table").unlink()
    gateway.start()
    wait_ready(gateway)
    assert get(gateway, "/stale/", known).text == told
    begun = time.monotonic()
    with frozen():
        wait_until(lambda: is_unknown(get(gateway, "/echo/", known)), 20, "the end of what is known for sure")
        for path in ("/stale/", "/safe/", "/safe/inner/"):
            assert get(gateway, path, known).text == told, path
            assert is_unknown(get(gateway, path, other)), "nobody here knows that one"
            answer = get(gateway, path, over)
            assert answer.status in (401, 503), "a session that was over is not let in"
        assert get(gateway, "/safe/", known, method="HEAD").status == 200
        for path in ("/safe/", "/safe/inner/"):
            for method in ("POST", "DELETE", "OPTIONS"):
                assert is_unknown(get(gateway, path, known, method=method)), method
            upgrade = "Upgrade: websocket\r\n"
            assert is_unknown(get(gateway, path, known, headers=upgrade)), "a WebSocket does not only read"
        assert get(gateway, "/stale/", known, method="POST").text == told
        assert is_unknown(get(gateway, "/safe/not/", known)), "the inner word counts"
        if time.monotonic() < begun + 3:
            assert get(gateway, "/short/", known).status == 200
        time.sleep(max(0, begun + 5 - time.monotonic()))
        assert is_unknown(get(gateway, "/short/", known)), "older than the bound"
        assert get(gateway, "/stale/", known).text == told
    wait_back(gateway, known)
    assert get(gateway, "/stale/", other).text == visitors.told[other]


# ---- latchkey_revocation_lag ----

def test_a_view_that_is_too_old_asks_denies_or_serves(gateways, tmp_path, store, frozen):
    [gateway] = nodes(gateways, tmp_path, store.url, near="life=1h", workers=1, locations=LOCATIONS)
    visitors = Visitors(gateway, users=1)
    cookie = visitors.users["user0"]
    program = Client(gateway.port)
    assert program.login("user0", credential="jwt", carrier="header").status == 200
    paths = ("/quick/", "/deny/", "/serve/", "/echo/")
    for path in paths:
        assert get(gateway, path, cookie).status == 200
        assert get(gateway, path, bearer=program.token).status == 200
    with frozen():
        begun = time.monotonic()
        wait_until(lambda: is_unknown(get(gateway, "/echo/", cookie)), 20, "a view older than 2 s")
        assert time.monotonic() - begun > 1.5, "until then the copy is as good as the store"
        for show in ({"cookie": cookie}, {"bearer": program.token}):
            assert is_unknown(get(gateway, "/quick/", **show)), "it cannot be asked"
            assert is_unknown(get(gateway, "/echo/", **show))
            answer, seconds = timed(lambda: get(gateway, "/deny/", **show))
            assert is_unknown(answer) and seconds < 0.8, "without asking, which takes the deadline of 1 s"
            answer, seconds = timed(lambda: get(gateway, "/serve/", **show))
            assert answer.status == 200 and seconds < 0.8
    for path in paths:
        wait_back(gateway, cookie, path)


# ---- starting ----

def wrong(store, **change):
    """The URL of the store with another password, user or port."""
    url = store.url
    if "port" in change:
        return re.sub(r":(\d+)(/|$|\?)", f":{change['port']}\\2", url, count=1)
    scheme, rest = url.split("://", 1)
    host = rest.rpartition("@")[2]
    return f"{scheme}://{change.get('user', 'latchkey')}:{change['password']}@{host}"


def test_the_start_is_refused_when_nobody_listens_there(gateways, tmp_path, store):
    port = free_port()
    [gateway] = nodes(gateways, tmp_path, wrong(store, port=port), wait=False, start=False, init=False)
    for run in (gateway.test(), gateway.trial()):
        assert run.returncode != 0
        assert "[emerg]" in run.stderr and "latchkey_store" in run.stderr and str(port) in run.stderr, run.stderr
        assert "correct latchkey_store" in run.stderr


def test_the_start_is_refused_when_the_password_is_wrong_and_it_is_shown_nowhere(gateways, tmp_path, store):
    [gateway] = nodes(gateways, tmp_path, wrong(store, password="s3cr3t-of-mine"), wait=False, start=False, init=False)
    for run in (gateway.test(), gateway.trial()):
        assert run.returncode != 0
        assert "[emerg]" in run.stderr and "latchkey_store" in run.stderr
        assert re.search("password|authenti|denied|AUTH", run.stderr), run.stderr
        assert "s3cr3t" not in run.stderr + run.stdout + gateway.log()
        for path in (gateway.folder / "logs").iterdir():
            assert "s3cr3t" not in path.read_text(errors="replace"), path


def test_databases_without_tables_are_refused_with_the_command_that_makes_them(gateways, tmp_path):
    with opened("postgres") as server:
        [gateway] = nodes(gateways, tmp_path, server.url, wait=False, start=False, init=False)
        run = gateway.test()
        assert run.returncode != 0
        assert "latchkey_store postgres://latchkey:***@" in run.stderr and "latchkey store init" in run.stderr, run.stderr
        [gateway] = nodes(gateways, tmp_path, "memory:", settings={"latchkey_accounts": f'"{server.url}"'}, wait=False,
                          start=False, init=False)
        run = gateway.trial()
        assert run.returncode != 0
        assert "latchkey_accounts postgres://latchkey:***@" in run.stderr and "latchkey store init" in run.stderr, run.stderr


def test_a_reload_while_the_store_is_away_is_no_reason_to_end(gateways, tmp_path, store):
    [gateway] = nodes(gateways, tmp_path, store.url, near=EVERY)
    gateway.expected_faults += ["answering 503 and trying again"]
    visitors = Visitors(gateway, users=1)
    cookie = visitors.users["user0"]
    store.kill()
    try:
        old = set(gateway.children())
        gateway.reload()
        wait_until(lambda: set(gateway.children()) and not old & set(gateway.children()), 30, "new workers")
        answer = get(gateway, "/echo/", cookie)
        assert is_unknown(answer)
        assert get(gateway, "/open/").status == 200
        assert get(gateway, "/auth/health/live").status == 200
        ready = get(gateway, "/auth/health/ready")
        assert ready.status == 503 and len(ready.json["detail"]) > 20, ready
        time.sleep(2.5)
        assert gateway.log().count("answering 503 and trying again") <= 2 * gateway.workers, "said once by each"
    finally:
        store.start()
    wait_ready(gateway)
    assert "opened at last" in gateway.log()
    wait_back(gateway, cookie)
    assert get(gateway, "/echo/", cookie).text == visitors.told[cookie]


def test_a_reload_to_a_store_that_cannot_be_reached_is_refused_and_the_old_settings_go_on(gateways, tmp_path, store):
    [gateway] = nodes(gateways, tmp_path, store.url)
    gateway.expected_faults += ["latchkey_store"]
    visitors = Visitors(gateway, users=1)
    conf = gateway.folder / "latchkey.conf"
    conf.write_text(conf.read_text().replace(store.url, wrong(store, port=free_port())))
    old = set(gateway.children())
    gateway.reload()
    wait_until(lambda: "correct latchkey_store" in gateway.log(), 30, "the refusal")
    assert set(gateway.children()) == old
    assert get(gateway, "/echo/", visitors.users["user0"]).status == 200


def test_a_worker_that_starts_while_the_store_hangs_serves_the_rest(gateways, tmp_path, store, frozen):
    [gateway] = nodes(gateways, tmp_path, store.url, near=EVERY, workers=1)
    gateway.expected_faults += ["answering 503 and trying again", "exited on signal 9"]
    visitors = Visitors(gateway, users=1)
    cookie = visitors.users["user0"]
    with frozen():
        [old] = gateway.children()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: gateway.children() and gateway.children() != [old], 30, "a new worker")
        answer, seconds = timed(lambda: get(gateway, "/open/"))
        assert answer.status == 200 and seconds < 1
        assert is_unknown(get(gateway, "/echo/", cookie))
        assert is_unknown(get(gateway, "/echo/", cookie))
    wait_back(gateway, cookie)
