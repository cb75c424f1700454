// SPDX-License-Identifier: Apache-2.0
// signedFetch(key, url, {method, body}) - a request signed with an API key. WebCrypto: browsers, Node, Deno, Bun.
export async function signedFetch(key, url, { method = "GET", body = "", headers = {} } = {}) {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body, u = new URL(url);
  const b64 = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  const time = Math.floor(Date.now() / 1000), nonce = b64(crypto.getRandomValues(new Uint8Array(16)));
  const digest = b64(await crypto.subtle.digest("SHA-256", bytes));
  const text = ["latchkey-signature-v1", method, u.host, u.pathname + u.search, time, nonce, digest, ""].join("\n");
  const secret = await crypto.subtle.importKey("raw", new TextEncoder().encode(key.slice(12)), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const sign = [...new Uint8Array(await crypto.subtle.sign("HMAC", secret, new TextEncoder().encode(text)))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const Authorization = `Latchkey-Signature key=${key.slice(0, 11)}, time=${time}, nonce=${nonce}, body=${digest}, sign=${sign}`;
  return fetch(u, { method, body: bytes.length ? bytes : undefined, headers: { ...headers, Authorization } });
}
