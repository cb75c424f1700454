# SPDX-License-Identifier: Apache-2.0
"""Nodes that read from a copy near them, and a copy that stops answering, dies and comes back."""
import time

from scene import Scene, set_up

import servers


def come_and_go(store, url, replica_url, replica):
    options = ["--replica", replica_url]
    with Scene("copy: SIGSTOP, kill -9", store, url, options=options, expects_errors=False) as scene:
        time.sleep(0.5)
        replica.freeze()
        time.sleep(1.2)
        replica.thaw()
        time.sleep(0.5)
        replica.kill()
        time.sleep(0.7)
        replica.start()
        scene.wait_back()


def test_copy_of_redis_comes_and_goes():
    with servers.RedisSentinel() as s:
        set_up(s.url)
        replica = s.replicas[0]
        come_and_go("redis+sentinel", s.url, replica.url(), replica)


def test_standby_of_postgres_comes_and_goes():
    with servers.PostgresPair() as s:
        set_up(s.url)
        come_and_go("postgres", s.url, s.replica_url, s.replica)
