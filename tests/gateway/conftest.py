# SPDX-License-Identifier: Apache-2.0
"""Fixtures: gateways that are stopped and searched for faults when their test is over."""
import itertools

import pytest

from gateway_lab import MODULE, Application, Gateway


def pytest_sessionstart(session):
    if not MODULE.exists():
        pytest.exit(f"{MODULE} is not there: build it, or set LATCHKEY_BUILD", 3)


@pytest.fixture
def application():
    app = Application()
    yield app
    app.close()


@pytest.fixture(scope="module")
def module_application():
    app = Application()
    yield app
    app.close()


class Gateways:
    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count(1)
        self.made = []
        self.echo = None

    def __call__(self, **kw):
        gateway = Gateway(self.folder / f"gateway{next(self.numbers)}", **kw)
        gateway.expected_faults = []
        self.made.append(gateway)
        return gateway

    def close(self):
        if self.echo:
            self.echo.close()
        for gateway in self.made:
            gateway.stop()
        for gateway in self.made:
            faults = [f for f in gateway.faults() if not any(e in f for e in gateway.expected_faults)]
            assert not faults, "\n".join(faults)


@pytest.fixture
def gateways(tmp_path):
    """Make gateways, not started yet."""
    made = Gateways(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_gateways(tmp_path_factory):
    made = Gateways(tmp_path_factory.mktemp("gateway"))
    yield made
    made.close()
