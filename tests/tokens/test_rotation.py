# SPDX-License-Identifier: Apache-2.0
"""Keys change on three nodes that are at work: nobody is logged out; and a key that is burned proves nothing anywhere."""
import base64
import json
import shutil
import threading
import time

import pytest

from gateway import PASSWORD, until

PUBLISH = 3  # seconds


class Load:
    """Threads that log in on one node and come back to the others with every credential they hold, all the time."""

    def __init__(self, cluster, threads=3):
        self.cluster, self.stopping = cluster, threading.Event()
        self.refusals, self.checks, self.held = [], 0, [[] for _ in range(threads)]
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        client, held = self.cluster.client(), self.held[number]
        try:
            while not self.stopping.is_set():
                held.extend(credentials(client))
                for kind, kid, headers in held[-12:] + held[:4]:
                    for node in range(len(self.cluster.nodes)):
                        answer = client.get("/auth/session", headers=headers, node=node)
                        self.checks += 1
                        if answer.status != 200:
                            self.refusals.append((time.time(), kind, kid, node, answer.status, answer.body[:200]))
                time.sleep(0.1)
        except BaseException as error:  # a thread that dies says nothing by itself
            self.refusals.append((time.time(), "thread", repr(error)))

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        return [one for held in self.held for one in held]


def kid_of(token, kind):
    if kind == "sealed":
        return token.split(".")[1]
    if kind == "token":
        return token.split(".")[-2]
    if kind == "jwt":
        head = token.split(".")[0]
        return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    return None


def credentials(client):
    """A JWT, a simple token, a session id and a sealed session of a fresh login each: (kind, kid, header fields)."""
    made = []
    for kind, carrier in (("jwt", "header"), ("token", "header"), ("session", "header"), ("sealed", "cookie")):
        answer = client.post("/auth/login", {"username": "alice", "password": PASSWORD, "credential": kind, "carrier": carrier})
        assert answer.status == 200, (kind, answer.status, answer.body)
        if carrier == "cookie":
            text = answer.headers["Set-Cookie"].split(";")[0].split("=", 1)
            made.append((kind, kid_of(text[1], kind), {"Cookie": "=".join(text)}))
        else:
            text = answer.json()["token"]
            made.append((kind, kid_of(text, kind), {"Authorization": f"Bearer {text}"}))
    return made


@pytest.fixture
def start(cluster_on, tmp_path):
    """Three nodes with one key directory, and alice. MORE: of latchkey_keys."""
    def begin(server, more="", alg="EdDSA"):
        cluster = cluster_on(server, settings={
            "latchkey_jwt": f"alg={alg} ttl=5m", "latchkey_password": "memory=7168 passes=5",
            "latchkey_throttle": "account=100000/15m address=100000/15m",
            "latchkey_keys": f"{tmp_path}/c0/keys publish={PUBLISH}s{more}"})
        cluster.client().register("alice")
        return cluster

    return begin


def signing(cluster, alg, node=0):
    keys = json.loads(cluster.run("key", "list", "--json", node=node))["keys"]
    return next(key["kid"] for key in keys if key["alg"] == alg and key["state"] == "active")


@pytest.mark.parametrize(("store", "alg"), [("redis", "EdDSA"), ("postgres", "HS256")])
def test_rotation_under_load_refuses_nobody(request, start, row, store, alg):
    server = request.getfixturevalue(store)
    cluster = start(server, alg=alg)
    before = {name: signing(cluster, name) for name in ("EdDSA", "HS256")}
    load = Load(cluster)
    until(lambda: load.checks > 60, 30)
    cluster.run("key", "rotate")
    until(lambda: signing(cluster, "EdDSA") != before["EdDSA"] and signing(cluster, "HS256") != before["HS256"], 30)
    checks = load.checks
    until(lambda: load.checks > checks + 60, 30)
    held = load.stop()
    assert not load.refusals, load.refusals[:5]
    kids = {(kind, kid) for kind, kid, _ in held if kid}
    for kind in ("jwt", "token", "sealed"):
        assert len({kid for k, kid in kids if k == kind}) == 2, kids
    row((f"rotation under load, {alg}", type(server).__name__, f"{load.checks} checks, 0 refused"))


def test_directories_that_are_copied_late_refuse_nobody(redis, start, row):
    cluster = start(redis)
    for i in (1, 2):
        own = cluster.folder / f"keys{i}"
        shutil.copytree(cluster.keys, own)
        cluster.set(i, {"latchkey_keys": f"{own} publish={PUBLISH}s"})
    before = signing(cluster, "EdDSA")
    load = Load(cluster)
    until(lambda: load.checks > 40, 30)
    cluster.run("key", "rotate")
    for i in (1, 2):
        time.sleep(1)  # late, and within the time to publish
        for path in cluster.keys.glob("*.jwk"):
            shutil.copy(path, cluster.folder / f"keys{i}" / path.name)
    until(lambda: all(signing(cluster, "EdDSA", node=i) != before for i in range(3)), 30)
    checks = load.checks
    until(lambda: load.checks > checks + 40, 30)
    load.stop()
    assert not load.refusals, load.refusals[:5]
    row(("rotation, directories copied late", "Redis", f"{load.checks} checks, 0 refused"))


def test_keys_rotate_by_age_once_for_all_nodes(server, start, row):
    cluster = start(server, more=f" rotate={2 * PUBLISH}s")
    load = Load(cluster, threads=2)
    first = signing(cluster, "EdDSA")
    until(lambda: signing(cluster, "EdDSA") != first, 60)
    load.stop()
    assert not load.refusals, load.refusals[:5]
    keys = json.loads(cluster.run("key", "list", "--json"))["keys"]
    made = [key for key in keys if key["alg"] == "EdDSA"]
    assert len(made) <= 3, made  # one at a time, whichever node made it
    assert cluster.counted("latchkey_keys_made_total") >= 4
    assert cluster.counted("latchkey_key_uses_total") > 0
    row(("rotation by age", type(server).__name__, f"{load.checks} checks, 0 refused"))


def test_burned_key_proves_nothing_on_any_node_and_nothing_else_is_refused(server, start, row):
    cluster = start(server)
    client = cluster.client()
    held = credentials(client) + credentials(client)
    assert all(client.get("/auth/session", headers=fields, node=i).status == 200 for _, _, fields in held for i in range(3))
    burned = signing(cluster, "HS256")
    load = Load(cluster, threads=2)
    until(lambda: load.checks > 40, 30)
    answer = json.loads(cluster.run("key", "burn", burned, "--yes", "--json"))
    assert answer["replacement"] and answer["replacement"] != burned

    def refused(i):
        return {kind for kind, kid, fields in held if client.get("/auth/session", headers=fields, node=i).status == 401}

    until(lambda: all(refused(i) == {"token", "sealed"} for i in range(3)), 10)
    for _, kid, fields in held:
        expected = 401 if kid == burned else 200
        assert [client.get("/auth/session", headers=fields, node=i).status for i in range(3)] == [expected] * 3
    checks = load.checks
    until(lambda: load.checks > checks + 40, 30)
    load.stop()
    wrongly = [one for one in load.refusals if one[2] != burned]
    assert not wrongly and load.refusals, wrongly[:5]
    fresh = credentials(client)
    assert {kid for kind, kid, _ in fresh if kind in ("token", "sealed")} == {answer["replacement"]}
    assert all(client.get("/auth/session", headers=fields, node=i).status == 200 for _, _, fields in fresh for i in range(3))
    # A JWT that was proved and remembered before falls with its key, too.
    cluster.run("key", "burn", signing(cluster, "EdDSA"), "--yes")
    until(lambda: all("jwt" in refused(i) for i in range(3)), 10)
    row(("burn", type(server).__name__, "refused on 3 nodes"))


def test_jwk_set_is_kept_no_longer_than_a_new_key_is_shown(redis, start):
    cluster = start(redis)
    answer = cluster.client().get("/.well-known/jwks.json")
    cached = answer.headers["Cache-Control"]
    assert int(cached.split("max-age=")[1]) <= PUBLISH
    shown = {key["kid"] for key in answer.json()["keys"]}
    new = json.loads(cluster.run("key", "new", "EdDSA", "--json"))["keys"][0]["kid"]
    assert new not in shown
    for i in range(3):
        until(lambda node=i: new in {key["kid"] for key in cluster.client(node).get("/.well-known/jwks.json").json()["keys"]}, 10)


def test_broken_key_file_is_told_once_and_changes_nothing(redis, start):
    cluster = start(redis)
    client = cluster.client()
    token = client.login("alice")["token"]
    path = cluster.keys / f"{signing(cluster, 'EdDSA')}.jwk"
    text = path.read_text()
    path.write_text("{")
    until(lambda: path.name in cluster.nodes[0].log(), 15)
    assert all(client.is_known(token, node=i) for i in range(3))
    assert cluster.metrics(0)['latchkey_key_reads_total{result="failed"}'] > 0
    path.write_text(text)
    until(lambda: "keys are read again" in cluster.nodes[0].log() or cluster.metrics(0)['latchkey_key_reads_total{result="failed"}'] > 0, 15)
    assert cluster.nodes[0].log().count("going on with those that were read before") <= 2
    assert all(client.is_known(token, node=i) for i in range(3))
