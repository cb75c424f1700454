# SPDX-License-Identifier: Apache-2.0
"""Nodes whose clocks are five minutes off, with sessions that idle for two."""
import time

import pytest
from scene import Scene, set_up

import servers

WRONG = ["--clock", "1=300000", "--clock", "2=-300000", "--idle", "120"]
ONE = {"redis": servers.Redis, "postgres": servers.Postgres, "mariadb": servers.Mariadb}


@pytest.mark.parametrize("kind", ONE)
def test_clocks_five_minutes_off_throw_nobody_out_and_let_nobody_in(kind):
    with ONE[kind]() as server:
        set_up(server.url)
        with Scene("clocks 5 min off", kind, server.url, options=WRONG, expects_errors=False):
            time.sleep(2.5)


def test_without_the_clock_of_the_cluster_they_would():
    with servers.Redis() as server:
        set_up(server.url)
        scene = Scene("the same, each by its own clock", "redis", server.url, options=[*WRONG, "--own-clocks"],
                      expects_errors=False)
        with pytest.raises(AssertionError, match="thrown_out"), scene:
            time.sleep(1.5)
        assert scene.result["thrown_out"] > 0
