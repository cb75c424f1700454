# SPDX-License-Identifier: Apache-2.0
"""Reloads, kills and crowds: nobody is logged out whom nobody logged out, nobody stays in who was put out."""
import base64
import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from gateway_lab import COMMAND, COOKIE, Client, raw, wait_until

OPEN = {"latchkey_throttle": "account=1000000/15m address=1000000/15m"}
REQUIRED = "location /required/ { latchkey required; } location /anonymous/ { latchkey optional anonymous; }"


def make(gateways, **kw):
    gateway = gateways(server=REQUIRED, settings=OPEN, **kw)
    for name in ("required", "anonymous"):
        (gateway.folder / "www" / name).mkdir()
        (gateway.folder / "www" / name / "page").write_text("inside")
    return gateway.start()


def is_inside(gateway, cookie):
    answer = raw(gateway.port, f"GET /required/page HTTP/1.0\r\nCookie: {COOKIE}={cookie}\r\n\r\n", timeout=30)
    assert answer.status in (200, 401), answer
    return answer.status == 200


class Crowd:
    """Threads that repeat a step until told to stop; the first exception of one is raised at the end."""

    def __init__(self, steps):
        self.stop = threading.Event()
        self.failed = []
        self.threads = [threading.Thread(target=self.run, args=(step,)) for step in steps]

    def run(self, step):
        try:
            while not self.stop.is_set():
                step()
        except BaseException as e:  # shown by __exit__
            self.failed.append(e)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop.set()
        for t in self.threads:
            t.join()
        if self.failed and kind is None:
            raise self.failed[0]


@pytest.mark.parametrize("store", ["lmdb", "memory"])
def test_twenty_reloads_under_load_log_nobody_out_and_fail_no_request(gateways, store):
    gateway = make(gateways, store=store)
    visitors = []
    for i in range(4):
        visitor = Client(gateway.port, keep=False)
        assert visitor.register(f"user{i}").status == 201
        assert visitor.login(f"user{i}").status == 200
        visitors.append(visitor)
    done = {"checks": 0, "logins": 0, "strangers": 0}

    def check(visitor):
        def step():
            answer = visitor.get("/required/page")
            assert answer.status == 200 and answer.text == "inside", answer
            done["checks"] += 1
        return step

    def login():
        visitor = Client(gateway.port, keep=False)
        assert visitor.login("user0").status == 200
        assert is_inside(gateway, visitor.cookies[COOKIE])
        assert visitor.post("/auth/logout").status == 204
        done["logins"] += 1

    def stranger():
        assert not is_inside(gateway, "A" * 43)
        answer = Client(gateway.port, keep=False).get("/anonymous/page", headers={"Accept": "text/html"})
        assert answer.status == 200 and answer.get("Set-Cookie")
        done["strangers"] += 1

    with Crowd([check(v) for v in visitors] + [login, login, stranger]) as crowd:
        reloads = 0
        # at least twenty, and on a slow machine as many as it takes for each kind of visitor to meet some
        while reloads < 20 or (reloads < 100 and min(done.values()) < 20):
            old = set(gateway.children())
            gateway.reload()
            wait_until(lambda: len(set(gateway.children()) - old) >= gateway.workers, 30, "new workers")
            time.sleep(0.05)
            reloads += 1
            assert not crowd.failed, crowd.failed[0]
    assert min(done.values()) > 0, done
    wait_until(lambda: len(gateway.children()) == gateway.workers, 60, "the end of the old workers")


def test_a_reload_reads_new_keys_and_keeps_old_tokens(gateways):
    gateway = make(gateways)
    program = Client(gateway.port, keep=False)
    program.register("alice")
    assert program.login("alice", credential="jwt", carrier="header").status == 200
    old = program.token
    run = subprocess.run([str(COMMAND), "key", "rotate", "--conf", f"{gateway.folder}/latchkey.conf", "--alg", "EdDSA", "--now"],
                         env=gateway.env, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    workers = set(gateway.children())
    gateway.reload()
    wait_until(lambda: not workers & set(gateway.children()) and gateway.children(), 30, "new workers")

    def kid(token):
        head = token.split(".")[0]
        return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]

    assert program.login("alice", credential="jwt", carrier="header").status == 200
    assert kid(program.token) != kid(old)
    for token in (old, program.token):
        program.token = token
        assert program.get("/required/page").status == 200


@pytest.mark.parametrize("store", ["lmdb", "memory"])
def test_killed_workers_log_nobody_out(gateways, store):
    """A worker may die between any two instructions, holding whatever lock it holds."""
    gateway = make(gateways, store=store)
    gateway.expected_faults = ["exited on signal 9", "open socket #"]
    visitor = Client(gateway.port, keep=False)
    visitor.register("alice")
    assert visitor.login("alice").status == 200
    cookie = visitor.cookies[COOKIE]
    logins = []

    def patiently(step):
        def run():
            try:
                step()
            except (OSError, http.client.HTTPException, ValueError):
                pass  # the connection died with its worker
        return run

    def check():
        assert is_inside(gateway, cookie)

    def login():
        client = Client(gateway.port, keep=False)
        if client.login("alice").status == 200:
            logins.append(client.cookies[COOKIE])

    with Crowd([patiently(check), patiently(check), patiently(login), patiently(login)]) as crowd:
        for i in range(60):
            if i >= 15 and len(logins) >= 5:
                break
            time.sleep(random.random() * 0.2)
            os.kill(random.choice(wait_until(gateway.children, 30, "a worker")), signal.SIGKILL)
            assert not crowd.failed, crowd.failed[0]
    wait_until(lambda: len(gateway.children()) == gateway.workers, 30, "new workers")
    assert is_inside(gateway, cookie)
    assert logins
    assert [c for c in logins if not is_inside(gateway, c)] == []


def test_fifty_kills_of_the_whole_gateway_lose_no_login_and_undo_no_logout(gateways):
    """What was acknowledged holds: kill -9 of master and workers at a random moment of logins and logouts."""
    gateway = make(gateways)
    visitor = Client(gateway.port, keep=False)
    visitor.register("alice")
    lock = threading.Lock()
    inside, outside, told = set(), set(), []

    def come_and_go():
        client = Client(gateway.port, keep=False)
        if client.login("alice").status != 200:
            return
        cookie = client.cookies[COOKIE]
        with lock:
            inside.add(cookie)
            told.append("in")
        if random.random() < 0.6:
            with lock:
                inside.discard(cookie)  # from here until the answer either is right
            if client.request("POST", "/auth/logout", headers={"Cookie": f"{COOKIE}={cookie}"}).status == 204:
                with lock:
                    outside.add(cookie)
                    told.append("out")

    def step():
        try:
            come_and_go()
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.01)  # killed meanwhile

    checked = set()
    for i in range(150):
        if i >= 50 and len(inside) >= 50 and len(outside) >= 50:
            break  # fifty kills, and on a slow machine as many as it takes to have something to lose
        with Crowd([step, step, step]):
            time.sleep(0.05 + random.random() * 0.25)
            gateway.kill()
        gateway.start()
        for cookie in (inside | outside) - (checked if i % 10 else set()):
            assert is_inside(gateway, cookie) == (cookie in inside), f"after kill {i + 1}"
            checked.add(cookie)
    assert inside and outside
    for cookie in inside | outside:
        assert is_inside(gateway, cookie) == (cookie in inside)


def test_two_thousand_parallel_changes_of_session_data_are_all_kept(gateways):
    gateway = make(gateways)
    visitor = Client(gateway.port)
    visitor.register("alice")
    assert visitor.login("alice").status == 200
    fields, rounds, crowd = 40, 50, 10
    failures = []

    def change(mine):
        client = Client(gateway.port)
        client.cookies = dict(visitor.cookies)
        for n in range(1, rounds + 1):
            for field in mine:
                answer = client.request("PATCH", "/auth/session/data", json_body={field: n},
                                        headers={"Sec-Fetch-Site": "same-origin"})
                if answer.status != 200:
                    failures.append(answer)

    names = [f"field{i}" for i in range(fields)]
    threads = [threading.Thread(target=change, args=(names[i::crowd],)) for i in range(crowd)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
    data = visitor.get("/auth/session/data")
    assert data.json == {name: rounds for name in names}


def test_a_logout_everywhere_reaches_every_worker_at_once(gateways):
    gateway = make(gateways, workers=4)
    visitors = [Client(gateway.port, keep=False) for _ in range(6)]
    visitors[0].register("alice")
    for visitor in visitors:
        assert visitor.login("alice").status == 200
    program = Client(gateway.port, keep=False)
    program.login("alice", credential="jwt", carrier="header")
    assert program.get("/required/page").status == 200
    assert visitors[0].request("POST", "/auth/logout?everywhere=1").status == 204
    for _ in range(10):
        for visitor in visitors[1:]:
            assert not is_inside(gateway, visitor.cookies[COOKIE])
        assert program.get("/required/page", headers={}).status == 401


def test_a_full_store_refuses_new_logins_and_goes_on_with_the_old_ones(gateways):
    gateway = gateways(server=REQUIRED, settings=OPEN)
    gateway.settings["latchkey_store"] += "?map=1m"
    gateway.write()
    (gateway.folder / "www/required").mkdir()
    (gateway.folder / "www/required/page").write_text("inside")
    gateway.start()
    first = Client(gateway.port, keep=False)
    assert first.register("alice").status == 201
    assert first.login("alice").status == 200
    inside = []
    for _ in range(300):
        client = Client(gateway.port, keep=False)
        answer = client.login("alice")
        if answer.status != 200:
            break
        inside.append(client.cookies[COOKIE])
        client.request("PATCH", "/auth/session/data", json_body={f"field{i}": "x" * 1000 for i in range(15)},
                       headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 503 and answer.get("Retry-After") and answer.get("Set-Cookie") is None
    assert len(inside) > 10
    assert all(is_inside(gateway, cookie) for cookie in inside)
    assert first.get("/required/page").text == "inside"
    # and who leaves makes room
    for cookie in inside[:10]:
        leave = Client(gateway.port, keep=False).request("POST", "/auth/logout", headers={"Cookie": f"{COOKIE}={cookie}"})
        assert leave.status == 204
        assert not is_inside(gateway, cookie)
    wait_until(lambda: Client(gateway.port, keep=False).login("alice").status == 200, 30, "a login with room again")
