# SPDX-License-Identifier: Apache-2.0
"""Failover: of a primary under sentinels, in a cluster, to a standby. A session's fields may lose what was written in the moment
of a failover of Redis (docs/stores/redis.md); logins and logouts may not."""
import time

import pytest
from scene import Scene, set_up

import servers

REDIS_MAY_LOSE = ("changes",)


@pytest.fixture
def sentinels():
    with servers.RedisSentinel() as s:
        set_up(s.url)
        yield s


def come_and_go(what, node, s):
    with Scene(f"{what}: SIGSTOP, kill -9", "redis+sentinel", s.url, expects_errors=False) as scene:
        time.sleep(0.3)
        node.freeze()
        time.sleep(1)
        node.thaw()
        time.sleep(0.3)
        node.kill()
        time.sleep(0.7)
        node.start()
        scene.wait_back()


def test_replicas_and_sentinels_come_and_go_without_harm(sentinels):
    come_and_go("replica", sentinels.replicas[0], sentinels)
    come_and_go("sentinel", sentinels.sentinels[0], sentinels)


def test_failover_during_two_thousand_logins_and_logouts(sentinels):
    s = sentinels
    primary = s.wait_primary()
    with Scene("failover: kill -9 primary", "redis+sentinel", s.url, ops=2000, losses=REDIS_MAY_LOSE) as scene:
        time.sleep(0.6)
        primary.kill()
        s.wait_primary(other_than=primary)
        scene.healed()
        scene.wait_done(30)
    assert scene.result["logins"] + scene.result["logouts"] >= 2000


def test_primary_that_stops_answering_and_wakes_up_as_another(sentinels):
    s = sentinels
    primary = s.wait_primary()
    with Scene("failover: SIGSTOP primary", "redis+sentinel", s.url, losses=REDIS_MAY_LOSE) as scene:
        time.sleep(0.6)
        primary.freeze()
        s.wait_primary(other_than=primary)
        scene.healed()
        time.sleep(0.5)
        primary.thaw()
        time.sleep(1.5)


@pytest.mark.parametrize("fault", ["kill -9", "SIGSTOP"])
def test_cluster_goes_on_without_one_of_its_primaries(fault):
    with servers.RedisCluster() as s:
        set_up(s.url)
        primary = s.primaries[0]
        with Scene(f"failover: {fault} a primary", "redis+cluster", s.url, losses=REDIS_MAY_LOSE) as scene:
            time.sleep(0.6)
            primary.kill() if fault == "kill -9" else primary.freeze()
            servers.wait_for(lambda: len(s.primaries) == 3, 30, "nobody took over")
            servers.wait_for(lambda: all(node.cluster_info()["cluster_state"] == "ok" for node in s.primaries), 30,
                             "the cluster is not well")
            scene.healed()
            time.sleep(0.5)
            primary.start() if fault == "kill -9" else primary.thaw()
            time.sleep(1)


def test_standby_of_postgres_that_is_promoted_has_all_that_was_acknowledged():
    with servers.PostgresPair(durable=True, synchronous="on") as s:
        set_up(s.url)
        with Scene("failover: kill -9, promote", "postgres, 2 hosts", s.both_url, guard=False) as scene:
            time.sleep(1)
            s.primary.kill()
            s.replica.promote()
            scene.wait_back()
