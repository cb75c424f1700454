# SPDX-License-Identifier: Apache-2.0
"""Balancers that are not ours in front of three nodes, each as docs/balancers.md shows it: the samples are taken from there.

With a store for each node a visitor stays where he is and loses his login with his node; with one store for all he does not.
"""
import http.client
import os
import re
import ssl
import subprocess
from collections import Counter

import pytest

from gateway_lab import COOKIE, NGINX, ROOT, Client, free_port, wait_until
from store_lab import nodes, opened

NAMES = "abc"


def sample(name, ports, **more):
    """The block under `<!-- sample: NAME -->` of the page, for nodes at PORTS; MORE replaces what else is of that site."""
    page = (ROOT / "docs/balancers.md").read_text()
    text = re.search(rf"<!-- sample: {re.escape(name)} -->\n```\w+\n(.*?)```", page, re.S).group(1)
    for i, port in enumerate(ports):
        assert f"10.0.0.{i + 1}:8080" in text
        text = text.replace(f"10.0.0.{i + 1}:8080", f"127.0.0.1:{port}")
    for old, new in more.items():
        assert old in text, old
        text = text.replace(old, new)
    assert "10.0.0." not in text
    return text


class Balancer:
    """A process in front of the nodes."""

    def __init__(self, folder, port, command, env=None):
        self.folder, self.port = folder, port
        with open(folder / "balancer.log", "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env)

    def log(self):
        return "\n".join(p.read_text(errors="replace") for p in self.folder.glob("*.log"))

    def close(self):
        self.process.terminate()
        self.process.wait(30)


def nginx(folder, block, http_block=""):
    """An nginx as Debian has it, without our module; None in place of it when it refuses the settings."""
    folder.mkdir()
    temps = "\n".join(f"{n}_temp_path {folder}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"""
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    {temps}
    access_log off;
    {http_block}
    {block}
}}
""")
    return [NGINX, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]


def answers(port, tls=False):
    more = {"context": NO_CHECK} if tls else {}
    try:
        connection = (http.client.HTTPSConnection if tls else http.client.HTTPConnection)("127.0.0.1", port, timeout=10, **more)
        connection.request("GET", "/auth/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False


NO_CHECK = ssl.create_default_context()
NO_CHECK.check_hostname = False
NO_CHECK.verify_mode = ssl.CERT_NONE


@pytest.fixture
def balancers():
    made = []
    yield made
    for balancer in made:
        balancer.close()


class Visitor(Client):
    """A browser: cookies, and an address of 127.0.0.0/8 of its own."""

    def __init__(self, port, address="127.0.0.1", tls=False):
        super().__init__(port, keep=False)
        self.address, self.tls = address, tls

    def request(self, method, path, **kw):
        if self.connection is None:
            kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
            more = {"context": NO_CHECK} if self.tls else {}
            self.connection = kind("127.0.0.1", self.port, timeout=60, source_address=(self.address, 0), **more)
        return super().request(method, path, **kw)

    def who(self):
        """The node that answers, and the user it sees."""
        answer = self.get("/who/")
        assert answer.status == 200, answer
        return answer.get("Node"), answer.text.split("|")[0]


class Site:
    """Three nodes, one store or one for each, and what stands before them."""

    def __init__(self, gateways, folder, url=None, kind="lmdb"):
        self.nodes = {}
        for name in NAMES:
            settings = {"latchkey_share": "affinity" if url is None else "central", "latchkey_tls_proxy": None,
                        "latchkey_cookie": f"{COOKIE} secure=off"}
            node = sample("node.conf", [], **{"10.0.0.0/24": "127.0.0.0/8"}) if "node.conf" else ""
            self.nodes[name] = nodes(
                gateways, folder, url or f"{kind}:{folder}/sessions-{name}", settings=settings, init=name == "a",
                http=f"latchkey_node {name};\n{node}", workers=1,
                server="add_header Node $latchkey_node always; add_header Address $remote_addr always;")[0]
        self.ports = [node.port for node in self.nodes.values()]

    def log_in(self, port, n, tls=False, address=lambda i: "127.0.0.1", prefix="user"):
        """N people, each logged in by a browser of his own; and where each is."""
        found = []
        for i in range(n):
            browser = Visitor(port, address(i), tls)
            name = f"{prefix}{i}"
            assert browser.register(name).status == 201
            assert browser.login(name).status == 200
            node, user = browser.who()
            assert user == name
            found.append((browser, name, node))
        return found

    def kill(self, name):
        self.nodes[name].kill()


def haproxy(site, folder, balancers):
    folder.mkdir()
    pem = folder / "site.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)
    pem.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    port = free_port()
    conf = folder / "haproxy.cfg"
    conf.write_text(sample("haproxy.cfg", site.ports, **{"bind :443": f"bind 127.0.0.1:{port}",
                                                         "/etc/haproxy/site.pem": str(pem)}))
    balancers.append(Balancer(folder, port, ["haproxy", "-db", "-f", str(conf)]))
    wait_until(lambda: answers(port, tls=True), 30, "the start of HAProxy")
    return port


def ip_hash(site, folder, balancers):
    port = free_port()
    block = sample("ip_hash", site.ports, **{"listen 80": f"listen 127.0.0.1:{port}"})
    balancers.append(Balancer(folder, port, nginx(folder, block)))
    wait_until(lambda: answers(port), 30, "the start of nginx")
    return port


def network(i):
    """An address in a /24 of its own."""
    return f"127.{i + 1}.{(i * 101) % 241}.7"


BALANCERS = {"haproxy": haproxy, "ip_hash": ip_hash}


@pytest.mark.parametrize("kind", BALANCERS)
def test_visitors_stay_and_a_dead_node_takes_its_own_logins_along(gateways, tmp_path, balancers, kind):
    """A store for each node: that is what affinity is. Everybody else is left alone."""
    site = Site(gateways, tmp_path)
    port = BALANCERS[kind](site, tmp_path / kind, balancers)
    visitors = site.log_in(port, 12, kind == "haproxy", network)
    assert {node for *_, node in visitors} == set(NAMES)
    for browser, name, node in visitors:
        assert [browser.who() for _ in range(3)] == [(node, name)] * 3
    site.kill("b")
    for browser, name, node in visitors:
        now, user = browser.who()
        assert now != "b"
        assert (now, user) == (node, name) if node != "b" else user == ""
    for browser, name, node in visitors:
        if node == "b":  # and logs in where he is now
            assert browser.login(name).status == 200
            assert browser.who()[1] == name


@pytest.mark.parametrize("kind", BALANCERS)
def test_dead_node_logs_nobody_out_with_one_store_for_all(gateways, tmp_path, balancers, kind):
    with opened("redis") as store:
        site = Site(gateways, tmp_path, store.url)
        port = BALANCERS[kind](site, tmp_path / kind, balancers)
        visitors = site.log_in(port, 12, kind == "haproxy", network)
        assert {node for *_, node in visitors} == set(NAMES)
        site.kill("b")
        for browser, name, node in visitors:
            now, user = browser.who()
            assert user == name
            assert now == node or node == "b"
            assert browser.who() == (now, name)


def test_ip_hash_puts_a_whole_network_on_one_node(gateways, tmp_path, balancers):
    site = Site(gateways, tmp_path)
    port = ip_hash(site, tmp_path / "ip_hash", balancers)
    office = Counter(Visitor(port, f"127.7.7.{i + 1}").who()[0] for i in range(60))
    world = Counter(Visitor(port, network(i)).who()[0] for i in range(60))
    assert len(office) == 1
    assert set(world) == set(NAMES)
    assert max(world.values()) < 40  # the hash of an address does not change


def test_ip_hash_loses_who_changes_his_network(gateways, tmp_path, balancers):
    site = Site(gateways, tmp_path)
    port = ip_hash(site, tmp_path / "ip_hash", balancers)
    (browser, name, node), = site.log_in(port, 1, address=network)
    elsewhere = next(address for address in map(network, range(1, 60)) if Visitor(port, address).who()[0] != node)
    browser.address = elsewhere
    assert browser.who()[1] == ""


def test_node_behind_haproxy_sees_https_and_the_address_of_the_visitor(gateways, tmp_path, balancers):
    site = Site(gateways, tmp_path)
    port = haproxy(site, tmp_path / "haproxy", balancers)
    browser = Visitor(port, "127.9.8.7", tls=True)
    answer = browser.get("/who/", headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"})
    assert answer.get("Address") == "127.9.8.7"
    assert browser.cookies["SRV"] in NAMES
    assert any(re.match(r"SRV=\w; .*HttpOnly.*Secure", c) for c in answer.all("Set-Cookie"))


def test_cookie_of_haproxy_that_was_made_up_is_a_new_choice(gateways, tmp_path, balancers):
    site = Site(gateways, tmp_path)
    port = haproxy(site, tmp_path / "haproxy", balancers)
    browser = Visitor(port, tls=True)
    browser.cookies["SRV"] = "nobody"
    assert browser.who()[0] in NAMES
    assert browser.cookies["SRV"] in NAMES


def test_latchkey_sticky_as_the_page_has_it(gateways, tmp_path, balancers):
    site = Site(gateways, tmp_path)
    (tmp_path / "nodes").write_text("".join(f"{name} 127.0.0.1:{port} up\n" for name, port in zip(NAMES, site.ports)))
    port = free_port()
    block = sample("latchkey_sticky", site.ports, **{"listen 80": f"listen 127.0.0.1:{port}", "/etc/latchkey/keys": f"{tmp_path}/keys",
                                                     "/var/lib/latchkey/nodes": f"{tmp_path}/nodes"})
    balancer = gateways(http=block)
    conf = balancer.folder / "nginx.conf"
    text = conf.read_text().replace(f"include {balancer.folder}/latchkey.conf;", "")
    text = re.sub(r"log_format gate.*?;\n", "", text, flags=re.S).replace("access.log gate", "access.log")
    text = re.sub(r"location (/auth/|= /.well-known/jwks.json) \{ latchkey_api; \}", r"location \1 { return 200; }", text)
    conf.write_text(text)
    balancer.start()
    wait_until(lambda: answers(port), 30, "the start of nginx")
    visitors = site.log_in(port, 12, address=network)
    site.kill("b")
    for browser, name, node in visitors:
        now, user = browser.who()
        assert (now, user) == (node, name) if node != "b" else (now != "b" and user == "")


def test_sticky_of_nginx_is_there_from_1_29_6_on(gateways, tmp_path, balancers):
    """Where it is, it is run as the page has it; where it is not, nginx says so."""
    version = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    has_it = tuple(map(int, re.search(r"/(\d+)\.(\d+)\.(\d+)", version).groups())) >= (1, 29, 6)
    site = Site(gateways, tmp_path)
    port = free_port()
    folder = tmp_path / "sticky"
    command = nginx(folder, sample("sticky", site.ports, **{"listen 80": f"listen 127.0.0.1:{port}", " secure ": " "}))
    if not has_it:
        run = subprocess.run(command + ["-t"], capture_output=True, text=True, check=False)
        assert run.returncode != 0
        assert 'invalid parameter "route=a"' in run.stderr or 'unknown directive "sticky"' in run.stderr
        return
    balancers.append(Balancer(folder, port, command))
    wait_until(lambda: answers(port), 30, "the start of nginx")
    for browser, name, node in site.log_in(port, 6):
        assert browser.who() == (node, name)
