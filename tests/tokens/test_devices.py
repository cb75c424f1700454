# SPDX-License-Identifier: Apache-2.0
"""Devices that stay logged in, on three nodes: a session ends by time on one, the next request goes on at another."""
import base64
import concurrent.futures
import json
import re
import time

import pytest
from cluster import Cluster
from gateway import PASSWORD

IDLE_S = 10
SETTINGS = {"latchkey_session": f"idle={IDLE_S}s absolute=1h remember=2h", "latchkey_limit": "class=single:1"}


class Browser:
    """Keeps cookies; its requests go to the node that is named."""

    def __init__(self, cluster):
        self.client, self.cookies = cluster.client(), {}

    def header(self, **cookies):
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in {**self.cookies, **cookies}.items())}

    def ask(self, method, path, body=None, node=None, keep=True, **more):
        answer = self.client.ask(method, path, body, headers=self.header(), node=node, **more)
        if keep:
            self.take(answer)
        return answer

    def take(self, answer):
        for line in set_cookies(answer):
            name, value = line.split(";")[0].split("=", 1)
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    def login(self, name="alice", node=0, device=None, **more):
        answer = self.ask("POST", "/auth/login", {"username": name, "password": PASSWORD, **more,
                                                  **({"device": device} if device is not None else {})}, node=node)
        assert answer.status == 200, answer.body
        return answer.json()

    def who(self, node=None):
        """The user the application was told of, "" for nobody; or the status."""
        answer = self.ask("GET", "/", node=node)
        if answer.status != 200:
            return answer.status
        return dict((name.lower(), value) for name, value in json.loads(answer.body)["headers"]).get("remote-user", "")

    def is_in(self, node=None):
        return self.ask("GET", "/auth/session", node=node).status == 200

    def sessions(self, node=None):
        return self.ask("GET", "/auth/sessions", node=node).json()["sessions"]

    def forget_session(self):
        """As a browser does that was closed."""
        self.cookies = {name: value for name, value in self.cookies.items() if name.endswith("-device")}


def set_cookies(answer):
    return answer.headers.get_all("Set-Cookie") or []


HOWS = ["everywhere", "others", "password", "revoked", "kick", "disable"]


@pytest.fixture(scope="module", params=["redis", "postgres"])
def cluster(request, tmp_path_factory):
    url = request.getfixturevalue(request.param).url
    made = Cluster(tmp_path_factory.mktemp("devices"), url, settings=SETTINGS,
                   accounts=url if request.param == "postgres" else None)
    for name in ("alice", "fifty", "kim", "rita", "emma", "sam", "app", *[f"user-{how}" for how in HOWS]):
        made.client(0).register(name)
    yield made
    made.close()


@pytest.fixture(scope="module")
def aged(cluster):
    """Browsers and an app that logged in on their devices, and whose sessions have ended by time since."""
    found = {name: Browser(cluster) for name in ("alice", *[f"user-{how}" for how in HOWS])}
    made = {name: browser.login(name, device={"label": "Laptop", "class": "desktop"}) for name, browser in found.items()}
    made["app"] = cluster.client().login("app", credential="session", carrier="header", device={"label": "App", "class": "app"})
    time.sleep(IDLE_S + 1.5)
    return found, made


def test_a_device_goes_on_at_another_node_until_it_is_logged_out_at_a_third(cluster, aged):
    browser, made = aged[0]["alice"], aged[1]["alice"]
    assert made["device"]["label"] == "Laptop" and "device_token" not in made
    assert set(browser.cookies) == {"latchkey", "latchkey-device"}
    first = browser.cookies["latchkey"]
    assert browser.who(node=1) == "alice", "the request itself goes on"
    assert browser.cookies["latchkey"] != first
    second = browser.cookies["latchkey"]
    stolen = dict(browser.cookies)
    assert browser.is_in(node=2) and browser.cookies["latchkey"] == second
    assert browser.ask("POST", "/auth/logout", {}, node=2).status == 204
    assert browser.cookies == {}
    for node in range(3):
        browser.cookies = dict(stolen)
        assert not browser.is_in(node=node)
        browser.cookies = {"latchkey-device": stolen["latchkey-device"]}
        assert not browser.is_in(node=node), "the device was logged out"


def test_fifty_requests_at_once_on_three_nodes_are_one_session(cluster):
    browser = Browser(cluster)
    browser.login("fifty", device={})
    browser.forget_session()
    header = browser.header()

    def ask(n):
        for _ in range(20):  # "could not look" on a machine that is busy is no answer
            answer = cluster.client(n % 3).get("/auth/session", headers=header)
            if answer.status != 503:
                break
        return answer

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json()["session"]["public_id"] for answer in answers}) == 1
    browser.take(answers[0])
    assert len(browser.sessions()) == 1


def test_a_revoked_device_is_out_on_every_node_and_its_sessions_with_it(cluster):
    phone, laptop = Browser(cluster), Browser(cluster)
    made = phone.login("rita", device={"label": "Phone", "class": "mobile"}, node=0)["device"]
    laptop.login("rita", node=1)
    listed = laptop.ask("GET", "/auth/devices", node=1).json()["devices"]
    mine = next(one for one in listed if one["id"] == made["id"])
    assert mine["label"] == "Phone" and mine["class"] == "mobile" and not mine["current"]
    assert laptop.ask("PATCH", f"/auth/devices/{made['id']}", {"label": "Old phone"}, node=2).status == 204
    listed = phone.ask("GET", "/auth/devices", node=0).json()["devices"]
    assert [one["label"] for one in listed if one["current"]] == ["Old phone"]
    held = dict(phone.cookies)
    assert laptop.ask("DELETE", f"/auth/devices/{made['id']}", node=2).status == 204
    deadline = time.monotonic() + 10
    for node in range(3):
        phone.cookies = dict(held)
        while phone.is_in(node=node) and time.monotonic() < deadline:
            phone.cookies = dict(held)
        phone.cookies = {"latchkey-device": held["latchkey-device"]}
        assert not phone.is_in(node=node), node
        assert phone.cookies == {}, "what it held is good for nothing any more"
    assert laptop.is_in(node=0)


def test_ending_its_session_from_another_place_ends_the_device(cluster):
    phone, laptop = Browser(cluster), Browser(cluster)
    phone.login("emma", device={}, node=0)
    laptop.login("emma", node=1)
    other = next(one["public_id"] for one in laptop.sessions(node=1) if not one["current"] and one["device"])
    assert laptop.ask("DELETE", f"/auth/sessions/{other}", node=1).status == 204
    phone.forget_session()
    assert not any(phone.is_in(node=node) for node in range(3))


def test_two_devices_where_one_may_be_do_not_put_each_other_out_in_turn_on_three_nodes(cluster):
    first, second = Browser(cluster), Browser(cluster)
    first.login("sam", device={"class": "single"}, node=0)
    second.login("sam", device={"class": "single"}, node=1)
    turns = [(first.is_in(node=n % 3), second.is_in(node=(n + 1) % 3)) for n in range(6)]
    assert turns == [(False, True)] * 6
    first.login("sam", node=2)
    second.forget_session()
    turns = [(first.is_in(node=n % 3), second.is_in(node=(n + 1) % 3)) for n in range(6)]
    assert turns == [(True, False)] * 6
    first.forget_session()
    assert first.is_in(node=1), "the login made its device good again"


def test_what_puts_a_user_out_puts_out_devices_whose_session_is_over(cluster, aged):
    for how in HOWS:
        name = f"user-{how}"
        phone, laptop = aged[0][name], Browser(cluster)
        laptop.login(name, node=1, device={})
        if how == "everywhere":
            assert laptop.ask("POST", "/auth/logout?everywhere=1", {}, node=1).status == 204
        elif how == "others":
            assert laptop.ask("DELETE", "/auth/sessions?except=current", node=1).status == 200
        elif how == "password":
            assert laptop.ask("POST", "/auth/password", {"current": PASSWORD, "new": "another gravel and thimble"},
                              node=1).status == 200
        elif how == "revoked":
            cluster.run("session", "revoke", "--user", name)
        elif how == "kick":
            assert phone.is_in(node=2)
            cluster.run("session", "revoke", next(one["public_id"] for one in phone.sessions() if one["current"]))
        else:
            cluster.run("user", "disable", name)
        held = phone.cookies["latchkey-device"]
        for node in range(3):
            phone.cookies = {"latchkey-device": held}
            assert not phone.is_in(node=node), (how, node)
        laptop.forget_session()
        assert laptop.is_in(node=2) == (how in ("others", "password", "kick")), how


def test_an_app_shows_what_its_device_holds_and_is_given_a_token(cluster, aged):
    client, made = cluster.client(), aged[1]["app"]
    text = made["device_token"]
    assert re.fullmatch(r"d1\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{43}", text)
    after = client.post("/auth/devices/session", {"device_token": text}, node=2).json()
    assert after["token"] != made["token"] and after["device"]["id"] == made["device"]["id"]
    assert client.is_known(after["token"], node=0) and not client.is_known(made["token"], node=0)
    again = client.post("/auth/devices/session", {"device_token": text}, node=1)
    assert again.json()["token"] == after["token"], "the session it has is alive"
    jwt = client.post("/auth/devices/session", {"device_token": text, "credential": "jwt"}, node=1).json()
    assert jwt["token"].count(".") == 2 and client.is_known(jwt["token"], node=2)
    bad = [text[:-1], text[:10], text + "A", "d1." + "A" * 16 + text[19:], text[:-2] + ("AA" if text[-2:] != "AA" else "BA"),
           made["device"]["id"], "x"]
    answers = [client.post("/auth/devices/session", {"device_token": one}) for one in bad]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1, "one answer to all"
    assert client.post("/auth/logout", bearer=jwt["token"]).status == 204
    assert client.post("/auth/devices/session", {"device_token": text}, node=2).status == 401


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self, curve):
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        self.curve = curve
        if curve == "P-256":
            self.key = ec.generate_private_key(ec.SECP256R1())
            n = self.key.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": curve, "x": b64(n.x.to_bytes(32, "big")), "y": b64(n.y.to_bytes(32, "big"))}
        else:
            from cryptography.hazmat.primitives import serialization
            self.key = ed25519.Ed25519PrivateKey.generate()
            raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            self.jwk = {"kty": "OKP", "crv": curve, "x": b64(raw)}

    def sign(self, challenge):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        message = b"latchkey device session\n" + challenge.encode()
        if self.curve == "Ed25519":
            return b64(self.key.sign(message))
        r, s = utils.decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
        return b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@pytest.mark.parametrize("curve", ["P-256", "Ed25519"])
def test_a_device_with_a_key_of_its_own_signs_a_challenge_of_any_node_once(cluster, curve):
    client, key = cluster.client(), Key(curve)
    made = client.login("kim", credential="session", carrier="header", device={"label": "App", "public_key": key.jwk})
    assert "device_token" not in made
    device = made["device"]["id"]

    def challenge(node):
        return client.post("/auth/devices/challenge", {"device": device}, node=node).json()["challenge"]

    def prove(text, signature, node, device=device):
        return client.post("/auth/devices/session", {"device": device, "challenge": text, "signature": signature}, node=node)

    text = challenge(0)
    good = prove(text, key.sign(text), 1)
    assert good.status == 200, good.body
    assert client.is_known(good.json()["token"], node=2)
    assert {prove(text, key.sign(text), node).status for node in range(3)} == {401}, "each challenge once"
    text = challenge(1)
    assert prove(text, Key(curve).sign(text), 2).status == 401
    assert prove(text, key.sign("c1.x"), 2).status == 401
    assert prove(text, key.sign(text), 2).status == 200
    assert client.post("/auth/devices/challenge", {"device": "A" * 16}).status == 200, "whether it exists is not told"


@pytest.mark.parametrize("share", ["sealed_cookie", "token"])
def test_every_way_hands_out_what_it_does_at_a_login(cluster_on, tmp_path, share):
    cluster = cluster_on(f"sqlite:{tmp_path}/shared.db", share=share)
    cluster.client(0).register("walter")
    browser = Browser(cluster)
    browser.login("walter", device={}, node=0)
    kind = browser.ask("GET", "/auth/session", node=0).json()["credential"]
    browser.forget_session()
    assert browser.is_in(node=1)
    assert browser.ask("GET", "/auth/session", node=2).json()["credential"] == kind
    assert kind == {"sealed_cookie": "sealed", "token": "jwt"}[share]
    held = dict(browser.cookies)
    assert browser.ask("POST", "/auth/logout", {}, node=2).status == 204
    browser.cookies = {name: value for name, value in held.items() if name.endswith("-device")}
    assert not any(browser.is_in(node=node) for node in range(3))
