/* SPDX-License-Identifier: Apache-2.0
 *
 * guard.h - the crossing of carriers, credentials and stores: issue, check, renew, revoke.
 */
#ifndef LATCHKEY_GUARD_H
#define LATCHKEY_GUARD_H

#include <latchkey/account.h>
#include <latchkey/credential.h>
#include <latchkey/cutoff.h>
#include <latchkey/proof.h>
#include <latchkey/settings.h>
#include <latchkey/store.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_guard lk_guard;

/* The six ways to share a login among nodes, as latchkey_share names them. src/guard/share.c */
typedef enum lk_way {
    LK_WAY_UNSAID, /* latchkey_share is not given: whatever the store makes of it */
    LK_WAY_SEALED_COOKIE,
    LK_WAY_AFFINITY,
    LK_WAY_DATABASE,
    LK_WAY_REPLICATION,
    LK_WAY_CENTRAL,
    LK_WAY_TOKEN,
    LK_WAY_COUNT
} lk_way;
const char *lk_way_name(lk_way way);                       /* "sealed_cookie" ..., "" for LK_WAY_UNSAID */
LK_CHECKED lk_status lk_way_of(lk_view name, lk_way *out); /* LK_OK; LK_MISS, also for "" */
/* The way of latchkey_share; LK_WAY_UNSAID. */
lk_way lk_way_of_settings(const lk_settings *s);
/* What a browser is given by a login under WAY. */
lk_kind lk_way_credential(lk_way way);

/* What the guard stands on. Everything is borrowed and must outlive the guard. */
typedef struct lk_guard_parts {
    const lk_env *env;
    const lk_settings *settings;
    lk_keyring *ring; /* lk_guard_keys reads its files again */
    struct lk_table *table;
    lk_store *store;
    struct lk_trust_room *trust; /* shared with other processes; NULL: the guard makes one of its own */
} lk_guard_parts;

/* Gives LK_OK; LK_REFUSED for settings that contradict each other (note); LK_FAULT when the cut-offs cannot
 * be read: a guard that does not know what was revoked does not start. */
LK_CHECKED lk_status lk_guard_open(lk_guard_parts parts, lk_guard **out, lk_note *note);
void lk_guard_close(lk_guard *g);

/* The clock of the cluster: that of BASE, moved by what the store's own clock differs from it (a word of
 * TABLE, kept right by the follower; 0 for inline stores). Nodes whose clocks are minutes apart then agree on
 * what came before what. Give its env to the store, the guard and what is opened on them. */
typedef struct lk_cluster_clock {
    lk_env env; /* the address of this is the environment; its context leads back here */
    const lk_env *base;
    struct lk_table *table;
} lk_cluster_clock;
void lk_cluster_clock_init(lk_cluster_clock *clock, const lk_env *base, struct lk_table *table);

/* ---- the check
 * -------------------------------------------------------------------------------------------------- */

/* The places of one request where a credential may ride, as the server received them. Arrays hold the values
 * of each header field of that name. */
typedef struct lk_presented {
    const lk_view *cookies; /* values of Cookie fields */
    size_t cookies_n;
    const lk_view *authorization; /* values of Authorization fields */
    size_t authorization_n;
    const lk_view *header; /* values of the header named by latchkey_header */
    size_t header_n;
    lk_view url;     /* a session id that was taken out of the path; empty: none */
    lk_view sealed;  /* a sealed session handed out while this request is answered: it takes the place of
                        that in the cookies */
    lk_view address; /* of the client, as text: for API keys that are good from some addresses only */
    bool only_reads; /* GET or HEAD: for latchkey_on_unknown safe */
    bool looks_only; /* somebody wants to know what would come of it: no use is noted, no copy ended */
    /* What the credential is worth is asked, not whether this request may use it: who may send it (a key,
     * addresses) is not looked at, and nothing may be opened by the answer. */
    bool any_sender;

    lk_about about;        /* the request, for what proves that it is this one */
    const lk_view *proofs; /* values of DPoP fields */
    size_t proofs_n;
    bool proof_used; /* the proof was accepted before, for this very request: it may be again */
    bool is_signed;  /* set by lk_signed_present alone */
} lk_presented;

typedef enum lk_mode { LK_MODE_OFF, LK_MODE_OPTIONAL, LK_MODE_REQUIRED } lk_mode;

/* What is done when this node's view of what was revoked is older than latchkey_revocation_lag: the store
 * answers too slowly or not at all, or the connection of the stream was lost. */
typedef enum lk_lag {
    LK_LAG_ASK,  /* look into the store for this request; what cannot be looked up is unknown */
    LK_LAG_DENY, /* unknown, without asking */
    LK_LAG_SERVE /* go on by the view there is */
} lk_lag;

/* Defaults of the two fields below when a rule is zeroed: 2 s and `ask`, 503. */
#define LK_LAG_MS_DEFAULT 2000
#define LK_STALE_SAFE_S 300 /* how old a copy `latchkey_on_unknown safe` serves when it does not say */

/* What a location asks for. Masks of 0 mean any. */
typedef struct lk_rule {
    lk_mode mode;
    lk_view role;  /* every word must be held */
    lk_view scope; /* every word must be held; sessions that carry no scope hold every scope of their user */
    lk_view realm;
    lk_view audience;  /* who asks for tokens here: one of these words has to be in them; empty: latchkey_jwt
                          aud= */
    int64_t max_age_s; /* 0: none. Last full login no longer ago than this */
    unsigned carriers; /* bits 1 << lk_carrier */
    unsigned kinds;    /* bits 1 << lk_kind */
    bool bound;        /* a token that is bound to a key, with a proof of it */
    bool signature;    /* a request that is signed with an API key */

    /* latchkey_revocation_lag. 0 = LK_LAG_MS_DEFAULT. Not looked at for inline stores. */
    int64_t lag_ms;
    lk_lag lag;
    /* latchkey_on_unknown: what could not be looked up is served by a copy whose knowledge is at most
     * stale_s old (0: 503); stale_safe: GET and HEAD only. */
    int64_t stale_s;
    bool stale_safe;
} lk_rule;

/* Check a rule when it is configured: LK_OK, or LK_REFUSED with the sentence why that triple of carrier,
 * credential and store is no good (src/guard/combine.c). */
LK_CHECKED lk_status lk_rule_check(const lk_rule *rule, const lk_settings *settings, lk_note *note);

/* Everything that can be told about settings without touching anything: their own rules, the URLs of store
 * and accounts. LK_OK, or LK_REFUSED with rule and cure. */
LK_CHECKED lk_status lk_guard_settings_check(const lk_settings *settings, lk_note *note);

typedef enum lk_verdict {
    LK_VERDICT_ALLOW,  /* go on; identity is filled (anonymous when the user is empty) */
    LK_VERDICT_REFUSE, /* 401, or 403 for the reasons that a new login does not cure */
    LK_VERDICT_UNKNOWN /* could not look: 503, never a removed cookie, never a way in */
} lk_verdict;

/* Must the visitor be handed his credential anew? */
typedef enum lk_reissue {
    LK_REISSUE_NO,
    LK_REISSUE_HERE, /* lk_guard_reissue does no I/O: it may be called on an event loop */
    LK_REISSUE_STORE /* it blocks */
} lk_reissue;

/* What became of the proof beside a token. */
typedef enum lk_proof {
    LK_PROOF_UNASKED, /* the token is not bound */
    LK_PROOF_GOOD,    /* and used by now */
    LK_PROOF_MISSING, /* none, or the token came as one that needs none */
    LK_PROOF_BAD,
    LK_PROOF_NONCE /* it is good but for a nonce of ours, see lk_dpop_nonce_make */
} lk_proof;

/* Who is asking. Texts are NUL-terminated copies: good for as long as the struct. About 1.2 KiB. */
typedef struct lk_identity {
    lk_verdict verdict;
    lk_reason reason; /* why refused, or (mode optional) why the visitor is anonymous */
    bool has_session; /* key and generation are good */
    bool logged_in;   /* user is good */
    bool foreign;     /* of another issuer's realm (latchkey_trust) */
    bool limited;     /* holds the scopes it names and no other; a login of the site itself holds all */
    bool is_signed;   /* the request is signed with an API key */
    lk_proof proof; /* beside a bound token; LK_PROOF_GOOD: the credential is bound to a key of the sender */
    bool by_client; /* a token that an OAuth client was given, for a user or for itself */
    bool twice; /* malformed: two credentials that differ, in different places: 400 (RFC 6750 section 3.1) */
    bool drop_cookie; /* the presented session cookie is over for good: remove it from the browser */
    lk_reissue reissue;
    unsigned pieces; /* bit i: a cookie NAME.i came along; what the next answer does not write it removes */
    lk_kind kind;
    lk_carrier carrier;
    lk_session_key key;
    lk_session_key previous; /* of a session: what it replaced, all zero when nothing */
    uint32_t generation;
    uint32_t flags; /* LK_SESSION_* */
    int64_t auth_s, issued_s, seen_s, ends_s, expires_s;
    char public_id[LK_PUBLIC_ID_LEN + 1];
    char user[LK_USER_ID_MAX + 1];
    char name[LK_USER_NAME_MAX + 1];
    char realm[LK_REALM_MAX + 1];
    char roles[LK_ROLES_MAX + 1];
    char scope[LK_SCOPE_MAX + 1];
    char device[LK_DEVICE_MAX + 1]; /* id of the device it was issued to, "" when none */
    char bound[LK_JKT_LEN + 1]; /* of a token: the thumbprint of the key it is bound to, "" when to none */
} lk_identity;

/* What a check has to ask the store, and the answer. */
typedef struct lk_question {
    bool wants_session; /* the session `key` */
    bool wants_view;    /* the newest cut-offs: this node's view is older than the rule allows */
    uint32_t
        wants_keys; /* 1 + index of an issuer (latchkey_trust) of which a newer key set is needed; 0: none */
    bool wants_own_keys; /* our key files: a credential names a key that is not known */
    bool wants_api_key;  /* the session is to be made from the row of an API key: that is asked of the
                        accounts, which may be slow, so it is for a batch of its own */
    lk_session_key key;
    char api_key[9]; /* its public part */

    /* filled by lk_guard_ask */
    lk_status view;              /* LK_OK or LK_FAULT */
    lk_status keys;              /* as of lk_guard_trust_look */
    lk_status status;            /* of the session, as in lk_load */
    lk_reason why;               /* as in lk_load */
    uint8_t record[LK_HEAD_MAX]; /* the head, when status is LK_OK */
    size_t record_len;
} lk_question;

/* The check of one request, without waiting: no allocation, no I/O, no lock held. True: *OUT is the verdict.
 * False: something has to be asked; hand the QUESTION to lk_guard_ask on a thread that may block, and come
 * back with it as ANSWER: then the answer is always true, but that the first use of an API key is asked for
 * once more (wants_api_key). ANSWER is NULL the first time. With an inline store nothing else is asked, but
 * for a key that is not known, which may be a new one. */
LK_CHECKED bool lk_guard_try(lk_guard *g, const lk_presented *presented, const lk_rule *rule,
                             const lk_question *answer, lk_identity *out, lk_question *question);

/* Answer N questions as one batch: new cut-offs are followed when one wants them, equal keys are asked for
 * once, and what was found is kept as a near copy. Blocking, within the deadline of the store. At most
 * LK_ASK_MAX. */
#define LK_ASK_MAX 256
void lk_guard_ask(lk_guard *g, lk_question *const *questions, size_t n);

/* Where API keys are looked up; NULL until they are open, and then they must outlive the last check. */
void lk_guard_use_accounts(lk_guard *g, lk_accounts *accounts);

/* Check one request, waiting where it must. A valid credential also notes its use (last-seen in shared
 * memory). Never fails: what could not be looked at is a verdict. The status for a refused one:
 * lk_identity_http_status. */
void lk_guard_check(lk_guard *g, const lk_presented *presented, const lk_rule *rule, lk_identity *out);
/* What applications know the user by (Remote-User): the login name, or the id for a token that was minted
 * without a name. "" when nobody is logged in. */
static inline const char *lk_identity_user_name(const lk_identity *id)
{
    if (!id->logged_in)
        return "";
    if (id->foreign)
        return id->user; /* its issuer gives out names as it likes, and the same one twice */
    return id->name[0] != '\0' ? id->name : id->user;
}
int lk_identity_http_status(const lk_identity *id); /* 200, 401, 403 or 503 */
/* The fixed parameters of the simple token that rode in CARRIER and let the request in: proven again, without
 * any look-up, so that nothing is read of a text that nobody signed. *PARAMS is in SCRATCH
 * (LK_CREDENTIAL_MAX), for lk_token_param_text. LK_OK; LK_MISS for any other credential. */
LK_CHECKED lk_status lk_guard_params(lk_guard *g, const lk_presented *presented, lk_carrier carrier,
                                     lk_buf *scratch, lk_view *params);

/* ---- issue
 * -------------------------------------------------------------------------------------------------------- */

/* Who logged in, as the account system says. */
typedef struct lk_login {
    lk_view user, name, realm, roles, scope;
    lk_view device, agent, address;
    lk_view device_class; /* what limits go by, cut at LK_DEVICE_CLASS_MAX; empty when none is known */
    bool remember;
    /* A session of a device (docs/devices.md). NULL and 0: a random id, now, now. With an id of its own
     * lk_guard_issue answers LK_REFUSED when that session is there, or was. */
    const char *session_id;
    int64_t issued_ms; /* the device's: what cut-offs are compared with */
    int64_t auth_s;
    lk_view bound;  /* a JWT: the thumbprint of the key it is to be bound to; empty: it is not */
    bool renews;    /* a JWT: in a cookie that the gateway renews, for as long as a session would live */
    bool refreshes; /* a token in a header: with a refresh token beside it */
    bool yields;    /* takes a place that is free: whatever latchkey_limit victim= says, it ends nobody */
} lk_login;

#define LK_ISSUED_MAX (LK_SEALED_MAX + 1)
/* What a login hands out. Wipe with lk_issued_wipe once sent. */
typedef struct lk_issued {
    lk_kind kind;
    char text[LK_ISSUED_MAX]; /* the session id or token */
    size_t len;
    lk_session_key key;
    uint32_t generation;
    uint32_t flags; /* LK_SESSION_*: a cookie of a remembered login outlives the browser */
    int64_t created_s, issued_s, ends_s, expires_s; /* of the session */
    lk_reason why;            /* with LK_FULL: session_limit when the user has all the sessions he may have */
    int64_t token_ends_s;     /* of a token: when it ends itself */
    bool bound;               /* a token that is good beside a DPoP proof alone */
    lk_refresh_token refresh; /* beside a token; len 0: none */
} lk_issued;
void lk_issued_wipe(lk_issued *issued);

/* Log in: a session is made (behind every kind: a token's is found by its sid, its id is never given out) and
 * replaces PRIOR, the session that was PRESENTED, if there is one: an anonymous one's fields move over,
 * one of the same user too, another user's never. Sessions beyond latchkey_limit end (sealed ones are in no
 * store and count nowhere). Blocking. LK_OK; LK_FULL (no room, or the limit refuses: OUT->why); LK_FAULT:
 * then nothing was issued. */
LK_CHECKED lk_status lk_guard_issue(lk_guard *g, lk_kind kind, const lk_login *login,
                                    const lk_presented *presented, const lk_identity *prior, lk_issued *out,
                                    lk_note *note);

/* A session for a visitor nobody logged in. */
LK_CHECKED lk_status lk_guard_issue_anonymous(lk_guard *g, lk_view agent, lk_view address, lk_issued *out,
                                              lk_note *note);

/* ---- proofs
 * ------------------------------------------------------------------------------------------------------ */

/* The DPoP proof of a call that asks for a token: checked, and used up. BY names who is served (a user id,
 * the id of a client): nobody fills the memory of used proofs alone. JKT is what the token is to be bound to.
 * LK_OK; LK_MISS when there is none; LK_REFUSED with *why (*proof says whether a nonce is all that lacks);
 * LK_FULL: too many proofs in their time, by him or by all; LK_FAULT. */
LK_CHECKED lk_status lk_guard_proof(lk_guard *g, const lk_presented *presented, lk_view by,
                                    char jkt[LK_JKT_LEN + 1], lk_proof *proof, lk_reason *why);

/* A signed request on its way: what was read of it. Wipe with lk_signed_wipe. */
typedef struct lk_signed {
    uint8_t body_digest[LK_BODY_DIGEST_LEN]; /* SHA-256 that the body must have */
    int64_t time_s;
    char field[LK_API_KEY_LEN + 8]; /* an Authorization field with the API key */
    lk_view fields[1];              /* the same */
    char key[LK_API_KEY_PUBLIC_LEN + 1];
    char nonce[LK_SIGNATURE_NONCE_MAX + 1];
} lk_signed;
void lk_signed_wipe(lk_signed *s);
/* P shows the key of S, and nothing else that it showed. What lk_guard_signature does, for a server that
 * comes back to a request it was called with before. */
void lk_signed_present(const lk_signed *s, lk_presented *p);

/* Is the request that was PRESENTED signed? Then it presents the API key afterwards, and nothing else, so
 * that lk_guard_try says whose it is; OUT must outlive that. Nothing is asked of the store. The body is not
 * looked at yet: compare its SHA-256 with OUT's, then use it up by lk_guard_signature_use. LK_OK; LK_MISS
 * when it is not signed; LK_REFUSED with *why; LK_FAULT. */
LK_CHECKED lk_status lk_guard_signature(lk_guard *g, lk_presented *presented, lk_signed *out, lk_reason *why);
/* Does the next one block? True where the store is shared with other nodes: they are told. */
bool lk_guard_signature_asks(const lk_guard *g);
/* The nonce of S is used up, here and on every node with this store. LK_OK: it was fresh; LK_REFUSED with
 * *why: the request came before; LK_FULL: too many in their time, of this key or of all; LK_FAULT: could not
 * be told apart, and is not let in. */
LK_CHECKED lk_status lk_guard_signature_use(lk_guard *g, const lk_signed *s, lk_reason *why);

/* An access token for an OAuth client. */
typedef struct lk_grant {
    lk_view user, name, realm, roles, scope, client, audience; /* lists of words, but user, name and client */
    lk_view act;               /* who acts for the user, as lk_claims has it; empty: nobody but the client */
    int64_t ends_s;            /* and no later than this; 0: as it comes */
    lk_view bound;             /* the thumbprint of the key it is good beside a proof of; empty: none */
    const lk_identity *parent; /* whose rights are passed on, and whose session ends it; NULL: nobody's */
} lk_grant;
#define LK_CLIENT_USER                                                                                       \
    "client:" /* what stands before the name of a client in `sub`, when it acts for itself */
/* Mint it: a JWT of latchkey_jwt alg= and ttl=, but no longer than the session of PARENT lives by itself. Its
 * time of issue is that of its parent, so that whatever reaches that reaches it. No I/O. LK_OK; LK_STALE when
 * the parent is over; LK_REFUSED when a text is not fit to be shown; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk_guard_grant(lk_guard *g, const lk_grant *grant, lk_issued *out);
/* What a token of ours that the check has let in says (jti, aud, ...), texts in SCRATCH (LK_SCRATCH_MAX).
 * Times and audience are not looked at. LK_OK; LK_REFUSED when it is no JWT of ours; LK_FAULT. */
LK_CHECKED lk_status lk_guard_claims(lk_guard *g, lk_view text, lk_buf *scratch, lk_claims *out);

/* ---- refresh: src/guard/refresh.c, docs/formats/refresh.md
 * -------------------------------------------------------------------------------------------------------- */

/* May the one whose login that was still have a token? Asked with the record of his login before anything is
 * changed; may put what is so now into NOW: name and roles (texts that live until lk_guard_refresh returns).
 * LK_OK; LK_STALE with *why: never again, and the login ends; LK_REFUSED with *why: not this time; LK_FAULT.
 * Blocking. */
typedef lk_status (*lk_refresh_who)(void *context, const lk_session *login, lk_login *now, lk_reason *why);

typedef enum lk_refreshed {
    LK_REFRESHED_NOT,   /* nothing was done */
    LK_REFRESHED_NEW,   /* the token was used for the first time */
    LK_REFRESHED_AGAIN, /* once more within the grace time: the same successor */
    LK_REFRESHED_REUSED /* after its successor was used, or after the grace time: the login was ended */
} lk_refreshed;

typedef struct lk_refresh_ask {
    lk_view text;                  /* the refresh token that was presented */
    const lk_presented *presented; /* what proves a key beside it; NULL: nothing does */
    lk_view scope;                 /* empty: as the login has it; else words of that and no other */
    lk_refresh_who who;
    void *context; /* handed to WHO, which may be NULL: as the record says */
    /* the answer */
    lk_refreshed how;
    lk_reason why;  /* of LK_REFUSED and LK_STALE */
    lk_identity id; /* whose login it is: once found has_session, with user, scope, times and public id */
} lk_refresh_ask;

/* A new token, and the successor of the refresh token, in OUT. However many ask with one token at the same
 * time, on however many nodes, they get one successor, and so does who asks again within latchkey_refresh
 * grace=, as after a lost answer. Blocking; asks the store that is written to. LK_OK; LK_REFUSED: no token of
 * ours (malformed, bad_signature: nothing was looked up), or not this time; LK_STALE: the login is over;
 * LK_FULL; LK_FAULT: could not look or write, and asking again settles it. */
LK_CHECKED lk_status lk_guard_refresh(lk_guard *g, lk_refresh_ask *ask, lk_issued *out);
/* Could it be used now? Changes nothing, ends nothing, asks nobody WHO; LK_STALE with how = reused for one
 * that would end the login. */
LK_CHECKED lk_status lk_guard_refresh_look(lk_guard *g, lk_refresh_ask *ask);

/* ---- the session of a request
 * ---------------------------------------------------------------------------------------- */

/* The whole session of the visitor ID, with its fields, wherever it is kept: in the store, or in what was
 * PRESENTED (the request that ID was found for). BUF must have LK_SESSION_ROOM bytes, OUT views into it.
 * Blocking, unless the session came sealed. LK_OK, LK_MISS, LK_STALE, LK_FAULT. */
#define LK_SESSION_ROOM LK_RECORD_MAX
LK_CHECKED lk_status lk_guard_session(lk_guard *g, const lk_presented *presented, const lk_identity *id,
                                      uint8_t *buf, lk_session *out, lk_reason *why);
/* The record that a store keeps under KEY, somebody's. Same answers. */
LK_CHECKED lk_status lk_guard_record(lk_guard *g, const lk_session_key *key, uint8_t *buf, lk_session *out,
                                     lk_reason *why);
/* Change the fields of that session; see lk_store_change. AGAIN->len > 0 afterwards: the session is in the
 * credential, which has to be handed to the visitor anew; wipe it with lk_issued_wipe in any case. */
LK_CHECKED lk_status lk_guard_change(lk_guard *g, const lk_presented *presented, const lk_identity *id,
                                     uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                                     lk_issued *again, lk_note *note);

/* Hand the visitor his credential anew, as ID->reissue asks: sealed with the time of this use, a token with
 * a new life, or the credential of this way in place of another's. What he has stays good for the grace
 * time at least, so an answer that is lost costs nothing. LK_REISSUE_HERE does no I/O; LK_REISSUE_STORE
 * blocks. LK_OK; LK_MISS when there is nothing to hand out (he keeps what he has); LK_STALE when it ended
 * meanwhile; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk_guard_reissue(lk_guard *g, const lk_presented *presented, const lk_identity *id,
                                      lk_issued *out);

/* ---- revoke
 * ---------------------------------------------------------------------------------------------------------
 */

/* End one session on the spot: destroyed with a fence, and a cut-off for the tokens that name it. */
LK_CHECKED lk_status lk_guard_end(lk_guard *g, lk_view realm, const lk_session_key *key, lk_reason reason);
/* End the session of the visitor ID, and what is left of the one it came after. */
LK_CHECKED lk_status lk_guard_end_of(lk_guard *g, const lk_identity *id, lk_reason reason);
/* End the user's sessions but EXCEPT (NULL: all of them; then also one cut-off at level user, which reaches
 * every token). *ended counts. */
LK_CHECKED lk_status lk_guard_end_user(lk_guard *g, lk_view realm, lk_view user, const lk_session_key *except,
                                       lk_reason reason, uint32_t *ended);
/* The API key PUBLIC_PART was taken back: its sessions end, and none is made from what a node read before.
 * Fences alone: a row that stays there is read again. LK_OK; LK_REFUSED when it can be no key; LK_FULL;
 * LK_FAULT. */
LK_CHECKED lk_status lk_guard_api_key_end(lk_guard *g, lk_view public_part, lk_reason reason);
/* What the API key whose session is KEY is bound to, appended as lists of words: the address ranges it is
 * good from, the audiences it is good for. Blocking. LK_OK; LK_MISS or LK_STALE when it is over; LK_FULL;
 * LK_FAULT. */
LK_CHECKED lk_status lk_guard_api_key_bounds(lk_guard *g, const lk_session_key *key, lk_buf *addresses,
                                             lk_buf *audience);
/* May sessions of this gateway be sealed in cookies, of which no store has a list? Then all of a user's end
 * by one cut-off, and the one that is to stay has to be issued anew after it. */
bool lk_guard_seals(const lk_guard *g);
/* Append a cut-off at any level: everything issued until now. Holds on this node when the call returns. */
LK_CHECKED lk_status lk_guard_cutoff(lk_guard *g, lk_level level, lk_view realm, lk_view key,
                                     lk_reason reason, lk_cutoff *out, lk_note *note);

/* ---- upkeep
 * ---------------------------------------------------------------------------------------------------------
 */

/* Take over new events of the store into the table: cut-offs are put there, near copies of ended sessions
 * dropped. Cheap when there are none; the check calls it itself for inline stores. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk_guard_follow(lk_guard *g);

/* With a remote store: follow its stream from a thread of this process, for ever, taking turns with the other
 * processes on this table (one of them follows, the rest stand by and take over within a second). Stopped by
 * lk_guard_close. LK_OK (also when there is nothing to do); LK_FAULT when no thread can be made. */
LK_CHECKED lk_status lk_guard_start_follower(lk_guard *g);

/* How old this node's view of what was revoked is, ms; 0 with an inline store. */
int64_t lk_guard_view_age_ms(const lk_guard *g);
/* What the clock of the store is ahead of this node's, ms. */
int64_t lk_guard_clock_offset_ms(const lk_guard *g);
/* Write last-seen times that moved by a tenth of the idle time to the store, in one batch; sweep store and
 * table within a budget. Blocking; call every second or so from one thread per process. */
LK_CHECKED lk_status lk_guard_upkeep(lk_guard *g);

/* See new, changed and removed key files, make new keys where latchkey_keys rotate= says so, and add up how
 * often each key was used. Blocking; call it every second or so from one thread per process, beside
 * lk_guard_upkeep. LK_OK; LK_REFUSED, LK_FULL, LK_FAULT with a note: the keys stay as they were. */
LK_CHECKED lk_status lk_guard_keys(lk_guard *g, lk_note *note);
/* How often KID signed and proved something, over all processes of this table. */
void lk_guard_key_uses(const lk_guard *g, lk_view kid, uint64_t *signed_n, uint64_t *verified_n);

/* Could the gateway serve now? LK_OK, or LK_FAULT with the reason in the note. */
LK_CHECKED lk_status lk_guard_ready(lk_guard *g, lk_note *note);

/* Counters for metrics, kept in shared memory over all workers. */
typedef enum lk_counter {
    LK_COUNT_ALLOWED,
    LK_COUNT_ANONYMOUS,
    LK_COUNT_REFUSED,
    LK_COUNT_UNKNOWN,
    LK_COUNT_LOGINS,
    LK_COUNT_LOGINS_FAILED,
    LK_COUNT_THROTTLED,
    LK_COUNT_LOGOUTS,
    LK_COUNT_REGISTRATIONS,
    LK_COUNT_LOOKUP_HIT,
    LK_COUNT_LOOKUP_MISS,
    LK_COUNT_LOOKUP_FAULT,
    LK_COUNT_LOOKUP_STALE,
    LK_COUNT_TOKEN_VERIFIED,
    LK_COUNT_TOKEN_REMEMBERED,
    LK_COUNT_CUTOFFS,
    LK_COUNT_TOUCHES,
    LK_COUNT_SWEPT,
    LK_COUNT_CSRF,
    LK_COUNT_NEAR_HIT,        /* answered by a near copy */
    LK_COUNT_STORE_BATCH,     /* batches of look-ups sent to a remote store */
    LK_COUNT_STALE_SERVED,    /* served by latchkey_on_unknown */
    LK_COUNT_EVENTS,          /* events followed */
    LK_COUNT_COPIES,          /* sealed sessions ended since somebody had copied them */
    LK_COUNT_RESYNC,          /* times the stream had to be read from its start */
    LK_COUNT_REPEATED,        /* decided as a moment ago, in the same second */
    LK_COUNT_DATA_CHANGED,    /* changes of session data that applications asked for and got */
    LK_COUNT_DATA_REFUSED,    /* ... that were wrong */
    LK_COUNT_DATA_OVER,       /* ... that found no session */
    LK_COUNT_DATA_FAILED,     /* ... that could not be kept: the visitor was told */
    LK_COUNT_DATA_DROPPED,    /* fields that were too large for the request to the application */
    LK_COUNT_PROOFS,          /* DPoP proofs that were good */
    LK_COUNT_SIGNED,          /* signed requests that were good */
    LK_COUNT_REPLAYED,        /* of either kind, that came again */
    LK_COUNT_REFRESHED,       /* refresh tokens used for the first time */
    LK_COUNT_REFRESHED_AGAIN, /* ... once more within the grace time */
    LK_COUNT_REFRESH_REUSED,  /* ... later than that: the login was ended */
    LK_COUNT_REFRESH_REFUSED, /* ... that were no good */
    LK_COUNT_KEYS_READ,       /* times changed key files were taken over, by each process */
    LK_COUNT_KEYS_FAILED,     /* ... could not be */
    LK_COUNT_KEYS_MADE,       /* keys made since the one before had its age */
    LK_COUNT_API_KEY_READ,    /* rows of API keys asked for */
    LK_COUNT_DEVICE_RENEWED,  /* devices given a session */
    LK_COUNT_DEVICE_REPEATED, /* ... given the one they have once more */
    LK_COUNT_DEVICE_REFUSED,  /* ... given none */
    LK_COUNT_DEVICE_UNKNOWN,  /* ... of whom nobody could tell */
    LK_COUNT_COUNT
} lk_counter;
void lk_guard_count(lk_guard *g, lk_counter counter);
uint64_t lk_guard_counted(const lk_guard *g, lk_counter counter);

/* One line of the audit log: JSON, no newline, no secret, never longer than LK_AUDIT_MAX.
 * docs/formats/audit.md */
#define LK_AUDIT_MAX 2048
typedef struct lk_audit_event {
    const char *event; /* "login", "login_failed", "logout", "refused", "registered", "password_changed",
                          "session_ended", "cutoff", ... */
    lk_reason reason;
    const lk_identity *identity; /* may be NULL */
    lk_view user; /* when there is no identity (failed login: the name is hashed by the caller or left out) */
    lk_view realm, address, method, path, request_id, agent;
    int status;
    int64_t now_ms;
} lk_audit_event;
void lk_audit_line(const lk_audit_event *event, lk_buf *out);

/* What G stands on. `env` may be G's own clock of the cluster: good for as long as G. */
const lk_guard_parts *lk_guard_parts_of(const lk_guard *g);

/* A form token bound to KEY (a session) or to a random visitor mark, and its check. docs/formats/csrf.md */
#define LK_CSRF_LEN 86
LK_CHECKED lk_status lk_csrf_new(lk_guard *g, lk_view bound_to, char out[LK_CSRF_LEN + 1]);
LK_CHECKED lk_status lk_csrf_check(lk_guard *g, lk_view bound_to, lk_view token); /* LK_OK, LK_REFUSED */

/* ---- devices: docs/devices.md
 * ------------------------------------------------------------------- */

/* How a device proves itself: TEXT, or ID with CHALLENGE and SIGNATURE. */
typedef struct lk_device_proof {
    lk_view text;
    lk_view id, challenge, signature;
} lk_device_proof;

/* Who it is. LK_OK: OUT is it, its owner is logged in on it by right (times and cut-offs are not looked at);
 * LK_REFUSED: it is nobody, and never will be by this; LK_FAULT. */
LK_CHECKED lk_status lk_device_prove(lk_guard *g, lk_accounts *a, const lk_device_proof *proof,
                                     lk_device *out);

/* What the device asks for. */
typedef struct lk_device_ask {
    const lk_device_proof *proof;
    lk_kind kind;
    bool renews; /* as in lk_login */
    lk_view agent, address;
    const lk_presented *presented; /* and PRIOR: an anonymous session it comes with, as for lk_guard_issue */
    const lk_identity *prior;
} lk_device_ask;

typedef struct lk_device_session {
    lk_device device;
    lk_user user;
    lk_issued issued; /* lk_issued_wipe */
    bool over;        /* LK_REFUSED: for good, so that what the device holds may be taken from it */
    lk_reason why;
} lk_device_session;

/* Give the device a session, in place of the one that ended by time; the very one it has if that is alive.
 * However many ask at once, on however many nodes: they are given one session. Not when its last session was
 * ended by somebody, when a cut-off is later than the device, or its owner is disabled; nor when a limit
 * ended it, until the next login on the device. It ends nobody's session. Blocking. LK_OK; LK_REFUSED: one
 * answer to all that is not so; LK_FULL: no room, or out->issued.why is session_limit and the user's places
 * are taken; LK_FAULT: could not look, and nothing was changed. */
LK_CHECKED lk_status lk_guard_device_session(lk_guard *g, lk_accounts *a, const lk_device_ask *ask,
                                             lk_device_session *out);

/* After a login of USER: which of his devices did a limit put out with it? They are told so in the accounts,
 * and are given no session until the next login on them. With no limit that ends anybody: nothing is looked
 * up. Blocking. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_guard_devices_put_out(lk_guard *g, lk_accounts *a, lk_view user);

/* When a device that is vouched for now was: now, or just after the newest cut-off that would reach it. */
int64_t lk_guard_issue_time_ms(lk_guard *g, lk_view realm, lk_view roles, lk_view user, lk_view device);

#ifdef __cplusplus
}
#endif
#endif
