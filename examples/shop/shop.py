#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small shop that knows nothing of login: the gateway in front of it tells who asks, and keeps the cart.

    shop.py --port 3000 --node north

Two things make it an application behind latchkey, and both are headers: `Visitor` reads who asks and what is in the
cart from the request, and the answer to a form says what to add to it. The rest is a shop.
"""
import argparse
import json
import pathlib
import string
import sys
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

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
        'nobody': 'nothing: you are not signed in',
    },
    'zh-CN': {
        'title': '双节点小店', 'kettle': '水壶', 'lantern': '提灯', 'compass': '指南针', 'blanket': '毛毯',
        'add': '加入购物车', 'more': '加一件', 'fewer': '减一件', 'cart': '购物车', 'empty': '还没有商品。',
        'total': '合计', 'hello': '您好，', 'guest': '访客', 'sign_in': '登录', 'register': '注册',
        'sign_out': '退出登录', 'account': '账户', 'answered': '此页面由以下节点提供：', 'told': '网关告知的身份信息',
        'nobody': '无：您尚未登录',
    },
}


class Visitor:
    """Who asks. Only the gateway can set these headers: it takes them off every request that comes in."""

    def __init__(self, headers):
        self.user = unquote(headers.get('Remote-User', ''))
        self.name = unquote(headers.get('Remote-Name', '')) or self.user
        self.groups = [unquote(g) for g in headers.get('Remote-Groups', '').split(',') if g]
        self.session = headers.get('Latchkey-Session', '')
        self.cart = clean(headers.get('Latchkey-Data-cart', ''))
        self.language = (language_chosen(headers.get('Cookie', '')) or
                         language_of(headers.get('Accept-Language', '')))


def clean(cart):
    """What the gateway keeps as the field `cart` of the session, {"kettle": 2}. It may be of an older shop, and two tabs
    may have added at once: take only what we know, as many as we sell."""
    try:
        cart = json.loads(cart or '{}')
    except ValueError:
        cart = {}
    cart = cart if isinstance(cart, dict) else {}
    return {i: min(n, MOST) for i, n in cart.items() if i in ITEMS and isinstance(n, int) and n > 0}


def change(cart, item, count):
    """The header by which the gateway changes the cart: an addition, so that two at the same moment both count."""
    if not 0 <= cart.get(item, 0) + count <= MOST:
        count = 0
    return 'Latchkey-Add-Data', json.dumps({'cart': {item: count}})


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


def page(visitor, node):
    t = TEXTS[visitor.language]
    goods = ''.join(f'<li><h2>{t[i]}</h2><p class="price">€ {price}</p>'
                    f'{form("add", i, t["add"] + ": " + t[i], t["add"])}</li>' for i, price in ITEMS.items())
    cart, items = f'<p>{t["empty"]}</p>', visitor.cart
    if items:
        rows = ''.join(
            f'<tr><th scope="row">{t[i]}</th><td>{form("remove", i, t["fewer"] + ": " + t[i], "−")}'
            f'<span class="count">{n}</span>{form("add", i, t["more"] + ": " + t[i], "+")}</td>'
            f'<td class="price">€ {n * ITEMS[i]}</td></tr>' for i, n in sorted(items.items()))
        total = sum(n * ITEMS[i] for i, n in items.items())
        cart = (f'<table>{rows}<tfoot><tr><th scope="row">{t["total"]}</th><td></td>'
                f'<td class="price">€ {total}</td></tr></tfoot></table>')
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
    timeout, node = 30, None

    def do_GET(self):
        path, visitor = self.path.partition('?')[0], Visitor(self.headers)
        if path == '/':
            self.answer(200, 'text/html; charset=utf-8', page(visitor, self.node).encode(),
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
        return self.answer(303, 'text/plain', b'', [('Location', '/'), change(Visitor(self.headers).cart, item, count)])

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

    def log_message(self, format, *args):
        pass  # the gateway has an access log


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--node', required=True, help='the name this node shows')
    options = parser.parse_args()
    Shop.node = options.node
    ThreadingHTTPServer(('127.0.0.1', options.port), Shop).serve_forever()


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
