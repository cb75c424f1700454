// SPDX-License-Identifier: Apache-2.0
// cookieless.mjs URL PROFILE: a visitor whose Chromium blocks all cookies and runs no script walks through the shop.
// Prints a line of JSON for each step: what was done, where it led, and whom the page greets.
import fs from 'node:fs';
import { chromium } from 'playwright-core';

const [url, profile] = process.argv.slice(2), password = 'correct horse battery staple';
fs.mkdirSync(`${profile}/Default`, { recursive: true });
fs.writeFileSync(`${profile}/Default/Preferences`,
    JSON.stringify({ profile: { default_content_setting_values: { cookies: 2 } } }));
const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', headless: true, javaScriptEnabled: false,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
});
const page = await context.newPage();
page.setDefaultTimeout(60000);

async function tell(step) {
    const who = await page.locator('#user, .who').allInnerTexts();
    console.log(JSON.stringify({ step, path: new URL(page.url()).pathname, who: who.join(' ').trim() }));
}

async function submit(fields) {
    for (const [name, value] of Object.entries(fields)) await page.fill(`[name=${name}]`, value);
    await page.click('main button[type=submit]');
}

await page.goto(`${url}/shop/`);
await tell('open');
await page.click('#cart button');
await tell('buy');
await page.click('#register');
await submit({ username: 'walker', password });
await tell('register');
await submit({ username: 'walker', password });
await tell('log in');
await page.click('#account');
await tell('account');
await page.goBack();
await page.click('#out');
await submit({});
await tell('log out');
console.log(JSON.stringify({ step: 'cookies', path: '', who: String((await context.cookies()).length) }));
await context.close();
