# SPDX-License-Identifier: Apache-2.0
"""Three nodes with the tokens of one site: the servers they share, once for all tests here, and a table of what was counted."""
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LATCHKEY_BUILD", ROOT / "build")).resolve()
COMMAND = BUILD / "latchkey"
Latchkey = type("Latchkey", (), {})  # of tests/cli, whose gateway is used here
for part in ("lib", "cli"):
    sys.path.insert(0, str(ROOT / "tests" / part))

import servers  # noqa: E402
from cluster import Cluster  # noqa: E402

ROWS = []


@pytest.fixture(scope="session")
def redis():
    with servers.Redis() as one:
        yield one


@pytest.fixture(scope="session")
def postgres():
    with servers.Postgres() as one:
        yield one


@pytest.fixture(params=["redis", "postgres"])
def server(request):
    """Each of the two that a cluster is promised to work on."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def cluster_on(tmp_path):
    """Makes a cluster that is taken away after the test: `cluster_on(server, settings={...})`, see Cluster."""
    made = []

    def make(server_or_url, **more):
        url = server_or_url if isinstance(server_or_url, str) else server_or_url.url
        if "accounts" not in more and url.startswith(("postgres:", "mariadb:")):
            more["accounts"] = url
        made.append(Cluster(tmp_path / f"c{len(made)}", url, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def row():
    """`row("what", "store", figure)`: a line of the table that ends the run."""
    return ROWS.append


def pytest_terminal_summary(terminalreporter):
    if ROWS:
        terminalreporter.write_line("")
        for cells in (("what", "store", "counted"), ("---",) * 3, *ROWS):
            terminalreporter.write_line("| " + " | ".join(str(c) for c in cells) + " |")
