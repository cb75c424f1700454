# SPDX-License-Identifier: Apache-2.0
"""$latchkey_param_NAME: the fixed parameters of a simple token, and never those of a text that nobody signed."""
import base64
import hashlib
import hmac
import subprocess

import pytest

from gateway_lab import COMMAND, wait_until

NAMES = ("tenant", "plan", "shop_id", "name", "roles", "absent")


@pytest.fixture(scope="module")
def world(module_gateways, module_application):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};" + "".join(
        f"proxy_set_header X-{name.replace('_', '-')} \"[$latchkey_param_{name}]\";" for name in NAMES)
    gateway = module_gateways(workers=1, http="""
        log_format params '$uri tenant=$latchkey_param_tenant';
        map $latchkey_param_plan $backend { default free; gold gold; }
        """, server=f"""
        access_log logs/params.log params;
        location / {{ latchkey optional; {up} proxy_set_header X-Backend $backend; }}
        location /header/ {{ latchkey required carrier=header; {up} }}
        location /off/ {{ {up} }}
        location /sessions/ {{ latchkey required credential=session_id; {up} }}
        location /rewritten/ {{ latchkey optional; rewrite ^/rewritten/(.*)$ /$1 last; }}
        location /case/ {{ latchkey optional; {up} proxy_set_header X-Case "[$latchkey_param_Tenant]"; }}
        """)
    gateway.start()
    gateway.user("alice")
    yield gateway


def mint(world, *params, kind="simple", ttl="10m"):
    words = [str(COMMAND), "token", "mint", "--conf", f"{world.folder}/latchkey.conf", "--kind", kind, "--user", "alice",
             "--ttl", ttl]
    for param in params:
        words += ["--param", param]
    made = subprocess.run(words, env=world.env, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def ask(world, token=None, path="/", headers=None):
    headers = dict(headers or {})
    if token is not None:
        headers["Authorization"] = "Bearer " + token
    return world.client().get(path, headers=headers)


def params(answer):
    return {name: answer.sent("X-" + name)[0][1:-1] for name in NAMES}


def test_parameters_of_a_proven_token_are_variables_as_they_were_minted(world):
    answer = ask(world, mint(world, "tenant=7", "plan=gold", "shop-id=a,b=c 100%"))
    assert answer.status == 200
    seen = params(answer)
    assert (seen["tenant"], seen["plan"], seen["shop_id"], seen["absent"]) == ("7", "gold", "a,b=c 100%", "")
    login = world.client().login("alice", credential="token")
    assert params(ask(world, login.json["token"]))["name"] == "alice", "what stands for a claim is a parameter as well"
    assert answer.sent("X-Backend") == ["gold"], "a map decides by it"
    wait_until(lambda: "/ tenant=7" in (world.folder / "logs/params.log").read_text(), what="the line of the log")


def test_variable_does_not_know_case_and_an_underscore_stands_for_dash_and_dot(world):
    assert ask(world, mint(world, "tEnAnt=7"), "/case/").sent("X-Case") == ["[7]"]
    for name in ("shop_id", "shop-id", "shop.id", "Shop-ID"):
        assert params(ask(world, mint(world, f"{name}=9")))["shop_id"] == "9", name


def test_two_parameters_that_one_variable_would_name_are_none(world):
    seen = params(ask(world, mint(world, "shop-id=1", "shop_id=2", "tenant=3", "plan=")))
    assert (seen["shop_id"], seen["tenant"], seen["plan"]) == ("", "3", "")


def test_value_brings_no_parameter_along(world):
    seen = params(ask(world, mint(world, "tenant=7,plan=gold,roles=admin")))
    assert (seen["tenant"], seen["plan"], seen["roles"]) == ("7,plan=gold,roles=admin", "", "")


def test_text_that_is_not_proven_gives_nothing(world):
    token = mint(world, "tenant=7", "plan=gold")
    fields = token.split(".")
    forged = base64.urlsafe_b64encode(b"plan=gold,tenant=8").rstrip(b"=").decode()
    unsigned = ".".join(fields[:3] + [forged] + fields[4:])
    resigned = ".".join(fields[:3] + [forged, fields[4]])
    resigned += "." + hmac.new(b"guess", resigned.encode(), hashlib.sha256).hexdigest()
    assert params(ask(world, token))["tenant"] == "7"
    for bad in (unsigned, resigned, token[:-1] + ("0" if token[-1] != "0" else "1"), token + ".", token.upper()):
        answer = ask(world, bad)
        assert answer.status == 200 and answer.sent("Remote-User") == [""]
        assert set(params(answer).values()) == {""}, bad
    # Nor where the token let nobody in: another kind was asked for, or no gate at all.
    assert ask(world, token, "/sessions/").status == 401
    assert set(params(ask(world, token, "/off/")).values()) == {""}
    assert set(params(ask(world)).values()) == {""}
    assert set(params(ask(world, mint(world, kind="jwt"))).values()) == {""}


def test_token_beside_the_one_that_let_the_request_in_gives_nothing(world):
    good, other = mint(world, "tenant=7"), mint(world, "tenant=8")
    answer = ask(world, good, "/header/", {"Cookie": f"latchkey={other}"})
    assert answer.status == 200 and params(answer)["tenant"] == "7"
    answer = ask(world, None, "/", {"Cookie": f"latchkey={other}"})
    assert params(answer)["tenant"] == "8"


def test_location_that_a_rewrite_leads_to_reads_the_same(world):
    assert params(ask(world, mint(world, "tenant=7"), "/rewritten/x"))["tenant"] == "7"
