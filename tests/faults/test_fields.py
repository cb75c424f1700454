# SPDX-License-Identifier: Apache-2.0
"""Two nodes write different fields of one session ten thousand times."""
import json
import subprocess

import pytest
from scene import DRIVER, IS_LONG, set_up

import servers
from server_process import Directory

EACH = 10000 if IS_LONG else 5000


def write_fields(url):
    done = subprocess.run([DRIVER, "fields", "--url", url, "--times", str(EACH)], capture_output=True, text=True, check=True,
                          timeout=300)
    assert json.loads(done.stdout) == {"left": EACH, "right": EACH, "revision": 1 + 2 * EACH, "failed": 0}


def test_memory_loses_none():
    write_fields("memory:")


def test_lmdb_loses_none():
    directory = Directory("fields")
    write_fields(f"lmdb:{directory.path}")
    directory.remove()


@pytest.mark.parametrize("kind", [kind for kind in servers.KINDS if kind != "postgres-pair"])
def test_store_loses_none(kind):
    with servers.KINDS[kind]() as server:
        url = server.url + "?deadline=10s"
        set_up(url)
        write_fields(url)
