# SPDX-License-Identifier: Apache-2.0
"""The whole surface over real connections: wrong requests, hostile values, and thousands of requests nobody would write.
docs/security-checklist.md, rules 128 to 135, and what docs/http-api.md promises of errors."""
import json
import re
import socket
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from served import PASSWORD
from visitors import FORM, set_cookies, who

JSON = {"Content-Type": "application/json"}


def post(site, body, path="/auth/login", kind="application/json", **fields):
    return site.call("POST", path, raw=body, headers={"Content-Type": kind, **fields})


def assert_problem(answer, status, reason):
    document = answer.json()
    assert (answer.status, document["status"], document["reason"]) == (status, status, reason), answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "detail"} <= set(document) and answer.headers["Cache-Control"] == "no-store"
    return document


# ---- wrong requests ------------------------------------------------------------------------------------------------------

def test_body_over_16_kib_is_413_and_one_of_16_kib_is_read(easy):
    login = json.dumps({"username": "alice", "password": PASSWORD})
    assert post(easy, login + " " * (16384 - len(login))).status == 200
    for more in (1, 1000, 100_000):
        assert_problem(post(easy, login + " " * (16384 - len(login) + more)), 413, "too_large")
    assert_problem(easy.call("PATCH", "/auth/session/data", raw='{"a":"' + "x" * 16384 + '"}', headers=JSON), 413, "too_large")
    assert_problem(post(easy, "username=alice&x=" + "y" * 16384, kind=FORM), 413, "too_large")


@pytest.mark.parametrize("text,line,column", (
    ("", 1, 1), ("{", 1, 2), ('{"username":"alice",}', 1, 21), ('{"username":"alice"\n "password":"x"}', 2, 2),
    ('{"username":"a","username":"b"}', 1, 17), ('{"username":"a",\n"\\u0075sername":"b"}', 2, 1), ("[" * 33 + "]" * 33, 1, 33),
    ('{"a":' * 32 + "[1]" + "}" * 32, 1, 161), ('{"a":01}', 1, 7), ('{"a":NaN}', 1, 6), ('{"a":"\\ud800"}', 1, 7),
    ('{"a":"\t"}', 1, 7), ("{} {}", 1, 4), ("\ufeff{}", 1, 1), ("nul", 1, 1), ("[1]", 1, 1), ('{"a":1}\0', 1, 8)))
def test_malformed_json_is_400_with_line_and_column(easy, text, line, column):
    for method, path in (("POST", "/auth/login"), ("POST", "/auth/register"), ("PATCH", "/auth/session/data")):
        if path.endswith("data") and text == "[1]":
            continue  # it is JSON, and no object: 422 of another test
        answer = easy.call(method, path, raw=text.encode("utf-8", "surrogatepass"), headers=JSON)
        document = assert_problem(answer, 400, "malformed")
        assert (document["line"], document["column"]) == (line, column), document
    deepest = '{"username":"alice","password":"x","deep":' + "[" * 31 + "]" * 31 + "}"
    assert post(easy, deepest).status == 401, "the control: 32 deep is read"


def test_body_of_another_type_is_415_with_the_right_one(easy):
    login = json.dumps({"username": "alice", "password": PASSWORD})
    for kind in ("text/json", "application/xml", "application/jsonx", "application/json, text/plain", "json", "a/b"):
        for method, path in (("POST", "/auth/login"), ("PATCH", "/auth/session/data")):
            answer = easy.call(method, path, raw=login, headers={"Content-Type": kind, "Sec-Fetch-Site": "same-origin"})
            assert "application/json" in assert_problem(answer, 415, "unsupported_media_type")["detail"]
    assert post(easy, login, kind="Application/JSON; charset=utf-8").status == 200


def test_wrong_method_is_405_with_those_that_work(easy):
    for method, path, allow in (
            ("PUT", "/auth/login", "GET, HEAD, POST"), ("DELETE", "/auth/register", "GET, HEAD, POST"),
            ("POST", "/auth/session", "GET, HEAD"), ("POST", "/auth/session/data", "GET, HEAD, PATCH"),
            ("PATCH", "/auth/sessions", "GET, HEAD, DELETE, POST"), ("PROPFIND", "/auth/logout", "GET, HEAD, POST"),
            ("DELETE", "/.well-known/jwks.json", "GET, HEAD"), ("OPTIONS", "/auth/password", "GET, HEAD, POST")):
        answer = easy.call(method, path)
        assert_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == allow, path
        assert easy.call("GET", path).status != 405
    assert_problem(easy.call("GET", "/auth/nothing"), 404, "not_found")


def test_broken_rule_is_422_with_the_rule(easy):
    good = {"username": "rules", "password": PASSWORD}
    for path, body, word in (
            ("/auth/register", {"username": "rules"}, "password"), ("/auth/register", {**good, "username": 7}, "username"),
            ("/auth/register", {**good, "username": " rules"}, ""), ("/auth/register", {**good, "username": "r\0s"}, ""),
            ("/auth/register", {**good, "username": "r" * 129}, "128"), ("/auth/register", {**good, "password": "short"}, "8"),
            ("/auth/register", {**good, "password": "password"}, "password"),
            ("/auth/login", {**good, "credential": "refresh"}, "credential"), ("/auth/login", {**good, "carrier": 1}, "carrier"),
            ("/auth/login", {**good, "remember": "yes"}, "remember"), ("/auth/login", {**good, "device": []}, "device")):
        document = assert_problem(easy.call("POST", path, body), 422, "rule_broken")
        assert word in document["detail"], (body, document)
    for patch in ("[]", "7", '"a"', '{"":1}', json.dumps({"n" * 65: 1}), json.dumps({f"f{i}": i for i in range(65)})):
        assert_problem(easy.call("PATCH", "/auth/session/data", raw=patch, headers=JSON), 422, "rule_broken")
    assert easy.call("POST", "/auth/register", good).status == 201
    assert_problem(easy.call("POST", "/auth/register", good), 409, "name_taken")


# ---- values that mean something elsewhere ---------------------------------------------------------------------------------------

NAMES = ("王小明", "a%0d%0aSet-Cookie: a=b", 'quo"te\\back', "comma, semi; equals=", "Ünïcode 50%", "' OR 1=1 --", "<b>&amp;",
         "${jndi:ldap://x}", "%s%n%x", "../../etc/passwd")


@pytest.mark.parametrize("name", NAMES)
def test_name_of_any_characters_arrives_as_one_header_value_and_one_json_text(easy, name):
    easy.register(name)
    login = easy.login(name)
    assert login.json()["user"]["name"] == name
    answer = easy.call("GET", "/required/", cookie=login.cookie())
    sent = answer.seen("Remote-User")
    assert len(sent) == 1 and re.fullmatch(r"[ -~]*", sent[0])
    assert re.sub(r"(%[0-9A-F]{2})+", lambda m: bytes.fromhex(m.group().replace("%", "")).decode(), sent[0]) == name
    assert answer.seen("Set-Cookie") == [] and answer.seen("Remote-Groups") == [""]
    again = easy.call("GET", "/auth/authz/auth-request", cookie=login.cookie())
    assert again.headers.get_all("Remote-User") == sent and again.headers.get("Set-Cookie") is None
    easy.call("POST", "/auth/login", {"username": name, "password": "wrong " + PASSWORD})
    for line in (easy.directory / "audit.log").read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("name", ("a\r\nSet-Cookie: a=b", "a\nb", "a\0b", "a\x7fb", "a\u0085b", "a\u2028b", "\u202eecila", "a\u200bb"))
def test_name_that_could_end_a_line_or_hide_is_no_name(easy, name):
    answer = easy.call("POST", "/auth/register", {"username": name, "password": PASSWORD})
    assert_problem(answer, 422, "rule_broken")
    assert easy.call("POST", "/auth/login", {"username": name, "password": PASSWORD}).status == 401


def test_hostile_header_values_of_a_request_come_back_in_no_header_of_the_answer(easy):
    for name in ("User-Agent", "Accept-Language", "X-Request-Id", "X-Forwarded-Uri", "X-Original-URI", "X-Forwarded-Host", "Origin"):
        for value in ('"><script>mark-7311</script>', "mark-7311\t\x7f", "//mark-7311.example/", "%0d%0amark-7311: 1"):
            for path in ("/auth/login", "/auth/session", "/required/", "/auth/authz/forward-auth"):
                answer = easy.call("GET", path, headers={name: value, "Accept": "text/html"})
                assert answer.status in (200, 303, 401)
                for key, shown in answer.headers.items():
                    location = key == "Location" and "mark-7311" in shown
                    assert "mark-7311" not in shown or (location and shown.startswith("/auth/login?return=/")), (name, key, shown)
                assert b"<script>" not in answer.body
    for line in (easy.directory / "audit.log").read_bytes().splitlines():
        json.loads(line)


# ---- nobody would write ----------------------------------------------------------------------------------------------------------

def workers(site):
    nginx = [int(p) for p in open(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read().split()]
    return sorted(int(p) for n in nginx for p in open(f"/proc/{n}/task/{n}/children").read().split())


def raw_status(site, data, leave):
    """The status of the answer, 0 when there is none; reads until the end. With LEAVE no more is to come from us."""
    with socket.create_connection(("127.0.0.1", site.port), 20) as s:
        s.sendall(data)
        if leave:
            s.shutdown(socket.SHUT_WR)
        text = b""
        try:
            while piece := s.recv(65536):
                text += piece
        except ConnectionError:
            pass
    if not text:
        return 0, b""
    text = text.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head = re.match(rb"HTTP/1\.1 (\d{3}) ", text)
    return (int(head.group(1)), text) if head else (200, text)  # HTTP/0.9 has no status


METHODS = st.sampled_from(["POST"] * 6 + ["GET"] * 5 + ["PATCH"] * 3 + ["DELETE"] * 2 + ["HEAD", "PUT", "OPTIONS", "TRACE", "PRI", "get"])
PATHS = st.sampled_from([
    "/auth/login", "/auth/register", "/auth/logout", "/auth/password", "/auth/session", "/auth/session/data", "/auth/sessions",
    "/auth/sessions/others", "/auth/sessions/AAAAAAAAAAAAAAAA", "/auth/account", "/auth/authz/auth-request",
    "/auth/authz/forward-auth", "/auth/assets/x.css", "/auth/metrics", "/auth/health/ready", "/.well-known/jwks.json",
    "/.well-known/change-password", "/auth", "/auth/", "/required/", "/scope/x"])
TAILS = st.one_of(st.just(""), st.just(""), st.just("?a=b"), st.text("%/.;:?&=#\\ \t+-_~!$'()*,@[]0123456789abcdefé\x00\x7f", max_size=40),
                  st.sampled_from(["?" + "&" * 300, "?return=%2f%2fevil", "?lang=zh-CN", "?max_age=99999999999999999999",
                                   "?cursor=" + "A" * 16, "?everywhere=1&everywhere=0", "/../../etc/passwd", "%00", "%ff%fe"]))
JSON_TEXTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(
        st.one_of(st.sampled_from(["username", "password", "current", "new", "device", "id", "credential", "carrier", "remember",
                                   "cart"]), st.text(max_size=8)), inner, max_size=6)), max_leaves=12).map(
                                       lambda v: json.dumps(v).encode())
FORMS = st.lists(st.tuples(st.sampled_from(["username", "password", "csrf", "return", "new", "except"]),
                           st.text("%=&+;abc0é\x00 ", max_size=12)), max_size=5).map(
                               lambda pairs: "&".join(f"{k}={v}" for k, v in pairs).encode())
BODIES = st.one_of(st.just(b""), st.binary(max_size=60), JSON_TEXTS, FORMS, st.sampled_from([b"{" * 40, b'{"a":' * 5000, b"\xff" * 99]))
KINDS = st.sampled_from(["application/json", "application/json", FORM, FORM, "application/merge-patch+json", "text/plain", "multipart/form-data; boundary=x", ";;",
                         "application/json; charset=\xff"])
FIELDS = st.lists(st.one_of(
    st.tuples(st.sampled_from(["Accept", "Accept-Language", "Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Site", "User-Agent", "If-Match", "Host",
                               "X-Forwarded-Uri", "Upgrade", "Connection", "Range", "Expect", "Remote-User", "Latchkey-Session"]),
              st.one_of(st.text("abcdefghijklmnopqrstuvwxyz0123456789/:;,=*?\"'()<>@[]{}%.-_ \t\xe9\x7f", max_size=40),
                        st.sampled_from(["text/html", "null", "same-origin", "cross-site", '"1", *', "100-continue", "[::1", "a b"]))),
    st.tuples(st.just("Authorization"), st.one_of(
        st.sampled_from(["Bearer a.b.c", "Bearer " + "A" * 43, "Bearer", "Basic YTpi", "Bearer " + "." * 2000, "Bearer eyJ9.e30.AA"]),
        st.text("Bearer .-_AZaz09=", max_size=60))),
    st.tuples(st.just("Cookie"), st.one_of(
        st.sampled_from(["latchkey=" + "A" * 43, "latchkey=" + "." * 3000, "latchkey=a; latchkey=b", "=latchkey=x", ";;;=;", "latchkey",
                         "latchkey_form=x; latchkey_lang=zz", "latchkey=eyJhbGciOiJub25lIn0.e30."]),
        st.text("latchkey=;\"\\ A_.", max_size=60)))), max_size=5)
SEEN = {"requests": 0, "statuses": {}}


@settings(max_examples=400, deadline=None, database=None, derandomize=True, phases=(Phase.generate, Phase.shrink),
          suppress_health_check=list(HealthCheck))
@given(method=METHODS, path=PATHS, tail=TAILS, fields=FIELDS, kind=KINDS, body=BODIES, length=st.sampled_from([0, 0, 0, 0, 0, -1, 1]))
def fuzz(site, known, method, path, tail, fields, kind, body, length):
    lines = [f"{method} {path}{tail} HTTP/1.1", "Connection: close", f"Content-Type: {kind}",
             f"Content-Length: {max(0, len(body) + length)}"]
    names = {name for name, _ in fields}
    if "Host" not in names:
        lines.append("Host: 127.0.0.1")
    if "Cookie" not in names and len(body) % 2:
        lines.append("Cookie: " + known)
    lines += [f"{name}: {value}" for name, value in fields]
    status, text = raw_status(site, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, length > 0)
    SEEN["requests"] += 1
    SEEN["statuses"][status] = SEEN["statuses"].get(status, 0) + 1
    # 501 is the application's, which knows few methods
    assert status in (0, 101) or 200 <= status < 500 or b"Unsupported method" in text, text[:2000]
    assert text.count(b"\r\nSet-Cookie: latchkey=") <= 1
    if status >= 400 and b"application/problem+json" in text and method != "HEAD":
        assert json.loads(text.split(b"\r\n\r\n", 1)[1])["status"] == status


def test_no_request_is_answered_with_500_and_no_worker_dies(easy):
    known = easy.login("mallory").cookie()
    before = workers(easy)
    log = easy.directory / "error.log"
    already = log.stat().st_size
    fuzz(easy, known)
    assert SEEN["requests"] >= 400
    assert {200, 303, 400, 401, 404, 405} <= set(SEEN["statuses"]), SEEN["statuses"]
    assert workers(easy) == before
    told = log.read_bytes()[already:].decode(errors="replace")
    assert not re.search(r"exited on signal|\[alert\]|\[emerg\]|\[crit\]", told), told[-2000:]
    for line in (easy.directory / "audit.log").read_bytes().splitlines():
        json.loads(line)
    assert who(easy, cookie=easy.login("mallory").cookie()) == "mallory"


def test_half_a_request_keeps_nobody_waiting(easy):
    """A client that stops in the middle of its login is let go, and costs no one else anything."""
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    head = f"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    waiting = []
    for cut in range(1, len(head) + len(body), 7):
        s = socket.create_connection(("127.0.0.1", easy.port), 20)
        s.sendall((head + body)[:cut])
        waiting.append(s)
    began = time.monotonic()
    answer = easy.login("alice")
    assert answer.status == 200 and time.monotonic() - began < 20
    assert len(set_cookies(answer)) == 1
    for s in waiting:
        s.close()
    assert who(easy, cookie=easy.login("alice").cookie()) == "alice"
