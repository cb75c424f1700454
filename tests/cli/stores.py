# SPDX-License-Identifier: Apache-2.0
"""Stores for the tests of `latchkey store`: filled, shown and changed by storetool, a program on liblatchkey."""
import functools
import os
import subprocess
import tempfile
import time
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


def fill(url, n, first=0, age="used"):
    """N sessions, used a minute ago or longer; `new`: made now, `old`: hours ago."""
    tool("fill", url, n, first, age)


def dump(url):
    """Every session with its record, every one that is ending, every cut-off: sorted lines. Without the mark of a copy."""
    return sorted(line for line in tool("dump", url).splitlines() if not line.startswith(("c family /copied-", "c family /sent-")))


def sessions(url):
    return {line.split()[1]: line.split()[2:] for line in dump(url) if line.startswith("s ")}


def public_ids(url):
    return sorted(sessions(url))


def unused(url, n=1):
    """Ids of sessions that were last used some seconds ago at least."""
    before = time.time() - 60
    return [public_id for public_id, words in sorted(sessions(url).items()) if int(words[1]) < before][:n]


def end_and_forget(latchkey, url, public_id):
    """End a session, so long ago that the store does not know it any more."""
    tool("end", url, public_id, 1)
    time.sleep(2.1)
    latchkey.text("store", "sweep", "--store", url, "--all")
