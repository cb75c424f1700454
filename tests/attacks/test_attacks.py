# SPDX-License-Identifier: Apache-2.0
"""Attacks, each with its positive control: the same request without the attack must work, or the test proves nothing."""
import base64
import hashlib
import hmac
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from served import PASSWORD, Served  # noqa: E402

KINDS = ("session", "token", "jwt")


@pytest.fixture(scope="module")
def site():
    served = Served()
    served.register("mallory")
    served.register("alice")
    yield served
    served.close()


def bearer(site, name, kind):
    return site.login(name, credential=kind, carrier="header").json()["token"]


def who(site, **how):
    """The name that reaches the application, '' when none does."""
    answer = site.call("GET", "/", **how)
    assert answer.status == 200
    users = answer.seen("Remote-User")
    assert len(users) == 1
    return users[0]


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def forge(token, header=None, claims=None, sign=lambda text: b""):
    """TOKEN with parts replaced, signed by SIGN."""
    h, p, _ = token.split(".")
    h = encode(json.dumps(header).encode()) if header else h
    p = encode(json.dumps(claims).encode()) if claims else p
    return f"{h}.{p}.{encode(sign(f'{h}.{p}'.encode()))}"


def header_of(token):
    return json.loads(decode(token.split(".")[0]))


def claims_of(token):
    return json.loads(decode(token.split(".")[1]))


# ---- fixation ----------------------------------------------------------------------------------------------------

def test_planted_unknown_id_is_never_adopted(site):
    planted = "latchkey=" + "A" * 43
    answer = site.login("alice", cookie=planted)
    assert answer.cookie() != planted
    assert who(site, cookie=answer.cookie()) == "alice"
    assert who(site, cookie=planted) == ""


def test_planted_anonymous_session_gains_nothing_by_the_login_of_its_victim(site):
    planted = site.call("PATCH", "/auth/session/data", {"cart": ["bait"], "is_admin": True}).cookie()
    assert planted
    login = site.login("alice", cookie=planted)
    assert login.cookie() != planted
    assert who(site, cookie=login.cookie()) == "alice"
    assert who(site, cookie=planted) == ""
    data = site.call("GET", "/auth/session/data", cookie=login.cookie()).json()
    assert data == {"cart": ["bait"]}, "only what the operator named moves into a login"


def test_login_always_gives_a_new_id_and_the_old_one_dies(site):
    first = site.login("alice").cookie()
    second = site.login("alice", cookie=first).cookie()
    assert first != second
    assert who(site, cookie=second) == "alice"
    site.call("POST", "/auth/logout", cookie=second)
    assert who(site, cookie=second) == ""
    assert who(site, cookie=first) == "", "the id that was replaced ends with the one that replaced it"


# ---- replay after logout -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_credential_replayed_after_logout_is_refused(site, kind):
    token = bearer(site, "alice", kind)
    assert who(site, bearer=token) == "alice"
    assert site.call("POST", "/auth/logout", bearer=token).status == 204
    answer = site.call("GET", "/auth/session", bearer=token)
    assert (answer.status, answer.json()["reason"]) == (401, "revoked")
    assert who(site, bearer=token) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_logout_everywhere_reaches_credentials_of_every_kind(site, kind):
    token, cookie, other = bearer(site, "alice", kind), site.login("alice").cookie(), bearer(site, "mallory", kind)
    assert site.call("POST", "/auth/logout?everywhere=1", cookie=cookie).status == 204
    assert who(site, bearer=token) == ""
    assert who(site, bearer=other) == "mallory"
    assert who(site, bearer=bearer(site, "alice", kind)) == "alice", "a login right after it is good"


# ---- tampering -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_byte_is_refused(site, kind):
    token = bearer(site, "alice", kind)
    assert who(site, bearer=token) == "alice"
    for i, c in enumerate(token):
        changed = token[:i] + ("B" if c == "A" else "A") + token[i + 1:]
        assert who(site, bearer=changed) == "", f"byte {i}"
    assert who(site, bearer=token) == "alice"


@pytest.mark.parametrize("kind", KINDS)
def test_credential_cut_at_any_length_is_refused(site, kind):
    token = bearer(site, "alice", kind)
    for i in range(1, len(token), 1 if len(token) < 200 else 5):
        assert who(site, bearer=token[:i]) == "", f"length {i}"
    for tail in ("A", ".", "=", "=="):
        assert who(site, bearer=token + tail) == "", tail


def test_simple_token_of_another_user_cannot_be_spliced(site):
    a, m = bearer(site, "alice", "token").split("."), bearer(site, "mallory", "token").split(".")
    assert who(site, bearer=".".join(m)) == "mallory"
    for i in range(len(a)):
        assert who(site, bearer=".".join(m[:i] + [a[i]] + m[i + 1:])) in ("", "mallory")
    assert who(site, bearer=".".join(a[:-1] + m[-1:])) == ""


# ---- algorithm confusion -----------------------------------------------------------------------------------------------

def test_unsigned_tokens_are_refused_in_any_spelling(site):
    token = bearer(site, "mallory", "jwt")
    assert who(site, bearer=token) == "mallory"
    for alg in ("none", "None", "NONE", "nOnE", "", None, 0, [], "HS256 "):
        header = dict(header_of(token), alg=alg)
        assert who(site, bearer=forge(token, header)) == ""
        assert who(site, bearer=forge(token, header, sign=lambda _: b"x" * 64)) == ""
    header = header_of(token)
    del header["alg"]
    assert who(site, bearer=forge(token, header)) == ""


def test_public_key_is_no_hmac_secret(site):
    token = bearer(site, "mallory", "jwt")
    claims = dict(claims_of(token), sub="alice", name="alice")
    keys = site.call("GET", "/.well-known/jwks.json")
    assert keys.status == 200
    for key in keys.json()["keys"]:
        for part in ("x", "y", "n"):
            if part not in key:
                continue
            for secret in (decode(key[part]), key[part].encode(), json.dumps(key).encode()):
                header = {"alg": "HS256", "typ": "at+jwt", "kid": key["kid"]}
                forged = forge(token, header, claims,
                               lambda text, s=secret: hmac.new(s, text, hashlib.sha256).digest())
                assert who(site, bearer=forged) == ""


def test_key_in_the_header_of_a_token_is_not_believed(site):
    token = bearer(site, "mallory", "jwt")
    secret = b"k" * 32
    for extra in ({"jwk": {"kty": "oct", "k": encode(secret)}}, {"jku": "https://evil.example/keys"},
                  {"x5u": "https://evil.example/cert"}, {"kid": "../../../dev/null"}, {"kid": ""},
                  {"kid": "' OR 1=1 --"}):
        header = {"alg": "HS256", "typ": "at+jwt", **extra}
        forged = forge(token, header, dict(claims_of(token), sub="alice"),
                       lambda text: hmac.new(secret, text, hashlib.sha256).digest())
        assert who(site, bearer=forged) == ""


def test_key_set_shows_public_keys_only(site):
    keys = site.call("GET", "/.well-known/jwks.json").json()["keys"]
    assert keys
    for key in keys:
        assert key["kty"] != "oct"
        assert not set(key) & {"d", "p", "q", "dp", "dq", "qi", "k"}


# ---- identity headers -----------------------------------------------------------------------------------------------------

SPELLINGS = ("Remote-User", "remote-user", "REMOTE-USER", "Remote_User", "remote_user", "Remote-Groups", "Remote_Groups",
             "Remote-Name", "Latchkey-Session", "Latchkey_Session", "Latchkey-Assertion")


@pytest.mark.parametrize("name", SPELLINGS)
def test_identity_header_of_the_client_never_arrives(site, name):
    for method in ("GET", "POST", "OPTIONS", "HEAD"):
        answer = site.call(method, "/", headers={name: "alice", "X-Harmless": "yes"})
        if method == "HEAD":
            continue
        assert answer.seen("X-Harmless") == ["yes"]
        for key, value in answer.json()["headers"]:
            assert not (key.lower().replace("_", "-") == name.lower().replace("_", "-") and value == "alice")


def test_connection_header_cannot_take_our_headers_away(site):
    cookie = site.login("alice").cookie()
    answer = site.call("GET", "/", cookie=cookie, headers={"Connection": "close, Remote-User, Remote_Groups"})
    assert answer.seen("Remote-User") == ["alice"]


# ---- cross-site requests ----------------------------------------------------------------------------------------------------

CROSS_SITE = ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
              {"Origin": "null"}, {"Referer": "https://evil.example/page"})


@pytest.mark.parametrize("fields", CROSS_SITE)
@pytest.mark.parametrize("target", (("POST", "/auth/logout"), ("POST", "/orders"), ("DELETE", "/orders/1"),
                                    ("PATCH", "/auth/session/data")))
def test_cross_site_request_with_a_cookie_changes_nothing(site, fields, target):
    method, path = target
    cookie = site.login("alice").cookie()
    body = {"cart": [1]} if "data" in path else None
    answer = site.call(method, path, body, headers=fields, cookie=cookie)
    assert (answer.status, answer.json()["reason"]) == (403, "csrf")
    assert who(site, cookie=cookie) == "alice"
    own = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{site.port}"}
    assert site.call(method, path, body, headers=own, cookie=cookie).status in (200, 204)


@pytest.mark.parametrize("fields", CROSS_SITE)
def test_header_carried_credentials_are_immune(site, fields):
    token = bearer(site, "alice", "session")
    assert site.call("POST", "/orders", headers=fields, bearer=token).status == 200


def test_form_of_another_site_cannot_log_a_visitor_in(site):
    form = f"username=mallory&password={PASSWORD.replace(' ', '+')}"
    answer = site.call("POST", "/auth/login", raw=form,
                       headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html",
                                "Origin": "https://evil.example"})
    assert answer.status == 403
    assert answer.cookie() is None or not answer.cookie().startswith("latchkey=")


# ---- open redirect --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("target", ("//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example",
                                    "https:evil.example", "javascript:alert(1)", "/%0d%0aSet-Cookie:x=1", "///evil.example",
                                    "http://127.0.0.1@evil.example/", "/\t/evil.example", " //evil.example"))
def test_return_address_of_another_site_is_not_followed(site, target):
    from urllib.parse import quote
    page = site.call("GET", "/auth/login?return=" + quote(target, safe=""), headers={"Accept": "text/html"})
    assert page.status == 200
    assert b"evil.example" not in page.body.replace(b"&#x2F;", b"/")
    assert b"javascript:" not in page.body


def test_return_address_of_our_own_is_kept(site):
    page = site.call("GET", "/auth/login?return=%2Forders%3Fpage%3D2", headers={"Accept": "text/html"})
    assert b"/orders?page=2" in page.body.replace(b"&#x3D;", b"=").replace(b"&#61;", b"=")


# ---- duplicate cookies -------------------------------------------------------------------------------------------------------

def test_two_cookies_of_our_name_that_differ_are_refused_in_either_order(site):
    a, m = site.login("alice").cookie(), site.login("mallory").cookie()
    assert who(site, cookie=f"x=1; {a}; y=2") == "alice"
    assert who(site, cookie=f"{a}; {a}") == "alice"
    assert who(site, cookie=f"{a}; {m}") == ""
    assert who(site, cookie=f"{m}; {a}") == ""


def test_cookie_and_bearer_that_differ_are_refused(site):
    a, m = site.login("alice").cookie(), bearer(site, "mallory", "session")
    assert who(site, cookie=a, bearer=m) == ""
    assert who(site, cookie=a, bearer=a.split("=", 1)[1]) == "alice"


# ---- what an answer gives away ---------------------------------------------------------------------------------------------------

def test_unknown_user_and_wrong_password_get_the_same_answer(site):
    a = site.call("POST", "/auth/login", {"username": "alice", "password": "wrong horse battery staple"})
    b = site.call("POST", "/auth/login", {"username": "nobody-of-that-name", "password": "wrong horse battery staple"})
    assert a.status == b.status == 401
    assert a.body == b.body
    drop = {"date", "x-request-id"}
    assert [h for h in a.headers.items() if h[0].lower() not in drop] == \
           [h for h in b.headers.items() if h[0].lower() not in drop]


def test_answer_to_a_login_by_cookie_holds_the_id_in_no_body(site):
    answer = site.login("alice")
    assert answer.cookie().split("=", 1)[1].encode() not in answer.body
    assert "no-store" in answer.headers["Cache-Control"]


def test_list_of_sessions_shows_nothing_that_opens_one(site):
    cookie = site.login("alice").cookie()
    sessions = site.call("GET", "/auth/sessions", cookie=cookie)
    assert sessions.status == 200
    assert cookie.split("=", 1)[1].encode() not in sessions.body
    public_id = site.call("GET", "/auth/session", cookie=cookie).json()["session"]["public_id"]
    assert who(site, cookie="latchkey=" + public_id) == ""
    assert who(site, bearer=public_id) == ""


def test_session_of_somebody_else_cannot_be_ended_by_its_public_id(site):
    victim, attacker = site.login("alice").cookie(), site.login("mallory").cookie()
    public_id = site.call("GET", "/auth/session", cookie=victim).json()["session"]["public_id"]
    assert site.call("DELETE", f"/auth/sessions/{public_id}", cookie=attacker).status == 404
    assert who(site, cookie=victim) == "alice"
    assert site.call("DELETE", f"/auth/sessions/{public_id}", cookie=victim).status == 204
    assert who(site, cookie=victim) == ""
