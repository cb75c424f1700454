# SPDX-License-Identifier: Apache-2.0
"""Two nodes of one site, visitors who use it all the time, and what became of each of them."""
import json
import os
import random
import re
import subprocess
import threading
import time

from conftest import COMMAND
from gateway import Browser, Gateway


class Site:
    """NODES gateways with one set of keys and accounts, that share logins the way of SHARE."""

    def __init__(self, folder, share, store, replicas=(), nodes=2):
        self.nodes, self.folder = [], folder
        for i in range(nodes):
            place = folder / f"n{i}"
            words = ["--share", share, "--store", store.replace("{dir}", str(place)), "--keys", str(folder / "keys"),
                     "--accounts", f"sqlite:{folder}/accounts.db", "--workers", "1"]
            if replicas:
                words += ["--replica", replicas[i % len(replicas)]]
            self.nodes.append(Gateway(place, *words))

    @property
    def confs(self):
        return [str(node.folder / "latchkey.conf") for node in self.nodes]

    def move(self, *words, only=None, timeout=120):
        """Gives the exit code and what was said. ONLY: of that node."""
        confs = [word for conf in (self.confs if only is None else [self.confs[only]]) for word in ("--conf", conf)]
        done = subprocess.run([str(COMMAND), "move", *words, *confs], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        return done.returncode, done.stdout + done.stderr

    def close(self):
        for node in self.nodes:
            node.stop()
            node.forget()

    def logs(self):
        return "".join(node.log() for node in self.nodes)


class Visitor(Browser):
    """One browser. It stays with its node where the site's balancer would see to that."""

    def __init__(self, site, number, sticks, user):
        super().__init__(site.nodes[number % len(site.nodes)])
        self.site, self.sticks, self.user = site, sticks, user
        self.n, self.unsure, self.requests, self.waited, self.logouts = 0, False, 0, 0, 0
        self.lost, self.dead = [], []

    def send(self, *args, **kwargs):
        """Where the answer is that nobody can say now, or no answer: once more, as a browser's user would."""
        for _ in range(60):
            if not self.sticks:
                self.gateway = random.choice(self.site.nodes)
            self.requests += 1
            try:
                answer = super().send(*args, **kwargs)
            except OSError:
                answer = None
            if answer is not None and answer.status not in (429, 502, 503):
                return answer
            self.waited += 1
            time.sleep(0.1)
        raise AssertionError("no answer for six seconds")

    def enter(self):
        self.cookies = {}
        self.login(self.user)
        self.n, self.unsure = 0, False

    def put(self):
        waited = self.waited
        answer = self.send("PATCH", "/auth/session/data", {"n": self.n + 1}, {"Sec-Fetch-Site": "same-origin"})
        if answer.status in (200, 204):
            self.n += 1
        elif answer.status == 401 and waited == self.waited:
            self.lost.append(("put", answer.status, answer.body[:200]))
            self.enter()
        else:
            self.enter()

    def look(self):
        answer = self.send("GET", "/auth/session/data")
        data = json.loads(answer.body) if answer.status == 200 else {}
        value = data.get("data", data.get("fields", data)).get("n", 0) if answer.status == 200 else None
        if value != self.n:
            self.lost.append(("look", answer.status, value, self.n))
            self.enter()

    def leave(self):
        before = dict(self.cookies)
        answer = self.send("POST", "/auth/logout", None, {"Sec-Fetch-Site": "same-origin"})
        assert answer.status in (200, 204), (answer.status, answer.body)
        self.dead.append(before)
        self.logouts += 1
        self.enter()


class Crowd:
    """Some visitors are busy from now until `stop`, some come back only at the end."""

    def __init__(self, site, sticks, busy=4, away=4):
        self.site, self.stopping, self.failed = site, threading.Event(), []
        first = Browser(site.nodes[0])
        first.register("alice")
        self.visitors = [Visitor(site, i, sticks, "alice") for i in range(busy + away)]
        self.busy, self.away = self.visitors[:busy], self.visitors[busy:]
        for visitor in self.visitors:
            visitor.enter()
            visitor.put()
        for visitor in self.away[:1]:
            visitor.leave()
            visitor.put()
        self.threads = [threading.Thread(target=self.work, args=(v,), daemon=True) for v in self.busy]
        for thread in self.threads:
            thread.start()

    def work(self, visitor):
        step = 0
        while not self.stopping.is_set():
            try:
                step += 1
                visitor.put()
                visitor.look()
                if step % 6 == 0:
                    visitor.leave()
            except Exception as problem:  # pylint: disable=broad-except
                self.failed.append(repr(problem))
                return
            time.sleep(0.02)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)

    def settle(self):
        """Every visitor once more, and every login that was ended, on every node. Gives lost and undone."""
        for visitor in self.visitors:
            visitor.look()
            visitor.put()
            visitor.look()
        undone = []
        for visitor in self.visitors:
            for cookies in visitor.dead:
                for node in self.site.nodes:
                    ghost = Browser(node)
                    ghost.cookies = dict(cookies)
                    answer = ghost.get("/auth/session")
                    if answer.status == 200:
                        undone.append((node.folder.name, cookies, answer.body[:100]))
        return [what for visitor in self.visitors for what in visitor.lost], undone

    def total(self, name):
        return sum(getattr(visitor, name) for visitor in self.visitors)


def number(said, pattern):
    found = re.search(pattern, said)
    return int(found[1].replace(",", "")) if found else 0
