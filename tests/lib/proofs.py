# SPDX-License-Identifier: Apache-2.0
"""Clients that prove things: DPoP proofs (RFC 9449) and requests signed with an API key.

Written from the RFC and from docs/formats/signed-request.md with Debian's python3-cryptography, not from our own code.
"""
import base64
import hashlib
import hmac
import json
import secrets
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


class Key:
    """A key pair of a client."""

    def __init__(self, alg="ES256"):
        self.alg = alg
        if alg == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
            p = self.private.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": "P-256", "x": number(p.x, 32), "y": number(p.y, 32)}
        elif alg == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(self.private.public_key().public_bytes_raw() if hasattr(
                self.private.public_key(), "public_bytes_raw") else self.raw())}
        else:
            self.private = rsa.generate_private_key(65537, 2048)
            p = self.private.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": number(p.n), "e": number(p.e)}

    def raw(self):
        from cryptography.hazmat.primitives import serialization as s
        return self.private.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw)

    @property
    def jkt(self):
        names = {"EC": ["crv", "kty", "x", "y"], "OKP": ["crv", "kty", "x"], "RSA": ["e", "kty", "n"]}[self.jwk["kty"]]
        text = json.dumps({n: self.jwk[n] for n in names}, separators=(",", ":"))
        return b64(hashlib.sha256(text.encode()).digest())

    def sign(self, message):
        if self.alg == "ES256":
            r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if self.alg == "EdDSA":
            return self.private.sign(message)
        if self.alg == "PS256":
            return self.private.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def proof(self, method, url, token=None, header=None, **claims):
        """A proof for one request; a claim given as None is left out."""
        head = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk, **(header or {})}
        body = {"htm": method, "htu": url, "iat": int(time.time()), "jti": secrets.token_urlsafe(12)}
        if token is not None:
            body["ath"] = b64(hashlib.sha256(token.encode()).digest())
        body.update(claims)
        text = ".".join(b64(json.dumps({k: v for k, v in part.items() if v is not None}).encode())
                        for part in (head, body))
        return text + "." + b64(self.sign(text.encode()))


def signed(key, method, host, target, body=b"", at=None, nonce=None, **other):
    """The Authorization field of a request signed with the API key KEY; OTHER replaces what is signed, not what is sent."""
    said = {"method": method, "host": host, "target": target, "time": str(int(time.time()) if at is None else at),
            "nonce": nonce or secrets.token_urlsafe(16), "digest": b64(hashlib.sha256(body).digest())}
    text = {**said, **other}
    lines = ["latchkey-signature-v1"] + [text[k] for k in ("method", "host", "target", "time", "nonce", "digest")]
    sign = hmac.new(key[12:].encode(), "".join(line + "\n" for line in lines).encode(), hashlib.sha256).hexdigest()
    return (f"Latchkey-Signature key={key[:11]}, time={said['time']}, nonce={said['nonce']}, body={said['digest']}, "
            f"sign={sign}")
