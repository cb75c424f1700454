/* SPDX-License-Identifier: Apache-2.0
 *
 * test_replay.c - what was used does not come again: proofs of possession, signed requests, and the memory of
 * both, which nobody can fill for the others.
 */
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "guard/guard_internal.h"
#include "world.h"
#include <latchkey/base64url.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND };

static world w;
static const lk_rule required = {.mode = LK_MODE_REQUIRED};
static const lk_rule bound_rule = {.mode = LK_MODE_REQUIRED, .bound = true};

static int open_world(void **state)
{
    (void)state;
    test_clock_set_ms(1800000000000);
    world_open(&w, "memory:");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

/* ---- a client with a key of its own ---- */

typedef struct client {
    uint8_t secret[LK_ED25519_SECRET_LEN], public[LK_ED25519_PUBLIC_LEN];
    char jwk[128], jkt[LK_THUMBPRINT_LEN + 1];
    char token[LK_ISSUED_MAX];
} client;

static const char *text_of(const void *bytes, size_t len)
{
    static char texts[4][2048];
    static unsigned next;
    char *out = texts[next++ % 4];
    lk_buf text = lk_buf_over(out, sizeof(texts[0]));
    lk_base64url_encode(lk_view_make(bytes, len), &text);
    return lk_buf_text(&text);
}

static void client_new(client *c, uint8_t seed_byte)
{
    uint8_t seed[LK_ED25519_SEED_LEN];
    lk_buf jkt = lk_buf_over(c->jkt, sizeof(c->jkt));
    memset(seed, seed_byte, sizeof(seed));
    assert_int_equal(lk_ed25519_expand(seed, c->secret, c->public), LK_OK);
    (void)snprintf(c->jwk, sizeof(c->jwk), "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}",
                   text_of(c->public, sizeof(c->public)));
    assert_int_equal(lk_jwk_thumbprint(lk_view_of(c->jwk), &jkt, NULL), LK_OK);
    assert_non_null(lk_buf_text(&jkt));
}

/* Log USER in, with a token that is bound to the key of C. */
static void client_login(client *c, const char *user)
{
    lk_issued issued;
    lk_login login = {.user = lk_view_of(user), .name = lk_view_of(user), .bound = lk_view_of(c->jkt)};
    assert_int_equal(lk_guard_issue(w.guard, LK_KIND_JWT, &login, NULL, NULL, &issued, NULL), LK_OK);
    (void)snprintf(c->token, sizeof(c->token), "%.*s", (int)issued.len, issued.text);
}

/* A proof for POST https://shop.example/api with this jti and, unless NULL, nonce. */
static const char *proof_of(const client *c, const char *id, const char *nonce)
{
    static char out[4][LK_DPOP_MAX];
    static unsigned next;
    char *proof = out[next++ % 4], json[1024], more[128] = "";
    uint8_t hash[LK_SHA256_LEN], signature[LK_ED25519_SIGNATURE_LEN];
    assert_int_equal(lk_sha256(lk_view_of(c->token), hash), LK_OK);
    if (nonce != NULL)
        (void)snprintf(more, sizeof(more), ",\"nonce\":\"%s\"", nonce);
    (void)snprintf(json, sizeof(json), "{\"typ\":\"dpop+jwt\",\"alg\":\"EdDSA\",\"jwk\":%s}", c->jwk);
    int len = snprintf(proof, LK_DPOP_MAX, "%s.", text_of(json, strlen(json)));
    (void)snprintf(json, sizeof(json),
                   "{\"htm\":\"POST\",\"htu\":\"https://shop.example/"
                   "api\",\"iat\":%lld,\"jti\":\"%s\",\"ath\":\"%s\"%s}",
                   (long long)lk_now_s(test_env()), id, text_of(hash, sizeof(hash)), more);
    len += snprintf(proof + len, LK_DPOP_MAX - (size_t)len, "%s", text_of(json, strlen(json)));
    assert_int_equal(lk_ed25519_sign(c->secret, lk_view_make(proof, (size_t)len), signature), LK_OK);
    (void)snprintf(proof + len, LK_DPOP_MAX - (size_t)len, ".%s", text_of(signature, sizeof(signature)));
    return proof;
}

static lk_presented presents(const char *scheme, const char *token, const char *proof, lk_view fields[2])
{
    static char field[LK_ISSUED_MAX + 64];
    (void)snprintf(field, sizeof(field), "%s %s", scheme, token);
    fields[0] = lk_view_of(field);
    fields[1] = lk_view_of(proof);
    return (lk_presented){.authorization = &fields[0],
                          .authorization_n = 1,
                          .proofs = &fields[1],
                          .proofs_n = proof != NULL ? 1 : 0,
                          .about = {.method = LK_VIEW("POST"),
                                    .scheme = LK_VIEW("https"),
                                    .host = LK_VIEW("shop.example"),
                                    .target = LK_VIEW("/api?x=1")}};
}

static lk_identity check(const char *scheme, const char *token, const char *proof, const lk_rule *rule)
{
    lk_identity id;
    lk_view fields[2];
    lk_presented p = presents(scheme, token, proof, fields);
    lk_guard_check(w.guard, &p, rule, &id);
    return id;
}

static void assert_in(lk_identity id, const char *user)
{
    assert_string_equal(lk_reason_word(id.reason), "");
    assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    assert_string_equal(id.user, user);
}

static void assert_out(lk_identity id, lk_reason reason, lk_proof proof)
{
    assert_string_equal(lk_reason_word(id.reason), lk_reason_word(reason));
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_int_equal(id.proof, proof);
    assert_false(id.logged_in);
}

/* ---- bound tokens ---- */

static void bound_token_is_good_beside_a_proof_by_its_key(void **state)
{
    client alice;
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    lk_identity id = check("DPoP", alice.token, proof_of(&alice, "1", NULL), &bound_rule);
    assert_in(id, "alice");
    assert_int_equal(id.proof, LK_PROOF_GOOD);
    assert_in(check("dpop", alice.token, proof_of(&alice, "2", NULL), &required), "alice");
}

static void bound_token_is_good_in_no_other_way(void **state)
{
    client alice;
    lk_presented p;
    lk_view fields[2];
    lk_identity id;
    char cookie[LK_ISSUED_MAX + 16];
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    assert_out(check("Bearer", alice.token, proof_of(&alice, "1", NULL), &required), LK_REASON_WRONG_CARRIER,
               LK_PROOF_MISSING);
    assert_out(check("Bearer", alice.token, NULL, &required), LK_REASON_WRONG_CARRIER, LK_PROOF_MISSING);
    assert_out(check("DPoP", alice.token, NULL, &required), LK_REASON_WRONG_CARRIER, LK_PROOF_MISSING);
    /* once more after it was good: what is remembered of a token is that it is bound, too */
    assert_in(check("DPoP", alice.token, proof_of(&alice, "1", NULL), &required), "alice");
    assert_out(check("Bearer", alice.token, NULL, &required), LK_REASON_WRONG_CARRIER, LK_PROOF_MISSING);
    (void)snprintf(cookie, sizeof(cookie), "latchkey=%s", alice.token);
    p = presents("DPoP", alice.token, proof_of(&alice, "2", NULL), fields);
    fields[0] = lk_view_of(cookie);
    p.cookies = &fields[0];
    p.cookies_n = 1;
    p.authorization_n = 0;
    lk_guard_check(w.guard, &p, &required, &id);
    assert_out(id, LK_REASON_WRONG_CARRIER, LK_PROOF_MISSING);
    p = presents("DPoP", alice.token, proof_of(&alice, "3", NULL), fields);
    fields[0] = lk_view_of(alice.token);
    p.header = &fields[0];
    p.header_n = 1;
    p.authorization_n = 0;
    lk_guard_check(w.guard, &p, &required, &id);
    assert_out(id, LK_REASON_WRONG_CARRIER, LK_PROOF_MISSING);
}

static void credential_that_is_not_bound_is_none_under_dpop(void **state)
{
    static const lk_kind kinds[] = {LK_KIND_SESSION_ID, LK_KIND_TOKEN, LK_KIND_JWT};
    client alice;
    (void)state;
    client_new(&alice, 1);
    for (size_t i = 0; i < 3; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        (void)snprintf(alice.token, sizeof(alice.token), "%.*s", (int)issued.len, issued.text);
        assert_out(check("DPoP", alice.token, proof_of(&alice, "1", NULL), &required),
                   LK_REASON_WRONG_CARRIER, LK_PROOF_UNASKED);
        assert_in(check("Bearer", alice.token, NULL, &required), "alice");
        lk_identity id = check("Bearer", alice.token, NULL, &bound_rule);
        assert_string_equal(lk_reason_word(id.reason), "wrong_carrier");
        assert_int_equal(lk_identity_http_status(&id), 401);
    }
}

static void proof_of_another_key_is_refused(void **state)
{
    client alice, mallory;
    (void)state;
    client_new(&alice, 1);
    client_new(&mallory, 2);
    client_login(&alice, "alice");
    (void)snprintf(mallory.token, sizeof(mallory.token), "%s", alice.token); /* stolen */
    assert_out(check("DPoP", alice.token, proof_of(&mallory, "1", NULL), &required), LK_REASON_WRONG_DEVICE,
               LK_PROOF_BAD);
}

static void two_proofs_are_refused(void **state)
{
    client alice;
    lk_view fields[2], proofs[2];
    lk_identity id;
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    lk_presented p = presents("DPoP", alice.token, proof_of(&alice, "1", NULL), fields);
    proofs[0] = proofs[1] = fields[1];
    p.proofs = proofs;
    p.proofs_n = 2;
    lk_guard_check(w.guard, &p, &required, &id);
    assert_out(id, LK_REASON_MALFORMED, LK_PROOF_BAD);
}

static void token_that_was_revoked_costs_no_proof(void **state)
{
    client alice;
    lk_cutoff c;
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    assert_int_equal(
        lk_guard_cutoff(w.guard, LK_LEVEL_USER, LK_VIEW(""), LK_VIEW("alice"), LK_REASON_REVOKED, &c, NULL),
        LK_OK);
    assert_out(check("DPoP", alice.token, proof_of(&alice, "1", NULL), &required), LK_REASON_REVOKED,
               LK_PROOF_UNASKED);
    assert_int_equal(lk_table_held(w.table, LK_ENTRY_PROOF), 0);
}

/* ---- once ---- */

static void proof_is_good_once(void **state)
{
    client alice;
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    const char *proof = proof_of(&alice, "1", NULL);
    assert_in(check("DPoP", alice.token, proof, &required), "alice");
    assert_out(check("DPoP", alice.token, proof, &required), LK_REASON_REPLAYED, LK_PROOF_BAD);
    test_clock_advance_ms(59 * SECOND);
    assert_out(check("DPoP", alice.token, proof, &required), LK_REASON_REPLAYED, LK_PROOF_BAD);
    test_clock_advance_ms(2 * SECOND);
    assert_out(check("DPoP", alice.token, proof, &required), LK_REASON_EXPIRED, LK_PROOF_BAD);
    /* the same jti in a proof of its own is a repeat as well, while the first is remembered */
    assert_in(check("DPoP", alice.token, proof_of(&alice, "2", NULL), &required), "alice");
    test_clock_advance_ms(SECOND);
    assert_out(check("DPoP", alice.token, proof_of(&alice, "2", NULL), &required), LK_REASON_REPLAYED,
               LK_PROOF_BAD);
}

static void same_jti_of_another_key_is_another_proof(void **state)
{
    client alice, bob;
    (void)state;
    client_new(&alice, 1);
    client_new(&bob, 2);
    client_login(&alice, "alice");
    client_login(&bob, "bob");
    assert_in(check("DPoP", alice.token, proof_of(&alice, "1", NULL), &required), "alice");
    assert_in(check("DPoP", bob.token, proof_of(&bob, "1", NULL), &required), "bob");
}

/* A server that checks one request twice, for two of its locations. */
static void one_request_may_be_checked_twice(void **state)
{
    client alice;
    lk_view fields[2];
    lk_identity id;
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    lk_presented p = presents("DPoP", alice.token, proof_of(&alice, "1", NULL), fields);
    lk_guard_check(w.guard, &p, &required, &id);
    assert_in(id, "alice");
    p.proof_used = true;
    lk_guard_check(w.guard, &p, &required, &id);
    assert_in(id, "alice");
    p.about.target = LK_VIEW("/other");
    lk_guard_check(w.guard, &p, &required, &id);
    assert_out(id, LK_REASON_BAD_SIGNATURE, LK_PROOF_BAD);
}

static void proof_from_before_the_memory_was_made_is_refused(void **state)
{
    client alice;
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    const char *proof = proof_of(&alice, "1", NULL);
    assert_in(check("DPoP", alice.token, proof, &required), "alice");
    test_clock_advance_ms(5 * SECOND);
    const char *unused = proof_of(&alice, "2", NULL);
    test_clock_advance_ms(5 * SECOND);
    world_restart(&w, true);
    /* Sessions of before are gone with it, and so is the token. What is asked here is what a node says that
     * has lost its memory alone. */
    client_login(&alice, "alice");
    assert_out(check("DPoP", alice.token, unused, &required), LK_REASON_BAD_SIGNATURE, LK_PROOF_BAD);
    lk__use u = {.kind = "dpop", .key = LK_VIEW("k"), .id = LK_VIEW("2"), .by = LK_VIEW("a")};
    u.made_s = lk_now_s(test_env()) - 5;
    u.until_s = u.made_s + 60;
    assert_int_equal(lk__use_up(w.guard, &u), LK_STALE);
    u.made_s += 5;
    assert_int_equal(lk__use_up(w.guard, &u), LK_OK);
}

static void nonce_is_asked_for_where_the_operator_says_so(void **state)
{
    client alice;
    char nonce[LK_DPOP_NONCE_LEN + 1];
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    w.settings.dpop_nonce_s = 30;
    assert_out(check("DPoP", alice.token, proof_of(&alice, "1", NULL), &required), LK_REASON_EXPIRED,
               LK_PROOF_NONCE);
    assert_out(check("DPoP", alice.token, proof_of(&alice, "1", "made-up"), &required), LK_REASON_EXPIRED,
               LK_PROOF_NONCE);
    assert_int_equal(lk_dpop_nonce_make(w.ring, lk_now_s(test_env()), nonce), LK_OK);
    assert_in(check("DPoP", alice.token, proof_of(&alice, "1", nonce), &required), "alice");
    test_clock_advance_ms(31 * SECOND);
    assert_out(check("DPoP", alice.token, proof_of(&alice, "2", nonce), &required), LK_REASON_EXPIRED,
               LK_PROOF_NONCE);
    /* a proof that is no good is not told to fetch a nonce */
    alice.jwk[40] = 'A';
    assert_int_equal(check("DPoP", alice.token, proof_of(&alice, "3", NULL), &required).proof, LK_PROOF_BAD);
}

static void proof_for_a_token_that_is_asked_for_is_used_up_as_well(void **state)
{
    client alice;
    lk_view fields[2];
    lk_reason why;
    lk_proof proof;
    char jkt[LK_JKT_LEN + 1];
    (void)state;
    client_new(&alice, 1);
    lk_presented p = presents("Bearer", "x", proof_of(&alice, "1", NULL), fields);
    assert_int_equal(lk_guard_proof(w.guard, &p, LK_VIEW("/alice"), jkt, &proof, &why), LK_OK);
    assert_string_equal(jkt, alice.jkt);
    assert_int_equal(lk_guard_proof(w.guard, &p, LK_VIEW("/alice"), jkt, &proof, &why), LK_REFUSED);
    assert_int_equal(why, LK_REASON_REPLAYED);
    assert_string_equal(jkt, "");
    p.proofs_n = 0;
    assert_int_equal(lk_guard_proof(w.guard, &p, LK_VIEW("/alice"), jkt, &proof, &why), LK_MISS);
}

/* ---- the memory ---- */

static lk_status use(const char *by, unsigned n, int64_t now_s)
{
    char id[32];
    (void)snprintf(id, sizeof(id), "%u", n);
    lk__use u = {.kind = "dpop",
                 .key = lk_view_of(by),
                 .id = lk_view_of(id),
                 .by = lk_view_of(by),
                 .made_s = now_s,
                 .until_s = now_s + 60};
    test_clock_advance_ms(n % 64 == 0 ? 1 : 0);
    return lk__use_up(w.guard, &u);
}

static unsigned use_all(const char *by, int64_t now_s)
{
    unsigned n = 0;
    while (n < 100000 && use(by, n, now_s) == LK_OK)
        n++;
    test_clock_advance_ms(60);
    return n;
}

static void nobody_fills_the_memory_of_proofs_for_the_others(void **state)
{
    int64_t now_s = lk_now_s(test_env());
    unsigned max = (8u << 20) / 1024, before = max;
    char who[32];
    (void)state;
    /* each of twelve sends what he can; each takes less than the one before, and the last still gets some */
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(who, sizeof(who), "attacker%u", i);
        unsigned took = use_all(who, now_s);
        assert_true(took <= before);
        assert_true(took >= 64);
        assert_true(took <= max / 4);
        before = took;
    }
    assert_true(lk_table_held(w.table, LK_ENTRY_PROOF) <= max);
    assert_int_equal(use("alice", 1, now_s), LK_OK);
    assert_int_equal(use("alice", 1, now_s), LK_REFUSED);
    assert_int_equal(use("attacker0", 99999, now_s), LK_FULL);
    /* and when their time is over it is theirs again */
    test_clock_advance_ms(2 * MINUTE);
    uint32_t removed;
    (void)!lk_table_sweep(w.table, lk_now_s(test_env()), UINT32_MAX, 1000, &removed);
    assert_int_equal(use("attacker0", 99999, lk_now_s(test_env())), LK_OK);
}

static void flood_is_answered_with_try_again_and_not_with_a_wrong_reason(void **state)
{
    client alice;
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    (void)use_all("/alice", lk_now_s(test_env()));
    lk_identity id = check("DPoP", alice.token, proof_of(&alice, "1", NULL), &required);
    assert_int_equal(id.verdict, LK_VERDICT_UNKNOWN);
    assert_int_equal(lk_identity_http_status(&id), 503);
    assert_string_equal(lk_reason_word(id.reason), "throttled");
}

static void full_table_forgets_no_proof(void **state)
{
    client alice;
    lk_issued issued;
    (void)state;
    client_new(&alice, 1);
    client_login(&alice, "alice");
    const char *proof = proof_of(&alice, "1", NULL);
    assert_in(check("DPoP", alice.token, proof, &required), "alice");
    lk_table_stats stats = {0};
    for (unsigned i = 0; i < 60000 && stats.evicted_live == 0; i++) {
        lk_login login = {.user = LK_VIEW("bob"), .name = LK_VIEW("bob")};
        if (lk_guard_issue(w.guard, LK_KIND_SESSION_ID, &login, NULL, NULL, &issued, NULL) != LK_OK)
            break;
        if (i % 1000 == 0)
            lk_table_stats_read(w.table, &stats);
    }
    assert_true(stats.evicted_live > 0);
    assert_out(check("DPoP", alice.token, proof, &required), LK_REASON_REPLAYED, LK_PROOF_BAD);
}

/* ---- signed requests ---- */

static const lk_about about = {.method = {(const uint8_t *)"GET", 3},
                               .scheme = {(const uint8_t *)"https", 5},
                               .host = {(const uint8_t *)"api.example", 11},
                               .target = {(const uint8_t *)"/", 1}};

/* The field that a client with KEY sends now. */
static const char *sign(const char *key, const char *nonce)
{
    static char field[LK_SIGNATURE_FIELD_MAX];
    char hex[65], time[24];
    lk_buf out = lk_buf_over(hex, sizeof(hex));
    (void)snprintf(time, sizeof(time), "%lld", (long long)lk_now_s(test_env()));
    lk_request_signature s = {.key = lk_view_make(key + 3, 8),
                              .time = lk_view_of(time),
                              .nonce = lk_view_of(nonce),
                              .body = LK_VIEW("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")};
    assert_int_equal(lk_request_signature_make(lk_view_make(key + 12, 32), &s, &about, &out), LK_OK);
    (void)snprintf(field, sizeof(field),
                   "Latchkey-Signature key=%.11s, time=%s, nonce=%s, body=%.43s, sign=%s", key, time, nonce,
                   (const char *)s.body.p, lk_buf_text(&out));
    return field;
}

static lk_status signature(const char *field, lk_presented *p, lk_signed *s, lk_reason *why)
{
    static lk_view fields[2];
    fields[0] = fields[1] = lk_view_of(field);
    *p = (lk_presented){.authorization = fields, .authorization_n = 1, .about = about};
    return lk_guard_signature(w.guard, p, s, why);
}

static void signed_request_presents_its_key_and_nothing_else(void **state)
{
    char key[LK_API_KEY_LEN + 1];
    lk_presented p;
    lk_signed s;
    lk_reason why;
    lk_view cookie = LK_VIEW("latchkey=x");
    (void)state;
    assert_int_equal(lk_api_key_make(test_env(), w.ring, key), LK_OK);
    const char *field = sign(key, "0123456789abcdef");
    lk_view fields[2] = {lk_view_of(field), lk_view_of(field)};
    p = (lk_presented){
        .authorization = fields, .authorization_n = 1, .about = about, .cookies = &cookie, .cookies_n = 1};
    assert_int_equal(lk_guard_signature(w.guard, &p, &s, &why), LK_OK);
    assert_int_equal(p.cookies_n, 0);
    assert_int_equal(p.authorization_n, 1);
    assert_memory_equal(p.authorization[0].p, "Bearer lk_", 10);
    assert_memory_equal(p.authorization[0].p + 7, key, LK_API_KEY_LEN);
    assert_true(p.is_signed);
    lk_signed_wipe(&s);
    /* twice is not once */
    p = (lk_presented){.authorization = fields, .authorization_n = 2, .about = about};
    assert_int_equal(lk_guard_signature(w.guard, &p, &s, &why), LK_REFUSED);
    assert_int_equal(why, LK_REASON_MALFORMED);
    assert_false(p.is_signed);
}

static void request_without_a_signature_is_told_apart_from_a_bad_one(void **state)
{
    char key[LK_API_KEY_LEN + 1];
    lk_presented p;
    lk_signed s;
    lk_reason why;
    (void)state;
    assert_int_equal(lk_api_key_make(test_env(), w.ring, key), LK_OK);
    assert_int_equal(signature("Bearer x", &p, &s, &why), LK_MISS);
    assert_int_equal(signature("Latchkey-Signature key=", &p, &s, &why), LK_REFUSED);
    assert_int_equal(why, LK_REASON_MALFORMED);
    key[20] = key[20] == 'A' ? 'B' : 'A'; /* a secret that is not that of its public part */
    assert_int_equal(signature(sign(key, "0123456789abcdef"), &p, &s, &why), LK_REFUSED);
    assert_int_equal(why, LK_REASON_BAD_SIGNATURE);
}

static void signed_request_is_good_once(void **state)
{
    char key[LK_API_KEY_LEN + 1], other[LK_API_KEY_LEN + 1];
    lk_presented p;
    lk_signed s, t;
    lk_reason why;
    (void)state;
    assert_int_equal(lk_api_key_make(test_env(), w.ring, key), LK_OK);
    assert_int_equal(lk_api_key_make(test_env(), w.ring, other), LK_OK);
    assert_int_equal(signature(sign(key, "0123456789abcdef"), &p, &s, &why), LK_OK);
    assert_false(lk_guard_signature_asks(w.guard));
    assert_int_equal(lk_guard_signature_use(w.guard, &s, &why), LK_OK);
    assert_int_equal(lk_guard_signature_use(w.guard, &s, &why), LK_REFUSED);
    assert_int_equal(why, LK_REASON_REPLAYED);
    /* until it could not come any more */
    test_clock_advance_ms(60 * SECOND);
    assert_int_equal(lk_guard_signature_use(w.guard, &s, &why), LK_REFUSED);
    assert_int_equal(why, LK_REASON_REPLAYED);
    assert_int_equal(signature(sign(other, "0123456789abcdef"), &p, &t, &why), LK_OK);
    assert_int_equal(lk_guard_signature_use(w.guard, &t, &why), LK_OK);
}

static void rule_that_asks_for_a_signature_lets_nothing_else_in(void **state)
{
    static const lk_rule rule = {.mode = LK_MODE_REQUIRED, .signature = true};
    static const lk_kind kinds[] = {LK_KIND_SESSION_ID, LK_KIND_TOKEN, LK_KIND_JWT};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, &rule);
        assert_string_equal(lk_reason_word(id.reason), "wrong_carrier");
        assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bound_token_is_good_beside_a_proof_by_its_key),
        TEST(bound_token_is_good_in_no_other_way),
        TEST(credential_that_is_not_bound_is_none_under_dpop),
        TEST(proof_of_another_key_is_refused),
        TEST(two_proofs_are_refused),
        TEST(token_that_was_revoked_costs_no_proof),
        TEST(proof_is_good_once),
        TEST(same_jti_of_another_key_is_another_proof),
        TEST(one_request_may_be_checked_twice),
        TEST(proof_from_before_the_memory_was_made_is_refused),
        TEST(nonce_is_asked_for_where_the_operator_says_so),
        TEST(proof_for_a_token_that_is_asked_for_is_used_up_as_well),
        TEST(nobody_fills_the_memory_of_proofs_for_the_others),
        TEST(flood_is_answered_with_try_again_and_not_with_a_wrong_reason),
        TEST(full_table_forgets_no_proof),
        TEST(signed_request_presents_its_key_and_nothing_else),
        TEST(request_without_a_signature_is_told_apart_from_a_bad_one),
        TEST(signed_request_is_good_once),
        TEST(rule_that_asks_for_a_signature_lets_nothing_else_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
