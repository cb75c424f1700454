# SPDX-License-Identifier: Apache-2.0
"""Gateways for the tests of single rules: one that lets itself be asked often, one with small bounds, one behind TLS."""
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
from served import Served, ServedOverTls  # noqa: E402

NEVER = "account=1000000/15m address=1000000/15m"
UP = "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection '';"
LOCATIONS = f"""
        location /required/ {{ latchkey required; latchkey_csrf on; {UP} }}
        location /scope/ {{ latchkey required scope=orders.read; {UP} }}
        location /role/ {{ latchkey required role=admin; {UP} }}
        location /off/ {{ {UP} }}"""


@pytest.fixture(scope="session")
def easy():
    """Never throttled, with locations of every sort; alice and mallory have accounts."""
    served = Served()
    served.users_at_first = served.command("user", "list", "--json").stdout
    served.restart(LOCATIONS, throttle=NEVER)
    served.register("alice")
    served.register("mallory")
    yield served
    served.close()


@pytest.fixture(scope="session")
def strict():
    """Three wrong passwords in six seconds, three sessions a user, replaced ids dead at once."""
    served = Served()
    served.restart(throttle="account=3/6s address=40/6s", session="grace=0s per_user=3")
    yield served
    served.close()


@pytest.fixture(scope="session")
def secure(tmp_path_factory):
    """Behind TLS, with the cookie of the default settings."""
    directory = tmp_path_factory.mktemp("tls")
    (directory / "served").mkdir(mode=0o700)
    served = ServedOverTls(directory)
    served.register("alice")
    yield served
    served.close()
