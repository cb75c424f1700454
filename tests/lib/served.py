# SPDX-License-Identifier: Apache-2.0
"""A whole gateway as its users start it: `latchkey serve` in front of an application that tells what it was sent."""
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("LATCHKEY_BUILD", ROOT / "build")).resolve()
PASSWORD = "correct horse battery staple"


class Echo(BaseHTTPRequestHandler):
    """Answers every request with its own method, path and header fields as JSON."""
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        body = json.dumps({"method": self.command, "path": self.path, "headers": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *args):
        pass


class Answer:
    """One HTTP answer, read whole."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def cookie(self):
        """The first cookie set, as a Cookie header value; None when none is."""
        line = self.headers.get("Set-Cookie")
        return line.split(";")[0] if line else None

    def seen(self, name):
        """What the application saw under header NAME, all values."""
        return [v for k, v in self.json()["headers"] if k.lower() == name.lower()]


class Served:
    """`latchkey serve` on a free port, in a directory of its own, with the echo application behind it."""
    scheme = "http"

    def __init__(self, *options, directory=None):
        self.port = free_port()
        self.owns_directory = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix="latchkey-served-"))
        self.application = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=self.application.serve_forever, daemon=True).start()
        self.options = options
        self.start()

    def start(self):
        self.log = open(self.directory / "serve.log", "ab")
        self.process = subprocess.Popen(
            [BUILD / "latchkey", "serve", "--listen", f"127.0.0.1:{self.port}", "--dir", self.directory,
             "--app", f"http://127.0.0.1:{self.application.server_address[1]}", *self.options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        for _ in range(400):
            try:
                if self.call("GET", "/auth/health/ready").status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError("not ready:\n" + (self.directory / "serve.log").read_text())

    @property
    def origin(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def call(self, method, path, body=None, headers=None, cookie=None, bearer=None, raw=None):
        """BODY is sent as JSON, RAW as it is."""
        fields = dict(headers or {})
        data = raw
        if body is not None:
            data = json.dumps(body)
            fields.setdefault("Content-Type", "application/json")
        if cookie:
            fields["Cookie"] = cookie
        if bearer:
            fields["Authorization"] = "Bearer " + bearer
        connection = self.connection()
        try:
            connection.request(method, path, data, fields)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def register(self, name, password=PASSWORD):
        answer = self.call("POST", "/auth/register", {"username": name, "password": password})
        assert answer.status == 201, answer.body
        return answer

    def login(self, name, password=PASSWORD, cookie=None, **more):
        answer = self.call("POST", "/auth/login", dict(username=name, password=password, **more), cookie=cookie)
        assert answer.status == 200, answer.body
        return answer

    def command(self, *words, text=None):
        """Run the command line on this gateway's settings."""
        return subprocess.run([BUILD / "latchkey", *words, "--conf", self.directory / "latchkey.conf"], input=text,
                              capture_output=True, text=True, check=False, timeout=60)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()

    def close(self):
        """Stop, and leave nothing behind: the table alone takes 64 MiB of /dev/shm."""
        self.stop()
        self.application.shutdown()
        self.application.server_close()
        Path(self.setting("latchkey_memory").split()[0].strip('"')).unlink(missing_ok=True)
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def setting(self, name):
        """What latchkey.conf says of NAME."""
        text = (self.directory / "latchkey.conf").read_text()
        return re.search(rf"^{name}\s+(.*);$", text, re.M).group(1)

    def restart(self, server="", **settings):
        """Start again with other settings (`throttle="account=3/5s"` for latchkey_throttle) and with SERVER, more lines
        for the server block of nginx.conf."""
        self.stop()
        conf, nginx = self.directory / "latchkey.conf", self.directory / "nginx.conf"
        text = conf.read_text()
        for name, value in settings.items():
            text = re.sub(rf"^latchkey_{name}\s.*;\n", "", text, flags=re.M) + f"latchkey_{name} {value};\n"
        conf.write_text(text)
        nginx.write_text(nginx.read_text().replace("        location / {", server + "\n        location / {", 1))
        if "--keep" not in self.options:
            self.options += ("--keep",)
        self.start()


class ServedOverTls(Served):
    """The same behind TLS, with a certificate made for it and checked by nobody."""
    scheme = "https"

    def __init__(self, directory):
        certificate, key = directory / "certificate.pem", directory / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
                       capture_output=True, check=True)
        super().__init__("--tls", certificate, key, directory=directory / "served")

    def connection(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30,
                                           context=ssl._create_unverified_context())
