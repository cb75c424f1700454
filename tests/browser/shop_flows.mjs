// SPDX-License-Identifier: Apache-2.0
// A visitor of the shop, without any script: cart, registration, login, and the ways between shop and login.
import assert from 'node:assert/strict';
import { PASSWORD } from './lab.mjs';

export async function a_cart_filled_before_the_login_is_there_after_it(lab) {
    const alice = await lab.visitor(), name = lab.name();
    await alice.open('/');
    assert.equal(await alice.text('.who'), 'Hello, guest');
    await alice.buy('Compass');
    await alice.buy('Kettle');
    await alice.press('button[aria-label="One more: Kettle"]');
    assert.deepEqual(await alice.cart(), { compass: 1, kettle: 2 });
    await alice.press('nav a:text("Register")');
    await alice.submit({ username: name, password: PASSWORD });
    assert.equal(await alice.text('[role=status]'), 'Your account is ready. Sign in to use it.');
    const before = await alice.cookie();
    await alice.submit({ username: name, password: PASSWORD });
    assert.equal(alice.path, '/');
    assert.equal(await alice.text('.who'), `Hello, ${name}`);
    assert.deepEqual(await alice.cart(), { compass: 1, kettle: 2 });
    assert.notEqual((await alice.cookie()).value, before.value, 'a login gives a new session id');
    await alice.press('button[aria-label="One fewer: Compass"]');
    assert.deepEqual(await alice.cart(), { kettle: 2 });
}

export async function the_cart_is_the_same_on_both_nodes(lab) {
    const alice = await lab.visitor(), seen = new Set();
    await alice.join(lab.name());
    await alice.buy('Lantern');
    for (let i = 0; i < 20 && seen.size < 2; i++) {
        await alice.open('/');
        seen.add(await alice.text('.node'));
        assert.deepEqual(await alice.cart(), { lantern: 1 });
    }
    assert.deepEqual([...seen].sort(), ['north', 'south']);
}

export async function the_cart_belongs_to_one_visitor(lab) {
    const alice = await lab.visitor(), bob = await lab.visitor();
    await alice.open('/');
    await alice.buy('Blanket');
    await bob.open('/');
    assert.deepEqual(await bob.cart(), {});
    assert.equal(await bob.text('#cart + p'), 'There is nothing in it yet.');
}

export async function whoever_lost_the_cookie_begins_a_new_cart_with_what_is_bought(lab) {
    const alice = await lab.visitor();
    await alice.open('/');
    await alice.buy('Compass');
    await alice.context.clearCookies();
    await alice.buy('Kettle');
    assert.deepEqual(await alice.cart(), { kettle: 1 });
    assert.equal(await alice.count('[role=alert]'), 0);
}

export async function the_cookie_is_gone_with_the_browser_unless_it_shall_stay(lab) {
    const alice = await lab.visitor(), name = lab.name(), now = Date.now() / 1000;
    await alice.join(name);
    const cookie = await alice.cookie();
    assert.equal(cookie.expires, -1);
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, 'Lax');
    const phone = await lab.visitor();
    await phone.open('/auth/login?return=%2F');
    await phone.submit({ username: name, password: PASSWORD, remember: true });
    assert.equal(await phone.text('.who'), `Hello, ${name}`);
    // the session goes with this browser as well: the device stays, and is given the next one
    assert.equal((await phone.cookie()).expires, -1);
    const device = (await phone.context.cookies()).find(c => c.name.endsWith('-device'));
    assert.ok(device.expires > now + 86400 && device.httpOnly && device.sameSite === 'Lax');
    await phone.context.clearCookies({ name: (await phone.cookie()).name });
    await phone.open('/');
    assert.equal(await phone.text('.who'), `Hello, ${name}`);
    assert.equal((await alice.context.cookies()).find(c => c.name.endsWith('-device')), undefined);
}

export async function whoever_signs_out_is_a_guest_of_the_shop_again(lab) {
    const alice = await lab.visitor();
    await alice.join(lab.name());
    await alice.buy('Blanket');
    await alice.press('nav a:text("Sign out")');
    assert.equal(await alice.text('h1'), 'Sign out?');
    await alice.submit();
    assert.equal(alice.path, '/');
    assert.equal(await alice.text('.who'), 'Hello, guest');
    assert.deepEqual(await alice.cart(), {});
}

export async function sign_out_may_be_thought_better_of(lab) {
    const alice = await lab.visitor(), name = lab.name();
    await alice.join(name);
    await alice.press('nav a:text("Sign out")');
    await alice.press('a:text("Cancel")');
    assert.equal(alice.path, '/');
    assert.equal(await alice.text('.who'), `Hello, ${name}`);
}

export async function the_back_button_shows_nothing_private_after_sign_out(lab) {
    const alice = await lab.visitor(), name = lab.name();
    await alice.join(name);
    for (const path of ['/auth/account', '/auth/password', '/']) {
        const answer = await alice.open(path);
        assert.match(answer.headers()['cache-control'], /no-store/);
        assert.match(await alice.page.content(), new RegExp(name));
    }
    await alice.back();
    assert.equal(alice.path, '/auth/password');
    assert.match(await alice.page.content(), new RegExp(name), 'until then the button works');
    await alice.open('/');
    await alice.press('nav a:text("Sign out")');
    await alice.submit();
    for (let i = 0; i < 5; i++) {
        await alice.back();
        assert.doesNotMatch(await alice.page.content(), new RegExp(name), alice.page.url());
    }
}

export async function login_leads_back_to_the_page_it_was_asked_for(lab) {
    const alice = await lab.visitor(), name = lab.name();
    await lab.register(name);
    await alice.login(name, PASSWORD, '/?shelf=2&row=b');
    assert.equal(alice.path, '/?shelf=2&row=b');
    const bob = await lab.visitor();
    await bob.open('/auth/password');
    assert.equal(bob.path, '/auth/login?return=/auth/password');
    await bob.submit({ username: name, password: PASSWORD });
    assert.equal(bob.path, '/auth/password');
}

export async function login_leads_to_no_other_site(lab) {
    const alice = await lab.visitor(), name = lab.name();
    await lab.register(name);
    for (const elsewhere of ['//elsewhere.example/', 'https://elsewhere.example/', '/\\elsewhere.example']) {
        await alice.context.clearCookies();
        await alice.login(name, PASSWORD, elsewhere);
        assert.equal(alice.path, '/auth/account');
    }
}
