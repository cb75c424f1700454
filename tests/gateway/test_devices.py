# SPDX-License-Identifier: Apache-2.0
"""Devices that stay logged in, at one gateway: cookies, the application behind it, pages without scripts, bad input."""
import re
import urllib.parse

import pytest

from gateway_lab import COOKIE, Client

DEVICE = f"{COOKIE}-device"


@pytest.fixture
def gateway(gateways, application):
    app = f"proxy_pass http://127.0.0.1:{application.port};"
    return gateways(server=f"location /app/ {{ latchkey required; {app} }}\n"
                           f"location /open/ {{ latchkey optional anonymous; {app} }}\n"
                           f"location /editors/ {{ latchkey required role=editor; {app} }}\n"
                           f"location /header/ {{ latchkey required carrier=header; {app} }}").start()


def visitor(gateway, name="alice", **more):
    client = Client(gateway.port)
    assert client.register(name).status == 201
    more.setdefault("device", {"label": "Laptop"})
    assert client.login(name, **more).status == 200
    return client


def only_device(client):
    client.cookies.pop(COOKIE, None)
    return client


def test_the_device_cookie_is_its_own_and_no_script_reads_it(gateway):
    client = Client(gateway.port)
    client.register("alice")
    answer = client.login("alice", device={"label": "Laptop"})
    lines = {line.split("=")[0]: line for line in answer.all("Set-Cookie")}
    assert set(lines) == {COOKIE, DEVICE}
    assert "HttpOnly" in lines[DEVICE] and "SameSite=Lax" in lines[DEVICE] and "Path=/" in lines[DEVICE]
    assert re.search(r"Max-Age=34560000\b", lines[DEVICE]) and "Max-Age" not in lines[COOKIE]
    assert client.cookies[DEVICE] not in answer.text, "what a cookie carries is in no body"


def test_the_application_is_told_the_user_in_the_very_request(gateway, application):
    alice = only_device(visitor(gateway))
    answer = alice.get("/app/")
    assert answer.status == 200 and COOKIE in alice.cookies
    assert answer.sent("Remote-User") == ["alice"]
    assert alice.get("/auth/session").status == 200


def test_what_a_location_asks_for_is_judged_for_the_new_session_too(gateway):
    alice = only_device(visitor(gateway))
    assert alice.get("/editors/").status == 403
    assert COOKIE in alice.cookies
    only_device(alice)
    assert alice.get("/header/").status == 401, "a cookie is nothing where a header is wanted"


def test_a_forged_or_cut_text_is_refused_and_taken_away_without_logging_anybody_in(gateway):
    alice, bob = visitor(gateway), visitor(gateway, "bob")
    good, other = alice.cookies[DEVICE], bob.cookies[DEVICE]
    bad = [good[:i] for i in (1, 3, 19, 20, 40, 62)] + [good + "A", other[:19] + good[19:], "d1." + "A" * 16 + good[19:],
                                                        good[:-2] + ("AA" if good[-2:] != "AA" else "BA"), "x"]
    for text in bad:
        thief = Client(gateway.port)
        thief.cookies[DEVICE] = text
        answer = thief.get("/app/")
        assert answer.status == 401 and COOKIE not in thief.cookies, text
        assert DEVICE not in thief.cookies, "it is good for nothing"
    assert only_device(alice).get("/app/").status == 200, "and the real one is still good"


def test_the_id_of_a_device_opens_nothing_and_a_client_does_not_choose_it(gateway):
    alice = visitor(gateway, device={"id": "my-own-device-id", "label": "Laptop"})
    device = alice.get("/auth/devices").json["devices"][0]
    assert device["id"] != "my-own-device-id" and device["current"]
    thief = Client(gateway.port)
    thief.cookies[DEVICE] = device["id"]
    assert thief.get("/app/").status == 401
    again = Client(gateway.port)
    assert again.login("alice", device={"id": device["id"], "label": "Other"}).status == 200
    assert len(again.get("/auth/devices").json["devices"]) == 2, "an id that is named is no proof"


def test_a_login_of_somebody_else_signs_the_device_of_the_one_before_out(gateway):
    client = visitor(gateway)
    text = client.cookies[DEVICE]
    assert client.register("bob").status == 201
    assert client.login("bob").status == 200
    assert DEVICE not in client.cookies
    thief = Client(gateway.port)
    thief.cookies[DEVICE] = text
    assert thief.get("/app/").status == 401


def test_the_box_of_the_login_page_registers_the_browser_and_its_page_signs_it_out(gateway):
    client = Client(gateway.port)
    client.register("alice")

    def form(path, **fields):
        page = client.get(path, headers={"Accept": "text/html"})
        assert page.status == 200, page
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
        action = fields.pop("action", path)
        return client.request("POST", action, urllib.parse.urlencode({"csrf": token, **fields}).encode(),
                              {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"})

    answer = form("/auth/login", username="alice", password="correct horse battery staple", remember="true")
    assert answer.status == 303 and DEVICE in client.cookies
    page = client.get("/auth/account", headers={"Accept": "text/html"}).text
    path = re.search(r'href="(/auth/devices/[^"]+)"', page)[1]
    assert form(path, label="<b>Mine</b>").status == 303
    page = client.get("/auth/account", headers={"Accept": "text/html", "Accept-Language": "zh-CN"}).text
    assert "&lt;b&gt;Mine" in page and "<b>Mine" not in page and "保持登录的设备" in page
    assert form(path, revoke="true").status == 303
    assert DEVICE not in client.cookies and COOKIE not in client.cookies


def test_a_change_of_a_device_needs_the_token_of_the_form(gateway):
    alice = visitor(gateway)
    device = alice.get("/auth/devices").json["devices"][0]["id"]
    answer = alice.request("POST", f"/auth/devices/{device}", b"revoke=true",
                           {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 403
    bob = visitor(gateway, "bob")
    for method, body in (("GET", None), ("PATCH", b'{"label": "x"}'), ("DELETE", None)):
        assert bob.request(method, f"/auth/devices/{device}", body, {"Content-Type": "application/json"}).status == 404
    assert alice.get("/auth/devices").json["devices"][0]["label"] == "Laptop"


def test_signing_out_after_the_session_was_lost_signs_the_device_out(gateway):
    alice = visitor(gateway)
    text = alice.cookies[DEVICE]
    only_device(alice)
    assert alice.post("/auth/logout", {}).status == 204
    assert DEVICE not in alice.cookies
    alice.cookies[DEVICE] = text
    assert alice.get("/app/").status == 401


def test_a_session_registers_its_device_later_and_only_when_it_is_fresh(gateway):
    alice = visitor(gateway, device=None)
    before = alice.cookies[COOKIE]
    answer = alice.post("/auth/devices", {"label": "Tablet", "class": "mobile"})
    assert answer.status == 200 and answer.json["device"]["class"] == "mobile"
    assert DEVICE in alice.cookies and alice.cookies[COOKIE] != before
    assert only_device(alice).get("/app/").status == 200
    bad = {"label": "a\nb"}, {"class": "Not A Word"}, {"public_key": {"kty": "oct", "k": "AAAA"}}, {"label": 7}
    for body in bad:
        assert alice.post("/auth/devices", body).status == 422, body


def test_off_means_off(gateways, application):
    gateway = gateways(settings={"latchkey_device": "off"},
                       server=f"location /app/ {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}").start()
    client = Client(gateway.port)
    client.register("alice")
    answer = client.login("alice", device={"label": "Laptop"})
    assert answer.status == 200 and "device" not in answer.json and DEVICE not in client.cookies
    assert client.post("/auth/devices", {}).status == 422
    assert client.post("/auth/devices/session", {"device_token": "x"}).status == 422
