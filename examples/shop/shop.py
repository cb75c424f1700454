#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small shop that knows nothing of login: the gateway in front of it tells who asks, and keeps the cart.

    shop.py --port 3000 --node north --gateway http://127.0.0.1:8080

Two things make it an application behind latchkey, and both are short: `Visitor` reads who asks from the request
headers, and `Cart` keeps its items in the visitor's session through the gateway. The rest is a shop.
"""
import argparse
import http.client
import json
import pathlib
import random
import string
import sys
import time
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

HERE = pathlib.Path(__file__).resolve().parent
STYLE = (HERE / 'shop.css').read_bytes()
PAGE = string.Template((HERE / 'shop.html').read_text(encoding='utf-8'))
ITEMS = {'kettle': 34, 'lantern': 18, 'compass': 27, 'blanket': 42}  # prices in euros
MOST = 99  # of one item in a cart
BODY_MAX = 4096

TEXTS = {
    'en': {
        'title': 'The Two-Node Shop', 'kettle': 'Kettle', 'lantern': 'Lantern', 'compass': 'Compass',
        'blanket': 'Blanket', 'add': 'Add to cart', 'more': 'One more', 'fewer': 'One fewer', 'cart': 'Your cart',
        'empty': 'There is nothing in it yet.', 'total': 'Total', 'hello': 'Hello, ', 'guest': 'guest',
        'sign_in': 'Sign in', 'register': 'Register', 'sign_out': 'Sign out', 'account': 'Account',
        'answered': 'This page was answered by the node', 'told': 'What the gateway said of you',
        'unknown': 'Your cart cannot be read at the moment. It is not lost: please try again.',
        'nobody': 'nothing: you are not signed in',
        'missed': 'That did not get into your cart: your visit had ended, or your browser refuses cookies. '
                  'Please try again.',
    },
    'zh-CN': {
        'title': '双节点小店', 'kettle': '水壶', 'lantern': '提灯', 'compass': '指南针', 'blanket': '毛毯',
        'add': '加入购物车', 'more': '加一件', 'fewer': '减一件', 'cart': '购物车', 'empty': '还没有商品。',
        'total': '合计', 'hello': '您好，', 'guest': '访客', 'sign_in': '登录', 'register': '注册',
        'sign_out': '退出登录', 'account': '账户', 'answered': '此页面由以下节点提供：', 'told': '网关告知的身份信息',
        'unknown': '暂时无法读取购物车，内容不会丢失，请稍后再试。', 'nobody': '无：您尚未登录',
        'missed': '未能加入购物车：您的访问已过期，或浏览器拒绝了 Cookie。请再试一次。',
    },
}


class Visitor:
    """Who asks. Only the gateway can set these headers: it takes them off every request that comes in."""

    def __init__(self, headers):
        self.user = unquote(headers.get('Remote-User', ''))
        self.name = unquote(headers.get('Remote-Name', '')) or self.user
        self.groups = [unquote(g) for g in headers.get('Remote-Groups', '').split(',') if g]
        self.session = headers.get('Latchkey-Session', '')
        # What the visitor showed: the gateway sees it again when we ask it for the session of this visitor.
        self.credential = {k: headers[k] for k in ('Cookie', 'Authorization', 'User-Agent') if headers[k]}
        self.language = (language_chosen(headers.get('Cookie', '')) or
                         language_of(headers.get('Accept-Language', '')))


class Unavailable(Exception):
    """The gateway could not be asked, which is not the same as an empty cart."""


class NoSession(Exception):
    """This visitor has none that we could keep the cart in."""


class Cart:
    """The cart of one visitor: {'kettle': 2}, kept by the gateway as the field `cart` of that session."""

    def __init__(self, gateway, visitor):
        self.gateway, self.visitor = gateway, visitor

    def read(self):
        return self._call('GET')[0]

    def add(self, item, count):
        """Another tab or node may write at the same time. So: read, change, write only if nobody else has (If-Match);
        else read again. No add is ever lost."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            items, etag = self._call('GET')
            if etag == '"0"':
                raise NoSession
            number = min(max(items.get(item, 0) + count, 0), MOST)
            if self._call('PATCH', {'cart': {item: number or None}}, etag) is not None:
                return
            time.sleep(random.uniform(0.001, 0.02))
        raise Unavailable('too many others write this cart')

    def _call(self, method, patch=None, if_match=None):
        """(items, etag); None when somebody else was faster."""
        headers = dict(self.visitor.credential)
        body = None
        if patch is not None:
            body = json.dumps(patch)
            headers.update({'Content-Type': 'application/merge-patch+json', 'If-Match': if_match})
        kind = http.client.HTTPSConnection if self.gateway.scheme == 'https' else http.client.HTTPConnection
        connection = kind(self.gateway.netloc, timeout=5)
        try:
            connection.request(method, '/auth/session/data', body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if method == 'PATCH' and answer.status in (409, 412):
                return None
            if answer.status != 200:
                raise Unavailable(f'the gateway answered {answer.status}')
            return clean(json.loads(text).get('cart')), answer.headers['ETag']
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(str(error)) from error
        finally:
            connection.close()


def clean(cart):
    """What is in the session may be of an older shop: take only what we know."""
    cart = cart if isinstance(cart, dict) else {}
    return {i: n for i, n in cart.items() if i in ITEMS and isinstance(n, int) and 0 < n <= MOST}


def language_chosen(cookies):
    """The language links of the gateway's pages leave this cookie: the shop follows."""
    for cookie in cookies.split(';'):
        name, _, value = cookie.strip().partition('=')
        if name == 'latchkey_lang' and value in TEXTS:
            return value
    return None


def language_of(accept_language):
    best, best_weight = 'en', 0.0
    for part in accept_language.split(','):
        tag, _, weight = part.strip().lower().partition(';q=')
        try:
            weight = float(weight or 1)
        except ValueError:
            continue
        found = {'en': 'en', 'zh': 'zh-CN'}.get(tag.split('-')[0])
        if found and weight > best_weight:
            best, best_weight = found, weight
    return best


def form(action, item, label, text):
    """A button that changes something is a form with POST, as the gateway's CSRF check wants it."""
    return (f'<form method="post" action="/cart/{action}"><input type="hidden" name="item" value="{item}">'
            f'<button aria-label="{escape(label)}">{escape(text)}</button></form>')


def page(visitor, node, items, missed=False):
    """The whole page; ITEMS is None when the cart could not be read, MISSED says that an item did not get into it."""
    t = TEXTS[visitor.language]
    goods = ''.join(f'<li><h2>{t[i]}</h2><p class="price">€ {price}</p>'
                    f'{form("add", i, t["add"] + ": " + t[i], t["add"])}</li>' for i, price in ITEMS.items())
    cart = f'<p>{t["empty"]}</p>' if items == {} else f'<p role="alert" class="problem">{t["unknown"]}</p>'
    if items:
        rows = ''.join(
            f'<tr><th scope="row">{t[i]}</th><td>{form("remove", i, t["fewer"] + ": " + t[i], "−")}'
            f'<span class="count">{n}</span>{form("add", i, t["more"] + ": " + t[i], "+")}</td>'
            f'<td class="price">€ {n * ITEMS[i]}</td></tr>' for i, n in sorted(items.items()))
        total = sum(n * ITEMS[i] for i, n in items.items())
        cart = (f'<table>{rows}<tfoot><tr><th scope="row">{t["total"]}</th><td></td>'
                f'<td class="price">€ {total}</td></tr></tfoot></table>')
    if missed and items is not None:
        cart = f'<p role="alert" class="problem">{t["missed"]}</p>' + cart
    if visitor.user:
        links = (f'<a href="/auth/account">{t["account"]}</a> '
                 f'<a href="/auth/logout?return=/">{t["sign_out"]}</a>')
        told = ''.join(f'<dt>{k}</dt><dd>{escape(v) or "–"}</dd>' for k, v in (
            ('Remote-User', visitor.user), ('Remote-Name', visitor.name),
            ('Remote-Groups', ', '.join(visitor.groups)), ('Latchkey-Session', visitor.session)))
    else:
        links = (f'<a href="/auth/login?return=/">{t["sign_in"]}</a> '
                 f'<a href="/auth/register?return=/">{t["register"]}</a>')
        told = f'<dt>Remote-User</dt><dd>{t["nobody"]}</dd>'
    return PAGE.substitute(
        lang=visitor.language, title=t['title'], hello=t['hello'], who=escape(visitor.name or t['guest']),
        account=t['account'], links=links, goods=goods, cart_title=t['cart'], cart=cart, told_title=t['told'],
        told=told, answered=t['answered'], node=escape(node))


class Shop(BaseHTTPRequestHandler):
    timeout, node, gateway = 30, None, None

    def do_GET(self):
        (path, _, query), visitor = self.path.partition('?'), Visitor(self.headers)
        if path == '/' and query == 'missed' and not visitor.session:  # this gateway gives sessions at login only
            self.answer(303, 'text/plain', b'', [('Location', '/auth/login?return=/')])
        elif path == '/':
            try:
                items = Cart(self.gateway, visitor).read()
            except Unavailable as error:
                items = None
                self.complain(error)
            body = page(visitor, self.node, items, query == 'missed').encode()
            self.answer(200 if items is not None else 503, 'text/html; charset=utf-8', body,
                        [('Content-Language', visitor.language)])
        elif path == '/shop.css':
            self.answer(200, 'text/css; charset=utf-8', STYLE, cache='max-age=300')
        elif path == '/api/whoami':
            who = {'user': visitor.user, 'name': visitor.name, 'groups': visitor.groups, 'node': self.node}
            self.answer(200, 'application/json', json.dumps(who, ensure_ascii=False).encode())
        else:
            self.answer(404, 'text/plain; charset=utf-8', b'There is no such page.\n')

    do_HEAD = do_GET

    def do_POST(self):
        path = self.path.partition('?')[0]
        count = {'/cart/add': 1, '/cart/remove': -1}.get(path)
        length = self.headers.get('Content-Length', '')
        if count is None:
            return self.answer(404, 'text/plain; charset=utf-8', b'There is no such page.\n')
        if not length.isdecimal() or int(length) > BODY_MAX:
            return self.answer(413, 'text/plain; charset=utf-8', b'The form is too long.\n')
        item = parse_qs(self.rfile.read(int(length)).decode('utf-8', 'replace')).get('item', [''])[0]
        if item not in ITEMS:
            return self.answer(422, 'text/plain; charset=utf-8', b'There is no such item.\n')
        try:
            Cart(self.gateway, Visitor(self.headers)).add(item, count)
        except Unavailable as error:
            self.complain(error)
            return self.answer(503, 'text/plain; charset=utf-8', b'The cart could not be changed. Please try again.\n',
                               [('Retry-After', '1')])
        except NoSession:  # the page that tells so brings the next session along
            return self.answer(303, 'text/plain', b'', [('Location', '/?missed')])
        return self.answer(303, 'text/plain', b'', [('Location', '/')])

    def answer(self, status, kind, body, headers=(), cache='no-store'):
        self.send_response(status)
        for name, value in [('Content-Type', kind), ('Content-Length', str(len(body))), ('Cache-Control', cache),
                            ('Vary', 'Accept-Language, Cookie'), ('X-Content-Type-Options', 'nosniff'),
                            ('Referrer-Policy', 'same-origin'), ('Content-Security-Policy', "default-src 'none'; "
                             "style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"), *headers]:
            self.send_header(name, value)
        try:
            self.end_headers()
            if self.command != 'HEAD':
                self.wfile.write(body)
        except ConnectionError:  # who asked did not wait
            self.close_connection = True

    def complain(self, error):
        print(f'shop {self.node}: {error}', file=sys.stderr, flush=True)

    def log_message(self, format, *args):
        pass  # the gateway has an access log


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--node', required=True, help='the name this node shows')
    parser.add_argument('--gateway', required=True, type=urlsplit, help='http://127.0.0.1:8080')
    options = parser.parse_args()
    Shop.node, Shop.gateway = options.node, options.gateway
    ThreadingHTTPServer(('127.0.0.1', options.port), Shop).serve_forever()


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
