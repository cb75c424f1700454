# SPDX-License-Identifier: Apache-2.0
"""The servers that the moves are between, once for all of them, and the table of what became of whom."""
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

ROWS = []


class Everything:
    """One Redis for the central store, a set with replicas for replication."""

    def __init__(self, central, replicated):
        self.central, self.replicated = central, replicated

    def wipe(self):
        self.central.server.ask("FLUSHALL")
        self.replicated.primary.ask("FLUSHALL")


@pytest.fixture(scope="session")
def stores():
    with servers.Redis() as central, servers.RedisSentinel(replicas=1, down_after_ms=30000) as replicated:
        yield Everything(central, replicated)


@pytest.fixture
def row():
    return ROWS.append


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    titles = ("from", "to", "logins", "requests", "logouts", "copied", "lost", "undone", "waited", "seconds")
    terminalreporter.write_line("")
    for cells in (titles, tuple("-" * len(t) for t in titles), *ROWS):
        terminalreporter.write_line("| " + " | ".join(str(c) for c in cells) + " |")
