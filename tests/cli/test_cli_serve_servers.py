# SPDX-License-Identifier: Apache-2.0
"""serve on stores of real servers: one command, no password to be seen, and what commands end is ended in the gateway."""
import re
import subprocess
import time
from pathlib import Path

import pytest

from conftest import COMMAND, FAULT, WRONG, YES
from gateway import Gateway, until
from test_cli_store_servers import SERVERS, SQL, ended, on, secret_of, server, server_of  # noqa: F401 (fixtures)


@pytest.fixture
def gateway(server, tmp_path):
    """Everything on the server, accounts too where it has them."""
    accounts = ["--accounts", server.url] if server.name in SQL else []
    made = Gateway(tmp_path / "g", "--store", server.url, *accounts, "--init")
    yield made
    made.stop()
    made.forget()


def refused(*words, code):
    done = subprocess.run([str(COMMAND), "serve", *map(str, words)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code, done
    return done.stderr


@on(SERVERS)
def test_whole_gateway_is_one_command_on_any_store(gateway, server):
    browser = gateway.browser()
    browser.register()
    browser.login()
    assert browser.is_known()
    browser.send("POST", "/auth/logout", {})
    assert not browser.is_known()


@on(SERVERS)
def test_password_is_in_files_of_its_owner_alone_and_on_no_command_line(gateway, server):
    secrets = secret_of(server)
    for path in gateway.folder.rglob("*"):
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets):
            assert path.name in ("store.url", "accounts.url") and path.stat().st_mode & 0o777 == 0o600
    pids = [gateway.process.pid, gateway.master()]
    pids += [int(pid) for pid in Path(f"/proc/{gateway.master()}/task/{gateway.master()}/children").read_text().split()]
    assert len(pids) >= 4
    for pid in pids:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        assert words and not [secret for secret in secrets if secret in words], words
    gateway.stop()
    assert not [secret for secret in secrets if secret.encode() in gateway.said]


@on(SERVERS)
def test_what_a_command_ends_is_ended_in_the_running_gateway(gateway, server):
    command, known, other = gateway.command(), gateway.browser(), gateway.browser()
    known.register()
    known.login()
    other.login()
    assert known.is_known() and other.is_known()
    listed = command.json("session", "list")["sessions"]
    assert len(listed) >= 2
    command.text("session", "revoke", "--user", "alice")
    assert until(lambda: not known.is_known() and not other.is_known(), 3) < 1000
    known.login()
    one = known.get("/auth/session").json()["session"]["public_id"]
    command.text("session", "revoke", one)
    assert until(lambda: not known.is_known(), 3) < 1000
    known.login()
    time.sleep(0.01)
    command.text("cutoff", "add", "--level", "all")
    assert until(lambda: not known.is_known(), 3) < 1000


@on(SERVERS)
def test_two_nodes_on_one_store_know_each_others_logins(gateway, server, tmp_path):
    accounts = f"{(gateway.folder / 'accounts.url')}"
    words = ["--accounts", f"file:{accounts}"] if server.name in SQL else \
        ["--accounts", f"sqlite:{gateway.folder}/accounts.db"]
    second = Gateway(tmp_path / "h", "--store", f"file:{gateway.folder}/store.url", *words, "--keys", f"{gateway.folder}/keys")
    try:
        browser = gateway.browser()
        browser.register()
        browser.login()
        there = second.browser()
        there.cookies = browser.cookies
        assert there.is_known()
        browser.send("POST", "/auth/logout", {})
        assert until(lambda: not there.is_known(), 3) < 1000
    finally:
        second.stop()
        second.forget()


@on(SQL)
def test_server_without_tables_stops_the_start_with_the_cure(server, tmp_path):
    text = refused("--dir", tmp_path / "g", "--store", server.url, code=FAULT)
    assert "--init" in text and "latchkey store init" in text
    assert not [secret for secret in secret_of(server) if secret in text]
    assert not (tmp_path / "g" / "edge.pid").exists()


@on(SERVERS)
def test_server_that_is_not_there_or_refuses_us_stops_the_start(server, tmp_path):
    wrong = re.sub(r"//latchkey:[^@]*@", "//latchkey:not-this-one@", server.url)
    assert "password" in refused("--dir", tmp_path / "g", "--store", wrong, code=WRONG)
    server.stop()
    try:
        text = refused("--dir", tmp_path / "g", "--store", server.url, code=FAULT)
        assert not [secret for secret in secret_of(server) if secret in text]
    finally:
        server.start()


@on(["redis"])
def test_way_of_sharing_is_checked(server, tmp_path):
    assert "latchkey_share central" in refused("--dir", tmp_path / "g", "--store", server.url, "--share", "database", code=WRONG)
    gateway = Gateway(tmp_path / "g", "--store", server.url, "--share", "central")
    assert "latchkey_share    central;" in (gateway.folder / "latchkey.conf").read_text()
    assert gateway.stop() == YES
    gateway.forget()


@on(["redis"])
def test_url_of_the_environment_is_kept_for_the_commands(server, tmp_path, monkeypatch):
    monkeypatch.setenv("STORE", server.url)
    gateway = Gateway(tmp_path / "g", "--store", "env:STORE")
    try:
        monkeypatch.delenv("STORE")
        assert gateway.command().json("store", "stats")["sessions"] == 0
        gateway.browser().register()
    finally:
        gateway.stop()
        gateway.forget()
