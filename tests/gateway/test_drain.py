# SPDX-License-Identifier: Apache-2.0
"""latchkey node drain: three nodes with a store each, visitors with carts who go on shopping, and a node taken away."""
import json
import os
import re
import subprocess
import threading

import pytest

from gateway_lab import COMMAND, wait_until
from test_balancers import NAMES, Site, Visitor, answers


class Shoppers:
    """Visitors in threads of their own: each puts one thing after the other into his cart and looks whether all are there.

    A PATCH that met a connection which a reload was just closing is answered 502, as nginx sends none twice: such a one was
    done or was not, and nothing else may have happened to the visitor.
    """

    def __init__(self, visitors, threads=4):
        self.visitors = visitors
        self.counts = [0] * len(visitors)
        self.nodes = [node for *_, node in visitors]
        self.wrong = []
        self.unanswered = 0
        self.rounds = 0
        self.stopped = False
        self.threads = [threading.Thread(target=self.shop, args=(range(i, len(visitors), threads),)) for i in range(threads)]

    def once(self, i):
        browser, name, _ = self.visitors[i]
        want = self.counts[i] + 1
        put = browser.request("PATCH", "/auth/session/data", json_body={"cart": want})
        may = [want] if put.status == 200 else [want, self.counts[i]]
        seen = browser.get("/auth/session/data")
        node, user = browser.who()
        self.nodes[i] = node
        self.unanswered += put.status == 502
        if put.status not in (200, 502) or seen.status != 200 or seen.json.get("cart", 0) not in may or user != name:
            self.wrong.append((name, node, user, want, put, seen))
        self.counts[i] = seen.json.get("cart", 0) if seen.status == 200 else want

    def shop(self, mine):
        while not self.stopped:
            for i in mine:
                try:
                    self.once(i)
                except Exception as e:  # whatever it is, somebody noticed
                    self.wrong.append((self.visitors[i][1], repr(e)))
                    return
            self.rounds += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        for thread in self.threads:
            thread.join()


class Shop(Site):
    """The nodes, and latchkey_sticky with a state file before them."""

    def __init__(self, gateways, folder, kind="lmdb"):
        super().__init__(gateways, folder, kind=kind)
        self.kind = kind
        self.state = folder / "nodes.state"
        self.state.write_text("".join(f"{name} 127.0.0.1:{port} up\n" for name, port in zip(NAMES, self.ports)))
        lines = " ".join(f"server 127.0.0.1:{port};" for port in self.ports)
        self.balancer = gateways(
            http=f"upstream nodes {{ zone nodes 64k; {lines} latchkey_sticky state={self.state}; keepalive 16; }}",
            settings={"latchkey_keys": f"{folder}/keys"}, server="location /front/ { return 404; }")
        conf = self.balancer.folder / "nginx.conf"
        conf.write_text(re.sub(r"location (/auth/|= /.well-known/jwks.json) \{ latchkey_api; \}", "", conf.read_text()).replace(
            "location /front/ { return 404; }", "location / { proxy_pass http://nodes; proxy_http_version 1.1; "
            "proxy_set_header Connection ''; proxy_set_header Host $http_host; }"))
        self.balancer.start(wait=False)
        wait_until(lambda: answers(self.balancer.port), 30, "the start of the balancer")

    def conf(self, name):
        return self.nodes[name].folder / "latchkey.conf"

    def command(self, *words):
        return subprocess.run([str(COMMAND), *map(str, words)], env=self.balancer.env, capture_output=True, text=True, timeout=240,
                              check=False)

    def drain(self, name, to, *more, state=None):
        return self.command("node", "drain", name, "--to", to, "--conf", self.conf(name), "--to-conf", self.conf(to), "--to-pid",
                            self.nodes[to].folder / "nginx.pid", "--state", state or self.state, "--json", *more)

    def held(self, name):
        run = self.command("store", "stats", "--store", f"{self.kind}:{self.state.parent}/sessions-{name}", "--json")
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)["sessions"]


def shop(gateways, tmp_path, visitors=18, kind="lmdb"):
    made = Shop(gateways, tmp_path, kind)
    people = made.log_in(made.balancer.port, visitors)
    assert {node for *_, node in people} == set(NAMES)
    return made, people


@pytest.mark.parametrize("kind", ["lmdb", "sqlite"])
def test_nobody_is_logged_out_and_no_cart_is_lost_when_a_node_is_drained_and_killed(gateways, tmp_path, kind):
    site, people = shop(gateways, tmp_path, kind=kind)
    before = site.conf("c").read_text()
    with Shoppers(people) as shoppers:
        wait_until(lambda: shoppers.rounds > 4, 60, "the first rounds")
        run = site.drain("b", "c")
        assert run.returncode == 0, run.stderr + run.stdout
        rounds = shoppers.rounds
        site.kill("b")
        wait_until(lambda: shoppers.rounds > rounds + 8 or shoppers.wrong, 60, "rounds without the node")
    assert not shoppers.wrong, shoppers.wrong[:3]
    assert shoppers.unanswered <= 2 * 2 * 16  # two reloads of c, and what two workers of the balancer had kept
    answer = json.loads(run.stdout)
    assert (answer["node"], answer["to"], answer["left"]) == ("b", "c", 0)
    assert site.held("b") == 0
    assert site.conf("c").read_text() == before
    for i, (browser, name, node) in enumerate(people):
        now, user = browser.who()
        assert user == name
        assert now == ("c" if node == "b" else node)
        assert browser.get("/auth/session/data").json == {"cart": shoppers.counts[i]}


def test_node_is_drained_comes_back_and_takes_the_sessions_of_the_other(gateways, tmp_path):
    """The way back, at once: what was ended where it was does not keep it from coming there again."""
    site, people = shop(gateways, tmp_path, 9)
    for browser, *_ in people:
        assert browser.request("PATCH", "/auth/session/data", json_body={"cart": 3}).status == 200
    assert site.drain("b", "c").returncode == 0
    for browser, *_ in people[:5]:
        browser.who()
    assert site.command("node", "undrain", "b", "--state", site.state).returncode == 0
    run = site.drain("c", "b")
    assert run.returncode == 0, run.stderr + run.stdout
    assert site.held("c") == 0
    for browser, name, node in people:
        assert browser.who() == ("a" if node == "a" else "b", name)
        assert browser.get("/auth/session/data").json == {"cart": 3}


def test_logout_after_the_drain_is_no_login_at_the_old_node(gateways, tmp_path):
    site, people = shop(gateways, tmp_path, 6)
    browser, name, _ = next(p for p in people if p[2] == "b")
    old = dict(browser.cookies)
    assert site.drain("b", "c").returncode == 0
    assert browser.post("/auth/logout").status == 204
    thief = Visitor(site.nodes["b"].port)
    thief.cookies = old
    assert thief.who() == ("b", "")


def test_sessions_stay_where_they_are_when_no_balancer_reads_the_file(gateways, tmp_path):
    site, people = shop(gateways, tmp_path, 6)
    other = tmp_path / "another"
    other.write_text(site.state.read_text())
    run = site.drain("b", "c", state=other)
    assert run.returncode == 1
    assert "no balancer on this machine has read" in run.stderr
    for browser, name, node in people:
        assert browser.who() == (node, name)


@pytest.mark.parametrize("what, why", [
    ("same", "the node that is to be drained"), ("nobody", "no node 'x'"), ("share", "latchkey_share affinity"),
    ("keys", "different keys"), ("pid", "names no running nginx"), ("store", "nodes that share a store have none to move")])
def test_what_cannot_be_is_refused_and_changes_nothing(gateways, tmp_path, what, why):
    site = Shop(gateways, tmp_path)
    conf = site.conf("c")
    before, state = conf.read_text(), site.state.read_text()
    to = {"same": "b", "nobody": "x"}.get(what, "c")
    if what == "share":
        conf.write_text(before.replace("latchkey_share affinity;", ""))
    if what == "keys":
        other = tmp_path / "other-keys"
        conf.write_text(before.replace(f"{tmp_path}/keys", str(other)))
        assert site.command("key", "new", "--alg", "HS256", "--conf", conf).returncode == 0
    if what == "store":
        conf.write_text(before.replace(f"lmdb:{tmp_path}/sessions-c", "redis://127.0.0.1:1/0"))
    present = conf.read_text()
    pid = tmp_path / "nginx.pid"
    pid.write_text(f"{os.getpid()}\n" if what == "pid" else (site.nodes["c"].folder / "nginx.pid").read_text())
    run = site.command("node", "drain", "b", "--to", to, "--conf", site.conf("b"), "--to-conf", conf, "--to-pid", pid, "--state",
                       site.state)
    assert run.returncode != 0
    assert why in run.stderr
    assert site.state.read_text() == state
    assert conf.read_text() == present
