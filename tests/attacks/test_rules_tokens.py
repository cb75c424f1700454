# SPDX-License-Identifier: Apache-2.0
"""Tokens in requests and in answers: docs/security-checklist.md, rules 54 to 88."""
import json
from urllib.parse import quote

import pytest

from served import PASSWORD
from visitors import FORM, who

KINDS = ("session", "token", "jwt")


def bearer(site, name, kind):
    return site.login(name, credential=kind, carrier="header").json()["token"]


def mint(site, name, scope=""):
    words = ["token", "mint", "--kind", "jwt", "--user", name, "--ttl", "10m"] + (["--scope", scope] if scope else [])
    made = site.command(*words)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


# ---- where a token may ride ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_token_is_read_from_the_authorization_header_and_nowhere_else(easy, kind):
    token = bearer(easy, "alice", kind)
    assert who(easy, bearer=token) == "alice"
    for name in ("access_token", "token", "latchkey", "jsessionid", "sid"):
        for path in (f"/?{name}={token}", f"/;{name}={token}", f"/orders;{name}={token}?x=1"):
            assert who(easy, path) == "", path
        form = f"{name}={quote(token)}"
        assert who(easy, method="POST", raw=form, headers={"Content-Type": FORM}) == "", name
        assert who(easy, method="POST", body={name: token}) == "", name
    for name in ("X-Authorization", "Proxy-Authorization", "X-Access-Token", "X-Auth-Token", "Token", "Latchkey-Token"):
        assert who(easy, headers={name: "Bearer " + token}) == "" and who(easy, headers={name: token}) == "", name
    for text in (token, "Basic " + token, "Token " + token, "Bearer" + token, f'Bearer "{token}"', f"Bearer {token} x",
                 f"Bearer {token}, Bearer {token}", "DPoP " + token):
        assert who(easy, headers={"Authorization": text}) == "", text.replace(token, "TOKEN")


def test_two_tokens_at_once_that_differ_are_refused(easy):
    alice, mallory = bearer(easy, "alice", "jwt"), bearer(easy, "mallory", "jwt")
    cookie = easy.login("alice").cookie()
    answer = easy.call("GET", "/required/", bearer=mallory, cookie=cookie)
    assert (answer.status, answer.json()["reason"]) == (400, "malformed")
    assert easy.call("GET", "/required/", bearer=mallory).status == 200
    for first, second in ((alice, mallory), (mallory, alice)):
        connection = easy.connection()
        connection.putrequest("GET", "/required/")
        for token in (first, second):
            connection.putheader("Authorization", "Bearer " + token)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status in (400, 401), "400 is nginx's own"
        assert b"Remote-User" not in response.read()
        connection.close()


# ---- what is said of one that is not good -----------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ("/required/", "/auth/session", "/auth/sessions", "/auth/authz/auth-request"))
def test_401_names_the_scheme_and_an_error_only_when_something_was_shown(easy, path):
    answer = easy.call("GET", path)
    challenge = answer.headers["WWW-Authenticate"]
    assert (answer.status, answer.json()["reason"]) == (401, "no_credential")
    assert challenge == 'Bearer realm="latchkey"'
    token = bearer(easy, "alice", "jwt")
    for shown, reason in ((token[:-9] + "AAAAAAAAA", "bad_signature"), ("a.b.c", "malformed"), ("x", "malformed"),
                          ("A" * 43, "expired")):
        answer = easy.call("GET", path, bearer=shown)
        challenge = answer.headers["WWW-Authenticate"]
        assert (answer.status, answer.json()["reason"]) == (401, reason)
        assert challenge.startswith('Bearer realm="latchkey", error="invalid_token"')
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "no-store" in answer.headers["Cache-Control"]
    assert easy.call("GET", path, bearer=token).status == 200


def test_403_for_a_missing_scope_names_the_scope(easy):
    none, other, right = mint(easy, "alice"), mint(easy, "alice", "orders.readable Orders.Read orders"), mint(
        easy, "alice", "x.y orders.read z")
    for token in (none, other):
        answer = easy.call("GET", "/scope/", bearer=token)
        assert (answer.status, answer.json()["reason"]) == (403, "insufficient_scope")
        assert answer.headers["WWW-Authenticate"] == \
            'Bearer realm="latchkey", error="insufficient_scope", scope="orders.read"'
    assert easy.call("GET", "/scope/", bearer=right).status == 200
    assert easy.call("GET", "/auth/authz/auth-request?scope=orders.read", bearer=none).status == 403
    assert easy.call("GET", "/auth/authz/auth-request?scope=z+orders.read", bearer=right).status == 200


def test_login_asks_for_scopes_and_holds_no_other(easy):
    for kind in KINDS:
        wish = {"username": "alice", "password": PASSWORD, "credential": kind, "carrier": "header"}
        for scope, status in (("x orders.read", 200), (["orders.read"], 200), ("x", 403)):
            token = easy.call("POST", "/auth/login", {**wish, "scope": scope}).json()["token"]
            assert easy.call("GET", "/scope/", bearer=token).status == status
        token = easy.call("POST", "/auth/login", wish).json()["token"]
        assert easy.call("GET", "/scope/", bearer=token).status == (200 if kind == "session" else 403)


def test_token_gives_no_role_its_user_does_not_have(easy):
    for kind in KINDS:
        answer = easy.call("GET", "/role/", bearer=bearer(easy, "alice", kind))
        assert (answer.status, answer.json()["reason"]) == (403, "insufficient_role")
    login = {"username": "alice", "password": PASSWORD, "credential": "jwt", "roles": ["admin"], "scope": "orders.reads",
             "user": {"roles": ["admin"]}}
    token = easy.call("POST", "/auth/login", login).json()["token"]
    assert easy.call("GET", "/role/", bearer=token).status == 403
    assert easy.call("GET", "/scope/", bearer=token).status == 403
    easy.register("boss")
    assert easy.command("user", "roles", "boss", "admin").returncode == 0
    assert easy.call("GET", "/role/", bearer=bearer(easy, "boss", "jwt")).status == 200


NAMES = ("Bob,roles=admin", "Bob\",\"roles\":[\"admin\"],\"x\":\"", "Bob roles=admin", "admin", "Bob%2Croles=admin", "a=b,roles=admin,c=d",
         "Bob.roles=admin")


@pytest.mark.parametrize("name", NAMES)
def test_name_of_a_user_is_no_list_of_roles(easy, name):
    """A person chooses the name, and shall choose nothing else with it."""
    easy.register(name)
    for kind in KINDS:
        token = bearer(easy, name, kind)
        assert easy.call("GET", "/required/", bearer=token).seen("Remote-Groups") == [""], kind
        assert easy.call("GET", "/role/", bearer=token).status == 403, kind
        assert easy.call("GET", "/scope/", bearer=token).status == (200 if kind == "session" else 403), kind
        assert easy.call("GET", "/auth/session", bearer=token).json()["user"]["name"] == name, kind


# ---- answers that hold tokens ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("carrier", ("header", "cookie"))
def test_answer_with_a_token_is_not_to_be_stored_and_shows_it_once(easy, kind, carrier):
    answer = easy.login("alice", credential=kind, carrier=carrier)
    assert answer.headers.get_all("Cache-Control") == ["no-store"]
    assert "token" in answer.json() or answer.cookie()
    assert ("token" in answer.json(), answer.cookie() is not None) == (carrier == "header", carrier == "cookie")
    assert answer.json().get("token_type") == ("Bearer" if carrier == "header" else None)


def test_there_is_no_password_grant(easy):
    grant = f"grant_type=password&username=alice&password={quote(PASSWORD)}"
    for path in ("/oauth2/token", "/auth/token", "/auth/oauth2/token", "/token", "/auth/login", "/auth/refresh"):
        for accept in ("application/json", "*/*"):
            answer = easy.call("POST", path, raw=grant, headers={"Content-Type": FORM, "Accept": accept})
            assert b"access_token" not in answer.body and b'"token"' not in answer.body, path
            assert answer.headers.get("Set-Cookie") is None, path
    assert b"token" in easy.login("alice", credential="jwt").body


def test_key_set_says_what_it_is_and_for_how_long_it_may_be_kept(easy):
    answer = easy.call("GET", "/.well-known/jwks.json")
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    keys = json.loads(answer.body)["keys"]
    assert len({key["kid"] for key in keys}) == len(keys) >= 3
    for key in keys:
        assert key["use"] == "sig" and key["alg"] != "none"
        assert not set(key) & {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
