# SPDX-License-Identifier: Apache-2.0
"""latchkey_replica: every gateway reads from a full copy near it, which may be behind or away."""
import time

import pytest

from gateway_lab import Client, wait_until
from store_lab import Background, Storm, Visitors, get, nodes, servers

EVERY = "life=0s"
FORM = "Sec-Fetch-Site: same-origin\r\n"


class Pair:
    """A store with a copy: `url` is written to, `replica_url` is read from."""

    def __init__(self, kind):
        self.kind = kind
        self.server = servers.PostgresPair() if kind == "postgres" else servers.RedisSentinel()
        self.url = self.server.url
        if kind == "postgres":
            self.replica, self.primary = self.server.replica, self.server.primary
        else:
            self.replica, self.primary = self.server.replicas[0], self.server.primary
        self.replica_url = self.replica.url()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.server.__exit__(*failure)


@pytest.fixture(scope="module", params=["redis", "postgres"])
def pair(request):
    with Pair(request.param) as p:
        yield p


def make(gateways, tmp_path, pair, n=2, **kw):
    return nodes(gateways, tmp_path, pair.url, n, settings={"latchkey_replica": f'"{pair.replica_url}?deadline=1s"'}, **kw)


def test_gateways_that_read_from_a_copy_tell_the_same_of_everybody(gateways, tmp_path, pair):
    made = make(gateways, tmp_path, pair, near=EVERY)
    visitors = Visitors(made[0], users=5, anonymous=60)
    storm = Storm([g.port for g in made], visitors.told).run(requests=60)
    assert storm.wrong == [] and storm.lost == 0 and storm.unknown == 0


def test_a_fresh_login_is_known_everywhere_at_once_however_far_behind_the_copy_is(gateways, tmp_path, pair):
    made = make(gateways, tmp_path, pair)
    visitors = Visitors(made[0])
    visitors.log_in(made[0], "alice")
    for i in range(10):
        cookie = visitors.log_in(made[i % 2], "alice", register=False)
        assert get(made[(i + 1) % 2], "/echo/", cookie).text == visitors.told[cookie]


def test_a_logout_holds_on_every_gateway(gateways, tmp_path, pair):
    made = make(gateways, tmp_path, pair)
    visitors = Visitors(made[0])
    visitors.log_in(made[0], "alice")
    times = []
    for i in range(8):
        cookie = visitors.log_in(made[i % 2], "alice", register=False)
        assert all(get(g, "/echo/", cookie).status == 200 for g in made)
        begun = time.monotonic()
        assert get(made[i % 2], "/auth/logout", cookie, method="POST", headers=FORM).status == 204
        assert get(made[i % 2], "/echo/", cookie).status == 401, "at once where it was said"
        wait_until(lambda: get(made[(i + 1) % 2], "/echo/", cookie).status == 401, 30, "the end of the session")
        times.append(time.monotonic() - begun)
        assert all(get(g, "/echo/", cookie).status == 401 for g in made)
    assert sorted(times)[4] < 1, times


def test_a_copy_that_dies_or_hangs_is_done_without(gateways, tmp_path, pair):
    made = make(gateways, tmp_path, pair, near=EVERY)
    visitors = Visitors(made[0], users=2, anonymous=30)
    cookie = visitors.users["user0"]

    def are_back():
        return all(get(g, "/echo/", cookie).status == 200 for g in made for _ in range(10))

    with Background(Storm([g.port for g in made], visitors.told, connections=8), 600) as storm:
        try:
            pair.replica.freeze()
            time.sleep(0.5)
            wait_until(are_back, 30, "answers of the primary")
            pair.replica.thaw()
            wait_until(are_back, 30, "answers")
            pair.replica.kill()
            wait_until(are_back, 30, "answers of the primary")
            fresh = visitors.log_in(made[1], "user0", register=False)
            assert get(made[0], "/echo/", fresh).status == 200
        finally:
            pair.replica.thaw()
            if not pair.replica.is_running:
                pair.replica.start()
            storm.stop()
    assert storm.wrong == [] and storm.lost == 0
    wait_until(are_back, 30, "answers of the copy")


@pytest.mark.parametrize("pair", ["postgres"], indirect=True)  # sentinels would elect another primary
def test_a_primary_that_hangs_logs_nobody_out(gateways, tmp_path, pair):
    made = make(gateways, tmp_path, pair, near=EVERY,
                locations="location /serve/ { latchkey required; latchkey_revocation_lag 1s serve; @up; }")
    visitors = Visitors(made[0], users=1)
    cookie = visitors.users["user0"]
    wait_until(lambda: get(made[0], "/serve/", cookie).status == 200, 30, "the copy to have it")
    pair.primary.freeze()
    try:
        wait_until(lambda: get(made[0], "/echo/", cookie).status == 503, 20, "a view that is too old")
        for gateway in made:
            answer = get(gateway, "/serve/", cookie)
            assert answer.status == 200 and answer.text == visitors.told[cookie], "the copy has it"
            answer = get(gateway, "/echo/", cookie)
            assert answer.status == 503 and answer.get("Set-Cookie") is None
            login = Client(gateway.port).login("user0")
            assert login.status == 503
    finally:
        pair.primary.thaw()
    wait_until(lambda: all(get(g, "/echo/", cookie).status == 200 for g in made for _ in range(10)), 20, "answers")
