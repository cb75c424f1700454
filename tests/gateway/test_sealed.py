# SPDX-License-Identifier: Apache-2.0
"""The ways in which the client holds the session: sealed in cookies, or a token in a cookie that is renewed."""
import json
import shutil
import subprocess
import time

import pytest

from gateway_lab import BUILD, COOKIE, Client, wait_until
from servers import Redis

PIECES = [COOKIE] + [f"{COOKIE}.{i}" for i in range(1, 4)]
SEALED = {"latchkey_share": "sealed_cookie"}
BIG = {"client_header": "large_client_header_buffers 4 20k;"}


def make(gateways, application, settings, **kw):
    kw.setdefault("http", BIG["client_header"])
    return gateways(settings=settings,
                    server=f"location /app/ {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}\n"
                           f"location /open/ {{ latchkey optional anonymous; proxy_pass http://127.0.0.1:{application.port}; }}",
                    **kw).start()


def visitor(gateway, name="alice", new=True, **more):
    client = Client(gateway.port)
    if new:
        assert client.register(name).status == 201
    assert client.login(name, **more).status == 200
    return client


def patch(client, data):
    return client.request("PATCH", "/auth/session/data", json.dumps(data),
                          {"Content-Type": "application/merge-patch+json"})


def held(client):
    return [name for name in PIECES if name in client.cookies]


def command(gateway, *words):
    done = subprocess.run([str(BUILD / "latchkey"), *words, "--conf", str(gateway.folder / "latchkey.conf")], env=gateway.env,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout


def test_login_is_all_in_the_cookie_and_outlives_every_store(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice = visitor(gateway)
    assert patch(alice, {"cart": ["tea", 2]}).status == 200
    assert alice.cookies[COOKIE].startswith("v1.")
    assert alice.get("/auth/session").json["credential"] == "sealed"
    gateway.kill()
    shutil.rmtree(gateway.folder / "sessions")
    gateway.start()
    alice.close()
    assert alice.get("/app/").status == 200
    assert alice.get("/auth/session/data").json == {"cart": ["tea", 2]}


def test_cart_of_an_anonymous_visitor_comes_along_into_the_login(gateways, application):
    gateway = make(gateways, application, SEALED)
    client = Client(gateway.port)
    assert client.get("/open/", headers={"Accept": "text/html"}).status == 200
    assert client.cookies[COOKIE].startswith("v1.")
    assert patch(client, {"cart": [1], "planted": True}).status == 200
    client.register("alice")
    assert client.login("alice").status == 200
    assert client.get("/auth/session/data").json == {"cart": [1]}


def test_session_that_grows_is_spread_over_four_cookies_and_shrinks_again(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice = visitor(gateway)
    for size, pieces in ((100, 1), (4000, 2), (7000, 3), (9500, 4), (7000, 3), (10, 1)):
        answer = patch(alice, {"text": "x" * size})
        assert answer.status == 200, (size, answer)
        assert held(alice) == PIECES[:pieces]
        for value in answer.all("Set-Cookie"):
            assert len(value.split(";")[0]) <= 4096
        assert alice.get("/app/").status == 200
        assert len(alice.get("/auth/session/data").json["text"]) == size


def test_session_that_fits_no_four_cookies_is_refused_and_nothing_is_lost(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice = visitor(gateway)
    assert patch(alice, {"text": "x" * 9000}).status == 200
    before = dict(alice.cookies)
    answer = patch(alice, {"more": "y" * 3000})
    assert answer.status == 422
    assert "cookie" in answer.json["detail"]
    assert alice.cookies == before
    assert list(alice.get("/auth/session/data").json) == ["text"]


def test_stale_pieces_are_ignored_and_removed(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice = visitor(gateway)
    patch(alice, {"text": "x" * 9000})
    old = dict(alice.cookies)
    patch(alice, {"text": None})
    alice.cookies = {**old, COOKIE: alice.cookies[COOKIE]}
    assert alice.get("/app/").status == 200
    assert patch(alice, {"a": 1}).json == {"a": 1}
    assert held(alice) == [COOKIE]


@pytest.mark.parametrize("harm", [
    lambda jar: jar.update({COOKIE: jar[COOKIE][:-1]}),
    lambda jar: jar.update({COOKIE: jar[COOKIE][:-4] + "AAAA"}),
    lambda jar: jar.update({COOKIE: "v2" + jar[COOKIE][2:]}),
    lambda jar: jar.update({f"{COOKIE}.1": "A" * 3800}),
    lambda jar: jar.pop(f"{COOKIE}.1"),
    lambda jar: jar.update({f"{COOKIE}.1": jar[f"{COOKIE}.2"], f"{COOKIE}.2": jar[f"{COOKIE}.1"]}),
    lambda jar: jar.pop(f"{COOKIE}.2"),
])
def test_harmed_pieces_are_nobody(gateways, application, harm):
    gateway = make(gateways, application, SEALED)
    alice = visitor(gateway)
    patch(alice, {"text": "x" * 8000})
    assert len(held(alice)) == 3
    harm(alice.cookies)
    answer = alice.get("/app/")
    assert answer.status == 401 and answer.json["reason"] == "malformed"
    assert held(alice) == []


def test_box_cut_at_any_length_gets_one_answer(gateways, application):
    gateway = make(gateways, application, SEALED)
    box = visitor(gateway).cookies[COOKIE]
    client = Client(gateway.port)
    answers = set()
    for length in range(1, len(box)):
        answer = client.get("/app/", headers={"Cookie": f"{COOKIE}={box[:length]}"})
        answers.add((answer.status, answer.body, tuple(answer.all("Set-Cookie"))))
    assert len(answers) == 1
    [(status, _, cookies)] = answers
    assert status == 401 and len(cookies) == 1
    assert client.get("/open/", headers={"Cookie": f"{COOKIE}={box[:-1]}"}).status == 200


def test_box_of_another_cookie_name_or_realm_is_nobody(gateways, application):
    gateway = make(gateways, application, SEALED)
    box = visitor(gateway).cookies[COOKIE]
    for change in ({"latchkey_cookie": "other secure=off"}, {"latchkey_realm": "staff"}):
        other = make(gateways, application, {**SEALED, "latchkey_keys": gateway.settings["latchkey_keys"],
                                             "latchkey_accounts": gateway.settings["latchkey_accounts"], **change})
        client = Client(other.port)
        client.cookies[change.get("latchkey_cookie", COOKIE).split()[0]] = box
        assert client.get("/app/").status == 401
        other.stop()


def test_logout_ends_the_box_itself_and_those_it_was_before(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice = visitor(gateway)
    first = dict(alice.cookies)
    patch(alice, {"a": 1})
    second = dict(alice.cookies)
    alice.login("alice")
    third = dict(alice.cookies)
    assert alice.post("/auth/logout").status == 204
    assert not alice.cookies
    for jar in (first, second, third):
        alice.cookies = dict(jar)
        answer = alice.get("/app/")
        assert answer.status == 401 and answer.json["reason"] == "revoked"


def test_user_is_put_out_by_command_line_and_every_box_with_him(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice, again, bob = visitor(gateway), visitor(gateway, new=False), visitor(gateway, "bob")
    command(gateway, "session", "revoke", "--user", "alice")
    assert alice.get("/app/").json["reason"] == "kicked"
    assert again.get("/app/").json["reason"] == "kicked"
    assert bob.get("/app/").status == 200
    assert alice.login("alice").status == 200
    assert alice.get("/app/").status == 200


def test_others_are_signed_out_and_the_one_who_asks_stays_with_his_data(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice, other = visitor(gateway), visitor(gateway, new=False)
    patch(alice, {"a": 1})
    assert alice.request("DELETE", "/auth/sessions?except=current").status == 200
    assert alice.get("/app/").status == 200
    assert alice.get("/auth/session/data").json == {"a": 1}
    assert other.get("/app/").json["reason"] == "revoked"


def test_change_of_password_ends_the_other_boxes(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice, other = visitor(gateway), visitor(gateway, new=False)
    assert alice.post("/auth/password", {"current": "correct horse battery staple",
                                         "new": "another horse battery staple"}).status == 200
    assert alice.get("/app/").status == 200
    assert other.get("/app/").json["reason"] == "revoked"


@pytest.mark.parametrize("way", ["sealed_cookie", "token"])
def test_use_moves_the_end_of_a_session_in_the_client(gateways, application, way):
    gateway = make(gateways, application, {"latchkey_share": way, "latchkey_session": "idle=10s absolute=60s"})
    alice, gone = visitor(gateway), visitor(gateway, new=False)
    issued = []
    end = time.monotonic() + 14
    while time.monotonic() < end:
        answer = alice.get("/app/")
        assert answer.status == 200, answer
        issued += answer.all("Set-Cookie")
        time.sleep(0.25)
    assert 2 <= len(issued) <= 15
    assert gone.get("/app/").status == 401


@pytest.mark.parametrize("way", ["sealed_cookie", "token"])
def test_renewed_credential_is_revoked_with_the_login_it_came_from(gateways, application, way):
    gateway = make(gateways, application, {"latchkey_share": way, "latchkey_session": "idle=10s absolute=60s"})
    alice = visitor(gateway)
    first = dict(alice.cookies)
    time.sleep(2.1)
    assert alice.get("/app/").status == 200
    assert alice.cookies != first
    second = dict(alice.cookies)
    assert alice.post("/auth/logout").status == 204
    for jar in (first, second):
        alice.cookies = dict(jar)
        assert alice.get("/app/").json["reason"] == "revoked"


def test_token_in_a_cookie_carries_the_login_and_the_store_its_data(gateways, application):
    gateway = make(gateways, application, {"latchkey_share": "token"})
    client = Client(gateway.port)
    assert patch(client, {"cart": [7]}).status == 200
    client.register("alice")
    answer = client.login("alice")
    assert "token" not in answer.json
    assert client.cookies[COOKIE].count(".") == 2
    assert client.get("/auth/session").json["credential"] == "jwt"
    assert client.get("/auth/session/data").json == {"cart": [7]}
    assert patch(client, {"cart": [7, 8]}).status == 200
    assert client.get("/app/").status == 200


def test_remembered_sealed_login_outlives_the_browser(gateways, application):
    gateway = make(gateways, application, SEALED)
    alice = Client(gateway.port)
    alice.register("alice")
    answer = alice.login("alice", remember=True)
    [cookie] = answer.all("Set-Cookie")
    assert "Max-Age=2592000" in cookie or "Max-Age=2591999" in cookie
    assert "Max-Age" in patch(alice, {"a": 1}).all("Set-Cookie")[0]


def test_node_without_room_in_its_header_buffers_is_told_so(gateways, application):
    gateway = gateways(settings=SEALED, server="location /app/ { latchkey required; }")
    assert "large_client_header_buffers" in gateway.test().stderr
    gateway.http = BIG["client_header"]
    gateway.write()
    assert "large_client_header_buffers" not in gateway.test().stderr


def test_site_that_would_rather_go_on_does_so_while_the_store_is_away(gateways, application):
    with Redis() as redis:
        lag = "latchkey_revocation_lag 500ms serve;"
        gateway = make(gateways, application, {**SEALED, "latchkey_store": redis.url}, http=BIG["client_header"] + lag)
        careful = make(gateways, application, {**SEALED, "latchkey_store": redis.url}, http=BIG["client_header"])
        for one in (gateway, careful):
            one.expected_faults = ["latchkey: "]
        alice, bob = visitor(gateway), visitor(careful, "bob")
        redis.kill()
        wait_until(lambda: bob.get("/app/").status == 503, 20, "the view to be too old")
        assert patch(bob, {"a": 1}).status == 503 and COOKIE in bob.cookies
        for n in range(3):
            assert alice.get("/app/").status == 200
            assert patch(alice, {"n": n}).json == {"n": n}
        assert alice.post("/auth/logout").status == 503, "a logout that no store has is none"
        assert alice.get("/app/").status == 200
        redis.start()
        wait_until(lambda: bob.get("/app/").status == 200, 20, "the store to be found again")
