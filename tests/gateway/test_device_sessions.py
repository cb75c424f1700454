# SPDX-License-Identifier: Apache-2.0
"""The session a device is given: what it brings along, when a limit leaves no place for it, and through another proxy."""
import json
import re
import sqlite3
import subprocess

import pytest

from gateway_lab import COMMAND, COOKIE, Client, wait_until

DEVICE = f"{COOKIE}-device"
PATCH = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def made(gateways, application, tmp_path):
    """made({setting: value}, store=...) -> a gateway with an application behind it."""
    def make(settings=None, **more):
        app = f"proxy_pass http://127.0.0.1:{application.port};"
        server = f"location /app/ {{ latchkey required; {app} }} location /open/ {{ latchkey optional anonymous; {app} }}"
        gateway = gateways(workers=1, settings={"latchkey_store": f"sqlite:{tmp_path}/sessions.db", **(settings or {})},
                           server=server + more.pop("server", ""), **more)
        gateway.start()
        return gateway
    return make


def browser(gateway, name="alice", **more):
    client = Client(gateway.port)
    client.register(name)
    more.setdefault("device", {"label": "Laptop"})
    answer = client.login(name, **more)
    assert answer.status == 200, answer
    return client


def is_in(client):
    """As browsers ask: with what cookies there are, and keeping what comes."""
    answer = client.get("/app/")
    assert answer.status in (200, 401), answer
    return answer.status == 200


def lose_session(client):
    client.cookies.pop(COOKIE, None)
    return client


def renewals(gateway):
    text = Client(gateway.port).get("/auth/metrics").text
    found = re.findall(r'^latchkey_device_renewals_total\{result="(\w+)"\} (\d+)$', text, re.M)
    return {name: int(value) for name, value in found if int(value)}


def forget(tmp_path, which):
    with sqlite3.connect(tmp_path / "sessions.db", timeout=10) as db:
        return db.execute(f"DELETE FROM latchkey_session WHERE owner IS {which}").rowcount


def forget_ends(tmp_path):
    """As when latchkey_session fence= is over: the store no longer knows that a session was ended."""
    return forget(tmp_path, "NULL")


def forget_sessions(tmp_path):
    """As when the sessions of all users ended by time, and were swept."""
    return forget(tmp_path, "NOT NULL")


# ---- limits ----

def test_two_devices_of_a_user_with_one_session_do_not_put_each_other_out_in_turn(made, tmp_path):
    gateway = made({"latchkey_limit": "user=1"})
    laptop = browser(gateway)
    phone = browser(gateway, device={"label": "Phone"})
    turns = [(is_in(laptop), is_in(phone)) for _ in range(5)]
    assert turns == [(False, True)] * 5
    assert forget_ends(tmp_path) >= 1
    turns = [(is_in(laptop), is_in(phone)) for _ in range(5)]
    assert turns == [(False, True)] * 5, "for good, not for as long as the store knows how the session ended"
    assert DEVICE in laptop.cookies, "it is asked for the password, not forgotten"
    assert laptop.login("alice").status == 200
    assert [(is_in(laptop), is_in(phone)) for _ in range(5)] == [(True, False)] * 5, "a login is the user's word"
    assert is_in(lose_session(laptop)), "and makes its device good again"
    listed = laptop.get("/auth/devices").json["devices"]
    assert {one["label"]: one["put_out"] for one in listed} == {"Laptop": False, "Phone": True}


def test_a_device_that_was_away_while_a_login_put_it_out_is_not_let_in_later(made, tmp_path):
    gateway = made({"latchkey_limit": "class=mobile:1"})
    first = browser(gateway, device={"label": "Old phone", "class": "mobile"})
    desktop = browser(gateway, device={"label": "Desktop", "class": "desktop"})
    second = browser(gateway, device={"label": "New phone", "class": "mobile"})
    assert forget_ends(tmp_path) >= 1
    lose_session(first)
    for client in (desktop, second):
        assert is_in(lose_session(client))
    assert not is_in(first), "the login on the other said so, though nobody asked for this one since"
    assert is_in(desktop) and is_in(second)


def test_a_device_takes_a_free_place_and_nobodys_else(made, tmp_path):
    gateway = made({"latchkey_limit": "user=1 victim=oldest"})
    laptop = lose_session(browser(gateway))
    assert forget_sessions(tmp_path) == 1
    phone = browser(gateway, device={"label": "Phone"})
    before = renewals(gateway)
    for _ in range(3):
        assert not is_in(laptop) and is_in(phone), "the phone is in use"
    assert renewals(gateway).get("refused", 0) - before.get("refused", 0) == 3
    assert DEVICE in laptop.cookies
    assert phone.post("/auth/logout", {}).status == 204
    assert is_in(laptop), "nobody else is there any more"


def test_a_limit_that_refuses_leaves_the_devices_alone(made):
    gateway = made({"latchkey_limit": "user=1 victim=refuse"})
    laptop = browser(gateway)
    client = Client(gateway.port)
    assert client.login("alice", device={}).status == 409
    assert is_in(lose_session(laptop)) and not is_in(client)


def test_an_app_under_a_limit_of_one_gets_another_token_in_place_of_its_own(made):
    gateway = made({"latchkey_limit": "user=1"})
    client = Client(gateway.port)
    client.register("alice")
    text = client.login("alice", credential="session", carrier="header", device={"label": "App"}).json["device_token"]
    client.token = None
    tokens = [client.post("/auth/devices/session", {"device_token": text, "credential": kind}) for kind in ("jwt", "session", "jwt")]
    assert [answer.status for answer in tokens] == [200] * 3
    known = [Client(gateway.port).get("/auth/session", headers={"Authorization": "Bearer " + answer.json["token"]}).status
             for answer in tokens]
    assert known == [401, 401, 200]


# ---- what comes along ----

def cart_of(client):
    answer = client.get("/auth/session/data")
    assert answer.status == 200, answer
    return answer.json


def stranger_with(gateway, **fields):
    client = Client(gateway.port)
    assert client.get("/open/", headers={"Accept": "text/html"}).status == 200
    body = "{" + ", ".join(f'"{name}": ["{value}"]' for name, value in fields.items()) + "}"
    assert client.request("PATCH", "/auth/session/data", body, PATCH).status == 200
    return client


@pytest.mark.parametrize("way", ["database", "sealed_cookie"])
def test_the_new_session_has_the_cart_of_the_stranger_and_nothing_he_was_not_to_bring(made, tmp_path, way):
    """As when the device could not be looked up for a while, and its user went on shopping."""
    gateway = made({"latchkey_share": way, "latchkey_carry": "cart"})
    alice = browser(gateway)
    assert alice.request("PATCH", "/auth/session/data", '{"mine": ["old"]}', PATCH).status == 200
    forget_sessions(tmp_path)
    stranger = stranger_with(gateway, cart="tea", colour="red")
    before = dict(stranger.cookies)
    stranger.cookies[DEVICE] = alice.cookies[DEVICE]
    assert is_in(stranger)
    assert cart_of(stranger) == {"cart": ["tea"]}, "no more of the stranger, nothing of the session that ended"
    assert stranger.cookies[COOKIE] != before[COOKIE]


def test_a_browser_that_was_closed_is_given_its_session_with_all_that_is_in_it(made):
    gateway = made()
    alice = browser(gateway)
    assert alice.request("PATCH", "/auth/session/data", '{"cart": ["tea"], "step": 3}', PATCH).status == 200
    assert is_in(lose_session(alice))
    assert cart_of(alice) == {"cart": ["tea"], "step": 3}
    stranger = stranger_with(gateway, cart="coffee")
    stranger.cookies[DEVICE] = alice.cookies[DEVICE]
    assert is_in(stranger)
    assert cart_of(stranger) == {"cart": ["tea"], "step": 3}, "a living session is not mixed with another"
    assert renewals(gateway) == {"repeated": 2}


# ---- through another proxy ----

def other_proxy(gateways, gateway, application):
    """Another nginx, as docs/http-api.md says. What it knows of latchkey is off, and its cookies have other names."""
    return gateways(workers=1, settings={"latchkey_cookie": "other secure=off"}, server=f"""
        location / {{
            latchkey off;
            auth_request /check;
            auth_request_set $known_user $upstream_http_remote_user;
            auth_request_set $new_cookie $upstream_http_set_cookie;
            add_header Set-Cookie $new_cookie always;
            proxy_set_header Remote-User $known_user;
            proxy_pass http://127.0.0.1:{application.port};
        }}
        location = /check {{
            internal;
            latchkey off;
            proxy_pass http://127.0.0.1:{gateway.port}/auth/authz/auth-request;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Original-URI $request_uri;
        }}""").start()


def test_a_device_goes_on_through_another_proxy_that_asks_us(made, gateways, application):
    gateway = made()
    alice = browser(gateway)
    proxy = Client(other_proxy(gateways, gateway, application).port)
    proxy.cookies = {DEVICE: alice.cookies[DEVICE]}
    answer = proxy.get("/some/page")
    assert answer.status == 200 and answer.sent("Remote-User") == ["alice"]
    assert COOKIE in proxy.cookies, "the session reached the browser"
    assert proxy.get("/some/page").all("Set-Cookie") == [], "and was what it showed next"
    assert alice.post("/auth/logout", {}).status == 204
    answer = proxy.get("/some/page")
    assert answer.status == 401 and COOKIE not in proxy.cookies
    assert proxy.get("/some/page").status == 401 and DEVICE not in proxy.cookies


@pytest.mark.parametrize("path", ["/auth/authz/auth-request", "/auth/authz/forward-auth"])
def test_what_the_check_for_other_proxies_asks_for_is_judged_for_the_new_session(made, path):
    gateway = made()
    alice = lose_session(browser(gateway))
    answer = alice.get(f"{path}?role=editor")
    assert answer.status == 403 and COOKIE in alice.cookies
    assert [answer.get(name) for name in ("Remote-User", "Remote-Groups", "Remote-Name", "Latchkey-Session")] == [""] * 4
    lose_session(alice)
    answer = alice.get(path)
    assert answer.status == 200 and answer.get("Remote-User") == "alice"
    assert len(answer.all("Set-Cookie")) == 1 and answer.get("Cache-Control") == "no-store"
    thief = Client(gateway.port)
    thief.cookies[DEVICE] = "d1." + "A" * 16 + "." + "A" * 43
    answer = thief.get(path)
    assert answer.status in (401, 303) and answer.get("Remote-User") == "" and DEVICE not in thief.cookies


# ---- the command line ----

def command(gateway, *words):
    done = subprocess.run([str(COMMAND), "device", *words, "--json", "--conf", f"{gateway.folder}/latchkey.conf"], text=True,
                          env=gateway.env, capture_output=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_an_operator_sees_who_was_put_out_and_revokes_a_device(made):
    gateway = made({"latchkey_limit": "user=1"})
    laptop = browser(gateway)
    phone = browser(gateway, device={"label": "Phone"})
    code, listed = command(gateway, "list", "alice")
    assert code == 0 and {one["label"]: one["put_out"] for one in listed["devices"]} == {"Laptop": True, "Phone": False}
    device = next(one["id"] for one in listed["devices"] if one["label"] == "Phone")
    assert command(gateway, "revoke", device)[0] == 0
    wait_until(lambda: not is_in(phone), 20, "the end of its session")
    assert not is_in(phone) and DEVICE not in phone.cookies
    assert command(gateway, "revoke", device)[0] == 1, "it is gone"
    assert not is_in(laptop)
