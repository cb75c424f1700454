/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_dpop.c - what a proof is about, and what is asked of whoever
 * has brought none, or none that is good.
 */
#include "ngx_http_latchkey.h"


/* The request as the client sent it, whatever nginx has made of it since: an
 * internal redirect changes method and path, a sub-request has its own. */
void
ngx_http_latchkey_about(ngx_http_request_t *r, lk_about *about)
{
    u_char  *space;

    r = r->main;

    space = ngx_strlchr(r->request_line.data,
                        r->request_line.data + r->request_line.len, ' ');

    about->method = (space == NULL)
                    ? ngx_http_latchkey_view(&r->method_name)
                    : lk_view_make(r->request_line.data,
                                   (size_t) (space - r->request_line.data));

    about->target = ngx_http_latchkey_view(&r->unparsed_uri);
    about->host = ngx_http_latchkey_header(r, "host");
    about->scheme = ngx_http_latchkey_scheme(r);
}


/* What the proof of R was good for stays so in this request: it is used up,
 * and R may meet another gate yet. */
ngx_int_t
ngx_http_latchkey_note_proof(ngx_http_request_t *r, const lk_identity *id)
{
    ngx_http_latchkey_ctx_t  *ctx;

    if (id->proof != LK_PROOF_GOOD) {
        return NGX_OK;
    }

    ctx = ngx_http_latchkey_need_ctx(r->main);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->proof_used = 1;

    return NGX_OK;
}


/* RFC 9449 section 8: a client that needs a nonce is given one. */
static ngx_int_t
ngx_http_latchkey_dpop_nonce(ngx_http_request_t *r)
{
    u_char                       *nonce;
    const lk_guard_parts         *parts;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();
    parts = lk_guard_parts_of(rt->guard);

    nonce = ngx_pnalloc(r->pool, LK_DPOP_NONCE_LEN + 1);

    if (nonce == NULL
        || lk_dpop_nonce_make(parts->ring, lk_now_s(parts->env),
                              (char *) nonce)
           != LK_OK
        || ngx_http_latchkey_push_header(r, "DPoP-Nonce", (char *) nonce,
                                         LK_DPOP_NONCE_LEN)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The scheme that a refused request should have come with. */
const char *
ngx_http_latchkey_scheme_wanted(const lk_identity *id, const lk_rule *rule)
{
    if (rule->signature) {
        return LK_SIGNATURE_SCHEME;
    }

    return (rule->bound || id->proof != LK_PROOF_UNASKED) ? "DPoP" : "Bearer";
}


/* The error code for ID, or NULL: none but that of a credential that is no
 * good.  Section 7.1. */
const char *
ngx_http_latchkey_proof_error(const lk_identity *id)
{
    switch (id->proof) {

    case LK_PROOF_BAD:
        return "invalid_dpop_proof";

    case LK_PROOF_NONCE:
        return "use_dpop_nonce";

    case LK_PROOF_UNASKED:
    case LK_PROOF_GOOD:
    case LK_PROOF_MISSING:
        break;
    }

    return NULL;
}


/* What the challenge of the scheme DPoP says beside the error. */
ngx_int_t
ngx_http_latchkey_dpop_challenge(ngx_http_request_t *r, const lk_identity *id,
    lk_buf *out)
{
    lk_buf_add_text(out, ", algs=\"");
    lk_dpop_algs(out);
    lk_buf_add_text(out, "\"");

    return id->proof == LK_PROOF_NONCE ? ngx_http_latchkey_dpop_nonce(r)
                                       : NGX_OK;
}
