# SPDX-License-Identifier: Apache-2.0
"""Who is let in, who is not, and what either is told - whatever else nginx is configured to do."""
import json
import re
import time

import pytest

from gateway_lab import COOKIE, IDENTITY, Client, raw, wait_until


@pytest.fixture(scope="module")
def world(module_gateways, module_application):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    gateway = module_gateways(
        http="ssi_types application/json;",
        server=f"""
        location / {{ latchkey optional; {up} }}
        location /off/ {{ {up} }}
        location /required/ {{ latchkey required; {up}
            location /required/inner/ {{ {up} }}
            location /required/open/ {{ latchkey off; {up} }}
            location /required/more/ {{ latchkey required role=admin; {up} }}
        }}
        location /admin/ {{ latchkey required role=admin,editor; {up} }}
        location /scope/ {{ latchkey required scope=orders.read; {up} }}
        location /fresh/ {{ latchkey required max_age=1s; {up} }}
        location /header/ {{ latchkey required carrier=header; {up} }}
        location /cookie/ {{ latchkey required carrier=cookie; {up} }}
        location /jwt/ {{ latchkey required credential=jwt; {up} }}

        location /any/ {{ latchkey required; satisfy any; allow all; {up} }}
        location /any/basic/ {{ latchkey required; satisfy any; auth_basic x; auth_basic_user_file htpasswd; {up} }}
        location /denied/ {{ latchkey required; deny all; {up} }}

        location /page/ {{ latchkey required; error_page 401 =200 /public/login.html; {up} }}
        location /page/required/ {{ latchkey required; error_page 401 =200 /required/secret; {up} }}
        location /page/named/ {{ latchkey required; error_page 401 403 = @fallback; {up} }}
        location /page/403/ {{ latchkey required role=admin; error_page 403 /public/forbidden.html; {up} }}
        location @fallback {{ latchkey required; {up} }}
        location /public/ {{ }}

        location /try/ {{ try_files /public$uri /required$uri; }}
        location /if/ {{ latchkey required; if ($arg_x) {{ set $y 1; {up} }} {up} }}
        location /methods/ {{ latchkey optional; limit_except GET {{ latchkey required; }} {up} }}
        location /rewritten/ {{ rewrite ^/rewritten/(.*)$ /required/$1 last; }}
        location /accel/ {{ proxy_pass http://127.0.0.1:{module_application.port}; }}
        location /internal/ {{ internal; latchkey required; {up} }}

        location /ssi/ {{ ssi on; }}
        location /guarded/ {{ auth_request /check/session; {up} }}
        location /guarded/api/ {{ auth_request /auth/authz/auth-request; {up} }}
        location /check/ {{ internal; latchkey required; {up} }}
        location /mirrored/ {{ latchkey optional; mirror /mirror; {up} }}
        location = /mirror {{ internal; latchkey required; {up} }}
        location /mirror-off/ {{ latchkey optional; mirror /plain; {up} }}
        location = /plain {{ internal; latchkey off; {up} }}
        """)
    www = gateway.folder / "www"
    (www / "public").mkdir(parents=True)
    (www / "public/login.html").write_text("please log in")
    (www / "public/forbidden.html").write_text("not for you")
    (www / "ssi").mkdir()
    (www / "ssi/page.html").write_text(
        'open:<!--#include virtual="/off/part" --> same:<!--#include virtual="/required/part" --> end')
    (gateway.folder / "htpasswd").write_text("bob:{PLAIN}secret\n")
    gateway.start()
    gateway.user("root", roles="admin editor")
    gateway.admin = Client(gateway.port)
    assert gateway.admin.login("root").status == 200
    gateway.alice = Client(gateway.port)
    assert gateway.alice.register("alice").status == 201
    assert gateway.alice.login("alice").status == 200
    gateway.user_name = gateway.alice.get("/auth/session").json["user"]["name"]
    gateway.nobody = Client(gateway.port)
    yield gateway


# ---- who gets in ----

def test_a_login_by_cookie_opens_every_later_request(world):
    answer = world.alice.get("/required/x")
    assert answer.status == 200
    assert answer.sent("Remote-User") == [world.user_name]


@pytest.mark.parametrize("credential", ["session", "token", "jwt"])
def test_a_login_by_bearer_opens_every_later_request(world, credential):
    program = Client(world.port)
    answer = program.login("alice", credential=credential, carrier="header")
    assert answer.status == 200 and program.token and not program.cookies
    answer = program.get("/required/x")
    assert answer.status == 200
    assert answer.sent("Remote-User") == [world.user_name]
    assert answer.sent("Remote-Name") == ["alice"]


def test_a_logout_closes_the_gate_for_the_replayed_cookie(world):
    visitor = Client(world.port)
    assert visitor.login("alice").status == 200
    kept = dict(visitor.cookies)
    assert visitor.get("/required/x").status == 200
    assert visitor.post("/auth/logout").status == 204
    visitor.cookies = kept
    answer = visitor.get("/required/x")
    assert answer.status == 401
    assert "Remote-User" not in answer.text


def test_nobody_is_refused_and_told_how_to_come_back(world):
    answer = world.nobody.get("/required/x")
    assert answer.status == 401
    assert answer.get("Content-Type") == "application/problem+json"
    assert answer.get("Cache-Control") == "no-store"
    assert answer.get("WWW-Authenticate").startswith("Bearer ") and "error" not in answer.get("WWW-Authenticate")
    assert answer.json["status"] == 401 and answer.reason == "no_credential"
    assert answer.all("Set-Cookie") == []


def test_a_made_up_credential_is_refused_with_a_reason(world):
    answer = world.nobody.get("/required/x", headers={"Cookie": f"{COOKIE}={'A' * 43}"})
    assert answer.status == 401
    answer = world.nobody.get("/required/x", headers={"Authorization": "Bearer not.a.token"})
    assert answer.status == 401 and answer.reason == "malformed"
    assert 'error="invalid_token"' in answer.get("WWW-Authenticate")


def test_a_header_of_ones_own_carries_a_credential(gateways, application):
    gateway = gateways(settings={"latchkey_header": "X-Session"},
                       server=f"location / {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}").start()
    program = Client(gateway.port)
    program.register("alice")
    assert program.login("alice", credential="session", carrier="header").status == 200
    token, program.token = program.token, None
    assert program.get("/x").status == 401
    for name in ("X-Session", "x-session"):
        assert program.get("/x", headers={name: token}).sent("Remote-User") == ["alice"]
    assert program.get("/x", headers={"X_Session": token}).status == 401
    # with two that differ, neither counts
    answer = raw(gateway.port, f"GET /x HTTP/1.1\r\nHost: a\r\nX-Session: {token}\r\nX-Session: {'A' * 43}\r\n\r\n")
    assert answer.status == 401


def test_two_cookies_that_differ_are_refused(world):
    good = world.alice.cookies[COOKIE]
    for cookie in (f"{COOKIE}={good}; {COOKIE}={'A' * 43}", f"{COOKIE}={'A' * 43}; {COOKIE}={good}"):
        assert world.nobody.get("/required/x", headers={"Cookie": cookie}).status == 401
    answer = raw(world.port, f"GET /required/x HTTP/1.1\r\nHost: a\r\nCookie: {COOKIE}={good}\r\n"
                             f"Cookie: {COOKIE}={'B' * 43}\r\n\r\n")
    assert answer.status == 401


def test_many_cookie_headers_count_as_one(world):
    fill = "".join(f"Cookie: c{i}={i}\r\n" for i in range(11))
    answer = raw(world.port, f"GET /required/x HTTP/1.1\r\nHost: a\r\n{fill}"
                             f"Cookie: {COOKIE}={world.alice.cookies[COOKIE]}\r\n{fill}\r\n")
    assert answer.status == 200
    assert answer.sent("Remote-User") == [world.user_name]


def test_optional_lets_everybody_in_and_says_who_it_is(world):
    assert world.nobody.get("/x").sent("Remote-User") == [""]
    assert world.alice.get("/x").sent("Remote-User") == [world.user_name]
    answer = world.nobody.get("/x", headers={"Cookie": f"{COOKIE}={'A' * 43}"})
    assert answer.status == 200 and answer.sent("Remote-User") == [""]


def test_head_is_checked_and_answered_without_a_body(world):
    answer = world.nobody.request("HEAD", "/required/x")
    assert answer.status == 401 and answer.body == b"" and int(answer.get("Content-Length")) > 0
    assert world.alice.request("HEAD", "/required/x").status == 200


# ---- what is asked beyond a login ----

def test_a_role_is_required_where_the_location_says_so(world):
    assert world.admin.get("/admin/x").status == 200
    answer = world.alice.get("/admin/x")
    assert answer.status == 403 and answer.reason == "insufficient_role"
    assert world.nobody.get("/admin/x").status == 401


def test_a_missing_role_is_no_reason_to_log_in_again(world):
    answer = world.alice.get("/admin/x", headers={"Accept": "text/html"})
    assert answer.status == 403 and answer.get("Location") is None


def test_a_login_too_long_ago_must_be_repeated(world):
    visitor = Client(world.port)
    assert visitor.login("alice").status == 200
    assert visitor.get("/fresh/x").status == 200
    wait_until(lambda: visitor.get("/fresh/x").status == 401, 30, "the end of max_age")
    answer = visitor.get("/fresh/x")
    assert answer.reason == "reauthentication_required"
    assert 'max_age="1"' in answer.get("WWW-Authenticate")
    assert answer.all("Set-Cookie") == []
    assert visitor.get("/required/x").status == 200


def test_carriers_and_credentials_are_those_of_the_location(world):
    program = Client(world.port)
    program.login("alice", credential="jwt", carrier="header")
    assert program.get("/jwt/x").status == 200
    assert program.get("/header/x").status == 200
    assert program.get("/cookie/x").status == 401
    assert world.alice.get("/jwt/x").status == 401
    assert world.alice.get("/header/x").status == 401
    assert world.alice.get("/cookie/x").status == 200


# ---- where a browser is sent ----

def test_a_browser_is_sent_to_the_login_page_with_the_way_back(world):
    answer = world.nobody.get("/required/a%20b?x=1&y=%26#f", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status == 303
    assert answer.get("Location") == "/auth/login?return=%2Frequired%2Fa%2520b%3Fx%3D1%26y%3D%2526%23f"
    assert answer.get("Cache-Control") == "no-store"


def test_the_login_link_is_relative_whatever_the_host_header_says(world):
    answer = raw(world.port, "GET /required/x HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html\r\n\r\n")
    assert answer.get("Location") == "/auth/login?return=%2Frequired%2Fx"


def test_an_absolute_form_gives_a_link_without_its_host(world):
    answer = raw(world.port, "GET http://evil.example/required/x HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n")
    assert answer.status == 303
    assert "evil" not in answer.get("Location")


def test_a_very_long_uri_is_left_out_of_the_login_link(world):
    answer = world.nobody.get("/required/" + "a" * 3000, headers={"Accept": "text/html"})
    assert answer.get("Location") == "/auth/login"


@pytest.mark.parametrize("method,headers", [
    ("GET", {"Accept": "application/json"}), ("GET", {}), ("POST", {"Accept": "text/html"}),
    ("GET", {"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"}),
])
def test_a_program_is_never_redirected(world, method, headers):
    answer = world.nobody.request(method, "/required/x", headers=headers)
    assert answer.status == 401 and answer.reason == "no_credential"


# ---- nothing else in nginx opens the gate ----

def test_satisfy_any_does_not_open_the_gate(world):
    assert world.nobody.get("/any/x").status == 401
    assert world.alice.get("/any/x").status == 200
    basic = {"Authorization": "Basic Ym9iOnNlY3JldA=="}
    assert world.nobody.get("/any/basic/x", headers=basic).status == 401


def test_a_login_does_not_open_what_another_module_closed(world):
    assert world.alice.get("/denied/x").status == 403


def test_an_error_page_replaces_the_refusal_and_shows_nothing_else(world):
    for accept in ("text/html", "application/json"):
        answer = world.nobody.get("/page/x", headers={"Accept": accept})
        assert answer.status == 200 and answer.text == "please log in"
    answer = world.alice.get("/page/403/x")
    assert answer.status == 403 and answer.text == "not for you"
    assert world.alice.get("/page/x").sent("Remote-User") == [world.user_name]


def test_an_error_page_that_is_itself_protected_is_refused_too(world, module_application):
    before = len(module_application.seen)
    for path in ("/page/required/x", "/page/named/x"):
        answer = world.nobody.get(path)
        assert answer.status == 401, path
    assert len(module_application.seen) == before


def test_try_files_and_rewrites_end_at_the_gate_of_where_they_lead(world):
    for path in ("/try/x", "/rewritten/x", "/if/x", "/if/x?x=1", "/required/inner/x"):
        assert world.nobody.get(path).status == 401, path
        answer = world.alice.get(path)
        assert answer.status == 200 and answer.sent("Remote-User") == [world.user_name], path


def test_an_inner_location_inherits_the_rule_unless_it_has_its_own(world):
    assert world.nobody.get("/required/inner/x").status == 401
    assert world.nobody.get("/required/open/x").status == 200
    assert world.alice.get("/required/more/x").status == 403
    assert world.admin.get("/required/more/x").status == 200


def test_limit_except_has_a_rule_of_its_own(world):
    assert world.nobody.get("/methods/x").status == 200
    assert world.nobody.request("DELETE", "/methods/x").status == 401
    assert world.alice.request("DELETE", "/methods/x").status == 200


def test_a_redirect_by_the_application_ends_at_the_gate(world, module_application):
    module_application.headers = [("X-Accel-Redirect", "/internal/x")]
    try:
        before = len(module_application.seen)
        assert world.nobody.get("/accel/x").status == 401
        assert [s["path"] for s in module_application.seen[before:]] == ["/accel/x"]
        before = len(module_application.seen)
        world.alice.get("/accel/x")
        paths = [s["path"] for s in module_application.seen[before:]]
        assert paths[:2] == ["/accel/x", "/internal/x"]
    finally:
        module_application.headers = []


def test_a_subrequest_to_a_protected_location_is_checked(world):
    """An SSI include skips nginx's access phase: the gate stands before that."""
    answer = world.nobody.get("/ssi/page.html")
    assert answer.status == 200
    assert '"path": "/off/part"' in answer.text
    assert '"path": "/required/part"' not in answer.text
    answer = world.alice.get("/ssi/page.html")
    assert '"path": "/required/part"' in answer.text
    parts = [json.loads(t) for t in re.findall(r"(\{.*?\})(?: same:| end)", answer.text)]
    sent = [{k: v for k, v in p["headers"]}.get("Remote-User") for p in parts]
    assert sent == [None, world.user_name]


def test_auth_request_to_a_protected_location_takes_its_answer(world):
    assert world.nobody.get("/guarded/x").status == 401
    assert world.alice.get("/guarded/x").status == 200


def test_auth_request_to_the_api_takes_its_answer(world):
    assert world.nobody.get("/guarded/api/x").status == 401
    assert world.alice.get("/guarded/api/x").status == 200


def test_a_mirror_gets_what_its_own_location_allows(world, module_application):
    def mirrored(path):
        before = len(module_application.seen)
        world_client(path)
        time.sleep(0.3)
        return {s["path"]: dict(map(tuple, s["headers"])) for s in module_application.seen[before:]}

    world_client = lambda path: world.nobody.get(path)
    assert "/mirror" not in mirrored("/mirrored/x")
    world_client = lambda path: world.alice.get(path)
    seen = mirrored("/mirrored/x")
    assert seen["/mirror"]["Remote-User"] == world.user_name
    assert seen["/mirrored/x"]["Remote-User"] == world.user_name
    seen = mirrored("/mirror-off/x")
    assert "Remote-User" not in seen["/plain"]
    assert seen["/mirror-off/x"]["Remote-User"] == world.user_name


# ---- variables ----

def test_variables_are_good_in_the_access_log(world):
    mark = f"/required/log{time.monotonic_ns()}"
    world.alice.get(mark)
    world.nobody.get(mark)

    def lines():
        found = [line for line in world.access_log() if mark in line]
        return found if len(found) == 2 else None

    allowed, refused = wait_until(lines, 30, "two lines in the access log")
    assert f"user={world.user_name} " in allowed and re.search(r"session=[\w-]{16} reason= ", allowed)
    assert "user= " in refused and "reason=no_credential " in refused
    assert re.search(r"node=\S+$", allowed)


def test_variables_of_the_api_say_who_called_it(world):
    mark = f"/auth/session?{time.monotonic_ns()}"
    visitor = Client(world.port)
    visitor.login("alice")
    public_id = visitor.get(mark).json["session"]["public_id"]
    wait_until(lambda: any(f"session={public_id}" in line and "/auth/session" in line for line in world.access_log()),
               10, "a line in the access log")


def test_the_id_of_a_session_is_in_no_log(world):
    world.alice.get("/required/x")
    secret = world.alice.cookies[COOKIE]
    assert secret not in world.log() + "\n".join(world.access_log()) + json.dumps(world.audit())


def test_refusals_of_a_credential_are_audited_and_strangers_are_not(world):
    before = len(world.audit())
    world.nobody.get("/required/stranger")
    world.nobody.get("/required/forged", headers={"Authorization": "Bearer a.b.c"})
    found = wait_until(lambda: [e for e in world.audit()[before:] if e["event"] == "refused"], 30, "an audit line")
    assert [e["path"] for e in found] == ["/required/forged"]
    assert found[0]["reason"] == "malformed" and found[0]["status"] == 401


def test_an_ended_session_loses_its_cookie_and_an_unknown_answer_does_not(world):
    visitor = Client(world.port)
    visitor.login("alice")
    kept = dict(visitor.cookies)
    visitor.post("/auth/logout")
    visitor.cookies = kept
    answer = visitor.get("/required/x")
    removal = answer.get("Set-Cookie")
    assert answer.status == 401
    assert removal is not None and removal.startswith(f"{COOKIE}=;") and "Max-Age=0" in removal
    assert answer.all("Cache-Control") == ["no-store"]


def test_identity_is_complete_for_the_location_that_answers(world):
    for client in (world.alice, world.nobody):
        answer = client.get("/x")
        for name in IDENTITY:
            assert len(answer.sent(name)) == 1
