# SPDX-License-Identifier: Apache-2.0
"""The gate over stores that nodes share, each with a real server, beside the same location with `latchkey off`; and the
session layer that many sites use now, express-session in Redis, in the same run.

One nginx worker on the first core, wrk on the second, the store's server where the system puts it. 2,000 visitors take
turns. `copies` is a gateway as it comes; `every request a look-up` has `latchkey_near life=0s`.
"""
import contextlib
import http.client
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import run

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "lib"))
import servers  # noqa: E402  from tests/lib

VISITORS = 2000
STORES = {"sqlite": ("SQLite", servers.Sqlite, 0.58), "redis": ("Redis", servers.Redis, 0.60),
          "postgres": ("PostgreSQL", servers.Postgres, 0.45), "mariadb": ("MariaDB", servers.Mariadb, 0.37)}
NEAR_TARGET, OPERATIONS_TARGET = 0.96, 0.01

CONF = """
latchkey_keys {root}/keys;
latchkey_accounts sqlite:{root}/accounts.db;
latchkey_store "{store}";
latchkey_memory {root}/{name}.table size=64m;
latchkey_near life={life};
latchkey_cookie latchkey secure=off;
"""


class Case:
    """One row of the table: a load, what it is compared with, and what came out in each round."""

    def __init__(self, what, port, cookies, path="/on", name="latchkey", connections=64, target=None, warm=False, counted=True):
        self.what, self.port, self.cookies, self.path, self.name = what, port, cookies, path, name
        self.connections, self.target, self.warm, self.counted = connections, target, warm, counted
        self.bare_busy, self.busy = [], 0  # how much of its core wrk used
        self.bare, self.rates, self.ratios, self.requests, self.lookups, self.batches = [], [], [], 0, 0, 0

    def load(self, seconds, path=None, port=None):
        """Requests a second, and how many."""
        before, begun = os.times(), time.monotonic()
        out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s",
                              HERE / "visitors.lua", f"http://127.0.0.1:{port or self.port}{path or self.path}", "--",
                              self.cookies, self.name], check=True, capture_output=True, text=True).stdout
        after, seconds = os.times(), time.monotonic() - begun
        self.busy = (after.children_user + after.children_system - before.children_user - before.children_system) / seconds
        if "Non-2xx" in out:
            raise SystemExit(f"{self.what}: some answers were not 200:\n{out}")
        return (float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
                int(re.search(r"(\d+) requests in", out).group(1)))

    def counters(self):
        text = run.get(self.port, "/auth/metrics")[2].decode()
        return [sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line))
                for name in ("latchkey_session_lookups_total", "latchkey_store_batches_total")]

    def measure(self, seconds, bare_port):
        """The same requests to `latchkey off`, right before: these machines drift."""
        if self.warm:
            self.load(1)
        self.bare.append(self.load(seconds, "/off", bare_port)[0])
        self.bare_busy.append(self.busy)
        before = self.counters() if self.counted else (0, 0)
        rate, requests = self.load(seconds)
        after = self.counters() if self.counted else (0, 0)
        self.rates.append(rate)
        self.ratios.append(rate / self.bare[-1])
        self.requests += requests
        self.lookups += after[0] - before[0]
        self.batches += after[1] - before[1]

    def row(self):
        return {"what": self.what, "connections": self.connections, "target": self.target,
                "requests_per_s": round(statistics.median(self.rates)), "ratio": statistics.median(self.ratios),
                "bare_per_s": round(statistics.median(self.bare)), "copies": self.warm,
                "bare_wrk_busy": statistics.median(self.bare_busy),
                "lookups": self.lookups / self.requests if self.counted else None,
                "batches": self.batches / self.requests if self.counted else None}


class Express:
    """express-session with connect-redis, on the core where nginx is."""

    def __init__(self, build, url):
        self.port = run.free_port()
        place = Path(build) / "express"
        place.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json", "server.js"):
            shutil.copy(HERE / "express" / name, place)
        if not self.is_installed(place):
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=place, check=True)
            shutil.copy(place / "package-lock.json", place / "node_modules" / "installed.json")
        self.process = subprocess.Popen(["taskset", "-c", "0", "node", "server.js", str(self.port)], cwd=place,
                                        env=dict(os.environ, REDIS_URL=url, NODE_ENV="production"), stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise SystemExit("express did not start")

    @staticmethod
    def is_installed(place):
        done = place / "node_modules" / "installed.json"
        return done.exists() and done.read_bytes() == (place / "package-lock.json").read_bytes()

    def log_in(self, path):
        """Make the sessions; their cookies go to PATH."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with path.open("w") as out:
            for i in range(VISITORS):
                connection.request("GET", f"/login/user-{i}")
                response = connection.getresponse()
                response.read()
                print(re.match(r"connect\.sid=([^;]+)", response.headers["Set-Cookie"]).group(1), file=out)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class StoreGate:
    def __init__(self, build, root, args, stack):
        self.build, self.root, self.args, self.stack = build, Path(root), args, stack
        self.cases = []

    def gateway(self, name, url, life, checker=1):
        conf = self.root / f"{name}.conf"
        conf.write_text(CONF.format(root=self.root, store=url, name=name, life=life))
        server = run.Nginx(self.build, self.root, name, conf, run.free_port(), checker)
        self.stack.callback(server.stop)
        return server

    def prepare(self):
        for name in self.args.stores.split(","):
            label, kind, target = STORES[name]
            store = self.stack.enter_context(kind())
            cookies = self.root / f"{name}.cookies"
            with cookies.open("w") as out:
                subprocess.run([self.build / "bench" / "bench_logins", store.url, self.root / "keys", str(VISITORS)],
                               check=True, stdout=out)
            near = self.gateway(f"{name}-near", store.url, "1m")
            self.cases.append(Case(f"{label}, copies", near.port, cookies, target=NEAR_TARGET, warm=True))
            ask = self.gateway(f"{name}-ask", store.url, "0s")
            for connections, wanted in ((64, target), (16, None), (1, None)):
                self.cases.append(Case(f"{label}, every request a look-up", ask.port, cookies, connections=connections,
                                       target=wanted))
            if name == "redis":
                self.prepare_express(store)

    def prepare_express(self, store):
        express = Express(self.build, store.url)
        self.stack.callback(express.stop)
        cookies = self.root / "express.cookies"
        express.log_in(cookies)
        front = self.gateway("express-front", store.url, "1m", express.port)
        self.cases += [Case("express-session in Redis, alone", express.port, cookies, "/check", "connect.sid", counted=False),
                       Case("express-session in Redis, auth_request", front.port, cookies, "/by-express", "connect.sid",
                            counted=False)]
        self.bare_of_express = front.port

    def run(self):
        self.prepare()
        done, total = 0, self.args.store_rounds * len(self.cases)
        for _ in range(self.args.store_rounds):
            for case in self.cases:
                case.measure(self.args.seconds, case.port if case.counted else self.bare_of_express)
                done += 1
                run.progress(done, total)
        return [case.row() for case in self.cases]


def show(rows):
    print(f"\n{'gate over stores, share of the bare answer':42} {'conns':>5} {'requests/s':>10} {'bare':>8} {'ratio':>6} "
          f"{'target':>8} {'':7} {'look-ups':>9} {'batches':>9}  a request")
    for r in rows:
        target = f">= {r['target']}" if r["target"] else ""
        met = run.met(r["ratio"], r["target"], True)
        asked = f"{r['lookups']:9.4f} {r['batches']:9.4f}" if r["lookups"] is not None else ""
        if r["copies"]:
            asked += f"  <= {OPERATIONS_TARGET}  {run.met(r['lookups'], OPERATIONS_TARGET, False)}"
        print(f"{r['what']:42} {r['connections']:5} {r['requests_per_s']:10,} {r['bare_per_s']:8,} {r['ratio']:6.3f} "
              f"{target:>8} {met:7} {asked}".rstrip())
    busy = statistics.median(r["bare_wrk_busy"] for r in rows if r["connections"] == 64)
    print(f"wrk used {busy:.0%} of its core for the bare answer; when that is near 100 % it is wrk that is measured, not nginx")
    show_times(rows)


def show_times(rows):
    """How many times what express-session answers, at 64 connections."""
    rates = {r["what"]: r["requests_per_s"] for r in rows if r["connections"] == 64}
    for ours in ("Redis, copies", "Redis, every request a look-up"):
        for theirs in ("express-session in Redis, alone", "express-session in Redis, auth_request"):
            if ours in rates and theirs in rates:
                print(f"{ours} / {theirs}: {rates[ours] / rates[theirs]:.1f}")


def bench(build, root, args):
    with contextlib.ExitStack() as stack:
        rows = StoreGate(build, root, args, stack).run()
    show(rows)
    return rows
