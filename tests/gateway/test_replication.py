# SPDX-License-Identifier: Apache-2.0
"""Replication to every node, when things change: replay of a standby stands still, the primary is another one, a copy is not
whole yet. (test_replica.py has it day by day.)"""
import time

import pytest

from gateway_lab import wait_until
from store_lab import Visitors, get, is_ready, nodes, servers, wait_ready

LOGOUT = {"method": "POST", "headers": "Sec-Fetch-Site: same-origin\r\n"}


@pytest.fixture
def redis():
    with servers.RedisSentinel() as s:
        yield s


@pytest.fixture
def postgres():
    with servers.PostgresPair() as s:
        yield s


def near_copies(gateways, folder, url, copies, **kw):
    """A gateway beside each of the COPIES of the store at URL; None: beside the store itself."""
    made = []
    for copy in copies:
        settings = {"latchkey_replica": f'"{copy}"', "latchkey_share": "replication"} if copy else {}
        made += nodes(gateways, folder, url, init=not made, settings=settings, **kw)
    return made


def redis_nodes(gateways, folder, redis, **kw):
    return near_copies(gateways, folder, redis.url, [s.url() for s in redis.servers], **kw)


def assert_known_at_once(made, visitors):
    for i in range(12):
        cookie = visitors.log_in(made[i % len(made)], "alice", register=False)
        for gateway in made:
            assert get(gateway, "/echo/", cookie).status == 200


def assert_out_soon(made, visitors, seconds=30):
    for i in range(6):
        cookie = visitors.log_in(made[0], "alice", register=False)
        for gateway in made:
            assert get(gateway, "/echo/", cookie).status == 200
        here = made[i % len(made)]
        assert get(here, "/auth/logout", cookie, **LOGOUT).status == 204
        assert get(here, "/echo/", cookie).status == 401
        for gateway in made:
            wait_until(lambda: get(gateway, "/echo/", cookie).status == 401, seconds, "the end on every node")


def test_a_standby_whose_replay_is_paused_delays_no_login_and_no_logout(gateways, tmp_path, postgres):
    made = near_copies(gateways, tmp_path, postgres.url, [None, postgres.replica_url])
    visitors = Visitors(made[0])
    visitors.log_in(made[0], "alice")
    postgres.wait_well()
    assert_known_at_once(made, visitors)
    assert_out_soon(made, visitors)
    postgres.replica.sql("SELECT pg_wal_replay_pause()")
    assert_known_at_once(made, visitors)
    assert_out_soon(made, visitors)
    postgres.replica.sql("SELECT pg_wal_replay_resume()")
    postgres.wait_well()
    assert_known_at_once(made, visitors)
    assert_out_soon(made, visitors)


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_failover_of_the_primary_logs_nobody_out(gateways, tmp_path, redis, how):
    made = redis_nodes(gateways, tmp_path, redis)
    visitors = Visitors(made[0])
    cookie = visitors.log_in(made[0], "alice")
    ended = visitors.log_in(made[0], "alice", register=False)
    assert get(made[1], "/auth/logout", ended, **LOGOUT).status == 204
    old = redis.primary
    getattr(old, how)()
    begun = time.monotonic()
    seen = set()
    while time.monotonic() - begun < 4:
        for gateway in made:
            seen.add(get(gateway, "/echo/", cookie).status)
            assert get(gateway, "/echo/", ended).status in (401, 503)
    assert seen <= {200, 503}, seen
    redis.wait_primary(other_than=old)
    for i, gateway in enumerate(made):
        if redis.servers[i] is old:
            continue
        wait_until(lambda: get(gateway, "/echo/", cookie).status == 200, 40, "the session after the failover")
        assert get(gateway, "/echo/", ended).status == 401
    alive = [g for i, g in enumerate(made) if redis.servers[i] is not old]

    def log_in():
        try:
            return visitors.log_in(alive[0], "alice", register=False)
        except AssertionError:
            return None

    fresh = wait_until(log_in, 40, "a login at the new primary")
    for gateway in alive:
        wait_until(lambda: get(gateway, "/echo/", fresh).status == 200, 30, "the new login")
    if how == "freeze":
        old.thaw()
    else:
        old.start()
    redis.wait_well()
    for gateway in made:
        wait_until(lambda: get(gateway, "/echo/", cookie).status == 200, 40, "the session on every node")
        wait_until(lambda: get(gateway, "/echo/", fresh).status == 200, 40, "the new login on every node")
        assert get(gateway, "/echo/", ended).status == 401
    assert_known_at_once(made, visitors)
    assert_out_soon(made, visitors)


def test_a_node_is_not_ready_before_its_copy_is(gateways, tmp_path, redis):
    copy = next(s for s in redis.servers if s is not redis.primary)
    for sentinel in redis.sentinels:
        sentinel.stop()  # or they would mend what is broken here
    primary = next(s for s in redis.servers if s.info("replication")["role"] == "master")
    copy.ask("REPLICAOF", "127.0.0.1", "1")
    [gateway] = near_copies(gateways, tmp_path, primary.url(), [copy.url()], wait=False)
    wait_until(gateway.answers, 40, "the start")
    for _ in range(10):
        assert not is_ready(gateway)
        time.sleep(0.1)
    copy.follows(primary)
    wait_until(lambda: copy.is_following(), 20, "the copy")
    wait_ready(gateway)
