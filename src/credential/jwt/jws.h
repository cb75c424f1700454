/* SPDX-License-Identifier: Apache-2.0
 *
 * jws.h - the parts the check of a JWT is made of; private to src/credential/jwt.
 */
#ifndef LATCHKEY_CREDENTIAL_JWS_H
#define LATCHKEY_CREDENTIAL_JWS_H

#include "credential/shape.h"

/* Why a check failed, in all three forms. `note` may be NULL. */
typedef struct lk__refusal {
    lk_reason *why;
    lk_note *note;
} lk__refusal;

/* Fill R and give LK_REFUSED. */
LK_CHECKED lk_status lk__refuse(lk__refusal r, lk_reason why, const char *sentence);

typedef struct lk__jws {
    const lk_verifier *verifier;
    lk_view payload; /* still in base64url */
    bool has_type;   /* the header's typ is the type that was asked for, or none was */
} lk__jws;

/* Is TEXT a JWS in compact form with a right signature by a key of RING? SCRATCH is used and given back as it
 * was. LK_OK; LK_REFUSED; LK_FULL when SCRATCH is too small; LK_FAULT. Source: RFC 7515 sections 4, 5.2, 7.1.
 */
LK_CHECKED lk_status lk__jws_prove(const lk_keyring *ring, lk_view text, lk_view type, lk_buf *scratch,
                                   lk__jws *out, lk__refusal r);

/* Read the protected HEADER (in base64url) in full: which key, and is the type TYPE? Decides by the keys' own
 * algorithm alone. As above. */
LK_CHECKED lk_status lk__header_read(const lk_keyring *ring, lk_view header, lk_view type, lk_buf *scratch,
                                     lk__jws *out, lk__refusal r);

/* Two media types without regard to case; "application/" may be left out (RFC 7515 section 4.1.9). */
bool lk__type_equal(lk_view a, lk_view b);

/* Which times and names were there; 0 and "" may be there as well. */
typedef struct lk__present {
    bool expires, audience_matches;
} lk__present;

/* Read the claims in PAYLOAD, a JSON object or not, into OUT, which is all zero. Texts with escapes and lists
 * go to SCRATCH, the others are views of PAYLOAD. LK_OK; LK_REFUSED; LK_FULL. */
LK_CHECKED lk_status lk__claims_read(lk_view payload, const lk_expect *expect, lk_buf *scratch,
                                     lk_claims *out, lk__present *present, lk__refusal r);

/* A NumericDate (RFC 7519 section 2): any JSON number within 2^53 of 0; a fraction is cut off. LK_OK;
 * LK_REFUSED. */
LK_CHECKED lk_status lk__numeric_date(lk_view value, int64_t *out);

/* What nearly every number in a token is: up to 15 digits and nothing else. False for any other. */
bool lk__short_number(lk_view value, int64_t *out);

#endif
