# SPDX-License-Identifier: Apache-2.0
"""Sessions over a real gateway, and what they leave on disk: docs/security-checklist.md, rules 26 to 44."""
import base64
import json
import threading
from pathlib import Path

import pytest

from served import PASSWORD, Served
from visitors import FORM, Browser, metric, set_cookies, who

PAGE = {"Accept": "text/html"}


def sessions(site):
    return metric(site, "latchkey_sessions")


def public_id(site, cookie):
    return site.call("GET", "/auth/session", cookie=cookie).json()["session"]["public_id"]


# ---- new ids ---------------------------------------------------------------------------------------------------------

def test_replaced_id_is_dead_at_once_where_no_grace_is_given(strict):
    strict.register("replaced")
    first = strict.login("replaced").cookie()
    assert who(strict, cookie=first) == "replaced"
    second = strict.login("replaced", cookie=first).cookie()
    assert (who(strict, cookie=first), who(strict, cookie=second)) == ("", "replaced")
    answer = strict.call("POST", "/auth/password", {"current": PASSWORD, "new": "thimbles and gravel"}, cookie=second)
    assert answer.status == 200
    assert (who(strict, cookie=second), who(strict, cookie=answer.cookie())) == ("", "replaced")


def test_replaced_id_gains_nothing_and_writes_nothing_while_its_grace_lasts(easy):
    first = easy.login("alice").cookie()
    second = easy.login("alice", cookie=first).cookie()
    assert who(easy, cookie=second) == "alice"
    data = lambda cookie: easy.call("PATCH", "/auth/session/data", {"cart": ["x"]}, cookie=cookie).status
    assert (data(first), data(second)) == (401, 200)
    visit = easy.call("GET", "/", headers=PAGE).cookie()
    easy.login("alice", cookie=visit)
    assert who(easy, cookie=visit) == "", "the id of a stranger stays a stranger's"


def test_login_as_somebody_else_ends_the_former_session_at_once(easy):
    alice = easy.login("alice").cookie()
    mallory = easy.login("mallory", cookie=alice).cookie()
    assert (who(easy, cookie=alice), who(easy, cookie=mallory)) == ("", "mallory")


# ---- who is put out ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ("disable", "delete"))
def test_user_who_is_disabled_or_deleted_is_out_everywhere(easy, how):
    name = "leaving-" + how
    easy.register(name)
    cookie = easy.login(name).cookie()
    bearers = [easy.login(name, credential=kind, carrier="header").json()["token"] for kind in ("session", "token", "jwt")]
    other = easy.login("alice").cookie()
    assert who(easy, cookie=cookie) == name and [who(easy, bearer=b) for b in bearers] == [name] * 3
    assert easy.command("user", how, name).returncode == 0
    assert who(easy, cookie=cookie) == "" and [who(easy, bearer=b) for b in bearers] == [""] * 3
    assert who(easy, cookie=other) == "alice"
    assert easy.call("POST", "/auth/login", {"username": name, "password": PASSWORD}).status == 401


def test_at_most_the_limit_of_fifty_parallel_logins_is_alive(strict):
    strict.register("crowd")
    answers = []

    def log_in():
        answers.append(strict.call("POST", "/auth/login", {"username": "crowd", "password": PASSWORD}))

    threads = [threading.Thread(target=log_in) for _ in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    cookies = [a.cookie() for a in answers if a.status == 200]
    assert len(cookies) >= 20 and {a.status for a in answers} <= {200, 503}
    assert [who(strict, cookie=c) for c in cookies].count("crowd") == 3
    last = strict.login("crowd").cookie()
    assert who(strict, cookie=last) == "crowd"
    assert [who(strict, cookie=c) for c in cookies].count("crowd") == 2


# ---- no session comes of itself ---------------------------------------------------------------------------------------------

def test_programs_and_refused_requests_begin_no_session(easy):
    before = sessions(easy)
    for method, path in (("GET", "/"), ("POST", "/orders"), ("GET", "/auth/session"), ("GET", "/auth/session/data"),
                         ("GET", "/auth/login"), ("POST", "/auth/logout"), ("GET", "/required/"), ("OPTIONS", "/"),
                         ("GET", "/auth/authz/auth-request"), ("GET", "/auth/health/ready"), ("GET", "/nothing")):
        answer = easy.call(method, path)
        assert not any(c.name == "latchkey" for c in set_cookies(answer)), path
    easy.register("no-login-yet")
    assert easy.call("PATCH", "/auth/session/data", {"nothing": None}).status == 200
    assert sessions(easy) <= before
    before = sessions(easy)
    cookie = easy.call("GET", "/", headers=PAGE).cookie()
    assert sessions(easy) > before, "a page is where one begins, of nobody"
    assert who(easy, cookie=cookie) == "" and easy.call("GET", "/required/", cookie=cookie).status == 401


def test_failed_login_leaves_no_half_made_session(easy):
    good = {"username": "alice", "password": PASSWORD}
    field = {"Content-Type": "application/json"}
    before = sessions(easy)
    failures = [
        (401, dict(body={**good, "password": "wrong " + PASSWORD})), (401, dict(body={**good, "username": "nobody-here"})),
        (401, dict(body={**good, "password": "p" * 1025})), (422, dict(body={"username": "alice"})),
        (422, dict(body={**good, "credential": "refresh"})), (422, dict(body={**good, "carrier": "url"})),
        (422, dict(body={**good, "remember": "yes"})), (422, dict(body={**good, "device": {"id": "\n"}})),
        (400, dict(raw=json.dumps(good)[:-1], headers=field)), (415, dict(raw=json.dumps(good), headers={
            "Content-Type": "text/xml", "Sec-Fetch-Site": "same-origin"})),
        (413, dict(raw=json.dumps(good) + " " * 16384, headers=field)),
        (403, dict(body=good, headers={"Origin": "https://evil.example"})),
        (403, dict(raw=f"username=alice&password={PASSWORD.replace(' ', '+')}", headers={"Content-Type": FORM})),
    ]
    for status, request in failures:
        answer = easy.call("POST", "/auth/login", **request)
        assert (answer.status, answer.headers.get("Set-Cookie")) == (status, None), request
        assert b'"token"' not in answer.body and b'"public_id"' not in answer.body
    assert sessions(easy) <= before
    before = sessions(easy)
    assert easy.call("POST", "/auth/login", good).status == 200
    assert sessions(easy) > before


def test_full_store_refuses_logins_without_a_trace_and_lets_people_stay_and_leave(tmp_path):
    site = Served("--store", f"lmdb:{tmp_path}/sessions?map=1m")
    try:
        site.register("alice")
        early, other = site.login("alice").cookie(), site.login("alice").cookie()
        filling = {"x" * 60: "y" * 15000}
        for _ in range(400):
            answer = site.call("PATCH", "/auth/session/data", filling)
            if answer.status != 200:
                break
        assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
        while site.call("GET", "/", headers=PAGE).headers.get("Set-Cookie"):
            pass
        before = sessions(site)
        for kind in ("session", "jwt"):
            answer = site.call("POST", "/auth/login", {"username": "alice", "password": PASSWORD, "credential": kind})
            assert (answer.status, answer.headers.get("Set-Cookie")) == (503, None)
            assert answer.headers["Retry-After"] and b'"token"' not in answer.body
        assert sessions(site) <= before
        assert who(site, cookie=early) == "alice"
        assert site.call("POST", "/auth/logout", cookie=early).status == 204
        assert (who(site, cookie=early), who(site, cookie=other)) == ("", "alice")
    finally:
        site.close()


def test_new_keys_end_all_that_was_handed_out_and_no_password():
    """What docs/threat-model.md says to do when keys were stolen."""
    site = Served()
    try:
        site.register("alice")
        cookie = site.login("alice").cookie()
        bearers = [site.login("alice", credential=kind, carrier="header").json()["token"] for kind in ("token", "jwt")]
        browser = Browser(site)
        browser.page("/auth/login")
        site.stop()
        (site.directory / "keys").rename(site.directory / "stolen")
        site.start()
        assert [who(site, cookie=cookie)] + [who(site, bearer=b) for b in bearers] == ["", "", ""]
        assert browser.submit("/auth/login", username="alice", password=PASSWORD).status == 403
        assert who(site, cookie=site.login("alice").cookie()) == "alice"
    finally:
        site.close()


# ---- what is left behind ------------------------------------------------------------------------------------------------------

def leave_traces(site):
    """Everything a user can do with every sort of secret; gives all secrets by name."""
    new = "gravel thimble lantern 77"
    secrets = {"password": "Quiet-Zebra walks 4711", "new password": new, "wrong password": "Loud-Zebra walks 4711"}
    site.register("trace", secrets["password"])
    site.call("POST", "/auth/login", {"username": "trace", "password": secrets["wrong password"]})
    site.call("POST", "/auth/login", {"username": secrets["wrong password"], "password": "x"})
    browser = Browser(site)
    browser.page("/auth/login")
    secrets["form token"], secrets["form mark"] = browser.form_token, browser.cookies["latchkey_form"]
    browser.submit("/auth/login", username="trace", password=secrets["password"])
    secrets["session id"] = browser.cookies["latchkey"]
    for kind in ("session", "token", "jwt"):
        secrets["bearer " + kind] = site.login("trace", secrets["password"], credential=kind, carrier="header").json()["token"]
    for name in ("bearer session", "bearer token", "bearer jwt"):
        for path in ("/", "/required/", "/auth/session", "/auth/sessions", "/scope/"):
            site.call("GET", path, bearer=secrets[name])
        site.call("GET", "/required/", bearer=secrets[name][:-1] + ("A" if secrets[name][-1] != "A" else "B"))
    visit = site.call("GET", "/", headers=PAGE).cookie()
    secrets["session id of nobody"] = visit.split("=", 1)[1]
    site.call("PATCH", "/auth/session/data", {"cart": [1]}, cookie=visit)
    answer = browser.ask("POST", "/auth/password", json.dumps({"current": secrets["password"], "new": new}),
                         {"Content-Type": "application/json", "Accept": "application/json"})
    assert answer.status == 200
    secrets["session id after a change"] = browser.cookies["latchkey"]
    secrets["public id"] = public_id(site, "latchkey=" + browser.cookies["latchkey"])
    for path in ("/required/", "/auth/session"):
        site.call("POST", path, cookie="latchkey=" + secrets["session id"], headers={"Origin": "https://evil.example"})
    secrets["last bearer"] = site.login("trace", new, credential="jwt").json()["token"]
    assert site.call("POST", "/auth/logout", bearer=secrets["last bearer"]).status == 204
    assert site.call("GET", "/required/", bearer=secrets["last bearer"]).status == 401
    return secrets


@pytest.fixture(scope="module")
def traces(easy):
    return leave_traces(easy)


def forms_of(secret):
    """A secret as it is handed out, and as bytes: the random part of an id, the signature of a token."""
    yield secret.encode()
    last = secret.split(".")[-1]
    if len(last) == 64 and set(last) <= set("0123456789abcdef"):
        yield bytes.fromhex(last)
    elif " " not in last:
        yield base64.urlsafe_b64decode(last + "=" * (-len(last) % 4))


def files_below(*places):
    for place in map(Path, places):
        yield from (f for f in ([place] if place.is_file() else place.rglob("*")) if f.is_file())


def test_no_log_has_a_credential_and_every_audit_line_is_json(easy, traces):
    logs = {name: (easy.directory / name).read_bytes() for name in ("audit.log", "access.log", "error.log", "serve.log")}
    for what, secret in traces.items():
        if what == "public id":
            continue
        for name, log in logs.items():
            assert secret.encode() not in log, f"{what} in {name}"
    events = [json.loads(line) for line in logs["audit.log"].splitlines()]
    assert len(events) > 20 and all({"time", "event"} <= set(event) for event in events)
    assert {"registered", "login", "login_failed", "password_changed", "logout", "refused"} <= {e["event"] for e in events}
    assert any(event.get("name") == "trace" for event in events), "the control: these logs are about this user"


def test_store_accounts_and_shared_memory_hold_no_credential(easy, traces):
    memory = easy.setting("latchkey_memory").split()[0].strip('"')
    dump = b"".join(f.read_bytes() for f in files_below(easy.directory / "sessions", *easy.directory.glob("accounts.db*"),
                                                        memory))
    for what, secret in traces.items():
        if what == "public id":
            continue
        for form in forms_of(secret):
            assert form not in dump, what
    key = base64.urlsafe_b64decode(traces["public id"])
    assert dump.count(key) >= 1 and b"$argon2id$" in dump and b"trace" in dump, "the control: the search finds what is there"
