# SPDX-License-Identifier: Apache-2.0
"""`latchkey_url`: visitors without cookies, who get about by the links of pages alone - and an id that nobody else sees."""
import gzip
import re
import socket
import threading
import time
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlencode, urljoin, urlsplit

import pytest

from gateway_lab import COOKIE, Client, raw, read_answer, wait_until

PASSWORD = "correct horse battery staple"
ID = re.compile(r";lk=([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")
HTML = {"Accept": "text/html"}
NOBODYS = "A" * 43
PAGE = ('<!doctype html><html><head><title>a<b</title><meta http-equiv="refresh" content="99; url=/later"></head><body>'
        '<a id=login href="/auth/login?return=/shop/">in</a> <a id=register href="/auth/register?return=/shop/">new</a> '
        '<a id=account href="/auth/account">account</a> <a id=out href="/auth/logout?return=/shop/">out</a> '
        '<a id=other href="http://other.example/x">other</a> <a id=top href="#top">top</a> <a id=mail href="mailto:a@b">m</a>'
        '<a id=q href="?page=2">2</a><a id=up href="..">up</a><img src="/logo.png"><script>"<a href=/x>"</script>'
        '<form id=cart method=post action="/shop/add"><input name=item value=kettle><button>add</button></form>'
        '<form id=here method=get><input name=q></form><p id=user>USER</p></body></html>')


class Shop:
    """An application of pages, which notes what reached it."""

    def __init__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append({"line": self.requestline, "path": self.path, "headers": self.headers.items(), "body": body})
                path = self.path.partition("?")[0]
                handle = outer.paths.get(path, outer.paths.get(path.rsplit("/", 1)[0] + "/"))
                handle(self) if handle else outer.page(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_any

            def log_message(self, format, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.seen, self.paths = [], {}
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def page(self, request, text=None, status=200, headers=(), kind="text/html; charset=utf-8"):
        body = (text or PAGE.replace("USER", request.headers.get("Remote-Name", ""))).encode()
        request.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("ETag", '"one"'),
                            ("Cache-Control", "max-age=60"), ("Referrer-Policy", "unsafe-url"), ("Accept-Ranges", "bytes"), *headers):
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    @property
    def text(self):
        return repr(self.seen)


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.forms, self.text = {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if tag == "a":
            self.links[a.get("id") or a.get("href")] = a.get("href")
        if tag == "form":
            self.forms.append({"action": a.get("action"), "method": a.get("method", "get"), "fields": {}})
        if tag == "input" and self.forms and "name" in a and a.get("type") != "checkbox":
            self.forms[-1]["fields"][a["name"]] = a.get("value") or ""

    def handle_data(self, data):
        self.text.append(data)


class Browser:
    """One that keeps no cookies, and one that keeps them; follows redirects, links and forms."""

    def __init__(self, port, cookies=False):
        self.port, self.keeps, self.cookies, self.url, self.answer = port, cookies, {}, "/", None
        self.visited = []

    def go(self, url, method="GET", body=None, headers=None):
        for _ in range(8):
            self.url = urljoin(f"http://127.0.0.1:{self.port}{self.url}", url)
            parts = urlsplit(self.url)
            assert parts.port == self.port and parts.hostname == "127.0.0.1"
            self.url = parts.path + ("?" + parts.query if parts.query else "")
            client = Client(self.port, keep=False)
            client.cookies = dict(self.cookies)
            head = {**HTML, **(headers or {})}
            if body is not None:
                head["Content-Type"] = "application/x-www-form-urlencoded"
            self.visited.append(self.url)
            self.answer = client.request(method, self.url, body, head)
            client.close()
            if self.keeps:
                self.cookies = client.cookies
            if self.answer.status not in (301, 302, 303, 307):
                return self.answer
            url, method, body = self.answer.get("Location"), "GET", None
        raise AssertionError("redirects without an end")

    @property
    def page(self):
        return Reader(self.answer.text)

    def follow(self, name):
        return self.go(self.page.links[name])

    def send(self, number=0, headers=None, **fields):
        form = self.page.forms[number]
        data = urlencode({**form["fields"], **fields})
        action = form["action"] or self.url
        if form["method"] == "post":
            # what browsers send from a page whose policy is no-referrer
            return self.go(action, "POST", data, {"Origin": "null", **(headers or {})})
        return self.go(action.partition("?")[0] + "?" + data)

    @property
    def id(self):
        found = ID.search(self.url)
        return found and found[1]


def ids(text):
    return set(ID.findall(text))


@pytest.fixture(scope="module")
def shop():
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def world(module_gateways, shop):
    up = f"proxy_pass http://127.0.0.1:{shop.port};"
    gateway = module_gateways(
        workers=1,
        http="ssi_types text/html;",
        server=f"""
        latchkey_url on;
        access_log logs/combined.log combined;
        access_log logs/more.log more;
        location /shop/ {{ latchkey optional anonymous; {up} }}
        location /required/ {{ latchkey required; {up} }}
        location /mapped/ {{ latchkey optional anonymous; proxy_pass http://127.0.0.1:{shop.port}/to/; }}
        location /cookie/ {{ latchkey optional carrier=cookie; {up} }}
        location /only/ {{ latchkey required carrier=url; {up} }}
        location /off/ {{ latchkey optional; latchkey_url off; {up} }}
        location /plain/ {{ {up} }}
        location /static/ {{ latchkey optional anonymous; }}
        location /part/ {{ internal; latchkey optional; }}
        location /ssi/ {{ latchkey optional anonymous; ssi on; }}
        location /gzip/ {{ latchkey optional anonymous; gzip on; gzip_min_length 1; gzip_proxied any; {up} }}
        location /moved {{ latchkey optional anonymous; return 302 /shop/x?y#z; }}
        location /away {{ latchkey optional anonymous; return 302 http://other.example/; }}
        location /slow/ {{ latchkey optional anonymous; proxy_buffering off; {up} }}
        location /broken/ {{ latchkey optional anonymous; error_page 404 502 @named; proxy_intercept_errors on; {up} }}
        location @named {{ {up} }}
        location /uri {{ latchkey optional; add_header X-Uri "$request_uri|$uri|$request|$http_referer"; return 200 "x"; }}
        location /php/ {{ latchkey optional; default_type text/plain; types {{ text/html html; }} }}
        location /data/ {{ latchkey optional anonymous; {up} }}
        """)
    gateway.http += ("""log_format more '$request_uri $uri $request $http_referer $args $document_uri';""")
    www = gateway.folder / "www"
    for name in ("static", "ssi", "part", "php"):
        (www / name).mkdir(parents=True)
    (www / "static/page.html").write_text(PAGE)
    (www / "static/data.txt").write_text("0123456789")
    (www / "ssi/page.html").write_text('<a href="/shop/a">a</a><!--#include virtual="/part/p.html" --><a href="/shop/b">b</a>')
    (www / "part/p.html").write_text('<a href="/shop/part">p</a>')
    (www / "php/x.html").write_text('<a href="/shop/a">')
    gateway.top = "working_directory " + str(gateway.folder) + ";"
    gateway.write()
    gateway.start()
    for name in ("alice", "bob"):
        assert Client(gateway.port).register(name).status == 201
    return gateway


@pytest.fixture
def visitor(world):
    """Somebody without cookies who has opened the shop, and clicked once."""
    browser = Browser(world.port)
    browser.go("/shop/")
    browser.follow("q")
    assert browser.id
    return browser


def logged_in(world, name="alice"):
    browser = Browser(world.port)
    browser.go("/shop/")
    browser.follow("login")
    browser.send(username=name, password=PASSWORD)
    assert browser.answer.status == 200 and name in browser.answer.text
    return browser


# ---- getting about ----

def test_a_visitor_without_cookies_buys_registers_logs_in_and_out_by_following_links(world, shop):
    shop.seen.clear()
    b = Browser(world.port)
    b.go("/shop/")
    first = b.answer
    assert first.status == 200 and f"{COOKIE}=" in first.get("Set-Cookie")
    b.send(0, item="kettle")
    assert b.answer.status == 200 and b.id
    anonymous = b.id
    b.follow("register")
    b.send(username="walker", password=PASSWORD)
    assert "/auth/login" in b.url and b.id == anonymous
    b.send(username="walker", password=PASSWORD)
    assert b.answer.status == 200 and "walker" in b.page.text and b.url.startswith("/shop/")
    assert b.id and b.id != anonymous
    b.follow("account")
    assert b.answer.status == 200 and "walker" in b.answer.text and "/auth/account" in b.url
    b.follow("/auth/password;lk=" + b.id)
    old = b.id
    b.send(current=PASSWORD, new=PASSWORD + "!")
    assert b.answer.status == 200 and "/auth/account" in b.url and b.id and b.id != old
    b.go("/shop/;lk=" + b.id)
    last = b.id
    b.follow("out")
    b.send()
    assert b.answer.status == 200 and "walker" not in b.page.text
    b.go("/shop/;lk=" + last)
    assert "walker" not in b.page.text
    assert ids(shop.text) == set() and last not in shop.text and anonymous not in shop.text


def test_a_visitor_who_begins_at_the_login_page_logs_in_without_cookies(world):
    b = Browser(world.port)
    b.go("/auth/login?return=/shop/")
    b.send(username="alice", password=PASSWORD)
    assert b.answer.status == 200 and "alice" in b.page.text and b.id


def test_a_visitor_who_begins_at_a_required_page_comes_back_to_it(world):
    b = Browser(world.port)
    b.go("/required/x?y=1")
    assert "/auth/login" in b.url
    b.send(username="alice", password=PASSWORD)
    assert b.url.startswith("/required/x;lk=") and b.url.endswith("?y=1") and b.answer.status == 200


def test_a_visitor_who_returns_his_cookie_has_clean_links_from_then_on(world):
    b = Browser(world.port, cookies=True)
    b.go("/shop/")
    assert ids(b.answer.text)
    b.follow("q")
    assert b.id and not ids(b.answer.text)
    assert b.answer.all("Set-Cookie") == []
    assert b.answer.get("Referrer-Policy") == "same-origin" and b.answer.get("Cache-Control") == "no-store"
    b.follow("login")
    b.send(username="alice", password=PASSWORD, headers={"Origin": f"http://127.0.0.1:{world.port}"})
    assert "alice" in b.page.text and not b.id and not ids(b.answer.text)


def test_a_login_without_cookies_keeps_no_login_for_a_month(world):
    b = Browser(world.port)
    b.go("/auth/login?return=/shop/")
    b.send(username="alice", password=PASSWORD, remember="true")
    assert "alice" in b.page.text and b.answer.all("Set-Cookie") == []


def test_somebody_with_other_cookies_gets_no_id_in_links(world):
    answer = Client(world.port).get("/shop/", headers={**HTML, "Cookie": "theme=dark"})
    assert answer.all("Set-Cookie") and not ids(answer.text)


# ---- whose id is taken, and where ----

def test_an_unknown_id_is_never_adopted(world):
    answer = Client(world.port).get("/shop/;lk=" + NOBODYS, headers=HTML)
    assert answer.status == 200
    assert NOBODYS not in answer.text and NOBODYS not in answer.get("Set-Cookie")
    assert len(ids(answer.text)) == 1


def test_a_login_has_a_new_id_and_the_old_one_opens_nothing_of_it(world, visitor):
    before = visitor.id
    visitor.follow("login")
    visitor.send(username="alice", password=PASSWORD)
    assert visitor.id != before
    answer = Client(world.port).get("/required/x;lk=" + before)
    assert answer.status == 401


def test_an_id_beside_a_cookie_counts_for_nothing(world):
    alice, bob = logged_in(world), Client(world.port)
    assert bob.login("bob").status == 200
    answer = bob.get("/shop/;lk=" + alice.id, headers=HTML)
    assert "bob" in answer.text and "alice" not in answer.text and not ids(answer.text)
    stale = Client(world.port).get("/required/x;lk=" + alice.id, headers={"Cookie": f"{COOKIE}={NOBODYS}"})
    assert stale.status == 401
    two = Client(world.port).get("/required/x;lk=" + alice.id, headers={"Cookie": f"{COOKIE}={NOBODYS}; {COOKIE}=b"})
    assert two.status == 401


def test_an_id_beside_a_bearer_counts_for_nothing(world):
    alice = logged_in(world)
    answer = Client(world.port).get("/required/x;lk=" + alice.id, headers={"Authorization": "Bearer " + NOBODYS})
    assert answer.status == 401


def test_only_a_location_that_takes_ids_in_paths_takes_them(world, shop):
    alice = logged_in(world)
    visit = lambda path: Client(world.port).get(path + "x;lk=" + alice.id, headers={"Accept": "application/json"})
    shop.seen.clear()
    assert "alice" in visit("/shop/").text and "alice" in visit("/only/").text and "alice" in visit("/required/").text
    for path in ("/cookie/", "/off/", "/plain/"):
        answer = visit(path)
        assert answer.status == 200 and "alice" not in answer.text and not ids(answer.text)
    assert ids(shop.text) == set()
    cookie = Client(world.port)
    assert cookie.login("bob").status == 200
    assert cookie.get("/only/x").status == 401


def test_a_login_that_is_remembered_is_not_taken_from_a_path(world):
    bob = Client(world.port)
    assert bob.login("bob", remember=True).status == 200
    answer = Client(world.port).get("/required/x;lk=" + bob.cookies[COOKIE])
    assert answer.status == 401 and answer.reason == "wrong_carrier"


def test_a_token_is_not_taken_from_a_path(world):
    bob = Client(world.port)
    assert bob.login("bob", credential="jwt", carrier="header").status == 200
    assert Client(world.port).get("/required/x;lk=" + bob.token).status == 401


def test_another_site_cannot_log_a_visitor_in_under_its_own_id(world):
    b = Browser(world.port)
    b.go("/auth/login")
    form = b.page.forms[0]
    body = urlencode({**form["fields"], "username": "bob", "password": PASSWORD})
    for told in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                 {"Referer": "http://evil.example/"}):
        answer = Client(world.port).request("POST", form["action"], body, {
            **HTML, "Content-Type": "application/x-www-form-urlencoded", **told})
        assert answer.status == 403, told
    # a browser that tells nothing is at least left without a cookie
    answer = Client(world.port).request("POST", form["action"], body, {
        **HTML, "Content-Type": "application/x-www-form-urlencoded", "Origin": "null"})
    assert answer.status == 303 and answer.all("Set-Cookie") == []


def test_a_form_without_its_token_is_refused(world, visitor):
    visitor.follow("login")
    visitor.page.forms[0]["fields"].pop("csrf")
    form = visitor.page.forms[0]
    answer = Client(world.port).request("POST", form["action"], urlencode({"username": "alice", "password": PASSWORD}), {
        **HTML, "Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 403


# ---- who sees the id ----

def test_neither_application_nor_log_sees_the_id(world, shop):
    shop.seen.clear()
    alice = logged_in(world)
    id = alice.id
    Client(world.port).get(f"/shop/a/b;lk={id}?x=1", headers={"Referer": f"http://127.0.0.1:{world.port}/shop/;lk={id}?z"})
    Client(world.port).get(f"/shop;lk={id}/c?x=1")
    Client(world.port).get(f"/mapped/d;lk={id}")
    answer = Client(world.port).get(f"/uri/e;lk={id}?q", headers={"Referer": f"http://h/;lk={id}"})
    assert answer.get("X-Uri") == "/uri/e?q|/uri/e|GET /uri/e?q HTTP/1.1|http://h/"
    lines = [s["path"] for s in shop.seen]
    assert "/shop/a/b?x=1" in lines and "/shop/c?x=1" in lines and "/to/d" in lines
    assert f"http://127.0.0.1:{world.port}/shop/?z" in shop.text
    assert id not in shop.text and ";lk=" not in shop.text
    wait_until(lambda: "/uri/e" in (world.folder / "logs/combined.log").read_text(), 30, "the line of the log")
    for name in ("combined.log", "error.log"):
        assert id not in (world.folder / "logs" / name).read_text(), name
    more = (world.folder / "logs/more.log").read_text()
    assert not ids(more) and "/shop/a/b?x=1 /shop/a/b GET /shop/a/b?x=1 HTTP/1.1" in more
    assert id not in str(world.audit())


def test_requests_that_nginx_refuses_leave_no_id_in_the_access_log(world):
    id = "B" * 43
    for request in (f"GET /shop/;lk={id} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", f"GET /shop/;lk={id} HTTP/1.1\r\n\r\n",
                    f"GET /shop/;lk={id} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", f"BAD /shop/;lk={id} HTTP/9.9\r\n\r\n"):
        assert raw(world.port, request).status >= 400
    time.sleep(0.2)
    assert id not in (world.folder / "logs/combined.log").read_text()
    assert id not in (world.folder / "logs/more.log").read_text()


@pytest.mark.parametrize("path", [
    "/shop/..;lk={0}", "/shop/x/..;lk={0}/required/", "/;lk={0}/evil.example", "/shop/x;lk={0}/y;lk={0}", "/shop/%2e%2e;lk={0}/x",
    "/shop/x;lk={0}.html", "/shop/x%3Blk={0}", "/shop/x%3blk%3D{0}", "/shop/x%3f;lk={0}", "/shop/a%2f..;lk={0}", "/shop/x;lk={0}/../y",
    "/shop/x;lk={0};y=1"])
def test_an_id_that_could_hide_another_path_is_refused(world, shop, path):
    shop.seen.clear()
    id = "C" * 43
    answer = raw(world.port, f"GET {path.format(id)} HTTP/1.0\r\n\r\n")
    assert answer.status == 400 and shop.seen == []
    time.sleep(0.05)
    assert id not in (world.folder / "logs/combined.log").read_text() and id not in (world.folder / "logs/more.log").read_text()


def test_what_only_looks_like_an_id_is_the_applications(world, shop):
    for path in ("/plain/x;lk=abc", "/plain/x;lk=", "/plain/x;lk=" + "D" * 44, "/plain/x;v=1?a=;lk=" + NOBODYS):
        shop.seen.clear()
        assert Client(world.port).get(path).status == 200
        assert shop.seen[0]["path"] == path


def test_an_id_does_not_change_the_type_of_a_file(world):
    answer = Client(world.port).get("/php/x.html;lk=" + NOBODYS)
    assert answer.get("Content-Type").startswith("text/html")


def test_our_own_messages_tell_no_id_even_at_debug_level(gateways, shop):
    gateway = gateways(workers=1, server=f"""latchkey_url on;
        location /shop/ {{ latchkey optional anonymous; proxy_pass http://127.0.0.1:{shop.port}; }}""")
    text = (gateway.folder / "nginx.conf").read_text().replace("error.log info", "error.log debug")
    (gateway.folder / "nginx.conf").write_text(text)
    gateway.start()
    b = Browser(gateway.port)
    b.go("/shop/")
    b.follow("q")
    raw(gateway.port, f"GET /shop/..;lk={b.id} HTTP/1.0\r\n\r\n")
    log = (gateway.folder / "logs/error.log").read_text(errors="replace")
    assert "client sent session ids in its path" in log
    # nginx itself shows all bytes of requests and answers at this level, in lines of its own
    ours = [line for line in log.splitlines() if re.match(r"\d{4}/\S+ \S+ \[(?!debug)", line) or "latchkey_url" in line]
    assert ours and not any(b.id in line for line in ours)
    # whatever is said of a request is said with the line we left
    assert not any(b.id in line for line in log.splitlines() if ', request: "' in line)


# ---- what goes out ----

def test_every_way_on_has_the_id_and_no_way_out_has_it(world, visitor):
    answer, id = visitor.answer, visitor.id
    assert ids(answer.text) == {id}
    p = visitor.page.links
    assert p["account"] == f"/auth/account;lk={id}" and p["login"] == f"/auth/login;lk={id}?return=/shop/"
    assert p["other"] == "http://other.example/x" and p["top"] == "#top" and p["mail"] == "mailto:a@b"
    assert p["q"] == f"./;lk={id}?page=2" and p["up"] == f"../;lk={id}"
    assert f'content="99; url=/later;lk={id}"' in answer.text
    assert 'src="/logo.png"' in answer.text and '<script>"<a href=/x>"</script>' in answer.text
    forms = visitor.page.forms
    assert forms[0]["action"] == f"/shop/add;lk={id}" and forms[1]["action"] == f"./;lk={id}?page=2"
    assert re.sub(r";lk=" + id, "", answer.text).replace(' action="./?page=2"', "").replace('"./?page=2"', '"?page=2"').replace(
        '"../"', '".."') == PAGE.replace("USER", "")


def test_an_answer_to_an_address_with_an_id_is_kept_and_told_nowhere(world, visitor):
    answer = visitor.answer
    assert answer.all("Referrer-Policy") == ["no-referrer"]
    assert answer.all("Cache-Control") == ["no-store"]
    assert answer.get("ETag") is None and answer.get("Accept-Ranges") is None and answer.get("Last-Modified") is None
    assert answer.all("Set-Cookie") == []


def test_the_application_is_asked_for_a_page_that_can_be_read(world, shop, visitor):
    shop.seen.clear()
    Client(world.port).get("/shop/x;lk=" + visitor.id, headers={**HTML, "Accept-Encoding": "gzip, br"})
    assert dict(shop.seen[0]["headers"])["Accept-Encoding"] == "identity"
    bob = Client(world.port)
    assert bob.login("bob").status == 200
    shop.seen.clear()
    bob.get("/shop/x", headers={"Accept-Encoding": "gzip, br"})
    assert dict(shop.seen[0]["headers"])["Accept-Encoding"] == "gzip, br"


def test_what_is_compressed_all_the_same_passes_as_it_is(world, shop, visitor):
    body = gzip.compress(PAGE.encode())

    def packed(request):
        request.send_response(200)
        for name, value in (("Content-Type", "text/html"), ("Content-Encoding", "gzip"), ("Content-Length", str(len(body))), ("ETag", '"g"')):
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
    shop.paths["/shop/packed"] = packed
    answer = Client(world.port).get("/shop/packed;lk=" + visitor.id, headers=HTML)
    assert answer.body == body and answer.get("ETag") == '"g"' and answer.get("Content-Length") == str(len(body))


def test_a_page_with_ids_is_not_compressed(world, visitor):
    answer = Client(world.port).get("/gzip/x;lk=" + visitor.id, headers={**HTML, "Accept-Encoding": "gzip"})
    assert answer.get("Content-Encoding") is None and ids(answer.text) == {visitor.id}


def test_a_page_that_comes_one_byte_at_a_time_is_rewritten(world, shop, visitor):
    def drip(request):
        request.send_response(200)
        request.send_header("Content-Type", "text/html")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for byte in PAGE.encode():
            request.wfile.write(b"1\r\n" + bytes([byte]) + b"\r\n")
            request.wfile.flush()
        request.wfile.write(b"0\r\n\r\n")
    shop.paths["/shop/drip"] = shop.paths["/slow/drip"] = drip
    for path in ("/shop/drip", "/slow/drip"):
        answer = Client(world.port).get(f"{path};lk={visitor.id}", headers=HTML)
        assert len(ID.findall(answer.text)) == len(ID.findall(visitor.answer.text)), path
        assert answer.text.endswith("</html>")


def test_a_huge_page_passes_whole(world, shop, visitor):
    piece = '<p>some text of no interest <b class="x">at all</b> <a href="/shop/item">item</a> <img src="/x.png"></p>\n'
    count = 20 * 1024 * 1024 // len(piece)
    text = "<html><body>" + piece * count + "</body></html>"

    def huge(request):
        shop.page(request, text)
    shop.paths["/shop/huge"] = shop.paths["/slow/huge"] = huge
    for path in ("/shop/huge", "/slow/huge"):
        answer = Client(world.port).get(f"{path};lk={visitor.id}", headers=HTML, timeout=120)
        assert answer.text == text.replace("/shop/item", "/shop/item;lk=" + visitor.id), path


def test_a_visitor_who_reads_slowly_does_not_fill_the_gateway(world, shop, visitor):
    count, text = 40000, '<a href="/shop/item">item</a>' + "x" * 1000
    (world.folder / "www/static/huge.html").write_text(text * count)

    def resident():
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{world.children()[0]}/status").read())[1])
    before = resident()
    with socket.create_connection(("127.0.0.1", world.port)) as s:
        s.sendall(f"GET /static/huge.html;lk={visitor.id} HTTP/1.0\r\n\r\n".encode())
        time.sleep(1)
        assert resident() - before < 15000
        with s.makefile("rb") as stream:
            answer = read_answer(stream)
    assert answer.text == text.replace("item\"", f"item;lk={visitor.id}\"") * count


def test_head_has_the_header_of_get_and_no_body(world, visitor):
    path = "/shop/?page=2".replace("?", f";lk={visitor.id}?")
    client = Client(world.port)
    answer = client.request("HEAD", path, headers=HTML)
    assert answer.status == 200 and answer.body == b"" and answer.get("ETag") is None
    assert answer.get("Referrer-Policy") == "no-referrer"
    assert client.request("GET", path, headers=HTML).status == 200


def test_not_modified_of_the_application_passes(world, shop, visitor):
    def unchanged(request):
        request.send_response(304)
        request.send_header("ETag", '"one"')
        request.end_headers()
    shop.paths["/shop/304"] = unchanged
    client = Client(world.port)
    answer = client.get(f"/shop/304;lk={visitor.id}", headers={**HTML, "If-None-Match": '"one"'})
    assert answer.status == 304 and answer.body == b"" and answer.get("Referrer-Policy") == "no-referrer"
    assert client.get(f"/shop/x;lk={visitor.id}", headers=HTML).status == 200


def test_ranges_are_for_what_is_not_rewritten(world, shop, visitor):
    get = lambda path: Client(world.port).get(f"{path};lk={visitor.id}", headers={"Range": "bytes=2-4"})
    page, data = get("/static/page.html"), get("/static/data.txt")
    assert page.status == 200 and ids(page.text) == {visitor.id} and page.get("Accept-Ranges") is None
    assert data.status == 206 and data.body == b"234"

    def part(request):
        shop.page(request, "/a\"><a href=/b>", 206, [("Content-Range", "bytes 1-15/99")])
    shop.paths["/shop/part"] = part
    answer = get("/shop/part")
    assert answer.status == 206 and answer.text == "/a\"><a href=/b>"


def test_a_file_that_did_not_change_is_sent_again_with_this_visitors_links(world, visitor):
    plain = Client(world.port)
    assert plain.login("bob").status == 200
    tag = plain.get("/static/page.html").get("ETag")
    assert plain.get("/static/page.html", headers={"If-None-Match": tag}).status == 304
    answer = Client(world.port).get(f"/static/page.html;lk={visitor.id}", headers={"If-None-Match": tag})
    assert answer.status == 200 and ids(answer.text) == {visitor.id}


def test_what_is_no_page_passes_as_it_is(world, shop, visitor):
    for kind in ("text/plain", "application/json", "application/xhtml+xml", "text/htmlx"):
        shop.paths["/shop/kind"] = lambda request: shop.page(request, '<a href="/x">', kind=kind)
        answer = Client(world.port).get(f"/shop/kind;lk={visitor.id}")
        assert answer.text == '<a href="/x">' and answer.get("Content-Length") == "13" and answer.get("ETag") == '"one"'
        assert answer.get("Referrer-Policy") == "no-referrer"


def test_redirects_within_the_site_have_the_id(world, shop, visitor):
    answer = Client(world.port).get(f"/moved;lk={visitor.id}")
    assert answer.get("Location").endswith(f"/shop/x;lk={visitor.id}?y#z")
    assert Client(world.port).get(f"/away;lk={visitor.id}").get("Location") == "http://other.example/"
    for location, expected in (("/x?y", "/x{0}?y"), (f"http://127.0.0.1:{world.port}/x", f"http://127.0.0.1:{world.port}/x{{0}}"),
                               ("//other/x", "//other/x"), ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x")):
        shop.paths["/shop/to"] = lambda request: shop.page(request, "x", 302, [("Location", location), ("Refresh", "5; url=/r")])
        answer = Client(world.port).get(f"/shop/to;lk={visitor.id}", headers=HTML)
        got = answer.get("Location")
        want = expected.format(";lk=" + visitor.id)
        assert got == want or got == f"http://127.0.0.1:{world.port}{want}"
        assert answer.get("Refresh") == f"5; url=/r;lk={visitor.id}"


def test_included_parts_of_a_page_have_the_id_too(world, visitor):
    answer = Client(world.port).get(f"/ssi/page.html;lk={visitor.id}", headers=HTML)
    lk = ";lk=" + visitor.id
    assert answer.text == f'<a href="/shop/a{lk}">a</a><a href="/shop/part{lk}">p</a><a href="/shop/b{lk}">b</a>'


def test_pages_of_errors_and_named_locations_are_rewritten(world, shop, visitor):
    shop.paths["/broken/"] = lambda request: shop.page(request, status=404) if not request.path.endswith("again") else shop.page(request)
    shop.seen.clear()
    answer = Client(world.port).get(f"/broken/x;lk={visitor.id}", headers=HTML)
    assert answer.status == 404 and ids(shop.text) == set()
    answer = Client(world.port).get(f"/shop-that-is-not-there;lk={visitor.id}", headers=HTML)
    assert answer.status == 404 and "/html>" in answer.text


def test_a_cookie_of_an_answer_is_no_id_when_the_application_made_it(world, shop):
    shop.paths["/shop/forged"] = lambda request: shop.page(request, headers=[("Set-Cookie", f"{COOKIE}={NOBODYS}; Path=/")])
    answer = Client(world.port).get("/shop/forged", headers={"Accept": "text/html"})
    assert NOBODYS not in str(answer.headers) and NOBODYS not in answer.text


def test_the_address_of_a_page_cannot_put_markup_into_it(world):
    b = Browser(world.port)
    answer = raw(world.port, "GET /shop/\"><script>x</script>?\"><b> HTTP/1.0\r\nAccept: text/html\r\n\r\n")
    assert answer.status in (200, 400) and "<script>x" not in answer.text and '"><b>' not in answer.text
    b.go("/shop/" + quote("\"><i>") + "?a&b")
    assert ids(b.answer.text) and "<i>" not in b.answer.text


# ---- settings ----

def test_it_is_off_unless_said(gateways, shop):
    gateway = gateways(server=f"location /shop/ {{ latchkey optional anonymous; proxy_pass http://127.0.0.1:{shop.port}; }}").start()
    shop.seen.clear()
    answer = Client(gateway.port).get("/shop/;lk=" + NOBODYS, headers=HTML)
    assert not ids(answer.text) and shop.seen[0]["path"] == "/shop/;lk=" + NOBODYS
    assert answer.get("Referrer-Policy") == "unsafe-url" and answer.get("ETag") == '"one"'


@pytest.mark.parametrize("way", ["sealed_cookie", "token"])
def test_ways_without_session_ids_have_none_for_links(gateways, way):
    gateway = gateways(settings={"latchkey_share": way}, server="latchkey_url on; location / { latchkey optional; }")
    run = gateway.test()
    assert run.returncode != 0 and "latchkey_url" in run.stderr and way in run.stderr


def test_one_location_is_enough_for_the_server_to_take_ids_out(gateways, shop):
    gateway = gateways(server=f"""location /a/ {{ latchkey optional anonymous; latchkey_url on; proxy_pass http://127.0.0.1:{shop.port}; }}
        location /b/ {{ proxy_pass http://127.0.0.1:{shop.port}; }}""").start()
    shop.seen.clear()
    b = Browser(gateway.port)
    b.go("/a/")
    b.go("/b/x;lk=" + ids(b.answer.text).pop())
    assert shop.seen[-1]["path"] == "/b/x" and not ids(b.answer.text)
