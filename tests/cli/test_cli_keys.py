# SPDX-License-Identifier: Apache-2.0
"""latchkey key: a key from its making to its end, and keys under a master secret."""
import json
import subprocess

import pytest

from conftest import NO, WRONG, YES

SECRET = "correct horse battery staple"


def listed(latchkey, **kwargs):
    return {key["kid"]: key for key in latchkey.json("key", "list", **kwargs)["keys"]}


def signing(latchkey, alg):
    return next(kid for kid, key in listed(latchkey).items() if key["alg"] == alg and key["state"] == "active")


def files(latchkey):
    return sorted((latchkey.folder / "keys").glob("*.jwk"))


def test_rotated_key_is_pending_and_says_when_it_signs(keys):
    old = signing(keys, "HS256")
    made = keys.json("key", "rotate", "HS256")["keys"]
    assert [key["state"] for key in made] == ["pending"]
    assert made[0]["next"] == "signs" and made[0]["signs"] == made[0]["next_at"]
    shown = listed(keys)
    assert shown[old]["state"] == "active" and shown[old]["retires"] == made[0]["signs"]
    assert shown[old]["gone"] - shown[old]["retires"] == 31 * 86400 + 3600  # remember, a day, publish
    again = keys.run("key", "rotate", "HS256")
    assert again.returncode == YES and b"on its way" in again.stderr
    assert len(listed(keys)) == len(shown)


def test_pending_key_is_activated_and_the_old_one_retires(keys):
    old = signing(keys, "EdDSA")
    new = next(kid for kid, key in listed(keys).items() if key["state"] == "pending")
    token = keys.json("token", "mint", "--user", "u", "--alg", "EdDSA")["token"]
    keys.text("key", "activate", new)
    assert signing(keys, "EdDSA") == new and listed(keys)[old]["state"] == "retiring"
    keys.text("token", "verify", token)
    keys.error("key", "activate", new, code=NO)
    keys.error("key", "activate", "nix", code=NO)


def test_only_key_that_signs_does_not_retire(keys):
    assert "key rotate HS256" in keys.error("key", "retire", signing(keys, "HS256"), code=NO)


def test_burned_key_verifies_nothing_whatever_time_its_tokens_bear(keys):
    burned = signing(keys, "EdDSA")
    tokens = [keys.json("token", "mint", "--user", "u", "--ttl", ttl)["token"] for ttl in ("1h", "1d")]
    kept = keys.json("token", "mint", "--kind", "simple", "--user", "u")["token"]
    path = keys.folder / "keys" / f"{burned}.jwk"
    before = path.read_text()
    assert "--yes" in keys.error("key", "burn", burned, code=WRONG)
    answer = keys.json("key", "burn", burned, "--yes")
    assert answer["state"] == "burned" and answer["replacement"] == signing(keys, "EdDSA")
    assert '"d"' not in path.read_text()
    assert listed(keys)[burned]["state"] == "burned"
    assert [cut["key"] for cut in keys.json("cutoff", "list")["cutoffs"] if cut["level"] == "key"] == [burned]
    path.write_text(before)  # a node whose copy is late
    for token in tokens:
        assert keys.json("token", "verify", token, code=NO)["reason"] == "revoked"
    keys.text("token", "verify", kept)


def test_import_takes_a_private_jwk_or_pem_and_no_public_one(keys, tmp_path):
    pem = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True, timeout=60).stdout
    (tmp_path / "key.pem").write_bytes(pem)
    made = keys.json("key", "import", tmp_path / "key.pem")["keys"][0]
    assert (made["alg"], made["state"]) == ("EdDSA", "pending")
    keys.text("key", "activate", made["kid"])
    keys.text("token", "verify", keys.json("token", "mint", "--user", "u", "--alg", "EdDSA")["token"])
    public = keys.text("key", "export", "--public", "--kid", made["kid"])
    (tmp_path / "public.jwk").write_text(public.replace(made["kid"], "theirs"))
    assert "public key" in keys.error("key", "import", tmp_path / "public.jwk", code=NO)
    (tmp_path / "weak.jwk").write_text('{"kty":"oct","k":"AAEC","alg":"HS256"}')
    said = keys.error("key", "import", tmp_path / "weak.jwk", code=NO)
    assert "256" in said and "AAEC" not in said


def test_prune_removes_nothing_that_could_be_needed(keys):
    keys.text("key", "rotate", "--now")
    before = files(keys)
    assert keys.json("key", "prune")["removed"] == []
    assert files(keys) == before


def test_keys_are_sealed_and_put_in_clear_again_and_the_secret_is_told_to_nobody(keys):
    plain = {path.name: path.read_text() for path in files(keys)}
    said = keys.error("key", "encrypt", code=WRONG)
    assert "secret=" in said
    keys.settings["latchkey_keys"] += " secret=env:LATCHKEY_TEST_SECRET"
    keys.write()
    env = {"LATCHKEY_TEST_SECRET": SECRET}
    assert keys.json("key", "encrypt", env=env)["changed"] == len(plain)
    assert keys.json("key", "encrypt", env=env)["changed"] == 0
    for path in files(keys):
        text = path.read_text()
        assert "lk_box" in text and '"k"' not in text and '"d"' not in text
    assert len(listed(keys, env=env)) == len(plain)
    wrong = keys.run("key", "list", env={"LATCHKEY_TEST_SECRET": "another secret than that"})
    assert wrong.returncode == WRONG and b"does not open it" in wrong.stderr
    assert SECRET.encode() not in wrong.stderr + wrong.stdout and b"another secret" not in wrong.stderr + wrong.stdout
    short = keys.run("key", "list", env={"LATCHKEY_TEST_SECRET": "short"})
    assert short.returncode == WRONG and b"at least 16" in short.stderr
    assert keys.json("key", "decrypt", env=env)["changed"] == len(plain)
    assert {path.name: path.read_text() for path in files(keys)} == plain


def test_secret_in_a_world_readable_file_or_among_the_settings_is_refused(keys, tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o644)
    keys.settings["latchkey_keys"] = f"{keys.folder}/keys secret=file:{path}"
    keys.write()
    assert "readable by everybody" in keys.error("key", "list", code=WRONG)
    path.chmod(0o600)
    keys.text("key", "encrypt")
    keys.text("key", "list")
    keys.settings["latchkey_keys"] = f'{keys.folder}/keys "secret={SECRET}"'
    keys.write()
    said = keys.error("key", "list", code=WRONG)
    assert "file:PATH" in said and SECRET not in said


def test_rotate_must_leave_time_to_publish(keys):
    keys.settings["latchkey_keys"] = f"{keys.folder}/keys rotate=1h publish=1h"
    keys.write()
    assert "publish=" in keys.error("key", "list", code=WRONG)


@pytest.mark.parametrize("verb", ["list", "new", "rotate", "activate", "retire", "burn", "import", "export", "prune", "encrypt",
                                  "decrypt"])
def test_every_verb_has_help_with_an_example(latchkey, verb):
    assert f"latchkey key {verb}" in latchkey.text("key", verb, "--help")


def test_newer_format_is_refused_with_a_sentence(keys):
    path = files(keys)[0]
    held = json.loads(path.read_text())
    held["lk_version"] = 3
    path.write_text(json.dumps(held))
    assert "newer latchkey" in keys.error("key", "list", code=WRONG)
