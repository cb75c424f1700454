/* SPDX-License-Identifier: Apache-2.0
 *
 * service.h - what the HTTP API does, without any server: request in, response out. Blocking, straight-line.
 */
#ifndef LATCHKEY_SERVICE_H
#define LATCHKEY_SERVICE_H

#include <latchkey/account.h>
#include <latchkey/guard.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_BODY_MAX 16384 /* bytes of a request body; more is 413 */
#define LK_RESPONSE_HEADERS_MAX 20

typedef struct lk_service lk_service;

/* One audit event as a line of JSON (no newline) without any secret, handed to the server to write. */
typedef void (*lk_audit_write)(void *context, lk_view line);

/* Everything is kept and must outlive the service; AUDIT may be NULL and is called from the thread that
 * handles the request. LK_OK; LK_FAULT without memory. */
LK_CHECKED lk_status lk_service_open(const lk_env *env, const lk_settings *settings, lk_guard *guard,
                                     lk_accounts *accounts, lk_audit_write audit, void *audit_context,
                                     lk_service **out, lk_note *note);
void lk_service_close(lk_service *s);

/* What the server allows the page that sent a request (the Origin of which was one of a list). */
typedef enum lk_cors {
    LK_CORS_NONE,       /* nothing, or it was not asked */
    LK_CORS_ORIGIN,     /* to read the answer */
    LK_CORS_CREDENTIALS /* also to come with the visitor's cookies */
} lk_cors;

typedef struct lk_request {
    lk_view method;  /* "GET" */
    lk_view path;    /* normalised, without query: "/auth/login" */
    lk_view query;   /* without '?' */
    lk_view host;    /* Host header, as sent */
    lk_view scheme;  /* "http" or "https", as the server knows it */
    lk_view address; /* of the client */
    lk_view content_type, accept, accept_language, user_agent;
    lk_view origin, referer, sec_fetch_site, if_match;
    lk_view original_uri; /* auth-request endpoints: where the visitor wanted to go, untrusted */
    lk_view body;
    bool body_too_large; /* the server stopped reading at LK_BODY_MAX */
    lk_presented presented;
    lk_view request_id;
    /* latchkey_revocation_lag and latchkey_on_unknown where the API is; as in lk_rule, also the defaults */
    int64_t lag_ms, stale_s;
    lk_lag lag;
    bool stale_safe;
    lk_cors cors;
} lk_request;

typedef struct lk_response_header {
    const char *name;
    lk_view value;
} lk_response_header;

typedef struct lk_response {
    int status;
    lk_response_header
        headers[LK_RESPONSE_HEADERS_MAX]; /* Content-Type included; values live in the response */
    size_t headers_n;
    lk_view body;
    lk_identity identity; /* who asked, for variables and logs */
    void *memory;         /* private */
} lk_response;

/* Does this call hash a password? Such calls go through the server's small bounded queue. Pure. */
bool lk_service_is_slow(const lk_service *s, lk_view method, lk_view path);

/* Answer REQ. Never fails: what goes wrong is a response. Wipe and free with lk_response_free. Safe from
 * several threads. */
void lk_service_handle(lk_service *s, const lk_request *req, lk_response *res);
void lk_response_free(lk_service *s, lk_response *res);

/* How many cookies carry ISSUED: 1, or up to LK_SEALED_PIECES for a sealed session; 0 for NULL. */
size_t lk_cookie_pieces(const lk_issued *issued);
/* The Set-Cookie value of piece number PIECE (0 is the cookie itself, 1 is NAME.1 ...) of ISSUED; where
 * ISSUED has no such piece, or is NULL, the removal of that cookie. Kept beyond the end of the browser for a
 * login that said "remember". Gives LK_OK; LK_REFUSED for a name, value or attribute outside the grammar;
 * LK_FULL when name and value pass 4096 bytes, which browsers drop in silence, or OUT has no room
 * (LK_SET_COOKIE_MAX is enough). Source: RFC 6265bis section 4.1, docs/formats/cookie.md */
#define LK_SET_COOKIE_MAX 5632
LK_CHECKED lk_status lk_cookie_write(const lk_settings *settings, const lk_issued *issued, size_t piece,
                                     int64_t now_s, lk_buf *out);

/* Does an unsafe request that came with a cookie come from our own pages? Fetch metadata, then Origin, then
 * Referer, then what an old browser cannot send cross-site; LK_OK or LK_REFUSED (and counted). FORM_TOKEN is
 * the csrf field of the form, empty when none. Asks nothing of a request whose ID came in a header. Source:
 * docs/formats/csrf.md */
LK_CHECKED lk_status lk_csrf_request(lk_guard *g, const lk_request *req, const lk_identity *id,
                                     lk_view form_token);

/* Is URL a place on ORIGIN ("https://shop.example") to return to after login? A path starting with one '/'
 * whose second character is neither '/' nor '\', no control characters, or an absolute URL of exactly that
 * origin, by the WHATWG rules a browser would resolve it with. LK_OK with the path appended to OUT;
 * LK_REFUSED. SECURITY-RULES 127. */
LK_CHECKED lk_status lk_redirect_check(lk_view origin, lk_view url, lk_buf *out, lk_note *note);

/* The problem document (RFC 9457) the gateway answers a refused request with. */
void lk_problem_write(int status, lk_reason reason, lk_view detail, lk_buf *out);

/* ---- devices: docs/devices.md ---- */

/* The name of the cookie with what a browser's device holds, NUL-terminated. */
#define LK_DEVICE_COOKIE_MAX (LK_COOKIE_NAME_MAX + 8)
void lk_device_cookie_name(const lk_settings *settings, char out[LK_DEVICE_COOKIE_MAX + 1]);
/* Its Set-Cookie value, good for AGE_S; with an empty TEXT its removal. As lk_cookie_write. */
LK_CHECKED lk_status lk_device_cookie_write(const lk_settings *settings, lk_view text, int64_t age_s,
                                            int64_t now_s, lk_buf *out);
/* Is it worth asking whether the device of this visitor may have a new session: has the one of ID ended by
 * time, or is there none, and does the cookie come along? Pure; no I/O. */
bool lk_device_may_renew(const lk_settings *settings, const lk_presented *presented, const lk_identity *id);
/* Then give him one, for a cookie: ISSUED (wipe it with lk_issued_wipe in any case) is to be handed to him,
 * and to be presented in place of his cookies from now on. Of REQ agent, address, presented and what the
 * audit log shows are read. Blocking. LK_OK; LK_REFUSED: his device may not, and with *over what it holds is
 * good for nothing any more: take the cookie from it; LK_FAULT: could not look. */
LK_CHECKED lk_status lk_service_renew(lk_service *s, const lk_request *req, const lk_identity *id,
                                      lk_issued *issued, bool *over);

#ifdef __cplusplus
}
#endif
#endif
