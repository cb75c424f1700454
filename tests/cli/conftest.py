# SPDX-License-Identifier: Apache-2.0
"""The latchkey command of the build under test, with settings and stores of its own for each test."""
import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LATCHKEY_BUILD", ROOT / "build")).resolve()
COMMAND = BUILD / "latchkey"

YES, NO, WRONG, FAULT = 0, 1, 2, 3
PASSWORD = "correct horse battery\n"


class Latchkey:
    """One settings file and the commands on it."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.conf = folder / "latchkey.conf"
        self.settings = {
            "latchkey_keys": f"{folder}/keys",
            "latchkey_accounts": f"sqlite:{folder}/accounts.db",
            "latchkey_store": f"lmdb:{folder}/sessions",
            "latchkey_memory": f"{folder}/memory size=4m",
        }
        self.settings.update(settings)
        self.write()

    def write(self):
        self.conf.write_text("".join(f"{name} {value};\n" for name, value in self.settings.items()))

    def run(self, *words, input="", env=None):
        environment = {**os.environ, "LATCHKEY_CONF": str(self.conf), **(env or {})}
        data = input if isinstance(input, bytes) else input.encode()
        return subprocess.run([str(COMMAND), *map(str, words)], input=data, capture_output=True, env=environment,
                              timeout=30, check=False)

    def text(self, *words, code=YES, **kwargs):
        done = self.run(*words, **kwargs)
        assert done.returncode == code, done
        return done.stdout.decode()

    def error(self, *words, code, **kwargs):
        done = self.run(*words, **kwargs)
        assert done.returncode == code, done
        return done.stderr.decode()

    def json(self, *words, code=YES, **kwargs):
        done = self.run(*words, "--json", **kwargs)
        assert done.returncode == code, done
        return json.loads(done.stdout)


@pytest.fixture
def latchkey(tmp_path):
    return Latchkey(tmp_path)


@pytest.fixture
def keys(latchkey):
    """With keys made."""
    latchkey.text("key", "new", "--alg", "EdDSA")
    return latchkey
