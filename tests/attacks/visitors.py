# SPDX-License-Identifier: Apache-2.0
"""What the tests of single rules look with: a strict reader of Set-Cookie, a browser without scripts, a metric."""
import re
from urllib.parse import urlencode

FORM = "application/x-www-form-urlencoded"
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
PLAIN = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3]\d "
                  r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} [0-2]\d:[0-5]\d:[0-6]\d GMT")


class SetCookie:
    """One Set-Cookie field, read by the grammar for servers (RFC 6265bis section 4.1.1): anything else is an error."""

    def __init__(self, line):
        pair, *attributes = line.split("; ")
        self.name, equals, self.value = pair.partition("=")
        assert equals and TOKEN.fullmatch(self.name), line
        assert VALUE.fullmatch(self.value), line
        assert len(self.name) + len(self.value) <= 4096, line
        self.attributes = {}
        for attribute in attributes:
            name, _, value = attribute.partition("=")
            assert name in ("Path", "Domain", "Max-Age", "Expires", "Secure", "HttpOnly", "SameSite"), line
            assert name not in self.attributes, f"{name} twice: {line}"
            assert PLAIN.fullmatch(value) and len(value) <= 1024, line
            self.attributes[name] = value

    def get(self, name):
        return self.attributes.get(name)

    @property
    def is_removal(self):
        return self.get("Max-Age") == "0"

    @property
    def kept_as(self):
        """What a browser files it under, and what it does with it."""
        return (self.name, *((n, self.get(n)) for n in ("Path", "Domain", "Secure", "HttpOnly", "SameSite")))


def set_cookies(answer):
    return [SetCookie(line) for line in answer.headers.get_all("Set-Cookie", [])]


class Browser:
    """A browser without scripts: keeps cookies, sends forms from the page it is on."""

    def __init__(self, site):
        self.site = site
        self.cookies = {}
        self.last = None

    @property
    def cookie(self):
        return "; ".join(f"{k}={v}" for k, v in self.cookies.items())

    def ask(self, method, path, raw=None, headers=None):
        fields = {"Accept": "text/html,*/*;q=0.8", "Origin": self.site.origin, "Sec-Fetch-Site": "same-origin",
                  **(headers or {})}
        if method == "GET":
            del fields["Origin"]
        self.last = self.site.call(method, path, raw=raw, headers=fields, cookie=self.cookie)
        for cookie in set_cookies(self.last):
            if cookie.is_removal:
                self.cookies.pop(cookie.name, None)
            else:
                self.cookies[cookie.name] = cookie.value
        return self.last

    def page(self, path):
        return self.ask("GET", path)

    @property
    def form_token(self):
        return re.search(rb'name="csrf" value="([\w-]+)"', self.last.body).group(1).decode()

    def submit(self, path, token=None, headers=None, **fields):
        if "csrf" not in fields:
            fields["csrf"] = token or self.form_token
        return self.ask("POST", path, urlencode(fields), {"Content-Type": FORM, **(headers or {})})

    def log_in(self, name, password):
        self.page("/auth/login")
        answer = self.submit("/auth/login", username=name, password=password)
        assert answer.status == 303, answer.body
        return answer


def metric(site, name, label=""):
    """The sum of the samples of NAME whose labels have LABEL among them."""
    text = site.call("GET", "/auth/metrics").body.decode()
    found = [int(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line) and label in line]
    assert found, f"no {name} in {text}"
    return sum(found)


def who(site, path="/", method="GET", **how):
    """The name that reaches the application; '' when none does."""
    users = site.call(method, path, **how).seen("Remote-User")
    assert len(users) == 1
    return users[0]
