// SPDX-License-Identifier: Apache-2.0
// Every page there is, as it looks and as it is told to people who do not see it: by axe-core, and by measuring.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { OTHER_PASSWORD, PASSWORD } from './lab.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const STANDARDS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const TARGET_MIN = 24; // CSS pixels, WCAG 2.5.8

// Lead VISITOR over every page, from guest to guest, and look at each with LOOK(page's label).
async function every_page(lab, visitor, name, look) {
    const show = async (label, path) => {
        if (path)
            await visitor.open(path);
        await look(label);
    };
    await show('shop, guest', '/');
    await visitor.press('.goods li:nth-child(1) button');
    await visitor.press('.goods li:nth-child(3) button');
    await show('shop, cart');
    await show('shop, item missed', '/?missed');
    await show('register', '/auth/register?return=%2F');
    await visitor.submit({ username: name, password: 'password1' });
    await show('register, refused');
    await visitor.submit({ username: name, password: PASSWORD });
    await show('login, registered');
    await visitor.submit({ username: name, password: 'sleepy badger 19' });
    await show('login, refused');
    await visitor.submit({ username: name, password: PASSWORD });
    await show('shop, signed in');
    await show('account, one session', '/auth/account');
    await lab.send('/auth/login', name); // a session of something that is no browser
    await show('account, two sessions', '/auth/account');
    await visitor.press('.sessions li:nth-child(2) a');
    await show('confirm, another session');
    await visitor.open('/auth/account');
    await visitor.press('.sessions li:first-child a');
    await show('confirm, this session');
    await show('confirm, all others', '/auth/sessions/others');
    await show('confirm, everywhere', '/auth/logout?everywhere=1');
    await show('password', '/auth/password');
    await visitor.submit({ current: 'sleepy badger 19', new: OTHER_PASSWORD });
    await show('password, refused');
    await visitor.submit({ current: PASSWORD, new: OTHER_PASSWORD });
    await show('account, password changed');
    await show('problem', '/auth/nothing');
    await show('confirm, sign out', '/auth/logout');
    await visitor.submit();
    await show('login, signed out');
    await show('login, session over', '/auth/login?notice=session_over');
    await show('login', '/auth/login');
}

// axe-core is a script: it needs them on, and the pages' policy out of its way.
async function look_with_axe(visitor) {
    await visitor.page.evaluate(axe);
    const run = async (runOnly, rules) => await visitor.page.evaluate(
        async options => (await window.axe.run(options)).violations,
        { runOnly, rules, resultTypes: ['violations'] });
    const day = await run(STANDARDS, { 'target-size': { enabled: true } });
    // By night nothing differs but the colours.
    await visitor.page.emulateMedia({ colorScheme: 'dark' });
    const night = await run(['color-contrast']);
    await visitor.page.emulateMedia({ colorScheme: 'light' });
    return [...day, ...night].flatMap(({ id, nodes }) => nodes.map(node => `${id}: ${node.html} ${node.failureSummary}`));
}

// Fields without a label or autocomplete, and things to press that are too small.
async function look_with_a_ruler(visitor) {
    return await visitor.page.evaluate(min => {
        const wrong = [];
        for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
            if (field.labels.length === 0 || field.labels[0].innerText.trim() === '')
                wrong.push(`no label: ${field.outerHTML}`);
            if (field.type !== 'checkbox' && !field.autocomplete)
                wrong.push(`no autocomplete: ${field.outerHTML}`);
        }
        for (const target of document.querySelectorAll('a:not(.skip), button, input:not([type=hidden])')) {
            const { width, height } = target.getBoundingClientRect();
            if (width < min || height < min)
                wrong.push(`${width} x ${height}: ${target.outerHTML}`);
        }
        if (!document.documentElement.lang || document.querySelectorAll('h1').length !== 1 || !document.title)
            wrong.push('lang, title and one h1 are needed');
        return wrong;
    }, TARGET_MIN);
}

async function are_accessible(lab, locale) {
    const visitor = await lab.visitor({ locale, javaScriptEnabled: true, bypassCSP: true });
    const wrong = [];
    await every_page(lab, visitor, lab.name(), async label => {
        assert.equal(await visitor.page.getAttribute('html', 'lang'), locale.replace('-US', ''));
        for (const found of [...await look_with_axe(visitor), ...await look_with_a_ruler(visitor)])
            wrong.push(`${label}: ${found}`);
    });
    assert.deepEqual(wrong, []);
}

export async function pages_in_english_have_no_accessibility_violation_by_day_or_by_night(lab) {
    await are_accessible(lab, 'en-US');
}

export async function pages_in_chinese_have_no_accessibility_violation_by_day_or_by_night(lab) {
    await are_accessible(lab, 'zh-CN');
}

// The longest name is 128 bytes; this one has no place to break.
async function fit(lab, locale) {
    const visitor = await lab.visitor({ locale, viewport: { width: 320, height: 640 } });
    const wrong = [];
    await every_page(lab, visitor, lab.name('W'.repeat(119)), async label => {
        const width = await visitor.page.evaluate(() => document.documentElement.scrollWidth);
        if (width > 320)
            wrong.push(`${label}: ${width}`);
    });
    assert.deepEqual(wrong, []);
}

export async function pages_in_english_fit_320_pixels(lab) {
    await fit(lab, 'en-US');
}

export async function pages_in_chinese_fit_320_pixels(lab) {
    await fit(lab, 'zh-CN');
}

// The watch of every flow (lab.mjs) does the looking. Scripts are on: without them none could be refused.
export async function pages_keep_to_their_own_content_security_policy(lab) {
    const visitor = await lab.visitor({ javaScriptEnabled: true });
    let pages = 0;
    await every_page(lab, visitor, lab.name(), async () => {
        pages++;
    });
    assert.ok(pages > 20);
}

export async function the_watch_and_the_rulers_notice_a_bad_page(lab) {
    const visitor = await lab.visitor({ javaScriptEnabled: true });
    const bad = '<img src="https://elsewhere.example/x.png"><script>document.title = ""</script>' +
        '<link rel="stylesheet" href="/auth/assets/nothing.css"><input><a href="/">i</a></main>';
    await visitor.page.route('**/auth/login', async route => {
        const answer = await route.fetch();
        await route.fulfill({ response: answer, body: (await answer.text()).replace('</main>', bad) });
    });
    await visitor.open('/auth/login');
    const seen = visitor.complaints.splice(0).join('\n');
    assert.match(seen, /elsewhere\.example/);
    assert.match(seen, /console: .*inline script/);
    assert.match(seen, /nothing\.css/);
    assert.equal((await look_with_a_ruler(visitor)).length, 3);
    const free = await lab.visitor({ javaScriptEnabled: true, bypassCSP: true });
    await free.open('/auth/login');
    await free.page.addStyleTag({ content: '@media (prefers-color-scheme: dark) { h1 { color: #444 } }' });
    assert.match((await look_with_axe(free)).join('\n'), /^color-contrast: <h1>/m);
}
