# SPDX-License-Identifier: Apache-2.0
"""Servers that are killed in the middle of their work, or stop answering."""
import random
import time

import pytest
from scene import Scene, longer, set_up

import servers

ONE = {"redis": servers.Redis, "postgres": servers.Postgres, "mariadb": servers.Mariadb}


@pytest.mark.parametrize("kind", ONE)
def test_kill_in_mid_commit_undoes_nothing_that_was_acknowledged(kind):
    with ONE[kind](durable=True) as server:
        set_up(server.url)
        with Scene("kill -9 in mid-commit", kind, server.url, guard=False) as scene:
            for _ in range(longer(3)):
                time.sleep(random.uniform(0.4, 0.8))
                server.kill()
                time.sleep(0.2)
                server.start()
            scene.wait_back()


@pytest.mark.parametrize("kind", ONE)
def test_kill_and_restart_behind_nodes_with_near_copies(kind):
    with ONE[kind]() as server:
        set_up(server.url)
        with Scene("kill -9, 1 s down", kind, server.url) as scene:
            time.sleep(0.6)
            server.kill()
            time.sleep(1)
            server.start()
            scene.wait_back()


@pytest.mark.parametrize("kind", ONE)
def test_server_that_stops_answering_lets_nobody_in_and_throws_nobody_out(kind):
    with ONE[kind]() as server:
        set_up(server.url)
        with Scene("SIGSTOP 1.5 s", kind, server.url) as scene:
            time.sleep(0.6)
            server.freeze()
            time.sleep(longer(1.5))
            server.thaw()
            scene.wait_back()
