// SPDX-License-Identifier: Apache-2.0
// Somebody with an account, without any script: sessions on several devices, the password, and wrong entries.
import assert from 'node:assert/strict';
import { OTHER_PASSWORD, PASSWORD } from './lab.mjs';

// One account, logged in twice: the second browser is `phone`.
async function two_devices(lab) {
    const alice = await lab.visitor(), phone = await lab.visitor(), name = lab.name();
    await alice.join(name);
    await phone.login(name);
    return { alice, phone, name };
}

async function is_out(visitor) {
    assert.equal(await visitor.greeted(), 'Hello, guest');
    await visitor.open('/auth/account');
    assert.match(visitor.path, /^\/auth\/login/);
}

export async function the_account_lists_this_session_first(lab) {
    const { alice, phone, name } = await two_devices(lab);
    for (const visitor of [alice, phone]) {
        await visitor.open('/auth/account');
        assert.equal(await visitor.text('main strong'), name);
        assert.deepEqual(await visitor.texts('.sessions h3'), ['Chrome · Linux This device', 'Chrome · Linux']);
        assert.equal(await visitor.count('.sessions li:first-child[aria-current=true]'), 1);
        assert.match(await visitor.text('.sessions dl'), /127\.0\.0\.1/);
    }
}

export async function a_session_ended_from_another_device_is_out_on_its_next_load(lab) {
    const { alice, phone, name } = await two_devices(lab);
    await alice.open('/auth/account');
    await alice.press('.sessions li:nth-child(2) a');
    assert.equal(await alice.text('h1'), 'Sign out this session?');
    assert.equal(await phone.greeted(), `Hello, ${name}`, 'asking ends nothing');
    await alice.submit();
    assert.equal(alice.path, '/auth/account');
    assert.equal(await alice.count('.sessions li'), 1);
    await phone.open('/auth/account');
    assert.match(phone.path, /^\/auth\/login\?/);
    assert.match(await phone.text('[role=status]'), /Please sign in again/);
    await is_out(phone);
    assert.equal(await alice.greeted(), `Hello, ${name}`);
}

export async function this_session_may_be_ended_from_the_list(lab) {
    const { alice, phone, name } = await two_devices(lab);
    await alice.open('/auth/account');
    await alice.press('.sessions li:first-child a');
    assert.equal(await alice.text('.notice'), 'This is the device you are using now.');
    await alice.submit();
    assert.equal(await alice.text('[role=status]'), 'You are signed out.');
    await is_out(alice);
    assert.equal(await phone.greeted(), `Hello, ${name}`);
}

export async function all_others_are_signed_out_at_once(lab) {
    const { alice, phone, name } = await two_devices(lab);
    await alice.open('/auth/account');
    await alice.press('a:text("Sign out all others")');
    await alice.submit();
    assert.deepEqual(await alice.texts('.sessions h3'), ['Chrome · Linux This device']);
    await is_out(phone);
    assert.equal(await alice.greeted(), `Hello, ${name}`);
}

export async function sign_out_everywhere_leaves_nobody_in(lab) {
    const { alice, phone } = await two_devices(lab);
    await alice.open('/auth/account');
    await alice.press('a:text("Sign out everywhere")');
    assert.equal(await alice.text('h1'), 'Sign out everywhere?');
    await alice.submit();
    assert.equal(await alice.text('[role=status]'), 'You are signed out.');
    await is_out(alice);
    await is_out(phone);
}

export async function a_new_password_ends_the_other_sessions(lab) {
    const { alice, phone, name } = await two_devices(lab);
    await alice.open('/auth/account');
    await alice.press('a:text("Change password")');
    assert.equal(await alice.page.inputValue('#username'), name, 'password managers need the name');
    await alice.submit({ current: PASSWORD, new: OTHER_PASSWORD });
    assert.match(await alice.text('[role=status]'), /Your password is changed/);
    await is_out(phone);
    assert.equal(await alice.greeted(), `Hello, ${name}`);
    await phone.login(name, PASSWORD);
    assert.equal(await phone.text('[role=alert]'), 'The name or the password is wrong.');
    await phone.login(name, OTHER_PASSWORD);
    assert.equal(await phone.greeted(), `Hello, ${name}`);
}

export async function a_wrong_current_password_changes_nothing(lab) {
    const { alice, phone, name } = await two_devices(lab);
    await alice.open('/auth/password');
    await alice.submit({ current: 'sleepy badger 19', new: OTHER_PASSWORD });
    assert.equal(await alice.page.locator(':focus').getAttribute('role'), 'alert');
    assert.equal(await phone.greeted(), `Hello, ${name}`);
    await phone.login(name, PASSWORD);
    assert.equal(await phone.greeted(), `Hello, ${name}`);
}

export async function a_wrong_password_puts_the_focus_on_what_is_wrong_and_keeps_the_name(lab) {
    const alice = await lab.visitor(), name = lab.name();
    await lab.register(name);
    await alice.login(name, 'sleepy badger 19');
    const focused = alice.page.locator(':focus');
    assert.equal(await focused.getAttribute('role'), 'alert');
    assert.equal((await focused.innerText()).trim(), 'The name or the password is wrong.');
    assert.equal(await alice.page.inputValue('#username'), name);
    assert.equal(await alice.page.inputValue('#password'), '');
    for (const id of ['username', 'password']) {
        assert.equal(await alice.page.getAttribute(`#${id}`, 'aria-invalid'), 'true');
        assert.equal(await alice.page.getAttribute(`#${id}`, 'aria-describedby'), await focused.getAttribute('id'));
    }
    assert.match(await alice.page.title(), /^That did not work/);
    await alice.submit({ password: PASSWORD });
    assert.equal(await alice.text('.who'), `Hello, ${name}`);
}

export async function a_weak_password_is_refused_with_the_reason(lab) {
    const alice = await lab.visitor();
    await alice.open('/auth/register');
    await alice.submit({ username: lab.name(), password: 'password1' });
    assert.match(await alice.text('[role=alert]'), /dictionary/);
    assert.equal(await alice.page.locator(':focus').getAttribute('role'), 'alert');
}

export async function a_name_that_is_taken_is_told_at_the_field(lab) {
    const alice = await lab.visitor(), name = lab.name();
    await lab.register(name);
    await alice.open('/auth/register');
    await alice.submit({ username: name, password: OTHER_PASSWORD });
    assert.match(await alice.text('[role=alert]'), /This name is taken/);
    assert.equal(await alice.page.getAttribute('#username', 'aria-invalid'), 'true');
    assert.equal(await alice.page.inputValue('#username'), name);
}

export async function a_name_made_of_html_is_shown_as_text(lab) {
    const alice = await lab.visitor(), name = lab.name('<b id=x>A&amp;"\'</b>');
    await lab.register(name);
    await alice.login(name, 'sleepy badger 19');
    assert.equal(await alice.page.inputValue('#username'), name);
    await alice.submit({ password: PASSWORD });
    assert.equal(await alice.text('.who'), `Hello, ${name}`);
    assert.equal(await alice.text('dd'), name);
    assert.equal(await alice.count('#x'), 0);
    await alice.open('/auth/account');
    assert.equal(await alice.text('main strong'), name);
    assert.equal(await alice.text('.who'), name);
    assert.equal(await alice.count('#x'), 0);
}

export async function a_name_in_chinese_is_greeted_in_chinese(lab) {
    const zhang = await lab.visitor({ locale: 'zh-CN' }), name = lab.name('张伟');
    await zhang.join(name);
    assert.equal(await zhang.text('.who'), `您好，${name}`);
    await zhang.open('/auth/account');
    assert.equal(await zhang.text('main strong'), name);
}

export async function the_browser_asks_for_chinese_and_gets_it(lab) {
    const zhang = await lab.visitor({ locale: 'zh-CN' });
    const pages = { '/auth/login': '登录', '/auth/register': '创建账户', '/': '双节点小店' };
    for (const [path, title] of Object.entries(pages)) {
        const answer = await zhang.open(path);
        assert.equal(answer.headers()['content-language'], 'zh-CN');
        assert.equal(await zhang.page.getAttribute('html', 'lang'), 'zh-CN');
        assert.equal(await zhang.text('h1'), title);
    }
}

export async function the_language_link_is_remembered_and_stays_on_the_page(lab) {
    const alice = await lab.visitor(), name = lab.name();
    await lab.register(name);
    await alice.open('/auth/login?return=%2F%3Fshelf%3D2');
    await alice.press('footer a:text("简体中文")');
    assert.equal(await alice.text('h1'), '登录');
    await alice.submit({ username: name, password: PASSWORD });
    assert.equal(alice.path, '/?shelf=2');
    assert.equal(await alice.text('.who'), `您好，${name}`);
    await alice.open('/auth/account');
    assert.equal(await alice.text('h1'), '您的账户');
    await alice.press('footer a:text("English")');
    assert.equal(await alice.text('h1'), 'Your account');
    assert.equal(await alice.greeted(), `Hello, ${name}`);
}
