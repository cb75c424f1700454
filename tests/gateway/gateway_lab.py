# SPDX-License-Identifier: Apache-2.0
"""A real nginx with the module, an application that shows what reached it, and clients that may misbehave.

Everything listens on 127.0.0.1 and is ended by the process id that started it.
"""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from ports import free_port  # noqa: E402,F401

BUILD = Path(os.environ.get("LATCHKEY_BUILD", ROOT / "build")).resolve()
MODULE = BUILD / "ngx_http_latchkey_module.so"
COMMAND = BUILD / "latchkey"
NGINX = os.environ.get("LATCHKEY_NGINX", "/usr/sbin/nginx")
COOKIE = "latchkey"
IDENTITY = ["Remote-User", "Remote-Groups", "Remote-Name", "Latchkey-Session"]


def is_sanitized():
    needed = subprocess.run(["readelf", "-d", str(MODULE)], capture_output=True, text=True, check=True).stdout
    return "libasan" in needed


def sanitizer_env(logs):
    """nginx itself is not sanitized: the runtime has to be there before it, and leaks of nginx are not ours."""
    if not is_sanitized():
        return {}
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return {"LD_PRELOAD": asan.stdout.strip(),
            "ASAN_OPTIONS": f"detect_leaks=0:abort_on_error=1:log_path={logs}/sanitizer",
            "UBSAN_OPTIONS": f"halt_on_error=1:print_stacktrace=1:log_path={logs}/sanitizer"}


def wait_until(is_so, seconds=30, what="it"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = is_so()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s")


class Application:
    """Answers every request with a JSON description of it. Knows nothing of login."""

    def __init__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            used = False

            def do_any(self):
                if outer.hangs_up and self.used:  # as a server does that is just closing what it kept
                    self.close_connection = True
                    return
                self.used = True
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = {"method": self.command, "path": self.path, "headers": self.headers.items(),
                        "body": body.decode("latin-1"), "port": outer.port}
                outer.seen.append(seen)
                text = json.dumps(seen).encode()
                self.send_response(outer.status)
                for name, value in outer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_any

            def log_message(self, format, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request, client_address):
                pass

        self.status = 200
        self.headers = []
        self.hangs_up = False  # every connection at its second request, unread
        self.seen = []
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def reason(self):
        return self.json["reason"]

    # of an answer of Application: what reached it
    def sent(self, name):
        """All values under NAME that reached the application, by the name every CGI would read."""
        fold = lambda s: re.sub(r"[^a-z0-9]", "-", s.lower())
        return [v for k, v in self.json["headers"] if fold(k) == fold(name)]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


def read_answer(stream, method="GET"):
    """One answer from a socket file, with its headers in the order they came."""
    line = stream.readline()
    if not line:
        raise ConnectionError("no answer")
    status = int(line.split()[1])
    headers = []
    while True:
        line = stream.readline()
        if line in (b"\r\n", b"\n", b""):
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip()))
    if status == 100:
        return Answer(status, headers, b"")
    answer = Answer(status, headers, b"")
    if method == "HEAD" or status in (204, 304):
        return answer
    length = answer.get("Content-Length")
    if length is not None:
        answer.body = stream.read(int(length))
    elif (answer.get("Transfer-Encoding") or "") == "chunked":
        while True:
            size = int(stream.readline().split(b";")[0], 16)
            answer.body += stream.read(size)
            stream.readline()
            if size == 0:
                break
    else:
        answer.body = stream.read()
    return answer


def raw(port, request, method="GET", timeout=20):
    """Send REQUEST as the bytes they are, and read one answer."""
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        s.sendall(request if isinstance(request, bytes) else request.encode("latin-1"))
        with s.makefile("rb") as stream:
            return read_answer(stream, method)


class Client:
    """A visitor: keeps cookies and its connection, or shows a bearer token."""

    def __init__(self, port, keep=True):
        self.port = port
        self.cookies = {}
        self.token = None
        self.keep = keep
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def request(self, method, path, body=None, headers=None, json_body=None, timeout=30):
        headers = dict(headers or {})
        if json_body is not None:
            body = json.dumps(json_body)
            headers.setdefault("Content-Type", "application/json")
        if self.cookies and "Cookie" not in headers:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = "Bearer " + self.token
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            self.connection.request(method, path, body, headers)
            r = self.connection.getresponse()
            answer = Answer(r.status, r.getheaders(), r.read())
        except Exception:
            self.close()
            raise
        if not self.keep or answer.get("Connection") == "close":
            self.close()
        for value in answer.all("Set-Cookie"):
            self.keep_cookie(value)
        return answer

    def keep_cookie(self, value):
        name, _, rest = value.partition("=")
        text = rest.split(";")[0].strip()
        if re.search(r";\s*max-age=0\b", value, re.I):
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = text

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, json_body=None, **kw):
        return self.request("POST", path, json_body=json_body, **kw)

    def register(self, name, password="correct horse battery staple"):
        return self.post("/auth/register", {"username": name, "password": password})

    def login(self, name, password="correct horse battery staple", **more):
        answer = self.post("/auth/login", {"username": name, "password": password, **more})
        if answer.status == 200 and "token" in answer.json:
            self.token = answer.json["token"]
        return answer


class Gateway:
    """nginx in the foreground with a prefix of its own."""

    def __init__(self, folder, server="", http="", top="", settings=None, workers=2, store="lmdb", port=None,
                 events="", master=True):
        self.folder = Path(folder)
        self.port = port or free_port()
        self.store = store
        self.process = None
        self.master = master
        self.server = server
        self.http = http
        self.top = top
        self.events = events
        self.workers = workers
        self.settings = {
            "latchkey_keys": f"{self.folder}/keys",
            "latchkey_accounts": f"sqlite:{self.folder}/data/accounts.db",
            "latchkey_store": "memory:" if store == "memory" else f"lmdb:{self.folder}/sessions",
            "latchkey_memory": f"{self.folder}/table size=16m",
            "latchkey_cookie": f"{COOKIE} secure=off",
            "latchkey_audit": f"{self.folder}/audit.log",
        }
        self.settings.update(settings or {})
        for name in ("tmp", "logs", "www"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.write()

    def write(self):
        f = self.folder
        temps = "\n".join(f"    {n}_temp_path {f}/tmp/{n};"
                          for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        settings = "\n".join(f"{k} {v};" for k, v in self.settings.items() if v is not None)
        (f / "latchkey.conf").write_text(settings + "\n")
        (f / "nginx.conf").write_text(f"""
load_module {MODULE};
daemon off;
master_process {"on" if self.master else "off"};
{"user root;" if os.geteuid() == 0 else ""}
worker_processes {self.workers};
pid {f}/nginx.pid;
error_log {f}/logs/error.log info;
{self.top}
events {{ worker_connections 2048; {self.events} }}
http {{
{temps}
    log_format gate '$status $request_method $uri user=$latchkey_user realm=$latchkey_realm roles=$latchkey_roles '
                    'scope=$latchkey_scope session=$latchkey_session reason=$latchkey_reason node=$latchkey_node';
    access_log {f}/logs/access.log gate;
    include {f}/latchkey.conf;
    {self.http}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        root {f}/www;
        location /auth/ {{ latchkey_api; }}
        location = /.well-known/jwks.json {{ latchkey_api; }}
        {self.server}
    }}
}}
""")

    def command(self, *more, log="error.log"):
        return [NGINX, "-e", f"{self.folder}/logs/{log}", "-p", str(self.folder), "-c",
                f"{self.folder}/nginx.conf", *more]

    @property
    def env(self):
        return {**os.environ, **sanitizer_env(self.folder / "logs")}

    def test(self):
        """nginx -t"""
        return subprocess.run(self.command("-t", log="trial.log"), env=self.env, capture_output=True, text=True, timeout=60,
                              check=False)

    def trial(self):
        """A start that is expected to fail at once."""
        return subprocess.run(self.command(log="trial.log"), env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def start(self, wait=True):
        out = open(self.folder / "logs/stdout.log", "ab")
        self.process = subprocess.Popen(self.command(), env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                                        stderr=subprocess.STDOUT)
        out.close()
        if wait:
            wait_until(self.answers, 30, "the start of nginx")
        return self

    def answers(self):
        assert self.process.poll() is None, "nginx ended:\n" + self.log()
        try:
            return raw(self.port, b"GET /auth/health/live HTTP/1.0\r\n\r\n").status in (200, 503)
        except OSError:
            return False

    def children(self):
        """Process ids of the workers."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [int(p) for p in Path(path).read_text().split()]

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self, how=signal.SIGTERM, seconds=30):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.process = None
        return code

    def kill(self):
        """kill -9 of the whole gateway, master and workers, as a power cut would."""
        family = [self.process.pid] + self.children()
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(30)
        wait_until(lambda: not any(is_alive(pid) for pid in family), 30, "the end of all workers")
        self.process = None

    def log(self):
        text = ""
        for name in ("stdout.log", "error.log"):
            path = self.folder / "logs" / name
            if path.exists():
                text += path.read_text(errors="replace")
        return text

    def access_log(self):
        return (self.folder / "logs/access.log").read_text(errors="replace").splitlines()

    def audit(self):
        path = self.folder / "audit.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def faults(self):
        """Whatever no test may leave behind: sanitizer reports, crashed workers, alerts of nginx."""
        found = [p.read_text(errors="replace") for p in (self.folder / "logs").glob("sanitizer*")]
        for line in self.log().splitlines():
            if re.search(r"exited on signal (4|6|7|8|11)\b|\[alert\]|\[emerg\]|runtime error|open socket #", line):
                found.append(line)
        return found

    def client(self, **kw):
        return Client(self.port, **kw)

    def user(self, name, password="correct horse battery staple", roles=""):
        """Make an account by the command line."""
        run = subprocess.run([str(COMMAND), "user", "add", name, "--conf", f"{self.folder}/latchkey.conf"] + (["--roles", roles] if roles else []),
                             input=password, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr + run.stdout


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
