# SPDX-License-Identifier: Apache-2.0
"""Tokens that clients were given for a user's, on three nodes: they end with his session, wherever and however it ends."""
import base64
import json
import time

from proofs import Key

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
HOST = "shop.example"
LOCATIONS = "        location /api/ { latchkey required; proxy_pass {app}; }"


class Shop:
    """A client of a cluster."""

    def __init__(self, cluster):
        self.cluster = cluster
        words = ("--scope", "orders.read", "--grants", "client_credentials,exchange,introspect")
        made = json.loads(cluster.run("client", "add", f"shop{time.time_ns()}", *words, "--json"))
        pair = f"{made['client_id']}:{made['client_secret']}"
        self.headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode(), "Host": HOST}

    def call(self, node, path, form, **headers):
        answer = self.cluster.client(node).ask("POST", path, form=form, headers={**self.headers, **headers})
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json()

    def own(self, node):
        return self.call(node, "/oauth2/token", {"grant_type": "client_credentials"})["access_token"]

    def exchange(self, node, subject, key=None, **more):
        proof = {"DPoP": key.proof("POST", f"http://{HOST}/oauth2/token")} if key else {}
        return self.call(node, "/oauth2/token", {"grant_type": EXCHANGE, "subject_token": subject,
                                                 "subject_token_type": ACCESS, **more}, **proof)["access_token"]

    def is_active(self, node, token):
        return self.call(node, "/oauth2/introspect", {"token": token})["active"]


def use(cluster, node, token, key=None):
    headers = {"Authorization": f"{'DPoP' if key else 'Bearer'} {token}", "Host": HOST}
    if key:
        headers["DPoP"] = key.proof("GET", f"http://{HOST}/api/x", token)
    answer = cluster.client(node).get("/api/x", headers=headers)
    assert answer.status in (200, 401), (answer.status, answer.body)
    return answer.status == 200


def is_over_everywhere(cluster, shop, children):
    """Within the time that word of it takes to the other nodes."""
    until = time.monotonic() + 30
    while any(use(cluster, node, token, key) or shop.is_active(node, token)
              for token, key in children for node in range(3)):
        assert time.monotonic() < until, "a child goes on after its parent"
        time.sleep(0.05)


def log_out(cluster, pair, node):
    assert cluster.client(node).post("/auth/logout", {}, bearer=pair["token"]).status == 204


def kick_out(cluster, pair, node):
    cluster.run("session", "revoke", pair["session"]["public_id"], node=node)


def put_out(cluster, pair, node):
    cluster.run("user", "disable", "alice", node=node)
    cluster.run("user", "enable", "alice", node=node)


def test_children_end_with_the_session_of_their_parent_on_every_node(server, cluster_on):
    cluster = cluster_on(server, locations=LOCATIONS)
    cluster.client().register("alice")
    shop, key = Shop(cluster), Key("EdDSA")
    for turn, (credential, end) in enumerate((("session", log_out), ("jwt", kick_out), ("session", put_out))):
        first, second, third = ((turn + i) % 3 for i in range(3))
        more = {"carrier": "header"} if credential == "session" else {}
        pair = cluster.client(first).login("alice", credential=credential, **more)
        other = cluster.client(first).login("alice", credential=credential, **more)
        child = shop.exchange(second, pair["token"])
        grandchild = shop.exchange(third, child, actor_token=shop.own(first), actor_token_type=ACCESS)
        bound = shop.exchange(first, pair["token"], key)
        children = [(child, None), (grandchild, None), (bound, key)]
        cousin = shop.exchange(second, other["token"])
        for token, its_key in [*children, (cousin, None)]:
            for node in range(3):
                assert use(cluster, node, token, its_key) and shop.is_active(node, token)
        end(cluster, pair, third)
        is_over_everywhere(cluster, shop, children)
        if end is not put_out:  # that ends every session of his
            assert all(use(cluster, node, cousin) for node in range(3))
