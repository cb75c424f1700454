# SPDX-License-Identifier: Apache-2.0
"""latchkey_limit through the gateway: who has to go, and what the others are told."""
import threading

import pytest


def log_in(gateway, **more):
    client = gateway.client()
    return client, client.login("alice", **more)


def on(device_class, **more):
    return {"device": {"id": device_class + "-1", "class": device_class}, **more}


def is_in(client):
    return client.get("/auth/session").status == 200


@pytest.mark.parametrize("credential", ["session", "jwt"])
def test_login_on_a_second_phone_ends_that_on_the_first_alone(gateways, credential):
    gateway = gateways(workers=1, settings={"latchkey_limit": "class=mobile:1,desktop:2"})
    gateway.start()
    gateway.user("alice")
    desktop, answer = log_in(gateway, **on("desktop"))
    assert answer.status == 200, answer
    _, first = log_in(gateway, **on("mobile", credential=credential, carrier="header"))
    _, second = log_in(gateway, **on("mobile", credential=credential, carrier="header"))
    assert (first.status, second.status) == (200, 200)
    ask = lambda token: gateway.client().get("/auth/session", headers={"Authorization": "Bearer " + token})
    answer = ask(first.json["token"])
    assert (answer.status, answer.reason) == (401, "replaced")
    assert ask(second.json["token"]).status == 200
    assert is_in(desktop)


def test_login_beyond_a_limit_that_refuses_is_409_and_a_logout_makes_room(gateways):
    gateway = gateways(workers=1, settings={"latchkey_limit": "user=2 victim=refuse"})
    gateway.start()
    gateway.user("alice")
    first, _ = log_in(gateway)
    second, _ = log_in(gateway)
    third, answer = log_in(gateway)
    assert (answer.status, answer.reason) == (409, "session_limit")
    assert not is_in(third) and is_in(first) and is_in(second)
    assert any(e["event"] == "login_failed" and e["reason"] == "session_limit" for e in gateway.audit())
    assert first.post("/auth/logout").status == 204
    assert third.login("alice").status == 200 and is_in(third)


def test_ten_logins_at_once_never_leave_more_than_the_limit(gateways):
    gateway = gateways(workers=2, settings={"latchkey_limit": "user=3 victim=oldest"})
    gateway.start()
    gateway.user("alice")
    clients, lock = [], threading.Lock()

    def one():
        client, answer = log_in(gateway)
        with lock:
            clients.append((client, answer))

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [client for client, answer in clients if answer.status == 200]
    assert len(made) >= 3
    assert sum(is_in(client) for client in made) == 3
