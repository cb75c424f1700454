# SPDX-License-Identifier: Apache-2.0
"""Requests signed with an API key, through the gateway, by clients that are not our own code: Python, shell, JavaScript."""
import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from contextlib import closing

import pytest

from gateway_lab import COMMAND, ROOT, Client, raw, read_answer, wait_until
from proofs import b64, signed

PASSWORD = "correct horse battery staple"
EXAMPLES = ROOT / "examples/signed-request"


def new_key(gateway, *options):
    """An API key of the user robot."""
    if not getattr(gateway, "has_robot", False):
        gateway.user("robot")
        gateway.has_robot = True
    run = subprocess.run([str(COMMAND), "api-key", "new", "robot", *options, "--json", "--conf", f"{gateway.folder}/latchkey.conf"],
                         env=gateway.env, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout)["key"]


@pytest.fixture(scope="module")
def world(module_gateways, module_application):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    gateway = module_gateways(
        workers=1,
        settings={"latchkey_signature": "window=60s body=200k"},
        server=f"""
        location / {{ latchkey required signature; {up} }}
        location /plain/ {{ latchkey required; {up} }}
        location /scope/ {{ latchkey required signature scope=orders.write; {up} }}
        location /twice/ {{ latchkey required signature; error_page 404 = /inner/x; return 404; }}
        location /inner/ {{ internal; latchkey required signature; {up} }}
        location /asked/ {{ auth_request /check/; {up} }}
        location /check/ {{ latchkey required signature; {up} }}
        """)
    gateway.start()
    gateway.host = f"127.0.0.1:{gateway.port}"
    gateway.app = module_application
    gateway.key = new_key(gateway)
    yield gateway


def send(gateway, method, target, body=b"", key=None, host=None, headers="", **other):
    """One request, its bytes exactly so."""
    host = host or gateway.host
    field = other.pop("field", None) or signed(key or gateway.key, method, host, target, body, **other)
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return raw(gateway.port, (f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{length}{headers}"
                              f"Authorization: {field}\r\n\r\n").encode() + body, method)


def chunked(parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


# ---- what is let in

@pytest.mark.parametrize("method,target,body", [
    ("GET", "/", b""), ("GET", "/a?b=2&a=1", b""), ("GET", "/a?", b""), ("GET", "/%7euser/%20?q=%20+", b""), ("GET", "//a/../b", b""),
    ("POST", "/orders", b'{"n": 1}'), ("PUT", "/orders", b"\0\xff" * 100), ("DELETE", "/orders/1", b""), ("POST", "/empty", b"")])
def test_signed_request_reaches_the_application_with_its_body(world, method, target, body):
    answer = send(world, method, target, body)
    assert answer.status == 200, answer
    assert answer.json["method"] == method
    assert answer.json["body"] == body.decode("latin-1")
    assert answer.sent("Remote-User") == ["robot"]


def test_application_does_not_see_the_secret(world):
    answer = send(world, "GET", "/")
    assert world.key[12:] not in answer.text


def test_chunked_body_is_compared_as_what_it_stands_for(world):
    for parts in ([b"abc", b"def"], [b"a"] * 3000, [b"x" * 50000, b"y" * 50000]):
        body = b"".join(parts)
        field = signed(world.key, "POST", world.host, "/chunks", body)
        answer = raw(world.port, (f"POST /chunks HTTP/1.1\r\nHost: {world.host}\r\nConnection: close\r\n"
                                  f"Transfer-Encoding: chunked\r\nAuthorization: {field}\r\n\r\n").encode() + chunked(parts))
        assert answer.status == 200, answer
        assert answer.json["body"] == body.decode()


def test_body_that_comes_slowly_and_one_that_is_large(world):
    for size in (65536, 65537, 200 * 1024):
        body = secrets.token_hex(size // 2).encode() + b"x" * (size % 2)
        with socket.create_connection(("127.0.0.1", world.port), 20) as s:
            head = (f"POST /slow HTTP/1.1\r\nHost: {world.host}\r\nConnection: close\r\nContent-Length: {size}\r\n"
                    f"Authorization: {signed(world.key, 'POST', world.host, '/slow', body)}\r\n\r\n").encode()
            s.sendall(head + body[:1000])
            time.sleep(0.1)
            s.sendall(body[1000:60000])
            time.sleep(0.1)
            s.sendall(body[60000:])
            with s.makefile("rb") as stream:
                answer = read_answer(stream)
        assert answer.status == 200, answer
        assert answer.json["body"] == body.decode()


def test_client_that_waits_is_told_to_go_on_only_when_the_signature_is_good(world):
    body = b"waiting"
    for good in (True, False):
        field = signed(world.key, "POST", world.host, "/wait" if good else "/other", body)
        with socket.create_connection(("127.0.0.1", world.port), 20) as s:
            s.sendall((f"POST /wait HTTP/1.1\r\nHost: {world.host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
                       f"Expect: 100-continue\r\nAuthorization: {field}\r\n\r\n").encode())
            with s.makefile("rb") as stream:
                first = read_answer(stream)
                if not good:
                    assert first.status == 401
                    continue
                assert first.status == 100
                s.sendall(body)
                answer = read_answer(stream)
        assert answer.status == 200
        assert answer.json["body"] == "waiting"


def test_http2_is_signed_alike(gateways, application):
    curl = shutil.which("curl")
    assert "HTTP2" in subprocess.run([curl, "--version"], capture_output=True, text=True, check=True).stdout
    gateway = gateways(workers=1, server=f"location / {{ latchkey required signature; proxy_pass http://127.0.0.1:{application.port}; }}")
    conf = gateway.folder / "nginx.conf"
    conf.write_text(conf.read_text().replace("backlog=4096;", "backlog=4096 http2;", 1))
    gateway.start(wait=False)
    host = f"127.0.0.1:{gateway.port}"

    def ask(*args):
        return subprocess.run([curl, "-sS", "--noproxy", "*", "--http2-prior-knowledge", "-o", "-", "-w", "\n%{http_code} %{http_version}",
                               *args], capture_output=True, text=True, timeout=30, check=False).stdout.strip().rsplit("\n", 1)

    wait_until(lambda: ask(f"http://{host}/auth/health/live")[-1] == "200 2", 30, "the start of nginx")
    key = new_key(gateway)
    for body in (b"", b"hello", b"x" * 100000):
        file = gateway.folder / "body"
        file.write_bytes(body)
        field = signed(key, "POST", host, "/v2?b&a", body)
        text, code = ask("-X", "POST", "-H", f"Authorization: {field}", "-H", "Content-Type: text/plain",
                         *(["--data-binary", f"@{file}"] if body else []), f"http://{host}/v2?b&a")
        assert code == "200 2"
        assert json.loads(text)["body"] == body.decode()
    field = signed(key, "POST", host, "/v2?b&a", b"hello")
    file.write_bytes(b"hellO")
    assert ask("-X", "POST", "-H", f"Authorization: {field}", "--data-binary", f"@{file}", f"http://{host}/v2?b&a")[-1] == "401 2"


# ---- what is not

def test_request_that_is_not_the_signed_one_is_refused_before_the_application(world):
    body = b'{"amount": 10}'
    sign = lambda **other: signed(world.key, "POST", world.host, "/pay?b=2&a=1", body, **other)
    before = len(world.app.seen)
    wrong = {
        "method": send(world, "PUT", "/pay?b=2&a=1", body, field=sign()),
        "path": send(world, "POST", "/pax?b=2&a=1", body, field=sign()),
        "query order": send(world, "POST", "/pay?a=1&b=2", body, field=sign()),
        "query left out": send(world, "POST", "/pay", body, field=sign()),
        "escape": send(world, "POST", "/%70ay?b=2&a=1", body, field=sign()),
        "body": send(world, "POST", "/pay?b=2&a=1", b'{"amount": 90}', field=sign()),
        "no body": send(world, "POST", "/pay?b=2&a=1", b"", field=sign()),
        "host": send(world, "POST", "/pay?b=2&a=1", body, host="evil.example", field=sign()),
        "time": send(world, "POST", "/pay?b=2&a=1", body, field=sign(time=str(int(time.time()) - 1))),
        "digest": send(world, "POST", "/pay?b=2&a=1", body, field=sign(digest=b64(b"0" * 32))),
        "nonce": send(world, "POST", "/pay?b=2&a=1", body, field=sign().replace("nonce=", "nonce=A")),
    }
    for name, answer in wrong.items():
        assert (answer.status, answer.reason) == (401, "bad_signature"), name
        assert answer.get("WWW-Authenticate").startswith('Latchkey-Signature realm="latchkey", error=')
    assert len(world.app.seen) == before


def test_time_beyond_the_window_is_refused(world):
    now = int(time.time())
    assert send(world, "GET", "/", at=now - 70).reason == "expired"
    assert send(world, "GET", "/", at=now + 70).reason == "not_yet_valid"
    assert send(world, "GET", "/", at=now + 50).status == 200


def test_field_that_is_not_of_the_form_is_malformed(world):
    good = signed(world.key, "GET", world.host, "/")
    for field in (good + ",", good.replace(", ", ","), good.replace("nonce=", "nonc="), good + ", sign=" + "0" * 64,
                  good.replace("time=", "time=0"), good.upper().replace("LATCHKEY-SIGNATURE", "Latchkey-Signature"),
                  "Latchkey-Signature", good + "x" * 600, good.replace("key=lk_", "key=")):
        answer = send(world, "GET", "/", field=field)
        assert (answer.status, answer.reason) == (401, "malformed"), field


def test_key_that_no_gateway_made_is_refused(world):
    forged = world.key[:12] + secrets.token_urlsafe(24)
    other = "lk_" + secrets.token_urlsafe(6) + world.key[11:]
    for key in (forged, other):
        assert send(world, "GET", "/", key=key).reason == "bad_signature"


def test_nothing_but_a_signature_is_let_in(world):
    client = Client(world.port)
    assert client.register("carol").status == 201
    assert client.login("carol").status == 200
    assert client.get("/", headers={"Accept": "application/json"}).reason == "no_credential"
    assert client.get("/plain/x").status == 200
    client.close()
    answer = send(world, "GET", "/", field="Bearer " + world.key)
    assert (answer.status, answer.reason) == (401, "wrong_carrier")
    answer = raw(world.port, f"GET / HTTP/1.0\r\nHost: {world.host}\r\n\r\n")
    assert answer.reason == "no_credential"
    assert answer.get("WWW-Authenticate") == 'Latchkey-Signature realm="latchkey"'


def test_body_beyond_the_bound_is_413_and_never_read_in_full(world):
    body = b"x" * (200 * 1024 + 1)
    assert send(world, "POST", "/big", body).status == 413
    field = signed(world.key, "POST", world.host, "/big", body)
    with socket.create_connection(("127.0.0.1", world.port), 20) as s:
        s.sendall((f"POST /big HTTP/1.1\r\nHost: {world.host}\r\nTransfer-Encoding: chunked\r\nAuthorization: {field}\r\n\r\n").encode())
        try:
            for _ in range(400):
                s.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except OSError:
            pass
        with s.makefile("rb") as stream:
            try:
                assert read_answer(stream).status == 413
            except OSError:
                pass  # the connection was closed under what was still being sent
    assert send(world, "GET", "/").status == 200


def test_client_that_goes_away_in_the_middle_of_its_body_leaves_nothing_behind(world):
    body = b"y" * 100000
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", world.port), 20) as s:
            s.sendall((f"POST /gone HTTP/1.1\r\nHost: {world.host}\r\nContent-Length: {len(body)}\r\n"
                       f"Authorization: {signed(world.key, 'POST', world.host, '/gone', body)}\r\n\r\n").encode() + body[:5000])
    assert send(world, "POST", "/gone", body).status == 200


def test_key_is_held_to_what_it_may_do(world):
    may = new_key(world, "--scope", "orders.write")
    assert send(world, "POST", "/scope/x", b"1", key=may).status == 200
    answer = send(world, "POST", "/scope/x", b"1", key=new_key(world, "--scope", "orders.read"))
    assert (answer.status, answer.reason) == (403, "insufficient_scope")
    elsewhere = new_key(world, "--addresses", "192.0.2.0/24")
    assert send(world, "GET", "/", key=elsewhere).status == 401
    with closing(Client(world.port)) as robot:
        assert robot.login("robot").status == 200
        assert robot.request("DELETE", f"/auth/api-keys/{may[3:11]}", headers={"Origin": f"http://{world.host}"}).status in (200, 204)
    assert send(world, "POST", "/scope/x", b"1", key=may).status == 401


# ---- once

def test_same_request_again_is_refused(world):
    field = signed(world.key, "POST", world.host, "/once", b"pay")
    assert send(world, "POST", "/once", b"pay", field=field).status == 200
    before = len(world.app.seen)
    for _ in range(3):
        answer = send(world, "POST", "/once", b"pay", field=field)
        assert (answer.status, answer.reason) == (401, "replayed")
    nonce = "n" * 22
    assert send(world, "GET", "/one", nonce=nonce).status == 200
    assert send(world, "GET", "/two", nonce=nonce).reason == "replayed"
    assert len(world.app.seen) == before + 1


def test_wrong_body_does_not_use_the_nonce_up(world):
    field = signed(world.key, "POST", world.host, "/body", b"right")
    assert send(world, "POST", "/body", b"wrong", field=field).reason == "bad_signature"
    assert send(world, "POST", "/body", b"right", field=field).status == 200


def test_of_many_at_once_one_is_let_in(world):
    field = signed(world.key, "POST", world.host, "/race", b"z" * 70000)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(send(world, "POST", "/race", b"z" * 70000, field=field)))
               for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a.status for a in answers) == [200] + [401] * 11


def test_request_that_meets_two_gates_is_used_once(world):
    field = signed(world.key, "GET", world.host, "/twice/x")
    answer = send(world, "GET", "/twice/x", field=field)
    assert answer.status == 200
    assert answer.json["path"] == "/inner/x"
    assert send(world, "GET", "/twice/x", field=field).reason == "replayed"


def test_part_of_a_request_is_not_more_signed_than_the_whole(world):
    assert send(world, "GET", "/asked/x").status == 401


# ---- other clients

def shell(world, method, target, body=None, key=None):
    command = [str(EXAMPLES / "sign.sh"), method, f"http://{world.host}{target}"] + ([str(body)] if body else [])
    run = subprocess.run(command, env={**os.environ, "LATCHKEY_API_KEY": key or world.key, "no_proxy": "*"}, capture_output=True,
                         text=True, timeout=60, check=True)
    return json.loads(run.stdout)


def test_shell_client_signs(world, tmp_path):
    file = tmp_path / "order.json"
    file.write_text('{"n": 7}')
    assert shell(world, "GET", "/sh?b=2&a=%20")["path"] == "/sh?b=2&a=%20"
    assert shell(world, "GET", "")["path"] == "/"
    seen = shell(world, "POST", "/sh", file)
    assert (seen["method"], seen["body"]) == ("POST", '{"n": 7}')
    assert shell(world, "POST", "/sh", file, key=world.key[:12] + "A" * 32)["reason"] == "bad_signature"


def test_javascript_client_signs(world, tmp_path):
    script = tmp_path / "try.mjs"
    script.write_text(f"""
        import {{ signedFetch }} from {json.dumps((EXAMPLES / 'sign.mjs').as_uri())};
        const url = process.argv[2], key = process.argv[3], out = [];
        for (const [target, how] of [["/js?b=2&a=%20", {{}}], ["/js", {{ method: "POST", body: "grüße" }}],
                                     ["/js", {{ method: "PUT", body: new Uint8Array([0, 255]) }}]])
            out.push(await (await signedFetch(key, url + target, how)).json());
        console.log(JSON.stringify(out));
    """)
    run = subprocess.run([shutil.which("node"), str(script), f"http://{world.host}", world.key], capture_output=True, text=True,
                         timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    get, post, put = json.loads(run.stdout)
    assert get["path"] == "/js?b=2&a=%20"
    assert post["body"].encode("latin-1").decode() == "grüße"
    assert put["body"] == "\0\xff"
