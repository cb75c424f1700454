# SPDX-License-Identifier: Apache-2.0
"""A device asks for its session while the accounts, or the store, are dead or frozen: nobody gets in, nobody loses what it
holds, and all is as before when they are back."""
import re
import time

import pytest

from gateway_lab import COOKIE, Client, wait_until
from store_lab import get, nodes, opened

DEVICE = f"{COOKIE}-device"
IDLE_S = 10  # the least there is
LOCATIONS = """
    location /stale/ { latchkey required; latchkey_on_unknown stale=1m; @up; }
    location /safe/ { latchkey required; latchkey_on_unknown safe; @up; }
    location /who/stale/ { latchkey optional; latchkey_on_unknown stale=1m; @up; }
    location /who/safe/ { latchkey optional; latchkey_on_unknown safe; @up; }
    location /who/visit/ { latchkey optional anonymous; latchkey_on_unknown stale=1m; @up; }
"""
HTML = {"headers": {"Accept": "text/html"}}


class World:
    """A gateway with its sessions on one server and its accounts on another, and browsers that stay logged in."""

    def __init__(self, gateways, folder, store, accounts):
        self.store, self.accounts = store, accounts
        [self.gateway] = nodes(gateways, folder, store.url, near="life=0s", workers=1, locations=LOCATIONS, settings={
            "latchkey_accounts": f'"{accounts.url}?deadline=1s"', "latchkey_session": f"idle={IDLE_S}s",
            "latchkey_limit": "class=single:1"})
        self.awake = self.browser(remember=True, device=None)  # has a session that does not end by idling
        self.closed = [self.browser() for _ in range(2)]
        self.aged = [self.browser() for _ in range(2)]
        self.single = self.browser("bob", device={"class": "single"})
        self.aged_at = time.monotonic() + IDLE_S + 1.5
        self.pids = self.gateway.children()
        self.trouble = {}

    def browser(self, name="alice", **more):
        client = Client(self.gateway.port, keep=False)
        client.register(name)
        assert client.login(name, **{"device": {"label": "Laptop"}, **more}).status == 200
        return client

    def renewals(self, result):
        text = get(self.gateway, "/auth/metrics").text
        return int(re.search(rf'^latchkey_device_renewals_total{{result="{result}"}} (\d+)$', text, re.M)[1])


@pytest.fixture(scope="module")
def world(module_gateways, tmp_path_factory):
    with opened("redis") as store, opened("postgres") as accounts:
        yield World(module_gateways, tmp_path_factory.mktemp("devices"), store, accounts)


@pytest.fixture
def fault(world):
    """fault("store", "frozen"): until the test is over, whatever happens in it."""
    undo = []

    def begin(what, how):
        server = getattr(world, what)
        undo.append(server.thaw if how == "frozen" else server.start)
        server.freeze() if how == "frozen" else server.kill()
        return lambda: undo.pop()()

    yield begin
    for back in undo:
        back()


def is_unknown(answer):
    """503 with Retry-After, and no word to the browser about any cookie."""
    return answer.status == 503 and answer.get("Retry-After") is not None and answer.all("Set-Cookie") == []


def nobody_knows(world, browser):
    """A browser whose session is over or lost, while it cannot be looked up whether it may have another."""
    held = dict(browser.cookies)
    for path in ("/echo/", "/who/", "/stale/", "/safe/"):
        assert is_unknown(browser.get(path)), f"{path}: no copy stands in for a session that was never there"
    for path, methods in (("/who/stale/", ("GET", "POST")), ("/who/safe/", ("GET", "HEAD"))):
        for method in methods:
            answer = browser.request(method, path)
            assert answer.status == 200 and answer.text in ("|", ""), "the operator's word: a stranger for this once"
            assert answer.all("Set-Cookie") == []
    assert is_unknown(browser.post("/who/safe/", {})), "safe: what only reads"
    for path in ("/auth/session", "/auth/account", "/auth/devices", "/auth/session/data"):
        assert is_unknown(browser.get(path)), path
    assert is_unknown(browser.get("/auth/account", **HTML)), "a page that says so"
    for path in ("/auth/authz/auth-request", "/auth/authz/forward-auth"):
        answer = browser.get(path)
        assert is_unknown(answer) and answer.get("Remote-User") == "" and answer.get("Latchkey-Session") == ""
    assert is_unknown(browser.post("/auth/devices/session", {"device_token": browser.cookies[DEVICE], "credential": "jwt"}))
    assert browser.cookies == held, "what the device holds is with it still"


def goes_on(world, browser):
    """It is let in again, without a restart and without a login."""
    wait_until(lambda: browser.get("/echo/").status == 200, 30, "the session of the device")
    assert browser.get("/auth/session").json["user"]["name"] == "alice"
    assert browser.get("/who/").text.startswith("alice|")
    assert world.gateway.children() == world.pids, "no worker was started anew"


@pytest.mark.parametrize("how", ["frozen", "dead"])
def test_accounts_that_do_not_answer_leave_devices_as_they_are(world, fault, how):
    browser = world.closed[0 if how == "frozen" else 1]
    browser.cookies.pop(COOKIE, None)
    unknown = world.renewals("unknown")
    back = fault("accounts", how)
    nobody_knows(world, browser)
    assert is_unknown(browser.post("/auth/logout", {})), "an end that is not written is not told"
    assert world.awake.get("/echo/").status == 200, "who has a session needs no account"
    assert world.renewals("unknown") > unknown
    back()
    goes_on(world, browser)


@pytest.mark.parametrize("how", ["frozen", "dead"])
def test_a_store_that_does_not_answer_leaves_devices_as_they_are(world, fault, how):
    """One has the cookie of a session that ended by time, one has lost it with the session alive or not."""
    browser, other = world.aged.pop(), world.closed[0]
    other.cookies.pop(COOKIE, None)
    time.sleep(max(0, world.aged_at - time.monotonic()))
    back = fault("store", how)
    for path in ("/echo/", "/who/", "/stale/", "/safe/", "/auth/session", "/auth/authz/auth-request"):
        assert is_unknown(browser.get(path)), path
    nobody_knows(world, other)
    assert is_unknown(world.awake.get("/echo/"))
    back()
    for one in (browser, other):
        goes_on(world, one)
    ids = [one.get("/auth/session").json["session"]["public_id"] for one in (browser, other)]
    assert len(set(ids)) == 2
    mine = [one["public_id"] for one in world.awake.get("/auth/sessions").json["sessions"]]
    assert len(mine) == len(set(mine)) <= 5, "one living session for each device, however often it was tried"
    wait_until(lambda: world.awake.get("/echo/").status == 200, 30, "the session there was")


def test_a_session_that_ended_by_time_is_not_in_the_way_of_the_next_on_its_own_device(world):
    time.sleep(max(0, world.aged_at - time.monotonic()))
    for _ in range(2):
        assert world.single.get("/echo/").text.startswith("bob|")


@pytest.mark.parametrize("how", ["frozen", "dead"])
def test_a_logout_that_met_a_store_that_does_not_answer_is_done_by_the_next_try(world, fault, how):
    browser, revoked = world.browser(), world.browser()
    sessions = {one: one.cookies[COOKIE] for one in (browser, revoked)}
    listed = revoked.get("/auth/devices").json["devices"]
    device = next(one["id"] for one in listed if one["current"])
    browser.cookies.pop(COOKIE)
    back = fault("store", how)
    assert is_unknown(browser.post("/auth/logout", {})), "what is not ended is not called so"
    assert DEVICE in browser.cookies
    assert is_unknown(revoked.request("DELETE", f"/auth/devices/{device}"))
    back()
    wait_until(lambda: world.awake.get("/echo/").status == 200, 30, "the store")
    assert browser.get("/echo/").status == 401, "half of it was done: it is given no session"
    assert browser.post("/auth/logout", {}).status == 204 and browser.cookies == {}
    assert world.awake.request("DELETE", f"/auth/devices/{device}").status == 204, "it is there to be asked for again"
    for cookie in sessions.values():
        assert get(world.gateway, "/echo/", cookie).status == 401, "the session it had was ended with it"


def test_a_stranger_who_was_the_user_of_a_device_is_him_again(world, fault):
    """optional, with latchkey_on_unknown: he shops on while nobody can tell who he is."""
    browser = world.browser()
    device = browser.cookies[DEVICE]
    browser.cookies.pop(COOKIE)
    back = fault("accounts", "frozen")
    assert browser.get("/who/visit/", **HTML).text.startswith("|")
    assert COOKIE in browser.cookies and browser.cookies[DEVICE] == device
    back()
    goes_on(world, browser)
    assert browser.cookies[DEVICE] == device


def test_a_worker_that_starts_while_the_accounts_are_dead_lets_devices_in_when_they_are_back(world, fault):
    browser = world.browser()
    browser.cookies.pop(COOKIE)
    back = fault("accounts", "dead")
    world.gateway.reload()
    wait_until(lambda: not set(world.gateway.children()) & set(world.pids), 30, "the new worker")
    world.pids = world.gateway.children()
    for path in ("/echo/", "/who/", "/auth/session", "/auth/authz/auth-request"):
        assert is_unknown(browser.get(path)), path
    assert browser.get("/who/stale/").status == 200 and DEVICE in browser.cookies
    back()
    goes_on(world, browser)
