# SPDX-License-Identifier: Apache-2.0
"""serve: the whole gateway for real, and what the commands do to it while it runs."""
import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from conftest import COMMAND, FAULT, NO, WRONG, YES
from gateway import PASSWORD, Gateway, is_listening, processes_below, until


@contextlib.contextmanager
def running(folder, *words, **kwargs):
    gateway = Gateway(folder, *words, **kwargs)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.stop()
        gateway.forget()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One for all tests that leave it running."""
    with running(tmp_path_factory.mktemp("gateway")) as made:
        browser = made.browser()
        browser.register()
        yield made


@pytest.fixture
def alice(gateway):
    """Logged in, with a session of this test's own."""
    gateway.command().text("user", "enable", "alice")
    browser = gateway.browser()
    browser.login()
    return browser


def serve_refused(*words, code=WRONG):
    done = subprocess.run([str(COMMAND), "serve", *map(str, words)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code, done
    return done.stderr


# ---- who logs in is known, and what the commands see of it ----


def test_person_registers_logs_in_is_known_and_logs_out(gateway):
    browser = gateway.browser()
    assert not browser.is_known()
    browser.register("bob")
    browser.login("bob")
    assert browser.get("/auth/session").json()["user"]["name"] == "bob"
    assert list(browser.cookies) == ["latchkey"]
    kept = dict(browser.cookies)
    assert browser.send("POST", "/auth/logout", {}).status == 204
    browser.cookies = kept
    assert not browser.is_known()


def test_session_is_listed_and_shown(gateway, alice):
    command = gateway.command()
    public_id = alice.get("/auth/session").json()["session"]["public_id"]
    listed = {one["public_id"]: one for one in command.json("session", "list", "--user", "alice")["sessions"]}
    assert listed[public_id]["name"] == "alice" and listed[public_id]["address"] == "127.0.0.1"
    shown = command.json("session", "show", public_id)
    assert shown["state"] == "alive" and shown["kind"] == "session"
    assert public_id in command.text("session", "list") and "alive" in command.text("session", "show", public_id)
    assert len(command.json("session", "list", "--limit", "1")["sessions"]) == 1


def measure(what, browser):
    """Until the gateway refuses; printed, and bounded far above what is promised."""
    waited = until(lambda: not browser.is_known(), 2)
    print(f"\n{what}: refused after {waited:.1f} ms")


def test_revoked_session_is_refused_at_once(gateway, alice):
    command = gateway.command()
    other = gateway.browser()
    other.login()
    public_id = alice.get("/auth/session").json()["session"]["public_id"]
    command.text("session", "revoke", public_id)
    measure("session revoke", alice)
    assert other.is_known()
    assert command.json("session", "show", public_id, code=NO)["reason"] == "kicked"
    assert public_id not in command.text("session", "list")


def test_revoked_user_is_refused_everywhere_with_the_reason(gateway, alice):
    other = gateway.browser()
    other.login()
    kept = dict(alice.cookies)
    assert gateway.command().json("session", "revoke", "--user", "alice", "--reason", "banned")["sessions_ended"] >= 2
    measure("session revoke --user", other)
    alice.cookies = kept
    answer = alice.get("/auth/session")
    assert answer.status == 401 and answer.json()["reason"] == "banned"


def test_disabled_user_loses_sessions_and_cannot_come_back(gateway, alice):
    gateway.command().text("user", "disable", "alice")
    measure("user disable", alice)
    answer = gateway.browser().send("POST", "/auth/login", {"username": "alice", "password": PASSWORD})
    assert answer.status == 401 and answer.json()["reason"] == "bad_credentials"


def test_changed_password_ends_the_sessions(gateway):
    browser = gateway.browser()
    browser.register("carol")
    browser.login("carol")
    gateway.command().text("user", "passwd", "carol", input="quite another password\n")
    measure("user passwd", browser)
    gateway.browser().login("carol", "quite another password")


def test_revoke_all_puts_everybody_out(gateway, alice):
    gateway.command().text("session", "revoke", "--all")
    measure("session revoke --all", alice)
    assert gateway.command().json("session", "list")["sessions"] == []
    # What is issued in the second of the cut-off is refused too.
    until(lambda: gateway.browser().login() and True, 5)


@pytest.mark.parametrize("kind", ["jwt", "token"])
def test_revoked_token_is_refused(gateway, alice, kind):
    until(lambda: log_in_by_token(gateway, kind) is not None, 5)
    token, bearer = log_in_by_token(gateway, kind)
    command = gateway.command()
    assert command.json("token", "verify", token)["name"] == "alice"
    command.text("token", "revoke", token)
    measure("token revoke", bearer)
    command.error("token", "verify", token, code=NO)


def log_in_by_token(gateway, kind):
    """A token and a client that shows it, or None while a cut-off of this second still reaches new ones."""
    token = gateway.browser().login(credential=kind).json()["token"]
    bearer = gateway.browser()
    plain = bearer.send
    bearer.send = lambda *words, **more: plain(*words, **{**more, "headers": {"Authorization": f"Bearer {token}"}})
    return (token, bearer) if bearer.is_known() else None


def test_minted_token_is_known_to_the_gateway_until_revoked(gateway):
    command = gateway.command()
    token = command.json("token", "mint", "--user", "robot", "--ttl", "1h")["token"]
    bearer = gateway.browser()

    def status():
        return bearer.get("/auth/session", headers={"Authorization": f"Bearer {token}"}).status

    assert status() == 200
    command.text("token", "revoke", token)
    until(lambda: status() == 401, 2)


def test_exported_keys_are_those_the_gateway_shows(gateway):
    shown = gateway.browser().get("/.well-known/jwks.json").json()
    exported = gateway.command().json("key", "export")
    assert {key["kid"] for key in shown["keys"]} == {key["kid"] for key in exported["keys"]}


def test_page_without_an_application_leads_to_the_login(gateway):
    answer = gateway.browser().get("/")
    assert answer.status == 200 and b'href="/auth/login"' in answer.body


# ---- in front of an application ----


class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def application():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("words", [[], ["--split"]])
def test_application_is_told_who_asks(tmp_path, application, words):
    with running(tmp_path / "dir", "--app", application, *words) as gateway:
        browser = gateway.browser()
        anonymous = browser.get("/x", headers={"Remote-User": "root", "X-Forwarded-For": "6.6.6.6"}).body.decode()
        assert "root" not in anonymous and "6.6.6.6" not in anonymous
        browser.register()
        browser.login()
        told = browser.get("/x").body.decode()
        assert "remote-name: alice" in told or "remote-user: alice" in told
        assert "x-forwarded-for: 127.0.0.1\n" in told and "x-forwarded-proto: http\n" in told
        assert f"host: {gateway.url.split('//')[1]}\n" in told and "x-request-id: " in told
        assert gateway.command().json("session", "list")["sessions"][0]["address"] == "127.0.0.1"
        assert browser.send("POST", "/auth/login", {"username": "x" * 100000, "password": "x"}).status == 413
        gateway.command().text("user", "disable", "alice")
        measure(f"user disable {words}", browser)
        assert gateway.stop() == YES


# ---- the process ----


def test_application_is_sent_the_session_data_it_asks_for(tmp_path, application):
    with running(tmp_path / "dir", "--app", application, "--data", "cart,step") as gateway:
        browser = gateway.browser()
        assert browser.send("PATCH", "/auth/session/data", {"cart": {"tea": 1}}).status == 200
        told = browser.get("/").body.decode()
        assert 'latchkey-data-cart: {"tea":1}\n' in told and "latchkey-data-step: \n" in told
        assert gateway.stop() == YES


def test_sigterm_stops_it_cleanly_and_a_login_survives(tmp_path):
    with running(tmp_path) as gateway:
        browser = gateway.browser()
        browser.register()
        browser.login()
        address = gateway.address
        took = until(lambda: gateway.stop() == YES, 5)
        print(f"\nstopped after {took:.0f} ms")
        assert took < 5000 and not is_listening(address) and processes_below(tmp_path) == []
        with running(tmp_path, listen=f"127.0.0.1:{address[1]}") as again:
            browser.gateway = again
            assert browser.is_known()
            assert again.stop(signal.SIGINT) == YES


@pytest.mark.parametrize("after", [0, 0.01, 0.03, 0.1])
def test_sigterm_before_it_is_ready_stops_it_too(tmp_path, after):
    with running(tmp_path, "--split", json=False) as gateway:
        time.sleep(after)
        until(lambda: gateway.stop() in (YES, -signal.SIGTERM), 5)
        assert processes_below(tmp_path) == []


def test_ready_line_is_one_line(tmp_path):
    with running(tmp_path, json=False) as gateway:
        line = gateway.process.stdout.readline().decode()
        assert line.startswith("latchkey is ready: http://127.0.0.1:") and "/auth/register" in line
        assert gateway.stop() == YES and gateway.process.stdout.closed


@pytest.mark.parametrize("words", [[], ["--split"]])
def test_nginx_that_is_killed_is_noticed_and_nothing_is_left(tmp_path, words):
    with running(tmp_path, *words) as gateway:
        address = gateway.address
        os.kill(gateway.master("api" if words else "edge"), signal.SIGKILL)
        code = gateway.process.wait(timeout=15)
        gateway.said = gateway.process.stderr.read()
        assert code == 128 + signal.SIGKILL and b"signal 9" in gateway.said
        assert not is_listening(address) and processes_below(tmp_path) == []


def test_nginx_does_not_outlive_a_serve_that_is_killed(tmp_path):
    with running(tmp_path) as gateway:
        address = gateway.address
        gateway.process.kill()
        gateway.process.wait(timeout=10)
        until(lambda: not is_listening(address), 10)
        with running(tmp_path) as again:
            assert again.browser().get("/").status == 200


def test_worker_that_is_killed_comes_back(tmp_path):
    with running(tmp_path) as gateway:
        master = gateway.master()
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        assert len(workers) == 2
        for worker in workers:
            os.kill(int(worker), signal.SIGKILL)
        until(lambda: is_listening(gateway.address), 5)
        assert gateway.browser().get("/").status == 200


def test_reload_keeps_people_in_and_takes_rotated_keys_up(tmp_path):
    with running(tmp_path) as gateway:
        browser = gateway.browser()
        browser.register()
        browser.login()
        kid = gateway.command().json("key", "rotate", "--alg", "EdDSA")["keys"][0]["kid"]
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: kid in gateway.browser().get("/.well-known/jwks.json").body.decode(), 10)
        assert browser.is_known()


def test_logs_are_reopened(tmp_path):
    with running(tmp_path) as gateway:
        gateway.browser().get("/")
        (tmp_path / "access.log").rename(tmp_path / "access.log.1")
        gateway.process.send_signal(signal.SIGUSR1)
        until((tmp_path / "access.log").exists, 5)


def test_sessions_in_memory_are_reached_by_the_commands(tmp_path):
    with running(tmp_path, "--store", "memory:") as gateway:
        browser = gateway.browser()
        browser.register()
        browser.login()
        assert len(gateway.command().json("session", "list")["sessions"]) == 1
        gateway.command().text("session", "revoke", "--user", "alice")
        measure("session revoke (memory)", browser)


def test_https_has_a_secure_host_cookie(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)], capture_output=True, check=True)
    with running(tmp_path / "dir", "--tls", str(cert), str(key), listen="0.0.0.0:0") as gateway:
        assert gateway.url.startswith("https://")
        gateway.url = gateway.url.replace("0.0.0.0", "127.0.0.1")
        browser = gateway.browser()
        browser.register()
        answer = browser.login()
        assert list(browser.cookies) == ["__Host-latchkey"] and "Secure" in answer.headers["Set-Cookie"]
        assert browser.is_known()


def test_directory_serves_one_gateway_at_a_time(gateway):
    assert "another" in serve_refused("--dir", gateway.folder, "--listen", "127.0.0.1:0", code=FAULT)


def test_address_in_use_is_told_with_the_cure(gateway, tmp_path):
    host, port = gateway.address
    assert "--listen" in serve_refused("--dir", tmp_path, "--listen", f"{host}:{port}", code=FAULT)


def test_kept_files_are_left_as_they_are(tmp_path):
    with running(tmp_path) as gateway:
        port = gateway.address[1]
    conf = tmp_path / "latchkey.conf"
    conf.write_text(conf.read_text() + "latchkey_registration off;\n")
    with running(tmp_path, "--keep", listen=f"127.0.0.1:{port}") as gateway:
        assert "latchkey_registration off" in conf.read_text()
        assert gateway.browser().send("POST", "/auth/register", {"username": "x", "password": PASSWORD}).status in (403, 404)
    with running(tmp_path) as gateway:
        assert "latchkey_registration off" not in conf.read_text()


def test_files_are_for_their_owner_alone(gateway):
    assert gateway.folder.stat().st_mode & 0o077 == 0 or gateway.folder.stat().st_mode & 0o022 == 0
    for name in ("nginx.conf", "latchkey.conf"):
        assert (gateway.folder / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_root_serves_as_the_owner_of_the_directory():
    folder = tempfile.mkdtemp(prefix="latchkey-", dir="/tmp")
    os.chown(folder, 65534, 65534)
    try:
        with running(folder) as gateway:
            assert os.stat(f"/proc/{gateway.master()}").st_uid == 65534
            browser = gateway.browser()
            browser.register()
            browser.login()
            gateway.command().text("user", "disable", "alice", env={"ASAN_OPTIONS": "detect_leaks=0"})
            measure("user disable by root", browser)
            assert gateway.stop() == YES
    finally:
        shutil.rmtree(folder)


def test_store_named_in_a_file_stays_in_that_file(tmp_path):
    url = tmp_path / "store.txt"
    url.write_text(f"lmdb:{tmp_path}/elsewhere\n")
    url.chmod(0o600)
    with running(tmp_path / "dir", "--store", f"file:{url}"):
        conf = (tmp_path / "dir" / "latchkey.conf").read_text()
        assert f'"file:{url}"' in conf and "elsewhere" not in conf
        assert (tmp_path / "elsewhere").is_dir()


# ---- what is refused ----


@pytest.mark.parametrize("words, said", [
    (["--listen", "0.0.0.0:8080"], "--tls"),
    (["--listen", "[::]:8080"], "--tls"),
    (["--listen", "192.0.2.1:80"], "--tls"),
    (["--listen", "shop.example:80"], "address"),
    (["--listen", "127.0.0.1:99999"], "ADDRESS"),
    (["--listen", "127.0.0.1:80;}"], "ADDRESS"),
    (["--app", "https://127.0.0.1:1"], "http://HOST:PORT"),
    (["--app", "http://127.0.0.1"], "http://HOST:PORT"),
    (["--data", "cart;"], "names of fields"),
    (["--app", "http://127.0.0.1:3000/path"], "http://HOST:PORT"),
    (["--app", "http://a;b:3000"], "http://HOST:PORT"),
    (["--app", "http://u:p@h:3000"], "http://HOST:PORT"),
    (["--store", "ldap://h"], "--store"),
    (["--accounts", "ldap://h"], "--accounts"),
    (["--store", "env:NOT_SET"], "NOT_SET"),
    (["--share", "central"], "latchkey_store takes redis://"),
    (["--share", "everywhere"], "sealed_cookie, affinity"),
    (["--share", "x;y"], "--share"),
    (["--replica", "lmdb:/tmp/x"], "no full copy"),
    (["--workers", "0"], "--workers"),
    (["--tls", "/nowhere/cert", "/nowhere/key"], "--tls"),
    (["--keys", "/tmp/a;b"], "--keys"),
    (["--dir", '/tmp/a"b'], "--dir"),
    (["--dir", "/tmp/" + "x" * 200], "--dir"),
])
def test_what_cannot_be_served_is_refused_with_the_cure(tmp_path, words, said):
    folder = [] if "--dir" in words else ["--dir", tmp_path / "dir"]
    assert said in serve_refused(*folder, *words)
    assert not (tmp_path / "dir" / "nginx.conf").exists()


def test_directory_that_others_can_write_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    assert "chmod" in serve_refused("--dir", tmp_path)
