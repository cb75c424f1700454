/* SPDX-License-Identifier: Apache-2.0
 *
 * credential.h - what the client shows: its kinds, and what a proven one says.
 */
#ifndef LATCHKEY_CREDENTIAL_H
#define LATCHKEY_CREDENTIAL_H

#include <latchkey/device.h>
#include <latchkey/keyring.h>
#include <latchkey/reason.h>
#include <latchkey/session.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_CREDENTIAL_MAX 8192 /* bytes of any but a sealed one; checked before anything is split */
#define LK_SCRATCH_MAX (2 * LK_CREDENTIAL_MAX) /* no check needs more scratch; ordinary tokens need 1 KiB */

typedef enum lk_kind {
    LK_KIND_SESSION_ID,
    LK_KIND_TOKEN,
    LK_KIND_JWT,
    LK_KIND_SEALED,
    LK_KIND_API_KEY,
    LK_KIND_COUNT
} lk_kind;
const char *lk_kind_name(lk_kind kind); /* "session_id", "token", "jwt", "sealed", "api_key" */
LK_CHECKED lk_status lk_kind_of(lk_view name, lk_kind *out);

typedef enum lk_carrier { LK_CARRIER_COOKIE, LK_CARRIER_HEADER, LK_CARRIER_URL, LK_CARRIER_COUNT } lk_carrier;
const char *lk_carrier_name(lk_carrier carrier); /* "cookie", "header", "url" */
LK_CHECKED lk_status lk_carrier_of(lk_view name, lk_carrier *out);

/* A sealed session may be spread over this many cookies, of this many characters each. */
#define LK_SEALED_PIECES 4
#define LK_SEALED_PIECE_LEN 3800
#define LK_SEALED_MAX (LK_SEALED_PIECES * LK_SEALED_PIECE_LEN)

/* What a proven token says. Views point into the scratch buffer of the check (or into the presented text).
 * Absent texts are empty, absent times 0. */
typedef struct lk_claims {
    lk_kind kind;
    lk_view user; /* sub */
    lk_view name; /* name, optional */
    lk_view realm;
    lk_view roles;  /* space-separated */
    lk_view scope;  /* space-separated */
    lk_view client; /* client_id */
    lk_view device;
    lk_view issuer;
    lk_view audience; /* space-separated list of all audiences */
    lk_view id;       /* jti */
    lk_view params;   /* simple token: "name=value,name=value", all of them; see lk_token_param */
    lk_view kid;
    lk_view bound; /* cnf.jkt: good only beside a proof by this key (docs/dpop.md) */
    lk_view act;   /* who acts for the user (RFC 8693 section 4.1): a JSON object as it stands in the token */
    bool has_session;
    lk_session_key session; /* sid */
    int64_t issued_s, not_before_s, expires_s, auth_s;
    int64_t session_ends_s; /* sid_exp: a gateway renews the token until then; our own */
    uint32_t generation;
    uint16_t issued_ms; /* iat_ms: the milliseconds of issued_s, 0 to 999; our own, for cut-offs */
} lk_claims;

/* What a token is checked against. */
typedef struct lk_expect {
    lk_view issuer;   /* empty: any (command line only) */
    lk_view audience; /* empty: any */
    lk_view type;     /* JWT `typ`; empty: any. The gateway uses "at+jwt" */
    int64_t leeway_s; /* 0..60 */
    bool need_expiry; /* refuse a token without exp */
    int64_t now_s;
} lk_expect;

/* Does TEXT have the outward shape of KIND (length, alphabet, dots)? Pure, no secrets. Exactly one kind
 * matches any text, or none. */
LK_CHECKED lk_status lk_credential_kind(lk_view text, lk_kind *out); /* LK_OK, LK_REFUSED */

/* --- session_id: 32 random bytes, base64url
 * ------------------------------------------------------------------- */
/* Make a fresh id (ID_OUT is NUL-terminated; wipe it when sent), its key and proof. */
LK_CHECKED lk_status lk_session_id_new(const lk_env *env, const lk_keyring *ring,
                                       char id_out[LK_SESSION_ID_LEN + 1], lk_session_key *key,
                                       uint8_t proof[LK_SESSION_PROOF_LEN]);
/* Key and proof of a presented id. LK_OK; LK_REFUSED on length or alphabet; LK_FAULT. No allocation. */
LK_CHECKED lk_status lk_session_id_read(const lk_keyring *ring, lk_view id, lk_session_key *key,
                                        uint8_t proof[LK_SESSION_PROOF_LEN]);

/* --- api_key: lk_<8 public>_<32 secret>
 * ------------------------------------------------------------------- */
#define LK_API_KEY_SECRET_LEN 32
#define LK_API_KEY_LEN (3 + LK_API_KEY_PUBLIC_LEN + 1 + LK_API_KEY_SECRET_LEN)

/* Can TEXT be the public part of a key? */
bool lk_api_key_is_public(lk_view text);
/* Make a fresh key (OUT is NUL-terminated; wipe it when shown). LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_api_key_make(const lk_env *env, const lk_keyring *ring, char out[LK_API_KEY_LEN + 1]);
/* The secret of the key whose public part is PUBLIC_PART, as its 32 characters: what a signed request is
 * checked with. Wipe it. LK_OK; LK_REFUSED when it can be none; LK_FAULT. No allocation. */
LK_CHECKED lk_status lk_api_key_secret(const lk_keyring *ring, lk_view public_part, lk_secret *out);
/* Was TEXT made with RING? Constant time. LK_OK with *public_part viewing into TEXT; LK_REFUSED; LK_FAULT.
 * That a key was made says nothing of whether it was given back since. No allocation. */
LK_CHECKED lk_status lk_api_key_prove(const lk_keyring *ring, lk_view text, lk_view *public_part);
/* Name and proof of the session that the key PUBLIC_PART has during EPOCH. LK_OK; LK_REFUSED; LK_FAULT. No
 * allocation. */
LK_CHECKED lk_status lk_api_key_session(const lk_keyring *ring, lk_view public_part, int64_t epoch,
                                        lk_session_key *key, uint8_t proof[LK_SESSION_PROOF_LEN]);

/* --- sealed: v1.kid.box, the whole session in the client
 * ------------------------------------------------------------------- */
/* What a box is bound to beside its key: opened under any other, it is no box. Each of at most 255 bytes. */
typedef struct lk_seal_place {
    lk_view purpose; /* "session" */
    lk_view name;    /* of the cookie */
    lk_view realm;
} lk_seal_place;

/* The kid that a box names, a view into TEXT; empty when TEXT has not the shape of one. */
lk_view lk_sealed_kid(lk_view text);

/* Seal S, with its fields, under the active HS256 key. ID is the session id that S->key and S->proof come
 * from: whoever opens the box can go on with a session in a store and nothing changes its name. OUT gets the
 * text of all pieces in one. LK_OK; LK_REFUSED when ID is not that of S, or S cannot be written
 * (lk_record_write); LK_FULL when it would be longer than LK_SEALED_MAX (the note says how many bytes it may
 * have) or than OUT; LK_FAULT, also when RING has no such key. On anything but LK_OK nothing is appended. No
 * allocation. Format: docs/formats/sealed.md */
LK_CHECKED lk_status lk_sealed_make(const lk_env *env, const lk_keyring *ring, const lk_seal_place *place,
                                    const char id[LK_SESSION_ID_LEN + 1], const lk_session *s, lk_buf *out,
                                    lk_note *note);
/* Open TEXT. SCRATCH receives the record, into which the views of *OUT point; ID (NULL, or
 * LK_SESSION_ID_LEN + 1 bytes) the session id: wipe it. LK_OK; LK_REFUSED with *why: malformed by its shape,
 * unknown_key, or bad_signature, which is the one answer to everything forged, changed or moved; LK_STALE,
 * expired, for what is genuine and of a newer version; LK_FULL when SCRATCH is too small (LK_SEALED_MAX never
 * is); LK_FAULT when the crypto library fails. On anything but LK_OK, *out is zero, ID empty and SCRATCH as
 * it was. No allocation. Times and cut-offs are the caller's to judge. */
LK_CHECKED lk_status lk_sealed_open(const lk_keyring *ring, const lk_seal_place *place, lk_view text,
                                    lk_buf *scratch, char *id, lk_session *out, lk_reason *why);

/* --- token: uid.time.expires[.params].kid.sign
 * ------------------------------------------------------------------ */
/* Mint with the active HS256 key. Uses claims user, issued_s, issued_ms, expires_s; name, realm, roles,
 * scope, session and generation become the parameters name, realm, roles, scope, sid, gen (and ms); params
 * holds any others, which lk_token_param_add puts together. LK_OK; LK_REFUSED (no user, bad times, a text
 * that is not fit to be shown, a bad or kept name in params); LK_FULL; LK_FAULT. Format:
 * docs/formats/token.md */
LK_CHECKED lk_status lk_token_mint(const lk_keyring *ring, const lk_claims *claims, lk_buf *out);
/* Signature first, then times. LK_OK; LK_REFUSED or LK_STALE with *why; LK_FULL when SCRATCH is too small
 * (LK_SCRATCH_MAX never is); LK_FAULT. SCRATCH receives decoded texts. *out is filled on LK_OK and LK_STALE.
 * No allocation. */
LK_CHECKED lk_status lk_token_check(const lk_keyring *ring, lk_view text, const lk_expect *expect,
                                    lk_buf *scratch, lk_claims *out, lk_reason *why);
/* Append one parameter to PARAMS, with the comma before it and VALUE escaped, so that no value can bring
 * another parameter along. LK_OK; LK_REFUSED for a bad name, one that stands for a claim, or a value with
 * control characters; LK_FULL. */
LK_CHECKED lk_status lk_token_param_add(lk_view name, lk_view value, lk_buf *params);
/* One fixed parameter by name from claims->params, as it is written there: a comma in it is %2C, a percent
 * sign %25. LK_OK or LK_MISS. */
LK_CHECKED lk_status lk_token_param(lk_view params, lk_view name, lk_view *value);
/* The same where names know no case and have only letters, digits and _ (variables of nginx): a _ in NAME
 * stands for -, . and _. The text itself, without escapes, is appended to OUT. LK_OK; LK_MISS, also when two
 * parameters would answer to NAME, since neither may pass for the other; LK_FULL. */
LK_CHECKED lk_status lk_token_param_text(lk_view params, lk_view name, lk_buf *out);

/* --- jwt
 * --------------------------------------------------------------------------------------------------------------
 */
/* Mint under the active key of ALG. jti is taken from claims->id; what is empty or 0 is left out; audience is
 * a list of words. LK_OK; LK_REFUSED for a text that is not fit to be shown, or without expires_s; LK_FULL
 * when it would be longer than LK_CREDENTIAL_MAX or than OUT; LK_FAULT, also when RING has no such key. On
 * anything but LK_OK nothing is appended. Format: docs/formats/jwt.md */
LK_CHECKED lk_status lk_jwt_mint(const lk_keyring *ring, lk_alg alg, const lk_claims *claims, lk_view type,
                                 lk_buf *out);
/* Only the signature rules of a JWS in compact form (RFC 7515): PAYLOAD receives the payload bytes. LK_OK;
 * LK_REFUSED with *why and note; LK_FULL (LK_CREDENTIAL_MAX is always enough); LK_FAULT. */
LK_CHECKED lk_status lk_jws_check(const lk_keyring *ring, lk_view text, lk_buf *payload, lk_reason *why,
                                  lk_note *note);
/* Signature, then type, then claims and times. No allocation for HS256 and EdDSA. LK_OK; LK_REFUSED or
 * LK_STALE with *why; LK_FULL when SCRATCH is too small (LK_SCRATCH_MAX never is); LK_FAULT. *out is filled
 * on LK_OK and LK_STALE, else all zero; its views point into SCRATCH, its kid into RING. */
LK_CHECKED lk_status lk_jwt_check(const lk_keyring *ring, lk_view text, const lk_expect *expect,
                                  lk_buf *scratch, lk_claims *out, lk_reason *why, lk_note *note);

/* --- device: d1.<device id>.<secret>
 * ------------------------------------------------------------------- */

/* A fresh device id, and in TEXT (NULL: for a device with a key of its own) the text the device is handed;
 * wipe that once sent. HASH is what is kept of it. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_device_make(const lk_env *env, const lk_keyring *ring, char id[LK_DEVICE_ID_LEN + 1],
                                    char text[LK_DEVICE_TEXT_LEN + 1], uint8_t hash[LK_DEVICE_HASH_LEN]);
/* A fresh secret for the device ID. Same answers. */
LK_CHECKED lk_status lk_device_make_again(const lk_env *env, const lk_keyring *ring, lk_view id,
                                          char text[LK_DEVICE_TEXT_LEN + 1],
                                          uint8_t hash[LK_DEVICE_HASH_LEN]);
/* Take TEXT apart: ID views into it; HASH is what has to be kept for it to be good (compare with
 * lk_secret_equal). LK_OK; LK_REFUSED when it is no such text; LK_FAULT. No allocation. */
LK_CHECKED lk_status lk_device_read(const lk_keyring *ring, lk_view text, lk_view *id,
                                    uint8_t hash[LK_DEVICE_HASH_LEN]);

/* A device may have a key pair instead of a secret: then it signs a challenge. Is JWK (RFC 7517) a public key
 * of P-256 (ES256) or Ed25519 (EdDSA), and nothing secret? OUT gets it in the one spelling we keep. LK_OK;
 * LK_REFUSED with the rule; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk_device_key_read(const lk_env *env, lk_view jwk, lk_buf *out, lk_note *note);

/* "c1.<time in ms>.<random>.<mac>": good for LK_CHALLENGE_LIFE_S, for this device. What is signed is
 * "latchkey device session\n" and the challenge. */
#define LK_CHALLENGE_MAX 96
#define LK_CHALLENGE_LIFE_S 120
LK_CHECKED lk_status lk_challenge_make(const lk_env *env, const lk_keyring *ring, lk_view device,
                                       lk_buf *out);
/* *MADE_MS is when it was made: a device proves itself with each challenge once, and with none older than the
 * last one. LK_OK; LK_REFUSED; LK_STALE when its time is over; LK_FAULT. */
LK_CHECKED lk_status lk_challenge_check(const lk_env *env, const lk_keyring *ring, lk_view device,
                                        lk_view challenge, int64_t *made_ms);
/* Is SIGNATURE (base64url) that of JWK over CHALLENGE? LK_OK; LK_REFUSED; LK_FAULT. */
LK_CHECKED lk_status lk_challenge_signed(const lk_env *env, lk_view jwk, lk_view challenge,
                                         lk_view signature);

/* The id of the session that the device D is given after FROM (a public id, or nothing), when it holds TEXT
 * (or nothing, with a key of its own). Nobody else can tell: it is a keyed hash of all of these. Wipe it.
 * LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_device_session_id(const lk_keyring *ring, const lk_device *d, lk_view text,
                                          lk_view from, char id[LK_SESSION_ID_LEN + 1], lk_session_key *key);

/* --- refresh: r1.family.began.number.random.mac
 * ------------------------------------------------------------------- */
/* What a client gets its next token with. All that one login is given one after the other are its family,
 * named by the public id of the session record behind them. Each is proven by itself, before anything is
 * looked up, and gives away its successor - to whoever has the keys. Format: docs/formats/refresh.md */
#define LK_REFRESH_MAX 120
typedef struct lk_refresh_token {
    lk_session_key family;
    int64_t began_s; /* when the login was that the family comes from */
    int64_t number;  /* 1, 2, ... */
    size_t len;
    char text[LK_REFRESH_MAX + 1]; /* NUL-terminated; a secret: wipe the struct when done */
} lk_refresh_token;

static inline lk_view lk_refresh_view(const lk_refresh_token *token)
{
    return lk_view_make(token->text, token->len);
}

/* The first of FAMILY. LK_OK; LK_FAULT, then *out is zero. No allocation. */
LK_CHECKED lk_status lk_refresh_first(const lk_env *env, const lk_keyring *ring, const lk_session_key *family,
                                      int64_t began_s, lk_refresh_token *out);
/* The one after NOW: always the same. NOW must have been proven. LK_OK; LK_FAULT, then *out is zero. */
LK_CHECKED lk_status lk_refresh_next(const lk_keyring *ring, const lk_refresh_token *now,
                                     lk_refresh_token *out);
/* Is TEXT one that was made with RING? Constant time. LK_OK; LK_REFUSED with *why = malformed or
 * bad_signature; LK_FAULT. On anything but LK_OK, *out is zero. Whether it is still good its record says. */
LK_CHECKED lk_status lk_refresh_read(const lk_keyring *ring, lk_view text, lk_refresh_token *out,
                                     lk_reason *why);
/* What the record keeps of it. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_refresh_hash(const lk_keyring *ring, const lk_refresh_token *token, lk_digest *out);
/* Does TEXT have the shape of one, and what would it say? Proves nothing. */
bool lk_refresh_is_shaped(lk_view text, lk_refresh_token *out);

#ifdef __cplusplus
}
#endif
#endif
