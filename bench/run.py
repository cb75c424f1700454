#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measure latchkey here and now, and print each figure beside its target.

    bench/run.py BUILD [--rounds N] [--seconds S] [--only gate,library,memory,stores,lookups,revoke,many,sticky]
                 [--json FILE] [--stores sqlite,redis,postgres,mariadb] [--store-rounds N] [--revocations N] [--sessions N]

gate     requests/s of a location with `latchkey required` as a share of the same location with `latchkey off`: one
         nginx worker on one core, wrk with 64 connections on another, cases in turn, median of the rounds.
library  nanoseconds per signature check beside the raw primitive, and beside the other C libraries for JWT.
memory   bytes per session at 1,000,000 sessions, and the time of a look-up as the number grows.
many     1,000,000 sessions in each of the stores that nodes share (20,000 logged in, the rest written in bulk): bytes each,
         the list of a user who has 20, the longest call of the sweep and the longest look-up meanwhile.
stores   the gate over stores that nodes share, each with a real server, with copies and with a look-up for every request;
         beside them express-session in Redis (npm). servers_gate.py
lookups  batched look-ups through the library as a share of what the raw client of the same store reaches.
sticky   latchkey_sticky and ip_hash beside nginx's round robin to the same servers. servers_sticky.py
revoke   from the acknowledgement of a revocation to its refusal by the last of three nodes: p50, p99, longest.
"""
import argparse
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NGINX_CONF = """
{user}worker_processes 1;
worker_cpu_affinity 01;
load_module {module};
error_log {dir}/error.log warn;
pid {dir}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    include {conf};
    upstream checker {{ server 127.0.0.1:{checker}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location /auth/ {{ latchkey_api; }}
        location = /off {{ latchkey off; empty_gif; }}
        location = /on {{ latchkey required; empty_gif; }}
        location = /by-express {{ auth_request /express; empty_gif; }}
        location = /sub {{ auth_request /check; empty_gif; }}
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Content-Length "";
        proxy_pass_request_body off;
        location = /check {{ internal; proxy_pass http://checker/on; }}
        location = /express {{ internal; proxy_pass http://checker/check; }}
    }}
}}
"""

LATCHKEY_CONF = """
latchkey_keys {keys};
latchkey_accounts sqlite:{root}/accounts.db;
latchkey_store {store};
latchkey_memory {memory} size=64m;
latchkey_cookie latchkey secure=off;
latchkey_jwt alg={alg} ttl=2h;
latchkey_token ttl=2h;
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path):
    """Status, header fields and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.headers, response.read()


class Nginx:
    """One nginx of our own: its directory, its port, its process."""

    def __init__(self, build, root, name, conf, port, checker):
        self.dir = Path(root) / name
        self.dir.mkdir()
        self.port = port
        (self.dir / "nginx.conf").write_text(NGINX_CONF.format(
            user="user root;\n" if os.geteuid() == 0 else "",
            module=build / "ngx_http_latchkey_module.so", dir=self.dir, conf=conf, port=port, checker=checker))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(self.dir), "-c", str(self.dir / "nginx.conf"),
                                         "-e", str(self.dir / "error.log"), "-g", "daemon off;"])
        self.wait()

    def wait(self):
        for _ in range(200):
            try:
                if self.call("GET", "/auth/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        self.stop()
        raise SystemExit(f"nginx did not become ready:\n{(self.dir / 'error.log').read_text()}")

    def worker_ns(self):
        """Processor time of the worker and its threads until now."""
        pid = self.process.pid
        worker = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        return sum(int(thread.read_text().split()[0]) for thread in Path(f"/proc/{worker}/task").glob("*/schedstat"))

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, json.dumps(body) if body else None,
                           dict({"Content-Type": "application/json"} if body else {}, **(headers or {})))
        response = connection.getresponse()
        return response.status, response.headers, response.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Gate:
    """The gateway benchmark: two stores, the credentials, the same check behind auth_request."""

    def __init__(self, build, root, args):
        self.build, self.root, self.args = build, Path(root), args
        self.servers, self.cases = [], []

    def conf(self, name, store, alg):
        path = self.root / f"{name}-{alg}.conf"
        path.write_text(LATCHKEY_CONF.format(keys=self.root / "keys", root=self.root, store=store, alg=alg,
                                             memory=self.root / f"{name}.table"))
        return path

    def start(self, name, store):
        main, checker = free_port(), free_port()
        conf = self.conf(name, store, "HS256")
        for server, port, peer in ((name, main, checker), (name + "-checker", checker, main)):
            self.servers.append(Nginx(self.build, self.root, server, conf, port, peer))
        return self.servers[-2]

    def prepare(self):
        memory = self.start("memory", "memory:")
        lmdb = self.start("lmdb", f"lmdb:{self.root}/sessions")
        user = {"username": "alice", "password": "correct horse battery staple"}
        status, _, body = memory.call("POST", "/auth/register", user)
        if status != 201:
            raise SystemExit(f"register answered {status}: {body!r}")
        for server, label, target in ((memory, "memory session", 0.96), (lmdb, "LMDB session", 0.93)):
            _, headers, _ = server.call("POST", "/auth/login", user)
            cookie = headers["Set-Cookie"].split(";")[0]
            self.add(label, server, f"Cookie: {cookie}", target)
            if server is memory:
                self.add("memory session by auth_request", server, f"Cookie: {cookie}", None, "/sub")
        _, headers, _ = memory.call("POST", "/auth/login", dict(user, credential="sealed"))
        self.add("sealed session", memory, f"Cookie: {headers['Set-Cookie'].split(';')[0]}", 0.92)
        for kind, alg, label, target in (("simple", "HS256", "simple token", 0.93), ("jwt", "HS256", "JWT HS256", 0.93),
                                         ("jwt", "EdDSA", "JWT EdDSA, repeated", 0.93),
                                         ("jwt", "ES256", "JWT ES256, repeated", 0.93),
                                         ("jwt", "RS256", "JWT RS256, repeated", 0.93)):
            token = self.mint(kind, self.conf("memory", "memory:", alg))
            self.add(label, memory, f"Authorization: Bearer {token}", target)
            if label == "JWT HS256":
                self.add("JWT HS256 by auth_request", memory, f"Authorization: Bearer {token}", None, "/sub")
        for server, label in ((memory, "bare (latchkey off)"),):
            self.add(label, server, "X-None: 1", None, "/off")

    def mint(self, kind, conf):
        return subprocess.run([self.build / "latchkey", "token", "mint", "--conf", conf, "--kind", kind, "--user", "alice",
                               "--ttl", "1h"], check=True, capture_output=True, text=True).stdout.strip()

    def add(self, label, server, header, target, path="/on"):
        status, _, body = server.call("GET", path, headers=dict([header.split(": ", 1)]))
        if status != 200:
            raise SystemExit(f"{label}: {path} answered {status}: {body!r}")
        self.cases.append({"what": label, "header": header, "target": target, "server": server, "path": path,
                           "rates": [], "ns": []})

    def load(self, case):
        """Requests a second, and the processor time of the worker for one."""
        before = case["server"].worker_ns()
        out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{self.args.seconds}s", "-H", case["header"],
                              f"http://127.0.0.1:{case['server'].port}{case['path']}"], check=True,
                             capture_output=True, text=True).stdout
        after = case["server"].worker_ns()
        if "Non-2xx" in out:
            raise SystemExit(f"{case['what']}: some answers were not 200:\n{out}")
        return (float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
                (after - before) / int(re.search(r"(\d+) requests in", out).group(1)))

    def run(self):
        self.prepare()
        bare = self.cases[-1]
        total, done = self.args.rounds * 2 * (len(self.cases) - 1), 0
        for _ in range(self.args.rounds):
            for case in self.cases[:-1]:
                # The same request to the same server, `latchkey off`, right before each case: these machines drift.
                beside = dict(bare, header=case["header"], server=case["server"])
                for kept, which in ((bare, beside), (case, case)):
                    rate, ns = self.load(which)
                    kept["rates"].append(rate)
                    kept["ns"].append(ns)
                    done += 1
                    progress(done, total)
                case.setdefault("ratios", []).append(case["rates"][-1] / bare["rates"][-1])
                case.setdefault("ns_ratios", []).append(bare["ns"][-1] / case["ns"][-1])
        rows = [{"what": c["what"], "requests_per_s": round(statistics.median(c["rates"])),
                 "ratio": statistics.median(c["ratios"]), "target": c["target"], "worker_ns": statistics.median(c["ns"]),
                 "worker_ratio": statistics.median(c["ns_ratios"])} for c in self.cases[:-1]]
        for direct, sub in (("memory session", "memory session by auth_request"),
                            ("JWT HS256", "JWT HS256 by auth_request")):
            by_name = {c["what"]: c for c in self.cases}
            times = [a / b for a, b in zip(by_name[direct]["ratios"], by_name[sub]["ratios"])]
            rows.append({"what": f"{direct} / the same by auth_request", "requests_per_s": None,
                         "ratio": statistics.median(times), "target": 2.5})
        rows.insert(0, {"what": bare["what"], "requests_per_s": round(statistics.median(bare["rates"])), "ratio": 1.0,
                        "target": None, "worker_ns": statistics.median(bare["ns"]), "worker_ratio": 1.0})
        return rows

    def stop(self):
        for server in self.servers:
            server.stop()


def progress(done, total):
    if sys.stderr.isatty():
        width = 40 * done // total
        print(f"\r[{'#' * width}{'.' * (40 - width)}] {done}/{total}", end="\n" if done == total else "", file=sys.stderr)


def met(ratio, target, at_least):
    if target is None:
        return ""
    return "met" if (ratio >= target if at_least else ratio <= target) else "NOT met"


def show_gate(rows):
    print(f"\n{'gate check, share of the bare answer':44} {'requests/s':>11} {'ratio':>7} {'worker ns':>10} {'ratio':>7} {'target':>8}")
    for r in rows:
        rate = f"{r['requests_per_s']:,}" if r["requests_per_s"] else ""
        target = f">= {r['target']}" if r["target"] else ""
        # Of what one worker does alone, its processor time is the truer measure; auth_request is the work of two.
        alone = "auth_request" not in r["what"]
        worker = f"{r['worker_ns']:10,.0f} {r['worker_ratio']:7.3f}" if alone else " " * 18
        verdict = met(r["worker_ratio"] if alone else r["ratio"], r["target"], True)
        print(f"{r['what']:44} {rate:>11} {r['ratio']:7.3f} {worker} {target:>8}  {verdict}".rstrip())


LIBRARY = (("JWT HS256 verify with claims", "raw HMAC-SHA256, prepared key", 2.5),
           ("JWT HS256 sign", "raw HMAC-SHA256, prepared key", None),
           ("simple token verify", "raw HMAC-SHA256 of the simple token", None),
           ("sealed session open", "raw AES-256-GCM of the sealed session", None),
           ("sealed session make", "raw AES-256-GCM of the sealed session", None),
           ("JWT EdDSA verify with claims", "raw Ed25519 verify, libsodium", 1.05),
           ("JWT ES256 verify with claims", "raw ECDSA P-256 verify, OpenSSL", 1.05),
           ("JWT RS256 verify with claims", "raw RSA-2048 verify, OpenSSL", 1.05),
           ("JWT PS256 verify with claims", "raw RSA-2048 PSS verify, OpenSSL", 1.05),
           ("JWT ES384 verify with claims", "raw ECDSA P-384 verify, OpenSSL", 1.05),
           ("JWT ES512 verify with claims", "raw ECDSA P-521 verify, OpenSSL", 1.05),
           ("JWT Ed448 verify with claims", "raw Ed448 verify, OpenSSL", 1.05))
PEERS = ("libjwt", "rhonabwy", "cjose", "jose")
PEER_TARGET = 1 / 6  # of the fastest of them


def bench_library(build):
    out = subprocess.run([build / "bench" / "bench_library", "--json"], check=True, capture_output=True, text=True).stdout
    ns = {row["what"]: row["ns"] for row in json.loads(out)}
    rows = [{"what": what, "ns": ns[what], "raw": raw, "raw_ns": ns[raw], "ratio": ns[what] / ns[raw], "target": target}
            for what, raw, target in LIBRARY]
    print(f"\n{'library, nanoseconds':34} {'ns':>9} {'raw ns':>9} {'ratio':>7} {'target':>8}")
    for r in rows:
        target = f"<= {r['target']}" if r["target"] else ""
        print(f"{r['what']:34} {r['ns']:9,} {r['raw_ns']:9,} {r['ratio']:7.2f} {target:>8}  "
              f"{met(r['ratio'], r['target'], False)}")
    return rows + bench_peers(ns)


def bench_peers(ns):
    """The other libraries for JWT, as far as they were there when the bench was built, and ours beside the fastest."""
    ours = ns["JWT HS256 verify with claims"]
    rows = [{"what": f"{name} HS256 with claims", "ns": ns[f"{name} HS256 with claims"]} for name in PEERS
            if f"{name} HS256 with claims" in ns]
    if not rows:
        print("no other library for JWT was installed when the bench was built (packaging/setup.sh bench)")
        return []
    for r in rows:
        print(f"{r['what']:34} {r['ns']:9,}")
    fastest = min(r["ns"] for r in rows)
    print(f"{'latchkey beside the fastest of these':34} {ours:7,} {fastest:9,} {ours / fastest:7.3f} {'<= 0.167':>8}  "
          f"{met(ours / fastest, PEER_TARGET, False)}")
    return rows + [{"what": "latchkey beside the fastest", "ratio": ours / fastest, "target": PEER_TARGET}]


def bench_html(build):
    out = subprocess.run([build / "bench" / "bench_html", "--json"], check=True, capture_output=True, text=True).stdout
    print(f"\n{'links rewritten, one core':34} {'MB/s':>9} {'':>9} {'':>7} {'target':>8}")
    rows = json.loads(out)
    for r in rows:
        print(f"{r['what']:34} {r['mb_s']:9,} {'':9} {'':7} {'>= 200':>8}  {met(r['mb_s'], 200, True)}")
    return rows


def bench_memory(build, args):
    rows = {}
    for name in ("bench_table", "bench_store"):
        print(f"\n{name.replace('bench_', '')}: bytes per session and time of a look-up", flush=True)
        subprocess.run([build / "bench" / name], check=True)
        if args.json:
            rows[name] = json.loads(subprocess.run([build / "bench" / name, "--json"], check=True, capture_output=True,
                                                   text=True).stdout)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--only", default="library,memory,lookups,revoke,many,gate,stores,sticky")
    parser.add_argument("--stores", default="sqlite,redis,postgres,mariadb")
    parser.add_argument("--store-rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=1000000)
    parser.add_argument("--revocations", type=int, default=300)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    build, only, result = args.build.resolve(), args.only.split(","), {}
    print(f"latchkey bench: {os.cpu_count()} cores, {time.strftime('%Y-%m-%d %H:%M')}, "
          f"{args.rounds} rounds of {args.seconds} s")
    if os.getloadavg()[0] > 0.7:
        print(f"this machine is busy (load {os.getloadavg()[0]:.1f}): whoever has more threads gets more of it, and ratios say little")
    if "library" in only:
        result["library"] = bench_library(build)
        result["html"] = bench_html(build)
    if "memory" in only:
        result["memory"] = bench_memory(build, args)
    for name in ("lookups", "revoke", "many"):
        if name in only:
            import servers_library  # needs what is above
            result[name] = getattr(servers_library, f"bench_{name}")(build, args)
    if "gate" in only:
        root = tempfile.mkdtemp(prefix="latchkey-bench-")
        gate = Gate(build, root, args)
        try:
            result["gate"] = gate.run()
            show_gate(result["gate"])
        finally:
            gate.stop()
            shutil.rmtree(root, ignore_errors=True)
    if "stores" in only:
        import servers_gate  # needs what is above
        with tempfile.TemporaryDirectory(prefix="latchkey-bench-") as root:
            result["stores"] = servers_gate.bench(build, root, args)
    if "sticky" in only:
        import servers_sticky  # needs what is above
        with tempfile.TemporaryDirectory(prefix="latchkey-bench-") as root:
            result["sticky"] = servers_sticky.bench(build, root, args)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
