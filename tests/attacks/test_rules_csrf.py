# SPDX-License-Identifier: Apache-2.0
"""Requests that another site makes a browser send: docs/security-checklist.md, rules 100 to 112."""
import json

import pytest

from served import PASSWORD
from visitors import FORM, Browser, who

CROSS = ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"},
         {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Referer": "https://evil.example/a?http://127.0.0.1/"})
JSON = {"Content-Type": "application/json"}


def changes(site, name):
    """Every call of the API that changes something, as (method, path, body)."""
    other = site.login(name).json()["session"]["public_id"]
    return [
        ("POST", "/auth/login", {"username": "mallory", "password": PASSWORD}),
        ("POST", "/auth/register", {"username": "made-by-csrf", "password": PASSWORD}),
        ("POST", "/auth/logout", None), ("POST", "/auth/logout?everywhere=1", None),
        ("POST", "/auth/password", {"current": PASSWORD, "new": "thimbles and gravel"}),
        ("PATCH", "/auth/session/data", {"cart": ["planted"]}),
        ("DELETE", "/auth/sessions?except=current", None), ("DELETE", "/auth/sessions/" + other, None),
        ("POST", "/auth/sessions", None), ("POST", "/auth/sessions/" + other, None),
        ("POST", "/required/order", {"buy": 1}), ("PUT", "/required/order", {"buy": 1}),
        ("PATCH", "/required/order", {"buy": 1}), ("DELETE", "/required/order", None),
        ("POST", "/", {"buy": 1}),
    ]


def state(site, name, cookie):
    """All that a change could have changed."""
    return (who(site, cookie=cookie), site.call("GET", "/auth/session/data", cookie=cookie).json(),
            [s["public_id"] for s in site.call("GET", "/auth/sessions", cookie=cookie).json()["sessions"]],
            site.call("POST", "/auth/login", {"username": name, "password": PASSWORD}).status,
            site.call("POST", "/auth/login", {"username": "made-by-csrf", "password": PASSWORD}).status)


@pytest.mark.parametrize("fields", CROSS)
def test_no_change_is_made_for_another_site(easy, fields):
    name = "victim-" + str(CROSS.index(fields))
    easy.register(name)
    cookie = easy.login(name).cookie()
    targets = changes(easy, name)
    before = state(easy, name, cookie)[:3]
    for method, path, body in targets:
        refused = easy.call(method, path, body, headers=fields, cookie=cookie)
        kinds = [{"Content-Type": "text/plain", **fields}, {"Content-Type": FORM, **fields}]
        answers = [refused] + [easy.call(method, path, raw=json.dumps(body or {}), headers=k, cookie=cookie) for k in kinds]
        for answer in answers:
            assert answer.status in (403, 415), (method, path)
            assert answer.headers.get("Set-Cookie") is None, (method, path)
        if method != "POST" or body is not None or "logout" in path:
            assert (refused.status, refused.json()["reason"]) == (403, "csrf"), (method, path)
    after = state(easy, name, cookie)
    assert after[:2] == before[:2] and set(before[2]) <= set(after[2])
    assert after[3:] == (200, 401)


def test_the_same_changes_are_made_for_our_own_pages(easy):
    """The positive control of the test above."""
    easy.register("owner")
    own = {"Sec-Fetch-Site": "same-origin", "Origin": easy.origin}
    for method, path, body in changes(easy, "owner"):
        cookie = easy.login("owner").cookie()
        if (method, path) == ("POST", "/auth/sessions") or (method == "POST" and path.startswith("/auth/sessions/")):
            continue  # forms, below
        answer = easy.call(method, path, body, headers=own, cookie=cookie)
        assert answer.status in (200, 201, 204, 404), (method, path, answer.body)
        if path == "/auth/password":
            easy.call("POST", path, {"current": "thimbles and gravel", "new": PASSWORD}, cookie=answer.cookie())
    assert easy.call("POST", "/auth/login", {"username": "made-by-csrf", "password": PASSWORD}).status == 200


def test_no_get_head_or_options_changes_anything(easy):
    easy.register("reader")
    cookie = easy.login("reader").cookie()
    other = easy.login("reader").json()["session"]["public_id"]
    easy.call("PATCH", "/auth/session/data", {"cart": ["mine"]}, cookie=cookie)
    before = state(easy, "reader", cookie)[:3]
    form = {"username": "made-by-get", "password": PASSWORD, "except": "current", "everywhere": "1", "cart": "x", "new": "y"}
    query = "&".join(f"{k}={v.replace(' ', '+')}" for k, v in form.items())
    paths = [path for path in ("/auth/logout", "/auth/login", "/auth/register", "/auth/password", "/auth/session/data",
                               "/auth/sessions", "/auth/sessions/others", "/auth/sessions/" + other, "/auth/account",
                               "/auth/session", "/auth/refresh", "/auth/logout/", "/auth/authz/auth-request")]
    override = {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "POST", "X-Method-Override": "POST"}
    for method in ("GET", "HEAD", "OPTIONS"):
        for path in paths:
            for more in ("?" + query, "?_method=DELETE&everywhere=1", "?_method=POST&" + query):
                for accept in ("text/html", "application/json"):
                    easy.call(method, path + more, headers={"Accept": accept, **override}, cookie=cookie)
    after = state(easy, "reader", cookie)
    assert after[:2] == before[:2] and set(before[2]) <= set(after[2])
    assert after[3] == 200
    assert easy.call("POST", "/auth/login", {"username": "made-by-get", "password": PASSWORD}).status == 401
    own = {"Sec-Fetch-Site": "same-origin"}
    assert easy.call("POST", "/auth/logout?everywhere=1", headers=own, cookie=cookie).status == 204
    assert who(easy, cookie=cookie) == "", "the control: POST does what the others did not"


def test_form_token_of_another_visitor_or_session_is_refused(easy):
    mine, theirs = Browser(easy), Browser(easy)
    theirs.page("/auth/login")
    stolen = theirs.form_token
    mine.page("/auth/login")
    own = mine.form_token
    login = {"username": "alice", "password": PASSWORD}
    for token in (stolen, own[:43] + stolen[43:], own[:-1] + ("A" if own[-1] != "A" else "B"), "", "A" * 86, own + "A"):
        answer = mine.submit("/auth/login", csrf=token, **login)
        assert answer.status == 403 and "latchkey" not in mine.cookies, token
    mine.page("/auth/login")
    assert mine.submit("/auth/login", csrf=own, **login).status == 303, "what it was made for still takes it"
    assert mine.submit("/auth/logout", csrf=own).status == 403, "a token from before the login"
    theirs.log_in("alice", PASSWORD)
    theirs.page("/auth/logout")
    assert mine.submit("/auth/logout", csrf=theirs.form_token).status == 403, "same user, another session"
    mine.page("/auth/logout")
    assert mine.submit("/auth/logout").status == 303


def test_form_tokens_are_fresh_for_every_form(easy):
    browser = Browser(easy)
    tokens = set()
    for _ in range(8):
        browser.page("/auth/login")
        tokens.add(browser.form_token)
    assert len(tokens) == 8 and {len(token) for token in tokens} == {86}
    assert len({token[:6] for token in tokens}) == 8, "no part of it is a clock"


def test_answers_that_depend_on_the_origin_say_so(easy):
    cookie = easy.login("alice").cookie()
    for fields in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": easy.origin}):
        for method, path, body in (("PATCH", "/auth/session/data", {"cart": [1]}), ("POST", "/required/order", {}),
                                   ("DELETE", "/required/order", None)):
            answer = easy.call(method, path, body, headers=fields, cookie=cookie)
            vary = {word.strip() for line in answer.headers.get_all("Vary", []) for word in line.split(",")}
            assert {"Origin", "Sec-Fetch-Site"} <= vary, (method, path, answer.status)
    assert easy.call("GET", "/required/", cookie=cookie).headers.get("Vary") is None


def test_options_without_a_preflight_is_a_request_like_any_other(easy):
    cookie = easy.login("alice").cookie()
    assert easy.call("OPTIONS", "/required/").status == 401
    assert easy.call("OPTIONS", "/required/", headers={"Origin": "https://evil.example"}).status == 401
    answer = easy.call("OPTIONS", "/required/", cookie=cookie)
    assert (answer.status, answer.seen("Remote-User")) == (200, ["alice"])


def test_no_answer_invites_another_origin(easy):
    """There is no directive for cross-origin reading yet: nothing may allow it by accident."""
    cookie = easy.login("alice").cookie()
    ask = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
           "Access-Control-Request-Headers": "authorization"}
    for method in ("GET", "OPTIONS", "POST"):
        for path in ("/auth/session", "/auth/login", "/required/", "/.well-known/jwks.json", "/"):
            answer = easy.call(method, path, headers=ask, cookie=cookie)
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")], (method, path)
