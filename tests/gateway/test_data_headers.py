# SPDX-License-Identifier: Apache-2.0
"""Session data in headers: applications read fields of the session from the request and change them in the answer."""
import gzip
import hashlib
import json
import re
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway_lab import COOKIE, Client, free_port, raw, wait_until
from store_lab import metric, nodes, opened

BIG = 50 * 1024 * 1024
BLOCK = bytes(range(256)) * 256
BLOCK_N = 320 * len(BLOCK)


class Puppet:
    """An application that answers as the request tells it to, in X-Answer, and shows what reached it."""

    def __init__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_any(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                want = json.loads(self.headers.get("X-Answer") or "{}")
                if want.get("wait"):
                    outer.arrived.set()
                    outer.go.wait(30)
                told = [(k, v) for k, v in self.headers.items()]
                body = json.dumps(told).encode()
                size = want.get("size", len(body))
                self.send_response(want.get("status", 200))
                for name, value in want.get("headers", []):
                    self.send_header(name, value)
                self.send_header("Content-Type", want.get("type", "application/json"))
                if want.get("chunked"):
                    self.send_header("Transfer-Encoding", "chunked")
                elif want.get("status", 200) not in (204, 304):
                    self.send_header("Content-Length", str(size))
                self.end_headers()
                if self.command == "HEAD" or want.get("status") in (204, 304):
                    return
                if size == len(body):
                    self.part(body, want)
                else:
                    for _ in range(size // len(BLOCK)):
                        self.part(BLOCK, want)
                if want.get("chunked"):
                    self.wfile.write(b"0\r\n\r\n")

            def part(self, data, want):
                if want.get("chunked"):
                    data = b"%x\r\n%b\r\n" % (len(data), data)
                self.wfile.write(data)

            do_GET = do_HEAD = do_POST = do_any

            def log_message(self, format, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request, client_address):
                pass

        self.arrived, self.go = threading.Event(), threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def puppet():
    app = Puppet()
    yield app
    app.close()


WIDE = "large_client_header_buffers 4 64k; proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;"


def locations(puppet):
    up = f"proxy_pass http://127.0.0.1:{puppet.port}; proxy_http_version 1.1; proxy_set_header Connection '';"
    return f"""
        location /shop/ {{ latchkey optional; latchkey_data cart step visits seen accept; {up} }}
        location /member/ {{ latchkey required; latchkey_data cart visits accept; {up} }}
        location /fresh/ {{ latchkey optional anonymous; latchkey_data cart accept; {up} }}
        location /read/ {{ latchkey optional; latchkey_data cart; {up} }}
        location /small/ {{ latchkey optional; latchkey_data cart step max=64 accept; {up} }}
        location /all/ {{ latchkey optional; latchkey_data * accept max=64k; {up} }}
        location /plain/ {{ latchkey optional; {up} }}
        location /off/ {{ {up} }}
        location /straight/ {{ latchkey optional; latchkey_data cart visits accept; proxy_buffering off; {up} }}
        location /zipped/ {{ latchkey optional; latchkey_data cart visits accept; gzip on; gzip_types application/json;
                             gzip_min_length 0; {up} }}
        location /accel/ {{ latchkey optional; latchkey_data cart visits accept; {up} }}
        location /files/ {{ internal; }}
        location /shown/ {{ latchkey optional; latchkey_data cart visits accept; proxy_intercept_errors on;
                            error_page 404 /sorry/; {up} }}
        location /sorry/ {{ internal; latchkey optional; latchkey_data cart; add_header X-Sorry yes always; {up} }}
        location /two/ {{ latchkey optional; latchkey_data cart; rewrite ^/two/(.*)$ /other/$1 last; {up} }}
        location /other/ {{ latchkey optional; latchkey_data step; {up} }}
        location /static/ {{ latchkey optional; latchkey_data visits accept; add_header Latchkey-Add-Data '{{"visits":1}}';
                             gzip on; gzip_types text/plain; gzip_min_length 0; }}
        location /guarded/ {{ auth_request /guard/; {up} }}
        location /guard/ {{ internal; latchkey optional; latchkey_data cart accept; {up} }}
        location /cached/ {{ latchkey optional; latchkey_data cart visits accept; proxy_cache pages; proxy_cache_valid 200 1m;
                             add_header X-Cache $upstream_cache_status always; {up} }}
        """


@pytest.fixture(scope="module")
def make(module_gateways, tmp_path_factory, puppet):
    def made(url, **kw):
        h2 = free_port()
        folder = tmp_path_factory.mktemp("data")
        found = nodes(module_gateways, folder, url, workers=kw.pop("workers", 2), locations=locations(puppet),
                      http=f"{WIDE} proxy_cache_path {folder}/cache keys_zone=pages:1m; "
                           f"server {{ listen 127.0.0.1:{h2} http2; {locations(puppet)} }}", **kw)
        for gateway in found:
            gateway.h2 = h2
            (gateway.folder / "www/files").mkdir(exist_ok=True)
            (gateway.folder / "www/files/page.txt").write_text("a file\n")
            (gateway.folder / "www/static").mkdir(exist_ok=True)
            (gateway.folder / "www/static/page.txt").write_text("a file\n")
            (gateway.folder / "www/static/big.bin").write_bytes(BLOCK * 64)
        return found
    return made


@pytest.fixture(scope="module")
def gateway(make, tmp_path_factory):
    [made] = make(f"lmdb:{tmp_path_factory.mktemp('lmdb')}/sessions")
    return made


@pytest.fixture(scope="module", params=["memory", "lmdb", "redis", "postgres"])
def any_gateway(request, make, tmp_path_factory):
    if request.param == "memory":
        yield make("memory:")[0]
    elif request.param == "lmdb":
        yield make(f"lmdb:{tmp_path_factory.mktemp('lmdb')}/sessions")[0]
    else:
        with opened(request.param) as server:
            yield make(server.url)[0]


def ask(visitor, path, method="GET", set=None, add=None, headers=None, **want):
    """One request whose answer carries the changes SET and ADD (in this order)."""
    data = [("Latchkey-Set-Data", json.dumps(s) if not isinstance(s, str) else s) for s in ([set] if set is not None else [])]
    data += [("Latchkey-Add-Data", json.dumps(add))] if add is not None else []
    want["headers"] = want.get("headers", []) + data
    return visitor.request(method, path, headers={"X-Answer": json.dumps(want), **(headers or {})})


def steps_of(visitor, path, steps):
    return visitor.request("GET", path, headers={"X-Answer": json.dumps({"headers": steps})})


def told(answer, name):
    """The header NAME as it reached the application, or None."""
    values = [v for k, v in json.loads(answer.body) if k.lower() == name.lower()]
    assert len(values) < 2, values
    return values[0] if values else None


def data(visitor):
    return visitor.get("/auth/session/data").json


def is_clean(answer):
    return not [k for k, _ in answer.headers if "data" in k.lower()]


# ---- to the application ----

def test_an_application_reads_what_an_answer_has_set(any_gateway):
    alice = any_gateway.client()
    first = ask(alice, "/shop/", set={"cart": {"tea": 2}, "step": "größe 😀"})
    assert first.status == 200 and is_clean(first)
    assert told(first, "Latchkey-Data-cart") == ""
    assert COOKIE in alice.cookies, "a visitor without a session gets one for his data"
    answer = ask(alice, "/shop/")
    assert told(answer, "Latchkey-Data-cart") == '{"tea":2}'
    assert told(answer, "Latchkey-Data-step") == '"gr\\u00f6\\u00dfe \\ud83d\\ude00"'
    assert json.loads(told(answer, "Latchkey-Data-step")) == "größe 😀"
    assert told(answer, "Latchkey-Data-visits") == ""
    assert told(answer, "Latchkey-Dropped") == ""
    assert answer.get("Set-Cookie") is None
    assert data(alice) == {"cart": {"tea": 2}, "step": "größe 😀"}
    ask(alice, "/shop/", set={"step": None, "cart": {"tea": None, "milk": 1}})
    assert data(alice) == {"cart": {"milk": 1}}


def test_the_data_comes_along_through_a_login(any_gateway):
    alice = any_gateway.client()
    ask(alice, "/shop/", set={"cart": {"tea": 2}})
    name = f"alice{any_gateway.port}"
    assert alice.register(name).status == 201
    assert alice.login(name).status == 200
    assert told(ask(alice, "/member/"), "Latchkey-Data-cart") == '{"tea":2}'
    ask(alice, "/member/", add={"visits": 2})
    ask(alice, "/member/", add={"visits": -5})
    assert data(alice)["visits"] == -3


def test_a_session_behind_a_token_has_data_too(any_gateway):
    bob = any_gateway.client()
    name = f"bob{any_gateway.port}"
    assert bob.register(name).status == 201
    assert bob.login(name, credential="jwt").status == 200
    assert bob.token and not bob.cookies
    ask(bob, "/member/", add={"visits": 2})
    assert told(ask(bob, "/member/"), "Latchkey-Data-visits") == "2"


def test_only_the_fields_of_the_location_are_sent(gateway):
    alice = gateway.client()
    ask(alice, "/shop/", set={"cart": 1, "step": 2, "seen": [3]})
    names = [k.lower() for k, v in json.loads(ask(alice, "/read/").body) if k.lower().startswith("latchkey")]
    assert sorted(names) == ["latchkey-data-cart", "latchkey-dropped", "latchkey-session"]
    everything = json.loads(told(ask(alice, "/all/"), "Latchkey-Data"))
    assert everything == {"cart": 1, "step": 2, "seen": [3]}
    plain = [k.lower() for k, v in json.loads(ask(alice, "/plain/").body)]
    assert not [k for k in plain if "data" in k or "dropped" in k]
    other = [k.lower() for k, v in json.loads(ask(alice, "/two/").body) if "data" in k.lower()]
    assert other == ["latchkey-data-step"], "an internal redirect leaves nothing of the location before"


@pytest.mark.parametrize("path", ["/shop/", "/read/", "/all/", "/plain/", "/off/"])
def test_what_a_client_sends_under_these_names_never_arrives(gateway, path):
    names = ["Latchkey-Data-cart", "latchkey-data-CART", "LATCHKEY_DATA_CART", "Latchkey_Data-step", "Latchkey-Data",
             "Latchkey.Data.cart", "Latchkey-Dropped", "Latchkey-Data-other", "Latchkey-Set-Data", "Latchkey-Add-Data"]
    lines = "".join(f"{n}: forged\r\n" for n in names)
    answer = raw(gateway.port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n")
    assert answer.status == 200
    assert b"forged" not in answer.body


def test_a_field_too_large_for_the_location_is_named_and_counted(gateway):
    alice = gateway.client()
    ask(alice, "/shop/", set={"cart": "x" * 100, "step": 7})
    before = metric(gateway, "latchkey_data_dropped_total")
    for _ in range(3):
        answer = ask(alice, "/small/")
        assert told(answer, "Latchkey-Data-cart") == ""
        assert told(answer, "Latchkey-Data-step") == "7"
        assert told(answer, "Latchkey-Dropped") == "cart"
    assert metric(gateway, "latchkey_data_dropped_total") == before + 3
    assert 1 <= len(re.findall("a field of the session is not sent", gateway.log())) <= 2, "once a minute and worker"


def test_line_ends_in_a_value_never_end_a_header(gateway):
    alice = gateway.client()
    alice.request("PATCH", "/auth/session/data", body=b'{"cart":{"a":\r\n\t"x\\r\\nEvil: 1\x7f"}}',
                  headers={"Content-Type": "application/json"})
    value = told(ask(alice, "/shop/"), "Latchkey-Data-cart")
    assert json.loads(value) == {"a": "x\r\nEvil: 1\x7f"}
    assert re.fullmatch(r"[ -~]*", value)


def test_a_sub_request_is_told_what_its_own_location_names(gateway):
    alice = gateway.client()
    ask(alice, "/shop/", set={"cart": 1})
    answer = ask(alice, "/guarded/", set={"cart": 2})
    assert answer.status == 200 and is_clean(answer)
    assert data(alice) == {"cart": 1}, "a sub-request changes nothing"


@pytest.mark.parametrize("words,said", [
    ("accept", "wants the names of fields"), ("* cart", "wants the names of fields"), ("cart max=1", "from 64 to 64k"),
    ("cart max=65k", "from 64 to 64k"), ("ca:rt", "can be no header"), ("größe", "can be no header"),
    ("x" * 65, "can be no header"), ("cart off", "can be no header"), ("a_b a-b", "would be one header"),
    ("cart Cart", "would be one header"), ("cart; latchkey_data step", "is duplicate")], ids=range(11))
def test_a_directive_that_makes_no_sense_is_refused_at_the_start(gateways, words, said):
    trial = gateways(server=f"location / {{ latchkey optional; latchkey_data {words}; }}").test()
    assert trial.returncode != 0 and said in trial.stderr


def test_the_outer_level_s_fields_are_inherited_whole(gateways, puppet):
    up = f"proxy_pass http://127.0.0.1:{puppet.port};"
    gateway = gateways(server=f"""latchkey optional; latchkey_data cart accept; location / {{ {up} }}
        location /step/ {{ latchkey_data step; {up} }} location /none/ {{ latchkey_data off; {up} }}""").start()
    alice = gateway.client()
    ask(alice, "/", set={"cart": 1})
    ask(alice, "/step/", set={"cart": 2})
    ask(alice, "/none/", set={"cart": 3})
    assert told(ask(alice, "/"), "Latchkey-Data-cart") == "1"
    assert told(ask(alice, "/step/"), "Latchkey-Data-cart") is None
    assert told(ask(alice, "/step/"), "Latchkey-Data-step") == ""
    assert told(ask(alice, "/none/"), "Latchkey-Data-cart") is None


# ---- from the application ----

@pytest.mark.parametrize("path", ["/shop/", "/read/", "/plain/", "/off/", "/guarded/"])
@pytest.mark.parametrize("status", [200, 404, 500, 302, 204])
def test_the_visitor_never_sees_the_headers(gateway, path, status):
    alice = gateway.client()
    answer = ask(alice, path, set={"cart": 1}, add={"visits": 1}, status=status)
    assert is_clean(answer)
    if path != "/guarded/":  # where the status is that of auth_request first
        assert answer.status == status
        kept = {"cart": 1, "visits": 1} if path == "/shop/" else {}
        assert data(alice) == kept


def test_steps_are_one_change_in_their_order(gateway):
    alice = gateway.client()
    steps = [("Latchkey-Set-Data", '{"seen":["a"],"visits":5}'), ("Latchkey-Add-Data", '{"visits":1,"seen":["b","c"]}'),
             ("LATCHKEY-SET-DATA", '{"cart":{"tea":1}}'), ("latchkey-add-data", '{"cart":{"tea":2,"milk":1,"list":[1]}}')]
    answer = steps_of(alice, "/shop/", steps)
    assert answer.status == 200 and is_clean(answer)
    assert data(alice) == {"seen": ["a", "b", "c"], "visits": 6, "cart": {"tea": 3, "milk": 1, "list": [1]}}


@pytest.mark.parametrize("bad", ['{"cart":', '[1]', '"cart"', '{"cart":1,"cart":2}', '', '{"other":1}', '{"cart\\u0000":1}',
                                 '{"cart":"' + "x" * 17000 + '"}', '{"cart":"\\ud800"}', '{"":1}'],
                         ids=range(10))
def test_a_change_that_makes_no_sense_is_dropped_as_a_whole(gateway, bad):
    alice = gateway.client()
    ask(alice, "/shop/", set={"cart": 1})
    before = metric(gateway, "latchkey_data_changes_total")
    steps = [("Latchkey-Set-Data", '{"step":1}'), ("Latchkey-Set-Data", bad), ("Latchkey-Add-Data", '{"visits":1}')]
    answer = steps_of(alice, "/shop/", steps)
    assert answer.status == 200 and is_clean(answer)
    assert data(alice) == {"cart": 1}
    assert metric(gateway, "latchkey_data_changes_total") == before + 1


@pytest.mark.parametrize("add", [{"cart": 1}, {"visits": 1.5}, {"visits": "1"}, {"visits": None}, {"visits": 2**63 - 1},
                                 {"seen": [1]}, {"step": {"a": 1}}])
def test_what_cannot_be_added_is_dropped(gateway, add):
    alice = gateway.client()
    ask(alice, "/shop/", set={"cart": "text", "visits": 1, "seen": {}, "step": {"a": "b"}})
    assert ask(alice, "/shop/", add=add).status == 200
    assert data(alice) == {"cart": "text", "visits": 1, "seen": {}, "step": {"a": "b"}}


def test_a_session_that_is_full_keeps_what_it_has(gateway):
    alice = gateway.client()
    assert ask(alice, "/shop/", set={"cart": "x" * 15000}).status == 200
    assert ask(alice, "/shop/", set={"step": "y" * 3000}).status == 200
    assert list(data(alice)) == ["cart"]
    assert 'result="refused"' in Client(gateway.port).get("/auth/metrics").text


def test_seventeen_headers_are_too_many(gateway):
    alice = gateway.client()
    steps = [("Latchkey-Add-Data", '{"visits":1}')]
    steps_of(alice, "/shop/", steps * 16)
    assert data(alice) == {"visits": 16}
    assert steps_of(alice, "/shop/", steps * 17).status == 200
    assert data(alice) == {"visits": 16}


def test_a_program_with_a_bad_token_gets_no_session(gateway):
    program = gateway.client()
    program.token = "A" * 43
    answer = ask(program, "/shop/", set={"cart": 1})
    assert answer.status == 200 and answer.get("Set-Cookie") is None


def test_a_change_that_sets_nothing_begins_no_session(gateway):
    alice = gateway.client()
    assert ask(alice, "/shop/", set={"cart": None}).status == 200
    assert not alice.cookies


def test_a_session_made_at_the_gate_takes_the_first_data(gateway):
    alice = gateway.client()
    answer = ask(alice, "/fresh/", set={"cart": 3}, headers={"Accept": "text/html"})
    assert len(answer.all("Set-Cookie")) == 1
    assert data(alice) == {"cart": 3}


def test_answers_without_a_body_wait_too(any_gateway):
    alice = any_gateway.client()
    for method, status in [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404), ("POST", 303)]:
        answer = ask(alice, "/shop/", method, add={"visits": 1}, status=status)
        assert answer.status == status and is_clean(answer)
    assert data(alice) == {"visits": 5}


def test_nginx_itself_may_ask_for_a_change(gateway):
    alice = gateway.client()
    assert alice.get("/static/page.txt").text == "a file\n"
    assert data(alice) == {"visits": 1}
    whole = alice.get("/static/big.bin", headers={"Range": "bytes=1000-1999"})
    assert whole.status == 200 and whole.body == BLOCK * 64, "no ranges of an answer that waited"
    packed = alice.get("/static/big.bin", headers={"Accept-Encoding": "gzip"})
    assert packed.get("Content-Encoding") == "gzip" and gzip.decompress(packed.body) == BLOCK * 64
    assert data(alice) == {"visits": 3}


def test_x_accel_redirect_and_error_page_keep_the_change(gateway):
    alice = gateway.client()
    answer = steps_of(alice, "/accel/", [("X-Accel-Redirect", "/files/page.txt"), ("Latchkey-Add-Data", '{"visits":1}')])
    assert answer.text == "a file\n" and is_clean(answer)
    assert data(alice) == {"visits": 1}
    answer = ask(alice, "/shown/", add={"visits": 1}, status=404)
    assert answer.get("X-Sorry") == "yes" and is_clean(answer)
    assert data(alice) == {"visits": 2}


def test_an_answer_that_changes_a_session_is_not_cached(gateway):
    alice, bob = gateway.client(), gateway.client()
    plain = ask(alice, "/cached/plain")
    assert plain.get("X-Cache") == "MISS"
    wait_until(lambda: ask(bob, "/cached/plain").get("X-Cache") == "HIT", 30, "the file in the cache, after the answer")
    for visitor in (alice, bob, alice):
        answer = ask(visitor, "/cached/cart", add={"visits": 1})
        assert answer.get("X-Cache") == "MISS" and is_clean(answer)
    assert data(alice) == {"visits": 2} and data(bob) == {"visits": 1}


@pytest.mark.parametrize("path", ["/shop/", "/straight/", "/zipped/"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_50_mb_comes_whole(any_gateway, path, chunked):
    alice = any_gateway.client()
    answer = ask(alice, path, add={"visits": 1}, size=BIG, chunked=chunked)
    assert answer.status == 200
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(BLOCK * (BIG // len(BLOCK))).digest()
    assert data(alice) == {"visits": 1}
    assert ask(alice, "/shop/").status == 200, "on the same connection"


def test_http2_and_head_over_it(any_gateway):
    def curl(*more):
        run = subprocess.run(["curl", "-s", "-i", "--noproxy", "*", "--http2-prior-knowledge", *more], capture_output=True,
                             timeout=60, check=True)
        head, _, body = run.stdout.partition(b"\r\n\r\n")
        return head.decode("latin-1").lower(), body
    url = f"http://127.0.0.1:{any_gateway.h2}"
    head, body = curl(url + "/shop/", "-H", "X-Answer: " + json.dumps({"headers": [("Latchkey-Set-Data", '{"cart":1}')]}))
    assert head.startswith("http/2 200") and "latchkey-" not in head.replace("set-cookie: latchkey=", "")
    cookie = re.search(r"set-cookie: (latchkey=[^;]*)", curl(
        url + "/shop/", "-H", "X-Answer: " + json.dumps({"headers": [("Latchkey-Set-Data", '{"cart":1}')]}))[0])
    assert cookie
    alice = any_gateway.client()
    ask(alice, "/shop/", set={"cart": 1})
    with_cookie = ["-H", f"Cookie: {COOKIE}={alice.cookies[COOKIE]}"]
    more = json.dumps({"headers": [("Latchkey-Add-Data", '{"cart":1}')]})
    head, _ = curl("-I", url + "/shop/", *with_cookie, "-H", "X-Answer: " + more)
    assert head.startswith("http/2 200")
    big = json.dumps({"headers": [("Latchkey-Add-Data", '{"cart":1}')], "size": BIG})
    head, body = curl(url + "/shop/", *with_cookie, "-H", "X-Answer: " + big)
    assert len(body) == BIG and body[:256] == BLOCK[:256]
    assert data(alice) == {"cart": 3}


def test_two_visitors_of_one_session_lose_no_change(any_gateway):
    alice = any_gateway.client()
    ask(alice, "/shop/", set={"cart": {}, "visits": 0})

    def run(who):
        visitor = any_gateway.client()
        visitor.cookies = dict(alice.cookies)
        for i in range(200):
            answer = ask(visitor, "/shop/", add={"visits": 1, "cart": {"tea": 1, who: 1}}, set={"step" if who == "a" else "seen": i})
            assert answer.status == 200, answer
        visitor.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, ["a", "b"]))
    assert data(alice) == {"visits": 400, "cart": {"tea": 400, "a": 200, "b": 200}, "step": 199, "seen": 199}


def test_a_client_that_leaves_while_its_answer_waits_harms_nobody(any_gateway):
    alice = any_gateway.client()
    ask(alice, "/shop/", set={"visits": 0})
    want = json.dumps({"headers": [("Latchkey-Add-Data", '{"visits":1}')], "size": 1024 * 1024})
    for i in range(30):
        with socket.create_connection(("127.0.0.1", any_gateway.port), 20) as s:
            s.sendall(f"GET /shop/ HTTP/1.1\r\nHost: x\r\nCookie: {COOKIE}={alice.cookies[COOKIE]}\r\nX-Answer: {want}\r\n\r\n"
                      .encode())
            time.sleep(0.002 * (i % 6))
    assert ask(alice, "/shop/", add={"visits": 1}).status == 200
    assert 1 <= data(alice)["visits"] <= 31


# ---- the ways to share a login ----

@pytest.fixture(scope="module", params=["sealed_cookie", "token"])
def way(request, make, tmp_path_factory):
    [made] = make(f"lmdb:{tmp_path_factory.mktemp('lmdb')}/sessions", settings={"latchkey_share": request.param})
    made.way = request.param
    return made


def test_data_rides_along_in_every_way(way):
    alice = way.client()
    answer = ask(alice, "/shop/", set={"cart": {"tea": 2}}, add={"visits": 1})
    assert answer.status == 200 and is_clean(answer)
    assert answer.get("Cache-Control") == "no-store"
    answer = ask(alice, "/shop/", add={"cart": {"tea": 1}})
    assert told(answer, "Latchkey-Data-cart") == '{"tea":2}' and told(answer, "Latchkey-Data-visits") == "1"
    name = f"alice{way.port}"
    assert alice.register(name).status == 201
    assert alice.login(name).status == 200
    answer = ask(alice, "/member/", add={"visits": 4})
    assert told(answer, "Latchkey-Data-cart") == '{"tea":3}'
    assert data(alice) == {"cart": {"tea": 3}, "visits": 4}, "latchkey_carry names the cart"
    if way.way == "sealed_cookie":
        assert all(value.startswith("v1.") or name != COOKIE for name, value in alice.cookies.items())


def test_a_session_made_at_the_gate_takes_data_in_every_way(way):
    alice = way.client()
    answer = ask(alice, "/fresh/", set={"cart": 3}, headers={"Accept": "text/html"})
    assert len(answer.all("Set-Cookie")) == 1
    assert data(alice) == {"cart": 3}


def test_what_does_not_fit_four_cookies_is_dropped(make, tmp_path_factory):
    [sealed] = make(f"lmdb:{tmp_path_factory.mktemp('lmdb')}/sessions", settings={"latchkey_share": "sealed_cookie"})
    alice = sealed.client()
    ask(alice, "/shop/", set={"cart": "x" * 9000})
    assert len(alice.cookies) == 4
    before = dict(alice.cookies)
    answer = ask(alice, "/shop/", set={"step": "y" * 4000})
    assert answer.status == 200 and is_clean(answer) and answer.get("Set-Cookie") is None
    assert alice.cookies == before and list(data(alice)) == ["cart"]
    ask(alice, "/shop/", set={"cart": None, "step": 1})
    assert len(alice.cookies) == 1 and data(alice) == {"step": 1}


# ---- the store is slow, or gone ----

@pytest.fixture(scope="module", params=["redis", "postgres"])
def remote(request, make):
    with opened(request.param, durable=True) as server:
        [gateway] = make(server.url + "?deadline=1s", workers=1)
        yield server, gateway


def thread(work):
    box = []
    t = threading.Thread(target=lambda: box.append(work()))
    t.start()
    return t, box


def test_a_slow_store_holds_up_only_the_answer_that_waits_for_it(remote):
    store, gateway = remote
    alice = gateway.client()
    ask(alice, "/shop/", set={"cart": 1})
    store.freeze()
    try:
        t, box = thread(lambda: ask(gateway.client(), "/shop/", set={"cart": 2}))
        for _ in range(5):
            assert ask(gateway.client(), "/off/").status == 200
        t.join(60)
    finally:
        store.thaw()
    assert box[0].status == 503 and box[0].get("Retry-After") and box[0].reason == "store_unavailable"
    assert box[0].get("Set-Cookie") is None
    wait_until(lambda: ask(alice, "/shop/").status == 200, 30, "the store is back")
    assert told(ask(alice, "/shop/"), "Latchkey-Data-cart") == "1"


def test_a_store_that_dies_while_the_application_works_is_told_to_the_visitor(remote, puppet):
    store, gateway = remote
    alice = gateway.client()
    ask(alice, "/shop/", set={"cart": 1})
    for path, size in [("/shop/", None), ("/shop/", BLOCK_N), ("/straight/", BLOCK_N), ("/shop/", None)]:
        want = {"size": size} if size else {}
        visitor = gateway.client()
        visitor.cookies = dict(alice.cookies)
        puppet.arrived.clear()
        puppet.go.clear()
        t, box = thread(lambda: ask(visitor, path, set={"cart": 2}, wait=True, **want))
        assert puppet.arrived.wait(30)
        store.kill()
        try:
            puppet.go.set()
            t.join(60)
            assert box and box[0].status == 503 and box[0].reason == "store_unavailable" and is_clean(box[0])
        finally:
            store.start()
        wait_until(lambda: ask(alice, "/shop/").status == 200, 60, "the store is back")
        assert told(ask(alice, "/shop/"), "Latchkey-Data-cart") == "1"
    assert metric(gateway, "latchkey_data_changes_total") >= 5


def test_what_cannot_be_read_is_not_shown_as_empty(remote):
    store, gateway = remote
    alice = gateway.client()
    ask(alice, "/shop/", set={"cart": 1})
    store.kill()
    try:
        answer = ask(alice, "/shop/")
        assert answer.status == 503 and answer.get("Set-Cookie") is None
    finally:
        store.start()
    wait_until(lambda: ask(alice, "/shop/").status == 200, 60, "the store is back")
    assert told(ask(alice, "/shop/"), "Latchkey-Data-cart") == "1"
