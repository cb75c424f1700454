# SPDX-License-Identifier: Apache-2.0
"""Tokens of ours in the hands of three other implementations, and theirs in ours: python3-jwcrypto, python3-authlib
and jose; keys in PEM; bad tokens, each refused for one reason."""
import base64
import functools
import hashlib
import hmac
import json
import random
import subprocess

import pytest
from authlib.jose import JsonWebKey, JsonWebSignature
from authlib.jose.errors import BadSignatureError
from jwcrypto import jwk, jws, jwt

from conftest import NO, WRONG

RSA = {"kty": "RSA", "size": 2048}
# Algorithm, and how jwcrypto and jose are told to make such a key.
KINDS = {
    "HS256": ({"kty": "oct", "size": 256}, {"alg": "HS256"}),
    "HS384": ({"kty": "oct", "size": 384}, {"alg": "HS384"}),
    "HS512": ({"kty": "oct", "size": 512}, {"alg": "HS512"}),
    "EdDSA": ({"kty": "OKP", "crv": "Ed25519"}, None),  # the jose of Debian 12 has no EdDSA
    "Ed448": ({"kty": "OKP", "crv": "Ed448"}, None),
    "ES256": ({"kty": "EC", "crv": "P-256"}, {"alg": "ES256"}),
    "ES384": ({"kty": "EC", "crv": "P-384"}, {"alg": "ES384"}),
    "ES512": ({"kty": "EC", "crv": "P-521"}, {"alg": "ES512"}),
    **{alg: (RSA, {"alg": alg}) for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
}
ROUNDS = 2  # random tokens of each algorithm and library
SEED = 20260101


def name_of(alg):
    """What stands in a header: both curves of EdDSA have one name (RFC 8037)."""
    return "EdDSA" if alg == "Ed448" else alg


@functools.lru_cache(maxsize=None)
def key_of(alg, number=0):
    """A key of jwcrypto's, made once: RSA takes a while."""
    return jwk.JWK.generate(**KINDS[alg][0])


def with_names(key, **names):
    return jwk.JWK(**{**json.loads(key.export()), **names})


def is_secret(alg):
    return alg.startswith("HS")


def random_claims(rng):
    """A claims set in any shape that is JSON, as bytes."""
    claims = {"sub": "".join(rng.choices("abc\u00e9\u4e2d\U0001f511 \"\\\\/", k=rng.randrange(1, 12))), "exp": rng.randrange(2**32, 2**40)}
    for _ in range(rng.randrange(6)):
        claims[f"x{rng.randrange(10**6)}"] = rng.choice([None, True, -1.5e9, "", [1, ["a"]], {"b": {"c": 0}}, "y" * 300])
    return json.dumps(claims, ensure_ascii=rng.random() < 0.5).encode()


def tampered(token, rng):
    """TOKEN with one bit of one part changed."""
    parts = token.split(".")
    i = rng.randrange(1, 3)
    raw = bytearray(base64.urlsafe_b64decode(parts[i] + "=" * (-len(parts[i]) % 4)))
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    parts[i] = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return ".".join(parts)


def jose(*words, input):
    return subprocess.run(["jose", *words], input=input.encode(), capture_output=True, timeout=30, check=False)


def file_with(folder, text):
    path = folder / "key.jwk"
    path.write_text(text)
    return path


@pytest.fixture
def minted(latchkey, request):
    """A token of ours, and the key to check it with as JWK text. A gateway that signs with an algorithm has a key of it
    from its first start; made once for all that look at it."""
    alg = request.param
    if alg not in MINTED:
        MINTED[alg] = mint(latchkey, alg)
    return MINTED[alg]


MINTED = {}


def mint(latchkey, alg):
    latchkey.settings["latchkey_jwt"] = f"alg={alg}"
    latchkey.write()
    latchkey.text("key", "new", "--alg", "EdDSA")
    shown = next(key for key in latchkey.json("key", "list")["keys"] if key["alg"] == alg and key["state"] == "active")
    token = latchkey.text("token", "mint", "--user", "zoë", "--roles", "a b").strip()
    if not is_secret(alg):
        return token, latchkey.text("key", "export", "--kid", shown["kid"])
    held = json.loads((latchkey.folder / "keys" / f"{shown['kid']}.jwk").read_text())
    return token, json.dumps({name: held[name] for name in ("kty", "k", "alg", "kid")})


@pytest.mark.parametrize("minted", KINDS, indirect=True)
def test_our_token_is_right_for_jwcrypto(minted):
    token, key = minted
    read = jwt.JWT(jwt=token, key=jwk.JWK.from_json(key))
    claims = json.loads(read.claims)
    assert (claims["sub"], claims["roles"], json.loads(read.header)["typ"]) == ("zoë", ["a", "b"], "at+jwt")
    with pytest.raises(jws.InvalidJWSSignature):
        jwt.JWT(jwt=token[:-6] + ("AAAA" if token[-6:-2] != "AAAA" else "BBBB") + token[-2:], key=jwk.JWK.from_json(key))


@pytest.mark.parametrize("minted", KINDS, indirect=True)
def test_our_token_is_right_for_authlib(minted):
    token, key = minted
    key = JsonWebKey.import_key(json.loads(key))
    read = JsonWebSignature().deserialize_compact(token.encode(), key)
    assert json.loads(read["payload"])["sub"] == "zoë"
    with pytest.raises(BadSignatureError):
        JsonWebSignature().deserialize_compact(tampered(token, random.Random(SEED)).encode(), key)


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
    key = with_names(key_of(alg), **names)
    token = jws.JWS('{"sub":"u","exp":99999999999}')
    token.add_signature(key, None, json.dumps({"alg": name_of(alg), **names}))
    text = token.serialize(compact=True)
    path = file_with(tmp_path, key.export() if is_secret(alg) else key.export_public())
    assert latchkey.text("jws", "verify", "--jwk", path, "--alg", alg, text) == '{"sub":"u","exp":99999999999}'
    assert latchkey.json("token", "verify", "--jwk", path, "--alg", alg, text)["user"] == "u"
    head, _, signature = text.split(".")
    latchkey.error("jws", "verify", "--jwk", path, "--alg", alg, f"{head}.e30.{signature}", code=NO)
    other = with_names(key_of(alg, 1), **names)
    path.write_text(other.export() if is_secret(alg) else other.export_public())
    latchkey.error("jws", "verify", "--jwk", path, "--alg", alg, text, code=NO)


@pytest.mark.parametrize("alg", [alg for alg, (_, made) in KINDS.items() if made])
def test_token_of_jose_is_right_for_us(latchkey, tmp_path, alg):
    private = jose("jwk", "gen", "-i", json.dumps(KINDS[alg][1]), "-o", "-", input="").stdout.decode()
    whole = file_with(tmp_path, private)
    done = jose("jws", "sig", "-I", "-", "-k", str(whole), "-s", json.dumps({"protected": {"alg": alg}}), "-c", "-o", "-",
                input='{"sub":"u"}')
    assert done.returncode == 0, done
    if not is_secret(alg):
        # What is given for checking holds no private half; jose calls that jwk pub.
        assert "private half" in latchkey.error("jws", "verify", "--jwk", whole, done.stdout.decode(), code=NO)
        whole.write_text(jose("jwk", "pub", "-i", "-", "-o", "-", input=private).stdout.decode())
    else:
        held = json.loads(private)
        held["key_ops"] = ["sign", "verify"]
        whole.write_text(json.dumps(held))
    assert latchkey.text("jws", "verify", "--jwk", whole, done.stdout.decode()) == '{"sub":"u"}'


@pytest.mark.parametrize("alg", KINDS)
def test_random_tokens_of_two_others_are_right_for_us_and_wrong_with_any_bit_changed(latchkey, tmp_path, alg):
    rng = random.Random(f"{SEED} {alg}")
    key = with_names(key_of(alg), alg=name_of(alg))
    path = file_with(tmp_path, key.export() if is_secret(alg) else key.export_public())
    theirs = JsonWebKey.import_key(json.loads(key.export()))
    for _ in range(ROUNDS):
        claims = random_claims(rng)
        token = jws.JWS(claims)
        token.add_signature(key, None, json.dumps({"alg": name_of(alg)}))
        for text in token.serialize(compact=True), JsonWebSignature().serialize_compact({"alg": name_of(alg)}, claims, theirs).decode():
            assert latchkey.text("jws", "verify", "--jwk", path, "-", input=text) == claims.decode()
            latchkey.error("jws", "verify", "--jwk", path, "-", input=tampered(text, rng), code=NO)


def openssl(*words, input=b""):
    return subprocess.run(["openssl", *words], input=input, capture_output=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("alg", [alg for alg in KINDS if not is_secret(alg)])
def test_public_key_in_pem_checks_and_a_private_one_is_refused_and_not_shown(latchkey, tmp_path, alg):
    key = key_of(alg)
    token = jws.JWS(b"payload")
    token.add_signature(key, None, json.dumps({"alg": name_of(alg)}))
    text = token.serialize(compact=True)
    path = tmp_path / "key.pem"
    path.write_bytes(key.export_to_pem())
    named = ["--alg", alg] if KINDS[alg][0] is RSA else []
    assert latchkey.text("jws", "verify", "--jwk", path, *named, text) == "payload"
    assert latchkey.text("key", "thumbprint", path).strip() == key.thumbprint()
    if named:
        assert "--alg" in latchkey.error("jws", "verify", "--jwk", path, text, code=NO)
        other = "PS256" if alg.startswith("RS") else "RS256"
        latchkey.error("jws", "verify", "--jwk", path, "--alg", other, text, code=NO)
    path.write_bytes(key.export_to_pem(private_key=True, password=None))
    private = path.read_text()
    said = latchkey.error("jws", "verify", "--jwk", path, *named, text, code=NO)
    assert "private key" in said and not any(line in said for line in private.splitlines()[1:-1])
    path.write_bytes(key.export_to_pem(private_key=True, password=b"secret"))
    assert "encrypted" in latchkey.error("jws", "verify", "--jwk", path, *named, text, code=NO)


def test_algorithm_there_is_none_of_is_a_wrong_word(latchkey, tmp_path):
    path = file_with(tmp_path, jwk.JWK.generate(kty="oct", size=256).export())
    for name in ("none", "None", "hs256", "HS1", ""):
        assert "--alg" in latchkey.error("jws", "verify", "--jwk", path, "--alg", name, "a.b.c", code=WRONG)


def test_key_set_with_one_key_of_each_algorithm_checks_by_kid(latchkey, tmp_path):
    keys = {alg: with_names(key_of(alg), alg=name_of(alg), kid=f"kid-{alg}") for alg in KINDS if not is_secret(alg)}
    path = file_with(tmp_path, json.dumps({"keys": [json.loads(key.export_public()) for key in keys.values()]}))
    for alg, key in keys.items():
        for kid, code in ((f"kid-{alg}", 0), ("kid-RS256" if alg != "RS256" else "kid-PS256", NO), ("../kid", NO)):
            token = jws.JWS(b"{}")
            token.add_signature(key, None, json.dumps({"alg": name_of(alg), "kid": kid}))
            assert latchkey.run("jws", "verify", "--jwk", path, token.serialize(compact=True)).returncode == code


SECRET = bytes(range(32))


def text_of(raw):
    return base64.urlsafe_b64encode(raw if isinstance(raw, bytes) else raw.encode()).rstrip(b"=").decode()


def signed(header, payload):
    """Header and payload as they are, with the right HS256 signature."""
    part = f"{text_of(header)}.{text_of(payload)}"
    return f"{part}.{text_of(hmac.new(SECRET, part.encode(), hashlib.sha256).digest())}"


HEAD = '{"alg":"HS256"}'
GOOD = '{"sub":"u","exp":1800000000}'
BAD_HEADERS = [
    '{"alg":"none"}', '{"alg":"None"}', '{"alg":"nOnE"}', '{"alg":""}', '{"alg":"HS512"}', '{"alg":"RS256"}', '{}', '{"alg":null}',
    '{"alg":["HS256"]}', '{"alg":"HS256","alg":"HS256"}', '{"alg":"HS256","crit":[]}', '{"alg":"HS256","crit":["exp"],"exp":1}',
    '{"alg":"HS256","crit":["b64"],"b64":false}', '{"alg":"HS256","b64":false}', '{"alg":"HS256","b64":true}',
    '{"alg":"HS256","jwk":{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}}', '{"alg":"HS256","jku":"https://a.example/"}',
    '{"alg":"HS256","x5u":"https://a.example/"}', '{"alg":"HS256","x5c":["AAAA"]}', '{"alg":"HS256","kid":"other"}',
    '{"alg":"HS256","kid":"../../key.jwk"}', '{"alg":"HS256","kid":"/dev/stdin"}', '{"alg":"HS256","kid":7}', '{"alg":"HS256","kid":""}',
    '[]', 'null', '{"alg":"HS256"}x', '\ufeff{"alg":"HS256"}',
]
BAD_CLAIMS = [
    '{"exp":1e300}', '{"exp":-1e300}', '{"exp":"1800000000"}', '{"exp":true}', '{"exp":null}', '{"exp":NaN}', '{"exp":Infinity}', '{"exp":[1]}',
    '{"exp":01}', '{"exp":0x7f}', '{"exp":9007199254740993}', '{"exp":18446744073709551616}', '{"exp":1800000000,"exp":1800000000}', '{"exp":1800000000,"nbf":1e300}',
    '{"exp":1800000000,"nbf":"0"}', '{"exp":1800000000,"iat":true}', '{"exp":1800000000}{}', '[]', '""', '', '{"exp":1800000000,"sub":7}',
    '{"exp":1800000000,"aud":7}', '{"exp":1800000000,"\\u0065xp":1800000000}',
]


def test_every_bad_header_and_claim_is_refused_with_one_reason_though_the_signature_is_right(latchkey, tmp_path):
    path = file_with(tmp_path, json.dumps({"kty": "oct", "k": text_of(SECRET), "kid": "mine"}))
    check = ("token", "verify", "--jwk", path, "--now", "1700000000")
    assert latchkey.json(*check, signed(HEAD, GOOD))["user"] == "u"  # the positive control
    for token in [signed(header, GOOD) for header in BAD_HEADERS] + [signed(HEAD, claims) for claims in BAD_CLAIMS]:
        said = latchkey.error(*check, token, code=NO)
        assert said.startswith("latchkey: ") and said.count("\n") == 1, said


def test_dates_past_2038_and_9999_are_dates_and_nothing_overflows(latchkey, tmp_path):
    path = file_with(tmp_path, json.dumps({"kty": "oct", "k": text_of(SECRET)}))
    for exp in 2147483647, 2147483648, 4294967296, 253402300799, 253402300800, 2**53:
        token = signed(HEAD, json.dumps({"sub": "u", "exp": exp}))
        assert latchkey.json("token", "verify", "--jwk", path, "--now", "1700000000", token)["expires"] == exp
        latchkey.error("token", "verify", "--jwk", path, "--now", str(exp), token, code=NO)
        latchkey.text("token", "verify", "--jwk", path, "--now", "1700000000", token)


def test_every_other_shape_of_a_token_is_refused(latchkey, tmp_path):
    path = file_with(tmp_path, json.dumps({"kty": "oct", "k": text_of(SECRET)}))
    good = signed(HEAD, GOOD)
    head, body, mark = good.split(".")
    assert latchkey.text("jws", "verify", "--jwk", path, "-", input=good) == GOOD
    shapes = [f"{good}.", f".{good}", f"{good}.{mark}", f"{head}.{body}", f"{head}.{body}.", f"{head}..{mark}", f"{head}=.{body}.{mark}",
              f"{head}.{body}=.{mark}", f"{head}.{body}.{mark}=", f" {good}", f"{good} ", f"{head} .{body}.{mark}", f"{head}.{body}\n.{mark}",
              f"{good}\t", good.replace("-", "+").replace("_", "/") + "/", "." * 8000, "." * 100000, head + "." + "A" * 9000 + "." + mark,
              json.dumps({"protected": head, "payload": body, "signature": mark}), "", ".."]
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    shapes.append(good[:-1] + last[last.index(good[-1]) ^ 1])  # bits behind the last byte
    for shape in shapes:
        assert latchkey.run("jws", "verify", "--jwk", path, "-", input=shape).returncode == NO, shape[:100]
