# SPDX-License-Identifier: Apache-2.0
"""A page on one origin and the API on another, in a real browser: with a token in local storage, and with a cookie."""
import json
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from test_browser import FLOW_S, HERE, packages  # noqa: F401

sys.path.insert(0, str(HERE.parent / "gateway"))

from gateway_lab import Client, Gateway  # noqa: E402

DOCS = HERE.parent.parent / "docs"


class Pages:
    """A server that has nothing but the page, and counts nothing."""

    def __init__(self):
        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(DOCS))

            def log_message(self, format, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def at(self, host):
        return f"http://{host}:{self.port}/cross-domain.html"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def pages():
    made = [Pages(), Pages()]
    yield made
    for page in made:
        page.close()


def drive(tmp_path, pages, cookie, *more):
    """The pages of the first server are allowed, by two names of one machine: those are two sites. Of the other, none."""
    shop, stranger = pages
    origins = f"http://127.0.0.1:{shop.port} http://localhost:{shop.port}"
    gateway = Gateway(tmp_path / "gateway", workers=1, settings={"latchkey_cookie": cookie, **dict(more)})
    conf = gateway.folder / "nginx.conf"
    conf.write_text(conf.read_text().replace(
        "location /auth/ { latchkey_api; }",
        f"location /auth/ {{ latchkey_api; latchkey_cors {origins} credentials methods=GET,POST,PATCH; }}"))
    try:
        gateway.start()
        assert Client(gateway.port).register("ada").status == 201
        run = subprocess.run(["node", HERE / "cross_domain.mjs", f"http://127.0.0.1:{gateway.port}", tmp_path / "profile",
                              shop.at("127.0.0.1"), shop.at("localhost"), stranger.at("127.0.0.1")],
                             capture_output=True, text=True, timeout=FLOW_S, check=False)
        assert run.returncode == 0, run.stderr
        assert gateway.faults() == []
        return [json.loads(line) for line in run.stdout.splitlines()]
    finally:
        gateway.stop()


WORKS = {"login": ["200 ada"], "change": ["200 changed"], "logout": ["204 logged out"]}


def works(said, by):
    who = said[f"{by} who"]
    return (all(said[f"{by} {action}"] == answers for action, answers in WORKS.items())
            and who[0] == "200 ada" and who[1].startswith("401"))


def unreadable(said, *names):
    return all(answer.startswith("unreadable") for name in names for answer in said[name])


def test_a_page_of_the_same_site_works_with_both_and_a_strange_one_with_none(packages, pages, tmp_path):  # noqa: F811
    same, cross, strange, another, own = (line["said"] for line in drive(tmp_path, pages, "latchkey secure=off samesite=lax"))
    assert works(same, "token") and works(same, "cookie")
    assert (same["token kept"], same["cookie kept"], same["script"]) == ("token", "", "")
    # a page of another site: its token goes along, a cookie that is `lax` does not
    assert works(cross, "token")
    assert cross["cookie login"] == ["200 ada"] and cross["cookie who"][0].startswith("401")
    # a page nobody allowed, of the same site and with the visitor's cookie: it reads nothing
    assert unreadable(strange, *(name for name in strange if name.split()[-1] in ("login", "who", "change", "logout")))
    assert unreadable(another, "token who", "token change", "cookie who", "cookie change")
    assert own["who"] == "200 ada"


def test_a_page_of_another_site_works_with_a_cookie_that_may_go_there(packages, pages, tmp_path):  # noqa: F811
    lines = drive(tmp_path, pages, "__Host-latchkey samesite=none", ("latchkey_tls_proxy", "on"))
    same, cross, strange, another, own = (line["said"] for line in lines)
    assert works(same, "cookie") and works(cross, "cookie") and works(cross, "token")
    assert lines[-1]["cookies"] == ["__Host-latchkey None true"]
    assert unreadable(strange, "cookie login", "cookie who", "cookie change", "cookie logout")
    assert unreadable(another, "cookie who", "cookie change") and own["who"] == "200 ada"
