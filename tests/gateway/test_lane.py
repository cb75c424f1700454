# SPDX-License-Identifier: Apache-2.0
"""Look-ups in a store that other machines share: every answer reaches the request that asked, whatever becomes of the
others, of the worker, or of the settings."""
import os
import signal
import socket
import time

import pytest

from gateway_lab import COOKIE, Client, free_port, wait_until
from store_lab import STORES, Background, Storm, Visitors, get, http2, is_ready, metric, nodes, opened

EVERY = "life=0s"  # no near copies: every request is a look-up


@pytest.fixture(scope="module", params=STORES)
def store(request):
    with opened(request.param) as server:
        yield server


@pytest.fixture(scope="module", params=["redis", "postgres"])
def some_store(request):
    with opened(request.param) as server:
        yield server


# ---- each answer reaches its own request ----

@pytest.mark.parametrize("near", [EVERY, "life=1m"])
def test_every_answer_reaches_the_request_that_asked(gateways, tmp_path, store, near):
    [gateway] = nodes(gateways, tmp_path, store.url, near=near)
    visitors = Visitors(gateway, users=40, anonymous=300)
    before = metric(gateway, "latchkey_store_batches_total")
    storm = Storm([gateway.port], visitors.told).run(requests=150)
    assert storm.wrong == [] and storm.lost == 0 and storm.unknown == 0
    assert storm.right == 64 * 150
    batches = metric(gateway, "latchkey_store_batches_total") - before
    if near == EVERY:
        assert 0 < batches < storm.right / 2, "look-ups of parallel requests are one batch"
    else:
        assert batches <= 2 * len(visitors.told), "what was looked up once is known for a while"


def test_parallel_requests_with_one_cookie_are_one_look_up(gateways, tmp_path, some_store):
    [gateway] = nodes(gateways, tmp_path, some_store.url, near=EVERY, workers=1)
    visitors = Visitors(gateway, users=1)
    before = metric(gateway, "latchkey_store_batches_total")
    storm = Storm([gateway.port], visitors.told).run(requests=50)
    assert storm.wrong == [] and storm.lost == 0 and storm.unknown == 0
    assert metric(gateway, "latchkey_store_batches_total") - before < storm.right / 2


def test_cookies_that_were_never_given_out_are_refused_among_good_ones(gateways, tmp_path, some_store):
    [gateway] = nodes(gateways, tmp_path, some_store.url, near=EVERY)
    told = Visitors(gateway, users=2, anonymous=50).told
    told.update({f"{i:03}" + "A" * 40: "|" for i in range(50)})
    storm = Storm([gateway.port], told).run(requests=60)
    assert storm.wrong == [] and storm.lost == 0 and storm.unknown == 0


def test_three_gateways_tell_the_same_of_every_visitor(gateways, tmp_path, store):
    made = nodes(gateways, tmp_path, store.url, 3)
    told = {}
    for i, gateway in enumerate(made):
        visitors = Visitors(gateway, anonymous=40)
        visitors.log_in(gateway, f"node{i}")
        told.update(visitors.told)
    storm = Storm([g.port for g in made], told).run(requests=60)
    assert storm.wrong == [] and storm.lost == 0 and storm.unknown == 0


def test_a_sub_request_waits_for_its_own_answer(gateways, tmp_path, some_store):
    [gateway] = nodes(gateways, tmp_path, some_store.url, near=EVERY, locations="""
        location /guarded/ { auth_request /check/; @up; }
        location = /check/ { internal; latchkey required; @up; }
        location /parts/ { ssi on; }
        """)
    visitors = Visitors(gateway, users=10)
    (gateway.folder / "www/parts").mkdir()
    (gateway.folder / "www/parts/page.html").write_text(
        '<!--#include virtual="/echo/a" -->;<!--#include virtual="/who/b" -->;<!--#include virtual="/open/c" -->')
    for cookie, told in visitors.told.items():
        assert get(gateway, "/guarded/x", cookie).status == 200
        assert get(gateway, "/parts/page.html", cookie).text == f"{told};{told};|"
    assert get(gateway, "/guarded/x").status == 401
    assert get(gateway, "/guarded/x", "A" * 43).status == 401
    storm = Storm([gateway.port], {c: f"{t};{t};|" for c, t in visitors.told.items()}, path="/parts/page.html")
    storm.run(requests=20)
    assert storm.wrong == [] and storm.lost == 0 and storm.unknown == 0


def test_streams_of_one_http2_connection_get_their_own_answers(gateways, tmp_path, some_store):
    port = free_port()
    [gateway] = nodes(gateways, tmp_path, some_store.url, near=EVERY, http=f"""server {{
        listen 127.0.0.1:{port} http2;
        location / {{ latchkey optional; proxy_pass http://application; }} }}""")
    visitors = Visitors(gateway, users=3, anonymous=97)
    requests = list(visitors.told.items())
    for _ in range(4):
        answers = http2(port, [("/who/", f"{COOKIE}={cookie}") for cookie, _ in requests])
        assert answers == [(200, told) for _, told in requests]


def test_a_body_that_follows_the_headers_late_reaches_the_application(gateways, tmp_path, some_store, application):
    """The request waits for its answer while its body is still on its way."""
    [gateway] = nodes(gateways, tmp_path, some_store.url, near=EVERY,
                      locations=f"location /body/ {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}")
    cookie = Visitors(gateway).log_in(gateway, "alice")
    for wait in (0, 0.05):
        with socket.create_connection(("127.0.0.1", gateway.port), 20) as s:
            s.sendall(f"POST /body/ HTTP/1.0\r\nCookie: {COOKIE}={cookie}\r\nContent-Length: 100000\r\n\r\n".encode())
            time.sleep(wait)
            for _ in range(10):
                s.sendall(b"x" * 10000)
            with s.makefile("rb") as stream:
                assert stream.readline().split()[1] == b"200"
        assert application.seen[-1]["body"] == "x" * 100000


# ---- whoever goes away meanwhile ----

def test_clients_that_go_away_while_they_wait_harm_nobody(gateways, tmp_path, some_store):
    [gateway] = nodes(gateways, tmp_path, some_store.url + "?deadline=2s", near=EVERY)
    visitors = Visitors(gateway, users=3, anonymous=60)
    cookies = list(visitors.told)
    for _ in range(3):
        gone = []
        some_store.freeze()
        try:
            for i in range(150):
                s = socket.create_connection(("127.0.0.1", gateway.port), 20)
                s.sendall(f"GET /echo/ HTTP/1.1\r\nHost: x\r\nCookie: {COOKIE}={cookies[i % len(cookies)]}\r\n\r\n".encode())
                gone.append(s)
            time.sleep(0.2)
            for s in gone:
                s.close()
            time.sleep(0.2)
        finally:
            some_store.thaw()
        wait_until(lambda: get(gateway, "/who/", cookies[0]).status == 200, 30, "an answer")
        storm = Storm([gateway.port], visitors.told).run(requests=20)
        assert storm.wrong == [] and storm.lost == 0 and storm.unknown == 0
    assert any(line.startswith("499 ") for line in gateway.access_log())


# ---- reloads, and workers that die ----

def test_reloads_under_load_turn_nobody_away(gateways, tmp_path, some_store):
    [gateway] = nodes(gateways, tmp_path, some_store.url, near=EVERY)
    visitors = Visitors(gateway, users=5, anonymous=100)
    with Background(Storm([gateway.port], visitors.told, connections=16), 600) as storm:
        try:
            for _ in range(8):
                old = set(gateway.children())
                gateway.reload()
                wait_until(lambda: len(set(gateway.children()) - old) >= gateway.workers, 30, "new workers")
                time.sleep(0.1)
        finally:
            storm.stop()
    assert storm.wrong == [] and storm.unknown == 0 and storm.right > 100
    # nginx closes connections that idle between two requests; what it had begun to answer it answers
    assert storm.cut == 0
    wait_until(lambda: len(gateway.children()) == gateway.workers, 60, "the end of the old workers")


def test_requests_that_wait_for_a_slow_store_survive_a_reload(gateways, tmp_path, some_store):
    [gateway] = nodes(gateways, tmp_path, some_store.url + "?deadline=5s", near=EVERY)
    visitors = Visitors(gateway, anonymous=30)
    waiting = []
    some_store.freeze()
    try:
        for cookie, told in visitors.told.items():
            s = socket.create_connection(("127.0.0.1", gateway.port), 20)
            s.sendall(f"GET /who/ HTTP/1.0\r\nCookie: {COOKIE}={cookie}\r\n\r\n".encode())
            waiting.append((s, told))
        time.sleep(0.3)
        gateway.reload()
        time.sleep(0.7)
    finally:
        some_store.thaw()
    for s, told in waiting:
        with s, s.makefile("rb") as stream:
            answer = stream.read().decode()
            assert answer.startswith("HTTP/1.1 200") and answer.endswith("\r\n\r\n" + told), answer


def test_killed_workers_take_only_their_own_requests_along(gateways, tmp_path, some_store):
    [gateway] = nodes(gateways, tmp_path, some_store.url, near=EVERY, workers=3)
    gateway.expected_faults += ["exited on signal 9"]
    visitors = Visitors(gateway, users=5, anonymous=100)
    with Background(Storm([gateway.port], visitors.told, connections=24), 600) as storm:
        try:
            for _ in range(8):
                old = gateway.children()
                os.kill(old[0], signal.SIGKILL)
                wait_until(lambda: old[0] not in gateway.children() and len(gateway.children()) == 3, 30, "a new worker")
                time.sleep(0.15)
        finally:
            storm.stop()
    assert storm.wrong == [] and storm.right > 100
    storm = Storm([gateway.port], visitors.told).run(requests=20)
    assert storm.wrong == [] and storm.lost == 0 and storm.unknown == 0


# ---- what one gateway ends is over on the others ----

def test_a_logout_on_one_gateway_holds_on_the_others_at_once(gateways, tmp_path, store):
    made = nodes(gateways, tmp_path, store.url, 3)
    visitors = Visitors(made[0])
    visitors.log_in(made[0], "alice")
    times = []
    for i in range(12):
        cookie = visitors.log_in(made[i % 3], "alice", register=False)
        for gateway in made:
            assert get(gateway, "/echo/", cookie).status == 200  # a copy is there now
        begun = time.monotonic()
        assert get(made[(i + 1) % 3], "/auth/logout", cookie, method="POST", headers="Sec-Fetch-Site: same-origin\r\n").status == 204
        assert get(made[(i + 1) % 3], "/echo/", cookie).status == 401
        for gateway in made:
            wait_until(lambda: get(gateway, "/echo/", cookie).status == 401, 30, "the end of the session on every gateway")
        times.append(time.monotonic() - begun)
        for gateway in made:
            assert get(gateway, "/echo/", cookie).status == 401
    assert sorted(times)[6] < 1 and max(times) < 2.5, times


def test_a_logout_everywhere_reaches_sessions_and_tokens_of_other_gateways(gateways, tmp_path, store):
    made = nodes(gateways, tmp_path, store.url, 2)
    visitors = Visitors(made[0])
    cookies = [visitors.log_in(made[0], "alice")] + [visitors.log_in(made[i % 2], "alice", register=False) for i in range(4)]
    program = Client(made[0].port)
    assert program.login("alice", credential="jwt", carrier="header").status == 200
    for gateway in made:
        assert get(gateway, "/echo/", bearer=program.token).status == 200
        assert all(get(gateway, "/echo/", c).status == 200 for c in cookies)
    answer = get(made[1], "/auth/logout?everywhere=1", cookies[0], method="POST", headers="Sec-Fetch-Site: same-origin\r\n")
    assert answer.status == 204
    for gateway in made:
        wait_until(lambda: get(gateway, "/echo/", bearer=program.token).status == 401, 30, "the end of the token")
        wait_until(lambda: all(get(gateway, "/echo/", c).status == 401 for c in cookies), 30, "the end of the sessions")
    assert get(made[1], "/who/", cookies[0]).text == "|"


def test_a_gateway_that_joins_knows_who_is_in_and_who_was_put_out(gateways, tmp_path, store):
    [first] = nodes(gateways, tmp_path, store.url)
    visitors = Visitors(first)
    stays = visitors.log_in(first, "alice")
    leaves = visitors.log_in(first, "bob")
    program = Client(first.port)
    assert program.login("bob", credential="jwt", carrier="header").status == 200
    assert get(first, "/auth/logout?everywhere=1", leaves, method="POST", headers="Sec-Fetch-Site: same-origin\r\n").status == 204
    [second] = nodes(gateways, tmp_path, store.url)
    assert get(second, "/echo/", stays).text == visitors.told[stays]
    assert get(second, "/echo/", leaves).status == 401
    assert get(second, "/echo/", bearer=program.token).status == 401


def test_data_that_two_gateways_write_is_all_kept(gateways, tmp_path, store):
    made = nodes(gateways, tmp_path, store.url, 2)
    cookie = Visitors(made[0]).log_in(made[0], "alice")
    clients = [Client(g.port) for g in made]
    for client in clients:
        client.cookies[COOKIE] = cookie
    for n in range(1, 26):
        for i, client in enumerate(clients):
            answer = client.request("PATCH", "/auth/session/data", json_body={f"field{i}": n},
                                    headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status == 200, answer
    assert clients[0].get("/auth/session/data").json == {"field0": 25, "field1": 25}


def test_a_restarted_gateway_finds_everybody_where_they_were(gateways, tmp_path, store):
    [gateway] = nodes(gateways, tmp_path, store.url)
    visitors = Visitors(gateway, users=2, anonymous=20)
    gateway.kill()
    gateway.start()
    wait_until(lambda: is_ready(gateway), 30, "readiness")
    storm = Storm([gateway.port], visitors.told, connections=8).run(requests=10)
    assert storm.wrong == [] and storm.unknown == 0
