# SPDX-License-Identifier: Apache-2.0
"""session, where there is no gateway; test_cli_serve.py has the rest."""
import pytest

from conftest import FAULT, NO, PASSWORD, WRONG, Latchkey


def test_nobody_is_logged_in_at_first(latchkey):
    assert latchkey.json("session", "list") == {"sessions": [], "more": False}
    assert "Nobody" in latchkey.text("session", "list")


def test_session_that_is_not_there_is_a_no(keys):
    for verb in ("show", "revoke"):
        assert "no such session" in keys.error("session", verb, "A" * 16, code=NO)


@pytest.mark.parametrize("public_id", ["-" + "A" * 15, "--" + "A" * 14])
def test_public_id_may_begin_with_a_dash(keys, public_id):
    assert "no such session" in keys.error("session", "show", public_id, code=NO)


@pytest.mark.parametrize("words", [
    ["show", "short"], ["show"], ["revoke"], ["revoke", "A" * 16, "--all"], ["revoke", "--user", "u", "--all"],
    ["revoke", "--all", "--reason", "x"], ["list", "--limit", "-1"], ["list", "--limit", "x"],
])
def test_wrong_usage_exits_with_2(keys, words):
    keys.error("session", *words, code=WRONG)


def test_user_that_is_not_there_is_a_no(keys):
    for words in (["list", "--user", "nobody"], ["revoke", "--user", "nobody"]):
        keys.error("session", *words, code=NO)
    keys.text("user", "add", "alice", input=PASSWORD)
    assert keys.json("session", "revoke", "--user", "alice")["sessions_ended"] == 0


@pytest.mark.parametrize("memory, cure", [("anonymous", "latchkey_memory"), ("nowhere size=4m", "no gateway")])
def test_store_in_memory_that_cannot_be_seen_is_a_fault_with_the_cure(tmp_path, memory, cure):
    value = memory if memory == "anonymous" else f"{tmp_path}/{memory}"
    latchkey = Latchkey(tmp_path, latchkey_store="memory:", latchkey_memory=value)
    latchkey.text("key", "new", "--alg", "EdDSA")
    for words in (["session", "list"], ["session", "revoke", "--all"], ["cutoff", "add", "--level", "all"]):
        assert cure in latchkey.error(*words, code=FAULT)
    assert not (tmp_path / "nowhere").exists()


def test_store_that_cannot_be_opened_is_a_fault(latchkey):
    (latchkey.folder / "sessions").write_text("in the way")
    latchkey.error("session", "list", code=FAULT)
