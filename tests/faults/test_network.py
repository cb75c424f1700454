# SPDX-License-Identifier: Apache-2.0
"""One of three nodes loses the network to the store, or its connections, without being told. The others go on; it may let in
nobody whom they have logged out."""
import time

import pytest
from scene import IS_PRIVATE, NEAR, NETWORK, Cable, Scene, longer, set_up

import servers
from server_proxy import Proxy

ONE = {"redis": servers.Redis, "postgres": servers.Postgres, "mariadb": servers.Mariadb}


@pytest.mark.parametrize("kind", ONE)
def test_node_that_is_cut_off_lets_in_nobody_who_was_logged_out_elsewhere(kind):
    if not IS_PRIVATE:
        cut_by_proxy(kind)
        return
    with Cable() as cable, ONE[kind](also_on=(NEAR, NETWORK)) as server:
        set_up(server.url)
        far = server.url.replace("127.0.0.1", NEAR)
        with Scene("network cut 1.5 s", kind, [server.url, server.url, far], options=["--netns", f"2={cable.netns}"]) as scene:
            cut_and_heal(cable, scene)


def cut_by_proxy(kind):
    with ONE[kind]() as server, Proxy(server.port) as proxy:
        set_up(server.url)
        far = proxy.through(server.url, server.port)
        with Scene("network cut 1.5 s (by proxy: no name spaces here)", kind, [server.url, server.url, far]) as scene:
            cut_and_heal(proxy, scene)


def cut_and_heal(wire, scene):
    time.sleep(0.6)
    wire.cut()
    time.sleep(longer(1.5))
    wire.heal()
    scene.wait_back()


@pytest.mark.parametrize("kind", ONE)
def test_connections_that_are_lost_silently_are_found_out(kind):
    with ONE[kind]() as server, Proxy(server.port) as proxy:
        set_up(server.url)
        far = proxy.through(server.url, server.port)
        with Scene("stream lost silently", kind, [server.url, server.url, far]) as scene:
            time.sleep(0.6)
            proxy.forget()
            scene.wait_back()
            time.sleep(longer(1))
