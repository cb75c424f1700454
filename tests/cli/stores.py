# SPDX-License-Identifier: Apache-2.0
"""Stores for the tests of `latchkey store`: filled, shown and changed by storetool, a program on liblatchkey."""
import functools
import os
import subprocess
import tempfile
from pathlib import Path

from conftest import BUILD, ROOT


@functools.lru_cache(maxsize=None)
def storetool():
    """Built once, against the library of the build under test."""
    out = Path(tempfile.mkdtemp(prefix="latchkey-storetool-")) / "storetool"
    library = BUILD / "src"
    linked = subprocess.run(["ldd", str(library / "liblatchkey.so")], capture_output=True, text=True, check=True).stdout
    sanitized = ["-fsanitize=address,undefined"] if "libasan" in linked or "not found" in linked else []
    subprocess.run(["cc", "-Wall", "-Wextra", *sanitized, f"-I{ROOT}/include", str(ROOT / "tests/cli/storetool.c"), "-o",
                    str(out), f"-L{library}", f"-Wl,-rpath,{library}", "-llatchkey"], check=True)
    return out


def tool(*words):
    done = subprocess.run([str(storetool()), *map(str, words)], capture_output=True, text=True, check=False, timeout=120,
                          env=dict(os.environ))
    assert done.returncode == 0, done
    return done.stdout


def fill(url, n, first=0):
    tool("fill", url, n, first)


def dump(url):
    """Every session with its record, every one that is ending, every cut-off: sorted lines."""
    return sorted(tool("dump", url).splitlines())


def sessions(url):
    return {line.split()[1]: line.split()[2:] for line in dump(url) if line.startswith("s ")}


def public_ids(url):
    return sorted(sessions(url))
