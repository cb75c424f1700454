# SPDX-License-Identifier: Apache-2.0
"""A real browser in front of the demonstration: what people see and do, without scripts, and whether all can use it.

The flows are in *_flows.mjs; each exported function there is a test here. Chromium is Debian's, driven by
playwright-core; both it and axe-core come from npm when they are missing.
"""
import http.client
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from ports import free_port  # noqa: E402

BUILD = Path(os.environ.get("LATCHKEY_BUILD", ROOT / "build")).resolve()
FLOW_S = 180  # far more than any takes, also on a busy machine


def flows():
    found = [(file.name, name) for file in sorted(HERE.glob("*_flows.mjs"))
             for name in re.findall(r"^export async function (\w+)", file.read_text(encoding="utf-8"), re.M)]
    assert len(found) > 20, "the flows are not found"
    return [pytest.param(file, name, id=name) for file, name in found]


def children(pid):
    """Every process that descends from PID."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        parents[int(stat.parent.name)] = int(words[1])
    found, more = set(), {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Demonstration:
    """`examples/shop/run` on a free port, in a directory of its own. Ready when made."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="latchkey-browser-"))
        self.listen = f"127.0.0.1:{free_port()}"
        self.log = self.folder / "run.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [ROOT / "examples" / "shop" / "run", BUILD], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, "LISTEN": self.listen, "DIR": str(self.folder / "data")})
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self):
        return f"http://{self.listen}"

    def answers(self, path):
        connection = http.client.HTTPConnection(self.listen, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_ready(self):
        until = time.monotonic() + 30
        while not self.answers("/auth/health/ready") or not self.answers("/"):  # the shop may take longer
            if self.process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"not ready:\n{self.log.read_text()}", pytrace=False)
            time.sleep(0.05)

    def stop(self):
        """The pids that were there, the exit code, and what still runs."""
        pids = children(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        left = [pid for pid in pids if is_running(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.forget()
        return pids, code, left

    def forget(self):
        """The table in /dev/shm outlives the gateway, for the next start; here there is none."""
        conf = self.folder / "data" / "latchkey.conf"
        table = re.search(r'"(/dev/shm/latchkey-[^"]+)"', conf.read_text()) if conf.exists() else None
        if table:
            Path(table[1]).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def packages():
    """What package-lock.json names is in node_modules."""
    mark = HERE / "node_modules" / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if not mark.exists() or mark.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        os.utime(mark)


@pytest.fixture(scope="session")
def demonstration():
    demo = Demonstration()
    yield demo
    demo.stop()


class Driver:
    """node with Chromium, one flow at a time."""

    def __init__(self, url):
        self.process = subprocess.Popen(["node", HERE / "driver.mjs", url], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def run(self, file, flow):
        self.process.stdin.write(json.dumps({"file": file, "flow": flow}).encode() + b"\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(FLOW_S), f"no end of {flow} after {FLOW_S} s"
        answer = self.process.stdout.readline()
        assert answer, "the driver ended"
        return json.loads(answer)["error"]

    def stop(self):
        pids = children(self.process.pid)
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def driver(packages, demonstration):
    made = Driver(demonstration.url)
    yield made
    made.stop()


@pytest.mark.parametrize("file, flow", flows())
def test_in_a_browser(driver, file, flow):
    error = driver.run(file, flow)
    if error:
        pytest.fail(error, pytrace=False)


def test_ending_the_demonstration_ends_the_nodes_and_the_gateway():
    pids, code, left = Demonstration().stop()
    assert len(pids) >= 5  # two nodes, latchkey serve, nginx and its workers
    assert (code, left) == (0, [])
