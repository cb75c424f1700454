# SPDX-License-Identifier: Apache-2.0
"""The cookies we send and the cookies we are sent, over a real gateway: docs/security-checklist.md, rules 1 to 25."""
import pytest

from served import PASSWORD
from visitors import DATE, Browser, metric, set_cookies, who

DEAD = "latchkey=" + "A" * 43
PAGE = {"Accept": "text/html"}


def walk(site, name):
    """One visitor on every way that sets or removes a cookie. Yields what was done, and the answer."""
    dead = "__Host-" + DEAD if site.scheme == "https" else DEAD
    browser = Browser(site)
    yield "a page of the application", browser.ask("GET", "/")
    yield "the login page in a language", browser.page("/auth/login?lang=zh-CN")
    yield "a login by form", browser.submit("/auth/login", username=name, password=PASSWORD)
    yield "the account page", browser.page("/auth/account")
    yield "a login by form over a login", browser.log_in(name, PASSWORD)
    browser.page("/auth/account")
    yield "a refused form", browser.submit("/auth/logout", token="A" * 86)
    browser.page("/auth/logout")
    yield "a logout by form", browser.submit("/auth/logout")
    yield "a wrong password by form", (browser.page("/auth/login"), browser.submit(
        "/auth/login", username=name, password="wrong " + PASSWORD))[1]
    yield "a login", site.login(name)
    yield "a remembered login", site.login(name, remember=True)
    yield "a login with a dead cookie", site.login(name, cookie=dead)
    cookie = site.login(name).cookie()
    yield "a login over a login", site.login(name, cookie=cookie)
    yield "a login for a token", site.login(name, credential="jwt", cookie=cookie)
    yield "a token in a cookie", site.login(name, credential="jwt", carrier="cookie")
    yield "a simple token in a cookie", site.login(name, credential="token", carrier="cookie")
    yield "data of a stranger", site.call("PATCH", "/auth/session/data", {"cart": [1]})
    yield "data with a dead cookie", site.call("PATCH", "/auth/session/data", {"cart": [1]}, cookie=dead)
    yield "a check with a dead cookie", site.call("GET", "/auth/session", cookie=dead)
    yield "a page with a dead cookie", site.call("GET", "/auth/login?lang=en", headers=PAGE, cookie=dead)
    yield "a page of the application with a dead cookie", site.call("GET", "/", headers=PAGE, cookie=dead)
    yield "a program at the application with a dead cookie", site.call("GET", "/", cookie=dead)
    yield "the style sheet with a dead cookie", site.call("GET", "/auth/assets/none.css", cookie=dead)
    yield "the keys with a dead cookie", site.call("GET", "/.well-known/jwks.json", cookie=dead)
    yield "a wrong method with a dead cookie", site.call("PUT", "/auth/login", {}, cookie=dead)
    yield "a refused change", site.call("POST", "/auth/logout", headers={"Origin": "null"}, cookie=dead)
    yield "a logout without a session", site.call("POST", "/auth/logout", cookie=dead)
    other = site.login(name).cookie()
    yield "the end of this session", site.call(
        "DELETE", "/auth/sessions/" + site.call("GET", "/auth/session", cookie=other).json()["session"]["public_id"],
        cookie=other)
    yield "a logout", site.call("POST", "/auth/logout", cookie=site.login(name).cookie())


@pytest.fixture(scope="module")
def answers(easy, secure):
    """[(site, what was done, answer)] for both gateways; a walk that sets no cookies would prove nothing."""
    seen = [(site, what, answer) for site in (easy, secure) for what, answer in walk(site, "alice")]
    assert sum(len(set_cookies(answer)) for _, _, answer in seen) > 40
    return seen


def all_cookies(answers):
    return [(site, what, cookie) for site, what, answer in answers for cookie in set_cookies(answer)]


# ---- what is sent ------------------------------------------------------------------------------------------------

def test_every_set_cookie_keeps_the_grammar_and_says_each_attribute_once(answers):
    for _, what, cookie in all_cookies(answers):  # SetCookie has refused everything else
        for name in ("Path", "HttpOnly", "SameSite"):
            assert cookie.get(name) is not None, what
        assert cookie.get("SameSite") in ("Lax", "Strict", "None"), what
        assert cookie.get("SameSite") != "None" or cookie.get("Secure") is not None, what


def test_every_date_is_an_imf_fixdate_beside_a_max_age_of_400_days_at_most(answers):
    dated = [(what, cookie) for _, what, cookie in all_cookies(answers) if cookie.get("Expires") or cookie.get("Max-Age")]
    assert any(what == "a remembered login" for what, _ in dated)
    for what, cookie in dated:
        assert DATE.fullmatch(cookie.get("Expires")), what
        assert 0 <= int(cookie.get("Max-Age")) <= 34560000, what


def test_no_answer_sets_one_cookie_twice(answers):
    most = 0
    for _, what, answer in answers:
        names = [cookie.name for cookie in set_cookies(answer)]
        assert len(names) == len(set(names)), what
        most = max(most, len(names))
    assert most >= 2, "answers with several cookies were among them"


def test_cookies_are_sent_in_fields_of_their_own(easy):
    """Folded into one line, the comma would be part of a value. Raw, because http.client would not tell."""
    import socket
    with socket.create_connection(("127.0.0.1", easy.port), 20) as s:
        s.sendall(f"GET /auth/login?lang=en HTTP/1.0\r\nAccept: text/html\r\nCookie: {DEAD}\r\n\r\n".encode())
        head = s.makefile("rb").read().split(b"\r\n\r\n")[0].decode()
    fields = [line for line in head.split("\r\n") if line.lower().startswith("set-cookie:")]
    assert len(fields) == 3
    assert [line.count("Path=") for line in fields] == [1, 1, 1]
    assert {line.split()[1].split("=")[0] for line in fields} == {"latchkey", "latchkey_form", "latchkey_lang"}


def test_behind_tls_every_cookie_is_secure_and_the_session_cookie_host_bound(answers):
    over_tls = [(what, cookie) for site, what, cookie in all_cookies(answers) if site.scheme == "https"]
    for what, cookie in over_tls:
        assert cookie.get("Secure") == "", what
        assert cookie.get("Domain") is None and cookie.get("Path") == "/", what
    assert {cookie.name for _, cookie in over_tls} == {"__Host-latchkey", "__Host-latchkey_form", "latchkey_lang"}


def test_session_cookie_is_in_no_body_and_no_other_field(answers):
    held = 0
    for _, what, answer in answers:
        for cookie in set_cookies(answer):
            if not cookie.name.endswith("latchkey") or cookie.is_removal:
                continue
            held += 1
            assert cookie.get("HttpOnly") == "", what
            assert cookie.value.encode() not in answer.body, what
            for name, value in answer.headers.items():
                assert name == "Set-Cookie" or cookie.value not in value, what
    assert held >= 20


def test_answers_with_a_cookie_are_not_to_be_stored(answers):
    for _, what, answer in answers:
        if set_cookies(answer):
            assert answer.headers.get_all("Cache-Control") == ["no-store"], what
    kept = [answer for _, what, answer in answers if what == "the keys with a dead cookie"]
    assert all("max-age" in answer.headers["Cache-Control"] for answer in kept), "what may be stored sets no cookie"


def test_removal_names_the_cookie_as_it_was_set(answers):
    by_site = {}
    for site, what, cookie in all_cookies(answers):
        if cookie.name.endswith("latchkey"):
            by_site.setdefault((site, cookie.is_removal), set()).add(cookie.kept_as)
    for site in {site for site, _, _ in answers}:
        assert len(by_site[site, False]) == 1
        assert by_site[site, True] == by_site[site, False]


def test_session_cookie_is_random_and_says_nothing_of_its_user(easy):
    values = [easy.login("alice").cookie().split("=", 1)[1] for _ in range(4)]
    assert [len(value) for value in values] == [43] * 4
    for i, value in enumerate(values):
        for other in values[:i]:
            assert sum(a == b for a, b in zip(value, other)) < 12, "two of them have a part in common"


def test_all_our_cookies_together_stay_far_below_8_kib(easy):
    """The largest there are: a JWT of a user with the longest name and all the roles, every page's cookies."""
    name = "n" * 128
    easy.register(name)
    roles = [f"role-{i:02}-of-this-user" for i in range(12)]
    assert easy.command("user", "roles", name, " ".join(roles)).returncode == 0
    browser = Browser(easy)
    browser.page("/auth/login?lang=zh-CN")
    token = set_cookies(easy.login(name, credential="jwt", carrier="cookie", device={"id": "d" * 64}))
    browser.cookies.update({cookie.name: cookie.value for cookie in token})
    assert set(browser.cookies) == {"latchkey", "latchkey-device", "latchkey_form", "latchkey_lang"}
    assert len(browser.cookies["latchkey"]) > 500
    assert len("Cookie: " + browser.cookie) < 4096
    assert who(easy, cookie=browser.cookie) == name


# ---- what is received ----------------------------------------------------------------------------------------------

def test_cookie_of_no_possible_shape_is_refused_without_a_look_into_the_store(easy):
    lookups = lambda: metric(easy, "latchkey_session_lookups_total")
    before = lookups()
    for value in ("", "A", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "B", "A" * 4000, "%41" * 20, '"' + "A" * 43 + '"',
                  "A" * 42 + "+", "../../../etc/passwd", "\xff" * 43):
        answer = easy.call("GET", "/auth/session", headers={"Cookie": ("latchkey=" + value).encode("latin-1")})
        assert answer.status == 401
        assert answer.json()["reason"] == ("malformed" if value else "no_credential"), value
    assert lookups() == before
    assert easy.call("GET", "/auth/session", cookie=DEAD).json()["reason"] == "expired"
    assert lookups() == before + 1


def test_cookies_are_not_decoded_unquoted_or_split_at_commas(easy):
    value = easy.login("alice").cookie().split("=", 1)[1]
    assert who(easy, cookie=f"a=1;latchkey={value};b=2") == "alice"
    for text in (f"=latchkey={value}", f'latchkey="{value}"', f"Latchkey={value}", f"a=1, latchkey={value}",
                 f"latchkey=%{ord(value[0]):02x}{value[1:]}", f"latchkey {value}", f"latchkey={value},x", value,
                 f"x=latchkey={value}", f"latchkey.1={value}", f"__Host-latchkey={value}"):
        assert who(easy, cookie=text) == "", text


def test_cookie_of_delimiters_up_to_the_bound_of_a_header_is_answered(easy):
    value = easy.login("alice").cookie()
    for byte in '\\;="% ,':
        assert who(easy, cookie=byte * 7000) == ""
        assert who(easy, cookie=byte * 7000 + "; " + value) == "alice", byte


def test_four_mebibytes_of_delimiters_are_read_in_one_pass(easy):
    """Byte by byte it is over in no time; in a pass for each byte, never: the command would be stopped after a minute."""
    for byte in '\\;="% ,':
        done = easy.command("cookie", "parse", "latchkey", text="latchkey=a; " + byte * (4 << 20))
        assert (done.returncode, done.stdout) == (0, "a\n"), byte
    for text in ("a=b; " * 800_000, "latchkey=a; " * 350_000, "latchkey; =latchkey; " * 200_000):
        done = easy.command("cookie", "parse", "latchkey", text=text)
        assert done.returncode == (0 if "latchkey=a" in text else 1), text[:30]


def test_lost_cookie_is_a_visitor_like_any_other(easy):
    first = easy.login("alice").cookie()
    assert who(easy, cookie=first) == "alice"
    answer = easy.call("GET", "/")
    assert (answer.status, answer.seen("Remote-User"), answer.headers.get("Set-Cookie")) == (200, [""], None)
    assert easy.call("GET", "/auth/session").json()["reason"] == "no_credential"
    assert easy.call("GET", "/auth/session/data").json() == {}
    assert easy.call("POST", "/auth/logout").status == 204
    assert who(easy, cookie=first) == "alice"
