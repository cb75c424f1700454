# SPDX-License-Identifier: Apache-2.0
"""A gateway run by `latchkey serve`, and a browser that keeps its cookies."""
import http.client
import json
import os
import re
import selectors
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from conftest import BUILD, COMMAND, Latchkey

MODULE = BUILD / "ngx_http_latchkey_module.so"
PASSWORD = "correct horse battery"


def sanitizer():
    """nginx itself is not built with the sanitizers: their runtime must be there before the module is."""
    linked = subprocess.run(["ldd", str(MODULE)], capture_output=True, text=True, check=True).stdout
    found = re.search(r"libasan\S* => (\S+)", linked)
    return {"LD_PRELOAD": found[1], "ASAN_OPTIONS": "detect_leaks=0"} if found else {}


class Gateway:
    """One `latchkey serve`. Ready when made."""

    def __init__(self, folder, *words, listen="127.0.0.1:0", json=True):
        self.folder = Path(folder)
        self.words = [str(COMMAND), "serve", "--dir", str(folder), "--listen", listen, "--workers", "2",
                      *(["--json"] if json else []), *words]
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, **sanitizer()})
        self.url, self.said = None, b""
        if json:
            try:
                self.wait_ready()
            except BaseException:
                self.stop()
                self.forget()
                raise

    def wait_ready(self):
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            until = time.monotonic() + 30
            while not said.endswith(b"}\n"):
                assert selector.select(until - time.monotonic()), (said, self.log())
                data = os.read(self.process.stdout.fileno(), 4096)
                assert data, (said, self.process.stderr.read(), self.log())
                said += data
        answer = json.loads(said)
        assert answer["ready"] is True
        self.url = answer["url"]

    @property
    def address(self):
        host, _, port = self.url.split("//")[1].rpartition(":")
        return host, int(port)

    def log(self):
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else ""

    def master(self, role="edge"):
        return int((self.folder / f"{role}.pid").read_text())

    def command(self):
        """The commands on this gateway."""
        command = Latchkey.__new__(Latchkey)
        command.folder, command.conf = self.folder, self.folder / "latchkey.conf"
        return command

    def browser(self):
        return Browser(self)

    def stop(self, sig=signal.SIGTERM):
        """Gives the exit code; what was said is in self.said."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.said = self.process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode

    def forget(self):
        """The table in /dev/shm is kept over restarts; a test takes it away."""
        found = re.search(r'latchkey_memory\s+"([^"]+)"', (self.folder / "latchkey.conf").read_text()) \
            if (self.folder / "latchkey.conf").exists() else None
        if found and found[1].startswith("/dev/shm/latchkey-"):
            Path(found[1]).unlink(missing_ok=True)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Browser:
    def __init__(self, gateway):
        self.gateway = gateway
        self.cookies = {}
        self.context = ssl._create_unverified_context() if gateway.url.startswith("https") else None

    def connect(self):
        host, port = self.gateway.address
        if self.context is not None:
            return http.client.HTTPSConnection(host, port, timeout=10, context=self.context)
        return http.client.HTTPConnection(host, port, timeout=10)

    def send(self, method, path, body=None, headers=None):
        connection = self.connect()
        fields = dict(headers or {})
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        data = None
        if body is not None:
            data, fields["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, path, data, {"Accept": "application/json", **fields})
        answer = Answer(connection.getresponse())
        connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
            if "max-age=0" in cookie.lower():
                del self.cookies[name]
        return answer

    def get(self, path, **kwargs):
        return self.send("GET", path, **kwargs)

    def register(self, name="alice", password=PASSWORD):
        answer = self.send("POST", "/auth/register", {"username": name, "password": password})
        assert answer.status == 201, (answer.body, self.gateway.log())
        return answer

    def login(self, name="alice", password=PASSWORD, **more):
        answer = self.send("POST", "/auth/login", {"username": name, "password": password, **more})
        assert answer.status == 200, (answer.body, self.gateway.log())
        return answer

    def is_known(self):
        answer = self.get("/auth/session")
        assert answer.status in (200, 401), answer.body
        return answer.status == 200


def until(condition, seconds):
    """Wait for CONDITION; gives how long that took, in ms."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.005)
    return (time.monotonic() - started) * 1000


def is_listening(address):
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def processes_below(folder):
    """Ids of processes that name FOLDER on their command line or are nginx workers of it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"{folder}/" in (entry / "cmdline").read_bytes().replace(b"\0", b"/").decode(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
