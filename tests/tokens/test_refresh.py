# SPDX-License-Identifier: Apache-2.0
"""Refresh on three nodes: one successor for whoever comes at the same time, and an end for whoever comes too late."""
import base64
import concurrent.futures
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

import servers
from cluster import Cluster
from conftest import BUILD
from gateway import PASSWORD, until

SANITIZED = Path(os.environ.get("LATCHKEY_SANITIZED", BUILD))
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


@pytest.fixture(scope="module", params=["redis", "postgres"])
def made(request, tmp_path_factory):
    """One cluster for all tests of each store: every test has logins of its own."""
    server = request.getfixturevalue(request.param)
    cluster = Cluster(tmp_path_factory.mktemp("refresh"), server.url, accounts=server.url if request.param == "postgres" else None,
                      settings={"latchkey_refresh": "ttl=1h idle=10m grace=1m"})
    try:
        cluster.client().register("alice")
        yield cluster, cluster.client()
    finally:
        cluster.close()


def counted(cluster):
    return {result: int(cluster.counted(f'latchkey_refreshes_total{{result="{result}"}}')) for result in ("ok", "repeated", "reused")}


def more(cluster, before):
    return {result: count - before[result] for result, count in counted(cluster).items()}


def test_login_is_refreshed_on_every_node_and_ends_where_a_used_token_comes_again(made):
    cluster, client = made
    before = counted(cluster)
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
    assert more(cluster, before) == {"ok": 6, "repeated": 6, "reused": 1}


def test_many_who_refresh_one_token_at_the_same_time_get_one_successor(made, row, request):
    cluster, client = made
    before = counted(cluster)
    token = client.login("alice")["refresh_token"]
    clients = [cluster.client(i % 3) for i in range(CLIENTS)]
    gate = threading.Barrier(CLIENTS)

    waited = []  # a store that does not answer a busy machine in time: asked again, as a program does

    def work(one, text):
        gate.wait(60)
        answer = one.refresh(text)
        while answer.status == 503 and answer.headers["Retry-After"] and len(waited) < 1000:
            waited.append(answer)
            time.sleep(0.1)
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
    row((f"one successor for {CLIENTS} clients on 3 nodes, in turn", request.node.callspec.params["made"],
         f"{ROUNDS} rounds, {asked} answers, {len(waited)} asked again, {time.monotonic() - begun:.1f} s"))
    figures = more(cluster, before)
    assert figures["ok"] + figures["repeated"] == asked and figures["reused"] == 0, figures
    assert figures["ok"] == ROUNDS or waited, figures  # a change without an answer may be found by all


def test_many_at_once_without_http_get_one_successor(server, row):
    """The whole of it: LATCHKEY_RACE_ROUNDS=1000."""
    rounds = os.environ.get("LATCHKEY_RACE_ROUNDS", "50")
    done = subprocess.run([SANITIZED / "tests/tokens/refresh_race", server.url, rounds, "100"], capture_output=True, text=True,
                          check=False, timeout=600, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 0, done
    row(("one successor for 100 threads in 3 processes, in turn", server.name, done.stdout.splitlines()[-1]))


def test_answer_that_was_lost_with_its_node_is_given_by_another(made):
    cluster, client = made
    pair = client.login("alice", node=0)
    first = client.refresh(pair["refresh_token"], node=0).json()
    cluster.kill(0)
    again = client.refresh(pair["refresh_token"], node=1).json()
    assert again["refresh_token"] == first["refresh_token"]
    cluster.start(0)
    assert client.refresh(pair["refresh_token"], node=0).json()["refresh_token"] == first["refresh_token"]
    assert client.refresh(first["refresh_token"], node=0).status == 200


def test_nodes_killed_in_the_middle_lose_nobody(redis, cluster_on):
    """One client after the other refreshes, repeating what was not answered, while nodes die and come back."""
    cluster = cluster_on(redis, settings={"latchkey_refresh": "ttl=1h idle=10m grace=1m"})
    client = cluster.client()
    client.register("alice")
    tokens = [client.login("alice")["refresh_token"] for _ in range(6)]
    steps, failed, stop = [0] * 6, [], threading.Event()

    def work(i):
        own = cluster.client()
        while not stop.is_set():
            for _ in range(200):
                try:
                    answer = own.refresh(tokens[i])
                except OSError:
                    answer = None
                if answer is not None and answer.status not in (502, 503):
                    break
                time.sleep(0.05)
            if answer is None or answer.status != 200:
                failed.append((i, answer and answer.body))
                return
            tokens[i] = answer.json()["refresh_token"]
            steps[i] += 1

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(6)]
    for thread in threads:
        thread.start()
    for node in range(3):
        time.sleep(0.7)
        cluster.kill(node)
        time.sleep(0.3)
        cluster.start(node)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not failed and min(steps) > 3, (failed, steps)


def test_who_is_barred_gets_no_token_and_is_told_so(made):
    cluster, client = made
    client.register("robin")
    pair = client.login("robin")
    cluster.run("user", "disable", "robin")
    refused(client.refresh(pair["refresh_token"]), "banned")
    until(lambda: not client.is_known(pair["token"], node=2), 10)
    cluster.run("user", "enable", "robin")
    refused(client.refresh(pair["refresh_token"]), "banned")
    assert client.refresh(client.login("robin")["refresh_token"]).status == 200


def test_what_no_token_is_touches_no_store(made):
    cluster, client = made
    good = client.login("alice")["refresh_token"]
    head, mac = good.rsplit(".", 1)
    family = good.split(".")[1]
    before = cluster.counted("latchkey_session_lookups_total")
    for text in ("x", "r1", good[:-1], good + ".", good + "=", "\u0000", "A" * 9000):
        refused(client.refresh(text), "malformed")
    for text in (head + "." + "A" * 43, f"r1.{family}.1.2.{'A' * 22}.{mac}"):
        refused(client.refresh(text), "bad_signature")
    assert cluster.counted("latchkey_session_lookups_total") == before
    for body in ({}, {"refresh_token": ""}, {"refresh_token": 1}, {"refresh_token": [good]}):
        assert client.post("/auth/refresh", body).status == 422
    assert client.get("/auth/refresh").status == 405
    assert client.post("/auth/refresh", "{").status == 400
    assert client.get("/auth/refresh?refresh_token=" + good).status == 405
    answer = client.post("/auth/refresh", form={"refresh_token": good})
    assert answer.status == 200 and answer.json()["refresh_token"] != good


def test_refresh_token_is_no_credential_at_the_gate(made):
    cluster, client = made
    good = client.login("alice")["refresh_token"]
    assert client.get("/auth/sessions", bearer=good).status == 401
    assert dict(client.get("/", bearer=good).json()["headers"])["Remote-User"] == ""
    assert client.get("/auth/session", headers={"Cookie": "latchkey=" + good}).status == 401


def test_state_of_a_family_is_seen_and_changed_by_nobody(made):
    cluster, client = made
    pair = client.login("alice")
    token = pair["token"]
    patch = client.ask("PATCH", "/auth/session/data", {"cart": [1]}, bearer=token)
    assert patch.status == 200 and patch.json() == {"cart": [1]}
    for value in (None, "x", {"a": 1}):
        answer = client.ask("PATCH", "/auth/session/data", {"latchkey.refresh": value}, bearer=token)
        assert answer.status == 422 and "own" in answer.json()["detail"]
    assert client.get("/auth/session/data", bearer=token).json() == {"cart": [1]}
    assert client.refresh(pair["refresh_token"]).status == 200
    assert client.get("/auth/session/data", bearer=token).json() == {"cart": [1]}


def test_login_is_one_session_in_the_list_however_often_it_is_refreshed(made):
    cluster, client = made
    client.register("carol")
    pair = client.login("carol")
    for _ in range(5):
        pair = client.refresh(pair["refresh_token"]).json()
    listed = client.get("/auth/sessions", bearer=pair["token"]).json()["sessions"]
    mine = [one for one in listed if one["public_id"] == pair["session"]["public_id"]]
    assert len(mine) == 1 and mine[0]["credential"] == "token" and mine[0]["expires"] == pair["session"]["expires"]
    other = client.login("carol")
    assert client.ask("DELETE", "/auth/sessions/" + pair["session"]["public_id"], bearer=other["token"]).status == 204
    refused(client.refresh(pair["refresh_token"]), "revoked")
    assert client.refresh(other["refresh_token"]).status == 200


def test_password_change_ends_the_other_logins(made):
    cluster, client = made
    name = "dave" + os.urandom(4).hex()
    client.register(name)
    mine, other = client.login(name), client.login(name)
    answer = client.post("/auth/password", {"current": PASSWORD, "new": PASSWORD + " staple"}, bearer=mine["token"])
    assert answer.status == 200, answer.body
    pair = client.refresh(answer.json()["refresh_token"]).json()
    refused(client.refresh(other["refresh_token"]), "revoked")
    assert client.post("/auth/logout?everywhere=1", bearer=pair["token"]).status == 204
    refused(client.refresh(pair["refresh_token"]), "revoked")
    refused(client.refresh(mine["refresh_token"]), "replaced")


def test_where_refresh_is_off_there_is_none(redis, cluster_on):
    cluster = cluster_on(redis, nodes=1, settings={"latchkey_refresh": "off"})
    client = cluster.client()
    client.register("alice")
    assert "refresh_token" not in client.login("alice")
    assert "refresh_token" not in client.login("alice", credential="token")


@pytest.mark.parametrize("way,store", [("sealed_cookie", "sqlite:{shared}"), ("token", "sqlite:{shared}"), (None, "lmdb:{dir}/own")])
def test_other_ways_and_stores(way, store, cluster_on, tmp_path):
    cluster = cluster_on(store.replace("{shared}", str(tmp_path / "shared.db")), nodes=1, share=way)
    client = cluster.client()
    client.register("alice")
    pair = client.login("alice", credential="token")
    body = client.refresh(pair["refresh_token"]).json()
    assert body["refresh_token"] != pair["refresh_token"] and client.is_known(body["token"])
    assert client.refresh(pair["refresh_token"]).json()["refresh_token"] == body["refresh_token"]
    assert client.refresh(body["refresh_token"]).status == 200
    refused(client.refresh(pair["refresh_token"]), "revoked")
    assert not client.is_known(body["token"])
    cookie = client.post("/auth/login", {"username": "alice", "password": PASSWORD}).json()
    assert "refresh_token" not in cookie and "token" not in cookie


def test_store_that_is_away_is_503_and_uses_nothing_up(cluster_on):
    with servers.Redis() as own:
        cluster = cluster_on(own, nodes=1)
        client = cluster.client()
        client.register("alice")
        pair = client.login("alice")
        own.stop()
        answer = client.refresh(pair["refresh_token"])
        assert answer.status == 503 and answer.headers["Retry-After"]
        own.start()
        until(lambda: client.refresh(pair["refresh_token"]).status == 200, 15)


def test_family_goes_along_when_a_store_is_copied(cluster_on, tmp_path):
    cluster = cluster_on("lmdb:{dir}/own", nodes=1)
    client = cluster.client()
    client.register("alice")
    pair = client.login("alice")
    body = client.refresh(pair["refresh_token"]).json()
    cluster.run("store", "copy", f"lmdb:{cluster.folder}/n0/own", f"sqlite:{tmp_path}/copy.db")
    cluster.set(0, {"latchkey_store": f"sqlite:{tmp_path}/copy.db"})
    assert client.refresh(pair["refresh_token"]).json()["refresh_token"] == body["refresh_token"]
    assert client.refresh(body["refresh_token"]).status == 200
    refused(client.refresh(pair["refresh_token"]), "revoked")
