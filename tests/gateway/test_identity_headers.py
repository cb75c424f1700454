# SPDX-License-Identifier: Apache-2.0
"""What a client says about who it is never reaches an application; what the gateway found out always does."""
import itertools
import json
import socket
import socketserver
import subprocess
import threading

import pytest

from gateway_lab import COOKIE, IDENTITY, Client, free_port, raw, read_answer, wait_until

NAMES = ["Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email", "Latchkey-Session", "Latchkey-Assertion",
         "Latchkey-Anything-Else"]


@pytest.fixture(scope="module")
def scgi_application():
    """Answers with the variables it was given."""
    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            size = b""
            while (c := self.rfile.read(1)) not in (b":", b""):
                size += c
            fields = self.rfile.read(int(size)).split(b"\0")[:-1]
            given = {k.decode(): v.decode() for k, v in zip(fields[::2], fields[1::2])}
            self.wfile.write(b"Content-Type: application/json\r\n\r\n" + json.dumps(given).encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def world(module_gateways, module_application, scgi_application):
    """One gateway with every sort of location, and alice logged in."""
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    named_port = free_port()
    gateway = module_gateways(http=f"""server {{
            listen 127.0.0.1:{named_port};
            error_page 400 = @named;
            location @named {{ {up} }}
        }}""", server=f"""
        ignore_invalid_headers off;
        underscores_in_headers on;
        location / {{ latchkey optional; {up} }}
        location /off/ {{ {up} }}
        location /required/ {{ latchkey required; {up} }}
        location /hops/ {{ latchkey optional; {up} proxy_http_version 1.1;
                           proxy_set_header Connection $http_connection; }}
        error_page 400 414 431 =200 /off/error;
        location /named/ {{ latchkey optional; error_page 405 =200 @named; if ($request_method = PUT) {{ return 405; }}
                            {up} }}
        location @named {{ {up} }}
        location /twice/ {{ latchkey optional; rewrite ^/twice/(.*)$ /again/$1 last; }}
        location /again/ {{ latchkey optional; try_files /no/such/file /required/tried; }}
        location /scgi/off/ {{ scgi_pass 127.0.0.1:{scgi_application}; }}
        location /scgi/optional/ {{ latchkey optional; scgi_pass 127.0.0.1:{scgi_application}; }}
        location /before/ {{ latchkey optional; set $before "[$http_remote_user]"; {up}
                             proxy_set_header X-Seen $before; }}
        location /after/ {{ latchkey optional; {up} proxy_set_header X-Seen "[$http_remote_user]"; }}
        """)
    gateway.named_port = named_port
    gateway.start()
    alice = gateway.client()
    assert alice.register("alice").status == 201
    assert alice.login("alice").status == 200
    gateway.alice = alice
    gateway.user_name = alice.get("/auth/session").json["user"]["name"]
    yield gateway


def spellings(name):
    words = name.split("-")
    yield name
    yield name.lower()
    yield name.upper()
    yield "_".join(words)
    yield "_".join(words).upper()
    yield name.replace("-", "_", 1)
    yield ".".join(words)
    yield "~".join(words)
    yield "!".join(words)
    yield "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(name))


def ask(port, path, lines, method="GET", version="1.1"):
    head = f"{method} {path} HTTP/{version}\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    return raw(port, head + "".join(line + "\r\n" for line in lines) + "\r\n", method)


@pytest.mark.parametrize("name", NAMES)
def test_no_spelling_of_an_identity_header_reaches_the_application(world, name):
    for spelling in spellings(name):
        for path in ("/", "/off/x"):
            answer = ask(world.port, path, [f"{spelling}: mallory", "X-Other: kept"])
            assert answer.status == 200, spelling
            assert "mallory" not in json.dumps(answer.json["headers"]), spelling
            assert answer.sent("X-Other") == ["kept"]


def test_headers_with_other_names_pass(world):
    """The positive control: what only looks alike is not touched."""
    lines = ["Remote: a", "Remote-Users: b", "X-Remote-User: c", "Remote-User-Agent: d", "Remote_Addr: e",
             "Latchkey: f", "Latch-Key-Session: g", "RemoteUser: h", "Local-User: i"]
    for path in ("/", "/off/x"):
        answer = ask(world.port, path, lines)
        sent = dict(map(tuple, answer.json["headers"]))
        for line in lines:
            name, value = line.split(": ")
            assert sent[name] == value


def test_identity_headers_are_all_there_and_empty_when_nobody_is_known(world):
    answer = ask(world.port, "/", ["Remote-User: mallory"])
    for name in IDENTITY:
        assert answer.sent(name) == [""]


def test_a_location_without_latchkey_tells_the_application_nothing(world):
    answer = world.alice.get("/off/x", headers={"Remote-User": "mallory"})
    for name in IDENTITY:
        assert answer.sent(name) == []


def test_identity_headers_say_who_is_logged_in(world):
    answer = world.alice.get("/required/x", headers={"Remote-User": "mallory", "Remote_Groups": "admin"})
    assert answer.sent("Remote-User") == [world.user_name]
    assert answer.sent("Remote-Name") == ["alice"]
    assert answer.sent("Remote-Groups") == [""]
    session, = answer.sent("Latchkey-Session")
    assert len(session) == 16
    assert session not in world.alice.cookies[COOKIE]


def test_duplicates_at_every_place_among_other_headers_are_removed(world):
    """Removal splits nginx's list of headers: whatever is taken out of wherever, the rest stays whole."""
    for pattern in itertools.product([0, 1], repeat=6):
        lines = [f"Remote-User: mallory{i}" if evil else f"X-Header-{i}: value{i}" for i, evil in enumerate(pattern)]
        answer = ask(world.port, "/", lines)
        assert "mallory" not in json.dumps(answer.json["headers"]), pattern
        for i, evil in enumerate(pattern):
            assert answer.sent(f"X-Header-{i}") == ([] if evil else [f"value{i}"]), pattern
        for name in IDENTITY:
            assert answer.sent(name) == [""], pattern


@pytest.mark.parametrize("count", [1, 19, 20, 21, 39, 40, 41, 90])
def test_long_lists_of_headers_survive_the_removal(world, count):
    """nginx keeps twenty headers to a part of its list: evil ones at the seams."""
    lines = []
    for i in range(count):
        lines.append(f"X-Header-{i}: value{i}")
        if i % 7 == 0:
            lines.append("Remote_User: mallory")
    answer = ask(world.port, "/required/x", lines + [f"Cookie: {COOKIE}={world.alice.cookies[COOKIE]}"])
    assert answer.status == 200
    assert "mallory" not in json.dumps(answer.json["headers"])
    assert [answer.sent(f"X-Header-{i}") for i in range(count)] == [[f"value{i}"] for i in range(count)]
    assert answer.sent("Remote-User") == [world.user_name]


def test_a_request_of_nothing_but_identity_headers_is_answered(world):
    answer = raw(world.port, b"GET /off/x HTTP/1.0\r\nRemote-User: mallory\r\nLatchkey-Session: x\r\n\r\n")
    assert answer.status == 200
    assert "mallory" not in answer.text
    answer = raw(world.port, b"GET / HTTP/1.0\r\nRemote-User: mallory\r\nLatchkey-Session: x\r\n\r\n")
    assert answer.sent("Remote-User") == [""]


def test_connection_cannot_name_our_headers_away(world):
    """CVE-2025-48865: a next proxy would drop what Connection names."""
    for value in ("Remote-User", "close, Remote-User", "remote_user,Upgrade", "Upgrade , latchkey-session ,x-hop",
                  ",,Remote-Groups,", "REMOTE-NAME\t,\tupgrade"):
        answer = raw(world.port, f"GET /hops/x HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n"
                                 f"Connection: Remote-User\r\nX-Hop: 1\r\n\r\n")
        assert answer.status == 200
        named = ",".join(answer.sent("Connection")).lower()
        assert "remote" not in named and "latchkey" not in named, value
        if "pgrade" in value:
            assert "upgrade" in named
        for name in IDENTITY:
            assert answer.sent(name) == [""]


def test_a_connection_header_without_our_names_is_left_as_it_is(world):
    answer = raw(world.port, "GET /hops/x HTTP/1.1\r\nHost: a\r\nConnection: close,  X-Hop\r\n\r\n")
    assert answer.sent("Connection") == ["close,  X-Hop"]


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "POST", "PUT", "DELETE", "PATCH"])
def test_every_method_is_stripped(world, module_application, method):
    for path in ("/", "/off/x"):
        answer = ask(world.port, path, ["Remote-User: mallory", "Content-Length: 0"], method)
        assert answer.status == 200
        assert "mallory" not in json.dumps(module_application.seen[-1])


def test_a_preflight_is_stripped(world, module_application):
    answer = ask(world.port, "/off/x", ["Remote-User: mallory", "Origin: http://elsewhere.example",
                                        "Access-Control-Request-Method: POST"], "OPTIONS")
    assert answer.status == 200
    assert "mallory" not in json.dumps(module_application.seen[-1])


@pytest.mark.parametrize("request_bytes", [
    b"GET / HTTP/1.1\r\nRemote-User: mallory\r\n\r\n",                                # no Host: 400
    b"GET / HTTP/1.1\r\nHost: a\r\nRemote-User: mallory\r\nHost: b\r\n\r\n",          # two Hosts: 400
    b"GET / HTTP/1.1\r\nHost: a\r\nRemote-User: mallory\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nRemote-User: mallory\r\nBroken\x01Name: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nRemote-User: mallory\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: a\r\nRemote-User: mallory\r\n\r\n",
])
def test_error_pages_that_are_proxied_get_no_identity_of_the_client(world, module_application, request_bytes):
    """A request that fails while its header is read skips the phase the removal belongs to."""
    before = len(module_application.seen)
    raw(world.port, request_bytes)
    reached = module_application.seen[before:]
    assert "mallory" not in json.dumps(reached)


def test_a_named_error_page_gets_no_identity_of_the_client(world, module_application):
    before = len(module_application.seen)
    raw(world.named_port, b"GET / HTTP/1.1\r\nHost: a\r\nX-Mark: 1\r\nRemote-User: mallory\r\nContent-Length: x\r\n\r\n")
    reached = json.dumps(module_application.seen[before:])
    assert "X-Mark" in reached and "mallory" not in reached


def test_an_error_page_reaches_the_application_at_all(world, module_application):
    """The positive control of the test above."""
    before = len(module_application.seen)
    raw(world.port, b"GET / HTTP/1.1\r\nHost: a\r\nX-Mark: 1\r\nRemote-User: mallory\r\nContent-Length: x\r\n\r\n")
    assert "X-Mark" in json.dumps(module_application.seen[before:])


def test_named_locations_and_internal_redirects_carry_one_identity(world):
    cookie = f"Cookie: {COOKIE}={world.alice.cookies[COOKIE]}"
    answer = ask(world.port, "/named/x", ["Remote-User: mallory", cookie, "Content-Length: 0"], "PUT")
    assert "mallory" not in answer.text
    answer = ask(world.port, "/twice/x", ["Remote-User: mallory", "Remote_User: mallory", cookie])
    assert answer.json["path"] == "/required/tried"
    assert answer.sent("Remote-User") == [world.user_name]
    assert answer.sent("Latchkey-Session") != [""]


def test_directives_that_run_before_the_gate_see_no_identity_of_the_client(world):
    answer = world.alice.get("/before/x", headers={"Remote-User": "mallory"})
    assert answer.sent("X-Seen") == ["[]"]
    answer = world.alice.get("/after/x", headers={"Remote-User": "mallory"})
    assert answer.sent("X-Seen") == [f"[{world.user_name}]"]


def test_http_0_9_is_answered(world):
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        s.sendall(b"GET /\r\n")
        text = s.makefile("rb").read()
    assert json.loads(text)["path"] == "/"
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        s.sendall(b"GET /required/\r\n")
        assert b"no_credential" in s.makefile("rb").read()


def test_pipelined_requests_do_not_mix_their_identities(world):
    cookie = f"Cookie: {COOKIE}={world.alice.cookies[COOKIE]}\r\n"
    wanted = []
    text = ""
    for i in range(12):
        known = i % 3 == 0
        text += f"GET /?{i} HTTP/1.1\r\nHost: a\r\nRemote-User: mallory\r\n" + (cookie if known else "") + "\r\n"
        wanted.append(world.user_name if known else "")
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        s.sendall(text.encode())
        stream = s.makefile("rb")
        assert [read_answer(stream).sent("Remote-User")[0] for _ in wanted] == wanted


def test_names_that_are_not_ascii_arrive_percent_encoded(world):
    visitor = Client(world.port)
    assert visitor.register("王小明 %41").status == 201
    assert visitor.login("王小明 %41").status == 200
    answer = visitor.get("/required/x")
    assert answer.sent("Remote-Name") == ["%E7%8E%8B%E5%B0%8F%E6%98%8E %2541"]


def test_roles_arrive_separated_by_commas(world):
    world.user("carol", roles="editor admin")
    visitor = Client(world.port)
    assert visitor.login("carol").status == 200
    groups, = visitor.get("/required/x").sent("Remote-Groups")
    assert sorted(groups.split(",")) == ["admin", "editor"]


def test_other_protocols_to_the_application_carry_the_same_identity(world):
    """SCGI, like FastCGI and uwsgi, turns headers into variables: two spellings become one."""
    for path in ("/scgi/off/", "/scgi/optional/"):
        answer = ask(world.port, path, ["Remote-User: mallory", "remote_user: mallory", "X-Other: kept",
                                        f"Cookie: {COOKIE}={world.alice.cookies[COOKIE]}"])
        assert answer.status == 200
        assert answer.json["HTTP_X_OTHER"] == "kept"
        assert answer.json.get("HTTP_REMOTE_USER") == (world.user_name if "optional" in path else None)


# ---- HTTP/2 ----

@pytest.fixture(scope="module")
def world2(module_gateways, module_application):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    gateway = module_gateways()
    # a listener is http2 or not as a whole: it has a port of its own
    gateway.port2 = free_port()
    gateway.server = f"""
        location / {{ latchkey optional; {up} }}
    }}
    server {{
        listen 127.0.0.1:{gateway.port2} http2;
        underscores_in_headers on;
        location / {{ latchkey optional; {up} }}
        location /off/ {{ {up} }}
        location /required/ {{ latchkey required; {up} }}
        location /auth/ {{ latchkey_api; }}
    """
    gateway.write()
    gateway.start()
    gateway.alice = gateway.client()
    assert gateway.alice.register("alice").status == 201
    assert gateway.alice.login("alice").status == 200
    gateway.user_name = gateway.alice.get("/auth/session").json["user"]["name"]
    yield gateway


def curl2(gateway, path, *args):
    run = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-w", "\n%{http_code} %{http_version}",
                          *args, f"http://127.0.0.1:{gateway.port2}{path}"], capture_output=True, text=True,
                         timeout=30, check=True)
    body, _, tail = run.stdout.rpartition("\n")
    assert tail.endswith(" 2"), tail
    return int(tail.split()[0]), body


@pytest.mark.parametrize("name", NAMES)
def test_http2_is_stripped_alike(world2, name):
    for spelling in (name, name.replace("-", "_")):
        for path in ("/", "/off/x"):
            status, body = curl2(world2, path, "-H", f"{spelling}: mallory", "-H", "X-Other: kept")
            assert status == 200
            assert "mallory" not in body and "kept" in body


def test_http2_knows_the_cookie_also_in_crumbs(world2):
    """RFC 9113 section 8.2.3: a client may send a cookie a header."""
    status, body = curl2(world2, "/required/", "-H", f"Cookie: a=1; {COOKIE}={world2.alice.cookies[COOKIE]}; b=2")
    assert status == 200
    sent = {k.lower(): v for k, v in json.loads(body)["headers"]}
    assert sent["remote-user"] == world2.user_name
    status, body = curl2(world2, "/required/")
    assert status == 401 and json.loads(body)["reason"] == "no_credential"


def test_http2_serves_the_api(world2):
    status, body = curl2(world2, "/auth/login", "-H", "Content-Type: application/json", "-d",
                         json.dumps({"username": "alice", "password": "correct horse battery staple",
                                     "carrier": "header"}))
    assert status == 200
    token = json.loads(body)["token"]
    status, body = curl2(world2, "/auth/login", "-H", "Content-Type: application/json", "-d", "x" * 16384)
    assert status == 400
    status, body = curl2(world2, "/auth/session", "-H", f"Authorization: Bearer {token}")
    assert status == 200 and json.loads(body)["user"]["name"] == world2.user_name


def test_http2_refuses_a_body_that_is_too_large(world2):
    """nginx resets the stream behind its answer, and curl may see that first: the log knows."""
    subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-H", "Content-Type: application/json", "-d", "x" * 40000,
                    f"http://127.0.0.1:{world2.port2}/auth/login?large"], capture_output=True, timeout=30, check=False)
    wait_until(lambda: any(line.startswith("413 POST /auth/login ") for line in world2.access_log()), 30, "a 413")


def test_http2_bounds_a_body_of_unknown_length(world2):
    """A stream without Content-Length, and its flow control."""
    for size, status in ((16384, 400), (16385, 413), (300000, 413)):
        before = len(world2.access_log())
        subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-X", "POST", "-T", "-", "-H",
                        "Content-Type: application/json", f"http://127.0.0.1:{world2.port2}/auth/login"],
                       input=b"x" * size, capture_output=True, timeout=30, check=False)
        wait_until(lambda: any(line.startswith(f"{status} POST /auth/login ")
                               for line in world2.access_log()[before:]), 10, f"a {status} for {size}")
    assert curl2(world2, "/auth/health/live")[0] == 200
