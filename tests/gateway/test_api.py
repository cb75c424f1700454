# SPDX-License-Identifier: Apache-2.0
"""The API in nginx: bodies, slow and vanishing clients, full queues, cookies of others."""
import json
import signal
import socket
import threading
import time

import pytest

from gateway_lab import COOKIE, Client, raw, read_answer, wait_until

PASSWORD = "correct horse battery staple"
PAGE = {"Accept": "text/html,*/*"}


@pytest.fixture(scope="module")
def world(module_gateways, module_application):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    gateway = module_gateways(
        settings={"latchkey_throttle": "account=100000/15m address=100000/15m"},
        server=f"""
        client_body_timeout 2s;
        client_body_buffer_size 1k;
        location / {{ latchkey optional; {up} }}
        location /required/ {{ latchkey required; {up} }}
        location /csrf/ {{ latchkey optional; latchkey_csrf on; {up} }}
        location /expires/ {{ latchkey optional anonymous; expires max; add_header Cache-Control public; {up} }}
        location /closed/ {{ latchkey required;
            location /closed/api/ {{ rewrite ^/closed/api/(.*)$ /auth/$1 break; latchkey_api; }}
        }}
        """)
    gateway.start()
    gateway.alice = Client(gateway.port)
    assert gateway.alice.register("alice").status == 201
    assert gateway.alice.login("alice").status == 200
    yield gateway


def post(path, body, headers="", version="1.1"):
    body = body if isinstance(body, bytes) else body.encode()
    return (f"POST {path} HTTP/{version}\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def credentials(name="alice", **more):
    return json.dumps({"username": name, "password": PASSWORD, **more})


# ---- bodies ----

@pytest.mark.parametrize("size,status", [(16384, 400), (16385, 413), (100_000, 413), (3_000_000, 413)])
def test_a_body_over_16_kib_is_413_in_our_own_words(world, size, status):
    answer = raw(world.port, post("/auth/login", "x" * size))
    assert answer.status == status
    assert answer.get("Content-Type") == "application/problem+json"


@pytest.mark.parametrize("size,status", [(16384, 400), (16385, 413), (200_000, 413)])
def test_a_chunked_body_is_bounded_alike(world, size, status):
    for piece in (1, 1000, 16000, 100_000):
        if size // piece > 20000:
            continue
        body = b""
        left = size
        while left:
            n = min(piece, left)
            body += b"%x\r\n" % n + b"x" * n + b"\r\n"
            left -= n
        answer = raw(world.port, b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                                 b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n")
        assert answer.status == status, piece


def test_a_chunked_login_works(world):
    text = credentials().encode()
    body = b"".join(b"1\r\n" + bytes([c]) + b"\r\n" for c in text) + b"0\r\n\r\n"
    answer = raw(world.port, b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert answer.status == 200


def test_no_body_is_ever_written_to_a_file(world):
    raw(world.port, post("/auth/login", credentials() + " " * 16000))
    raw(world.port, post("/auth/login", "x" * 100_000))
    assert "buffered to a temporary file" not in world.log()


def test_the_connection_is_kept_and_in_step_after_every_kind_of_body(world):
    """Bodies that were read, not read, too large, or there although nobody asked."""
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        stream = s.makefile("rb")
        for body, status in ((credentials(), 200), ("{", 400), ("x" * 20000, 413), (credentials(), 200)):
            s.sendall(post("/auth/login", body))
            assert read_answer(stream).status == status
        s.sendall(post("/required/x", "some body"))
        assert read_answer(stream).status == 401
        s.sendall(b"GET /auth/session HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        assert read_answer(stream).status == 401
        s.sendall(b"GET /auth/health/live HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        assert [read_answer(stream).status for _ in range(3)] == [200, 200, 200]


def test_pipelined_logins_are_answered_in_order(world):
    with socket.create_connection(("127.0.0.1", world.port), 30) as s:
        s.sendall(b"".join(post("/auth/login", credentials(password="wrong") if i % 2 else credentials())
                           for i in range(6)))
        stream = s.makefile("rb")
        assert [read_answer(stream).status for _ in range(6)] == [200, 401] * 3


def test_expect_100_continue_is_honoured(world):
    body = credentials().encode()
    head = (f"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        stream = s.makefile("rb")
        s.sendall(head)
        assert read_answer(stream).status == 100
        s.sendall(body)
        assert read_answer(stream).status == 200


@pytest.mark.parametrize("path,length,status", [("/auth/login", 100_000, 413), ("/required/x", 10, 401)])
def test_a_client_that_waits_to_be_asked_for_its_body_gets_the_answer_instead(world, path, length, status):
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n".encode())
        assert read_answer(s.makefile("rb")).status == status


def test_a_slow_client_is_served_and_a_stopped_one_is_let_go(world):
    request = post("/auth/login", credentials())
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        for i in range(0, len(request), 20):
            s.sendall(request[i:i + 20])
            time.sleep(0.02)
        assert read_answer(s.makefile("rb")).status == 200
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        s.sendall(request[:-5])
        assert s.makefile("rb").readline() in (b"", b"HTTP/1.1 408 Request Time-out\r\n")
    assert world.alice.get("/required/x").status == 200


def test_a_client_that_leaves_during_its_login_hurts_nobody(world):
    """The thread goes on with memory of its own; its result is dropped once. ASan watches."""
    request = post("/auth/login", credentials())
    for i in range(60):
        s = socket.create_connection(("127.0.0.1", world.port), 20)
        s.sendall(request if i % 3 else request[:-3])
        if i % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        time.sleep(0.001 * (i % 7))
        s.close()
    wait_until(lambda: Client(world.port).login("alice").status == 200, 30, "a login after all that")
    assert world.alice.get("/required/x").status == 200


# ---- answers ----

def test_head_of_the_api_has_the_headers_and_no_body(world):
    answer = world.alice.request("HEAD", "/auth/health/live")
    assert answer.status == 200 and answer.body == b""
    assert world.alice.get("/auth/health/live").status == 200


def test_the_api_is_open_whatever_the_locations_around_it_ask(world):
    answer = raw(world.port, post("/closed/api/login", credentials()))
    assert answer.status == 200


def test_an_answer_with_a_session_cookie_may_not_be_stored(world):
    visitor = Client(world.port)
    answer = visitor.login("alice")
    assert answer.get("Set-Cookie").startswith(COOKIE + "=")
    assert answer.all("Cache-Control") == ["no-store"]
    answer = visitor.post("/auth/logout")
    assert "Max-Age=0" in answer.get("Set-Cookie")
    assert answer.all("Cache-Control") == ["no-store"]


def test_no_store_is_the_last_word_whatever_the_application_and_nginx_say(world, module_application):
    module_application.headers = [("Cache-Control", "public, max-age=3600"), ("Cache-Control", "immutable")]
    try:
        answer = Client(world.port).get("/expires/x", headers=PAGE)
    finally:
        module_application.headers = []
    assert answer.get("Set-Cookie").startswith(COOKIE + "=")
    assert answer.all("Cache-Control") == ["no-store"]


def test_caching_is_left_alone_where_we_set_no_cookie(world, module_application):
    module_application.headers = [("Cache-Control", "public, max-age=3600")]
    try:
        assert world.alice.get("/required/x").all("Cache-Control") == ["public, max-age=3600"]
    finally:
        module_application.headers = []


def test_an_application_cannot_set_our_cookie(world, module_application):
    evil = [f"{COOKIE}=evil; Path=/", f" {COOKIE} =evil", f"={COOKIE}=evil", f"{COOKIE}", f"{COOKIE}; Max-Age=0",
            f"= {COOKIE}=evil", "latchkey_form=evil", "__Host-latchkey_form=evil; Secure; Path=/"]
    kept = ["latchkeys=1", "x=latchkey=1; Path=/", "Latchkey=other", "other=2; Max-Age=0"]
    module_application.headers = [("Set-Cookie", v) for pair in zip(evil, kept + kept) for v in pair]
    try:
        for path in ("/x", "/required/x"):
            answer = world.alice.get(path)
            assert sorted(answer.all("Set-Cookie")) == sorted((kept + kept)[:len(evil)]), path
    finally:
        module_application.headers = []
        for name in ("latchkeys", "x", "Latchkey", "other"):
            world.alice.cookies.pop(name, None)


def test_identity_headers_of_an_answer_are_the_applications_own(world, module_application):
    module_application.headers = [("Remote-User", "a-word-of-the-application")]
    try:
        assert world.alice.get("/x").all("Remote-User") == ["a-word-of-the-application"]
    finally:
        module_application.headers = []


# ---- CSRF before the application ----

@pytest.mark.parametrize("headers,allowed", [
    ({"Sec-Fetch-Site": "same-origin"}, True), ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False), ({"Origin": "http://127.0.0.1:{port}"}, True),
    ({"Origin": "http://evil.example"}, False), ({"Origin": "null"}, False),
    ({"Referer": "http://127.0.0.1:{port}/page"}, True), ({"Referer": "http://evil.example/"}, False),
    ({"Content-Type": "application/x-www-form-urlencoded"}, False), ({"Content-Type": "application/json"}, True),
])
def test_a_change_that_rides_on_the_cookie_must_come_from_our_pages(world, headers, allowed):
    headers = {k: v.replace("{port}", str(world.port)) for k, v in headers.items()}
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        if "Content-Type" in headers and method != "POST":
            continue
        answer = world.alice.request(method, "/csrf/x", body="a=b", headers=headers)
        assert answer.status == (200 if allowed else 403), (method, answer)
        if not allowed:
            assert answer.reason == "csrf"


def test_what_needs_no_proof_is_let_through(world):
    evil = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    for method in ("GET", "HEAD", "OPTIONS"):
        assert world.alice.request(method, "/csrf/x", headers=evil).status == 200
    assert world.alice.request("POST", "/x", headers=evil).status == 200         # latchkey_csrf is off there
    assert Client(world.port).request("POST", "/csrf/x", headers=evil).status == 200  # nobody's cookie
    program = Client(world.port)
    program.login("alice", credential="jwt", carrier="header")
    assert program.request("POST", "/csrf/x", headers=evil).status == 200        # no browser sends that header by itself


def test_a_websocket_handshake_counts_as_a_change(world):
    """RFC 6455 section 10.2: browsers open them across sites, cookies and all."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert world.alice.get("/csrf/x", headers={**upgrade, "Origin": "http://evil.example"}).status == 403
    assert world.alice.get("/csrf/x", headers={**upgrade, "Origin": f"http://127.0.0.1:{world.port}"}).status == 200


# ---- anonymous visitors ----

def test_a_program_without_a_cookie_gets_no_session(world):
    answer = Client(world.port).get("/expires/x")
    assert answer.status == 200
    assert answer.sent("Latchkey-Session") == [""] and answer.get("Set-Cookie") is None


def test_an_anonymous_visitor_gets_a_session_that_keeps_data_and_survives_the_login(world):
    visitor = Client(world.port)
    first = visitor.get("/expires/x", headers=PAGE)
    assert first.status == 200
    session, = first.sent("Latchkey-Session")
    assert len(session) == 16 and first.sent("Remote-User") == [""]
    second = visitor.get("/expires/x", headers=PAGE)
    assert second.sent("Latchkey-Session") == [session] and second.get("Set-Cookie") is None
    answer = visitor.request("PATCH", "/auth/session/data", json_body={"cart": ["tea"]},
                             headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 200
    before = visitor.cookies[COOKIE]
    assert visitor.login("alice").status == 200
    assert visitor.cookies[COOKIE] != before
    assert visitor.get("/auth/session/data").json["cart"] == ["tea"]


def test_visitors_who_come_at_once_get_a_session_each(world):
    seen = []

    def visit():
        visitor = Client(world.port)
        seen.append(visitor.get("/expires/x", headers=PAGE).sent("Latchkey-Session")[0])

    threads = [threading.Thread(target=visit) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(seen)) == 40 and all(len(s) == 16 for s in seen)


def test_no_session_is_made_where_the_location_does_not_say_so(world):
    assert Client(world.port).get("/x").get("Set-Cookie") is None
    assert world.alice.get("/expires/x", headers=PAGE).get("Set-Cookie") is None


# ---- a full queue ----

def test_a_full_hash_queue_is_503_and_session_checks_go_on(gateways, application):
    gateway = gateways(workers=1, settings={"latchkey_password": "queue=2 passes=8 memory=65536",
                                            "latchkey_throttle": "account=100000/15m address=100000/15m"},
                       server=f"location /required/ {{ latchkey required; "
                              f"proxy_pass http://127.0.0.1:{application.port}; }}").start()
    alice = Client(gateway.port)
    assert alice.register("alice").status == 201
    assert alice.login("alice").status == 200
    statuses, checks = [], []
    stop = threading.Event()

    def hammer():
        client = Client(gateway.port)
        while not stop.is_set():
            answer = client.login("alice")
            statuses.append(answer.status)
            if answer.status == 503:
                assert int(answer.get("Retry-After")) >= 1 and answer.reason == "throttled"

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for t in threads:
        t.start()
    try:
        wait_until(lambda: statuses.count(503) >= 20 and statuses.count(200) >= 5, 60, "both sorts of answer")
        for _ in range(100):
            checks.append(alice.get("/required/x").status)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert set(statuses) == {200, 503}
    assert set(checks) == {200}
    assert alice.login("alice").status == 200


def test_a_call_that_takes_too_long_is_503_and_its_thread_is_waited_for_by_nobody(gateways):
    gateway = gateways(workers=1, http="latchkey_wait 300ms;",
                       settings={"latchkey_password": "queue=10 passes=6 memory=262144"}).start()
    started = threading.Barrier(4)
    answers = []

    def come():
        visitor = Client(gateway.port)
        started.wait()
        answers.append(visitor.register("alice"))

    threads = [threading.Thread(target=come) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [a.status for a in answers] == [503] * 4
    assert all(a.reason == "store_unavailable" and a.get("Retry-After") for a in answers)
    assert Client(gateway.port).get("/auth/health/live").status == 200
    # one was in a thread, and is finished there; those in the queue were taken out of it
    wait_until(lambda: len([e for e in gateway.audit() if e["event"] == "registered"]) == 1, 60, "the end of the hash")
    assert gateway.stop() == 0


def test_a_worker_that_is_stopped_finishes_the_call_it_is_at(gateways):
    gateway = gateways(workers=1, settings={"latchkey_password": "passes=10 memory=131072"}).start()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(Client(gateway.port).register("alice")))
    thread.start()
    time.sleep(0.15)
    assert gateway.stop(signal.SIGQUIT) == 0
    thread.join()
    assert [a.status for a in answers] == [201]


# ---- the API in another nginx ----

def test_an_api_behind_a_unix_socket_serves_the_gateway_in_front(gateways, application):
    """Two nginx on one set of settings, as latchkey serve --split makes them."""
    edge = gateways()
    socket_path = edge.folder / "api.sock"
    edge.server = f"""
        location / {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}
        location /front/ {{ latchkey_api remote; proxy_pass http://unix:{socket_path}:/auth/;
                           proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $http_x_test_proto;
                           proxy_set_header X-Forwarded-For $remote_addr; }}
        location /closed/ {{ proxy_pass http://unix:{socket_path}:/auth/; }}"""
    edge.write()
    back = gateways(settings=edge.settings)
    back.server = f"""}} server {{ listen unix:{socket_path}; set_real_ip_from unix:; real_ip_header X-Forwarded-For;
                      location /auth/ {{ latchkey_api; }}"""
    back.write()
    back.start()
    edge.start()
    visitor = Client(edge.port)
    assert visitor.register("alice").status == 201
    login = {"username": "alice", "password": PASSWORD}
    answer = visitor.post("/front/login", login)
    assert answer.status == 200 and visitor.cookies[COOKIE]
    assert visitor.get("/x").status == 200
    # a location that does not say `remote` is an application like any other
    assert Client(edge.port).post("/closed/login", login).get("Set-Cookie") is None
    # https in front: the back believes the socket, so a form from an https page is one of ours
    page = {"Origin": f"https://127.0.0.1:{edge.port}", "Content-Type": "application/json"}
    assert visitor.post("/front/logout", headers={**page, "X-Test-Proto": "https"}).status == 204
    assert visitor.get("/x").status == 401
