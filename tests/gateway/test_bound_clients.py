# SPDX-License-Identifier: Apache-2.0
"""Tokens of OAuth clients that are bound to a key, who acts for whom, and what introspection says of what is bound."""
import time

import pytest

from gateway_lab import Client, wait_until
from proofs import Key
from test_third_parties import ACCESS, EXCHANGE, claims, make_site

JWT = "urn:ietf:params:oauth:token-type:jwt"
TOKEN = "/oauth2/token"


@pytest.fixture(scope="module")
def site(module_gateways, module_application):
    one = make_site(module_gateways, module_application, workers=1)
    one.origin = f"http://127.0.0.1:{one.port}"
    return one


def proof(site, key, path=TOKEN, **more):
    return key.proof("POST", site.origin + path, **more)


def ask(site, proofs=(), basic=None, **fields):
    """The token endpoint, with these proofs."""
    headers = {"DPoP": list(proofs)[0]} if proofs else {}
    return site.form(TOKEN, fields, basic or ("billing", site.secret), headers)


def own(site, key=None, **more):
    return ask(site, [proof(site, key)] if key else (), grant_type="client_credentials", **more)


def exchange(site, subject, key=None, **more):
    return ask(site, [proof(site, key)] if key else (), grant_type=EXCHANGE, subject_token=subject,
               subject_token_type=ACCESS, **more)


def use(site, path, token, key=None, scheme="DPoP"):
    headers = {"Authorization": f"{scheme} {token}"}
    if key:
        headers["DPoP"] = key.proof("GET", site.origin + path, token)
    return Client(site.port, keep=False).get(path, headers=headers)


def bound_login(site, key):
    client = Client(site.port, keep=False)
    answer = client.post("/auth/login", {"username": "alice", "password": "correct horse battery staple", "credential": "jwt"},
                         headers={"DPoP": proof(site, key, "/auth/login")})
    assert answer.status == 200 and answer.json["token_type"] == "DPoP", answer
    return answer.json["token"]


# ---- the token endpoint: RFC 9449 section 5 --------------------------------------------------------------------------------------

@pytest.mark.parametrize("alg", ["ES256", "EdDSA"])
def test_token_of_a_client_is_bound_to_the_key_it_proves(site, alg):
    key = Key(alg)
    answer = own(site, key, audience="billing")
    assert answer.status == 200 and answer.json["token_type"] == "DPoP", answer
    token = answer.json["access_token"]
    assert claims(token)["cnf"] == {"jkt": key.jkt}
    assert use(site, "/billing/", token, key).status == 200
    assert use(site, "/billing/", token, Key()).reason == "wrong_device"
    assert use(site, "/billing/", token, scheme="Bearer").reason == "wrong_carrier"
    assert own(site).json["token_type"] == "Bearer"


def test_exchanged_token_is_bound_to_the_key_of_its_client(site):
    key = Key()
    answer = exchange(site, site.session_token(), key, audience="billing")
    assert answer.status == 200 and answer.json["token_type"] == "DPoP" and answer.json["issued_token_type"] == ACCESS
    token = answer.json["access_token"]
    assert claims(token)["cnf"] == {"jkt": key.jkt} and claims(token)["sid"]
    assert use(site, "/billing/", token, key).status == 200
    assert use(site, "/billing/", token, scheme="Bearer").status == 401


@pytest.mark.parametrize("grant", ["client_credentials", EXCHANGE])
def test_bad_proof_gives_no_token_and_is_named(site, grant):
    key, good = Key(), {"grant_type": grant, "subject_token": site.session_token(), "subject_token_type": ACCESS}
    if grant == "client_credentials":
        good = {"grant_type": grant}
    for bad in (proof(site, key, "/oauth2/introspect"), key.proof("GET", site.origin + TOKEN), "x.y.z", "",
                proof(site, key, iat=int(time.time()) - 100), proof(site, key, iat=int(time.time()) + 100),
                proof(site, key)[:-4] + "AAAA", proof(site, key, header={"jwk": Key().jwk}),
                proof(site, key, header={"typ": "JWT"}), proof(site, key, header={"alg": "none"})):
        answer = ask(site, [bad], **good)
        assert answer.status == 400 and answer.json["error"] == "invalid_dpop_proof", (bad, answer)
        assert "access_token" not in answer.json and answer.get("Cache-Control") == "no-store"
    once = proof(site, key)
    assert ask(site, [once], **good).json["token_type"] == "DPoP"
    again = ask(site, [once], **good)
    assert (again.status, again.json["error"]) == (400, "invalid_dpop_proof") and "before" in again.json["error_description"]
    # who the client is comes first: a proof says nothing of that
    assert ask(site, [proof(site, key)], ("billing", "wrong"), **good).json["error"] == "invalid_client"


def test_client_without_a_nonce_is_given_one_and_comes_again(gateways, application):
    site = make_site(gateways, application, workers=1, settings={"latchkey_dpop": "nonce=5m"})
    site.origin, key = f"http://127.0.0.1:{site.port}", Key()
    answer = own(site, key)
    assert (answer.status, answer.json["error"]) == (400, "use_dpop_nonce"), answer
    nonce = answer.get("DPoP-Nonce")
    assert nonce
    assert ask(site, [proof(site, key, nonce=nonce)], grant_type="client_credentials").json["token_type"] == "DPoP"
    assert ask(site, [proof(site, key, nonce="A" * 32)], grant_type="client_credentials").json["error"] == "use_dpop_nonce"


def test_bound_token_is_exchanged_beside_a_proof_of_its_key_alone(site):
    key = Key()
    token = bound_login(site, key)
    for other in (None, Key()):
        answer = exchange(site, token, other)
        assert (answer.status, answer.json["error"]) == (400, "invalid_request"), answer
    answer = exchange(site, token, key, audience="billing")
    assert answer.status == 200 and claims(answer.json["access_token"])["cnf"] == {"jkt": key.jkt}


def test_metadata_name_the_algorithms_of_proofs(site):
    said = Client(site.port).get("/.well-known/oauth-authorization-server").json["dpop_signing_alg_values_supported"]
    assert {"ES256", "EdDSA", "PS256", "RS256"} <= set(said) and not [a for a in said if a.startswith("HS") or a == "none"]


# ---- introspection: what is bound, and what is over --------------------------------------------------------------------------------

def test_introspection_of_a_bound_token_says_active_and_names_the_key(site):
    key = Key()
    of_user, of_client = bound_login(site, key), own(site, key, audience="billing").json["access_token"]
    child = exchange(site, site.session_token(), key, audience="billing").json["access_token"]
    for token, name in ((of_user, "alice"), (of_client, None), (child, "alice")):
        said = site.introspect(token)
        assert said["active"] is True and said["token_type"] == "DPoP" and said["cnf"] == {"jkt": key.jkt}, said
        assert said.get("username") == name
    # it was told, not used: nobody comes in by it without a proof, now either
    for path, token in (("/any/", of_user), ("/billing/", of_client), ("/billing/", child)):
        assert use(site, path, token, scheme="Bearer").status == 401
        assert use(site, path, token, key).status == 200
    said = site.introspect(site.session_token())
    assert said["token_type"] == "Bearer" and "cnf" not in said


def test_introspection_of_a_key_bound_to_addresses_says_active_and_names_them(site):
    key = site.key(scope="orders.read", addresses=["192.0.2.0/24", "2001:db8::/32"], audience="billing")["key"]
    assert site.get("/billing/", key).reason == "wrong_device"
    said = site.introspect(key)
    assert said["active"] is True and said["addresses"] == ["192.0.2.0/24", "2001:db8::/32"] and said["aud"] == "billing", said
    assert said["scope"] == "orders.read" and said["username"] == "alice"
    assert site.get("/billing/", key).reason == "wrong_device"
    assert site.get("/billing/", key, {"X-Test-Address": "192.0.2.1"}).status == 200
    assert "addresses" not in site.introspect(site.key()["key"])
    site.alice.request("DELETE", f"/auth/api-keys/{key[3:11]}")
    assert site.introspect(key) == {"active": False}


def test_introspection_of_a_bound_token_that_is_over_says_no_more(site):
    key = Key()
    child = exchange(site, site.session_token(), key, audience="billing").json["access_token"]
    assert site.introspect(child)["active"] is True
    # revoked by its client, who has no proof of the user's key beside him
    assert site.form("/oauth2/revoke", {"token": child}, ("billing", site.secret)).status == 200
    assert site.introspect(child) == {"active": False}
    of_user = bound_login(site, key)
    secret = site.client_add("guard", "--grants", "revoke")
    assert site.form("/oauth2/revoke", {"token": of_user}, ("guard", secret)).status == 200
    assert site.introspect(of_user) == {"active": False}
    assert use(site, "/any/", of_user, key).reason == "revoked"


def test_introspection_of_what_has_expired_says_no_more(gateways, application):
    # ten seconds are the shortest life that a token may be given
    site = make_site(gateways, application, workers=1, settings={"latchkey_jwt": "ttl=10s"})
    site.origin, key = f"http://127.0.0.1:{site.port}", Key()
    api_key = site.key(addresses=["192.0.2.0/24"], expires_in=5)["key"]
    for token in (bound_login(site, key), own(site).json["access_token"], api_key):
        wait_until(lambda t=token: site.introspect(t) == {"active": False}, 40, "its end")


# ---- who acts: RFC 8693 ----------------------------------------------------------------------------------------------------------

def test_actor_is_named_in_the_token_and_by_introspection(site):
    actor = own(site, audience="billing").json["access_token"]
    answer = exchange(site, site.session_token(), actor_token=actor, actor_token_type=ACCESS, audience="billing")
    assert answer.status == 200, answer
    token = answer.json["access_token"]
    assert claims(token)["act"] == {"sub": "client:billing"} and claims(token)["sub"] != "client:billing"
    said = site.introspect(token)
    assert said["act"] == {"sub": "client:billing"} and said["username"] == "alice"
    assert site.get("/billing/", token).sent("Remote-User") == ["alice"]
    assert claims(token)["exp"] <= claims(actor)["exp"]
    assert "act" not in claims(exchange(site, site.session_token()).json["access_token"])


def test_those_who_acted_before_stay_in_the_chain(site):
    secret = site.client_add("shipping", "--grants", "client_credentials,exchange", "--aud", "billing", "--scope", "orders.read")
    first = own(site, audience="billing").json["access_token"]
    second = ask(site, basic=("shipping", secret), grant_type="client_credentials").json["access_token"]
    child = exchange(site, site.session_token(), actor_token=first, actor_token_type=JWT, audience="billing").json["access_token"]
    # handed on without another actor, and then by one
    same = exchange(site, child, audience="billing").json["access_token"]
    assert claims(same)["act"] == {"sub": "client:billing"}
    last = ask(site, basic=("shipping", secret), grant_type=EXCHANGE, subject_token=same, subject_token_type=ACCESS,
               actor_token=second, actor_token_type=ACCESS)
    assert last.status == 200, last
    assert claims(last.json["access_token"])["act"] == {"sub": "client:shipping", "act": {"sub": "client:billing"}}
    # it has an end
    token, answers = last.json["access_token"], []
    for _ in range(30):
        answers.append(exchange(site, token, actor_token=first, actor_token_type=ACCESS, audience="billing"))
        if answers[-1].status != 200:
            break
        token = answers[-1].json["access_token"]
    assert (answers[-1].status, answers[-1].json["error"]) == (400, "invalid_request") and len(answers) > 3


def test_actor_token_that_is_not_good_is_an_invalid_request(site):
    actor, key = own(site, audience="billing").json["access_token"], Key()
    subject = site.session_token()
    for fields in ({"actor_token": "x", "actor_token_type": ACCESS}, {"actor_token": actor}, {"actor_token_type": ACCESS},
                   {"actor_token": actor[:-3] + "AAA", "actor_token_type": ACCESS},
                   {"actor_token": actor, "actor_token_type": "urn:ietf:params:oauth:token-type:saml2"},
                   {"actor_token": site.key()["key"], "actor_token_type": ACCESS},
                   {"actor_token": own(site, key, audience="billing").json["access_token"], "actor_token_type": ACCESS}):
        answer = exchange(site, subject, **fields)
        assert (answer.status, answer.json["error"]) == (400, "invalid_request"), (fields, answer)
    good = exchange(site, subject, actor_token=actor, actor_token_type=ACCESS, audience="billing")
    assert good.status == 200


def test_answer_has_the_members_and_errors_of_the_rfc(site):
    subject = site.session_token()
    for wanted, said in ((None, ACCESS), (ACCESS, ACCESS), (JWT, JWT)):
        answer = exchange(site, subject, **({"requested_token_type": wanted} if wanted else {}), audience="billing")
        assert answer.status == 200 and answer.get("Cache-Control") == "no-store", answer
        assert answer.json["issued_token_type"] == said and answer.json["token_type"] == "Bearer" and answer.json["expires_in"] > 0
    for fields, error in (({"audience": "bank"}, "invalid_target"), ({"resource": "https://bank.example/"}, "invalid_target"),
                          ({"scope": "orders.delete"}, "invalid_scope"), ({"requested_token_type": "x"}, "invalid_request")):
        answer = exchange(site, subject, **fields)
        assert (answer.status, answer.json["error"]) == (400, error), (fields, answer)
