# SPDX-License-Identifier: Apache-2.0
"""A site changes its mind between any two of the six ways while it is in use: nobody is logged out, no logout is undone."""
import itertools
import time

import pytest

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
