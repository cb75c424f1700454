# SPDX-License-Identifier: Apache-2.0
"""Refresh while the ground moves: the site goes to another store and back, the store freezes, or is gone. A login that
was there is there, with one successor to each token, and whoever cannot be answered is told to come again."""
import os
import sqlite3
import subprocess
import time

import pytest

import servers
from conftest import COMMAND
from families import Families
from gateway import until

LONG = {"latchkey_refresh": "ttl=1h idle=10m grace=1m"}


def move(cluster, *words):
    confs = [word for i in range(len(cluster.nodes)) for word in ("--conf", str(cluster.conf(i)))]
    done = subprocess.run([str(COMMAND), "move", *words, *confs], capture_output=True, text=True, timeout=180,
                          stdin=subprocess.DEVNULL, check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 0, done.stdout + done.stderr + cluster.logs()[-2000:]


def test_logins_are_refreshed_while_the_site_moves_to_another_store_and_back(redis, postgres, cluster_on, row):
    postgres.sql("CREATE DATABASE moved OWNER latchkey")  # whoever comes to a new store brings its sessions there
    here, there = redis.url.removesuffix("0") + "1", postgres.url.removesuffix("latchkey") + "moved"
    cluster = cluster_on(here, share="central", settings=LONG)
    cluster.client().register("alice")
    ended = cluster.client().login("alice")
    assert cluster.client().post("/auth/logout", bearer=ended["token"]).status == 204
    families = Families(cluster)
    for way, store in (("database", there), ("central", here)):
        before = families.steps
        move(cluster, "--to", way, "--store", store)
        assert families.steps > before + 5
        answer = cluster.client().refresh(ended["refresh_token"])
        assert answer.status == 401 and answer.json()["reason"] == "revoked", answer.body
    families.stop()
    families.assert_well()
    row(("refreshed while the site moves, there and back", "redis, postgres",
         f"{len(families.all)} logins, {families.steps} steps, {sum(f.waited for f in families.all)} asked again, 0 refused"))
    families.assert_used_ones_end()


OWN = {"redis": servers.Redis, "postgres": servers.Postgres}


def is_told_to_come_again(answer):
    assert answer.status == 503 and answer.headers["Retry-After"], (answer.status, answer.body)
    assert answer.json()["reason"] == "store_unavailable" and b"invalid_grant" not in answer.body
    return True


@pytest.mark.parametrize("kind", OWN)
def test_store_that_freezes_uses_nothing_up_however_long_it_does(kind, cluster_on, row):
    """Longer than the grace time: a change that was on its way may be made when the store wakes up, and the one who
    asked for it was told to come again. He is no thief. Time in which the store answers counts as ever."""
    with OWN[kind]() as own:
        cluster = cluster_on(own, settings={"latchkey_refresh": "ttl=1h idle=10m grace=2s"})
        cluster.client().register("alice")
        families = Families(cluster, busy=6, away=1, pause_s=0)
        until(lambda: families.steps > 60, 30)
        own.freeze()
        time.sleep(3)
        assert is_told_to_come_again(cluster.client().refresh(families.all[-1].tokens[-1]))
        own.thaw()
        before = [family.steps for family in families.all[:6]]
        until(lambda: families.wrong or all(family.steps > n + 3 for family, n in zip(families.all, before)), 60)
        families.stop()
        families.assert_well()
        row(("store frozen for longer than the grace time", own.name,
             f"{len(families.all)} logins, {families.steps} steps, {sum(f.waited for f in families.all)} asked again, 0 refused"))
        time.sleep(2.5)
        late = families.all[0]
        for token in (late.tokens[-2], late.tokens[-1]):
            answer = cluster.client().refresh(token)
            assert answer.status == 401 and answer.json()["reason"] == "revoked", answer.body


def test_file_that_somebody_holds_locked_is_503_and_uses_nothing_up(cluster_on, tmp_path):
    path = tmp_path / "shared.db"
    cluster = cluster_on(f"sqlite:{path}", nodes=1)
    client = cluster.client()
    client.register("alice")
    token = client.login("alice")["refresh_token"]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert is_told_to_come_again(client.refresh(token))
    other.execute("ROLLBACK")
    other.close()
    last = client.refresh(token)
    assert last.status == 200
    assert client.refresh(token).json()["refresh_token"] == last.json()["refresh_token"]


def test_accounts_that_do_not_answer_are_503_and_use_nothing_up(redis, postgres, cluster_on):
    """Who may refresh is asked of the accounts: not to know is not to refuse."""
    cluster = cluster_on(redis, accounts=postgres.url, nodes=1)
    client = cluster.client()
    client.register("alice")
    token = client.login("alice")["refresh_token"]
    postgres.freeze()
    try:
        assert is_told_to_come_again(client.refresh(token))
    finally:
        postgres.thaw()
    until(lambda: client.refresh(token).status == 200, 30)
