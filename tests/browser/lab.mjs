// SPDX-License-Identifier: Apache-2.0
// What the flows are made of: visitors, each with a browser context of its own, and a watch over what they load.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

export const PASSWORD = 'wandering heron 42';
export const OTHER_PASSWORD = 'quiet lantern 77 river';

// One flow's share of the browser.
export class Lab {
    constructor(browser, site) {
        this.browser = browser;
        this.site = site;
        this.visitors = [];
    }

    // Somebody with an empty cookie jar. Scripts are off unless asked for.
    async visitor(options = {}) {
        const context = await this.browser.newContext({
            baseURL: this.site, javaScriptEnabled: false, locale: 'en-US', viewport: { width: 1000, height: 700 },
            ...options,
        });
        context.setDefaultTimeout(20000);
        const visitor = new Visitor(this, context, await context.newPage());
        this.visitors.push(visitor);
        return visitor;
    }

    // A name nobody has yet.
    name(stem = 'alice') {
        return `${stem}-${randomBytes(4).toString('hex')}`;
    }

    // What a program sends, not a browser; an account or a session is made.
    async send(path, username) {
        const answer = await fetch(this.site + path, {
            method: 'POST', headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ username, password: PASSWORD }),
        });
        assert.ok(answer.ok, await answer.text());
    }

    // An account, quicker than by the form.
    async register(name) {
        await this.send('/auth/register', name);
    }

    // No page may have done what it must not do, whatever the flow looked at.
    check() {
        assert.deepEqual(this.visitors.flatMap(visitor => visitor.complaints), []);
    }

    // Where everybody is: for the message of a failed test.
    describe() {
        return this.visitors.map(({ page, complaints }) => `at ${page.url()} ${complaints.join('; ')}`).join('\n');
    }

    async close() {
        for (const { context } of this.visitors)
            await context.close();
    }
}

export class Visitor {
    constructor(lab, context, page) {
        this.lab = lab;
        this.context = context;
        this.page = page;
        this.complaints = [];
        this.watch(new URL(lab.site).host);
    }

    // Errors on the console (broken content security policies are told there), scripts that throw, requests to any
    // other host, and parts of a page that do not load. A page itself may be a 404 on purpose, but never a 500.
    watch(host) {
        const complain = text => this.complaints.push(text);
        this.context.on('console', message => {
            if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
                complain(`console: ${message.text()}`);
        });
        this.context.on('weberror', error => complain(`script: ${error.error()}`));
        this.context.on('request', request => {
            if (new URL(request.url()).host !== host)
                complain(`request to ${request.url()}`);
        });
        this.context.on('requestfailed', request => complain(`${request.failure().errorText}: ${request.url()}`));
        this.context.on('response', response => {
            const bound = response.request().resourceType() === 'document' ? 500 : 400;
            if (response.status() >= bound)
                complain(`${response.status()}: ${response.url()}`);
            if (bound === 500 && !response.headers()['content-security-policy'] && !response.headers().location)
                complain(`no content security policy: ${response.url()}`);
        });
    }

    // Gives the answer, redirects followed.
    async open(path) {
        return await this.page.goto(path, { waitUntil: 'load' });
    }

    // Click what leads to another page, and wait for that.
    async press(target) {
        const what = typeof target === 'string' ? this.page.locator(target) : target;
        const loaded = this.page.waitForEvent('load');
        await what.click();
        await loaded;
    }

    // A page that comes back as it was left loads nothing.
    async back() {
        await this.page.goBack({ waitUntil: 'commit' });
        await this.page.locator('h1').waitFor();
    }

    // The button of the page's form; forms of the shop have others.
    async submit(fields = {}) {
        for (const [id, value] of Object.entries(fields)) {
            if (value === true)
                await this.page.check(`#${id}`);
            else
                await this.page.fill(`#${id}`, value);
        }
        await this.press('main form button');
    }

    // An account made and logged in with; the shop is on the screen.
    async join(name) {
        await this.lab.register(name);
        await this.login(name);
    }

    async login(name, password = PASSWORD, back = '/') {
        await this.open(`/auth/login?return=${encodeURIComponent(back)}`);
        await this.submit({ username: name, password });
    }

    get path() {
        const { pathname, search } = new URL(this.page.url());
        return pathname + search;
    }

    async text(selector) {
        return (await this.page.locator(selector).first().innerText()).trim();
    }

    async texts(selector) {
        return (await this.page.locator(selector).allInnerTexts()).map(text => text.trim());
    }

    async count(selector) {
        return await this.page.locator(selector).count();
    }

    // The shop's page: {compass: 1}, the count of each article in the cart.
    async cart() {
        const articles = await this.texts('tbody th');
        const counts = await this.texts('.count');
        return Object.fromEntries(articles.map((article, i) => [article.toLowerCase(), Number(counts[i])]));
    }

    async buy(article) {
        await this.press(`button[aria-label="Add to cart: ${article}"]`);
    }

    // Whom the shop greets.
    async greeted() {
        await this.open('/');
        return await this.text('.who');
    }

    async cookie(name = 'latchkey') {
        return (await this.context.cookies()).find(cookie => cookie.name === name);
    }
}
