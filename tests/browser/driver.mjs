// SPDX-License-Identifier: Apache-2.0
// Runs flows in Chromium for test_browser.py: a line {"file", "flow"} comes in, a line {"error"} goes out.
//
//   node driver.mjs http://127.0.0.1:8080
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { Lab } from './lab.mjs';

const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    headless: true,
    ignoreDefaultArgs: ['--disable-back-forward-cache'], // people's browsers have it
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
});

for await (const line of createInterface({ input: process.stdin })) {
    const { file, flow } = JSON.parse(line);
    const lab = new Lab(browser, process.argv[2]);
    let error = null;
    try {
        const flows = await import(`./${file}`);
        await flows[flow](lab);
        lab.check();
    } catch (caught) {
        error = `${caught.stack}\n${lab.describe()}`;
    }
    await lab.close();
    process.stdout.write(`${JSON.stringify({ error })}\n`);
}
await browser.close();
