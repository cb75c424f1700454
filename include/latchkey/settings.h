/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.h - the settings of latchkey.conf: one table of names, read alike by nginx, the command line and
 * the library.
 *
 * The file is in nginx's own grammar: `name argument... ;`, # comments, quotes. Values may come from a file
 * (`file:/run/secrets/x`) or the environment (`env:NAME`). docs/settings.md lists them; `latchkey settings`
 * prints them.
 */
#ifndef LATCHKEY_SETTINGS_H
#define LATCHKEY_SETTINGS_H

#include <latchkey/env.h>
#include <latchkey/keys.h>
#include <latchkey/session.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_PATH_MAX 512
#define LK_URL_MAX 512
#define LK_COOKIE_NAME_MAX 64

typedef enum lk_samesite { LK_SAMESITE_LAX, LK_SAMESITE_STRICT, LK_SAMESITE_NONE } lk_samesite;

/* latchkey_trust ISSUER jwks=URL|file:PATH aud=AUD ...: somebody else whose JWTs are good here. docs/trust.md
 */
#define LK_TRUSTS_MAX 8
typedef struct lk_trust {
    char issuer[256];             /* the claim iss, byte for byte */
    char jwks[LK_URL_MAX];        /* https://..., http:// to a loopback address, or file:/path */
    char ca[LK_PATH_MAX];         /* whose signature the server of jwks needs; empty: one the system knows */
    char audience[256];           /* one of the token's audiences, byte for byte */
    uint32_t algs;                /* 1 << lk_alg each, never an HMAC; 0: all with a public key */
    char realm[LK_REALM_MAX + 1]; /* which its users are in; never that of this gateway */
    char roles[64], name[64], user[64]; /* claims; roles empty: its users hold none */
    int64_t max_age_s, keep_s, every_s, leeway_s;
} lk_trust;

typedef struct lk_settings {
    /* latchkey_keys DIR [rotate=AGE] [publish=1h] [secret=env:NAME|file:PATH] */
    char keys[LK_PATH_MAX];
    int64_t keys_rotate_s; /* 0: keys are rotated when somebody says so */
    int64_t keys_publish_s;
    char keys_secret[LK_KEY_SECRET_MAX + 1]; /* empty: key files are in clear */
    char accounts[LK_URL_MAX];               /* latchkey_accounts URL */
    char store[LK_URL_MAX];                  /* latchkey_store URL */
    char replica[LK_URL_MAX];                /* latchkey_replica URL: the copy near this node; empty = none */
    char share[16]; /* latchkey_share WAY: one of the six ways; empty = whatever the store is */
    /* latchkey_move to=WAY|from=WAY [store=URL] [replica=URL]: the other side of a move that is under way */
    char move_to[16], move_from[16];
    char move_store[LK_URL_MAX]; /* empty: the same store as now */
    char move_replica[LK_URL_MAX];
    int64_t near_life_s;           /* latchkey_near [life=1m]: copies of remote sessions; 0 = none are kept */
    char memory_path[LK_PATH_MAX]; /* latchkey_memory PATH|anonymous [size=64m] */
    uint64_t memory_size;

    /* latchkey_session [idle=30m] [absolute=12h] [remember=30d] [anonymous=1d] [grace=10s] [fence=1h]
     * [per_user=0] */
    int64_t idle_s, absolute_s, remember_s, anonymous_s, grace_s, fence_s;
    uint32_t per_user;

    /* latchkey_limit [user=0] [class=NAME:N,...] [victim=longest_idle]; see the two functions below */
    uint32_t limit_user;
    char limit_classes[256];
    lk_victim limit_victim;

    /* latchkey_dpop [window=60s] [ahead=5s] [nonce=0s], latchkey_signature [window=60s] [body=1m] */
    int64_t dpop_window_s, dpop_ahead_s, dpop_nonce_s;
    int64_t signature_window_s;
    uint64_t signature_body;

    /* latchkey_carry NAME...: fields of an anonymous visit that move into the login; * is all */
    char carry[256];

    /* latchkey_cookie NAME [samesite=lax] [path=/] [domain=D] [secure=on|off] */
    char cookie_name[LK_COOKIE_NAME_MAX + 1];
    char cookie_path[128];
    char cookie_domain[256];
    bool cookie_secure;
    lk_samesite cookie_samesite;

    /* latchkey_device [on|off] [idle=90d] [absolute=400d] [cookie=NAME]: devices that stay logged in */
    bool device_on;
    int64_t device_idle_s, device_absolute_s;
    char device_cookie[LK_COOKIE_NAME_MAX + 1]; /* empty: the name of the session cookie and "-device" */

    /* latchkey_header NAME: a second header, beside Authorization, that may carry a credential; empty = none
     */
    char header_name[LK_COOKIE_NAME_MAX + 1];

    /* latchkey_token [ttl=15m] ; latchkey_jwt [alg=EdDSA] [ttl=15m] [iss=ISS] [aud=AUD] [leeway=0s] */
    int64_t token_ttl_s;
    int64_t jwt_ttl_s, jwt_leeway_s;
    lk_alg jwt_alg;
    char jwt_issuer[256];
    char jwt_audience[256];

    /* latchkey_refresh on|off [ttl=30d] [idle=7d] [grace=30s] */
    bool refresh;
    int64_t refresh_ttl_s, refresh_idle_s, refresh_grace_s;

    char prefix[64];              /* latchkey_prefix /auth */
    bool registration;            /* latchkey_registration on|off */
    char realm[LK_REALM_MAX + 1]; /* latchkey_realm NAME: the account system of this gateway */

    /* latchkey_password [min=8] [memory=19456] [passes=2] [queue=32] */
    uint32_t password_min, password_memory_kib, password_passes, password_queue;

    /* latchkey_throttle [account=10/15m] [address=100/15m]: failed logins allowed in that time */
    uint32_t throttle_account, throttle_address;
    int64_t throttle_account_s, throttle_address_s;

    /* latchkey_api_key [reread=10m] [per_user=50] */
    int64_t api_key_reread_s;
    uint32_t api_key_per_user;

    char audit[LK_PATH_MAX]; /* latchkey_audit FILE|stderr|off */
    bool tls_proxy; /* latchkey_tls_proxy on|off: a proxy in front ends TLS, so requests count as https */
    char origins[8][256]; /* latchkey_origin ORIGIN...: further origins our pages are served under (exact) */
    uint32_t origins_n;

    lk_trust trusts[LK_TRUSTS_MAX]; /* latchkey_trust, once for each issuer */
    uint32_t trusts_n;

    uint64_t seen; /* which settings were given: refuses a second one, private to settings.c */
} lk_settings;

/* Every setting at its default. */
void lk_settings_init(lk_settings *s);

/* One entry per setting, for generated tables (nginx commands, documentation). */
typedef struct lk_setting {
    const char *name;    /* "latchkey_session" */
    const char *syntax;  /* "[idle=30m] [absolute=12h] ..." */
    const char *initial; /* the default, in the same syntax */
    const char *summary; /* one sentence */
    unsigned min_args, max_args;
} lk_setting;
/* Setting number INDEX, or NULL past the end. */
const lk_setting *lk_setting_at(size_t index);

/* Set NAME from its N arguments. LK_OK; LK_MISS for a name that is none of ours; LK_REFUSED with the rule and
 * the cure in the note (also for a setting given twice); LK_FAULT when a file: value cannot be read. */
LK_CHECKED lk_status lk_settings_apply(lk_settings *s, lk_view name, const lk_view *args, size_t n,
                                       lk_note *note);

/* How many sessions a user may have, 0: any number; and how many of DEVICE_CLASS (empty: of none). */
uint32_t lk_settings_user_limit(const lk_settings *s);
uint32_t lk_settings_class_limit(const lk_settings *s, lk_view device_class);

/* Rules that span settings (prefixes of cookie names, SameSite=None without Secure, absolute under idle, a
 * memory store with ...). Call once all are applied. LK_OK, or LK_REFUSED with rule and cure. */
LK_CHECKED lk_status lk_settings_check(const lk_settings *s, lk_note *note);

/* Where the keys are and how long they live, for lk_keyring_open_at and all of keys.h. Views into S. */
lk_key_place lk_settings_key_place(const lk_settings *s);

/* Read FILE (only latchkey_* settings may be in it; `include` is followed once), apply and check. The note
 * begins with "file:line: ". LK_OK, LK_REFUSED, LK_FAULT. */
LK_CHECKED lk_status lk_settings_read(const lk_env *env, const char *file, lk_settings *s, lk_note *note);

#ifdef __cplusplus
}
#endif
#endif
