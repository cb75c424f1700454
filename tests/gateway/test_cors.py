# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins: what browsers are told about who may read an answer, in every sort of answer."""
import re

import pytest

from gateway_lab import COOKIE, Client

SHOP = "https://shop.example"
OTHER = "https://other.example"
CREDENTIALS = "https://pay.example:8443"
APP = "capacitor://localhost"


@pytest.fixture(scope="module")
def world(module_gateways, module_application):
    up = f"proxy_pass http://127.0.0.1:{module_application.port};"
    gateway = module_gateways(
        settings={"latchkey_cookie": f"{COOKIE} secure=off samesite=lax"},
        server=f"""
        location / {{ {up} }}
        location /token/ {{ latchkey required; latchkey_cors {SHOP} {APP}; {up} }}
        location /cookie/ {{
            latchkey required; latchkey_csrf on;
            latchkey_cors {CREDENTIALS} credentials methods=GET,PUT headers=X-One,X-Two expose=X-Total,ETag max_age=10m;
            {up}
            location /cookie/off/ {{ latchkey_cors off; {up} }}
            location /cookie/inner/ {{ {up} }}
        }}
        location /any/ {{ latchkey_cors *; add_header Access-Control-Max-Age 99999 always; {up} }}
        location /admin/ {{ latchkey required role=admin; latchkey_cors {SHOP}; {up} }}
        location /scope/ {{ latchkey required scope=orders.read; latchkey_cors {SHOP}; {up} }}
        location /page/ {{ latchkey required; latchkey_cors {SHOP}; error_page 401 /plain/error.txt; {up} }}
        location /named/ {{ latchkey required; latchkey_cors {SHOP}; error_page 401 = @named; {up} }}
        location @named {{ {up} }}
        location /plain/ {{ latchkey_cors {OTHER}; }}
        location /files/ {{ latchkey_cors {SHOP}; }}
        location /gone/ {{ latchkey_cors {SHOP}; return 410; }}
        location /large/ {{ latchkey_cors {SHOP}; client_max_body_size 10; {up} }}
        location /anonymous/ {{ latchkey optional anonymous; latchkey_cors {CREDENTIALS} credentials; {up} }}
        """)
    for folder in ("plain", "files"):
        (gateway.folder / "www" / folder).mkdir(parents=True)
    (gateway.folder / "www/plain/error.txt").write_text("log in first\n")
    (gateway.folder / "www/files/a.txt").write_text("a\n")
    gateway.start()
    client = Client(gateway.port)
    assert client.register("ada").status == 201
    assert client.login("ada").status == 200
    gateway.cookies = client.cookies
    client.close()
    return gateway


@pytest.fixture(autouse=True)
def plain_application(module_application):
    module_application.status, module_application.headers = 200, []
    module_application.seen.clear()
    yield


def ask(world, path, origin=None, method="GET", cookies=None, **headers):
    client = Client(world.port, keep=False)
    client.cookies = dict(cookies or {})
    sent = {k.replace("_", "-"): v for k, v in headers.items()}
    if origin is not None:
        sent["Origin"] = origin
    return client.request(method, path, headers=sent)


def preflight(world, path, origin, method="PUT", **headers):
    return ask(world, path, origin, "OPTIONS", Access_Control_Request_Method=method, **headers)


def allowed(answer):
    """What is said of origins, and what varies: the whole of it."""
    return {k.lower(): v for k, v in answer.headers if k.lower().startswith("access-control-")}


def varies(answer):
    return "origin" in [word.strip().lower() for value in answer.all("Vary") for word in value.split(",")]


# ---- preflights

def test_a_preflight_is_answered_before_the_application_and_without_a_login(world, module_application):
    answer = preflight(world, "/token/x", SHOP, Access_Control_Request_Headers="authorization")
    assert answer.status == 204 and answer.body == b""
    assert allowed(answer) == {"access-control-allow-origin": SHOP,
                               "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
                               "access-control-allow-headers": "Authorization, Content-Type",
                               "access-control-max-age": "600"}
    assert varies(answer) and answer.get("Set-Cookie") is None and answer.get("WWW-Authenticate") is None
    assert module_application.seen == []


def test_a_preflight_says_what_was_set(world):
    assert allowed(preflight(world, "/cookie/x", CREDENTIALS)) == {
        "access-control-allow-origin": CREDENTIALS, "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT", "access-control-allow-headers": "X-One, X-Two",
        "access-control-max-age": "600"}


def test_a_preflight_of_a_location_inside_is_that_of_the_outer_one(world):
    assert allowed(preflight(world, "/cookie/inner/x", CREDENTIALS))["access-control-allow-origin"] == CREDENTIALS


def test_a_preflight_of_another_origin_is_refused_with_the_reason(world, module_application):
    answer = preflight(world, "/token/x", OTHER)
    assert (answer.status, answer.reason) == (403, "cors")
    assert "latchkey_cors" in answer.json["detail"]
    assert allowed(answer) == {} and varies(answer) and module_application.seen == []


def test_a_preflight_makes_no_session_and_never_leads_to_the_login_page(world):
    answer = preflight(world, "/anonymous/x", CREDENTIALS, Accept="text/html")
    assert answer.status == 204 and answer.get("Set-Cookie") is None
    answer = preflight(world, "/token/x", OTHER, Accept="text/html")
    assert answer.status == 403 and answer.get("Location") is None


def test_a_preflight_with_a_broken_credential_is_answered_as_any_other(world):
    answer = preflight(world, "/token/x", SHOP, Authorization="Bearer broken", Cookie=f"{COOKIE}=broken")
    assert answer.status == 204 and answer.get("Set-Cookie") is None


def test_options_without_a_method_that_is_asked_for_needs_the_login(world, module_application):
    assert ask(world, "/token/x", SHOP, "OPTIONS").status == 401
    answer = ask(world, "/token/x", SHOP, "OPTIONS", cookies=world.cookies)
    assert answer.status == 200 and module_application.seen[-1]["method"] == "OPTIONS"
    assert "access-control-allow-methods" not in allowed(answer)


def test_a_preflight_where_nothing_is_allowed_goes_to_the_application(world, module_application):
    answer = preflight(world, "/x", SHOP)
    assert answer.status == 200 and module_application.seen[-1]["method"] == "OPTIONS"
    assert preflight(world, "/cookie/off/x", CREDENTIALS).status == 401


# ---- who is let in, byte for byte

@pytest.mark.parametrize("origin", [
    "null", "", "*", "https://shop.example/", "https://shop.example:443", "http://shop.example", "https://shop.example.evil",
    "https://evil-shop.example", "https://a.shop.example", "HTTPS://SHOP.EXAMPLE", "https://Shop.example", "//shop.example",
    "https://shop.example https://shop.example", "https://shop.example,https://shop.example", "https://shop.exampl",
    "https://shop.example\t", "https://shop.example#", "https://shop\xb7example", "https://" + "a" * 4000])
def test_only_what_was_written_down_is_allowed(world, origin):
    for answer in (ask(world, "/token/x", origin), ask(world, "/token/x", origin, cookies=world.cookies),
                   preflight(world, "/token/x", origin)):
        if origin.strip() != SHOP:
            assert allowed(answer) == {}
        assert varies(answer)


def test_every_origin_of_the_list_gets_its_own_name(world):
    for origin in (SHOP, APP):
        assert allowed(ask(world, "/token/x", origin))["access-control-allow-origin"] == origin


def test_of_two_origins_none_counts(world):
    from gateway_lab import raw
    for first, second in ((SHOP, SHOP), (SHOP, OTHER), (OTHER, SHOP)):
        answer = raw(world.port, f"GET /token/x HTTP/1.1\r\nHost: a\r\nOrigin: {first}\r\nOrigin: {second}\r\n"
                                 "Connection: close\r\n\r\n")
        assert allowed(answer) == {} and varies(answer)


def test_a_star_is_said_as_a_star_and_never_with_credentials(world):
    answer = ask(world, "/any/x", OTHER)
    assert answer.status == 200 and allowed(answer) == {"access-control-allow-origin": "*"}
    assert varies(answer)
    assert allowed(preflight(world, "/any/x", "https://whoever.example"))["access-control-allow-origin"] == "*"


# ---- every sort of answer

@pytest.mark.parametrize("path, status, cookie", [
    ("/token/x", 200, True), ("/token/x", 401, False), ("/admin/x", 403, True), ("/scope/x", 200, True), ("/page/x", 401, False),
    ("/named/x", 200, False), ("/files/a.txt", 200, False), ("/files/none.txt", 404, False), ("/gone/x", 410, False)])
def test_answers_and_refusals_can_be_read_by_allowed_origins_and_vary(world, path, status, cookie):
    answer = ask(world, path, SHOP, cookies=world.cookies if cookie else None)
    assert answer.status == status
    assert allowed(answer) == {"access-control-allow-origin": SHOP} and varies(answer)
    for origin in (None, OTHER):
        answer = ask(world, path, origin, cookies=world.cookies if cookie else None)
        assert answer.status == status and allowed(answer) == {} and varies(answer)


def test_a_body_that_is_too_large_is_refused_so_that_the_page_can_read_why(world):
    answer = Client(world.port, keep=False).request("POST", "/large/x", "x" * 100, {"Origin": SHOP})
    assert answer.status == 413 and allowed(answer)["access-control-allow-origin"] == SHOP and varies(answer)


def test_not_modified_varies_and_can_be_read(world):
    tag = ask(world, "/files/a.txt", SHOP).get("ETag")
    answer = ask(world, "/files/a.txt", SHOP, If_None_Match=tag)
    assert answer.status == 304 and allowed(answer) == {"access-control-allow-origin": SHOP} and varies(answer)
    assert varies(ask(world, "/files/a.txt", If_None_Match=tag))


def test_the_applications_own_word_on_the_matter_is_replaced(world, module_application):
    module_application.headers = [
        ("Access-Control-Allow-Origin", "*"), ("access-control-allow-credentials", "true"),
        ("Access-Control-Allow-Methods", "DELETE"), ("Access-Control-Expose-Headers", "*"), ("ACCESS-CONTROL-MAX-AGE", "9"),
        ("Access-Control-Allow-Headers", "*"), ("Vary", "Accept-Language"), ("Access-Control-Allow-Private-Network", "true")]
    answer = ask(world, "/token/x", OTHER, cookies=world.cookies)
    assert answer.status == 200 and allowed(answer) == {"access-control-allow-private-network": "true"}
    assert "Accept-Language" in answer.all("Vary") and varies(answer)
    answer = ask(world, "/token/x", SHOP, cookies=world.cookies)
    assert answer.all("Access-Control-Allow-Origin") == [SHOP]
    assert answer.get("Access-Control-Allow-Credentials") is None
    assert allowed(ask(world, "/any/x", OTHER)).get("access-control-max-age") is None


def test_headers_a_page_may_read_are_named(world):
    answer = ask(world, "/cookie/x", CREDENTIALS, cookies=world.cookies)
    assert allowed(answer) == {"access-control-allow-origin": CREDENTIALS, "access-control-allow-credentials": "true",
                               "access-control-expose-headers": "X-Total, ETag"}


def test_refusals_of_a_bearer_keep_their_challenge_for_the_page(world):
    answer = ask(world, "/token/x", SHOP, Authorization="Bearer " + "A" * 43)
    assert answer.status == 401 and answer.get("WWW-Authenticate").startswith("Bearer")
    assert allowed(answer)["access-control-allow-origin"] == SHOP


# ---- changes that come with a cookie

def test_an_origin_with_credentials_may_change_things_and_another_may_not(world):
    def change(path, origin):
        return ask(world, path, origin, "PUT", cookies=world.cookies, Sec_Fetch_Site="cross-site")
    assert change("/cookie/x", CREDENTIALS).status == 200
    answer = change("/cookie/x", OTHER)
    assert (answer.status, answer.reason) == (403, "csrf") and varies(answer)
    assert ask(world, "/cookie/x", None, "PUT", cookies=world.cookies, Sec_Fetch_Site="cross-site").status == 403


def test_the_api_takes_no_login_from_pages_that_its_own_location_does_not_allow(world):
    answer = Client(world.port, keep=False).request(
        "POST", "/auth/login", json_body={"username": "ada", "password": "correct horse battery staple", "carrier": "header"},
        headers={"Origin": SHOP, "Sec-Fetch-Site": "cross-site"})
    assert (answer.status, answer.reason) == (403, "csrf")  # /auth/ allows nobody


def test_the_api_takes_changes_from_origins_that_its_location_allows(gateways):
    gateway = gateways(server="", http="")
    conf = gateway.folder / "nginx.conf"
    conf.write_text(conf.read_text().replace("location /auth/ { latchkey_api; }",
                                             f"location /auth/ {{ latchkey_api; latchkey_cors {SHOP}; }}"))
    gateway.start()
    assert Client(gateway.port).register("ada").status == 201
    body = {"username": "ada", "password": "correct horse battery staple", "carrier": "header"}
    foreign = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site"}
    client = Client(gateway.port)
    assert preflight(gateway, "/auth/login", SHOP, "POST").status == 204
    answer = client.request("POST", "/auth/login", json_body=body, headers=foreign)
    assert answer.status == 200 and allowed(answer) == {"access-control-allow-origin": SHOP}
    token = answer.json["token"]
    answer = client.request("GET", "/auth/session", headers={**foreign, "Authorization": "Bearer " + token})
    assert answer.status == 200 and answer.json["user"]["name"] == "ada"
    answer = client.request("POST", "/auth/login", json_body=body, headers={**foreign, "Origin": OTHER})
    assert (answer.status, answer.reason) == (403, "csrf")
    # what a form of that page could send, or what comes with a cookie, its script did not send
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = client.request("POST", "/auth/login", "username=ada&password=x", {**foreign, **headers})
        assert answer.status in (403, 415)
    answer = client.request("POST", "/auth/login", json_body=body, headers={**foreign, "Cookie": "other=1"})
    assert (answer.status, answer.reason) == (403, "csrf")


# ---- settings

@pytest.mark.parametrize("words, said", [
    ("", "invalid number of arguments"),
    ("credentials", "wants the origins"),
    ("* credentials", "write the origins out"),
    (f"{SHOP} credentials headers=*", "write the origins out"),
    (f"* {SHOP}", "lets every origin in"),
    ("null", "is no origin"),
    ("shop.example", "write scheme, host"),
    ("https://", "write scheme, host"),
    ("https://shop.example/", "without a slash"),
    ("https://shop.example/path", "without a slash"),
    ("https://Shop.example", "small letters"),
    ("https://*.example", "without patterns"),
    ("https://shop.example:443", "usual port"),
    ("http://shop.example:80", "usual port"),
    ("https://shop.example:0", "no number"),
    ("https://shop.example:99999", "no number"),
    ("https://user@shop.example", "without a slash"),
    (f"{SHOP} methods=get", "small letters"),
    (f"{SHOP} methods=GET,,PUT", "invalid list"),
    (f"{SHOP} headers=", "invalid list"),
    (f"{SHOP} 'headers=A, B'", "invalid list"),
    (f"{SHOP} max_age=2d", "invalid time"),
    (f"{SHOP} max_age=x", "invalid time"),
    (f"{SHOP} max_age=-1", "invalid time")])
def test_settings_that_browsers_would_not_understand_are_refused_with_the_cure(gateways, words, said):
    gateway = gateways(server=f"location /x/ {{ latchkey_cors {words}; }}")
    trial = gateway.test()
    assert trial.returncode != 0
    said_there = (gateway.folder / "logs/trial.log").read_text() + trial.stderr
    assert said in said_there and re.search(r"nginx\.conf:\d+", said_there)
