# SPDX-License-Identifier: Apache-2.0
"""A scene: people on several nodes, a store, and somebody who breaks it. The driver writes the history and judges by it."""
import contextlib
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from server_process import Directory, Watchdog, family, user_for

ROOT = Path(__file__).resolve().parent.parent.parent
DRIVER = Path(os.environ.get("LATCHKEY_BUILD", ROOT / "build-sanitized")).resolve() / "tests" / "faults" / "driver"
IS_PRIVATE = bool(os.environ.get("LATCHKEY_FAULTS_PRIVATE"))
IS_LONG = bool(os.environ.get("LATCHKEY_FAULTS_LONG"))
LAG_MS = 500  # latchkey_revocation_lag of the nodes
BOUND_MS = LAG_MS + 500  # later than that after an acknowledged logout nobody gets in

rows = []  # of the table that is printed at the end


def longer(seconds):
    return seconds * 4 if IS_LONG else seconds


def set_up(url):
    subprocess.run([DRIVER, "setup", "--url", url], check=True, timeout=60)


class Scene:
    """`with Scene("kill -9", "redis", url) as scene:` - within, people are at work; after it, `scene.result` holds what became of
    it, and everything that may never happen has been found not to have. LOSSES: what this store may lose, by its own
    statement: "changes"."""

    def __init__(self, fault, store, urls, guard=True, ops=None, options=(), losses=(), expects_errors=True):
        self.fault, self.store, self.guard = fault, store, guard
        self.urls = [urls] if isinstance(urls, str) else urls
        self.losses, self.expects_errors = losses, expects_errors
        self.ops, self.options = ops, options
        self.healed_ms = None
        self.directory = Path(tempfile.mkdtemp(prefix="latchkey-scene-"))
        self.history = self.directory / "history"

    def __enter__(self):
        words = [DRIVER, "run", "--history", self.history, "--dir", self.directory, "--lag", LAG_MS, "--bound", BOUND_MS]
        for url in self.urls:
            words += ["--url", url]
        if self.guard:
            words.append("--guard")
        words += ["--ops", self.ops] if self.ops else ["--pause", 3000]
        self.errors = (self.directory / "errors").open("w+")
        self.process = subprocess.Popen([str(word) for word in [*words, *self.options]], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        restore_signals=False)  # to write beyond a bound is an error, not the end
        Watchdog.tell("pid", self.process.pid)
        if self.process.stdout.readline() != "running\n":
            self.process.wait(30)
            raise AssertionError("the nodes do not open:\n" + self.said())
        return self

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def healed(self):
        """From now on all is well again: what follows is recovery."""
        self.healed_ms = time.monotonic() * 1000

    def wait_back(self, seconds=15):
        """From now on all is well again; wait until every node has noticed, and a little longer."""
        self.healed()
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(self.back()) < 3:
            time.sleep(0.1)
        time.sleep(0.5)

    def wait_failing(self, seconds=15):
        """Until somebody was told that it cannot be done."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(status in ("full", "fault") for *_, status in self.lines()):
            time.sleep(0.1)

    def back(self):
        """When each node had its first login or logout that was begun after all was well."""
        first = {}
        for begun, ended, node, act, _, status in self.lines():
            if act in ("login", "logout") and status == "ok" and begun >= self.healed_ms:
                first[node] = min(first.get(node, ended), ended)
        return first

    def wait_done(self, seconds):
        """Until the logins and logouts asked for were acknowledged."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.written() < self.ops:
            time.sleep(0.1)

    def lines(self):
        for text in self.history.read_text().split("\n")[:-1]:
            begun, ended, node, act, session, status = text.split()
            yield int(begun), int(ended), int(node), act, session, status

    def written(self):
        return sum(1 for *_, act, _, status in self.lines() if act in ("login", "logout") and status == "ok")

    def __exit__(self, kind, *failure):
        is_well = False
        try:
            out, _ = self.process.communicate(timeout=90)
            assert kind is not None or self.process.returncode == 0, self.said()
            if kind is None:
                self.result = json.loads(out.splitlines()[-1])
                self.judge()
                is_well = True
        finally:
            self.process.kill()
            self.process.wait()
            Watchdog.tell("no-pid", self.process.pid)
            self.errors.close()
            if is_well:
                shutil.rmtree(self.directory, ignore_errors=True)
            else:
                print(f"the history is kept: {self.history}")

    def recovery_ms(self):
        """From when all was well again to the first login or logout begun and acknowledged, on the last node to have one."""
        first = self.back() if self.healed_ms is not None else {}
        return max(first.values()) - self.healed_ms if len(first) == 3 else None

    def judge(self):
        r = self.result
        everywhere = [r["store"], *r["nodes"]]
        worst = {name: max(one[name] for one in everywhere) for name in r["store"]}
        recovery = self.recovery_ms()
        rows.append([self.fault, self.store, r["logins"] + r["logouts"] + r["changes"] + r["checks"], r["failed"],
                     r["longest_write_ms"], "-" if recovery is None else round(recovery), worst["lost_logins"],
                     worst["resurrected"], worst["lost_changes"], r["let_in"], r["thrown_out"]])
        said = f"{self.fault}, {self.store}: {r}"
        assert r["logins"] > 20 and r["logouts"] > 5, said
        assert worst["unknown"] == 0, said
        assert worst["resurrected"] == 0, said
        assert worst["twice"] == 0, said
        assert r["let_in"] == 0, said
        if "logins" not in self.losses:
            assert worst["lost_logins"] == 0, said
            assert r["thrown_out"] == 0, said
        if "changes" not in self.losses:
            assert worst["lost_changes"] == 0, said
        assert r["wrong"] == 0, said
        assert (r["failed"] > 0) or not self.expects_errors, said
        assert self.healed_ms is None or recovery is not None, f"never well again: {said}"


# ---- a small disk ----

class SmallDisk:
    """A file system with little room, for the user of a server; without the right to mount one, a bound for the files that
    the server's processes write instead."""
    is_real = IS_PRIVATE

    def __init__(self, megabytes, user=None):
        self.megabytes, self.user = megabytes, user and user_for(user)

    def __enter__(self):
        self.directory = Directory("small-disk", self.user)
        self.path = self.directory.path
        if self.is_real:
            size = f"size={self.megabytes}m,mode=0700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", self.path], check=True)
            self.directory.own(self.path)
        return self

    @property
    def how(self):
        return "full disk" if self.is_real else "full disk (bound on file size: mounting is not allowed here)"

    def fill(self, pid, bound=4096):
        """No room any more. PID: of the process that writes; BOUND: how large its files may be, where there is no disk."""
        if not self.is_real:
            self.limit(pid, bound)
            return
        with contextlib.suppress(OSError), (self.path / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def free(self, pid):
        if not self.is_real:
            self.limit(pid, resource.RLIM_INFINITY)
            return
        (self.path / "filler").unlink()

    @staticmethod
    def limit(pid, bound):
        for one in family(pid):
            resource.prlimit(one, resource.RLIMIT_FSIZE, (bound, resource.RLIM_INFINITY))

    def largest(self):
        return max(path.stat().st_size for path in self.path.iterdir())

    def __exit__(self, *failure):
        if self.is_real:
            subprocess.run(["umount", "-l", self.path], check=True)
        self.directory.remove()


# ---- a node far away ----

NEAR, FAR, NETWORK = "10.231.7.1", "10.231.7.2", "10.231.7.0/30"


class Cable:
    """A network name space for one node, and a cable to it that can be cut."""

    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "600"], stdin=subprocess.DEVNULL)
        Watchdog.tell("pid", self.holder.pid)
        self.netns = f"/proc/{self.holder.pid}/ns/net"
        while os.readlink(self.netns) == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        self.ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(self.holder.pid))
        self.ip("addr", "add", f"{NEAR}/30", "dev", "near")
        self.ip("link", "set", "near", "up")
        for words in (["addr", "add", f"{FAR}/30", "dev", "far"], ["link", "set", "far", "up"], ["link", "set", "lo", "up"]):
            subprocess.run(["nsenter", f"--net={self.netns}", "ip", *words], check=True)
        return self

    @staticmethod
    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    def cut(self):
        self.ip("link", "set", "near", "down")

    def heal(self):
        self.ip("link", "set", "near", "up")
        # An interface that was down has forgotten its address.
        subprocess.run(["ip", "addr", "add", f"{NEAR}/30", "dev", "near"], check=False, capture_output=True)

    def __exit__(self, *failure):
        subprocess.run(["ip", "link", "del", "near"], check=False, capture_output=True)
        self.holder.kill()
        self.holder.wait()
        Watchdog.tell("no-pid", self.holder.pid)
