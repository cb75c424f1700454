# SPDX-License-Identifier: Apache-2.0
"""How long a login can be refreshed: neither new keys nor nodes that start again end it, or lengthen it."""
import json
import time

from families import Families
from gateway import until


def signing(cluster, alg="EdDSA"):
    keys = json.loads(cluster.run("key", "list", "--json"))["keys"]
    return next(key["kid"] for key in keys if key["alg"] == alg and key["state"] == "active")


def test_keys_change_while_logins_are_refreshed_and_nobody_is_refused(redis, cluster_on, tmp_path, row):
    """The token beside each refresh token is shown to every node at once: the keys that sign it are known there."""
    cluster = cluster_on(redis, settings={"latchkey_refresh": "ttl=1h idle=10m grace=1m",
                                           "latchkey_keys": f"{tmp_path}/c0/keys publish=2s"})
    cluster.client().register("alice")
    families = Families(cluster, busy=4, away=2, checks=True)
    until(lambda: families.steps > 20, 30)
    before = signing(cluster)
    cluster.run("key", "rotate")
    until(lambda: signing(cluster) != before or families.wrong, 30)
    for node in range(3):
        cluster.reload(node)
    steps = families.steps
    until(lambda: families.steps > steps + 20 or families.wrong, 30)
    families.stop()
    families.assert_well()
    row(("keys rotated while logins are refreshed", redis.name,
         f"{families.steps} steps, {families.checked} tokens shown, 0 refused"))
    families.assert_used_ones_end()


def test_absolute_life_is_that_of_the_login_over_restarts_of_all_nodes_and_new_keys(redis, cluster_on, tmp_path):
    cluster = cluster_on(redis, settings={"latchkey_refresh": "ttl=10s idle=10s grace=5s",
                                          "latchkey_keys": f"{tmp_path}/c0/keys publish=1s"})
    client = cluster.client()
    client.register("alice")
    pair = client.login("alice")
    token, ends = pair["refresh_token"], pair["session"]["expires"]
    assert ends - pair["session"]["created"] == 10
    cluster.run("key", "rotate")
    for node in range(3):
        cluster.kill(node)
    for node in range(3):
        cluster.start(node)
    steps = 0
    while True:
        asked = time.time()
        answer = client.refresh(token)
        if answer.status != 200:
            break
        body = answer.json()
        assert asked < ends + 1 and body["session"]["expires"] == ends and body["expires_in"] <= ends - asked + 2, body
        token, steps = body["refresh_token"], steps + 1
        time.sleep(0.2)
    assert time.time() > ends - 1 and steps > 0, (answer.body, steps)
    for node in range(3):
        answer = client.refresh(token, node=node)
        assert answer.status == 401 and answer.json()["reason"] == "expired", answer.body


def test_node_that_was_not_there_gives_nobody_more_time(redis, cluster_on):
    """What a node did not hear because it was down is not time in which the store was away."""
    cluster = cluster_on(redis, nodes=2, settings={"latchkey_refresh": "ttl=1h idle=10m grace=1s"})
    client = cluster.client(0)
    client.register("alice")
    token = client.login("alice")["refresh_token"]
    cluster.kill(1)
    assert client.refresh(token).status == 200
    time.sleep(6)
    cluster.start(1)
    answer = client.refresh(token, node=1)
    assert answer.status == 401 and answer.json()["reason"] == "revoked", answer.body
