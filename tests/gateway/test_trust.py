# SPDX-License-Identifier: Apache-2.0
"""latchkey_trust: tokens of another issuer, made by another library, with the key set behind real https."""
import http.client
import json
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from jwcrypto import jwk, jwt

from gateway_lab import COMMAND, raw, wait_until

ISSUER = "https://idp.example/a"
AUDIENCE = "shop"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, a certificate for 127.0.0.1 and one for another name, made by openssl."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=60)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    for name, alt in (("good", "IP:127.0.0.1"), ("other", "DNS:elsewhere.example")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(f"subjectAltName={alt}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")
    return folder


class Issuer:
    """Publishes a key set, as told, and makes tokens."""

    def __init__(self, pki=None, certificate="good", port=0):
        outer = self
        self.status = 200
        self.headers = []
        self.body = None  # None: the set of `keys`
        self.hits = 0
        self.gate = threading.Event()  # closed: answers wait
        self.gate.set()
        self.keys = {}
        self.new_key("one")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.hits += 1
                outer.gate.wait(60)
                body = outer.body if outer.body is not None else outer.key_set()
                try:
                    self.send_response(outer.status)
                    for name, value in outer.headers:
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass

            def log_message(self, format, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.scheme = "http"
        if pki:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pki / f"{certificate}.pem", pki / f"{certificate}.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/keys"

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def new_key(self, kid, kty="EC", **more):
        args = {"EC": {"crv": "P-256"}, "OKP": {"crv": "Ed25519"}, "RSA": {"size": 2048}}[kty]
        self.keys[kid] = jwk.JWK.generate(kty=kty, kid=kid, use="sig", **args, **more)
        return self.keys[kid]

    def key_set(self):
        return json.dumps({"keys": [k.export_public(as_dict=True) for k in self.keys.values()]}).encode()

    def token(self, kid="one", alg="ES256", key=None, header=None, **claims):
        now = int(time.time())
        said = {"iss": ISSUER, "sub": "42", "aud": AUDIENCE, "iat": now, "exp": now + 300, **claims}
        said = {k: v for k, v in said.items() if v is not None}
        made = jwt.JWT(header={"alg": alg, "kid": kid, **(header or {})}, claims=said)
        made.make_signed_token(key or self.keys[kid])
        return made.serialize()


@pytest.fixture
def issuers(pki):
    made = []

    def make(https=True, **kw):
        made.append(Issuer(pki if https else None, **kw))
        return made[-1]

    yield make
    for issuer in made:
        issuer.close()


@pytest.fixture
def gate(gateways, application, pki):
    """A gateway that trusts ISSUER, started or not."""

    def make(issuer, more="", start=True, workers=1, **kw):
        ca = f" ca={pki}/ca.pem" if issuer.scheme == "https" else ""
        gateway = gateways(server=f"location /app/ {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}"
                                  "location /open/ { latchkey off; return 204; }",
                           settings={"latchkey_trust": f"{ISSUER} jwks={issuer.url} aud={AUDIENCE}{ca} {more}"},
                           workers=workers, **kw)
        return gateway.start() if start else gateway

    return make


def ask(gateway, token, cookie=False, path="/app/"):
    headers = {"Cookie": f"latchkey={token}"} if cookie else {"Authorization": f"Bearer {token}"}
    client = gateway.client(keep=False)
    try:
        return client.get(path, headers=headers)
    finally:
        client.close()


def test_tokens_of_another_library_are_good_by_a_key_set_from_https(issuers, gate):
    issuer = issuers()
    issuer.new_key("rsa", "RSA")
    issuer.new_key("ed", "OKP")
    gateway = gate(issuer, "roles=realm_access.roles name=preferred_username")
    for kid, alg in (("one", "ES256"), ("rsa", "RS256"), ("rsa", "PS256"), ("ed", "EdDSA")):
        token = issuer.token(kid, alg, preferred_username="Ada", scope="orders.read",
                             realm_access={"roles": ["editor", "latchkey-admin"]})
        for _ in range(2):
            answer = ask(gateway, token)
            assert answer.status == 200, (alg, answer)
            assert answer.sent("Remote-User") == ["idp.example/42"]
            assert answer.sent("Remote-Name") == ["Ada"]
            assert answer.sent("Remote-Groups") == ["editor"]
            assert answer.sent("Latchkey-Session") == [""]
    assert issuer.hits == 1
    metrics = gateway.client().get("/auth/metrics").text
    assert f'latchkey_trust_set_usable{{issuer="{ISSUER}"}} 1' in metrics
    assert f'latchkey_trust_fetches_total{{issuer="{ISSUER}",result="ok"}} 1' in metrics
    assert ask(gateway, issuer.token(realm_access={"roles": ["latchkey-admin"]}), path="/auth/admin/users").status in (403, 404)


def test_what_the_issuer_did_not_say_for_us_is_refused(issuers, gate):
    issuer = issuers()
    gateway = gate(issuer)
    assert ask(gateway, issuer.token()).status == 200
    for reason, token in {
        "wrong_audience": issuer.token(aud="other"),
        "expired": issuer.token(exp=int(time.time()) - 5),
        "malformed": issuer.token(exp=None),
        "unknown_key": issuer.token(iss=ISSUER + "/"),
        "bad_signature": issuer.token(key=jwk.JWK.generate(kty="EC", crv="P-256")),
    }.items():
        answer = ask(gateway, token)
        assert answer.status == 401 and answer.reason == reason, (reason, answer)
    for token in (issuer.token(header={"typ": "dpop+jwt"}), issuer.token(sub=42), issuer.token(cnf={"x5t#S256": "x"})):
        assert ask(gateway, token).status == 401
    secret = jwk.JWK(kty="oct", k=issuer.keys["one"].export_public(as_dict=True)["x"])
    assert ask(gateway, issuer.token(alg="HS256", key=secret)).status == 401


@pytest.mark.parametrize("what", ["no_ca", "other_name", "redirect", "too_big", "broken", "secret", "duplicate", "error"])
def test_set_that_cannot_be_trusted_leaves_the_issuer_unknown_and_not_refused(issuers, gate, pki, what):
    issuer = issuers(certificate="other" if what == "other_name" else "good")
    target = issuers()
    private = issuer.keys["one"].export(as_dict=True)
    public = issuer.keys["one"].export_public(as_dict=True)
    if what == "redirect":
        issuer.status = 302
        issuer.headers = [("Location", target.url)]
    issuer.body = {"too_big": b'{"keys":[' + b" " * 300000 + b"]}", "broken": b'{"keys":[', "redirect": b"",
                   "secret": json.dumps({"keys": [private]}).encode(),
                   "duplicate": json.dumps({"keys": [public, public]}).encode()}.get(what)
    if what == "error":
        issuer.status = 500
    gateway = gate(issuer, start=False)
    if what == "no_ca":
        gateway.settings["latchkey_trust"] = f"{ISSUER} jwks={issuer.url} aud={AUDIENCE}"
        gateway.write()
    gateway.start()
    answer = ask(gateway, issuer.token(), cookie=True)
    assert answer.status == 503, answer
    assert answer.get("Retry-After") and not answer.all("Set-Cookie")
    assert target.hits == 0
    assert private["d"] not in gateway.log()
    assert "latchkey: " in gateway.log() and issuer.url in gateway.log()
    assert f'latchkey_trust_set_usable{{issuer="{ISSUER}"}} 0' in gateway.client().get("/auth/metrics").text


def test_issuer_that_does_not_answer_is_given_up(issuers, gate):
    issuer = issuers()
    issuer.gate.clear()
    gateway = gate(issuer)
    assert ask(gateway, issuer.token()).status == 503
    assert gateway.client().get("/open/").status == 204


def test_set_is_kept_while_the_issuer_is_away_and_over_a_reload(issuers, gate):
    issuer = issuers()
    gateway = gate(issuer, "max_age=1s every=1s keep=1h")
    assert ask(gateway, issuer.token()).status == 200
    issuer.status = 500
    hits = issuer.hits
    wait_until(lambda: issuer.hits > hits, what="another look")
    assert ask(gateway, issuer.token()).status == 200
    before = gateway.children()
    gateway.reload()
    wait_until(lambda: not set(before) & set(gateway.children()), what="the end of the old workers")
    assert ask(gateway, issuer.token()).status == 200
    assert "answers 500" in gateway.log()
    issuer.status = 200


def test_new_key_is_found_by_every_worker_and_an_old_one_is_out(issuers, gate):
    issuer = issuers()
    gateway = gate(issuer, "max_age=1s every=1s", workers=2)
    old = issuer.token()
    assert all(ask(gateway, old).status == 200 for _ in range(20))
    del issuer.keys["one"]
    issuer.new_key("two")
    new = issuer.token("two")
    wait_until(lambda: ask(gateway, new).status == 200, what="the new key")
    wait_until(lambda: all(ask(gateway, new).status == 200 for _ in range(20)), what="the new key in both workers")
    wait_until(lambda: all(ask(gateway, old).status == 401 for _ in range(20)), what="the end of the old key")


def test_token_with_a_new_key_waits_for_the_one_look_that_finds_it(issuers, gate):
    issuer = issuers()
    gateway = gate(issuer, "every=1s")
    assert ask(gateway, issuer.token()).status == 200
    issuer.new_key("two")
    time.sleep(1.2)  # the interval
    assert ask(gateway, issuer.token("two")).status == 200
    assert issuer.hits == 2


def test_flood_of_keys_that_nobody_has_makes_one_look_and_holds_nobody_up(issuers, gate):
    issuer = issuers()
    gateway = gate(issuer, "every=2s")
    good = issuer.token()
    assert ask(gateway, good).status == 200
    stranger = jwk.JWK.generate(kty="EC", crv="P-256")
    time.sleep(2.2)  # the interval
    issuer.gate.clear()
    hits, answers = issuer.hits, []
    crowd = [threading.Thread(target=lambda n=n: answers.append(ask(gateway, issuer.token(f"k{n}", key=stranger))))
             for n in range(40)]
    for t in crowd:
        t.start()
    wait_until(lambda: issuer.hits > hits, what="the look")
    for _ in range(20):
        assert ask(gateway, good).status == 200
        assert gateway.client().get("/open/").status == 204
    assert not answers and issuer.hits == hits + 1
    issuer.gate.set()
    for t in crowd:
        t.join()
    assert {(a.status, a.reason) for a in answers} == {(401, "unknown_key")}
    for n in range(40):
        answer = ask(gateway, issuer.token(f"z{n}", key=stranger), cookie=True)
        assert answer.status == 401 and not answer.all("Set-Cookie")
    assert issuer.hits <= hits + 3


def test_set_may_come_by_plain_http_from_this_machine(issuers, gate):
    issuer = issuers(https=False)
    gateway = gate(issuer)
    assert ask(gateway, issuer.token()).status == 200


def test_many_issuers_are_kept_apart(issuers, gateways, application, pki):
    a, b = issuers(), issuers()
    trust = "\n".join(f"latchkey_trust https://{n}.example jwks={i.url} aud={AUDIENCE} ca={pki}/ca.pem;"
                      for n, i in (("a", a), ("b", b)))
    gateway = gateways(server=f"location /app/ {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}",
                       http=trust, workers=1)
    gateway.start()
    assert ask(gateway, a.token(iss="https://a.example")).sent("Remote-User") == ["a.example/42"]
    assert ask(gateway, b.token(iss="https://b.example")).sent("Remote-User") == ["b.example/42"]
    assert ask(gateway, a.token(iss="https://b.example")).status == 401


def test_issuer_that_is_away_holds_no_other_up(issuers, gateways, application, pki):
    a, b = issuers(), issuers()
    a.gate.clear()
    trust = "\n".join(f"latchkey_trust https://{n}.example jwks={i.url} aud={AUDIENCE} ca={pki}/ca.pem;"
                      for n, i in (("a", a), ("b", b)))
    gateway = gateways(server=f"location /app/ {{ latchkey required; proxy_pass http://127.0.0.1:{application.port}; }}",
                       http=trust, workers=1)
    gateway.start()
    answers = []
    waits = threading.Thread(target=lambda: answers.append(ask(gateway, a.token(iss="https://a.example"))))
    waits.start()
    wait_until(lambda: a.hits, what="the look that hangs")
    assert ask(gateway, b.token(iss="https://b.example")).status == 200
    assert not answers
    a.gate.set()
    waits.join()
    assert answers[0].status in (200, 503)


def test_setting_that_opens_a_door_is_refused_at_the_start(issuers, gate):
    issuer = issuers(https=False)
    gateway = gate(issuer, start=False)
    for line, words in {
        f"{ISSUER} jwks=http://idp.example/keys aud=x": "use https://",
        f"{ISSUER} jwks={issuer.url} realm=r": "aud= is missing",
        f"{ISSUER} jwks={issuer.url} aud=x alg=HS256": "secrets",
    }.items():
        gateway.settings["latchkey_trust"] = line
        gateway.write()
        run = gateway.test()
        assert run.returncode != 0 and words in run.stderr, run.stderr


def run_command(gateway, *args, code=0):
    run = subprocess.run([str(COMMAND), *args, "--conf", f"{gateway.folder}/latchkey.conf", "--json"], env=gateway.env,
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    return json.loads(run.stdout)


def test_command_line_believes_the_issuers_of_the_settings(issuers, gate):
    issuer = issuers()
    gateway = gate(issuer)
    told = run_command(gateway, "token", "verify", issuer.token(scope="a b"))
    assert told["valid"] and told["user"] == "idp.example/42" and told["trusted"] == ISSUER
    assert run_command(gateway, "token", "verify", issuer.token(aud="other"), code=1)["reason"] == "wrong_audience"
    assert run_command(gateway, "token", "inspect", issuer.token())["trusted"] == ISSUER
    assert "trusted" not in run_command(gateway, "token", "inspect", issuer.token(iss="x"))
    token = issuer.token()
    issuer.status = 500
    run_command(gateway, "token", "verify", token, code=3)
