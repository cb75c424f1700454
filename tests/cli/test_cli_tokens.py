# SPDX-License-Identifier: Apache-2.0
"""token and jws: made, checked, looked at, revoked; cut-offs."""
import base64
import hashlib
import hmac
import json
import time

import pytest

from conftest import FAULT, NO, PASSWORD, WRONG, YES

# RFC 8037 appendix A: an Ed25519 key and a JWS signed with it.
ED_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED_JWS = ("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4i"
          "ylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
SECRET = b"0123456789abcdef0123456789abcdef"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hs256(claims, header=None):
    head = b64(json.dumps(header or {"alg": "HS256", "kid": "k"}).encode()) + "." + b64(json.dumps(claims).encode())
    return head + "." + b64(hmac.new(SECRET, head.encode(), hashlib.sha256).digest())


@pytest.fixture
def ed(tmp_path):
    path = tmp_path / "ed.jwk"
    path.write_text(json.dumps(ED_JWK))
    return path


@pytest.fixture
def oct(tmp_path):
    path = tmp_path / "oct.jwk"
    path.write_text(json.dumps({"kty": "oct", "kid": "k", "alg": "HS256", "k": b64(SECRET)}))
    return path


# ---- jws ----


def test_payload_goes_to_standard_output_byte_for_byte(latchkey, ed):
    done = latchkey.run("jws", "verify", "--jwk", ed, ED_JWS)
    assert (done.returncode, done.stdout, done.stderr) == (YES, b"Example of Ed25519 signing", b"")
    assert latchkey.run("jws", "verify", "--jwk", ed, "-", input=ED_JWS + "\n").stdout == done.stdout
    assert latchkey.run("jws", "verify", "--jwk", ed, input=ED_JWS).stdout == done.stdout
    assert latchkey.json("jws", "verify", "--jwk", ed, ED_JWS)["payload"] == ED_JWS.split(".")[1]


@pytest.mark.parametrize("token", ["", "x", "a.b.c", ED_JWS[:-1], ED_JWS + "A", ED_JWS.replace(".", "..", 1), ED_JWS + "=",
                                   "eyJhbGciOiJub25lIn0.e30.", pytest.param("x" * 9000, id="too long"), ED_JWS.replace("h", "i", 1)])
def test_jws_that_is_not_genuine_is_a_no_with_a_reason(latchkey, ed, token):
    done = latchkey.run("jws", "verify", "--jwk", ed, "-", input=token)
    assert done.returncode == NO and done.stdout == b""
    assert any(word in done.stderr for word in (b"malformed", b"bad_signature", b"unknown_key")), done.stderr


def test_key_file_that_is_missing_is_a_fault_and_one_that_is_no_key_is_a_no(latchkey, tmp_path):
    latchkey.error("jws", "verify", "--jwk", tmp_path / "nix", ED_JWS, code=FAULT)
    (tmp_path / "nix").write_text('{"kty": "OKP"}')
    latchkey.error("jws", "verify", "--jwk", tmp_path / "nix", ED_JWS, code=NO)
    latchkey.error("jws", "verify", ED_JWS, code=WRONG)


def test_jws_of_ours_is_verified_with_the_exported_keys(keys, tmp_path):
    jwks = tmp_path / "jwks.json"
    jwks.write_text(keys.text("key", "export"))
    for alg in ("EdDSA", "ES256", "RS256"):
        token = keys.json("token", "mint", "--user", "u", "--alg", alg)["token"]
        assert json.loads(keys.text("jws", "verify", "--jwk", jwks, token))["sub"] == "u"
    token = keys.json("token", "mint", "--user", "u", "--alg", "HS256")["token"]
    keys.error("jws", "verify", "--jwk", jwks, token, code=NO)


# ---- mint and verify ----


@pytest.mark.parametrize("kind", ["jwt", "simple"])
def test_minted_token_is_verified_with_its_claims(keys, kind):
    made = keys.json("token", "mint", "--kind", kind, "--user", "robot", "--ttl", "1h", "--scope", "a b", "--roles", "r")
    assert made["kind"] == kind and made["expires"] - made["issued"] == 3600 and len(made["session"]) == 16
    answer = keys.json("token", "verify", made["token"])
    assert answer["valid"] is True and answer["user"] == "robot" and answer["kind"] == kind
    assert answer["scope"] == ["a", "b"] and answer["roles"] == ["r"] and answer["session"] == made["session"]
    assert answer["issued"] == made["issued"] and answer["expires"] == made["expires"]
    assert "robot" in keys.text("token", "verify", "-", input=made["token"] + "\n")


def test_simple_token_is_what_its_format_says(keys):
    token = keys.text("token", "mint", "--kind", "simple", "--user", "zoë", "--param", "tenant=acme", "--no-session").strip()
    fields = token.split(".")
    assert len(fields) == 6
    assert base64.urlsafe_b64decode(fields[0] + "==").decode() == "zoë"
    assert base64.urlsafe_b64decode(fields[3] + "===").decode() == "tenant=acme"
    kid = next(key["kid"] for key in keys.json("key", "list")["keys"] if key["alg"] == "HS256")
    secret = json.loads((keys.folder / "keys" / f"{kid}.jwk").read_text())["k"]
    signed = token.rsplit(".", 1)[0].encode()
    # HKDF-SHA256 (RFC 5869) without salt: a key of its own, so that no JWT can be passed off as a simple token.
    extracted = hmac.new(bytes(32), base64.urlsafe_b64decode(secret + "=="), hashlib.sha256).digest()
    key = hmac.new(extracted, b"latchkey simple token 1\x01", hashlib.sha256).digest()
    assert hmac.new(key, signed, hashlib.sha256).hexdigest() == fields[-1]


def test_parameter_cannot_bring_another_one_along(keys):
    token = keys.text("token", "mint", "--kind", "simple", "--user", "u", "--param", "a=b,roles=admin", "--no-session").strip()
    shown = keys.json("token", "verify", token)
    assert shown["params"] == "a=b%2Croles=admin"
    assert not shown.get("roles")


@pytest.mark.parametrize("kind", ["jwt", "simple"])
def test_token_that_was_changed_anywhere_is_a_no(keys, kind):
    token = keys.json("token", "mint", "--kind", kind, "--user", "robot")["token"]
    keys.text("token", "verify", token)
    for at in range(0, len(token), 7):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1:]
        assert keys.run("token", "verify", "--", changed).returncode == NO, at


def test_time_is_looked_at_and_can_be_given(keys):
    made = keys.json("token", "mint", "--user", "u", "--ttl", "60s")
    assert keys.json("token", "verify", made["token"], "--now", made["expires"], code=NO)["reason"] == "expired"
    keys.text("token", "verify", made["token"], "--now", made["expires"] - 1)
    keys.text("token", "verify", made["token"], "--now", made["expires"] + 5, "--leeway", "10")
    keys.error("token", "verify", made["token"], "--leeway", "61", code=WRONG)


def test_audience_issuer_and_type_are_looked_at(keys):
    token = keys.json("token", "mint", "--user", "u", "--aud", "shop", "--iss", "me", "--typ", "x+jwt")["token"]
    keys.error("token", "verify", token, code=NO)
    wanted = ["--aud", "shop", "--iss", "me", "--typ", "x+jwt"]
    keys.text("token", "verify", token, *wanted)
    assert keys.json("token", "verify", token, *wanted[:1], "other", *wanted[2:], code=NO)["reason"] == "wrong_audience"
    for at in (3, 5):
        wrong = wanted[:at] + ["other"] + wanted[at + 1:]
        keys.error("token", "verify", token, *wrong, code=NO)


def test_token_of_others_is_verified_with_their_key(latchkey, oct):
    now = int(time.time())
    token = hs256({"sub": "u", "exp": now + 60, "aud": ["a", "b"], "iss": "them", "x": {"y": 1}})
    answer = latchkey.json("token", "verify", "--jwk", oct, token)
    assert answer["claims"]["x"] == {"y": 1} and answer["audience"] == ["a", "b"] and "not known" in answer["cutoffs"]
    latchkey.text("token", "verify", "--jwk", oct, "--aud", "b", "--iss", "them", token)
    latchkey.error("token", "verify", "--jwk", oct, "--aud", "c", token, code=NO)
    latchkey.error("token", "verify", "--jwk", oct, "--iss", "the", token, code=NO)


def test_token_is_a_no_before_its_time(latchkey, oct):
    token = hs256({"sub": "u", "nbf": 1000, "exp": 2000})
    assert latchkey.json("token", "verify", "--jwk", oct, "--now", 999, token, code=NO)["reason"] == "not_yet_valid"
    latchkey.text("token", "verify", "--jwk", oct, "--now", 1000, token)
    latchkey.text("token", "verify", "--jwk", oct, "--now", 990, "--leeway", 10, token)


def test_token_without_an_end_is_a_no_unless_allowed(latchkey, oct):
    token = hs256({"sub": "u"})
    latchkey.error("token", "verify", "--jwk", oct, token, code=NO)
    latchkey.text("token", "verify", "--jwk", oct, "--allow-no-exp", token)


def test_keys_come_from_one_place(latchkey, oct):
    latchkey.error("token", "verify", "--jwk", oct, "--conf", latchkey.conf, "x", code=WRONG)


@pytest.mark.parametrize("words", [
    ["--user", "u", "--kind", "xml"], ["--kind", "jwt"], ["--user", "u", "--ttl", "soon"], ["--user", "u", "--ttl", "0s"],
    ["--user", "u", "--ttl", "3000d"], ["--user", "u", "--alg", "none"], ["--user", "u", "--param", "a=b"],
    ["--user", "u", "--kind", "simple", "--param", "a"], ["--user", "u", "--kind", "simple", "--param", "a b=c"],
    ["--user", "u", "--kind", "simple", "--param", "roles=admin"], ["--user", "u", "--kind", "simple", "--param", "=a"],
    ["--user", "u", "--kind", "simple", "--aud", "x"],
])
def test_token_that_cannot_be_is_wrong_usage(keys, words):
    keys.error("token", "mint", *words, code=WRONG)


def test_token_for_an_account_carries_its_id_name_and_roles(keys):
    user = keys.json("user", "add", "alice", "--roles", "editor", input=PASSWORD)
    token = keys.json("token", "mint", "--user", "alice", "--account")["token"]
    answer = keys.json("token", "verify", token)
    assert (answer["user"], answer["name"], answer["roles"]) == (user["id"], "alice", ["editor"])
    keys.text("user", "disable", "alice")
    keys.error("token", "mint", "--user", "alice", "--account", code=NO)
    keys.error("token", "mint", "--user", "nobody", "--account", code=NO)


def test_session_id_is_no_token(keys):
    assert "session id" in keys.error("token", "verify", "A" * 43, code=NO)


# ---- inspect ----


def test_inspect_shows_without_believing(latchkey):
    token = hs256({"sub": "u", "roles": ["x"]})[:-4] + "AAAA"
    done = latchkey.run("token", "inspect", token)
    assert done.returncode == YES and b"NOT verified" in done.stderr
    shown = json.loads(done.stdout)
    assert shown["verified"] is False and shown["payload"]["sub"] == "u" and shown["header"]["kid"] == "k"
    assert latchkey.json("token", "inspect", "-", input=token)["kind"] == "jwt"


def test_inspect_of_a_refresh_token_tells_its_login_and_no_secret(latchkey):
    random, mac = "XRjWkRi-uZkYcLLu78UOJA", "MpGj3CiYlZIbNLsTe_Tgs7TIOxmVJi4x_YWPVLAQW38"
    shown = latchkey.text("token", "inspect", "-", input=f"r1.rxIUQRbKH5EPOMrQ.1795264140.2.{random}.{mac}")
    assert random not in shown and mac not in shown
    said = json.loads(shown)
    assert (said["kind"], said["session"], said["number"]) == ("refresh", "rxIUQRbKH5EPOMrQ", 2) and said["age"] > 0


def test_inspect_shows_a_simple_token(keys):
    token = keys.text("token", "mint", "--kind", "simple", "--user", "u", "--param", "a=b", "--no-session").strip()
    shown = keys.json("token", "inspect", token)
    assert (shown["kind"], shown["uid"], shown["params"], shown["verified"]) == ("simple", "u", "a=b", False)
    assert shown["kid"].startswith("hs256")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "A" * 43, pytest.param("x" * 9000, id="too long"), "e30.e30"])
def test_what_is_no_token_cannot_be_inspected(latchkey, token):
    latchkey.error("token", "inspect", "-", input=token, code=NO)


# ---- revoke and cut-offs ----


@pytest.mark.parametrize("kind", ["jwt", "simple"])
def test_revoked_token_is_a_no_and_others_are_not(keys, kind):
    first = keys.json("token", "mint", "--kind", kind, "--user", "u")["token"]
    second = keys.json("token", "mint", "--kind", kind, "--user", "u")["token"]
    keys.text("token", "revoke", "--reason", "kicked", "-", input=first)
    assert keys.json("token", "verify", first, code=NO)["reason"] == "kicked"
    assert keys.json("token", "verify", second)["cutoffs"] == "none reaches it"
    cutoffs = keys.json("cutoff", "list")["cutoffs"]
    assert [(cut["level"], cut["reason"]) for cut in cutoffs] == [("session", "kicked")]


def test_token_that_is_not_genuine_revokes_nothing(keys):
    token = keys.json("token", "mint", "--user", "u")["token"]
    keys.error("token", "revoke", token[:-6] + "AAAAAA", code=NO)
    keys.error("token", "revoke", "nonsense", code=NO)
    assert keys.json("cutoff", "list")["cutoffs"] == []


def test_token_that_names_no_session_cannot_be_revoked_alone(keys):
    token = keys.json("token", "mint", "--user", "u", "--no-session")["token"]
    assert "cutoff add" in keys.error("token", "revoke", token, code=NO)


@pytest.mark.parametrize("level, key", [("all", None), ("realm", None), ("user", "u"), ("role", "r")])
def test_cutoff_reaches_what_was_issued_before_it(keys, level, key):
    token = keys.json("token", "mint", "--user", "u", "--roles", "q r")["token"]
    other = keys.json("token", "mint", "--user", "v", "--roles", "q")["token"]
    made = keys.json("cutoff", "add", "--level", level, *(["--key", key] if key else []))
    assert made["level"] == level and made["reason"] == "revoked" and made["until"] > made["before"]
    assert keys.json("token", "verify", token, code=NO)["reason"] == "revoked"
    assert keys.run("token", "verify", other).returncode == (NO if key is None else YES)
    assert [cut["seq"] for cut in keys.json("cutoff", "list")["cutoffs"]] == [made["seq"]]
    assert level in keys.text("cutoff", "list")


def test_cutoff_of_a_user_by_name_reaches_the_tokens_of_its_id(keys):
    keys.text("user", "add", "alice", input=PASSWORD)
    token = keys.json("token", "mint", "--user", "alice", "--account")["token"]
    keys.text("cutoff", "add", "--level", "user", "--key", "alice")
    keys.error("token", "verify", token, code=NO)


def test_user_who_is_disabled_loses_tokens(keys):
    keys.text("user", "add", "alice", input=PASSWORD)
    token = keys.json("token", "mint", "--user", "alice", "--account")["token"]
    keys.text("user", "disable", "alice")
    assert keys.json("token", "verify", token, code=NO)["reason"] == "banned"


@pytest.mark.parametrize("words", [
    [], ["--level", "galaxy"], ["--level", "user"], ["--level", "all", "--key", "x"],
    ["--level", "all", "--reason", "because"], ["--level", "all", "--reason", "expired"],
])
def test_cutoff_that_cannot_be_is_wrong_usage(keys, words):
    keys.error("cutoff", "add", *words, code=WRONG)


def test_verify_says_when_it_could_not_look_at_the_cutoffs(keys):
    token = keys.json("token", "mint", "--user", "u")["token"]
    keys.settings["latchkey_store"] = "memory:"
    keys.settings["latchkey_memory"] = "anonymous"
    keys.write()
    done = keys.run("token", "verify", token, "--json")
    assert done.returncode == YES and b"not looked at" in done.stderr
    assert json.loads(done.stdout)["cutoffs"] == "not looked at"
