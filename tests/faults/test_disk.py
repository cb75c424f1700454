# SPDX-License-Identifier: Apache-2.0
"""A disk that is full: nobody is logged out by it, nobody who was logged out comes back, and when there is room again all goes
on without a restart of latchkey."""
import contextlib
import time

import pytest
from scene import Scene, SmallDisk, set_up

import servers


@pytest.mark.parametrize("kind, size", [("redis", 24), ("postgres", 96), ("mariadb", 200)])
def test_server_whose_disk_is_full_keeps_what_it_acknowledged(kind, size):
    cls = servers.KINDS[kind]
    more = {"settings": ["wal_recycle = off", "max_wal_size = 32MB"]} if kind == "postgres" else {}
    with SmallDisk(size, cls.runs_as) as disk, cls(durable=True, place=disk.path, **more) as server:
        set_up(server.url)
        with Scene(f"{disk.how}", kind, server.url, options=["--pause", "200"]) as scene:
            time.sleep(0.6)
            disk.fill(server.server.pid)
            scene.wait_failing()
            time.sleep(1)
            disk.free(server.server.pid)
            if not server.server.is_running:  # PostgreSQL ends when it cannot write its log
                with contextlib.suppress(servers.ServerError):
                    server.start()
            scene.wait_back()


@pytest.mark.parametrize("kind, size", [("sqlite", 32), ("lmdb", 4)])
def test_file_on_a_full_disk_keeps_what_was_acknowledged(kind, size):
    with SmallDisk(size) as disk:
        url = f"sqlite:{disk.path}/sessions.db" if kind == "sqlite" else f"lmdb:{disk.path}"
        set_up(url)
        with Scene(f"{disk.how}", kind, url, options=["--pause", "500"]) as scene:
            time.sleep(0.3)
            disk.fill(scene.process.pid, disk.largest())
            scene.wait_failing()
            time.sleep(1)
            disk.free(scene.process.pid)
            scene.wait_back()
