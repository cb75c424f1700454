# SPDX-License-Identifier: Apache-2.0
"""Help, version, options, and what is said about mistyped words."""
import json
import os
import re
import subprocess

import pytest

from conftest import COMMAND, NO, ROOT, WRONG, YES


def words(*path):
    done = subprocess.run([str(COMMAND), "help", "--words", *path], capture_output=True, text=True, check=False)
    assert done.returncode == YES
    return done.stdout.split()


def commands():
    """Every command as its words."""
    found = []
    for group in words():
        if group == "help":
            continue
        verbs = words(group)
        found += [(group,)] if verbs[0].startswith("--") else [(group, verb) for verb in verbs]
    return found


def test_version_is_that_of_the_project(latchkey):
    meson = (ROOT / "meson.build").read_text()
    assert latchkey.text("--version").split()[1] in meson


def test_help_lists_every_command(latchkey):
    text = latchkey.text("help")
    assert latchkey.text("--help") == text
    for command in commands():
        assert " ".join(command) in text


def test_every_command_has_help_with_an_example_and_the_exit_codes(latchkey):
    for command in commands():
        text = latchkey.text(*command, "--help")
        assert "Example:\n  " in text and "Exit codes:" in text, command
        assert "--json" in text and "--conf FILE" in text, command
        assert latchkey.text("help", *command) == text


def test_help_of_a_group_lists_its_commands(latchkey):
    text = latchkey.text("help", "user")
    assert "passwd" in text and latchkey.text("user", "--help") == text


def test_no_words_at_all_is_wrong_usage_and_shows_help(latchkey):
    assert "Usage" in latchkey.text(code=WRONG)
    assert "Usage" in latchkey.text("user", code=WRONG)


@pytest.mark.parametrize("typed, meant", [
    (("usre",), "user"),
    (("sesion", "list"), "session"),
    (("user", "ad"), "user add"),
    (("session", "revok"), "session revoke"),
    (("user", "add", "x", "--role", "y"), "--roles"),
    (("token", "mint", "--usr", "x"), "--user"),
])
def test_mistyped_word_is_answered_with_the_nearest_one(latchkey, typed, meant):
    assert f"did you mean '{meant}'" in latchkey.error(*typed, code=WRONG) \
        or f"did you mean {meant}?" in latchkey.error(*typed, code=WRONG)


@pytest.mark.parametrize("typed", [
    ("zzzzzzz",), ("user", "zzzzzzz"), ("user", "list", "--zzzzzzz"), ("user", "list", "-z"),
    ("user", "add"), ("user", "add", "a", "b"), ("user", "add", "a", "--roles"), ("user", "list", "--json=yes"),
    ("help", "zzzzzzz"), ("help", "user", "zzzzzzz"), ("serve", "--tls", "only-one"), ("serve", "--tls=a", "b"),
])
def test_wrong_usage_exits_with_2(latchkey, typed):
    assert latchkey.error(*typed, code=WRONG)


def test_value_may_stand_in_the_same_word(latchkey):
    latchkey.text("user", "list", f"--conf={latchkey.conf}", env={"LATCHKEY_CONF": "/nowhere"})


def test_option_wins_over_the_environment(latchkey):
    latchkey.text("settings", "check", "--conf", latchkey.conf, env={"LATCHKEY_CONF": "/nowhere"})
    latchkey.error("settings", "check", code=3, env={"LATCHKEY_CONF": "/nowhere"})


def test_wrong_usage_is_one_json_object_too_when_json_was_asked_for(latchkey):
    done = latchkey.run("cutoff", "add", "--json")
    assert done.returncode == WRONG and json.loads(done.stdout)["error"]


def test_words_after_two_dashes_are_arguments(latchkey):
    assert "there is no user '--x'" in latchkey.error("user", "show", "--", "--x", code=NO)


def test_answer_that_cannot_be_written_is_a_fault(latchkey):
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(COMMAND), "settings", "list", "--json"], stdout=full, stderr=subprocess.PIPE,
                              check=False)
    assert done.returncode == 3 and b"cannot write" in done.stderr


def test_completion_offers_commands_options_and_values(tmp_path):
    script = ROOT / "cli" / "completions" / "latchkey.bash"

    def complete(*typed):
        line = f'source {script}; COMP_WORDS=({COMMAND} {" ".join(typed)} ""); COMP_CWORD={len(typed) + 1}; ' \
               '_latchkey; echo "${COMPREPLY[@]}"'
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True,
                              cwd=tmp_path, env=dict(os.environ)).stdout.split()

    assert "session" in complete()
    assert complete("cutoff") == ["add", "list"]
    assert "--roles" in complete("user", "add")
    assert complete("token", "mint", "--kind") == ["jwt", "simple"]
    assert complete("store") == ["init", "upgrade", "check", "stats", "sweep", "copy"]
    assert "postgres://" in complete("store", "copy") and "redis://" in complete("store", "check", "--store")
    assert complete("serve", "--share") == ["sealed_cookie", "affinity", "database", "replication", "central", "token"]


def test_every_command_and_option_is_in_the_manual():
    manual = (ROOT / "docs" / "man" / "latchkey.1.scd").read_text()
    plain = manual.replace("*", "").replace("_", "").replace("\\", "")
    for command in commands():
        assert "latchkey " + " ".join(command) in plain, command
    for option in words("serve"):
        assert option in plain, option


def test_every_setting_is_in_the_manual(latchkey):
    manual = (ROOT / "docs" / "man" / "latchkey.conf.5.scd").read_text().replace("\\", "")
    for setting in latchkey.json("settings", "list")["settings"]:
        assert f"*{setting['name']}*" in manual, setting


def test_every_setting_and_its_options_are_in_the_page_of_settings(latchkey):
    page = (ROOT / "docs" / "settings.md").read_text()
    for setting in latchkey.json("settings", "list")["settings"]:
        assert f"`{setting['name']}" in page, setting
        for option in re.findall(r"(\w+=)", setting["syntax"]):
            assert option in page, (setting["name"], option)
