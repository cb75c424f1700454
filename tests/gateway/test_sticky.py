# SPDX-License-Identifier: Apache-2.0
"""latchkey_sticky: a visitor stays with one server, and loses it only when the server is lost."""
import os
import re
from collections import Counter

import pytest

from gateway_lab import Application, Client, wait_until

COOKIE = "latchkey-node"


@pytest.fixture
def servers():
    made = [Application() for _ in range(3)]
    yield made
    for app in made:
        try:
            app.close()
        except OSError:
            pass


def lines(apps, more=None):
    return "\n".join(f"server 127.0.0.1:{a.port} {(more or {}).get(i, '')};" for i, a in enumerate(apps))


def balancer(gateways, apps, options="", more=None, upstream="", **kw):
    """A gateway that balances over APPS at /app/; MORE has options of single servers by their number."""
    kw.setdefault("http", f"upstream app {{ {upstream} {lines(apps, more)} latchkey_sticky {options}; }}")
    kw.setdefault("server", "location /app/ { proxy_pass http://app; proxy_connect_timeout 1s; }")
    return gateways(**kw).start()


def ask(client, path="/app/"):
    answer = client.get(path)
    assert answer.status == 200, answer
    return answer.json["port"]


def visit(gateway, n, keep=False):
    """N visitors of one request each: by their cookies, the server each was given."""
    found = []
    for _ in range(n):
        client = Client(gateway.port, keep=keep)
        found.append((client, ask(client)))
    return found


def stop(app):
    """The server is gone: connections to it are refused."""
    app.close()


def reload(gateway):
    """New settings, and no worker is left that goes by the old ones."""
    old = set(gateway.children())
    gateway.write()
    gateway.reload()
    wait_until(lambda: gateway.children() and not old & set(gateway.children()), 30, "the end of the old workers")


def test_visitor_stays_with_the_server_of_the_first_answer(gateways, servers):
    gateway = balancer(gateways, servers)
    for client, port in visit(gateway, 12):
        assert [ask(client) for _ in range(5)] == [port] * 5


def test_cookie_is_given_once_and_not_again_while_it_holds(gateways, servers):
    gateway = balancer(gateways, servers)
    client = Client(gateway.port)
    first = client.get("/app/")
    assert len([c for c in first.all("Set-Cookie") if c.startswith(COOKIE)]) == 1
    assert not client.get("/app/").all("Set-Cookie")


@pytest.mark.parametrize("workers, zone", [(1, ""), (2, "zone app 64k;")])
def test_new_visitors_are_spread_by_weight(gateways, servers, workers, zone):
    """Workers that share no zone take turns each for itself, so their sum may be one off."""
    gateway = balancer(gateways, servers, more={0: "weight=3"}, upstream=zone, workers=workers)
    given = Counter(port for _, port in visit(gateway, 100))
    assert given[servers[0].port] == 60
    assert given[servers[1].port] == given[servers[2].port] == 20


def test_cookie_says_nothing_of_the_address_and_two_keys_give_two_names(gateways, servers):
    values = set()
    for _ in range(2):
        gateway = balancer(gateways, servers[:2])
        for client, port in visit(gateway, 8):
            value = client.cookies[COOKIE]
            assert re.fullmatch(r"[A-Za-z0-9_-]{24}", value)
            assert str(port) not in value
            values.add((port, value[8:]))
        gateway.stop()
    assert len(values) == 4


@pytest.mark.parametrize("forged", ["", "x", "A" * 23, "A" * 24, "A" * 25, "A" * 4000, "!" * 24, "\"" + "A" * 22 + "\"", "0",
                                    "127.0.0.1:80", "%00" * 8])
def test_forged_cookie_is_a_new_choice_and_never_an_error(gateways, servers, forged):
    gateway = balancer(gateways, servers)
    client = Client(gateway.port)
    client.cookies[COOKIE] = forged
    port = ask(client)
    assert client.cookies[COOKIE] != forged
    assert ask(client) == port


def test_two_different_cookies_of_the_name_are_a_new_choice(gateways, servers):
    gateway = balancer(gateways, servers)
    (one, _), (two, _) = visit(gateway, 2)
    both = f"{COOKIE}={one.cookies[COOKIE]}; {COOKIE}={two.cookies[COOKIE]}"
    answer = Client(gateway.port).get("/app/", headers={"Cookie": both})
    assert answer.status == 200
    assert answer.all("Set-Cookie")


def test_dead_server_is_replaced_and_the_cookie_written_anew(gateways, servers):
    gateway = balancer(gateways, servers, workers=1)  # so that each server has a third of them, exactly
    visitors = visit(gateway, 45)
    before = {id(c): c.cookies[COOKIE] for c, _ in visitors}
    dead = servers[1]
    stop(dead)
    moved = Counter()
    for client, port in visitors:
        now = ask(client)
        if port == dead.port:
            assert now != port
            assert client.cookies[COOKIE] != before[id(client)]
            assert client.cookies[COOKIE][:8] == before[id(client)][:8]
            moved[now] += 1
        else:
            assert now == port
            assert client.cookies[COOKIE] == before[id(client)]
        assert ask(client) == now
    # They spread over the servers that are left; all on one would be 1 in 2**14.
    assert sum(moved.values()) == 15
    assert len(moved) == 2


def test_visitor_of_a_dead_server_always_gets_the_same_other_one(gateways, servers):
    gateway = balancer(gateways, servers)
    visitors = [(c, c.cookies[COOKIE]) for c, port in visit(gateway, 30) if port == servers[0].port]
    stop(servers[0])
    for client, cookie in visitors:
        given = set()
        for _ in range(4):
            client.cookies[COOKIE] = cookie
            given.add(ask(client))
        assert len(given) == 1


def test_server_that_is_down_takes_nobody_and_its_visitors_move(gateways, servers):
    gateway = balancer(gateways, servers)
    visitors = visit(gateway, 15)
    gateway.http = gateway.http.replace(f"{servers[2].port} ;", f"{servers[2].port} down;")
    reload(gateway)
    assert servers[2].port not in {port for _, port in visit(gateway, 12)}
    for client, port in visitors:
        now = ask(client)
        assert now != servers[2].port
        assert now == port or port == servers[2].port


def test_server_that_failed_too_often_is_not_tried_again_before_its_time(gateways, servers):
    gateway = balancer(gateways, servers, more={0: "max_fails=1 fail_timeout=60s"}, workers=1)
    visitors = [c for c, port in visit(gateway, 12) if port == servers[0].port]
    stop(servers[0])
    ask(visitors[0])
    errors = gateway.log().count("connect() failed")
    assert errors == 1
    for client in visitors[1:]:
        ask(client)
    assert gateway.log().count("connect() failed") == errors


def test_backup_has_its_turn_when_all_others_are_gone(gateways, servers):
    gateway = balancer(gateways, servers, more={2: "backup"})
    visitors = visit(gateway, 10)
    assert servers[2].port not in {port for _, port in visitors}
    stop(servers[0])
    stop(servers[1])
    for client, _ in visitors:
        assert ask(client) == servers[2].port
        assert ask(client) == servers[2].port


def test_new_server_takes_new_visitors_only(gateways, servers):
    gateway = balancer(gateways, servers[:2])
    visitors = visit(gateway, 20)
    gateway.http = f"upstream app {{ {lines(servers)} latchkey_sticky; }}"
    reload(gateway)
    assert servers[2].port in {port for _, port in visit(gateway, 8)}  # four of one worker at least
    for client, port in visitors:
        cookie = client.cookies[COOKIE]
        assert ask(client) == port
        assert client.cookies[COOKIE] == cookie


def test_restart_and_several_workers_know_the_same_names(gateways, servers):
    gateway = balancer(gateways, servers, workers=3)
    visitors = visit(gateway, 12)
    gateway.stop()
    gateway.start()
    for client, port in visitors:
        assert ask(client) == port


def test_servers_in_a_shared_zone_and_with_keepalive(gateways, servers):
    apps = lines(servers)
    gateway = balancer(gateways, servers, http=f"upstream app {{ zone app 64k; {apps} latchkey_sticky; keepalive 8; }}",
                       server="location /app/ { proxy_pass http://app; proxy_http_version 1.1; "
                              "proxy_set_header Connection ''; }")
    for client, port in visit(gateway, 9):
        assert [ask(client) for _ in range(4)] == [port] * 4


KEPT = "proxy_http_version 1.1; proxy_set_header Connection '';"


def kept(gateways, apps, more=None):
    """A balancer that keeps connections to APPS, one of which has failed after one failure, for a minute."""
    fails = {i: f"max_fails=1 fail_timeout=60s {(more or {}).get(i, '')}" for i in range(len(apps))}
    return balancer(gateways, apps, workers=1,
                    http=f"upstream app {{ zone app 64k; {lines(apps, fails)} latchkey_sticky; keepalive 16; }}",
                    server=f"location /app/ {{ proxy_pass http://app; {KEPT} }}")


def test_kept_connection_that_was_closed_loses_nobody_his_server(gateways, servers):
    """A server that is reloaded closes what it kept, and a request may just be on its way there."""
    gateway = kept(gateways, servers)
    visitors = visit(gateway, 9)
    for app in servers:
        app.hangs_up = True
    for _ in range(4):
        for client, port in visitors:
            answer = client.get("/app/")
            assert (answer.status, answer.json["port"]) == (200, port)
            assert not answer.all("Set-Cookie")


def test_post_that_met_a_closed_connection_is_not_sent_again_and_keeps_its_server(gateways, servers):
    """Nobody knows whether it was done; what is known is that the server lives."""
    gateway = kept(gateways, servers)
    visitors = visit(gateway, 9)
    for app in servers:
        app.hangs_up = True
    for client, port in visitors:
        assert client.post("/app/", {"one": 1}).status in (200, 502)  # as the kept connection was free
        assert ask(client) == port
    assert {client.post("/app/", {"one": 1}).status for client, _ in visitors} >= {502}


def test_kept_connection_to_a_server_that_died_leads_to_another(gateways, servers):
    gateway = kept(gateways, servers)
    visitors = visit(gateway, 9)
    dead = servers[1]
    dead.hangs_up = True
    stop(dead)
    for client, port in visitors:
        for _ in range(3):
            now = ask(client)
            assert now == port if port != dead.port else now != port


def test_cookie_has_the_attributes_that_were_asked_for(gateways, servers):
    gateway = balancer(gateways, servers, "cookie=stay path=/app/ domain=example.com secure=on")
    value = Client(gateway.port).get("/app/").get("Set-Cookie")
    assert re.fullmatch(r"stay=[\w-]{24}; Path=/app/; Domain=example\.com; Secure; HttpOnly; SameSite=Lax", value)


def test_cookie_is_not_secure_on_plain_http_and_is_behind_a_tls_proxy(gateways, servers):
    plain = balancer(gateways, servers)
    assert "Secure" not in Client(plain.port).get("/app/").get("Set-Cookie")
    behind = balancer(gateways, servers, settings={"latchkey_tls_proxy": "on"})
    assert "; Secure;" in Client(behind.port).get("/app/").get("Set-Cookie")


@pytest.mark.parametrize("option", ["cookie=", "cookie=a;b", "path=app", "secure=maybe", "domain=", "state=", "what=1"])
def test_option_that_is_wrong_is_refused_with_what_there_is(gateways, servers, option):
    gateway = gateways(http=f'upstream app {{ {lines(servers)} latchkey_sticky "{option}"; }}')
    run = gateway.test()
    assert run.returncode != 0
    assert "latchkey_sticky takes cookie=NAME" in run.stderr


def test_balancer_alone_needs_keys_and_no_store(tmp_path, gateways, servers):
    """In front of other gateways there is nothing to remember: no latchkey location, no store, no accounts."""
    gateway = gateways(http=f"upstream app {{ {lines(servers)} latchkey_sticky; }}",
                       settings={"latchkey_store": None, "latchkey_accounts": None, "latchkey_memory": None,
                                 "latchkey_audit": None})
    conf = gateway.folder / "nginx.conf"
    text = conf.read_text()
    text = re.sub(r"location /auth/.*", "location /auth/ { return 200; }", text)
    text = re.sub(r"location = /.well-known.*", "location /app/ { proxy_pass http://app; }", text)
    text = re.sub(r"log_format gate.*?;\n", "", text, flags=re.S).replace("access.log gate", "access.log")
    conf.write_text(text)
    gateway.start()
    for client, port in visit(gateway, 6):
        assert [ask(client) for _ in range(3)] == [port] * 3
    assert sorted(p.name for p in gateway.folder.iterdir()) == ["keys", "latchkey.conf", "logs", "nginx.conf", "nginx.pid",
                                                              "tmp", "www"]


# ---- the state file: servers that are being drained ----

class State:
    """The state file of a balancer; nodes are called a, b, c in the order of the servers."""

    def __init__(self, folder, apps):
        self.path = folder / "nodes.state"
        self.apps = apps
        self.gateway = None
        self.times = 0

    def write(self, *states, text=None, rename=True):
        lines_ = [f"{name} 127.0.0.1:{app.port} {state}\n" for name, app, state in zip("abc", self.apps, states)]
        into = self.path.with_suffix(".new") if rename else self.path
        into.write_text(text if text is not None else "".join(lines_))
        if rename:
            os.replace(into, self.path)
        return self

    def change(self, *states, **kw):
        """Write, and wait until every worker has read it."""
        self.times += 1
        self.write(*states, **kw)
        wait_until(lambda: self.gateway.log().count("was read anew") == self.times * self.gateway.workers, 30,
                   "the reading of the state file")


def with_state(gateways, tmp_path, servers, *states, **kw):
    state = State(tmp_path, servers)
    if states:
        state.write(*states)
    kw.setdefault("workers", 1)
    state.gateway = balancer(gateways, servers, f"state={state.path}", **kw)
    return state.gateway, state


def test_draining_server_takes_nobody_new_and_its_visitors_go_to_the_named_one(gateways, tmp_path, servers):
    gateway, state = with_state(gateways, tmp_path, servers, "up", "up", "up")
    visitors = visit(gateway, 30)
    before = {id(c): c.cookies[COOKIE] for c, _ in visitors}
    state.change("up", "drain to c", "up")
    for client, port in visitors:
        now = ask(client)
        if port == servers[1].port:
            assert now == servers[2].port
            assert client.cookies[COOKIE] != before[id(client)]
            assert client.cookies[COOKIE][:8] == before[id(client)][:8]
        else:
            assert now == port
            assert client.cookies[COOKIE] == before[id(client)]
        assert ask(client) == now
    given = Counter(port for _, port in visit(gateway, 20))
    assert given == {servers[0].port: 10, servers[2].port: 10}


def test_visitors_of_a_draining_server_without_an_heir_spread_over_the_others(gateways, tmp_path, servers):
    gateway, state = with_state(gateways, tmp_path, servers, "up", "up", "up")
    visitors = visit(gateway, 45)
    state.change("drain", "up", "up")
    moved = Counter(ask(client) for client, port in visitors if port == servers[0].port)
    assert sum(moved.values()) == 15
    assert set(moved) == {servers[1].port, servers[2].port}  # all on one would be 1 in 2**14


def test_heir_that_is_dead_is_passed_over(gateways, tmp_path, servers):
    gateway, state = with_state(gateways, tmp_path, servers, "up", "up", "up")
    visitors = [client for client, port in visit(gateway, 12) if port == servers[1].port]
    state.change("up", "drain to c", "up")
    stop(servers[2])
    for client in visitors:
        assert ask(client) == servers[0].port
        assert ask(client) == servers[0].port


def test_server_that_is_up_again_takes_new_visitors_and_nobody_who_left(gateways, tmp_path, servers):
    gateway, state = with_state(gateways, tmp_path, servers, "up", "drain to c", "up")
    visitors = visit(gateway, 10)
    assert servers[1].port not in {port for _, port in visitors}
    state.change("up", "up", "up")
    for client, port in visitors:
        assert ask(client) == port
    assert Counter(port for _, port in visit(gateway, 30))[servers[1].port] == 10


def test_draining_server_for_backup_is_passed_over(gateways, tmp_path, servers):
    """Round robin forgets who was avoided when the servers for backup have their turn."""
    gateway, state = with_state(gateways, tmp_path, servers, "up", "drain", "up", more={1: "backup", 2: "backup"})
    visitors = visit(gateway, 4)
    stop(servers[0])
    for client, _ in visitors:
        assert ask(client) == servers[2].port
    for client, port in visit(gateway, 6):
        assert port == servers[2].port


def test_no_server_is_left_when_all_but_draining_ones_are_dead(gateways, tmp_path, servers):
    """A node that is being drained gives its sessions away: whoever came to it now would lose what he does there."""
    gateway, state = with_state(gateways, tmp_path, servers, "up", "drain", "drain")
    client = Client(gateway.port)
    ask(client)
    stop(servers[0])
    assert client.get("/app/").status == 502
    assert Client(gateway.port).get("/app/").status == 502
    assert not servers[1].seen and not servers[2].seen


def test_all_workers_and_a_shared_zone_follow_the_state_file(gateways, tmp_path, servers):
    gateway, state = with_state(gateways, tmp_path, servers, "up", "up", "up", workers=2, upstream="zone app 64k;")
    visitors = visit(gateway, 30)
    state.change("drain to b", "up", "up")
    for client, port in visitors:
        now = ask(client)
        assert now == (servers[1].port if port == servers[0].port else port)
    assert servers[0].port not in {port for _, port in visit(gateway, 20)}


@pytest.mark.parametrize("broken, why", [
    ("a 127.0.0.1:@0 up\nwhat is this\n", "line 2: expected NAME ADDRESS up"),
    ("a 127.0.0.1:@0 drain\nb 127.0.0.1:@1 drain\nc 127.0.0.1:@2 drain\n", "leaves none"),
    ("a 127.0.0.1:@0 drain to z\nb 127.0.0.1:@1 up\n", "is not there"),
    ("a 127.0.0.1:9 drain\nb 127.0.0.1:@1 up\n", "no server of the upstream is"),
    ("# " + "x" * 70000, "longer than 64 KiB"),
])
def test_broken_state_file_is_refused_once_and_the_last_good_one_stays(gateways, tmp_path, servers, broken, why):
    gateway, state = with_state(gateways, tmp_path, servers, "up", "drain", "up")
    for i, app in enumerate(servers):
        broken = broken.replace(f"@{i}", str(app.port))
    state.write(text=broken)
    wait_until(lambda: "stays in force" in gateway.log(), 30, "the sentence in the log")
    assert why in gateway.log()
    assert servers[1].port not in {port for _, port in visit(gateway, 12)}
    state.change("up", "up", "drain")  # two looks at the broken file at least lie between
    assert gateway.log().count("stays in force") == 1
    assert {port for _, port in visit(gateway, 12)} == {servers[0].port, servers[1].port}


def test_state_file_that_goes_away_changes_nothing_and_may_come_later(gateways, tmp_path, servers):
    gateway, state = with_state(gateways, tmp_path, servers)
    assert {port for _, port in visit(gateway, 6)} == {app.port for app in servers}
    state.change("up", "drain", "up")
    state.path.unlink()
    wait_until(lambda: "stays in force" in gateway.log(), 30, "the sentence in the log")
    assert servers[1].port not in {port for _, port in visit(gateway, 12)}


def test_state_file_that_is_written_in_place_is_followed(gateways, tmp_path, servers):
    gateway, state = with_state(gateways, tmp_path, servers, "up", "up", "up")
    state.change("up", "up", "drain", rename=False)
    assert servers[2].port not in {port for _, port in visit(gateway, 12)}


def test_broken_state_file_refuses_the_start(gateways, tmp_path, servers):
    state = State(tmp_path, servers).write(text="a 127.0.0.1:1 down\n")
    gateway = gateways(http=f"upstream app {{ {lines(servers)} latchkey_sticky state={state.path}; }}")
    run = gateway.test()
    assert run.returncode != 0
    assert "line 1: expected NAME ADDRESS up" in run.stderr


def test_state_outlives_a_reload_and_a_restart(gateways, tmp_path, servers):
    gateway, state = with_state(gateways, tmp_path, servers, "up", "drain to a", "up")
    gateway.stop()
    gateway.start()
    assert servers[1].port not in {port for _, port in visit(gateway, 12)}
