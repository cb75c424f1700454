# SPDX-License-Identifier: Apache-2.0
"""Tokens bound to a key of the client (DPoP, RFC 9449), through the gateway, with proofs that another program made."""
import json
import time

import pytest

from gateway_lab import Client, raw
from proofs import Key, b64

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def world(module_gateways, module_application):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    gateway = module_gateways(
        workers=1,
        settings={"latchkey_throttle": "account=100000/15m address=100000/15m"},
        server=f"""
        location / {{ latchkey required; {up} }}
        location /bound/ {{ latchkey required bound; {up} }}
        location /role/ {{ latchkey required bound role=chief; {up} }}
        location /inner/ {{ internal; latchkey required bound; {up} }}
        location /outer/ {{ latchkey required; rewrite ^/outer/(.*)$ /redirected/$1 break; {up} error_page 404 = /inner/x; }}
        location /twice/ {{ latchkey required; error_page 404 = /inner/x; return 404; }}
        location /asked/ {{ auth_request /auth/authz/auth-request; {up} }}
        location /open/ {{ latchkey optional; {up} }}
        """)
    gateway.start()
    visitor = Client(gateway.port)
    assert visitor.register("alice").status == 201
    visitor.close()
    gateway.origin = f"http://127.0.0.1:{gateway.port}"
    gateway.app = module_application
    yield gateway


def login(gateway, key=None, origin=None, proof=None, **more):
    """A token of alice's, bound to KEY if there is one."""
    client = Client(gateway.port, keep=False)
    headers = {}
    if key is not None:
        headers["DPoP"] = proof or key.proof("POST", (origin or gateway.origin) + "/auth/login")
    body = {"username": "alice", "password": PASSWORD, "credential": "jwt", **more}
    return client.post("/auth/login", body, headers=headers)


def ask(gateway, path, token, proof=None, scheme="DPoP", method="GET", body=None, **headers):
    client = Client(gateway.port, keep=False)
    h = {"Authorization": f"{scheme} {token}", **headers}
    if proof is not None:
        h["DPoP"] = proof
    return client.request(method, path, body=body, headers=h)


@pytest.fixture(scope="module")
def key():
    return Key("ES256")


@pytest.fixture(scope="module")
def token(world, key):
    answer = login(world, key)
    assert answer.status == 200, answer
    return answer.json["token"]


def good(world, key, token, path="/", method="GET", **claims):
    return key.proof(method, world.origin + path, token, **claims)


def claims_of(token):
    import base64
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


# ---- issuing

@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256", "PS256"])
def test_login_with_a_proof_gives_a_token_bound_to_its_key(world, alg):
    key = Key(alg)
    answer = login(world, key)
    assert answer.status == 200
    assert answer.json["token_type"] == "DPoP"
    token = answer.json["token"]
    assert claims_of(token)["cnf"] == {"jkt": key.jkt}
    assert ask(world, "/bound/x", token, good(world, key, token, "/bound/x")).status == 200


def test_login_without_a_proof_gives_a_bearer_token_as_ever(world):
    answer = login(world)
    assert answer.json["token_type"] == "Bearer"
    assert "cnf" not in claims_of(answer.json["token"])


@pytest.mark.parametrize("more", [{"credential": "session"}, {"credential": "token"}, {"carrier": "cookie"}])
def test_what_cannot_be_bound_is_not_given_out_as_if_it_were(world, key, more):
    answer = login(world, key, **more)
    assert answer.status == 422
    assert "DPoP" in answer.json["detail"]


def test_login_with_a_bad_proof_is_refused_and_says_so(world, key):
    for proof in (key.proof("POST", world.origin + "/auth/register"), key.proof("GET", world.origin + "/auth/login"),
                  key.proof("POST", world.origin + "/auth/login", iat=int(time.time()) - 100), "x.y.z"):
        answer = login(world, key, proof=proof)
        assert answer.status == 401
        assert 'DPoP realm="latchkey", error="invalid_dpop_proof"' in answer.get("WWW-Authenticate")
        assert "ES256" in answer.get("WWW-Authenticate")
        assert "token" not in answer.json


def test_proof_of_a_login_is_used_up(world, key):
    proof = key.proof("POST", world.origin + "/auth/login")
    assert login(world, key, proof=proof).status == 200
    assert login(world, key, proof=proof).reason == "replayed"


# ---- using

def test_bound_token_goes_through_with_a_fresh_proof_each_time(world, key, token):
    for path, method, body in (("/", "GET", None), ("/bound/x?a=1&b=%20", "GET", None), ("/bound/y", "POST", b"{}"),
                               ("/bound/y", "DELETE", None)):
        answer = ask(world, path, token, good(world, key, token, path, method), method=method, body=body)
        assert answer.status == 200
        assert answer.sent("Remote-User") == ["alice"]


def test_htu_may_leave_the_query_out_or_in(world, key, token):
    for htu in ("/bound/x", "/bound/x?a=1", "/bound/x?other", "/bound/./x#f"):
        proof = key.proof("GET", world.origin + htu, token)
        assert ask(world, "/bound/x?a=1", token, proof).status == 200


def test_same_proof_twice_is_refused(world, key, token):
    proof = good(world, key, token, "/bound/x")
    assert ask(world, "/bound/x", token, proof).status == 200
    answer = ask(world, "/bound/x", token, proof)
    assert answer.status == 401
    assert answer.reason == "replayed"
    assert 'error="invalid_dpop_proof"' in answer.get("WWW-Authenticate")


def test_bound_token_as_bearer_is_refused(world, key, token):
    answer = ask(world, "/", token, scheme="Bearer")
    assert (answer.status, answer.reason) == (401, "wrong_carrier")
    assert answer.get("WWW-Authenticate").startswith('DPoP realm="latchkey", error="invalid_token"')
    assert ask(world, "/", token, good(world, key, token), scheme="Bearer").status == 401
    assert ask(world, "/", token, scheme="DPoP").reason == "wrong_carrier"
    answer = Client(world.port, keep=False).get("/", headers={"Cookie": f"latchkey={token}", "DPoP": good(world, key, token)})
    assert answer.status == 401


def test_token_that_is_not_bound_is_refused_under_dpop_and_where_bound_is_asked_for(world, key):
    plain = login(world).json["token"]
    assert ask(world, "/", plain, good(world, key, plain)).reason == "wrong_carrier"
    answer = ask(world, "/bound/x", plain, scheme="Bearer")
    assert (answer.status, answer.reason) == (401, "wrong_carrier")
    assert answer.get("WWW-Authenticate").startswith("DPoP ")
    nobody = raw(world.port, "GET /bound/x HTTP/1.0\r\n\r\n")
    assert nobody.status == 401
    assert "error=" not in nobody.get("WWW-Authenticate")
    assert nobody.get("WWW-Authenticate").startswith('DPoP realm="latchkey", algs="')
    assert ask(world, "/", plain, scheme="Bearer").status == 200


def test_session_cookie_is_not_removed_where_a_bound_token_is_asked_for(world):
    client = Client(world.port)
    assert client.login("alice").status == 200
    answer = client.get("/bound/x", headers={"Accept": "application/json"})
    assert answer.status == 401
    assert answer.all("Set-Cookie") == []
    assert client.get("/").status == 200
    client.close()


BAD = {
    "another method": lambda w, k, t: k.proof("POST", w.origin + "/bound/x", t),
    "another path": lambda w, k, t: k.proof("GET", w.origin + "/bound/y", t),
    "another host": lambda w, k, t: k.proof("GET", "http://evil.example/bound/x", t),
    "https where it is http": lambda w, k, t: k.proof("GET", w.origin.replace("http", "https") + "/bound/x", t),
    "another token": lambda w, k, t: k.proof("GET", w.origin + "/bound/x", t + "x"),
    "no ath": lambda w, k, t: k.proof("GET", w.origin + "/bound/x"),
    "no jti": lambda w, k, t: good(w, k, t, "/bound/x", jti=None),
    "no htm": lambda w, k, t: good(w, k, t, "/bound/x", htm=None),
    "no htu": lambda w, k, t: good(w, k, t, "/bound/x", htu=None),
    "no iat": lambda w, k, t: good(w, k, t, "/bound/x", iat=None),
    "iat a string": lambda w, k, t: good(w, k, t, "/bound/x", iat=str(int(time.time()))),
    "too old": lambda w, k, t: good(w, k, t, "/bound/x", iat=int(time.time()) - 65),
    "from the future": lambda w, k, t: good(w, k, t, "/bound/x", iat=int(time.time()) + 30),
    "type jwt": lambda w, k, t: good(w, k, t, "/bound/x", header={"typ": "jwt"}),
    "no type": lambda w, k, t: good(w, k, t, "/bound/x", header={"typ": None}),
    "alg none": lambda w, k, t: good(w, k, t, "/bound/x", header={"alg": "none"}),
    "alg of a secret": lambda w, k, t: good(w, k, t, "/bound/x", header={"alg": "HS256"}),
    "alg of another key": lambda w, k, t: good(w, k, t, "/bound/x", header={"alg": "ES384"}),
    "no key": lambda w, k, t: good(w, k, t, "/bound/x", header={"jwk": None}),
    "private key": lambda w, k, t: good(w, k, t, "/bound/x", header={"jwk": {**k.jwk, "d": b64(b"d" * 32)}}),
    "crit": lambda w, k, t: good(w, k, t, "/bound/x", header={"crit": ["b64"]}),
    "another key": lambda w, k, t: Key("ES256").proof("GET", w.origin + "/bound/x", t),
    "signed by another key": lambda w, k, t: good(w, Key("ES256"), t, "/bound/x", header={"jwk": k.jwk}),
    "a bit of the signature": lambda w, k, t: flip(good(w, k, t, "/bound/x")),
    "empty": lambda w, k, t: "",
    "no jwt": lambda w, k, t: "abc",
    "long": lambda w, k, t: good(w, k, t, "/bound/x", padding="x" * 4000),
}
WHY = {"too old": "expired", "from the future": "not_yet_valid", "another key": "wrong_device"}


def flip(proof):
    at = len(proof) - 20
    return proof[:at] + ("A" if proof[at] != "A" else "B") + proof[at + 1:]


@pytest.mark.parametrize("name", BAD)
def test_proof_that_does_not_prove_this_request_is_refused(world, key, token, name):
    before = len(world.app.seen)
    answer = ask(world, "/bound/x", token, BAD[name](world, key, token))
    assert answer.status == 401
    assert answer.reason == WHY.get(name, answer.reason)
    assert answer.reason in ("malformed", "bad_signature", "expired", "not_yet_valid", "wrong_device")
    assert 'error="invalid_dpop_proof"' in answer.get("WWW-Authenticate")
    assert len(world.app.seen) == before


def test_two_proofs_are_refused_even_if_both_are_good(world, key, token):
    proofs = [good(world, key, token, "/bound/x") for _ in range(2)]
    answer = raw(world.port, f"GET /bound/x HTTP/1.1\r\nHost: 127.0.0.1:{world.port}\r\nConnection: close\r\n"
                             f"Authorization: DPoP {token}\r\nDPoP: {proofs[0]}\r\nDPoP: {proofs[1]}\r\n\r\n")
    assert (answer.status, answer.reason) == (401, "malformed")
    for proof in proofs:
        assert ask(world, "/bound/x", token, proof).status == 200


def test_two_authorizations_are_refused(world, key, token):
    answer = raw(world.port, f"GET /bound/x HTTP/1.1\r\nHost: 127.0.0.1:{world.port}\r\nConnection: close\r\n"
                             f"Authorization: DPoP {token}\r\nAuthorization: Bearer {token}\r\n"
                             f"DPoP: {good(world, key, token, '/bound/x')}\r\n\r\n")
    assert answer.status in (400, 401)  # nginx itself takes no second one, from some version on


def test_logout_of_the_session_ends_the_bound_token(world, key):
    token = login(world, key).json["token"]
    answer = ask(world, "/auth/logout", token, good(world, key, token, "/auth/logout", "POST"), method="POST")
    assert answer.status == 204
    assert ask(world, "/bound/x", token, good(world, key, token, "/bound/x")).reason == "revoked"


def test_api_takes_a_bound_token_with_a_proof_for_the_api_itself(world, key, token):
    assert ask(world, "/auth/session", token, good(world, key, token, "/auth/session")).json["user"]["name"] == "alice"
    answer = ask(world, "/auth/session", token, good(world, key, token, "/bound/x"))
    assert answer.status == 401
    assert answer.get("WWW-Authenticate").startswith('DPoP realm="latchkey", error="invalid_dpop_proof"')
    assert ask(world, "/auth/session", token, scheme="Bearer").status == 401


def refresh(gateway, token, key=None, proof=None):
    headers = {}
    if key or proof:
        headers["DPoP"] = proof or key.proof("POST", gateway.origin + "/auth/refresh")
    return Client(gateway.port, keep=False).post("/auth/refresh", {"refresh_token": token}, headers=headers)


def test_refresh_token_is_bound_to_the_same_key_and_so_is_what_comes_of_it(world, key):
    first = login(world, key).json
    answer = refresh(world, first["refresh_token"], key)
    assert answer.status == 200, answer
    assert answer.json["token_type"] == "DPoP"
    token = answer.json["token"]
    assert claims_of(token)["cnf"] == {"jkt": key.jkt}
    assert ask(world, "/bound/x", token, good(world, key, token, "/bound/x")).status == 200
    assert refresh(world, answer.json["refresh_token"], key).json["token_type"] == "DPoP"


def test_stolen_refresh_token_is_no_use_without_the_key_and_does_not_end_the_login(world, key):
    first = login(world, key).json["refresh_token"]
    for answer in (refresh(world, first), refresh(world, first, Key("ES256")),
                   refresh(world, first, proof=key.proof("POST", world.origin + "/auth/login"))):
        assert answer.status == 401
        assert answer.get("WWW-Authenticate").startswith("DPoP ")
    second = refresh(world, first, key)
    assert second.status == 200
    third = refresh(world, second.json["refresh_token"], key)
    assert third.status == 200
    # used, and its successor too: whoever has not the key ends nothing by showing it
    assert refresh(world, first).status == 401
    assert refresh(world, third.json["refresh_token"], key).status == 200


def test_refresh_token_that_is_not_bound_takes_no_proof(world, key):
    plain = login(world).json["refresh_token"]
    assert refresh(world, plain, key).reason == "wrong_carrier"
    assert refresh(world, plain).json["token_type"] == "Bearer"


def test_proof_of_a_refresh_is_used_up(world, key):
    token = login(world, key).json["refresh_token"]
    proof = key.proof("POST", world.origin + "/auth/refresh")
    answer = refresh(world, token, proof=proof)
    assert answer.status == 200
    assert refresh(world, answer.json["refresh_token"], proof=proof).reason == "replayed"


def test_role_that_is_missing_is_told_under_dpop(world, key, token):
    assert ask(world, "/role/x", token, good(world, key, token, "/role/x")).status == 403


def test_request_that_meets_two_gates_uses_one_proof_once(world, key, token):
    """An error page, an internal redirect: the visitor has sent one request."""
    proof = good(world, key, token, "/twice/x")
    answer = ask(world, "/twice/x", token, proof)
    assert answer.status == 200
    assert answer.json["path"] == "/inner/x"
    assert answer.sent("Remote-User") == ["alice"]
    assert ask(world, "/twice/x", token, proof).reason == "replayed"


def test_auth_request_of_nginx_checks_the_request_it_is_a_part_of(world, key, token):
    answer = ask(world, "/asked/x?y", token, good(world, key, token, "/asked/x"))
    assert answer.status == 200
    assert ask(world, "/asked/x?y", token, good(world, key, token, "/auth/authz/auth-request")).status == 401
    proof = good(world, key, token, "/asked/x")
    assert ask(world, "/asked/x", token, proof).status == 200
    assert ask(world, "/asked/x", token, proof).status == 401


def test_endpoint_for_other_proxies_refuses_proofs_for_the_pages_behind_them(world, key, token):
    """What a client says in X-Original-URI is no reason to believe that its proof was made for that."""
    answer = ask(world, "/auth/authz/auth-request", token, good(world, key, token, "/bound/x"),
                 **{"X-Original-URI": "/bound/x", "X-Original-Method": "GET"})
    assert answer.status == 401


def test_behind_a_proxy_that_ends_tls_the_url_is_https(gateways, application, key):
    gateway = gateways(workers=1, settings={"latchkey_tls_proxy": "on", "latchkey_cookie": "__Host-latchkey"},
                       server=f"location / {{ latchkey required bound; proxy_pass http://127.0.0.1:{application.port}; }}")
    gateway.start()
    client = Client(gateway.port, keep=False)
    host = {"Host": "shop.example", "Origin": "https://shop.example"}
    assert client.request("POST", "/auth/register", headers=host,
                          json_body={"username": "alice", "password": PASSWORD}).status == 201
    answer = client.request("POST", "/auth/login",
                            headers={**host, "DPoP": key.proof("POST", "https://shop.example/auth/login")},
                            json_body={"username": "alice", "password": PASSWORD, "credential": "jwt"})
    assert answer.status == 200, answer
    token = answer.json["token"]
    for url, status in (("https://shop.example/x", 200), ("https://SHOP.example:443/x", 200), ("http://shop.example/x", 401)):
        answer = client.get("/x", headers={"Host": "shop.example", "Authorization": f"DPoP {token}",
                                           "DPoP": key.proof("GET", url, token)})
        assert answer.status == status


def test_nonce_is_asked_for_given_and_taken(gateways, application, key):
    gateway = gateways(workers=1, settings={"latchkey_dpop": "nonce=1h"},
                       server=f"location / {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}")
    gateway.start()
    gateway.origin = f"http://127.0.0.1:{gateway.port}"
    visitor = Client(gateway.port)
    assert visitor.register("alice").status == 201
    visitor.close()
    url = gateway.origin + "/auth/login"
    answer = login(gateway, key)
    assert answer.status == 401
    assert 'error="use_dpop_nonce"' in answer.get("WWW-Authenticate")
    nonce = answer.get("DPoP-Nonce")
    answer = login(gateway, key, proof=key.proof("POST", url, nonce=nonce))
    assert answer.status == 200
    token = answer.json["token"]
    answer = ask(gateway, "/x", token, good(gateway, key, token, "/x"))
    assert answer.status == 401
    assert 'DPoP realm="latchkey", error="use_dpop_nonce"' in answer.get("WWW-Authenticate")
    nonce = answer.get("DPoP-Nonce")
    assert ask(gateway, "/x", token, good(gateway, key, token, "/x", nonce=nonce)).status == 200
    assert ask(gateway, "/x", token, good(gateway, key, token, "/x", nonce="x" * 32)).status == 401
    # a proof that is wrong anyway is not sent back for a nonce
    assert ask(gateway, "/x", token, good(gateway, key, token, "/y", nonce=nonce)).get("DPoP-Nonce") is None


@pytest.mark.parametrize("rule,why", [
    ("off bound", "checks nothing"), ("optional bound", "only latchkey required"),
    ("required bound signature", "two ways"), ("required bound credential=session_id", "credential=jwt"),
    ("required bound carrier=cookie", "carrier=header"), ("required signature carrier=cookie", "carrier=header"),
    ("required signature credential=jwt", "credential=api_key")])
def test_rule_that_nobody_could_meet_is_refused_at_the_start(gateways, rule, why):
    trial = gateways(server=f"location / {{ latchkey {rule}; return 200; }}").trial()
    assert trial.returncode != 0
    assert why in trial.stderr + trial.stdout


def test_replay_is_known_to_every_worker_and_after_a_reload(gateways, application, key):
    gateway = gateways(workers=3, server=f"location / {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}")
    gateway.start()
    gateway.origin = f"http://127.0.0.1:{gateway.port}"
    visitor = Client(gateway.port)
    assert visitor.register("alice").status == 201
    visitor.close()
    token = login(gateway, key).json["token"]
    proof = good(gateway, key, token, "/x")
    assert ask(gateway, "/x", token, proof).status == 200
    for _ in range(12):
        assert ask(gateway, "/x", token, proof).reason == "replayed"
    gateway.reload()
    for _ in range(6):
        time.sleep(0.1)
        assert ask(gateway, "/x", token, proof).reason == "replayed"
    gateway.stop()
    gateway.start()
    assert ask(gateway, "/x", token, proof).reason == "replayed"


def test_another_program_reads_our_bound_token(world, key, token):
    """python3-authlib, with our public keys."""
    from authlib.jose import JsonWebKey, jwt
    keys = Client(world.port, keep=False).get("/.well-known/jwks.json").json
    claims = jwt.decode(token, JsonWebKey.import_key_set(keys))
    assert claims["cnf"]["jkt"] == JsonWebKey.import_key(key.jwk).thumbprint()
