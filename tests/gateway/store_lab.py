# SPDX-License-Identifier: Apache-2.0
"""Several gateways on one store, an application that echoes who it was told is asking, and crowds of visitors."""
import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from gateway_lab import COMMAND, COOKIE, NGINX, Client, free_port, raw, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
import servers  # noqa: E402  from tests/lib

PASSWORD = "correct horse battery staple"
FAST = {"latchkey_throttle": "account=1000000/15m address=1000000/15m"}


class Echo:
    """An nginx without any module of ours: answers with the identity headers it was sent."""

    def __init__(self, folder):
        self.port = free_port()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        temps = "\n".join(f"{n}_temp_path {folder}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(f"""
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    {temps}
    access_log off;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        location / {{ default_type text/plain; return 200 "$http_remote_user|$http_latchkey_session"; }}
    }}
}}
""")
        self.process = subprocess.Popen([NGINX, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"],
                                        stdin=subprocess.DEVNULL)
        wait_until(self.answers, 30, "the start of the application")

    def answers(self):
        try:
            return raw(self.port, b"GET / HTTP/1.0\r\n\r\n").status == 200
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(15)


def nodes(gateways, folder, url, n=1, near=None, server="", locations="", settings=None, http="", wait=True, start=True,
          init=True, **kw):
    """N gateways that share keys, accounts and the store at URL; each has a table of its own. SERVER is for each of
    them; `/echo/` is a protected location behind which `gateways.echo` answers."""
    if "://" in url and "deadline=" not in url:
        url += "?deadline=1s"  # machines that run tests are busy; what is about deadlines gives its own
    if gateways.echo is None:
        gateways.echo = Echo(Path(folder) / "echo")
    shared = {"latchkey_keys": f"{folder}/keys", "latchkey_accounts": f"sqlite:{folder}/data/accounts.db",
              "latchkey_store": f'"{url}"', **FAST}
    if near is not None:
        shared["latchkey_near"] = near
    shared.update(settings or {})
    up = f"proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection '';"
    made = []
    for _ in range(n):
        gateway = gateways(
            settings=shared, http=f"upstream application {{ server 127.0.0.1:{gateways.echo.port}; keepalive 64; }}\n"
            f"keepalive_requests 1000000;\n{http}",
            server=f"""
            location /echo/ {{ latchkey required; {up} }}
            location /who/ {{ latchkey optional; {up} }}
            location /anonymous/ {{ latchkey optional anonymous; {up} }}
            location /open/ {{ {up} }}
            {locations.replace("@up;", up)}
            {server}""", **kw)
        # A busy machine may take longer than the deadline to the first connection; that it comes is waited for below.
        gateway.expected_faults = ["answering 503 and trying again"] if "://" in url else []
        made.append(gateway)
    if init and "://" in shared["latchkey_store"] + shared["latchkey_accounts"]:
        run = subprocess.run([str(COMMAND), "store", "init", "--conf", f"{made[0].folder}/latchkey.conf"], env=made[0].env,
                             capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr + run.stdout
    for gateway in made if start else []:
        gateway.start(wait=wait)
    if wait:
        for gateway in made:
            wait_ready(gateway)
    return made


def wait_ready(gateway, seconds=30):
    wait_until(lambda: is_ready(gateway), seconds, "readiness")


def is_ready(gateway):
    try:
        return get(gateway, "/auth/health/ready").status == 200
    except OSError:
        return False


def get(gateway, path, cookie=None, bearer=None, method="GET", timeout=30, headers=""):
    """One request on a connection of its own."""
    who = f"Cookie: {COOKIE}={cookie}\r\n" if cookie else f"Authorization: Bearer {bearer}\r\n" if bearer else ""
    body = "Content-Length: 0\r\n" if method != "GET" else ""
    return raw(gateway.port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{who}{headers}{body}\r\n",
               method=method, timeout=timeout)


def timed(call):
    """CALL's result and how many seconds it took."""
    begun = time.monotonic()
    result = call()
    return result, time.monotonic() - begun


STORES = (os.environ.get("LATCHKEY_STORES") or "sqlite redis redis_sentinel redis_cluster postgres mariadb").split()


@contextlib.contextmanager
def opened(name, durable=False):
    """The store NAME, with a real server where it needs one."""
    kinds = {"sqlite": servers.Sqlite, "redis": servers.Redis, "redis_sentinel": servers.RedisSentinel,
             "redis_cluster": servers.RedisCluster, "postgres": servers.Postgres, "mariadb": servers.Mariadb}
    with kinds[name](durable=durable) as s:
        yield s


class Visitors:
    """Cookies of many visitors and what the application must be told for each: "name|public id"."""

    def __init__(self, gateway, users=0, anonymous=0):
        self.told = {}
        self.users = {}
        for i in range(users):
            self.log_in(gateway, f"user{i}")
        for _ in range(anonymous):
            client = Client(gateway.port)
            answer = client.get("/anonymous/", headers={"Accept": "text/html"})
            assert answer.status == 200, answer
            client.close()
            self.told[client.cookies[COOKIE]] = answer.text

    def log_in(self, gateway, name, register=True):
        client = Client(gateway.port)
        if register:
            assert client.register(name).status == 201
        answer = client.login(name)
        assert answer.status == 200, answer
        client.close()
        cookie = client.cookies[COOKIE]
        self.users[name] = cookie
        self.told[cookie] = f"{name}|{answer.json['session']['public_id']}"
        return cookie


async def ask(reader, writer, path, cookie, method="GET"):
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nCookie: {COOKIE}={cookie}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = re.search(rb"\r\nContent-Length: (\d+)", head, re.I)
    chunked = re.search(rb"\r\nTransfer-Encoding: chunked", head, re.I)
    body = b""
    if length:
        body = await reader.readexactly(int(length.group(1)))
    while chunked:
        size = int(await reader.readuntil(b"\r\n"), 16)
        body += (await reader.readexactly(size + 2))[:-2]
        if size == 0:
            break
    return status, head, body


def http2(port, requests):
    """Ask for all of REQUESTS (path, cookie) on one connection at once; status and body of each, in that order. As much of
    RFC 9113 as that takes: header fields are sent as literals, and of those that come only :status is read."""
    def frame(kind, flags, stream, payload=b""):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    def field(name, value):
        return name + bytes([len(value)]) + value.encode()

    status, body, open_streams = {}, {}, set()
    with socket.create_connection(("127.0.0.1", port), 30) as s, s.makefile("rb") as stream:
        out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
        for i, (path, cookie) in enumerate(requests):
            block = b"\x82\x86" + field(b"\x04", path) + field(b"\x01", "localhost") + field(b"\x0f\x11", cookie)
            out += frame(1, 5, 2 * i + 1, block)
            open_streams.add(i)
        s.sendall(out)
        while open_streams:
            head = stream.read(9)
            kind, flags, i = head[3], head[4], int.from_bytes(head[5:], "big") // 2
            payload = stream.read(int.from_bytes(head[:3], "big"))
            assert kind not in (3, 7), f"stream {i} was reset" if kind == 3 else payload
            if kind == 0:
                body[i] = body.get(i, b"") + payload
            elif kind == 1:
                status[i] = {0x88: 200, 0x8c: 404}.get(payload.lstrip(b"\x20")[0], 0)
            elif kind == 4 and not flags & 1:
                s.sendall(frame(4, 1, 0))
            if kind in (0, 1) and flags & 1:
                open_streams.discard(i)
    return [(status[i], body.get(i, b"").decode()) for i in range(len(requests))]


class Storm:
    """CONNECTIONS visitors at once, each request with another cookie of TOLD; every answer is held against it."""

    def __init__(self, ports, told, path="/who/", connections=64):
        self.ports = ports
        self.told = list(told.items())
        self.path = path
        self.connections = connections
        self.right = self.unknown = self.lost = self.cut = 0
        self.wrong = []
        self.stopped = False

    def stop(self):
        self.stopped = True

    async def visitor(self, number, requests, until):
        reader = writer = None
        done = 0
        fresh = False
        while done < requests and time.monotonic() < until and not self.wrong and not self.stopped:
            cookie, told = self.told[(number * 7919 + done * 104729) % len(self.told)]
            done += 1
            try:
                if writer is None:
                    fresh = True
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[(number + done) % len(self.ports)])
                status, head, body = await asyncio.wait_for(ask(reader, writer, self.path, cookie), 30)
            except asyncio.IncompleteReadError as e:
                # nothing at all on a connection that had idled is no lost answer: the client asks again
                self.cut += bool(e.partial) or fresh
                self.lost += 1
                writer = None
                continue
            except OSError:
                self.lost += 1
                writer = None
                continue
            fresh = False
            if status == 200 and body.decode() == told:
                self.right += 1
            elif status == 503 and b"\r\nset-cookie" not in head.lower():
                self.unknown += 1
            else:
                self.wrong.append((cookie, told, status, head, body))
            if b"\r\nConnection: close" in head:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    async def all(self, requests, seconds):
        until = time.monotonic() + seconds
        await asyncio.gather(*(self.visitor(i, requests, until) for i in range(self.connections)))

    def run(self, requests=10**9, seconds=600.0):
        """REQUESTS of each connection, or as many as fit in SECONDS."""
        asyncio.run(self.all(requests, seconds))
        return self


class Background:
    """A Storm in a thread, for as long as the block lasts (SECONDS at most)."""

    def __init__(self, storm, seconds):
        self.storm = storm
        self.thread = threading.Thread(target=storm.run, kwargs={"seconds": seconds})

    def __enter__(self):
        self.thread.start()
        return self.storm

    def __exit__(self, kind, value, trace):
        self.thread.join()


def metric(gateway, name):
    """The sum of a counter over its labels."""
    text = get(gateway, "/auth/metrics").text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line))
