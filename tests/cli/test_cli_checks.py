# SPDX-License-Identifier: Apache-2.0
"""The small questions: json check, cookie parse, redirect check, password verify, settings check."""
import pytest

from conftest import FAULT, NO, WRONG, YES

# ---- json ----


@pytest.mark.parametrize("text", ["{}", "[1, 2]", '"x"', "null", " -1.5e3 ", '{"a": {"b": []}}', "[" * 32 + "]" * 32])
def test_json_that_is_right_is_a_yes_without_a_word(latchkey, text):
    done = latchkey.run("json", "check", input=text)
    assert (done.returncode, done.stdout, done.stderr) == (YES, b"", b"")


@pytest.mark.parametrize("text, place", [
    ('{"a": 1, "a": 2}', b"1:10: "), ('{\n  "a": ,\n}', b"2:8: "), ("[1] x", b"1:5: "), ("", b"1:1: "),
    pytest.param("[" * 33 + "]" * 33, b"1:33: ", id="too deep"), ('"\\ud800"', b"1:"), (b'"\xff"', b"1:2: "),
    pytest.param("[" * 200000, b"1:33: ", id="far too deep"),
])
def test_json_that_is_wrong_is_told_with_its_place(latchkey, text, place):
    done = latchkey.run("json", "check", input=text)
    assert done.returncode == NO and done.stdout == b""
    assert done.stderr.startswith(place), done.stderr


def test_json_check_answers_in_json(latchkey):
    assert latchkey.json("json", "check", input="{}") == {"valid": True}
    answer = latchkey.json("json", "check", input="[\n1,]", code=NO)
    assert answer["valid"] is False and (answer["line"], answer["column"], answer["offset"]) == (2, 3, 4)


# ---- cookie ----


@pytest.mark.parametrize("lines, value", [
    ("a=1; latchkey=xyz", "xyz"),
    ("Cookie: a=1; latchkey=xyz\r\n", "xyz"),
    ("cookie:latchkey=x=y", "x=y"),
    ("a=1\nlatchkey=xyz\n", "xyz"),
    ("latchkey=xyz; latchkey=xyz", "xyz"),
    ('latchkey="q"', '"q"'),
    ("latchkey=", ""),
])
def test_cookie_is_found(latchkey, lines, value):
    assert latchkey.text("cookie", "parse", "latchkey", input=lines) == value + "\n"


@pytest.mark.parametrize("lines, why", [
    ("", "no cookie"), ("a=1; Latchkey=x", "no cookie"), ("=latchkey=x", "no cookie"), ("latchkey", "no cookie"),
    ("latchkey=1; latchkey=2", "differ"), ("latchkey=1\nlatchkey=2\n", "differ"),
])
def test_cookie_that_is_missing_or_ambiguous_is_a_no(latchkey, lines, why):
    assert why in latchkey.error("cookie", "parse", "latchkey", input=lines, code=NO)


def test_cookie_answers_in_json(latchkey):
    assert latchkey.json("cookie", "parse", "a", input="a=1") == {"name": "a", "value": "1"}
    assert latchkey.json("cookie", "parse", "a", input="a=1; a=2", code=NO)["reason"] == "malformed"


# ---- redirect ----


@pytest.mark.parametrize("url, path", [
    ("/", "/"), ("/cart?step=2", "/cart?step=2"), ("https://shop.example/cart\n", "/cart"),
])
def test_place_on_the_origin_is_a_yes_with_its_path(latchkey, url, path):
    assert latchkey.text("redirect", "check", "--origin", "https://shop.example", input=url) == path + "\n"
    assert latchkey.json("redirect", "check", "--origin", "https://shop.example", input=url) == {"path": path}


@pytest.mark.parametrize("url", [
    "", "//evil.example", "/\\evil.example", "https://evil.example/", "https://shop.example.evil/", "javascript:alert(1)",
    "http://shop.example/", "/a\nb", "/a\tb", "\\\\evil.example", "https://shop.example@evil.example/",
])
def test_place_elsewhere_is_a_no(latchkey, url):
    done = latchkey.run("redirect", "check", "--origin", "https://shop.example", input=url)
    assert done.returncode == NO and done.stdout == b"" and done.stderr


def test_redirect_check_needs_an_origin(latchkey):
    assert "--origin" in latchkey.error("redirect", "check", input="/", code=WRONG)


# ---- password ----

# argon2 of Debian: printf 'correct horse' | argon2 somesaltsomesalt -id -k 19456 -t 2 -p 1 -l 32 -e
PHC = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$k9ohroejZy1PN5E1SbHNPug6vB8eQAahb5SOAp6iGF4"


def test_password_that_matches_is_a_yes(latchkey):
    latchkey.text("password", "verify", "--phc", PHC, input="correct horse\n")
    latchkey.text("password", "verify", "--phc", PHC, input="correct horse")
    assert latchkey.json("password", "verify", "--phc", PHC, input="correct horse") == {"matches": True, "rehash": False}


def test_password_that_does_not_match_is_a_no(latchkey):
    assert "not that password" in latchkey.error("password", "verify", "--phc", PHC, input="correct hors", code=NO)
    assert latchkey.json("password", "verify", "--phc", PHC, input="x", code=NO)["matches"] is False


def test_raw_password_keeps_its_newline(latchkey):
    latchkey.text("password", "verify", "--raw", "--phc", PHC, input="correct horse")
    latchkey.error("password", "verify", "--raw", "--phc", PHC, input="correct horse\n", code=NO)


def test_password_over_several_lines_is_wrong_usage(latchkey):
    assert "one line" in latchkey.error("password", "verify", "--phc", PHC, input="a\nb\n", code=WRONG)


@pytest.mark.parametrize("phc, code", [("x", WRONG), ("$argon2id$v=19$m=1$x", FAULT), (PHC[:-3] + "$$$", FAULT)])
def test_string_that_is_no_hash_is_never_a_yes(latchkey, phc, code):
    latchkey.error("password", "verify", "--phc", phc, input="correct horse", code=code)


# ---- settings ----


def test_settings_that_are_right_are_a_yes(latchkey):
    assert "right" in latchkey.text("settings", "check")
    assert latchkey.json("settings", "check", latchkey.conf)["valid"] is True
    assert not (latchkey.folder / "keys").exists() and not (latchkey.folder / "sessions").exists()


@pytest.mark.parametrize("name, value, said", [
    ("latchkey_cookie", "__Host-x secure=off", "secure"),
    ("latchkey_stor", "memory:", "latchkey_stor"),
    ("latchkey_session", "idle=soon", "idle"),
    ("latchkey_store", "ldap://h", "latchkey_store"),
    ("latchkey_share", "central", "latchkey_share"),
    ("latchkey_replica", "redis://h", "latchkey_replica"),
])
def test_settings_that_are_wrong_are_told_with_file_and_line(latchkey, name, value, said):
    latchkey.settings[name] = value
    latchkey.write()
    error = latchkey.error("settings", "check", code=WRONG)
    assert str(latchkey.conf) in error and said.lower() in error.lower()
    assert latchkey.error("session", "list", code=WRONG)


def test_settings_that_are_not_there_are_a_fault(latchkey):
    latchkey.error("settings", "check", "/nowhere/latchkey.conf", code=FAULT)
    latchkey.error("user", "list", "--conf", "/nowhere/latchkey.conf", code=FAULT)


def test_settings_are_listed_with_syntax_and_default(latchkey):
    names = [setting["name"] for setting in latchkey.json("settings", "list")["settings"]]
    assert "latchkey_store" in names and "latchkey_store" in latchkey.text("settings", "list")
