# SPDX-License-Identifier: Apache-2.0
"""What the other tests here stand on: a token that one node minted is good on every node, and ended on every node."""
from gateway import until


def test_token_of_one_node_is_good_on_all_and_ends_on_all(server, cluster_on):
    cluster = cluster_on(server, settings={"latchkey_jwt": "ttl=5m"},
                         locations="location /narrow/ { latchkey required scope=orders.read; proxy_pass {app}; }")
    client = cluster.client()
    client.register("alice")
    answer = client.login("alice", node=0)
    token = answer["token"]
    assert 290 <= answer["expires_in"] <= 300 and client.get("/narrow/", bearer=token, node=2).status == 403
    seen = [client.get("/", bearer=token, node=i).json()["headers"] for i in range(3)]
    assert [dict(headers)["Remote-User"] for headers in seen] == ["alice"] * 3
    assert client.post("/auth/logout", bearer=token, node=1).status == 204
    until(lambda: not any(client.is_known(token, node=i) for i in range(3)), 5)


def test_nodes_that_were_killed_come_back_with_what_they_knew(redis, cluster_on):
    cluster = cluster_on(redis)
    client = cluster.client()
    client.register("alice")
    token = client.login("alice")["token"]
    cluster.kill(2)
    assert client.is_known(token, node=0)
    cluster.start(2)
    assert client.is_known(token, node=2)
    assert "EdDSA" in cluster.run("key", "list", node=2)
    assert cluster.metrics(2)
