# SPDX-License-Identifier: Apache-2.0
"""latchkey node: the state file of a balancer."""
import json

import pytest

from conftest import FAULT, NO, WRONG, YES


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "nodes"
    path.write_text("# ours\na 127.0.0.1:1 up\nb 127.0.0.1:2 up\nc 127.0.0.1:3 up\n")
    return path


def lines(path):
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def test_nodes_are_listed(latchkey, state):
    run = latchkey.run("node", "list", "--state", state, "--json")
    assert run.returncode == YES
    assert json.loads(run.stdout)["nodes"][1] == {"name": "b", "address": "127.0.0.1:2", "state": "up", "to": ""}
    assert b"127.0.0.1:3" in latchkey.run("node", "list", "--state", state).stdout


def test_node_is_drained_to_another_and_up_again(latchkey, state):
    run = latchkey.run("node", "drain", "b", "--to", "c", "--state", state, "--json")
    assert run.returncode == YES
    assert json.loads(run.stdout) == {"node": "b", "state": "drain", "to": "c"}
    assert lines(state) == ["a 127.0.0.1:1 up", "b 127.0.0.1:2 drain to c", "c 127.0.0.1:3 up"]
    assert latchkey.run("node", "undrain", "b", "--state", state).returncode == YES
    assert lines(state)[1] == "b 127.0.0.1:2 up"


def test_node_is_drained_to_nobody_in_particular(latchkey, state):
    run = latchkey.run("node", "drain", "b", "--state", state)
    assert run.returncode == YES
    assert b"No session was moved" in run.stdout
    assert lines(state)[1] == "b 127.0.0.1:2 drain"


@pytest.mark.parametrize("words, why", [
    (["drain", "x"], b"no node 'x'"),
    (["drain", "a", "--to", "x"], b"no node 'x'"),
    (["drain", "a", "--to", "a"], b"itself"),
    (["drain", "c", "--to", "b"], b"takes nobody new either"),
    (["undrain", "x"], b"no node 'x'"),
    (["remove", "x"], b"no node 'x'"),
    (["remove", "a"], b"which is not there"),
    (["add", "a", "127.0.0.1:9"], b"there already"),
    (["add", "d", "127.0.0.1:1"], b"there already"),
    (["add", "d/e", "127.0.0.1:9"], b"letters, digits"),
])
def test_what_makes_no_sense_is_refused_and_changes_nothing(latchkey, state, words, why):
    assert latchkey.run("node", "drain", "b", "--to", "a", "--state", state).returncode == YES
    before = state.read_bytes()
    run = latchkey.run("node", *words, "--state", state)
    assert run.returncode == NO
    assert why in run.stderr
    assert state.read_bytes() == before


def test_last_node_that_is_up_is_not_drained(latchkey, state):
    for name in "ab":
        assert latchkey.run("node", "drain", name, "--state", state).returncode == YES
    run = latchkey.run("node", "drain", "c", "--state", state)
    assert run.returncode == NO
    assert b"leaves none" in run.stderr


def test_nodes_are_added_and_removed_and_the_file_is_made(latchkey, tmp_path):
    state = tmp_path / "new"
    for name, address in [("a", "10.0.0.1:80"), ("b", "unix:/run/app.socket")]:
        assert latchkey.run("node", "add", name, address, "--state", state).returncode == YES
    assert lines(state) == ["a 10.0.0.1:80 up", "b unix:/run/app.socket up"]
    assert latchkey.run("node", "remove", "a", "--state", state).returncode == YES
    assert lines(state) == ["b unix:/run/app.socket up"]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("new")] == ["new"]


def test_file_that_cannot_be_read_is_a_fault_and_one_that_makes_no_sense_is_wrong(latchkey, tmp_path, state):
    assert latchkey.run("node", "list", "--state", tmp_path / "nowhere").returncode == FAULT
    state.write_text("what is this")
    run = latchkey.run("node", "drain", "a", "--state", state)
    assert run.returncode == WRONG
    assert b"line 1: expected NAME ADDRESS up" in run.stderr


@pytest.mark.parametrize("words", [["list"], ["drain", "a"], ["drain", "a", "--to-conf", "x"], ["drain", "a", "--rate", "5/s"]])
def test_options_that_belong_together_are_asked_for(latchkey, state, words):
    more = ["--state", state] if len(words) > 2 else []
    assert latchkey.run("node", *words, *more).returncode == WRONG
