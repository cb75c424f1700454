# SPDX-License-Identifier: Apache-2.0
"""latchkey explain of what stands on the accounts or on another issuer: API keys, refresh tokens, devices, foreign JWTs.

Each check in its order with what it saw; the answer is that of the gateway; and nothing that opens anything is shown.
"""
import subprocess
import time

import pytest

from gateway_lab import COMMAND, Client
from test_explain import outline, run, steps
from test_explain import explain as explain_there
from test_trust import AUDIENCE, ISSUER, Issuer

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def issuer():
    one = Issuer()
    yield one
    one.close()


@pytest.fixture(scope="module")
def world(module_gateways, module_application, issuer):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    gateway = module_gateways(workers=1, http="set_real_ip_from 127.0.0.1; real_ip_header X-Test-Address;", settings={
        "latchkey_trust": f"{ISSUER} jwks={issuer.url} aud={AUDIENCE}", "latchkey_refresh": "on grace=1s",
        "latchkey_throttle": "account=1000/15m address=1000/15m"}, server=f"""
        location / {{ latchkey required; {up} }}
        location /billing/ {{ latchkey required audience=billing; {up} }}
        """)
    gateway.start()
    gateway.user("alice")
    gateway.user("root", roles="latchkey-admin")
    gateway.admin = gateway.client()
    assert gateway.admin.login("root").status == 200
    yield gateway


def explain(world, text, *words, secret=None, by_command=False):
    """What the call says, and BY_COMMAND the command as well; nowhere eight characters of what opens something."""
    options = dict(zip([w.lstrip("-") for w in words[::2]], words[1::2]))
    called = world.admin.post("/auth/admin/explain", {"credential": text, **options})
    assert called.status == 200, called
    said, table = called.json, ""
    if by_command:
        assert outline(explain_there(world, text, *words)) == outline(said)
        table = run(world, *words, "-", text=text).stdout
        assert "shape" in table
    secret = text if secret is None else secret
    for at in range(len(secret) - 7):
        for shown in (table, str(said), called.text):
            assert secret[at:at + 8] not in shown, shown
    return said


def names(said):
    return [step["name"] for step in said["steps"]]


def last(said):
    return said["steps"][-1]["name"], said["steps"][-1]["answer"], said["reason"]


def ask(world, path, text, address=None):
    headers = {"Authorization": f"Bearer {text}", **({"X-Test-Address": address} if address else {})}
    return world.client().get(path, headers=headers)


# ---- API keys ------------------------------------------------------------------------------------------------------------------

def new_key(world, **wish):
    client = world.client()
    assert client.login("alice").status == 200
    made = client.post("/auth/api-keys", {"label": "nightly", **wish})
    assert made.status == 201, made
    return made.json["key"], made.json["public_id"], client


def test_api_key_is_explained_from_its_proof_to_its_row_and_its_session(world):
    key, public, client = new_key(world, scope="orders.read", expires_in=3600)
    said = explain(world, key, secret=key[12:], by_command=True)
    assert (said["verdict"], said["status"]) == ("allow", 200)
    wanted = ["shape", "carrier", "signature", "session", "store", "row", "label", "made", "row_read", "user", "life", "cutoffs", "login"]
    assert [name for name in names(said) if name in wanted] == wanted
    seen = steps(said)
    assert public in seen["signature"]["value"] and "nightly" in seen["label"]["value"] and "alice" in seen["user"]["value"]
    assert seen["scopes"]["value"] == "orders.read"
    assert last(explain(world, key, "--location", "required scope=orders.write", secret=key[12:])) == ("scope", "no", "insufficient_scope")
    assert last(explain(world, key, "--carrier", "cookie", secret=key[12:])) == ("carrier", "no", "wrong_carrier")
    forged = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert last(explain(world, forged, secret=key[12:-1])) == ("signature", "no", "bad_signature")
    assert client.request("DELETE", f"/auth/api-keys/{public}").status == 204
    assert last(explain(world, key, secret=key[12:])) == ("store", "no", "revoked")


def test_bounds_of_an_api_key_are_explained_with_what_was_asked_for(world):
    key, _, _ = new_key(world, addresses=["192.0.2.0/24"], audience="billing")
    for words, address, path, end in (
            (["--location", "required audience=billing", "--address", "192.0.2.7"], "192.0.2.7", "/billing/x", ("login", "yes", "")),
            (["--location", "required audience=billing", "--address", "192.0.3.7"], "192.0.3.7", "/billing/x", ("address", "no", "wrong_device")),
            (["--address", "192.0.2.7"], "192.0.2.7", "/x", ("audience", "no", "wrong_audience"))):
        said = explain(world, key, *words, secret=key[12:])
        assert last(said) == end, said
        assert said["status"] == ask(world, path, key, address).status
    said = explain(world, key, "--location", "required audience=billing", secret=key[12:])
    assert last(said) == ("address", "no", "wrong_device") and "no address" in steps(said)["address"]["value"]


# ---- refresh tokens ------------------------------------------------------------------------------------------------------------

def pair_of(world, name="alice"):
    answer = world.client().post("/auth/login", {"username": name, "password": PASSWORD, "credential": "jwt"})
    assert answer.status == 200, answer
    return answer.json


def secret_of(refresh):
    return ".".join(refresh.split(".")[4:])  # random and mac: the rest is no secret


def refresh(world, token):
    return world.client().post("/auth/refresh", {"refresh_token": token})


def test_refresh_token_is_explained_and_not_used_by_it(world):
    pair = pair_of(world)
    token = pair["refresh_token"]
    for by_command in (False, True):
        said = explain(world, token, secret=secret_of(token), by_command=by_command)
        assert (said["verdict"], said["status"]) == ("allow", 200), said
    assert names(said) == ["shape", "carrier", "signature", "family", "store", "user", "generation", "issued", "last_seen", "life",
                           "cutoffs", "use", "account"]
    assert pair["session"]["public_id"] in steps(said)["family"]["value"] and "not used" in steps(said)["use"]["value"]
    second = refresh(world, token).json["refresh_token"]
    third = refresh(world, second).json["refresh_token"]
    time.sleep(1.2)  # the grace time
    said = explain(world, token, secret=secret_of(token))
    assert last(said) == ("use", "no", "revoked") and said["status"] == 401
    # it would end the login; being asked about it has not
    assert explain(world, third, secret=secret_of(third))["verdict"] == "allow"
    assert refresh(world, third).status == 200
    assert refresh(world, token).status == 401
    assert last(explain(world, third, secret=secret_of(third))) == ("store", "no", "revoked")
    bad = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert last(explain(world, bad, secret=secret_of(token)[:-1])) == ("signature", "no", "bad_signature")
    assert last(explain(world, "r1.nothing", secret="nothing."))[1:] == ("no", "malformed")


def test_refresh_token_of_somebody_who_is_disabled_says_so(world):
    world.user("carol")
    token = pair_of(world, "carol")["refresh_token"]
    assert steps(explain(world, token, secret=secret_of(token)))["account"]["answer"] == "yes"
    done = subprocess.run([str(COMMAND), "user", "disable", "carol", "--conf", f"{world.folder}/latchkey.conf"], env=world.env,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    said = explain(world, token, secret=secret_of(token))
    assert said["verdict"] == "refuse" and said["reason"] in ("banned", "revoked"), said


# ---- devices -------------------------------------------------------------------------------------------------------------------

def test_device_is_explained_and_given_nothing_by_it(world):
    client = Client(world.port)
    answer = client.post("/auth/login", {"username": "alice", "password": PASSWORD, "credential": "session", "carrier": "header",
                                         "device": {"label": "Phone", "class": "mobile"}})
    assert answer.status == 200, answer
    token, session = answer.json["device_token"], answer.json["session"]["public_id"]
    secret = token.split(".")[2]
    for by_command in (False, True):
        said = explain(world, token, secret=secret, by_command=by_command)
        assert (said["verdict"], said["status"]) == ("allow", 200), said
    assert names(said) == ["shape", "carrier", "row", "secret", "device", "issued", "life", "user", "account", "cutoffs", "session"]
    seen = steps(said)
    assert "Phone" in seen["device"]["value"] and session in seen["session"]["value"] and "alive" in seen["session"]["value"]
    bad = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    assert last(explain(world, bad, secret=secret[:-2])) == ("secret", "no", "bad_credentials")
    assert last(explain(world, "d1." + "A" * 16 + "." + "B" * 43, secret="B" * 43)) == ("row", "no", "bad_credentials")
    client.token = answer.json["token"]
    assert client.post("/auth/logout", {}).status == 204
    said = explain(world, token, secret=secret)
    assert said["verdict"] == "refuse"
    assert world.client().post("/auth/devices/session", {"device_token": token, "credential": "session"}).status == said["status"]


# ---- tokens of other issuers ---------------------------------------------------------------------------------------------------

def test_token_of_another_issuer_is_explained_check_by_check(world, issuer):
    now = int(time.time())
    good = issuer.token(name="Dora", scope="orders.read")
    for text, words, end in (
            (good, [], ("login", "yes", "")),
            (good, ["--location", "required role=clerk"], ("role", "no", "insufficient_role")),
            (good, ["--location", "required audience=billing"], ("place", "no", "wrong_audience")),
            (issuer.token(aud="elsewhere"), [], ("audience", "no", "wrong_audience")),
            (issuer.token(exp=now - 5), [], ("times", "no", "expired")),
            (issuer.token(nbf=now + 500), [], ("times", "no", "not_yet_valid")),
            (issuer.token(header={"typ": "logout+jwt"}), [], ("fields", "no", "malformed")),
            (issuer.token(sub=None), [], ("fields", "no", "malformed")),
            (good[:-8] + "AAAAAAAA", [], ("signature", "no", "bad_signature")),
            (issuer.token(cnf={"jkt": "A" * 43}), [], ("proof", "no", "wrong_carrier"))):
        said = explain(world, text, *words, secret=text.split(".")[2], by_command=text == good and not words)
        assert last(said) == end, (said, end)
        path = "/billing/x" if end[0] == "place" else "/x"
        if end[0] != "role":
            answer = ask(world, path, text)
            assert (said["status"], said["reason"]) == (answer.status, answer.reason if answer.status >= 400 else ""), end
    seen = steps(explain(world, good, secret=good.split(".")[2]))
    assert ISSUER in seen["trust"]["value"] and "ES256" in seen["algorithms"]["value"] and "one" in seen["key"]["value"]
    assert "idp.example/a" in seen["user"]["value"] or "42" in seen["user"]["value"]
    assert seen["cutoffs"]["answer"] == "yes"
    said = explain(world, issuer.token(kid="two", key=issuer.keys["one"]), secret="-")
    assert last(said) == ("key", "no", "unknown_key")
