# SPDX-License-Identifier: Apache-2.0
"""Three gateways that share keys, accounts and a store, and programs that talk to them.

    cluster = Cluster(folder, server.url, settings={"latchkey_refresh": "ttl=1h"})
    client = cluster.client()                   # any node, another one each time
    client.register("alice")
    pair = client.login("alice")                # {"token": ..., "refresh_token": ..., ...}
    client.refresh(pair["refresh_token"], node=1).json()
    client.get("/", bearer=pair["token"]).status
    cluster.run("key", "rotate")                # the command line, on the settings of node 0
"""
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import urllib.parse
from http.server import ThreadingHTTPServer
from pathlib import Path

from conftest import COMMAND
from gateway import PASSWORD, Answer, Gateway
from served import Echo
from server_process import family


class Cluster:
    """NODES gateways. STORE and ACCOUNTS (a SQLite file of the cluster's own unless told) are URLs; `{dir}` in STORE is
    the node's own folder. SETTINGS: more of latchkey.conf, {"latchkey_jwt": "ttl=2s"}; one that is there already is
    replaced. LOCATIONS: more lines of the server block of nginx.conf; `{app}` is the upstream of the echo application,
    which answers with the request it got. WORDS: more options of `latchkey serve`."""

    def __init__(self, folder, store, accounts=None, nodes=3, share=None, settings=None, locations="", words=(), workers=1):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.app = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        self.app.daemon_threads = True
        threading.Thread(target=self.app.serve_forever, args=(0.05,), daemon=True).start()
        self.nodes = []
        accounts = accounts or f"sqlite:{self.folder}/accounts.db"
        try:
            for i in range(nodes):
                place = self.folder / f"n{i}"
                chosen = ["--store", store.replace("{dir}", str(place)), "--accounts", accounts, "--init",
                          "--keys", str(self.folder / "keys"), "--workers", str(workers),
                          "--app", f"http://127.0.0.1:{self.app.server_address[1]}",
                          *(["--share", share] if share else []), *words]
                self.nodes.append(Gateway(place, *chosen))
                if settings or locations:
                    self.set(i, settings or {}, locations)
        except BaseException:
            self.close()
            raise

    def set(self, i, settings, locations=""):
        """Node I starts again with other settings."""
        conf, nginx = (self.nodes[i].folder / name for name in ("latchkey.conf", "nginx.conf"))
        self.stop(i)
        text = conf.read_text()
        for name, value in settings.items():
            text = re.sub(rf"^\s*{name}\s.*;\n", "", text, flags=re.M) + f"{name} {value};\n"
        conf.write_text(text)
        if locations:
            whole = nginx.read_text()
            upstream = re.search(r"proxy_pass\s+(\S+);", whole)
            lines = locations.replace("{app}", upstream[1] if upstream else "")
            nginx.write_text(whole.replace("        location / {", f"{lines}\n        location / {{", 1))
        self.start(i)

    def stop(self, i, sig=signal.SIGTERM):
        return self.nodes[i].stop(sig)

    def kill(self, i):
        """Every process of node I at once, as when the power fails."""
        for pid in family(self.nodes[i].process.pid):
            os.kill(pid, signal.SIGKILL)
        self.nodes[i].process.communicate(timeout=20)

    def start(self, i):
        """Node I again, at its old address, with the settings that lie there."""
        old = self.nodes[i]
        words = old.words[old.words.index("--json") + 1:]
        self.nodes[i] = Gateway(old.folder, *[word for word in words if word != "--keep"], "--keep",
                                listen=urllib.parse.urlsplit(old.url).netloc)

    def reload(self, i):
        self.nodes[i].process.send_signal(signal.SIGHUP)

    @property
    def keys(self):
        return self.folder / "keys"

    def conf(self, i=0):
        return self.nodes[i].folder / "latchkey.conf"

    def run(self, *words, node=0, code=0, input=None):
        """The command line on the settings of NODE; gives what it printed."""
        done = subprocess.run([str(COMMAND), *map(str, words), "--conf", str(self.conf(node))], input=input or "",
                              capture_output=True, text=True, check=False, timeout=60,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        assert done.returncode == code, done
        return done.stdout

    def client(self, node=None):
        """A program. NODE: it talks to that one alone, else to one after the other."""
        return Client(self, node)

    def metrics(self, i):
        """{"latchkey_refreshes_total": 3.0, 'name{label="x"}': ...} of node I."""
        text = self.client(i).get("/auth/metrics").body.decode()
        return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.M)}

    def counted(self, name):
        """NAME over all nodes; over all its labels."""
        return sum(value for i in range(len(self.nodes)) for key, value in self.metrics(i).items()
                   if key == name or key.startswith(name + "{"))

    def logs(self):
        return "".join(node.log() for node in self.nodes)

    def close(self):
        for node in self.nodes:
            if node.process.poll() is None:
                node.stop()
            node.forget()
        self.app.shutdown()
        self.app.server_close()


class Client:
    """Keeps its connections, keeps no cookies. Safe for one thread."""

    def __init__(self, cluster, node=None):
        self.cluster, self.connections = cluster, {}
        self.turn = itertools.cycle(range(len(cluster.nodes)) if node is None else [node])

    def ask(self, method, path, body=None, headers=None, bearer=None, node=None, form=None):
        """BODY goes as JSON, FORM as a form. A connection that the node closed meanwhile is opened again, once."""
        gateway = self.cluster.nodes[next(self.turn) if node is None else node]
        fields = {"Accept": "application/json", **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body) if not isinstance(body, (str, bytes)) else body
            fields.setdefault("Content-Type", "application/json")
        if form is not None:
            data = urllib.parse.urlencode(form)
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        if bearer:
            fields["Authorization"] = f"Bearer {bearer}"
        kept = self.connections.pop(gateway.address, None)
        for connection in [kept] * (kept is not None) + [http.client.HTTPConnection(*gateway.address, timeout=30)]:
            try:
                connection.request(method, path, data, fields)
                answer = Answer(connection.getresponse())
                self.connections[gateway.address] = connection
                return answer
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                connection.close()
                if connection is not kept:
                    raise
        raise AssertionError("not reached")

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **more)

    def register(self, name="alice", password=PASSWORD):
        """There already is well too: the server of the test before has its accounts."""
        answer = self.post("/auth/register", {"username": name, "password": password})
        assert answer.status in (201, 409), (answer.body, self.cluster.logs()[-2000:])

    def login(self, name="alice", password=PASSWORD, credential="jwt", node=None, **more):
        """The answer's body: token, refresh_token, session, user."""
        answer = self.post("/auth/login", {"username": name, "password": password, "credential": credential, **more}, node=node)
        assert answer.status == 200, (answer.status, answer.body, self.cluster.logs()[-2000:])
        return answer.json()

    def refresh(self, token, node=None, **more):
        return self.post("/auth/refresh", {"refresh_token": token}, node=node, **more)

    def is_known(self, bearer, node=None):
        answer = self.get("/auth/session", bearer=bearer, node=node)
        assert answer.status in (200, 401), (answer.status, answer.body)
        return answer.status == 200
