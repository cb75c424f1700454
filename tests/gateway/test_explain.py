# SPDX-License-Identifier: Apache-2.0
"""latchkey explain and POST /auth/admin/explain on a running gateway: what they say is what the gate does."""
import json
import subprocess

import pytest

from gateway_lab import COMMAND, wait_until

EXITS = {"allow": 0, "refuse": 1, "unknown": 3}


@pytest.fixture(scope="module")
def world(module_gateways, module_application):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    gateway = module_gateways(workers=1, settings={"latchkey_limit": "user=5 class=mobile:1"}, server=f"""
        location / {{ latchkey required; {up} }}
        location /admin/ {{ latchkey required role=latchkey-admin; {up} }}
        location /fresh/ {{ latchkey required max_age=1h; {up} }}
        """)
    gateway.start()
    gateway.user("alice")
    gateway.user("root", roles="latchkey-admin")
    yield gateway


def run(world, *words, text=None):
    return subprocess.run([str(COMMAND), "explain", "--conf", f"{world.folder}/latchkey.conf", *words], input=text,
                          env=world.env, capture_output=True, text=True, timeout=60, check=False)


def explain(world, text, *words):
    done = run(world, "--json", *words, "-", text=text)
    said = json.loads(done.stdout)
    assert done.returncode == EXITS[said["verdict"]], done
    assert text not in done.stdout
    return said


def steps(said):
    return {step["name"]: step for step in said["steps"]}


def outline(said):
    """Without the values, in which time goes on."""
    return said["verdict"], said["reason"], said["status"], [(step["name"], step["answer"]) for step in said["steps"]]


def token(world, name, kind):
    answer = world.client().login(name, credential=kind, carrier="header")
    assert answer.status == 200, answer
    return answer.json["token"], answer.json["session"]["public_id"]


@pytest.mark.parametrize("kind", ["session", "token", "jwt"])
def test_answer_of_the_gate_and_of_the_explanation_are_one(world, kind):
    text, public_id = token(world, "alice", kind)
    client = world.client()
    for path, rule in (("/", "required"), ("/admin/", "required role=latchkey-admin"), ("/fresh/", "required max_age=1h")):
        answer = client.get(path, headers={"Authorization": "Bearer " + text})
        said = explain(world, text, "--location", rule)
        assert said["status"] == answer.status
        assert said["reason"] == (answer.reason if answer.status >= 400 else "")
    assert steps(explain(world, text))["session"]["value"].startswith(public_id)
    assert client.request("POST", "/auth/logout", headers={"Authorization": "Bearer " + text}).status == 204
    said = explain(world, text)
    assert (said["verdict"], said["reason"], said["status"]) == ("refuse", "revoked", 401)
    last = said["steps"][-1]
    assert last["answer"] == "no" and last["reason"] == "revoked" and last["name"] in ("store", "cutoffs")


def test_table_for_people_names_the_step_and_has_no_colour_in_a_pipe(world):
    text, _ = token(world, "alice", "jwt")
    done = run(world, "--location", "required role=latchkey-admin", "-", text=text)
    assert done.returncode == 1 and "\033" not in done.stdout and text not in done.stdout
    assert "role" in done.stdout and "NO" in done.stdout
    assert "refused, HTTP 403: insufficient_role" in done.stdout
    assert run(world, "-", text=text).stdout.rstrip().endswith("let in, HTTP 200")


def test_session_is_explained_by_its_public_id(world):
    text, public_id = token(world, "alice", "session")
    done = run(world, public_id)
    assert done.returncode == 0 and "alice" in done.stdout and " of 5; of this device class: " in done.stdout, done
    assert world.client().request("POST", "/auth/logout", headers={"Authorization": "Bearer " + text}).status == 204
    done = run(world, public_id)
    assert done.returncode == 1 and "revoked" in done.stdout


def test_wrong_usage_exits_with_2_and_what_nobody_can_know_with_3(world, tmp_path):
    text, _ = token(world, "alice", "session")
    assert run(world, "--location", "admins only", "-", text=text).returncode == 2
    assert run(world, "--carrier", "air", "-", text=text).returncode == 2
    conf = tmp_path / "latchkey.conf"
    conf.write_text((world.folder / "latchkey.conf").read_text().replace(f"lmdb:{world.folder}/sessions",
                                                                         "redis://127.0.0.1:1/0"))
    done = subprocess.run([str(COMMAND), "explain", "--conf", str(conf), "-"], input=text, env=world.env,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done


def admin(world, body, name="root", headers=None):
    client = world.client()
    assert client.login(name).status == 200
    return client.post("/auth/admin/explain", body, headers=headers or {})


def test_admin_call_says_the_same_to_administrators_and_nothing_to_others(world):
    text, public_id = token(world, "alice", "jwt")
    said = admin(world, {"credential": text, "location": "required role=owner"})
    assert said.status == 200, said
    assert (said.json["verdict"], said.json["reason"], said.json["status"]) == ("refuse", "insufficient_role", 403)
    assert text not in said.text
    assert outline(said.json) == outline(explain(world, text, "--location", "required role=owner"))
    said = admin(world, {"public_id": public_id})
    assert said.json["verdict"] == "allow" and steps(said.json)["user"]["answer"] == "seen"
    assert admin(world, {"credential": text}, name="alice").status == 403
    assert world.client().post("/auth/admin/explain", {"credential": text}).status == 401
    for body in ({}, {"credential": text, "public_id": public_id}, {"public_id": "x"},
                 {"credential": text, "location": "please"}, {"credential": text, "carrier": "air"}):
        assert admin(world, body).status == 422, body


def test_admin_call_of_another_site_is_refused(world):
    answer = admin(world, {"public_id": "A" * 16}, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert (answer.status, answer.reason) == (403, "csrf")


def test_request_is_explained_from_the_audit_log(world):
    text, _ = token(world, "alice", "session")
    answer = world.client().get("/admin/", headers={"Authorization": "Bearer " + text})
    assert answer.status == 403
    wait_until(lambda: any(e["event"] == "refused" and e.get("path") == "/admin/" for e in world.audit()), what="the line")
    event = [e for e in world.audit() if e["event"] == "refused" and e.get("path") == "/admin/"][-1]
    said = explain(world, event["request_id"])
    assert (said["verdict"], said["reason"], said["status"]) == ("refuse", "insufficient_role", 403)
    assert steps(said)["path"]["value"] == "/admin/"
    assert admin(world, {"request_id": event["request_id"]}).json == said
    assert admin(world, {"request_id": "0" * 32}).status == 404
    assert run(world, "0" * 32).returncode == 1
