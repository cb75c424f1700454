# SPDX-License-Identifier: Apache-2.0
"""What is good once, on three nodes: signed requests nowhere a second time, DPoP proofs not on the same node."""
import concurrent.futures
import json

import servers
from gateway import PASSWORD
from proofs import Key, signed

HOST = "api.example"
LOCATIONS = """        location /signed/ { latchkey required signature; proxy_pass {app}; }
        location /bound/ { latchkey required bound; proxy_pass {app}; }"""


def new_key(cluster):
    return json.loads(cluster.run("api-key", "new", "alice", "--json"))["key"]


def ask(cluster, node, field, path="/signed/x", **headers):
    return cluster.client(node).ask("GET", path, headers={"Authorization": field, "Host": HOST, **headers})


def bound_login(client, key):
    answer = client.ask("POST", "/auth/login", {"username": "alice", "password": PASSWORD, "credential": "jwt"},
                        headers={"Host": HOST, "DPoP": key.proof("POST", f"http://{HOST}/auth/login")})
    assert answer.status == 200, answer.body
    return answer.json()


def once_on_all_nodes(cluster, key):
    field = signed(key, "GET", HOST, "/signed/x")
    assert ask(cluster, 0, field).status == 200
    for node in (1, 2, 0):
        answer = ask(cluster, node, field)
        assert (answer.status, answer.json()["reason"]) == (401, "replayed")
    # on all three at the same moment, again and again
    for _ in range(8):
        field = signed(key, "GET", HOST, "/signed/x")
        with concurrent.futures.ThreadPoolExecutor(9) as pool:
            answers = list(pool.map(lambda i, f=field: ask(cluster, i % 3, f).status, range(9)))
        assert sorted(answers) == [200] + [401] * 8
    # each on another node is fine
    assert [ask(cluster, i % 3, signed(key, "GET", HOST, "/signed/x")).status for i in range(9)] == [200] * 9


def bound_on_all_nodes(cluster, client):
    key = Key("EdDSA")
    pair = bound_login(client, key)
    token = pair["token"]
    for node in range(3):
        proof = key.proof("GET", f"http://{HOST}/bound/x", token)
        assert ask(cluster, node, f"DPoP {token}", "/bound/x", DPoP=proof).status == 200
        assert ask(cluster, node, f"DPoP {token}", "/bound/x", DPoP=proof).json()["reason"] == "replayed"
    for node in range(3):
        answer = cluster.client(node).ask("POST", "/auth/refresh", {"refresh_token": pair["refresh_token"]},
                                          headers={"Host": HOST, "DPoP": key.proof("POST", f"http://{HOST}/auth/refresh")})
        pair = answer.json()
        assert pair["token_type"] == "DPoP"


def test_what_is_good_once_is_good_once_on_three_nodes(server, cluster_on):
    cluster = cluster_on(server, locations=LOCATIONS)
    client = cluster.client()
    client.register("alice")
    once_on_all_nodes(cluster, new_key(cluster))
    bound_on_all_nodes(cluster, client)


def test_signed_request_is_not_let_in_while_the_store_is_away(cluster_on):
    with servers.Redis() as own:
        cluster = cluster_on(own.url, nodes=1, locations=LOCATIONS)
        cluster.client().register("alice")
        key = new_key(cluster)
        assert ask(cluster, 0, signed(key, "GET", HOST, "/signed/x")).status == 200
        own.stop()
        assert ask(cluster, 0, signed(key, "GET", HOST, "/signed/x")).status == 503
