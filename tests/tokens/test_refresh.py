# SPDX-License-Identifier: Apache-2.0
"""Refresh on three nodes: one successor for whoever comes at the same time, and an end for whoever comes too late."""
import base64
import concurrent.futures
import json
import os
import threading
import time

import pytest

from gateway import PASSWORD, until

ROUNDS = int(os.environ.get("LATCHKEY_REFRESH_ROUNDS", "10"))
CLIENTS = int(os.environ.get("LATCHKEY_REFRESH_CLIENTS", "100"))


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def refused(answer, reason):
    assert answer.status == 401, (answer.status, answer.body)
    problem = answer.json()
    assert problem["reason"] == reason and problem["detail"], problem
    assert answer.headers["Cache-Control"] == "no-store" and "Bearer" in answer.headers["WWW-Authenticate"]
    return problem


@pytest.fixture
def made(server, cluster_on):
    cluster = cluster_on(server, settings={"latchkey_refresh": "ttl=1h idle=10m grace=1m"})
    client = cluster.client()
    client.register("alice")
    return cluster, client


def test_login_is_refreshed_on_every_node_and_ends_where_a_used_token_comes_again(made):
    cluster, client = made
    pair = client.login("alice", node=0)
    assert pair["token_type"] == "Bearer" and 890 <= pair["expires_in"] <= 900
    assert pair["session"]["expires"] - pair["session"]["created"] == 3600
    assert pair["session"]["idle_expires"] - pair["session"]["created"] == 600
    first, tokens = pair["refresh_token"], [pair["token"]]
    last = first
    for i in range(6):
        answer = client.refresh(last, node=i % 3)
        assert answer.status == 200, answer.body
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.json()
        assert set(body) == {"user", "session", "token", "token_type", "expires_in", "refresh_token"}
        assert body["session"]["public_id"] == pair["session"]["public_id"] and body["user"]["name"] == "alice"
        again = client.refresh(last, node=(i + 1) % 3).json()
        assert again["refresh_token"] == body["refresh_token"] != last
        assert claims(again["token"])["jti"] != claims(body["token"])["jti"]
        last = body["refresh_token"]
        tokens.append(body["token"])
    assert all(client.is_known(token, node=i) for token in tokens for i in range(3))
    # The first was used, and its successor too.
    assert "stolen" in refused(client.refresh(first, node=1), "revoked")["detail"]
    for i in range(3):
        assert "logout" in refused(client.refresh(last, node=i), "revoked")["detail"]
        refused(client.refresh(first, node=i), "revoked")
        until(lambda: not any(client.is_known(token, node=i) for token in tokens), 10)
    assert cluster.counted('latchkey_refreshes_total{result="ok"}') == 6
    assert cluster.counted('latchkey_refreshes_total{result="repeated"}') == 6
    assert cluster.counted('latchkey_refreshes_total{result="reused"}') == 1


def test_many_who_refresh_one_token_at_the_same_time_get_one_successor(made, row, server):
    cluster, client = made
    token = client.login("alice")["refresh_token"]
    clients = [cluster.client(i % 3) for i in range(CLIENTS)]
    gate = threading.Barrier(CLIENTS)

    def work(one, text):
        gate.wait(60)
        answer = one.refresh(text)
        return answer.status, answer.json()["refresh_token"] if answer.status == 200 else answer.body

    asked, begun = 0, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(ROUNDS):
            given = list(pool.map(work, clients, [token] * CLIENTS))
            asked += len(given)
            assert {status for status, _ in given} == {200}, given
            assert len({text for _, text in given}) == 1 and given[0][1] != token
            token = given[0][1]
    row((f"one successor for {CLIENTS} clients on 3 nodes, in turn", server.name,
         f"{ROUNDS} rounds, {asked} answers, {time.monotonic() - begun:.1f} s"))
    assert cluster.counted('latchkey_refreshes_total{result="ok"}') == ROUNDS
    assert cluster.counted('latchkey_refreshes_total{result="repeated"}') == asked - ROUNDS
