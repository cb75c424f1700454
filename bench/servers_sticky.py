# SPDX-License-Identifier: Apache-2.0
"""What it costs to stay with a server: `latchkey_sticky` and nginx's `ip_hash` beside nginx's round robin, to the same three
servers, with and without a `zone`.

The balancer has one worker on the first core; the servers (a bare nginx with three ports) and wrk are on the second. All
cases are sent the same requests: of 2,000 visitors in turn, each with the cookie that the balancer gave him.
"""
import http.client
import os
import re
import statistics
import subprocess
import time
from pathlib import Path

import run

HERE = Path(__file__).resolve().parent
VISITORS = 2000
TARGET = 1.02
COOKIE = "latchkey-node"

HEAD = """
{main}
{user}worker_processes 1;
worker_cpu_affinity {core};
error_log {dir}/error.log warn;
pid {dir}/nginx.pid;
events {{ worker_connections 2048; }}
"""

HTTP = """
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
"""

# name in the URL, method, zone, what it is compared with
CASES = [("rr", "", False, None, "round robin"),
         ("ip", "ip_hash;", False, "rr", "ip_hash"),
         ("sticky", "latchkey_sticky;", False, "rr", "latchkey_sticky"),
         ("zone-rr", "", True, None, "round robin, zone"),
         ("zone-ip", "ip_hash;", True, "zone-rr", "ip_hash, zone"),
         ("zone-sticky", "latchkey_sticky;", True, "zone-rr", "latchkey_sticky, zone")]


class Nginx(run.Nginx):
    """One nginx with one worker on one core."""

    def __init__(self, root, name, core, http_block, main=""):
        self.dir = Path(root) / name
        self.dir.mkdir()
        self.port = 0
        user = "user root;\n" if os.geteuid() == 0 else ""
        (self.dir / "nginx.conf").write_text(HEAD.format(main=main, user=user, core=core, dir=self.dir)
                                             + "http {\n" + HTTP.format(dir=self.dir) + http_block + "}\n")
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(self.dir), "-c", str(self.dir / "nginx.conf"),
                                         "-e", str(self.dir / "error.log"), "-g", "daemon off;"])

    def wait_for(self, port, path):
        for _ in range(200):
            try:
                if run.get(port, path)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise SystemExit(f"nginx did not become ready:\n{(self.dir / 'error.log').read_text()}")


class Sticky:
    def __init__(self, build, root, args):
        self.build, self.args, self.root, self.servers = build, args, Path(root), []

    def start(self):
        build, root = self.build, self.root
        ports = [run.free_port() for _ in range(3)]
        self.port = run.free_port()
        self.servers.append(Nginx(root, "servers", "10", "\n".join(
            f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }}" for port in ports)))
        self.servers[0].wait_for(ports[0], "/")
        conf = self.root / "latchkey.conf"
        conf.write_text(f"latchkey_keys {root}/keys;\n")
        lines = " ".join(f"server 127.0.0.1:{port};" for port in ports)
        upstreams = "\n".join(f"upstream {name} {{ {f'zone {name} 64k;' if zone else ''} {lines} {method} keepalive 64; }}"
                              for name, method, zone, _, _ in CASES)
        locations = "\n".join(f"location /{name} {{ proxy_pass http://{name}; }}" for name, *_ in CASES)
        self.servers.append(Nginx(root, "balancer", "01", f"""
            include {conf};
            {upstreams}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            server {{ listen 127.0.0.1:{self.port}; {locations} }}
        """, f"load_module {build}/ngx_http_latchkey_module.so;\n"))
        self.balancer = self.servers[1]
        self.balancer.wait_for(self.port, "/sticky")
        self.cookies = self.root / "cookies"
        self.visit()

    def visit(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with self.cookies.open("w") as out:
            for _ in range(VISITORS):
                connection.request("GET", "/sticky")
                response = connection.getresponse()
                response.read()
                print(re.match(rf"{COOKIE}=([^;]+)", response.headers["Set-Cookie"]).group(1), file=out)

    def load(self, name):
        """Requests a second, and nanoseconds of the worker for each."""
        before = self.balancer.worker_ns()
        out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{self.args.seconds}s", "-s",
                              HERE / "visitors.lua", f"http://127.0.0.1:{self.port}/{name}", "--", self.cookies, COOKIE],
                             check=True, capture_output=True, text=True).stdout
        spent = self.balancer.worker_ns() - before
        if "Non-2xx" in out:
            raise SystemExit(f"{name}: some answers were not 200:\n{out}")
        return (float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
                spent / int(re.search(r"(\d+) requests in", out).group(1)))

    def run(self):
        found = {name: [] for name, *_ in CASES}
        for done in range(self.args.rounds):
            order = CASES if done % 2 == 0 else CASES[::-1]  # nobody is always the first after another
            for at, (name, *_) in enumerate(order):
                found[name].append(self.load(name))
                run.progress(done * len(CASES) + at + 1, self.args.rounds * len(CASES))
        rows = []
        for name, _, _, beside, what in CASES:
            rates, spent = zip(*found[name])
            row = {"what": what, "requests_per_s": round(statistics.median(rates)), "worker_ns": statistics.median(spent),
                   "ratio": None, "worker_ratio": None, "target": TARGET if name.endswith("sticky") else None}
            if beside:
                row["ratio"] = statistics.median(a[0] / b[0] for a, b in zip(found[name], found[beside]))
                row["worker_ratio"] = statistics.median(a[1] / b[1] for a, b in zip(found[name], found[beside]))
            rows.append(row)
        return rows

    def stop(self):
        for server in self.servers:
            server.stop()


def show(rows):
    print(f"\n{'balancers, beside round robin':28} {'requests/s':>11} {'ratio':>7} {'worker ns':>10} {'ratio':>7} {'target':>8}")
    for r in rows:
        ratios = [f"{r[key]:7.3f}" if r[key] else " " * 7 for key in ("ratio", "worker_ratio")]
        target = f"<= {r['target']}" if r["target"] else ""
        verdict = run.met(r["worker_ratio"], r["target"], False)
        print(f"{r['what']:28} {r['requests_per_s']:11,} {ratios[0]} {r['worker_ns']:10,.0f} {ratios[1]} {target:>8} "
              f"{verdict}".rstrip())


def bench(build, root, args):
    sticky = Sticky(build, root, args)
    try:
        sticky.start()
        rows = sticky.run()
    finally:
        sticky.stop()
    show(rows)
    return rows
