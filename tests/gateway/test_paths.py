# SPDX-License-Identifier: Apache-2.0
"""However a path is written, what lies behind the gate is not served without a session."""
import pytest

from gateway_lab import COOKIE, Application, Client, raw

SECRET = "the secret file"

# {} is the protected name, without slashes around it
TRICKS = [
    "/{}/secret.txt", "//{}/secret.txt", "/{}//secret.txt", "///{}///secret.txt", "/./{}/secret.txt",
    "/{}/./secret.txt", "/{}/../{}/secret.txt", "/x/../{}/secret.txt", "/x/y/../../{}/secret.txt",
    "/%2e/{}/secret.txt", "/x/%2e%2e/{}/secret.txt", "/{}%2fsecret.txt", "/{}%2Fsecret.txt", "%2f{}/secret.txt",
    "/%2f{}/secret.txt", "/{}%252fsecret.txt", "/{}/secret.txt%00", "/{}/secret.txt%00.html", "/{}%00/secret.txt",
    "/{}/secret.txt.", "/{}/secret.txt%20", "/{}/secret.txt%2e", "/{}/secret.txt/", "/{}/secret.txt?x=1",
    "/{}/secret.txt;x=1", "/{};x=1/secret.txt", "/x/..;/{}/secret.txt", "/..;/{}/secret.txt", "/{}/..;/secret.txt",
    "/{}/secret.txt%23", "/{}/secret.txt#f", "/{}/secret.txt%3f", "/{}\\secret.txt", "\\{}\\secret.txt",
    "/{}%5csecret.txt", "/x%5c..%5c{}/secret.txt", "/{}/%73ecret.txt", "/%{hex}/secret.txt", "/{upper}/secret.txt",
    "/{}/SECRET.TXT", "/{}/secret.txt%0a", "/{}/secret.txt%0d%0aX:1", "/{}\t/secret.txt", "/{}%09/secret.txt",
    "/{}/secret%E3%80%82txt", "/%c0%af{}/secret.txt", "/{}%c0%afsecret.txt", "/public/../{}/secret.txt",
    "/public/..%2f{}/secret.txt", "/public/%2e%2e%2f{}/secret.txt", "/public//../{}/secret.txt",
    "/public/..//{}/secret.txt", "/public/.%2e/{}/secret.txt", "/auth/../{}/secret.txt", "/auth/..%2f{}/secret.txt",
    "http://127.0.0.1/{}/secret.txt", "http://elsewhere.example/{}/secret.txt", "HTTP://a:1/{}/secret.txt",
    "http://127.0.0.1//{}/secret.txt", "http://127.0.0.1/x/../{}/secret.txt",
]


def written(trick, name):
    return (trick.replace("{hex}", "%02x" % ord(name[0]) + name[1:]).replace("{upper}", name.upper())
            .replace("{}", name))


@pytest.fixture(scope="module")
def world(module_gateways, module_application):
    behind = Application()
    gateway = module_gateways(server=f"""
        location / {{ }}
        location /public/ {{ }}
        location /files/ {{ latchkey required; }}
        location /app/ {{ latchkey required; proxy_pass http://127.0.0.1:{behind.port}; }}
        location /mapped/ {{ latchkey required; proxy_pass http://127.0.0.1:{behind.port}/; }}
        location ~* ^/regex/ {{ latchkey required; proxy_pass http://127.0.0.1:{behind.port}; }}
        location ~ \\.hidden$ {{ latchkey required; }}
        """)
    for name in ("files", "public"):
        (gateway.folder / "www" / name).mkdir()
    (gateway.folder / "www/files/secret.txt").write_text(SECRET)
    (gateway.folder / "www/public/hello.txt").write_text("hello")
    gateway.start()
    gateway.behind = behind
    gateway.alice = Client(gateway.port)
    gateway.alice.register("alice")
    assert gateway.alice.login("alice").status == 200
    yield gateway
    behind.close()


def ask(world, path, more=""):
    try:
        return raw(world.port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}Connection: close\r\n\r\n")
    except ConnectionError:
        return None


@pytest.mark.parametrize("trick", TRICKS)
def test_no_way_of_writing_a_path_leads_past_the_gate(world, trick):
    for name in ("files", "app", "mapped", "regex"):
        path = written(trick, name)
        before = len(world.behind.seen)
        for more in ("", "X-Original-URI: /public/hello.txt\r\nX-Forwarded-Uri: /public/hello.txt\r\n"
                         "X-Rewrite-URL: /public/hello.txt\r\nX-Original-URL: /public/hello.txt\r\n"):
            answer = ask(world, path, more)
            assert answer is None or SECRET not in answer.text, path
            assert answer is None or answer.status != 200, path
        assert len(world.behind.seen) == before, path


def test_a_session_opens_what_the_same_paths_lead_to(world):
    """The positive control: the tricks that nginx understands do lead there."""
    cookie = f"Cookie: {COOKIE}={world.alice.cookies[COOKIE]}\r\n"
    opened = [t for t in TRICKS if (a := ask(world, written(t, "files"), cookie)) and SECRET in a.text]
    assert len(opened) >= 20
    assert ask(world, "/app/x", cookie).json["path"] == "/app/x"


def test_what_is_public_stays_public(world):
    assert ask(world, "/public/hello.txt").text == "hello"


def test_the_host_header_changes_nothing(world):
    for host in ("elsewhere.example", "127.0.0.1.", "LOCALHOST", "a:80", "[::1]"):
        answer = raw(world.port, f"GET /files/secret.txt HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert answer.status == 401
    answer = raw(world.port, b"GET /files/secret.txt HTTP/1.0\r\n\r\n")
    assert answer.status == 401


def test_slashes_that_are_not_merged_are_refused_at_the_start(gateways):
    gateway = gateways(server="merge_slashes off; location /files/ { latchkey required; } location / { }")
    run = gateway.test()
    assert run.returncode != 0
    assert "merge_slashes off" in run.stderr and "nginx.conf:" in run.stderr


def test_slashes_that_are_not_merged_are_closed_by_a_rule_for_the_server(gateways):
    gateway = gateways(server="merge_slashes off; latchkey required; location /files/ { } location / { } "
                              "location /public/ { latchkey off; }")
    (gateway.folder / "www/files").mkdir()
    (gateway.folder / "www/files/secret.txt").write_text(SECRET)
    gateway.start()
    for trick in TRICKS:
        answer = ask(gateway, written(trick, "files"))
        assert answer is None or (SECRET not in answer.text and answer.status != 200), trick
