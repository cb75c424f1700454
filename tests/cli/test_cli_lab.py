# SPDX-License-Identifier: Apache-2.0
"""latchkey lab: a short real run - its figures make sense, its page stands alone, and nothing is left of it."""
import html.parser
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import COMMAND, FAULT, WRONG, YES
from gateway import processes_below

USERS = 20
MEMBERS = ("way", "requests_per_s", "p50_ms", "p99_ms", "bytes_per_request", "server_bytes_per_user",
           "store_bytes_per_user", "store_ops_per_request", "load_spread", "logins_lost", "requests_failed",
           "revocation_ms", "store_down")
WAYS = {"sealed_cookie", "affinity", "database", "replication", "central", "token"}
VOID = {"meta", "link", "br", "hr", "img", "input"}


def start(folder, *words, **env):
    """The lab in a session of its own, with its temporary directory in FOLDER."""
    return subprocess.Popen([str(COMMAND), "lab", *map(str, words)], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, "TMPDIR": str(folder), **env})


def run(folder, *words, **env):
    process = start(folder, *words, **env)
    out, err = process.communicate(timeout=120)
    return process, out.decode(), err.decode()


def of_session(leader):
    """Processes that were started by the session of LEADER and are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def left_behind(process, folder):
    """Processes, directories and memory that a lab left."""
    memory = [path for path in Path("/dev/shm").glob("latchkey-lab-*") if path.stat().st_mtime >= folder.stat().st_ctime - 60
              and not processes_of(path)]
    return of_session(process.pid) + processes_below(folder) + list(folder.glob("latchkey-lab-*")) + memory


def processes_of(memory):
    """Another lab may be running on this machine: whoever has a file of MEMORY mapped."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(memory) in (entry / "maps").read_text():
                    return True
            except OSError:
                continue
    return False


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """One run of two ways: what came out of it."""
    folder = tmp_path_factory.mktemp("lab")
    process, out, err = run(folder, "--ways", "central,affinity", "--seconds", 2, "--users", USERS, "--json",
                            "--html", folder / "page.html")
    assert process.returncode == YES, (out, err)
    return process, folder, json.loads(out), (folder / "page.html").read_text()


def way(short, name):
    return next(row for row in short[2]["ways"] if row["way"] == name)


def test_document_has_a_row_for_each_way_in_the_order_asked_for(short):
    document = short[2]
    assert [row["way"] for row in document["ways"]] == ["central", "affinity"]
    assert document["users"] == USERS and document["variants"] == []
    for row in document["ways"]:
        assert set(MEMBERS) <= set(row)
        for member in MEMBERS[1:-1]:
            assert isinstance(row[member], (int, float)) and row[member] >= 0, member
        assert isinstance(row["store_down"], str) and row["store_down"]


def test_figures_of_a_run_agree_with_each_other(short):
    for row in short[2]["ways"]:
        assert row["logins"] == USERS
        assert row["requests"] > 400 and row["requests_per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert 1 <= row["load_spread"] <= 3
        assert row["logins_lost"] <= USERS
        assert row["bytes_per_request"] > len("Cookie: latchkey=") + 43
        assert row["requests_failed"] < row["requests"]


def test_death_of_a_node_logs_out_those_whom_only_it_knew(short):
    assert 0 < way(short, "affinity")["logins_lost"] < USERS
    assert way(short, "central")["logins_lost"] == 0


def test_death_of_the_store_is_noticed_and_logs_nobody_out(short):
    central = way(short, "central")
    assert central["store_down_parts"]["logins"] < 0.5 and "logins" not in central["store_down"].replace(" (", "(").split(", ")
    assert central["logins_lost_with_store"] == 0
    assert way(short, "affinity")["store_down"] == "no store to lose"


def test_what_is_kept_is_kept_where_the_way_says(short):
    central, affinity = way(short, "central"), way(short, "affinity")
    assert central["store_bytes_per_user"] > 100 and central["server_bytes_per_user"] > 100
    assert affinity["store_bytes_per_user"] == 0 and affinity["server_bytes_per_user"] > 100
    assert affinity["bytes_per_request"] > central["bytes_per_request"]  # the cookie that names the node
    assert central["revoked_on"] == "one node" and affinity["revoked_on"] == "each node"


def test_nothing_of_a_run_is_left(short):
    assert left_behind(short[0], short[1]) == []


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.languages, self.references = [], set(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        fields = dict(attrs)
        self.seen.add(tag)
        if tag == "section":
            self.languages.append(fields["lang"])
        self.references += [fields[name] for name in ("src", "href", "data", "action", "xlink:href") if fields.get(name)]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        # These may be left open in HTML; the page closes all others in their order.
        assert self.open and self.open.pop() == tag, (tag, self.getpos())


def test_page_is_whole_and_fetches_nothing(short):
    text = short[3]
    page = Page(text)
    assert text.startswith("<!doctype html>") and page.open == []
    assert page.languages == ["en", "zh-CN"]
    assert {"svg", "table", "style", "title"} <= page.seen and "script" not in page.seen
    assert all(reference.startswith("#") for reference in page.references), page.references
    assert not re.search(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme:dark" in text


def test_page_says_what_the_figures_say(short):
    text = short[3]
    lost = way(short, "affinity")["logins_lost"]
    assert f"{lost} of {USERS} logins lost" in text and f"0 of {USERS} logins lost" in text
    assert "each node has to be told" in text and "no store to lose" in text
    assert not {"nan", "inf", "-nan", "-inf"} & set(re.findall(r"[-\w.]+", text))


def test_interrupted_lab_ends_at_once_and_leaves_nothing(tmp_path):
    process = start(tmp_path, "--ways", "replication", "--seconds", 600, "--users", 10)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("latchkey-lab-*/replication-balancer/nginx.pid")):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == FAULT, err
    assert b"nothing was left behind" in err
    assert left_behind(process, tmp_path) == []
    assert not (tmp_path / "lab.html").exists()


def test_missing_server_is_named_with_its_package(tmp_path):
    process, _, err = run(tmp_path, "--ways", "affinity,central", PATH="/nonexistent")
    assert process.returncode == FAULT
    assert "redis-server" in err and "apt-get install" in err and "--ways" in err
    assert left_behind(process, tmp_path) == []


@pytest.mark.parametrize("words, said", [
    (("--ways", "centrall"), "there is no way 'centrall'"),
    (("--ways", ""), "names none"),
    (("--ways", "central,central"), "twice"),
    (("--seconds", "1"), "--seconds"),
    (("--users", "9"), "--users"),
    (("--rate", "0"), "--rate"),
    (("--nginx", "/nonexistent"), "--nginx"),
])
def test_what_makes_no_sense_is_refused_before_anything_is_started(tmp_path, words, said):
    process, _, err = run(tmp_path, *words)
    assert process.returncode == WRONG and said in err, err
    assert list(tmp_path.iterdir()) == []


def test_all_six_ways_are_known(tmp_path):
    _, _, err = run(tmp_path, "--ways", "none")
    assert all(name in err for name in WAYS)
