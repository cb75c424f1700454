# SPDX-License-Identifier: Apache-2.0
"""user and key: accounts and keys, with nothing else running."""
import json
import os
import pty
import stat
import subprocess
import time

import pytest

from conftest import COMMAND, FAULT, NO, PASSWORD, WRONG, YES, Latchkey


def add(latchkey, name="alice", **kwargs):
    return latchkey.json("user", "add", name, input=PASSWORD, **kwargs)


def test_user_is_added_listed_and_shown(latchkey):
    made = latchkey.json("user", "add", "alice", "--roles", "editor admin", input=PASSWORD)
    assert made["roles"] == ["editor", "admin"] and made["state"] == "enabled" and len(made["id"]) == 16
    assert latchkey.json("user", "list")["users"] == [made]
    assert latchkey.json("user", "show", "ALICE") == made == latchkey.json("user", "show", made["id"])
    assert "alice" in latchkey.text("user", "list") and "editor admin" in latchkey.text("user", "show", "alice")


def test_name_that_is_taken_is_a_no(latchkey):
    add(latchkey)
    assert "taken" in latchkey.error("user", "add", "Alice", input=PASSWORD, code=NO)


@pytest.mark.parametrize("name, password", [("bob", "short\n"), ("bob", "password1\n"), ("", PASSWORD), ("a\x01b", PASSWORD),
                                            ("bob", "\n"), pytest.param("bob", "x" * 1025 + "\n", id="too long")])
def test_name_or_password_that_breaks_a_rule_is_a_no_with_the_rule(latchkey, name, password):
    assert len(latchkey.error("user", "add", name, input=password, code=NO)) > 20
    assert latchkey.json("user", "list")["users"] == []


def test_password_never_appears_in_an_answer(latchkey):
    done = latchkey.run("user", "add", "alice", "--json", input=PASSWORD)
    assert PASSWORD.strip().encode() not in done.stdout + done.stderr


def test_password_is_not_taken_from_the_command_line(latchkey):
    latchkey.error("user", "add", "alice", "secret password", input="", code=WRONG)
    latchkey.error("user", "add", "alice", "--password", "secret password", input="", code=WRONG)


@pytest.mark.parametrize("verb", ["show", "enable", "disable", "delete", "passwd", "roles"])
def test_user_that_is_not_there_is_a_no(latchkey, verb):
    words = ["user", verb, "nobody"] + (["x"] if verb == "roles" else [])
    assert "no user" in latchkey.error(*words, input=PASSWORD, code=NO)


def test_user_is_disabled_enabled_and_deleted(latchkey):
    add(latchkey)
    assert latchkey.json("user", "disable", "alice")["sessions_ended"] == 0
    assert latchkey.json("user", "show", "alice")["state"] == "disabled"
    assert latchkey.json("user", "enable", "alice")["state"] == "enabled"
    latchkey.text("user", "delete", "alice")
    latchkey.error("user", "show", "alice", code=NO)


def test_roles_are_changed(latchkey):
    add(latchkey)
    latchkey.text("user", "roles", "alice", "b c")
    assert latchkey.json("user", "show", "alice")["roles"] == ["b", "c"]
    latchkey.text("user", "roles", "alice", "")
    assert latchkey.json("user", "show", "alice")["roles"] == []


def test_password_is_changed(latchkey):
    add(latchkey)
    latchkey.text("user", "passwd", "alice", input="another good password\n")
    latchkey.error("user", "passwd", "alice", input="short\n", code=NO)


def test_realms_are_apart(latchkey):
    add(latchkey)
    latchkey.error("user", "show", "alice", "--realm", "other", code=NO)
    latchkey.text("user", "add", "alice", "--realm", "other", input=PASSWORD)
    assert len(latchkey.json("user", "list")["users"]) == 1


def test_control_characters_of_a_list_are_not_sent_to_the_terminal(latchkey):
    latchkey.error("user", "show", "\x1b[31m", code=NO)
    assert "\x1b[31m" not in latchkey.text("user", "list")


def ask(latchkey, *words, answers):
    """Run the command on a terminal and type ANSWERS; gives the exit code and all the terminal showed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["LATCHKEY_CONF"] = str(latchkey.conf)
        os.execv(COMMAND, [str(COMMAND), *words])
    shown = b""
    for answer in answers:
        while not shown.endswith(b": "):
            shown += os.read(fd, 100)
        time.sleep(0.1)  # the prompt comes a moment before echo is off
        os.write(fd, answer.encode())
        shown += os.read(fd, 1)
    try:
        while data := os.read(fd, 1000):
            shown += data
    except OSError:
        pass
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def test_terminal_is_asked_twice_and_shows_nothing_typed(latchkey):
    code, shown = ask(latchkey, "user", "add", "alice", answers=[PASSWORD, PASSWORD])
    assert code == YES and b"again" in shown and PASSWORD.strip().encode() not in shown


def test_two_passwords_that_differ_change_nothing(latchkey):
    code, shown = ask(latchkey, "user", "add", "alice", answers=[PASSWORD, "x" + PASSWORD])
    assert code == WRONG and b"differ" in shown
    assert latchkey.json("user", "list")["users"] == []


def test_change_stands_and_says_so_when_the_sessions_cannot_be_seen(tmp_path):
    latchkey = Latchkey(tmp_path, latchkey_store="memory:", latchkey_memory="anonymous")
    add(latchkey)
    error = latchkey.error("user", "disable", "alice", code=FAULT)
    assert "latchkey_memory" in error and "was disabled" in error
    assert latchkey.json("user", "show", "alice")["state"] == "disabled"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_root_leaves_files_of_the_owner_of_the_directory(tmp_path):
    subprocess.run(["chmod", "0711", *[str(p) for p in (tmp_path, *tmp_path.parents)][:3]], check=False)
    home = tmp_path / "of-nobody"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    latchkey = Latchkey(tmp_path, latchkey_keys=f"{home}/keys", latchkey_accounts=f"sqlite:{home}/accounts.db",
                        latchkey_store=f"lmdb:{home}/sessions", latchkey_memory=f"{home}/memory size=4m")
    # A process that changed its user cannot be looked into, so the leak check, which does that, would fail.
    env = {"ASAN_OPTIONS": "detect_leaks=0"}
    add(latchkey, env=env)
    latchkey.text("session", "revoke", "--all", env=env)
    latchkey.text("key", "rotate", env=env)
    owners = {path.stat().st_uid for path in home.rglob("*")}
    assert owners == {65534}, [(p, p.stat().st_uid) for p in home.rglob("*")]


# ---- keys ----


def test_keys_are_not_made_by_looking(latchkey):
    assert "no keys" in latchkey.error("key", "list", code=NO)
    assert not (latchkey.folder / "keys").exists()


def test_key_files_are_for_their_owner_alone(keys):
    for path in (keys.folder / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((keys.folder / "keys").stat().st_mode) == 0o700


def test_new_key_verifies_and_rotated_key_signs(keys):
    before = {key["kid"]: key["state"] for key in keys.json("key", "list")["keys"]}
    made = keys.json("key", "rotate", "--alg", "ES256", "--now")["keys"][0]
    after = {key["kid"]: (key["alg"], key["state"]) for key in keys.json("key", "list")["keys"]}
    assert made["state"] == "active" and after[made["kid"]] == ("ES256", "active")
    es256 = [state for alg, state in after.values() if alg == "ES256"]
    assert sorted(es256) == ["active", "retiring"] and len(after) == len(before) + 1
    assert keys.json("key", "new", "RS256")["keys"][0]["state"] == "pending"


def test_rotation_of_all_keys_logs_no_token_out(keys):
    token = keys.json("token", "mint", "--user", "u")["token"]
    assert len(keys.json("key", "rotate")["keys"]) == 4
    keys.text("token", "verify", token)
    assert len(keys.json("key", "rotate", "--now")["keys"]) == 4
    keys.text("token", "verify", token)


def test_export_has_public_keys_only(keys):
    done = keys.run("key", "export")
    assert done.returncode == YES
    exported = json.loads(done.stdout)["keys"]
    assert {key["kty"] for key in exported} == {"OKP", "EC", "RSA"}
    secret = {"d", "k", "p", "q", "dp", "dq", "qi"}
    assert not [key for key in exported if secret & set(key)]
    kid = exported[0]["kid"]
    assert json.loads(keys.text("key", "export", "--kid", kid)) == exported[0]


def test_export_of_a_secret_or_unknown_key_is_a_no(keys):
    for key in keys.json("key", "list")["keys"]:
        if key["alg"] in ("HS256", "root"):
            keys.error("key", "export", "--kid", key["kid"], code=NO)
    keys.error("key", "export", "--kid", "nix", code=NO)


def test_unknown_algorithm_is_wrong_usage(latchkey):
    for alg in ("none", "HS1", "es256"):
        assert "choose" in latchkey.error("key", "new", "--alg", alg, code=WRONG)
    latchkey.error("key", "new", code=WRONG)


def test_key_file_that_others_can_read_is_refused(keys):
    some = next((keys.folder / "keys").glob("*.jwk"))
    some.chmod(0o644)
    assert some.name in keys.error("key", "list", code=WRONG)
