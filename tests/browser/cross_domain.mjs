// SPDX-License-Identifier: Apache-2.0
// cross_domain.mjs API PROFILE PAGE...: the page of docs/cross-domain.html in Chromium, from each of the origins, goes through both of
// its carriers. Prints a line of JSON for each page: what it was told, what it has in storage, and which cookies there are.
// The profile is that of a person who lets other sites have cookies.
import fs from 'node:fs';
import { chromium } from 'playwright-core';

const [api, profile, ...pages] = process.argv.slice(2), password = 'correct horse battery staple';
fs.mkdirSync(`${profile}/Default`, { recursive: true });
fs.writeFileSync(`${profile}/Default/Preferences`, JSON.stringify({ profile: { cookie_controls_mode: 0 } }));
const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
});

async function visit(url, login) {
    const page = await context.newPage(), said = {};
    page.setDefaultTimeout(60000);
    await page.goto(url);
    await page.fill('#api', api);
    await page.fill('#name', 'ada');
    await page.fill('#password', password);
    for (const by of ['token', 'cookie']) {
        for (const action of ['login', 'who', 'change', 'logout', 'who']) {
            if (!login && (action === 'login' || action === 'logout')) continue;
            await page.click(`#${by}-${action}`);
            await page.waitForFunction(() => document.getElementById('answer').textContent !== '');
            (said[`${by} ${action}`] ??= []).push(await page.textContent('#answer'));
            if (action === 'login') said[`${by} kept`] = await page.evaluate(() => Object.keys(localStorage).join());
        }
    }
    said.script = await page.evaluate(() => document.cookie);
    await page.close();
    return said;
}

for (const page of pages) console.log(JSON.stringify({ page, said: await visit(page, true) }));

// Somebody is logged in by the cookie, and the last page is another's: what can it do?
const own = await context.newPage();
own.setDefaultTimeout(60000);
await own.goto(pages[0]);
await own.fill('#api', api);
await own.fill('#name', 'ada');
await own.fill('#password', password);
await own.click('#cookie-login');
await own.waitForFunction(() => document.getElementById('answer').textContent !== '');
console.log(JSON.stringify({ page: 'another', said: await visit(pages.at(-1), false) }));
await own.click('#cookie-who');
await own.waitForFunction(() => document.getElementById('answer').textContent.startsWith('200'));
console.log(JSON.stringify({ page: 'own', said: { who: await own.textContent('#answer') },
                             cookies: (await context.cookies()).map(c => `${c.name} ${c.sameSite} ${c.httpOnly}`) }));
await context.close();
