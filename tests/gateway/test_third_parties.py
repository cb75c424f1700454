# SPDX-License-Identifier: Apache-2.0
"""API keys and OAuth clients, through a real nginx: what they open, what ends them, and what is refused."""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_lab import COMMAND, ROOT, Client, raw, wait_until

sys.path.insert(0, str(ROOT / "tests" / "lib"))
import servers  # noqa: E402

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
PLACES = """
    location /oauth2/ {{ latchkey_api; }}
    location = /.well-known/oauth-authorization-server {{ latchkey_api; }}
    location /any/ {{ latchkey required; proxy_pass http://127.0.0.1:{port}; }}
    location /read/ {{ latchkey required scope=orders.read; proxy_pass http://127.0.0.1:{port}; }}
    location /write/ {{ latchkey required scope=orders.write; proxy_pass http://127.0.0.1:{port}; }}
    location /clerk/ {{ latchkey required role=clerk; proxy_pass http://127.0.0.1:{port}; }}
    location /billing/ {{ latchkey required audience=billing; proxy_pass http://127.0.0.1:{port}; }}
    location /keys/ {{ latchkey required credential=api_key; proxy_pass http://127.0.0.1:{port}; }}
"""
HTTP = "set_real_ip_from 127.0.0.1; real_ip_header X-Test-Address;"


class Site:
    """Alice, who is a clerk, two clients, and calls of all kinds."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.port = gateway.port
        gateway.user("alice", roles="clerk reader")
        self.secret = self.client_add("billing", "--scope", "orders.read orders.write", "--aud", "billing shop",
                                      "--grants", "client_credentials,exchange,introspect")
        self.plain = self.client_add("plain", "--scope", "orders.read")
        self.alice = Client(self.port)
        assert self.alice.login("alice").status == 200

    def command(self, *words, code=0):
        run = subprocess.run([str(COMMAND), *words, "--json", "--conf", f"{self.gateway.folder}/latchkey.conf"],
                             env=self.gateway.env, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == code, run.stdout + run.stderr
        return json.loads(run.stdout) if run.stdout else None

    def client_add(self, name, *options):
        return self.command("client", "add", name, *options)["client_secret"]

    def key(self, visitor=None, **wish):
        answer = (visitor or self.alice).post("/auth/api-keys", {"label": "robot", **wish})
        assert answer.status == 201, answer
        return answer.json

    def get(self, path, bearer, headers=None):
        c = Client(self.port, keep=False)
        c.token = bearer
        return c.get(path, headers=headers)

    def form(self, path, fields, basic=None, headers=None):
        headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        if basic:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        body = fields if isinstance(fields, str) else urllib.parse.urlencode(fields)
        return Client(self.port, keep=False).request("POST", path, body, headers)

    def token(self, **fields):
        return self.form("/oauth2/token", {"grant_type": "client_credentials", **fields}, ("billing", self.secret))

    def exchange(self, subject, **fields):
        return self.form("/oauth2/token", {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS,
                                           **fields}, ("billing", self.secret))

    def introspect(self, token, who=None):
        answer = self.form("/oauth2/introspect", {"token": token}, who or ("billing", self.secret))
        assert answer.status == 200 and answer.get("Cache-Control") == "no-store", answer
        return answer.json

    def session_token(self, **more):
        c = Client(self.port)
        assert c.login("alice", credential="session", carrier="header", **more).status == 200
        return c.token

    def reads(self):
        text = Client(self.port, keep=False).get("/auth/metrics").text
        return int(re.search(r"^latchkey_api_key_reads_total (\d+)$", text, re.M).group(1))


def make_site(gateways, application, **more):
    settings_ = {"latchkey_throttle": "account=1000/15m address=1000/15m", **more.pop("settings", {})}
    init = more.pop("init", False)
    gateway = gateways(server=PLACES.format(port=application.port), http=HTTP, settings=settings_, **more)
    if init:
        make_tables(gateway)
    return Site(gateway.start())


def make_tables(gateway):
    run = subprocess.run([str(COMMAND), "store", "init", "--conf", f"{gateway.folder}/latchkey.conf"], env=gateway.env,
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture(scope="module")
def site(module_gateways, module_application):
    return make_site(module_gateways, module_application)


@pytest.fixture
def fresh(gateways, application):
    return lambda **more: make_site(gateways, application, **more)


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


# ---- API keys ------------------------------------------------------------------------------------------------------------------

def test_a_key_is_shown_once_and_then_acts_for_its_user(site):
    made = site.key(scope="orders.read", label="nightly ☾")
    assert re.fullmatch(r"lk_[A-Za-z0-9_-]{8}_[A-Za-z0-9_-]{32}", made["key"])
    assert made["key"][3:11] == made["public_id"] and made["last_used"] is None
    answer = site.get("/read/x", made["key"])
    assert answer.status == 200 and answer.sent("Remote-User") == ["alice"] and answer.sent("Remote-Groups") == [""]
    listed = site.alice.get("/auth/api-keys")
    assert made["key"] not in listed.text and made["key"][12:] not in listed.text
    row = next(k for k in listed.json["api_keys"] if k["public_id"] == made["public_id"])
    assert row["label"] == "nightly ☾" and row["scope"] == "orders.read" and row["last_used"] > 0
    assert made["key"][12:] not in json.dumps(site.gateway.audit()) + site.gateway.log()


def test_a_key_holds_the_scopes_and_roles_it_names_and_no_other(site):
    read, nothing, clerk = (site.key(**w)["key"] for w in ({"scope": "orders.read"}, {}, {"roles": "clerk"}))
    assert [site.get(p, read).status for p in ("/any/", "/read/", "/write/", "/clerk/")] == [200, 200, 403, 403]
    assert [site.get(p, nothing).status for p in ("/any/", "/read/", "/write/", "/clerk/")] == [200, 403, 403, 403]
    assert [site.get(p, clerk).status for p in ("/any/", "/read/", "/write/", "/clerk/")] == [200, 403, 403, 200]
    assert site.get("/clerk/", clerk).sent("Remote-Groups") == ["clerk"]
    assert 'scope="orders.write"' in site.get("/write/", read).get("WWW-Authenticate")


def test_a_forged_key_is_refused_without_a_look_up(site):
    key, before = site.key()["key"], site.reads()
    for forged in (key[:-1] + ("A" if key[-1] != "A" else "B"), "lk_AAAAAAAA_" + "A" * 32, key[:3] + "AAAAAAAA" + key[11:]):
        answer = site.get("/any/", forged)
        assert answer.status == 401 and answer.reason == "bad_signature", answer
        assert 'error="invalid_token"' in answer.get("WWW-Authenticate")
    assert site.reads() == before


def test_a_key_is_taken_from_no_cookie(site):
    key = site.key()["key"]
    answer = Client(site.port, keep=False).get("/any/", headers={"Cookie": f"latchkey={key}"})
    assert answer.status == 401 and answer.reason == "wrong_carrier"
    assert Client(site.port, keep=False).get(f"/any/;lk={key}").status == 401
    assert Client(site.port, keep=False).get(f"/any/?access_token={key}").reason == "no_credential"


def test_a_revoked_key_is_refused_at_once_and_nobody_revokes_that_of_another(site):
    made = site.key()
    assert site.get("/any/", made["key"]).status == 200
    mallory = Client(site.port)
    mallory.register("mallory")
    mallory.login("mallory")
    for path in (f"/auth/api-keys/{made['public_id']}", "/auth/api-keys/x", "/auth/api-keys/AAAA%27AAA", "/auth/api-keys/" + "A" * 500):
        assert mallory.request("DELETE", path).status == 404, path
        assert mallory.get(path).status == 404, path
    assert site.get("/any/", made["key"]).status == 200
    assert site.alice.request("DELETE", f"/auth/api-keys/{made['public_id']}").status == 204
    answer = site.get("/any/", made["key"])
    assert answer.status == 401 and answer.reason == "revoked"
    assert site.alice.request("DELETE", f"/auth/api-keys/{made['public_id']}").status == 404


def test_a_key_is_good_from_its_addresses_alone(site):
    key = site.key(addresses=["192.0.2.0/24", "2001:db8::/32"])["key"]
    for address, status in (("192.0.2.9", 200), ("192.0.3.9", 401), ("2001:db8::5", 200), ("2001:db9::5", 401), ("192.0.2.255", 200)):
        answer = site.get("/any/", key, {"X-Test-Address": address})
        assert answer.status == status, (address, answer)
        if status == 401:
            assert answer.reason == "wrong_device"
    assert site.get("/any/", key).status == 401


def test_a_key_is_good_for_its_audience_alone(site):
    billing, anywhere = site.key(audience="billing")["key"], site.key()["key"]
    assert [site.get(p, billing).status for p in ("/billing/", "/any/")] == [200, 401]
    assert site.get("/any/", billing).reason == "wrong_audience"
    assert [site.get(p, anywhere).status for p in ("/billing/", "/any/")] == [200, 200]


def test_a_location_may_ask_for_keys_and_nothing_else(site):
    assert site.get("/keys/", site.key()["key"]).status == 200
    assert site.alice.get("/keys/").status == 401


@pytest.mark.parametrize("wish", [
    {"label": ""}, {"label": None}, {"label": 5}, {"label": "a\nb"}, {"label": "x" * 65}, {"scope": "a\"b"}, {"scope": 5},
    {"scope": ["a", 5]}, {"scope": ["a b"]}, {"scope": "x" * 257}, {"addresses": ["192.0.2.1/24"]}, {"addresses": ["x"]},
    {"addresses": {"a": 1}}, {"addresses": ["1.0.0.%d" % i for i in range(9)]}, {"audience": "ä"}, {"audience": "x" * 121},
    {"expires_in": 0}, {"expires_in": -1}, {"expires_in": 1.5}, {"expires_in": "1h"}, {"expires_in": 1e300}, {"expires_in": True},
    {"expires": 5}, {"expires": 10**15}, {"expires": 2000000000, "expires_in": 5}])
def test_a_wish_that_breaks_a_rule_is_422(site, wish):
    answer = site.alice.post("/auth/api-keys", {"label": "robot", **wish})
    assert answer.status == 422 and answer.reason == "rule_broken", answer


def test_nobody_makes_a_key_without_a_login_or_for_rights_he_has_not_got(site):
    assert Client(site.port).post("/auth/api-keys", {"label": "x"}).status == 401
    assert site.alice.post("/auth/api-keys", {"label": "x", "roles": "latchkey-admin"}).reason == "insufficient_role"
    cross = site.alice.post("/auth/api-keys", {"label": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.status == 403 and cross.reason == "csrf"
    # a token is limited to the scopes it names: this one names none
    c = Client(site.port)
    c.login("alice", credential="jwt")
    assert c.post("/auth/api-keys", {"label": "x", "scope": "orders.read"}).reason == "insufficient_scope"
    assert c.post("/auth/api-keys", {"label": "x"}).status == 201


def test_a_key_does_not_reach_the_account(site):
    key = site.key(scope="orders.read")["key"]
    c = Client(site.port)
    c.token = key
    assert c.get("/auth/session").status == 200
    for method, path, body in (("POST", "/auth/api-keys", {"label": "x"}), ("GET", "/auth/api-keys", None), ("GET", "/auth/sessions", None),
                               ("POST", "/auth/logout", {}), ("POST", "/auth/logout?everywhere=1", {}), ("DELETE", "/auth/sessions?except=current", None),
                               ("PATCH", "/auth/session/data", {"a": 1}), ("POST", "/auth/password", {"current": "x", "new": "y"})):
        answer = c.request(method, path, json_body=body)
        assert answer.status == 403 and answer.reason == "insufficient_scope", (path, answer)
    assert c.get("/any/").status == 200


def test_lists_of_sessions_do_not_show_keys(site):
    key = site.key(label="unseen")["key"]
    assert site.get("/any/", key).status == 200
    rows = site.alice.get("/auth/sessions").json["sessions"]
    assert all(not row["device"].startswith("lk_") for row in rows)
    shown = site.get("/any/", key).sent("Latchkey-Session")[0]
    assert shown not in json.dumps(rows)
    assert site.alice.request("DELETE", f"/auth/sessions/{shown}").status == 404


def test_keys_are_bounded_for_each_user(fresh):
    site = fresh(settings={"latchkey_api_key": "per_user=3"}, workers=1)
    for _ in range(3):
        site.key()
    answer = site.alice.post("/auth/api-keys", {"label": "x"})
    assert answer.status == 422 and "3 API keys" in answer.json["detail"]


def test_a_key_is_made_and_ended_on_the_account_page_without_scripts(site):
    html = {"Accept": "text/html"}
    page = site.alice.get("/auth/account", headers=html).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page).group(1)
    form = lambda **f: {"body": urllib.parse.urlencode({"csrf": csrf, **f}), "headers": {**html, "Content-Type": "application/x-www-form-urlencoded",
                                                                                           "Origin": f"http://127.0.0.1:{site.port}"}}
    made = site.alice.request("POST", "/auth/api-keys", **form(label="<b>from a page", scope="orders.read"))
    assert made.status == 201 and made.get("Cache-Control") == "no-store" and "<b>" not in made.text
    key = re.search(r"lk_[A-Za-z0-9_-]{41}", made.text).group(0)
    assert site.get("/read/", key).status == 200
    page = site.alice.get("/auth/account", headers={**html, "Accept-Language": "zh-CN"}).text
    assert "API 密钥" in page and key[3:11] in page and key not in page
    confirm = site.alice.get(f"/auth/api-keys/{key[3:11]}", headers=html)
    assert "&lt;b&gt;from a page" in confirm.text
    assert site.alice.request("POST", f"/auth/api-keys/{key[3:11]}", **form()).status == 303
    assert site.get("/read/", key).status == 401


def test_the_command_makes_lists_and_revokes_keys(site):
    made = site.command("api-key", "new", "alice", "--label", "cron", "--scope", "orders.read", "--expires", "2h")
    assert site.get("/read/", made["key"]).status == 200
    assert "cron" in [k["label"] for k in site.command("api-key", "list", "alice")["api_keys"]]
    site.command("api-key", "revoke", made["key"])
    wait_until(lambda: site.get("/read/", made["key"]).status == 401, what="the end of the key")
    site.command("api-key", "revoke", made["public_id"], code=1)
    site.command("api-key", "revoke", "x", code=2)


def test_under_load_a_key_reads_its_row_once(fresh):
    site = fresh(settings={"latchkey_api_key": "reread=1h"})
    key, before = site.key()["key"], site.reads()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: site.get("/any/", key).status, range(400))) == {200}
    # once, but for those that came while the first was under way, one batch of each worker
    assert 1 <= site.reads() - before <= 4
    between = site.reads()
    assert {site.get("/any/", key).status for _ in range(50)} == {200}
    assert site.reads() == between


def test_a_change_of_the_account_reaches_its_keys_within_the_time_they_are_read_again(fresh):
    site = fresh(settings={"latchkey_api_key": "reread=1s"})
    key = site.key(roles="clerk")["key"]
    assert site.get("/clerk/", key).status == 200
    site.command("user", "roles", "alice", "reader", "--keep-sessions")
    wait_until(lambda: site.get("/clerk/", key).status == 403, what="the loss of the role")
    assert site.get("/any/", key).status == 200


@pytest.mark.parametrize("how", ["disable", "everywhere", "cutoff"])
def test_whoever_is_put_out_takes_his_keys_along_for_good(fresh, how):
    site = fresh(settings={"latchkey_api_key": "reread=1s"})
    key = site.key()["key"]
    assert site.get("/any/", key).status == 200
    if how == "disable":
        site.command("user", "disable", "alice")
        site.command("user", "enable", "alice")
    elif how == "everywhere":
        assert site.alice.post("/auth/logout?everywhere=1", {}).status == 204
    else:
        site.command("cutoff", "add", "--level", "user", "--key", "alice")
    wait_until(lambda: site.get("/any/", key).status == 401, what="the end of the key")
    for _ in range(30):
        assert site.get("/any/", key).status == 401
    again = Client(site.port)
    again.login("alice")
    assert site.get("/any/", site.key(again)["key"]).status == 200


def test_a_password_change_and_the_end_of_other_sessions_leave_keys_alone(fresh):
    site = fresh(settings={"latchkey_api_key": "reread=1s"})
    key = site.key()["key"]
    assert site.get("/any/", key).status == 200
    assert site.alice.request("DELETE", "/auth/sessions?except=current").status == 200
    answer = site.alice.post("/auth/password", {"current": "correct horse battery staple", "new": "battery staple horse correct"})
    assert answer.status in (200, 204), answer
    assert site.get("/any/", key).status == 200


@pytest.mark.parametrize("store", ["lmdb", "memory"])
def test_keys_survive_a_restart_of_the_gateway(fresh, store):
    site = fresh(store=store)
    key = site.key()["key"]
    assert site.get("/any/", key).status == 200
    site.gateway.kill()
    for path in site.gateway.folder.glob("table*"):
        if store == "memory":
            path.unlink()
    site.gateway.start()
    assert site.get("/any/", key).status == 200


def test_while_the_accounts_are_away_known_keys_work_and_unknown_ones_are_503(fresh):
    with servers.Postgres() as accounts:
        site = fresh(init=True, settings={"latchkey_accounts": accounts.url, "latchkey_api_key": "reread=2s"})
        known, unknown = site.key()["key"], site.key()["key"]
        assert site.get("/any/", known).status == 200
        accounts.stop()
        answer = site.get("/any/", unknown)
        assert answer.status == 503 and answer.get("Retry-After"), answer
        before = site.reads()

        def read_again_twice():
            assert site.get("/any/", known).status == 200
            return site.reads() >= before + 2

        wait_until(read_again_twice, 60, "two more readings of the row")
        assert site.alice.get("/any/").status == 200


# ---- OAuth ---------------------------------------------------------------------------------------------------------------------

def test_a_client_gets_a_token_of_its_own(site):
    answer = site.token(scope="orders.read")
    assert answer.status == 200 and answer.get("Cache-Control") == "no-store", answer
    assert answer.json["token_type"] == "Bearer" and answer.json["scope"] == "orders.read"
    said = claims(answer.json["access_token"])
    assert said["sub"] == "client:billing" and said["client_id"] == "billing" and "sid" not in said and "roles" not in said
    assert json.loads(base64.urlsafe_b64decode(answer.json["access_token"].split(".")[0] + "=="))["typ"] == "at+jwt"
    assert set(said["aud"]) == {"billing", "shop"}
    token = answer.json["access_token"]
    seen = site.get("/billing/", token)
    assert seen.status == 200 and seen.sent("Remote-User") == ["client:billing"]
    assert site.get("/any/", token).reason == "wrong_audience"  # it is for others


def test_scope_and_audience_are_never_more_than_the_client_has(site):
    for fields, error in (({"scope": "orders.delete"}, "invalid_scope"), ({"scope": "orders.read orders.delete"}, "invalid_scope"),
                          ({"scope": "Orders.read"}, "invalid_scope"), ({"audience": "bank"}, "invalid_target"), ({"resource": "bank"}, "invalid_target")):
        answer = site.token(**fields)
        assert answer.status == 400 and answer.json["error"] == error, (fields, answer)
    assert claims(site.token(audience="shop").json["access_token"])["aud"] == "shop"


@pytest.mark.parametrize("grant", ["password", "authorization_code", "refresh_token", "implicit", "x" * 4000, "CLIENT_CREDENTIALS"])
def test_other_grants_are_not_offered(site, grant):
    answer = site.form("/oauth2/token", {"grant_type": grant, "username": "alice", "password": "x"}, ("billing", site.secret))
    assert answer.status == 400 and answer.json["error"] == "unsupported_grant_type"


def test_a_client_logs_in_by_one_way_with_its_own_secret(site):
    fields = {"grant_type": "client_credentials"}
    inside = {**fields, "client_id": "billing", "client_secret": site.secret}
    assert site.form("/oauth2/token", inside).status == 200
    both = site.form("/oauth2/token", inside, ("billing", site.secret))
    assert both.status == 400 and both.json["error"] == "invalid_request"
    other = site.form("/oauth2/token", {**fields, "client_id": "plain"}, ("billing", site.secret))
    assert other.status == 400 and other.json["error"] == "invalid_request"
    for basic in (("billing", site.plain), ("plain", site.secret), ("nobody", site.secret), ("billing", ""), ("", site.secret)):
        answer = site.form("/oauth2/token", fields, basic)
        assert answer.status == 401 and answer.json["error"] == "invalid_client", (basic, answer)
        assert answer.get("WWW-Authenticate").startswith("Basic ")
    assert site.form("/oauth2/token", fields).status == 401
    for bad in ("Basic", "Basic !!!", "Basic " + base64.b64encode(b"nocolon").decode(), "Basic " + "A" * 5000):
        answer = site.form("/oauth2/token", fields, headers={"Authorization": bad})
        assert answer.status in (400, 401), (bad, answer)


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"])
def test_bad_requests_get_the_errors_of_the_rfc(site, path):
    basic = ("billing", site.secret)
    assert site.form(path, "", basic).json["error"] == "invalid_request"
    twice = site.form(path, "grant_type=client_credentials&grant_type=client_credentials&token=a&token=b", basic)
    assert twice.status == 400 and twice.json["error"] == "invalid_request"
    as_json = Client(site.port).request("POST", path, "{}", {"Content-Type": "application/json"})
    assert as_json.status == 400 and as_json.json["error"] == "invalid_request"
    assert site.form(path, "a=1&" * 40, basic).status == 400
    assert site.form(path, "a=" + "x" * 20000, basic).status == 413
    assert Client(site.port).get(path).status == 405


def test_wrong_secrets_are_throttled(fresh):
    site = fresh(settings={"latchkey_throttle": "account=3/15m address=100/15m"})
    fields = {"grant_type": "client_credentials"}
    answers = [site.form("/oauth2/token", fields, ("billing", "wrong")).status for _ in range(5)]
    assert answers == [401, 401, 401, 429, 429]
    late = site.form("/oauth2/token", fields, ("billing", site.secret))
    assert late.status == 429 and int(late.get("Retry-After")) > 0
    elsewhere = site.form("/oauth2/token", fields, ("billing", site.secret), {"X-Test-Address": "192.0.2.1"})
    assert elsewhere.status == 200


def test_exchange_hands_on_less_and_ends_with_the_session(site):
    session = site.session_token()
    answer = site.exchange(session, scope="orders.read", audience="billing")
    assert answer.status == 200, answer
    assert answer.json["issued_token_type"] == ACCESS and answer.json["scope"] == "orders.read"
    child = answer.json["access_token"]
    said = claims(child)
    assert said["client_id"] == "billing" and said["aud"] == "billing" and said["sid"] and "roles" not in said
    seen = site.get("/billing/", child)
    assert seen.status == 200 and seen.sent("Remote-User") == ["alice"] and seen.sent("Remote-Groups") == [""]
    # it cannot be widened
    assert site.exchange(child, scope="orders.write").json["error"] == "invalid_scope"
    parent = Client(site.port)
    parent.token = session
    assert parent.post("/auth/logout", {}).status == 204
    gone = site.get("/billing/", child)
    assert gone.status == 401 and gone.reason == "revoked", gone
    assert site.introspect(child) == {"active": False}
    assert site.exchange(session).status == 400


def test_a_token_lives_no_longer_than_its_parent(fresh):
    site = fresh(settings={"latchkey_session": "idle=5m absolute=10m"})
    child = site.exchange(site.session_token()).json
    assert child["expires_in"] <= 300


def test_roles_are_passed_on_only_where_the_client_may(site):
    secret = site.client_add("roles", "--grants", "exchange", "--roles", "clerk,other")
    answer = site.form("/oauth2/token", {"grant_type": EXCHANGE, "subject_token": site.session_token(), "subject_token_type": ACCESS},
                       ("roles", secret))
    assert answer.status == 200 and claims(answer.json["access_token"])["roles"] == ["clerk"]
    assert site.get("/clerk/", answer.json["access_token"]).status == 200
    # whatever it may do, it does not log its user out, nor make him a key
    c = Client(site.port)
    c.token = answer.json["access_token"]
    for path, body in (("/auth/logout", {}), ("/auth/logout?everywhere=1", {}), ("/auth/api-keys", {"label": "x"})):
        assert c.post(path, body).reason == "insufficient_scope"
    assert c.get("/any/").status == 200


@pytest.mark.parametrize("fields", [
    {"subject_token": ""}, {"subject_token": "x"}, {"subject_token": "lk_AAAAAAAA_" + "A" * 32}, {"subject_token_type": ""},
    {"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
    {"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"}, {"actor_token": "x"}, {"actor_token_type": ACCESS}])
def test_an_exchange_that_is_not_understood_is_refused(site, fields):
    answer = site.exchange(**{"subject": site.alice.cookies["latchkey"], **fields} if "subject_token" not in fields else {"subject": fields["subject_token"]})
    assert answer.status == 400 and answer.json["error"] == "invalid_request", answer


def test_neither_a_key_nor_a_client_token_is_exchanged(site):
    for subject in (site.key(scope="orders.read")["key"], site.token(audience="billing").json["access_token"]):
        assert site.exchange(subject).status == 400
    assert site.form("/oauth2/token", {"grant_type": EXCHANGE}, ("plain", site.plain)).json["error"] == "unauthorized_client"


WORDS = ["orders.read", "orders.write", "orders.delete"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(st.sampled_from(WORDS), max_size=3), second=st.lists(st.sampled_from(WORDS), max_size=3))
def test_scopes_never_widen_along_a_chain(site, first, second):
    may = {"orders.read", "orders.write"}
    session = site.__dict__.setdefault("chain_session", site.session_token())
    answer = site.exchange(session, scope=" ".join(first), audience="billing")
    if not set(first) <= may:
        assert answer.json["error"] == "invalid_scope"
        return
    held = set(answer.json["scope"].split())
    assert held == (set(first) or may)
    again = site.exchange(answer.json["access_token"], scope=" ".join(second), audience="billing")
    if not set(second) <= held:
        assert again.json["error"] == "invalid_scope"
        return
    assert set(again.json["scope"].split()) == (set(second) or held) <= held
    assert claims(again.json["access_token"])["exp"] <= claims(answer.json["access_token"])["exp"] + 1


def test_introspection_tells_what_is_so_and_nothing_of_what_is_not(site):
    child = site.exchange(site.session_token(), scope="orders.read", audience="billing").json["access_token"]
    said = site.introspect(child)
    assert said["active"] is True and said["username"] == "alice" and said["scope"] == "orders.read"
    assert said["client_id"] == "billing" and said["aud"] == "billing" and said["jti"] == claims(child)["jti"]
    assert said["exp"] == claims(child)["exp"] and said["iat"] == claims(child)["iat"] and said["token_type"] == "Bearer"
    assert site.introspect(site.session_token())["username"] == "alice"
    assert site.introspect(site.key(scope="orders.read")["key"])["scope"] == "orders.read"
    for bad in ("x", child[:-2] + "AA", "lk_AAAAAAAA_" + "A" * 32, "A" * 43, "a.b.c", child + " ", "x" * 9000):
        assert site.introspect(bad) == {"active": False}, bad
    # of a client that may not ask, and of one whose audience it is not for
    refused = site.form("/oauth2/introspect", {"token": child}, ("plain", site.plain))
    assert refused.status == 400 and refused.json["error"] == "unauthorized_client"
    secret = site.client_add("elsewhere", "--grants", "introspect", "--aud", "elsewhere")
    assert site.introspect(child, ("elsewhere", secret)) == {"active": False}
    assert site.form("/oauth2/introspect", {"token": child}).status == 401


def test_a_client_revokes_its_own_token_alone(site):
    session = site.session_token()
    one, two = (site.exchange(session, audience="billing").json["access_token"] for _ in range(2))
    basic = ("billing", site.secret)
    assert site.form("/oauth2/revoke", {"token": one}, basic).status == 200
    assert site.get("/billing/", one).reason == "revoked" and site.get("/billing/", two).status == 200
    assert site.get("/any/", session).status == 200
    for unknown in (one, "x", "A" * 43, "lk_AAAAAAAA_" + "A" * 32):
        assert site.form("/oauth2/revoke", {"token": unknown, "token_type_hint": "refresh_token"}, basic).status == 200
    # neither that of another client nor a session of a user, without the grant
    for token in (two, session):
        answer = site.form("/oauth2/revoke", {"token": token}, ("plain", site.plain))
        assert answer.status in (200, 400)
    assert site.get("/billing/", two).status == 200 and site.get("/any/", session).status == 200
    secret = site.client_add("warden", "--grants", "revoke")
    assert site.form("/oauth2/revoke", {"token": session}, ("warden", secret)).status == 200
    assert site.get("/any/", session).status == 401 and site.get("/billing/", two).status == 401


def test_a_client_that_may_ends_a_login_by_its_refresh_token(site):
    visitor = Client(site.port)
    answer = visitor.post("/auth/login", {"username": "alice", "password": "correct horse battery staple", "credential": "jwt",
                                          "carrier": "header"})
    assert answer.status == 200
    token, refresh = answer.json["token"], answer.json["refresh_token"]
    for forged in (refresh[:-2], refresh[:-1] + ("A" if refresh[-1] != "A" else "B"), "r1." + "A" * 40):
        assert site.form("/oauth2/revoke", {"token": forged}, ("billing", site.secret)).status == 200
    refused = site.form("/oauth2/revoke", {"token": refresh}, ("plain", site.plain))
    assert refused.status == 400 and refused.json["error"] == "unauthorized_client"
    assert site.get("/any/", token).status == 200
    secret = site.client_add("porter", "--grants", "revoke")
    for _ in range(2):
        assert site.form("/oauth2/revoke", {"token": refresh}, ("porter", secret)).status == 200
    assert site.get("/any/", token).status == 401
    assert Client(site.port).post("/auth/refresh", {"refresh_token": refresh}).status == 401


def test_metadata_names_what_there_is(site):
    said = Client(site.port).get("/.well-known/oauth-authorization-server").json
    base = f"http://127.0.0.1:{site.port}"
    assert said["issuer"] == base and said["token_endpoint"] == base + "/oauth2/token" and said["response_types_supported"] == []
    assert set(said["grant_types_supported"]) == {"client_credentials", EXCHANGE}
    assert "authorization_endpoint" not in said
    for name in ("introspection_endpoint", "revocation_endpoint"):
        assert site.form(urllib.parse.urlsplit(said[name]).path, {"token": "x"}, ("billing", site.secret)).status == 200
    evil = raw(site.port, "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: a\"b\r\nConnection: close\r\n\r\n")
    assert evil.status == 400


def test_a_client_that_is_removed_or_has_a_new_secret(fresh):
    site = fresh()
    token = site.token(audience="billing").json["access_token"]
    assert site.get("/billing/", token).status == 200
    fresh_secret = site.command("client", "rotate-secret", "billing")["client_secret"]
    assert site.token().status == 401
    site.secret = fresh_secret
    assert site.token().status == 200
    assert [c["client_id"] for c in site.command("client", "list")["clients"]] == ["billing", "plain"]
    site.command("client", "remove", "billing")
    wait_until(lambda: site.get("/billing/", token).status == 401, what="the end of its tokens")
    assert site.token().status == 401
    site.command("client", "remove", "billing", code=1)
    site.command("client", "add", "plain", code=1)
    site.command("client", "add", "a:b", code=1)


# ---- the rules of RFC 6750 -----------------------------------------------------------------------------------------------------

def test_two_ways_of_presenting_at_once_are_an_invalid_request(site):
    key = site.key()["key"]
    answer = site.alice.get("/any/", headers={"Authorization": f"Bearer {key}"})
    assert answer.status == 400 and 'error="invalid_request"' in answer.get("WWW-Authenticate"), answer


def test_no_error_is_told_to_who_sent_nothing(site):
    answer = Client(site.port).get("/any/")
    assert answer.status == 401 and "error" not in answer.get("WWW-Authenticate")


# ---- over several nodes --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def two(module_gateways, module_application):
    """Two nodes on Redis and PostgreSQL, with one set of keys."""
    with servers.Redis() as redis, servers.Postgres() as postgres:
        settings_ = {"latchkey_accounts": postgres.url, "latchkey_store": redis.url,
                     "latchkey_throttle": "account=1000/15m address=1000/15m"}
        places = PLACES.format(port=module_application.port)
        first = module_gateways(server=places, http=HTTP, settings=settings_)
        make_tables(first)
        first.start()
        second = module_gateways(server=places, http=HTTP, settings={**settings_, "latchkey_keys": f"{first.folder}/keys"}).start()
        site = Site(first)
        site.other = second.port
        yield site


def on(site, port, path, bearer):
    c = Client(port, keep=False)
    c.token = bearer
    return c.get(path)


def test_a_key_of_one_node_is_good_and_then_revoked_on_the_other(two):
    made = two.key(scope="orders.read")
    assert on(two, two.other, "/read/", made["key"]).status == 200
    assert on(two, two.port, "/read/", made["key"]).status == 200
    assert two.alice.request("DELETE", f"/auth/api-keys/{made['public_id']}").status == 204
    wait_until(lambda: on(two, two.other, "/read/", made["key"]).status == 401, what="the end of the key there")
    never = two.key()
    assert two.alice.request("DELETE", f"/auth/api-keys/{never['public_id']}").status == 204
    assert on(two, two.other, "/any/", never["key"]).status == 401


def test_a_child_token_ends_with_its_parent_on_another_node(two):
    session = two.session_token()
    child = two.exchange(session, audience="billing").json["access_token"]
    assert on(two, two.other, "/billing/", child).status == 200
    parent = Client(two.port)
    parent.token = session
    assert parent.post("/auth/logout", {}).status == 204
    wait_until(lambda: on(two, two.other, "/billing/", child).status == 401, what="the end of the child there")


# ---- other people's programs ---------------------------------------------------------------------------------------------------

def test_authlib_gets_introspects_and_revokes_tokens(site):
    authlib = pytest.importorskip("authlib.integrations.requests_client")
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    said = Client(site.port).get("/.well-known/oauth-authorization-server").json
    session = authlib.OAuth2Session("billing", site.secret, scope="orders.read", token_endpoint_auth_method="client_secret_basic")
    session.trust_env = False
    token = session.fetch_token(said["token_endpoint"], grant_type="client_credentials")
    assert token["scope"] == "orders.read"
    answer = session.introspect_token(said["introspection_endpoint"], token=token["access_token"])
    assert answer.json()["client_id"] == "billing"
    assert session.revoke_token(said["revocation_endpoint"], token=token["access_token"]).status_code == 200
    assert session.introspect_token(said["introspection_endpoint"], token=token["access_token"]).json() == {"active": False}
