# SPDX-License-Identifier: Apache-2.0
"""Tokens of ours in the hands of two other implementations, and theirs in ours: python3-jwcrypto and jose."""
import json
import subprocess

import pytest
from jwcrypto import jwk, jws, jwt

from conftest import NO

# Algorithm, and how jwcrypto and jose are told to make such a key.
KINDS = {
    "HS256": ({"kty": "oct", "size": 256}, {"alg": "HS256"}),
    "EdDSA": ({"kty": "OKP", "crv": "Ed25519"}, None),  # the jose of Debian 12 has no EdDSA
    "ES256": ({"kty": "EC", "crv": "P-256"}, {"alg": "ES256"}),
    "RS256": ({"kty": "RSA", "size": 2048}, {"alg": "RS256"}),
}


def jose(*words, input):
    return subprocess.run(["jose", *words], input=input.encode(), capture_output=True, timeout=30, check=False)


def file_with(folder, text):
    path = folder / "key.jwk"
    path.write_text(text)
    return path


@pytest.fixture
def minted(keys, request):
    """A token of ours, and the key to check it with as JWK text."""
    keys.text("key", "new", "--alg", request.param)
    shown = next(key for key in keys.json("key", "list")["keys"] if key["alg"] == request.param and key["state"] == "active")
    token = keys.text("token", "mint", "--user", "zoë", "--roles", "a b", "--alg", request.param).strip()
    if request.param != "HS256":
        return token, keys.text("key", "export", "--kid", shown["kid"])
    held = json.loads((keys.folder / "keys" / f"{shown['kid']}.jwk").read_text())
    return token, json.dumps({name: held[name] for name in ("kty", "k", "alg", "kid")})


@pytest.mark.parametrize("minted", KINDS, indirect=True)
def test_our_token_is_right_for_jwcrypto(minted):
    token, key = minted
    read = jwt.JWT(jwt=token, key=jwk.JWK.from_json(key))
    claims = json.loads(read.claims)
    assert (claims["sub"], claims["roles"], json.loads(read.header)["typ"]) == ("zoë", ["a", "b"], "at+jwt")
    with pytest.raises(jws.InvalidJWSSignature):
        jwt.JWT(jwt=token[:-6] + ("AAAA" if token[-6:-2] != "AAAA" else "BBBB") + token[-2:], key=jwk.JWK.from_json(key))


@pytest.mark.parametrize("minted", [alg for alg, (_, made) in KINDS.items() if made], indirect=True)
def test_our_token_is_right_for_jose(minted, tmp_path):
    token, key = minted
    path = file_with(tmp_path, key)
    done = jose("jws", "ver", "-i", "-", "-k", str(path), "-O", "-", input=token)
    assert done.returncode == 0 and json.loads(done.stdout)["sub"] == "zoë"
    assert jose("jws", "ver", "-i", "-", "-k", str(path), input=token.replace(".", ".e", 1)).returncode != 0


@pytest.mark.parametrize("alg", KINDS)
@pytest.mark.parametrize("with_kid", [True, False])
def test_token_of_jwcrypto_is_right_for_us(latchkey, tmp_path, alg, with_kid):
    names = {"kid": "theirs"} if with_kid else {}
    key = jwk.JWK.generate(**KINDS[alg][0], **names)
    token = jws.JWS('{"sub":"u","exp":99999999999}')
    token.add_signature(key, None, json.dumps({"alg": alg, **names}))
    text = token.serialize(compact=True)
    path = file_with(tmp_path, key.export() if alg == "HS256" else key.export_public())
    assert latchkey.text("jws", "verify", "--jwk", path, text) == '{"sub":"u","exp":99999999999}'
    assert latchkey.json("token", "verify", "--jwk", path, text)["user"] == "u"
    head, _, signature = text.split(".")
    latchkey.error("jws", "verify", "--jwk", path, f"{head}.e30.{signature}", code=NO)
    other = jwk.JWK.generate(**KINDS[alg][0], **names)
    path.write_text(other.export() if alg == "HS256" else other.export_public())
    latchkey.error("jws", "verify", "--jwk", path, text, code=NO)


@pytest.mark.parametrize("alg", [alg for alg, (_, made) in KINDS.items() if made])
def test_token_of_jose_is_right_for_us(latchkey, tmp_path, alg):
    private = jose("jwk", "gen", "-i", json.dumps(KINDS[alg][1]), "-o", "-", input="").stdout.decode()
    whole = file_with(tmp_path, private)
    done = jose("jws", "sig", "-I", "-", "-k", str(whole), "-s", json.dumps({"protected": {"alg": alg}}), "-c", "-o", "-",
                input='{"sub":"u"}')
    assert done.returncode == 0, done
    if alg != "HS256":
        # What is given for checking holds no private half; jose calls that jwk pub.
        assert "private half" in latchkey.error("jws", "verify", "--jwk", whole, done.stdout.decode(), code=NO)
        whole.write_text(jose("jwk", "pub", "-i", "-", "-o", "-", input=private).stdout.decode())
    else:
        held = json.loads(private)
        held["key_ops"] = ["sign", "verify"]
        whole.write_text(json.dumps(held))
    assert latchkey.text("jws", "verify", "--jwk", whole, done.stdout.decode()) == '{"sub":"u"}'
