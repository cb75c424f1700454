# SPDX-License-Identifier: Apache-2.0
"""Starting: what is refused and in which words, what is made, what a trial run leaves alone."""
import os
import shutil
import signal
import stat

import pytest

from gateway_lab import Client, raw, wait_until


def refused(gateway, *words):
    """nginx -t refuses, and the start would; the sentence holds WORDS and a place."""
    run = gateway.test()
    assert run.returncode != 0, run.stderr
    for word in words:
        assert word in run.stderr, run.stderr
    return run.stderr


@pytest.mark.parametrize("setting,value,words", [
    ("latchkey_cookie", "__Host-x domain=shop.example", ["__Host-", "domain="]),
    ("latchkey_cookie", "x samesite=none secure=off", ["samesite=none", "secure=on"]),
    ("latchkey_session", "idle=2h absolute=1h", ["idle=", "absolute="]),
    ("latchkey_session", "idle=fast", ["latchkey_session"]),
    ("latchkey_password", "memory=100", ["latchkey_password"]),
    ("latchkey_store", "tape:/dev/st0", ["store", "tape", "lmdb:"]),
    ("latchkey_accounts", "tape:/dev/st0", ["database", "sqlite:"]),
    ("latchkey_keys", "relative/keys", ["latchkey_keys", "/"]),
    ("latchkey_near", "life=2h", ["latchkey_near", "life"]),
    ("latchkey_replica", "redis://127.0.0.1:1/0", ["latchkey_replica", "lmdb"]),
    ("latchkey_store", "redis://u:s3cr3t@", ["latchkey_store", "redis://"]),
    ("latchkey_header", "Authorization", ["latchkey_header"]),
    ("latchkey_header", "Remote-User", ["latchkey_header", "identity header"]),
    ("latchkey_header", "latchkey_token", ["latchkey_header", "identity header"]),
])
def test_a_setting_that_is_wrong_is_refused_with_place_and_cure(gateways, setting, value, words):
    gateway = gateways(settings={setting: value}, server="location / { latchkey required; }")
    text = refused(gateway, "[emerg]", *words)
    assert "latchkey.conf:" in text or "nginx.conf:" in text
    assert "s3cr3t" not in text


def test_a_setting_given_twice_names_the_second_line(gateways):
    gateway = gateways(server="location / { latchkey required; }")
    conf = gateway.folder / "latchkey.conf"
    conf.write_text(conf.read_text() + "latchkey_realm a;\nlatchkey_realm b;\n")
    lines = conf.read_text().splitlines()
    refused(gateway, f"latchkey.conf:{len(lines)}", "latchkey_realm")


def test_an_unknown_setting_is_refused(gateways):
    gateway = gateways()
    conf = gateway.folder / "latchkey.conf"
    conf.write_text(conf.read_text() + "latchkey_colour blue;\n")
    refused(gateway, 'unknown directive "latchkey_colour"')


def test_the_default_cookie_of_plain_http_is_accepted_and_wants_tls(gateways):
    gateway = gateways(settings={"latchkey_cookie": None}, server="location / { latchkey required; }")
    assert gateway.test().returncode == 0


@pytest.mark.parametrize("rule,words", [
    ("latchkey maybe;", ["off, optional or required"]),
    ("latchkey required colour=blue;", ['"colour=blue"']),
    ("latchkey required role=;", ['"role="']),
    ("latchkey required carrier=url credential=jwt;", ["carrier=url takes session ids", "credential=session_id"]),
    ("latchkey required carrier=pigeon;", ["cookie, header or url"]),
    ("latchkey required credential=smile;", ["session_id, sealed, token, jwt or api_key"]),
    ("latchkey required max_age=soon;", ["max_age=15m"]),
    ("latchkey off role=admin;", ["latchkey off"]),
    ("latchkey required anonymous;", ["optional"]),
    ("latchkey required; latchkey off;", ["duplicate"]),
    ("latchkey_api; latchkey_api;", ["duplicate"]),
    ("latchkey_api lake=2;", ["pool=NAME"]),
    ("latchkey_api pool=nowhere;", ['unknown thread pool "nowhere"']),
    ("latchkey_on_unknown 404;", ['"404"', "stale=30s", "safe"]),
    ("latchkey_on_unknown stale=soon;", ['"stale=soon"', "stale=30s"]),
    ("latchkey_on_unknown stale=0s;", ['"stale=0s"', "at least 1s"]),
    ("latchkey_on_unknown stale=2d;", ['"stale=2d"', "at most 1d"]),
    ("latchkey_on_unknown 503 safe;", ['"503"', "write 503"]),
    ("latchkey_on_unknown safe safe;", ['"safe"']),
    ("latchkey_on_unknown safe; latchkey_on_unknown 503;", ["duplicate"]),
    ("latchkey_revocation_lag soon;", ['"soon"', "for example 2s"]),
    ("latchkey_revocation_lag 100ms;", ['"100ms"', "at least 500ms"]),
    ("latchkey_revocation_lag 2s guess;", ['"guess"', "ask", "deny", "serve"]),
    ("latchkey_revocation_lag 2s; latchkey_revocation_lag 3s;", ["duplicate"]),
    ("latchkey_csrf maybe;", ["latchkey_csrf"]),
])
def test_a_location_that_is_wrong_is_refused_with_place_and_cure(gateways, rule, words):
    refused(gateways(server=f"location / {{ {rule} }}"), "nginx.conf:", *words)


@pytest.mark.parametrize("lane,words", [
    ("latchkey_lane queue=0;", ['"queue=0"', "queue=1024"]),
    ("latchkey_lane queue=many;", ['"queue=many"']),
    ("latchkey_lane wait=never;", ['"wait=never"', "wait=5s"]),
    ("latchkey_lane colour=blue;", ['"colour=blue"']),
    ("latchkey_lane queue=1 queue=2;", ['"queue=2"']),
    ("latchkey_lane wait=200ms;", ["wait=200ms", "deadline", "250ms"]),
    ("latchkey_lane pool=nowhere;", ['unknown thread pool "nowhere"']),
    ("latchkey_lane wait=1s; latchkey_lane wait=2s;", ["duplicate"]),
])
def test_a_lane_that_is_wrong_is_refused_with_place_and_cure(gateways, lane, words):
    refused(gateways(http=lane), *words)


def test_thread_pools_of_the_operator_are_the_ones_that_are_used(gateways):
    gateway = gateways(top="thread_pool latchkey threads=2; thread_pool latchkey_api threads=2; thread_pool mine threads=1;",
                       http="latchkey_lane queue=10 wait=2s pool=mine;", server="location / { latchkey required; }")
    assert gateway.test().returncode == 0, gateway.test().stderr
    gateway.start()
    assert gateway.client().get("/").status == 401


@pytest.mark.parametrize("rule,words", [
    ("latchkey optional role=admin;", ["role=", "write required"]),
    ("latchkey optional max_age=5m;", ["max_age=", "write required"]),
    ("latchkey required scope=orders.read credential=session_id;", ["scope=", "credential=session_id"]),
])
def test_a_rule_that_could_not_hold_is_refused_with_its_sentence(gateways, rule, words):
    """Also when the settings it is held against come later in the file."""
    refused(gateways(server=f"location / {{ {rule} }}"), "nginx.conf:", *words)


@pytest.mark.parametrize("location", ["location / { latchkey required; }", "location /a/ { latchkey_api; }"])
def test_a_location_without_any_settings_is_refused(gateways, location):
    gateway = gateways(server=location)
    (gateway.folder / "latchkey.conf").write_text("")
    refused(gateway, "latchkey_keys", "include latchkey.conf")


def test_the_module_sleeps_where_nothing_uses_it(gateways, application):
    gateway = gateways()
    conf = gateway.folder / "nginx.conf"
    (gateway.folder / "latchkey.conf").write_text("")
    text = conf.read_text().replace("latchkey_api;", f"proxy_pass http://127.0.0.1:{application.port};")
    conf.write_text(text)
    gateway.start()
    assert raw(gateway.port, b"GET /auth/x HTTP/1.0\r\nRemote-User: me\r\n\r\n").sent("Remote-User") == ["me"]
    assert not (gateway.folder / "keys").exists()


def test_a_trial_run_makes_nothing(gateways):
    gateway = gateways(server="location / { latchkey required; }")
    assert gateway.test().returncode == 0
    for name in ("keys", "table", "sessions", "data"):
        assert not (gateway.folder / name).exists(), name


def test_a_trial_run_beside_a_running_gateway_disturbs_nothing(gateways, application):
    gateway = gateways(store="memory", server=f"location / {{ latchkey required; "
                                              f"proxy_pass http://127.0.0.1:{application.port}; }}").start()
    alice = Client(gateway.port)
    alice.register("alice")
    alice.login("alice")
    for _ in range(3):
        assert gateway.test().returncode == 0
    assert alice.get("/x").status == 200


def test_the_first_start_makes_keys_that_others_cannot_read(gateways):
    gateway = gateways(server="location / { latchkey required; }").start()
    keys = gateway.folder / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    files = list(keys.iterdir())
    assert files and all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in files)
    assert stat.S_IMODE((gateway.folder / "table").stat().st_mode) == 0o600


def test_a_key_that_others_can_read_stops_the_start(gateways):
    gateway = gateways(server="location / { latchkey required; }").start()
    gateway.stop()
    key = next((gateway.folder / "keys").glob("*.jwk"))
    key.chmod(0o644)
    refused(gateway, "latchkey_keys", key.name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories to somebody else")
def test_directories_that_are_made_belong_to_the_workers_and_old_ones_are_left_alone(gateways, application):
    gateway = gateways(top="", server=f"location / {{ latchkey required; "
                                      f"proxy_pass http://127.0.0.1:{application.port}; }}")
    conf = gateway.folder / "nginx.conf"
    conf.write_text(conf.read_text().replace("user root;", "user nobody nogroup;"))
    for folder in [gateway.folder, *gateway.folder.parents]:
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
        if str(folder) == "/tmp":
            break
    (gateway.folder / "sessions").mkdir(mode=0o700)
    gateway.start()
    nobody = 65534
    assert (gateway.folder / "data").stat().st_uid == nobody
    assert (gateway.folder / "sessions").stat().st_uid == 0
    # the store cannot be opened: said once, and 503 until the operator has given the directory away
    gateway.expected_faults = ["latchkey: "]
    assert Client(gateway.port).get("/x").status == 503
    shutil.chown(gateway.folder / "sessions", nobody)
    alice = Client(gateway.port)
    wait_until(lambda: alice.register("alice").status == 201, 20, "the store to be opened")
    alice.login("alice")
    assert alice.get("/x").status == 200


def test_a_store_that_cannot_be_opened_is_503_and_is_tried_again(gateways, application):
    gateway = gateways(server=f"location / {{ latchkey optional; "
                              f"proxy_pass http://127.0.0.1:{application.port}; }}"
                              f"location /off/ {{ proxy_pass http://127.0.0.1:{application.port}; }}")
    gateway.expected_faults = ["latchkey: "]
    sessions = gateway.folder / "sessions"
    sessions.write_text("a file where a directory should be")
    gateway.start()
    workers = gateway.children()
    answer = Client(gateway.port).get("/x", headers={"Cookie": "latchkey=" + "A" * 43})
    assert answer.status == 503 and answer.reason == "store_unavailable"
    assert int(answer.get("Retry-After")) >= 1
    assert answer.all("Set-Cookie") == []
    assert Client(gateway.port).get("/x", headers={"Accept": "text/html"}).status == 503
    assert Client(gateway.port).post("/auth/login", {}).status == 503
    assert Client(gateway.port).get("/off/x").status == 200
    assert gateway.log().count("latchkey: ") <= 2 * len(workers) + 2
    sessions.unlink()
    alice = Client(gateway.port)
    wait_until(lambda: alice.register("alice").status == 201, 20, "the store to be opened")
    wait_until(lambda: all(Client(gateway.port).get("/x").status == 200 for _ in range(10)), 20, "both workers")
    assert gateway.children() == workers


def test_accounts_that_cannot_be_opened_stop_logins_and_not_sessions(gateways, application):
    gateway = gateways(server=f"location / {{ latchkey required; "
                              f"proxy_pass http://127.0.0.1:{application.port}; }}").start()
    gateway.expected_faults = ["latchkey: "]
    alice = Client(gateway.port)
    alice.register("alice")
    alice.login("alice")
    gateway.stop()
    accounts = gateway.folder / "data/accounts.db"
    aside = gateway.folder / "aside"
    aside.mkdir()
    for part in gateway.folder.glob("data/accounts.db*"):
        part.rename(aside / part.name)
    accounts.write_text("this is no database" * 100)
    gateway.start()
    alice.close()
    assert alice.get("/x").status == 200
    assert alice.post("/auth/login", {"username": "alice", "password": "x"}).status == 503
    # The file itself last and in one step: a worker that tries just now must find no place to make another.
    for part in sorted(aside.iterdir(), reverse=True):
        part.replace(accounts.with_name(part.name))
    wait_until(lambda: Client(gateway.port).login("alice").status == 200, 20, "the accounts to be opened")


def test_one_process_without_a_master_works(gateways, application):
    gateway = gateways(master=False, server=f"location / {{ latchkey required; "
                                            f"proxy_pass http://127.0.0.1:{application.port}; }}").start()
    alice = Client(gateway.port)
    assert alice.register("alice").status == 201
    assert alice.login("alice").status == 200
    assert alice.get("/x").status == 200
    gateway.expected_faults = ["latchkey cannot be reloaded"]
    gateway.reload()
    wait_until(lambda: "latchkey cannot be reloaded" in gateway.log(), 20, "the refusal of the reload")
    assert alice.get("/x").status == 200


def test_the_audit_log_is_reopened(gateways):
    gateway = gateways(server="location / { latchkey required; }").start()
    Client(gateway.port).register("alice")
    audit = gateway.folder / "audit.log"
    wait_until(lambda: any(e["event"] == "registered" for e in gateway.audit()), 30, "an audit line")
    audit.rename(gateway.folder / "audit.log.1")
    gateway.process.send_signal(signal.SIGUSR1)
    wait_until(audit.exists, 30, "the new file")

    def logged_in():
        Client(gateway.port).login("alice")
        return any(e["event"] == "login" for e in gateway.audit())

    wait_until(logged_in, 20, "a line in the new file")


def test_the_audit_log_can_go_to_standard_error(gateways):
    """Which nginx makes its error log."""
    gateway = gateways(settings={"latchkey_audit": "stderr"}).start()
    Client(gateway.port).register("alice")
    wait_until(lambda: '"registered"' in gateway.log(), 30, "an audit line")


def test_no_audit_log_is_written_when_it_is_off(gateways):
    gateway = gateways(settings={"latchkey_audit": "off"}).start()
    assert Client(gateway.port).register("alice").status == 201
    assert not (gateway.folder / "audit.log").exists()


def test_the_node_can_be_named(gateways):
    gateway = gateways(http="latchkey_node blue-7;", server="location / { return 200 $latchkey_node; }").start()
    assert Client(gateway.port).get("/x").text == "blue-7"


def test_a_named_thread_pool_is_used(gateways):
    gateway = gateways(top="thread_pool logins threads=2;", server="location /other/ { latchkey_api pool=logins; "
                       "rewrite ^/other/(.*)$ /auth/$1 break; }").start()
    assert Client(gateway.port).get("/other/health/live").status == 200


def test_behind_a_proxy_that_ends_tls_a_secure_cookie_is_given_out_only_when_that_is_said(gateways):
    for said, status in ((None, 422), ("on", 200)):
        gateway = gateways(settings={"latchkey_cookie": "__Host-latchkey", "latchkey_tls_proxy": said})
        gateway.start()
        client = Client(gateway.port)
        client.register("alice")
        answer = client.login("alice")
        assert answer.status == status, answer.text
        cookie = answer.get("Set-Cookie")
        if said:
            assert cookie.startswith("__Host-latchkey=") and "Secure" in cookie
        else:
            assert "latchkey_tls_proxy" in answer.text and cookie is None


def test_accounts_and_sessions_below_one_directory_belong_to_the_workers_user(gateways):
    assert os.geteuid() == 0, "run the tests as root: only root can give directories to another user"
    gateway = gateways()
    data = gateway.folder / "data"
    for folder in [gateway.folder, *gateway.folder.parents][:4]:
        folder.chmod(folder.stat().st_mode | 0o755)
    conf = gateway.folder / "nginx.conf"
    conf.write_text(conf.read_text().replace("user root;", "user nobody nogroup;"))
    conf = gateway.folder / "latchkey.conf"
    kept = [x for x in conf.read_text().splitlines() if not x.startswith(("latchkey_store", "latchkey_accounts"))]
    conf.write_text("\n".join(kept) + f"\nlatchkey_accounts sqlite:{data}/accounts.db;\n"
                    f"latchkey_store lmdb:{data}/sessions;\n")
    gateway.start()
    client = Client(gateway.port)
    assert client.register("alice").status == 201
    assert client.login("alice").status == 200
    assert data.stat().st_uid != 0 and (data / "sessions").stat().st_uid == data.stat().st_uid
