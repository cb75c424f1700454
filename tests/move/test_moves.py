# SPDX-License-Identifier: Apache-2.0
"""A site changes its mind between any two of the six ways while it is in use: nobody is logged out, no logout is undone."""
import itertools
import subprocess
import time

import pytest

from conftest import COMMAND
from gateway import Browser
from move_lab import Crowd, Site, number

WAYS = ("affinity", "database", "replication", "central", "sealed_cookie", "token")
STICKY = ("affinity",)


def side(way, stores, folder):
    """The store of WAY, and the replicas near the nodes."""
    if way == "affinity":
        return "lmdb:{dir}/own", []
    if way == "database":
        return f"sqlite:{folder}/shared.db", []
    if way == "central":
        return stores.central.url, []
    if way == "replication":
        return stores.replicated.url, [replica.url() for replica in stores.replicated.replicas]
    return f"sqlite:{folder}/revoked-{way}.db", []


def words_to(way, stores, folder):
    store, replicas = side(way, stores, folder)
    return ["--to", way, "--store", store] + (["--replica", replicas[0]] if replicas else [])


@pytest.mark.parametrize("old,new", itertools.permutations(WAYS, 2))
def test_nobody_is_logged_out_and_no_logout_is_undone(old, new, stores, tmp_path, row):
    stores.wipe()
    store, replicas = side(old, stores, tmp_path)
    site = Site(tmp_path, old, store, replicas)
    try:
        crowd = Crowd(site, sticks=old in STICKY or new in STICKY)
        begun = time.monotonic()
        code, said = site.move(*words_to(new, stores, tmp_path), "--json")
        took = time.monotonic() - begun
        time.sleep(0.3)
        crowd.stop()
        lost, undone = crowd.settle()
        if code == 1 and "not finished" in said:  # whoever was away has been seen by now
            code, more = site.move("finish", "--yes")
            said += more
            again, undone_again = crowd.settle()
            lost, undone = lost + again, undone + undone_again
        row((old, new, len(crowd.visitors) + crowd.total("logouts"), crowd.total("requests"), crowd.total("logouts"),
             number(said, r'"copied": ?(\d+)') or number(said, r"sessions, ([\d,]+) of them new"), len(lost), len(undone),
             crowd.total("waited"), f"{took:.1f}"))
        assert code == 0, (said, site.logs()[-2000:])
        assert (crowd.failed, lost, undone) == ([], [], []), (said, site.logs()[-2000:])
        code, said = site.move("--status", "--json")
        assert code == 0 and said.count(f'"share": "{new}"') + said.count(f'"share":"{new}"') == 2, said
    finally:
        site.close()


def checked(site, *words, **more):
    code, said = site.move(*words, **more)
    assert code == 0, (words, said, site.logs()[-2000:])
    return said


def made(old, stores, folder):
    stores.wipe()
    store, replicas = side(old, stores, folder)
    return Site(folder, old, store, replicas)


def assert_well(crowd, site):
    lost, undone = crowd.settle()
    assert (crowd.failed, lost, undone) == ([], [], []), site.logs()[-2000:]


@pytest.mark.parametrize("old,new", [("database", "central"), ("affinity", "central"), ("central", "affinity"),
                                     ("central", "sealed_cookie"), ("token", "database")])
def test_nodes_that_are_a_step_apart_get_along(old, new, stores, tmp_path):
    """Visitors roam between a node that has taken a step and one that has not."""
    site = made(old, stores, tmp_path)
    try:
        crowd = Crowd(site, sticks=old in STICKY or new in STICKY)
        for step in ("prepare", "copy", "verify", "switch"):
            for node in range(2) if step in ("prepare", "switch") else (None,):
                first = words_to(new, stores, tmp_path) + ["--yes"] if step == "prepare" else []
                if (old, new) == ("database", "central"):
                    first += ["--reload", "kill -HUP $(cat $(dirname $LATCHKEY_CONF)/edge.pid)"]
                checked(site, step, *first, only=node)
                time.sleep(0.5)
        crowd.stop()
        assert_well(crowd, site)
        checked(site, "finish", "--yes")
        assert_well(crowd, site)
    finally:
        site.close()


@pytest.mark.parametrize("old,new", [("database", "central"), ("affinity", "database"), ("central", "affinity"),
                                     ("central", "token"), ("sealed_cookie", "central")])
def test_the_way_back_is_open_at_any_moment(old, new, stores, tmp_path):
    site = made(old, stores, tmp_path)
    try:
        crowd = Crowd(site, sticks=old in STICKY or new in STICKY)
        for steps in (["prepare"], ["prepare", "copy"], ["prepare", "copy", "verify", "switch"]):
            for step in steps:
                first = words_to(new, stores, tmp_path) + ["--yes"] if step == "prepare" else []
                checked(site, step, *first)
            time.sleep(0.5)
            said = checked(site, "--back")
            assert f"back: {old} is all there is" in said
            time.sleep(0.2)
        crowd.stop()
        assert_well(crowd, site)
    finally:
        site.close()


def cut_off(site, name):
    """The cookies of a session of the first node, which was told to cut it off; its record stays where it is."""
    ghosts = []
    Browser(site.nodes[0]).register(name)
    for node in site.nodes[:1]:
        ghost = Browser(node)
        ghost.login(name)
        ghosts.append(dict(ghost.cookies))
        user = ghost.get("/auth/session").json()["user"]["id"]
        done = subprocess.run([str(COMMAND), "cutoff", "add", "--level", "user", "--key", user, "--conf",
                               str(node.folder / "latchkey.conf")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        assert not ghost.is_known()
    return ghosts


@pytest.mark.parametrize("old,store,to", [
    ("affinity", "memory:", ["--to", "database", "--store", "sqlite:{shared}/shared.db"]),
    ("database", "sqlite:{shared}/shared.db", ["--to", "affinity", "--store", "memory:"])])
def test_sessions_move_out_of_memory_and_into_it(old, store, to, stores, tmp_path):
    site = Site(tmp_path, old, store.replace("{shared}", str(tmp_path)))
    try:
        crowd = Crowd(site, sticks=True)
        ghosts = cut_off(site, "bob")
        code, said = site.move(*(word.replace("{shared}", str(tmp_path)) for word in to))
        assert code == 0 or "not finished" in said, (said, site.logs()[-2000:])
        time.sleep(0.5)
        crowd.stop()
        assert_well(crowd, site)
        if code != 0:
            checked(site, "finish", "--yes")
        assert_well(crowd, site)
        for cookies in ghosts:
            for node in site.nodes:
                ghost = Browser(node)
                ghost.cookies = dict(cookies)
                assert not ghost.is_known(), (node.folder, said)
    finally:
        site.close()


def test_what_makes_no_sense_is_refused_and_changes_nothing(stores, tmp_path):
    site = made("database", stores, tmp_path)
    try:
        before = [open(conf).read() for conf in site.confs]
        for words, sentence in ((["--to", "database"], "there is nothing to move"),
                                (["--to", "central"], "central"),
                                (["--to", "replication", "--store", stores.central.url], "latchkey_replica"),
                                (["--to", "nowhere"], "choose sealed_cookie"),
                                (["copy"], "--to WAY"),
                                (["copy", "--to", "central", "--store", stores.central.url], "not at this stage"),
                                (["--back"], "nothing to go back from"),
                                ([], "--to WAY")):
            code, said = site.move(*words)
            assert code in (1, 2) and sentence in said, (words, code, said)
        assert [open(conf).read() for conf in site.confs] == before
    finally:
        site.close()


def test_a_new_store_with_sessions_of_somebody_else_is_refused(stores, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    stores.wipe()
    other = Site(tmp_path / "a", "central", stores.central.url, nodes=1)
    site = Site(tmp_path / "b", "database", f"sqlite:{tmp_path}/shared.db", nodes=1)
    try:
        crowd = Crowd(other, sticks=True, busy=0, away=2)
        code, said = site.move("--to", "central", "--store", stores.central.url)
        assert code == 1 and "the present one does not know" in said, said
        assert_well(crowd, other)
    finally:
        site.close()
        other.close()


def test_settings_that_the_gateway_does_not_take_are_put_back(stores, tmp_path):
    """Its own nginx.conf contradicts them: the file is as before, and the visitors stay."""
    site = made("database", stores, tmp_path)
    try:
        crowd = Crowd(site, sticks=False, busy=0, away=2)
        before = [open(conf).read() for conf in site.confs]
        with open(site.nodes[0].folder / "nginx.conf", "a", encoding="utf-8") as f:
            f.write("nonsense;\n")
        code, said = site.move(*words_to("central", stores, tmp_path))
        assert code == 3 and "does not take the new settings" in said and "as it was before" in said, said
        assert [open(conf).read() for conf in site.confs] == before
        assert_well(crowd, site)
    finally:
        site.close()
