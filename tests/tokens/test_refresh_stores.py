# SPDX-License-Identifier: Apache-2.0
"""One successor, whatever the store: three processes with a hundred threads on each that the three can share, on a
copy that is read near the node, between two stores, and while the server that holds the family is killed."""
import contextlib
import os
import subprocess
from pathlib import Path

import pytest

import servers
from conftest import BUILD

RACE = Path(os.environ.get("LATCHKEY_SANITIZED", BUILD)) / "tests/tokens/refresh_race"
ROUNDS = os.environ.get("LATCHKEY_RACE_ROUNDS", "20")  # the whole of it: 1000
MORE = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


class Race:
    """`with Race(url, "--to", other) as race:` - it is under way within; what it counted is in `race.said`."""

    def __init__(self, url, *words, rounds=ROUNDS):
        self.words = [RACE, url, str(rounds), "100", *words]
        self.said = ""

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=MORE)
        first = self.process.stdout.readline()
        assert first == "under way\n", (first, *self.process.communicate(timeout=60))
        return self

    @property
    def is_under_way(self):
        return self.process.poll() is None

    def __exit__(self, kind, *failure):
        if kind is not None:
            self.process.kill()
        out, err = self.process.communicate(timeout=600)
        self.said = out.strip()
        if kind is None:
            assert self.process.returncode == 0, (out, err)


@contextlib.contextmanager
def mariadb(_):
    with servers.Mariadb() as one:
        yield [one.url]


@contextlib.contextmanager
def replica(_):
    with servers.RedisSentinel(replicas=1, sentinels=1, quorum=1, down_after_ms=30000) as one:
        yield [one.servers[0].url(), "--replica", one.servers[1].url()]


# A file of this machine: the processes are nodes of one machine.
STORES = {"mariadb": mariadb, "redis, read from a replica": replica,
          "sqlite": lambda folder: contextlib.nullcontext([f"sqlite:{folder}/shared.db"]),
          "lmdb": lambda folder: contextlib.nullcontext([f"lmdb:{folder}/shared"])}


@pytest.mark.parametrize("kind", STORES)
def test_many_at_once_get_one_successor_on_every_store_that_nodes_can_share(kind, tmp_path, row):
    with STORES[kind](tmp_path) as words, Race(*words) as race:
        pass
    row(("one successor for 100 threads in 3 processes, in turn", kind, race.said))


@pytest.mark.parametrize("old,new", [("redis", "postgres"), ("postgres", "redis")])
def test_many_at_once_get_one_successor_from_nodes_that_are_a_step_apart_in_a_move(old, new, request, row):
    """Two nodes write to the old store first and one to the new one, so both lead: the successor is the same."""
    old, new = (request.getfixturevalue(name) for name in (old, new))
    with Race(old.url, "--to", new.url) as race:
        pass
    row(("the same, between two stores", f"{old.name} to {new.name}", race.said))


def test_many_at_once_get_one_successor_while_the_primary_is_killed_under_sentinels(row):
    """The replica that takes over may not have the last rotation: its token is known for what it is."""
    with servers.RedisSentinel() as s:
        primary = s.wait_primary()
        with Race(s.url, rounds=100) as race:
            primary.kill()
            assert race.is_under_way
            s.wait_primary(other_than=primary)
    row(("the same, primary killed", "redis+sentinel", race.said))


def test_many_at_once_get_one_successor_on_a_cluster_also_while_its_primary_is_killed(row):
    with servers.RedisCluster() as s:
        before = {node: set(node.ask("KEYS", "lk:s:*")) for node in s.primaries}
        with Race(s.url, rounds=100) as race:
            primary = next(node for node in before if set(node.ask("KEYS", "lk:s:*")) - before[node])  # has the family
            primary.kill()
            assert race.is_under_way
            servers.wait_for(lambda: len(s.primaries) == 3, 30, "nobody took over")
        row(("the same, primary killed", "redis+cluster", race.said))


def test_each_node_refreshes_its_own_logins_where_a_visitor_stays_with_his_node(cluster_on):
    """Affinity: every node has a store of its own. Another node says that it does not know the login, ends nothing, and
    the token is as good as before where it is from; the cookie of the node leads there."""
    cluster = cluster_on("lmdb:{dir}/own", nodes=3, share="affinity", settings={"latchkey_refresh": "ttl=1h idle=10m grace=1m"})
    client = cluster.client()
    client.register("alice")
    token = client.login("alice", node=0)["refresh_token"]
    for node in (1, 2):
        answer = client.refresh(token, node=node)
        assert answer.status == 401 and answer.json()["reason"] == "expired", answer.body
    first = client.refresh(token, node=0)
    assert first.status == 200
    last = first.json()["refresh_token"]
    for node in (2, 1):
        assert client.refresh(token, node=node).status == client.refresh(last, node=node).status == 401
    # Not ended by what other nodes said: repeat and next are given as ever.
    assert client.refresh(token, node=0).json()["refresh_token"] == last
    assert client.refresh(last, node=0).status == 200
