# SPDX-License-Identifier: Apache-2.0
"""store copy: nothing is lost, nothing revoked comes back, and what was interrupted goes on."""
import os
import pty
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import COMMAND, FAULT, NO, WRONG, YES, Latchkey
from gateway import Gateway
from stores import dump, end_and_forget, fill, public_ids, sessions, tool, unused


@pytest.fixture
def lmdb(tmp_path):
    """Names of stores that are there when they are first used."""
    def url(name):
        return f"lmdb:{tmp_path}/{name}?sync=fast"
    return url


def lines(url, kind):
    return [line for line in dump(url) if line.startswith(kind)]


def test_every_member_of_every_session_and_every_cutoff_is_copied(latchkey, lmdb):
    fill(lmdb("a"), 1000)
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
    assert (answer["sessions"], answer["copied"], answer["cutoffs"], answer["differing"]) == (1000, 1000, 100, 0)
    assert answer["compared"] == 1000
    assert dump(lmdb("b")) == dump(lmdb("a"))
    assert len(lines(lmdb("b"), "p")) == 20  # those that were replaced a moment ago


def test_copying_again_changes_nothing(latchkey, lmdb):
    fill(lmdb("a"), 300)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
    assert (answer["copied"], answer["there_before"], answer["brought_up_to_date"]) == (0, 300, 0)
    assert (answer["cutoffs"], answer["cutoffs_there_before"]) == (0, 30)
    assert dump(lmdb("b")) == dump(lmdb("a"))


def test_what_happened_meanwhile_is_brought_along(latchkey, lmdb):
    fill(lmdb("a"), 100)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    ended, used, changed = public_ids(lmdb("a"))[:3]
    tool("end", lmdb("a"), ended)
    tool("touch", lmdb("a"), used, 700)
    tool("set", lmdb("a"), changed, "cart", "[9]")
    tool("set", lmdb("a"), changed, "new", "true")
    fill(lmdb("a"), 50, 100, "new")
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
    assert (answer["copied"], answer["brought_up_to_date"], answer["ended"], answer["cutoffs"]) == (50, 2, 1, 5)
    assert ended not in sessions(lmdb("b"))
    assert sessions(lmdb("b")) == sessions(lmdb("a"))
    assert lines(lmdb("b"), "c") == lines(lmdb("a"), "c")


def test_session_that_ended_in_the_new_store_does_not_come_back(latchkey, lmdb):
    fill(lmdb("a"), 20)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    ended = public_ids(lmdb("b"))[0]
    tool("end", lmdb("b"), ended)
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
    assert (answer["copied"], answer["ended_there"]) == (0, 1)
    assert ended not in sessions(lmdb("b"))


def test_what_the_new_store_went_on_with_is_kept(latchkey, lmdb):
    fill(lmdb("a"), 20)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    changed, used = public_ids(lmdb("b"))[:2]
    tool("set", lmdb("b"), changed, "cart", "[7]")
    tool("touch", lmdb("b"), used, 600)
    fill(lmdb("b"), 5, 500, "new")
    before = dump(lmdb("b"))
    done = latchkey.run("store", "copy", lmdb("a"), lmdb("b"))
    assert done.returncode == YES and b"5 are in TO alone" in done.stderr
    assert dump(lmdb("b")) == before


def test_session_that_the_old_store_may_have_forgotten_is_told_of_and_ended_when_asked(latchkey, lmdb):
    fill(lmdb("a"), 20)
    fill(lmdb("b"), 10, 200)
    fill(lmdb("b"), 5, 301, "old")
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
    assert (answer["only_there"], answer["unknown"], answer["ended"]) == (15, 5, 0)
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"), "--end-unknown")
    assert (answer["only_there"], answer["unknown"], answer["ended"]) == (15, 0, 5)
    assert len(sessions(lmdb("b"))) == 30


def test_old_store_that_was_emptied_ends_nobody(latchkey, tmp_path, lmdb):
    fill(lmdb("a"), 20)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    shutil.rmtree(tmp_path / "a")
    fill(lmdb("a"), 1)
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
    assert (answer["ended"], answer["only_there"]) == (0, 20)


def test_new_store_that_was_emptied_is_filled_again(latchkey, tmp_path, lmdb):
    fill(lmdb("a"), 20)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    shutil.rmtree(tmp_path / "b")
    assert latchkey.json("store", "copy", lmdb("a"), lmdb("b"))["copied"] == 20


def test_logout_is_not_undone_by_another_copy_when_its_mark_is_gone(latchkey, lmdb):
    fill(lmdb("a"), 100)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    here, there = unused(lmdb("a"), 2)
    end_and_forget(latchkey, lmdb("a"), here)
    end_and_forget(latchkey, lmdb("b"), there)
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
    assert (answer["copied"], answer["ended"], answer["ended_there"]) == (0, 1, 1)
    assert {here, there}.isdisjoint(sessions(lmdb("b")))


def test_logout_is_not_undone_on_the_way_back(latchkey, lmdb):
    fill(lmdb("a"), 100)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    ended = unused(lmdb("a"))[0]
    end_and_forget(latchkey, lmdb("b"), ended)
    fill(lmdb("b"), 10, 200, "new")
    answer = latchkey.json("store", "copy", lmdb("b"), lmdb("a"))
    assert (answer["copied"], answer["ended"], answer["only_there"]) == (10, 1, 0)
    assert sessions(lmdb("a")) == sessions(lmdb("b"))


def test_session_that_ran_out_in_a_copy_and_was_used_since_is_copied_again(latchkey, lmdb):
    fill(lmdb("a"), 20)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    used = unused(lmdb("a"))[0]
    tool("touch", lmdb("a"), used, 700)
    end_and_forget(latchkey, lmdb("b"), used)
    assert latchkey.json("store", "copy", lmdb("a"), lmdb("b"))["copied"] == 1
    assert used in sessions(lmdb("b"))


def test_what_is_in_the_new_store_alone_is_its_own(latchkey, lmdb):
    fill(lmdb("a"), 20)
    fill(lmdb("b"), 5, 301, "old")
    for _ in range(2):
        answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
        assert (answer["ended"], answer["only_there"]) == (0, 5)
    assert len(sessions(lmdb("b"))) == 25


def test_mark_of_a_copy_reaches_nobody_and_is_not_copied(latchkey, lmdb):
    fill(lmdb("a"), 20)
    latchkey.text("store", "copy", lmdb("a"), lmdb("b"))
    latchkey.text("store", "copy", lmdb("b"), lmdb("c"))
    marks = {name: re.findall("c family /(copied|sent)-", tool("dump", lmdb(name))) for name in "abc"}
    assert marks == {"a": ["sent"], "b": ["copied", "sent"], "c": ["copied"]}


def test_killed_copy_goes_on_when_it_is_run_again(latchkey, lmdb):
    fill(lmdb("a"), 2000)
    words = [str(COMMAND), "store", "copy", lmdb("a"), lmdb("b"), "--rate", "1500/s"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    time.sleep(0.8)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    half = len(sessions(lmdb("b")))
    assert 0 < half < 2000
    answer = latchkey.json("store", "copy", lmdb("a"), lmdb("b"))
    assert answer["copied"] == 2000 - half and answer["there_before"] == half
    assert dump(lmdb("b")) == dump(lmdb("a"))


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_in_order_and_says_how_to_go_on(latchkey, lmdb, sig):
    fill(lmdb("a"), 2000)
    process = subprocess.Popen([str(COMMAND), "store", "copy", lmdb("a"), lmdb("b"), "--rate=1000"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(0.5)
    process.send_signal(sig)
    said = process.communicate(timeout=10)[1].decode()
    assert process.returncode == FAULT and "run the same command again" in said
    assert 0 < len(sessions(lmdb("b"))) < 2000


def test_progress_is_told_on_a_signal_and_not_drawn_without_a_terminal(lmdb):
    fill(lmdb("a"), 1500)
    process = subprocess.Popen([str(COMMAND), "store", "copy", lmdb("a"), lmdb("b"), "--rate=1000"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.7)
    process.send_signal(signal.SIGUSR1)
    out, said = process.communicate(timeout=30)
    assert process.returncode == YES and b"1,500 sessions" in out
    assert b"copying: " in said and b"of 1,530" in said and b"\r" not in said


def test_progress_is_drawn_on_a_terminal_and_taken_away(lmdb):
    fill(lmdb("a"), 1500)
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(COMMAND, [str(COMMAND), "store", "copy", lmdb("a"), lmdb("b"), "--rate=1500"])
    shown = b""
    try:
        while data := os.read(fd, 1000):
            shown += data
    except OSError:
        pass
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == YES
    assert b"copying [#" in shown and b"/s" in shown and b"%" in shown and b" left" in shown
    assert shown.rfind(b"\r\x1b[K") > shown.rfind(b"%")


def test_copy_takes_as_long_as_its_rate_says(latchkey, lmdb):
    fill(lmdb("a"), 1020)
    assert latchkey.json("store", "copy", lmdb("a"), lmdb("b"), "--rate", "1000/s")["took_ms"] >= 1000


def test_full_store_is_a_no_and_goes_on_when_it_has_room(latchkey, tmp_path, lmdb):
    fill(lmdb("a"), 3000)
    small = f"lmdb:{tmp_path}/b?map=1m"
    assert "no more room" in latchkey.error("store", "copy", lmdb("a"), small, code=NO)
    answer = latchkey.json("store", "copy", lmdb("a"), f"lmdb:{tmp_path}/b?map=100m")
    assert answer["there_before"] > 0
    assert dump(lmdb("b")) == dump(lmdb("a"))


@pytest.mark.parametrize("words", [
    ["store", "copy"], ["store", "copy", "lmdb:/a"], ["store", "copy", "lmdb:/a", "lmdb:/a"], ["store", "copy", "what", "lmdb:/a"],
    ["store", "copy", "lmdb:/a", "lmdb:/b", "--rate", "0"], ["store", "copy", "lmdb:/a", "lmdb:/b", "--rate", "fast"],
    ["store", "copy", "lmdb:/a", "lmdb:/b", "--lanes", "0"], ["store", "copy", "env:NOT_SET", "lmdb:/b"],
])
def test_wrong_usage_exits_with_2(latchkey, words):
    latchkey.error(*words, code=WRONG)


def test_one_store_under_two_names_is_refused(latchkey, tmp_path, lmdb):
    fill(lmdb("a"), 5)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert "same store" in latchkey.error("store", "copy", lmdb("a"), lmdb("link"), code=WRONG)


def test_memory_is_the_table_of_the_settings(tmp_path, lmdb):
    latchkey = Latchkey(tmp_path, latchkey_store="memory:", latchkey_memory=f"{tmp_path}/nowhere size=4m")
    assert "no gateway" in latchkey.error("store", "copy", "memory:", lmdb("b"), code=FAULT)


def test_gateway_is_moved_to_another_store_and_people_stay_in(tmp_path, lmdb):
    first = Gateway(tmp_path / "g", "--store", "memory:")
    try:
        browser, other = first.browser(), first.browser()
        browser.register()
        browser.login()
        other.login()
        answer = first.command().json("store", "copy", "memory:", lmdb("b"))
        assert answer["copied"] == len(sessions(lmdb("b"))) >= 2
        other.send("POST", "/auth/logout", {})
        assert first.command().json("store", "copy", "memory:", lmdb("b"))["ended"] >= 1
    finally:
        first.stop()
        first.forget()
    second = Gateway(tmp_path / "g", "--store", lmdb("b"))
    try:
        for was, is_known in ((browser, True), (other, False)):
            now = second.browser()
            now.cookies = was.cookies
            assert now.is_known() == is_known
    finally:
        second.stop()
        second.forget()
