# SPDX-License-Identifier: Apache-2.0
"""Passwords, guesses and the pages they are typed into: docs/security-checklist.md, rules 113 to 127."""
import base64
import json
import re
import sqlite3
import time
from pathlib import Path

import pytest

from served import PASSWORD
from visitors import Browser, who

WRONG = "wrong horse battery staple"
PAGE = {"Accept": "text/html"}


def attempt(site, name, password, **how):
    return site.call("POST", "/auth/login", {"username": name, "password": password}, **how)


def hash_of(site, name):
    database = sqlite3.connect(f"file:{site.directory}/accounts.db?mode=ro", uri=True)
    try:
        return database.execute("SELECT phc FROM latchkey_user WHERE name = ?", (name,)).fetchone()[0]
    finally:
        database.close()


# ---- how they are kept ---------------------------------------------------------------------------------------------------

def test_password_is_kept_as_argon2id_of_the_recommended_cost_with_a_salt_of_its_own(easy):
    salts = set()
    for name in ("alice", "mallory"):  # of one password
        _, kind, version, cost, salt, digest = hash_of(easy, name).split("$")
        assert (kind, version) == ("argon2id", "v=19")
        memory, passes, lanes = map(int, re.fullmatch(r"m=(\d+),t=(\d+),p=(\d+)", cost).groups())
        assert (memory, passes, lanes) == (19456, 2, 1)
        raw = base64.b64decode(salt + "==")
        assert len(raw) == 16 and len(base64.b64decode(digest + "==")) == 32
        salts.add(raw)
    assert len(salts) == 2


def memory_of(pid):
    """What a process keeps for itself, piece by piece: heap, stacks, data. The shared table is looked into elsewhere."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place, mode = line.split()[:2]
            if not mode.startswith("rw-p"):
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except OSError:
                continue  # unmapped meanwhile


def family_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [p for child in children for p in family_of(int(child))]


def test_no_process_keeps_a_password_or_a_key_file_in_its_memory(secure):
    """After logins, failures, a registration and a change, by JSON and by form, behind TLS."""
    first, second, wrong = "quiet-ZEBRA lantern 1", "quiet-ZEBRA lantern 2", "quiet-ZEBRA lantern 3"
    secure.register("wiped", first)
    for _ in range(4):
        secure.login("wiped", first)
        assert attempt(secure, "wiped", wrong).status == 401
    Browser(secure).log_in("wiped", first)
    cookie = secure.login("wiped", first).cookie()
    assert secure.call("POST", "/auth/password", {"current": first, "new": second}, cookie=cookie).status == 200
    assert attempt(secure, "wiped", first).status == 401
    for _ in range(40):
        secure.call("GET", "/auth/health/live")
    secrets = {"password": b"quiet-ZEBRA lantern", "password of a form": b"quiet-ZEBRA+lantern"}
    for file in (secure.directory / "keys").glob("*.jwk"):
        key = json.loads(file.read_text())
        secrets[file.name] = (key.get("d") or key["k"]).encode()
    assert len(secrets) == 7
    family = family_of(secure.process.pid)
    assert len(family) >= 3
    found = set()
    for pid in family:
        pieces = list(memory_of(pid))
        assert any(str(secure.directory).encode() in piece for piece in pieces), "the control: the search finds what is there"
        found |= {what for what, secret in secrets.items() for piece in pieces if secret in piece}
    assert found == set()


# ---- what they may be ------------------------------------------------------------------------------------------------------

def test_length_is_bounded_in_characters_and_bytes_and_nothing_is_ever_cut(easy):
    def register(name, password):
        return easy.call("POST", "/auth/register", {"username": name, "password": password})

    answer = register("short", "xkqzvwj")
    assert answer.status == 422 and "8" in answer.json()["detail"]
    assert register("least", "xkqzvwjm").status == 201
    assert register("least-chinese", "我的猫叫做小花花").status == 201
    long = "".join(chr(ord("a") + (i * i + i // 7) % 26) for i in range(1025))
    answer = register("longer", long)
    assert answer.status == 422 and "1024" in answer.json()["detail"]
    assert register("longest", long[:1024]).status == 201
    assert [attempt(easy, "longest", p).status for p in (long[:1024], long, long[:1023], long[:72])] == [200, 401, 401, 401]
    sixty_four = "猫" * 8 + "".join(chr(0x4e00 + i * 37) for i in range(56))
    assert register("sixty-four", sixty_four).status == 201
    assert [attempt(easy, "sixty-four", p).status for p in (sixty_four, sixty_four[:-1])] == [200, 401]


def test_one_password_in_two_unicode_forms_is_one_and_a_nul_is_part_of_it(easy):
    easy.register("forms", "caf\u00e9 \uff21 gravel felt")
    for same in ("cafe\u0301 A gravel felt", "caf\u00e9 A gravel felt"):
        assert attempt(easy, "forms", same).status == 200
    for other in ("cafe A gravel felt", "CAF\u00c9 A GRAVEL FELT"):
        assert attempt(easy, "forms", other).status == 401
    easy.register("nul", "gravel\0thimbles felt")
    assert attempt(easy, "nul", "gravel\0thimbles felt").status == 200
    for other in ("gravel", "gravel\0", "gravel\0thimbles fell", "gravelthimbles felt"):
        assert attempt(easy, "nul", other).status == 401


def test_changing_a_password_needs_the_current_one(easy):
    easy.register("changer")
    cookie = easy.login("changer").cookie()
    new = "thimbles and gravel"

    def change(body):
        return easy.call("POST", "/auth/password", body, cookie=cookie)

    assert change({"new": new}).status == 422
    assert change({"current": "", "new": new}).status == 422
    assert change({"current": None, "new": new}).status == 422
    assert (change({"current": WRONG, "new": new}).status, change({"current": new, "new": new}).status) == (401, 401)
    assert easy.call("POST", "/auth/password", {"current": PASSWORD, "new": new}).status == 401, "nobody is logged in"
    assert attempt(easy, "changer", new).status == 401 and who(easy, cookie=cookie) == "changer"
    assert change({"current": PASSWORD, "new": new}).status == 200
    assert (attempt(easy, "changer", new).status, attempt(easy, "changer", PASSWORD).status) == (200, 401)


# ---- who may guess ---------------------------------------------------------------------------------------------------------

def test_unknown_wrong_disabled_and_deleted_are_told_apart_by_nothing(easy):
    for name in ("disabled", "deleted"):
        easy.register(name)
    assert easy.command("user", "disable", "disabled").returncode == 0
    assert easy.command("user", "delete", "deleted").returncode == 0
    drop = {"date", "x-request-id"}
    shape = lambda a: (a.status, a.body, [h for h in a.headers.items() if h[0].lower() not in drop])
    answers = [shape(attempt(easy, name, password)) for name, password in (
        ("alice", WRONG), ("nobody-of-that-name", WRONG), ("disabled", WRONG), ("disabled", PASSWORD), ("deleted", PASSWORD),
        ("no\tname", WRONG), ("alice", "p" * 1025), ("nobody-of-that-name", "p" * 1025), ("alice", "\ud83d\ude00" * 3))]
    assert answers[0][0] == 401 and all(a == answers[0] for a in answers)
    browsers = []
    for name in ("alice", "nobody-of-that-name", "disabled"):
        browser = Browser(easy)
        browser.page("/auth/login")
        page = browser.submit("/auth/login", username=name, password=WRONG).body.decode()
        browsers.append(re.sub(r'(csrf" value=")[\w-]+', r"\1", page).replace(name, "NAME"))
    assert browsers[0] == browsers[1] == browsers[2] and 'role="alert"' in browsers[0]
    assert attempt(easy, "alice", PASSWORD).status == 200


def test_guesses_are_throttled_whatever_is_guessed_and_it_ends_by_itself(strict):
    for name in ("guessed", "bystander"):
        strict.register(name)
    began = time.monotonic()
    statuses = [attempt(strict, "guessed", WRONG).status for _ in range(3)]
    assert statuses == [401] * 3
    for password in (WRONG, PASSWORD):
        answer = attempt(strict, "guessed", password)
        assert (answer.status, answer.json()["reason"], answer.headers.get("Set-Cookie")) == (429, "throttled", None)
        assert 1 <= int(answer.headers["Retry-After"]) <= 6
    for claim in ({"X-Forwarded-For": "203.0.113.9"}, {"X-Real-IP": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"},
                  {"X-Forwarded-For": "127.0.0.2, 203.0.113.9"}, {"CF-Connecting-IP": "203.0.113.9"}):
        assert attempt(strict, "guessed", PASSWORD, headers=claim).status == 429, claim
    for spelling in ("GUESSED", "Guessed", "\uff47uessed"):
        assert attempt(strict, spelling, PASSWORD).status == 429
    assert attempt(strict, "bystander", PASSWORD).status == 200
    [attempt(strict, "nobody-there", WRONG) for _ in range(3)]
    assert attempt(strict, "nobody-there", WRONG).status == 429, "names that do not exist count alike"
    wait = int(attempt(strict, "guessed", PASSWORD).headers["Retry-After"])
    while (answer := attempt(strict, "guessed", PASSWORD)).status == 429:
        assert time.monotonic() - began < 60
        time.sleep(0.1)
    assert answer.status == 200 and 1 <= wait <= 6


def test_guesses_are_still_counted_after_a_restart(strict):
    strict.register("restarted")
    for _ in range(20):
        [attempt(strict, "restarted", WRONG) for _ in range(3)]
        strict.stop()
        strict.start()
        if attempt(strict, "restarted", PASSWORD).status == 429:
            return  # else the restart took longer than the window of six seconds
    raise AssertionError("never throttled after a restart")


def test_change_of_a_password_is_no_way_round_the_throttle(strict):
    strict.register("session-thief")
    cookie = strict.login("session-thief").cookie()
    change = lambda password: strict.call("POST", "/auth/password", {"current": password, "new": "gravel and felt"},
                                          cookie=cookie)
    assert [change(WRONG).status for _ in range(3)] == [401] * 3
    answer = change(PASSWORD)
    assert answer.status == 429 and int(answer.headers["Retry-After"]) >= 1
    assert who(strict, cookie=cookie) == "session-thief"


def test_there_is_no_account_that_nobody_made(easy):
    assert json.loads(easy.users_at_first)["users"] == []
    for name in ("admin", "root", "latchkey", "administrator", "test", "user", "guest"):
        for password in ("", name, "admin", "password", "latchkey", "changeme"):
            assert attempt(easy, name, password).status in (401, 422), name


# ---- the pages -------------------------------------------------------------------------------------------------------------

PAGES = ("/auth/login", "/auth/login?return=/a&lang=zh-CN", "/auth/register", "/auth/logout", "/auth/account",
         "/auth/password", "/auth/sessions/others", "/auth/nothing", "/auth/sessions/AAAAAAAAAAAAAAAA")


def assert_page_is_armoured(site, answer, what):
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'", what
    assert policy["form-action"] == "'self'" and policy["base-uri"] == "'none'" and "script-src" not in policy, what
    assert not any("unsafe" in sources or "*" in sources for sources in policy.values()), what
    assert answer.headers["X-Content-Type-Options"] == "nosniff", what
    assert answer.headers["Referrer-Policy"] in ("same-origin", "no-referrer"), what
    assert answer.headers["Cache-Control"] == "no-store", what
    assert (answer.headers.get("Strict-Transport-Security") is not None) == (site.scheme == "https"), what
    text = answer.body.decode()
    assert "<script" not in text and " style=" not in text and not re.search(r"\son\w+=", text), what


@pytest.mark.parametrize("kind", ("plain", "tls"))
def test_every_page_forbids_frames_scripts_and_guessing_of_types(request, kind):
    site = request.getfixturevalue("easy" if kind == "plain" else "secure")
    stranger, browser = Browser(site), Browser(site)
    browser.log_in("alice", PASSWORD)
    seen = 0
    for visitor in (stranger, browser):
        for path in PAGES:
            answer = visitor.page(path)
            if answer.status != 303:
                assert_page_is_armoured(site, answer, path)
                seen += 1
    stranger.page("/auth/login")
    errors = [stranger.submit("/auth/login", username="alice", password=WRONG),
              stranger.submit("/auth/register", username="armoured", password="x"),
              stranger.submit("/auth/register", csrf="A" * 86, username="a", password="x"),
              stranger.ask("PUT", "/auth/login", "x"), stranger.ask("POST", "/auth/login", "x" * 20000)]
    assert [answer.status for answer in errors] == [401, 422, 403, 405, 413]
    for answer in errors:
        assert_page_is_armoured(site, answer, answer.status)
    assert seen >= 13
    if kind == "tls":
        seconds = re.search(r"max-age=(\d+)", stranger.last.headers["Strict-Transport-Security"]).group(1)
        assert int(seconds) >= 31536000


def test_login_by_form_leads_to_a_place_of_this_site_or_home(easy):
    for wanted, place in (("/orders?page=2", "/orders?page=2"), ("//evil.example", None), ("/\\evil.example", None),
                          ("https://evil.example/", None), ("/\r\nSet-Cookie: a=b", None), ("\t//evil.example", None),
                          ("javascript:alert(1)", None), (easy.origin + "/shop", "/shop"),
                          (easy.origin + "@evil.example/", None), ("http://127.0.0.1:1/x", None), ("/%5cevil.example", None)):
        browser = Browser(easy)
        browser.page("/auth/login")
        answer = browser.submit("/auth/login", username="alice", password=PASSWORD, **{"return": wanted})
        assert answer.status == 303 and answer.headers.get_all("Location") == [place or "/auth/account"], wanted
        assert len(answer.headers.get_all("Set-Cookie")) == 1, wanted
