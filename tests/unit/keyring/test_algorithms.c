/* SPDX-License-Identifier: Apache-2.0
 *
 * test_algorithms.c - the algorithms beside the first four: published vectors, the forms of a signature that
 * must not pass, and keys that must not be taken.
 */
#include "crypto/mac512.h"
#include "key_fixture.h"
#include "keyring/keyring_internal.h"
#include <latchkey/base64url.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

/* RFC 7520 sections 3.1 and 3.3: the keys of section 4; RFC 7515 appendix A.4. */
#define N_7520                                                                                               \
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_"               \
    "AJmSCpMaJMRBSFKr"                                                                                       \
    "Kb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-"                         \
    "OfVfHd1E6cS6M1FZcD1NNLYD5l"                                                                             \
    "FHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_"           \
    "qixoR7jig3__"                                                                                           \
    "kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"
#define RSA_7520 "{\"kty\":\"RSA\",\"alg\":\"%s\",\"e\":\"AQAB\",\"n\":\"" N_7520 "\"}"
#define TEXT_7520                                                                                            \
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm" \
    "9h"                                                                                                     \
    "ZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIH" \
    "N3"                                                                                                     \
    "ZXB0IG9mZiB0by4"
#define PS384_7520                                                                                           \
    "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-"                                     \
    "tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6"                                                                 \
    "_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_"                 \
    "ijQ7p8Vdz0TTrxUeT3"                                                                                     \
    "lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_"                                               \
    "jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6G"                                                       \
    "YmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"
#define HEADER_PS384 "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9"
#define HEADER_ES512 "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9"
#define EC_7520                                                                                              \
    "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_"            \
    "oJXu9A5RkTKqjqvjye"                                                                                     \
    "kWF-7ytDyRXYgCF5cj0Kt\",\"y\":"                                                                         \
    "\"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9"                          \
    "cwlGfP-HqHZR1\"}"
#define ES512_7520                                                                                           \
    "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_"   \
    "sDDy"                                                                                                   \
    "YjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2"
#define EC_7515                                                                                              \
    "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_"     \
    "NjFZ6OvLFV1"                                                                                            \
    "jSfS9tsz4qUxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-"                         \
    "x3S1WDhjDly79ajL4Kkd0AZMaZmh9"                                                                          \
    "ubmf63e3kyMj2\"}"
#define ES512_7515                                                                                           \
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_"                   \
    "7XdtAG8GaSwFKdCAPZgo"                                                                                   \
    "XD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"

static lk_status verify_text(const char *jwk, const char *message, const char *signature)
{
    uint8_t bytes[LK_SIGNATURE_MAX];
    size_t len = bytes_of_text(signature, bytes, sizeof(bytes));
    lk_keyring *ring = ring_of(jwk, NULL);
    lk_status status;

    assert_non_null(ring);
    status =
        lk_verify(lk_keyring_verifier(ring, (lk_view){0}), lk_view_of(message), lk_view_make(bytes, len));
    lk_keyring_free(ring);
    return status;
}

static void signatures_of_the_standards_are_right_for_their_algorithm_alone(void **state)
{
    static const char *const others[] = {"PS256", "PS512", "RS256", "RS384", "RS512"};
    char jwk[600];

    (void)state;
    (void)snprintf(jwk, sizeof(jwk), RSA_7520, "PS384");
    assert_int_equal(verify_text(jwk, HEADER_PS384 "." TEXT_7520, PS384_7520), LK_OK);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        (void)snprintf(jwk, sizeof(jwk), RSA_7520, others[i]);
        assert_int_equal(verify_text(jwk, HEADER_PS384 "." TEXT_7520, PS384_7520), LK_REFUSED);
    }
    assert_int_equal(verify_text(EC_7520, HEADER_ES512 "." TEXT_7520, ES512_7520), LK_OK);
    assert_int_equal(verify_text(EC_7520, HEADER_PS384 "." TEXT_7520, ES512_7520), LK_REFUSED);
    assert_int_equal(verify_text(EC_7515, "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA", ES512_7515), LK_OK);
    assert_int_equal(verify_text(EC_7515, "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZB", ES512_7515), LK_REFUSED);
}

/* --- HMAC ------------------------------------------------------------------------------------------------
 */

static void longer_hashes_agree_with_openssl_for_every_length_of_key_and_message(void **state)
{
    uint8_t key[300], message[300], ours[LK_MAC512_LEN], theirs[LK_MAC512_LEN];
    unsigned len;

    (void)state;
    memset(key, 0xaa, sizeof(key));
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)(i * 7);
    for (size_t n = 1; n < sizeof(key); n += 13) {
        for (size_t hash = LK_MAC384_LEN; hash <= LK_MAC512_LEN; hash += 16) {
            lk_mac512 mac;

            assert_int_equal(lk_mac512_init(&mac, hash, lk_view_make(key, n)), LK_OK);
            assert_int_equal(lk_mac512_run(&mac, lk_view_make(message, n), ours), LK_OK);
            assert_non_null(HMAC(hash == LK_MAC384_LEN ? EVP_sha384() : EVP_sha512(), key, (int)n, message, n,
                                 theirs, &len));
            assert_int_equal(len, hash);
            assert_memory_equal(ours, theirs, hash);
            lk_mac512_wipe(&mac);
        }
    }
}

static void refuse(const char *jwk, const char *words)
{
    lk_note note = {0};
    lk_keyring *ring = ring_of(jwk, &note);

    if (ring != NULL || strstr(note.text, words) == NULL)
        fail_msg("%s: %s", jwk, note.text);
}

static void hmac_key_shorter_than_its_hash_is_refused(void **state)
{
    static const struct {
        const char *alg;
        size_t hash;
    } cases[] = {{"HS256", 32}, {"HS384", 48}, {"HS512", 64}};
    char jwk[256], k[128];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t len = cases[i].hash - 1; len <= cases[i].hash; len++) {
            uint8_t zeros[64] = {0};
            lk_buf text = lk_buf_over(k, sizeof(k));
            lk_keyring *ring;

            lk_base64url_encode(lk_view_make(zeros, len), &text);
            (void)snprintf(jwk, sizeof(jwk), "{\"kty\":\"oct\",\"alg\":\"%s\",\"k\":\"%s\"}", cases[i].alg,
                           lk_buf_text(&text));
            ring = ring_of(jwk, NULL);
            assert_true((ring != NULL) == (len == cases[i].hash));
            lk_keyring_free(ring);
        }
    }
    refuse("{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"AAAA\"}", "at least 512");
}

/* --- ECDSA -----------------------------------------------------------------------------------------------
 */

/* One signature of ALG in the raw form, and who checks it. */
typedef struct made {
    const lk_verifier *verifier;
    uint8_t bytes[LK_SIGNATURE_MAX];
    size_t len;
} made;

static lk_keyring *ring;

static made sign_with(lk_alg alg)
{
    const lk_signer *signer = lk_keyring_signer(ring, alg);
    made m = {.verifier = lk_keyring_verifier(ring, lk_signer_kid(signer))};
    lk_buf out = lk_buf_over(m.bytes, sizeof(m.bytes));

    assert_int_equal(lk_sign(signer, LK_VIEW("a message"), &out), LK_OK);
    m.len = out.len;
    return m;
}

static lk_status check(const made *m)
{
    return lk_verify(m->verifier, LK_VIEW("a message"), lk_view_make(m->bytes, m->len));
}

/* n of P-384 and P-521 (SEC 2, sections 2.5.1 and 2.6.1), written down a second time. */
static const char *const orders[] = {
    "________________________________x2NNgfQ3Ld9YGg2ySLCneuzsGWrMxSlz",
    "Af__________________________________________-lGGh4O_L5Zrf8wBSPcJpdA7tcm4iZxHrrtvtx6ROGQJ",
};

static void ecdsa_numbers_out_of_range_are_refused_on_every_curve(void **state)
{
    static const lk_alg algs[] = {LK_ALG_ES384, LK_ALG_ES512};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        made m = sign_with(algs[i]), right = m;
        uint8_t edges[4][LK_EC_LEN_MAX] = {{0}};
        size_t len = m.len / 2;

        assert_int_equal(bytes_of_text(orders[i], edges[1], len), len);
        memcpy(edges[2], edges[1], len);
        edges[2][len - 1]--;
        memset(edges[3], 0xff, len);
        assert_int_equal(check(&m), LK_OK);
        for (size_t r = 0; r <= 4; r++) {
            for (size_t t = 0; t <= 4; t++) {
                memcpy(m.bytes, r < 4 ? edges[r] : right.bytes, len);
                memcpy(m.bytes + len, t < 4 ? edges[t] : right.bytes + len, len);
                assert_int_equal(check(&m), r == 4 && t == 4 ? LK_OK : LK_REFUSED);
            }
        }
    }
}

/* As long as a raw signature it can be, when r and s are short; but it never is one. */
static void ecdsa_signature_in_der_is_refused_on_every_curve(void **state)
{
    static const lk_alg algs[] = {LK_ALG_ES256, LK_ALG_ES384, LK_ALG_ES512};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        made m = sign_with(algs[i]);
        uint8_t der[LK_SIGNATURE_MAX];
        lk_buf b = lk_buf_over(der, sizeof(der));
        size_t half = m.len / 2;

        lk_buf_add_byte(&b, 0x30);
        if (m.len + 6 > 127)
            lk_buf_add_byte(&b, 0x81);
        lk_buf_add_byte(&b, (uint8_t)(m.len + 6));
        for (size_t n = 0; n < 2; n++) {
            lk_buf_add_byte(&b, 0x02);
            lk_buf_add_byte(&b, (uint8_t)(half + 1));
            lk_buf_add_byte(&b, 0);
            lk_buf_add(&b, lk_view_make(m.bytes + n * half, half));
        }
        assert_int_equal(lk_verify(m.verifier, LK_VIEW("a message"), lk_buf_view(&b)), LK_REFUSED);
        assert_int_equal(lk_verify(m.verifier, LK_VIEW("a message"), lk_view_make(der, m.len)), LK_REFUSED);
        assert_int_equal(check(&m), LK_OK);
    }
}

static void ec_point_off_its_curve_or_with_short_coordinates_is_refused(void **state)
{
    char jwk[400];

    (void)state;
    memcpy(jwk, EC_7520, sizeof(EC_7520));
    *(strstr(jwk, "qHZR1") + 3) ^= 1; /* R -> S */
    refuse(jwk, "no point of P-521");
    refuse("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AQ\",\"y\":\"AQ\"}", "must have 48");
    refuse("{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AQ\",\"y\":\"AQ\"}", "must have 66");
    memcpy(jwk, EC_7520, sizeof(EC_7520));
    memcpy(strstr(jwk, "P-521"), "P-384", 5);
    refuse(jwk, "longer than the 48");
    refuse("{\"kty\":\"EC\",\"crv\":\"P-521\",\"alg\":\"ES384\",\"x\":\"AQ\",\"y\":\"AQ\"}", "not supported");
}

/* --- RSA -------------------------------------------------------------------------------------------------
 */

/* What ALG says of a signature over "m" that OpenSSL makes with a fresh key, with that salt and that mask. */
static lk_status check_pss(int salt, const EVP_MD *mgf1, const char *alg)
{
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t n[256], signature[256];
    char text[400], jwk[600];
    lk_buf b = lk_buf_over(text, sizeof(text));
    size_t len = sizeof(signature);
    EVP_PKEY_CTX *inner;
    BIGNUM *number = NULL;
    lk_keyring *keys;
    lk_status status;

    assert_int_equal(EVP_DigestSignInit(ctx, &inner, EVP_sha256(), NULL, pkey), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, salt), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(inner, mgf1), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const uint8_t *)"m", 1), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, "n", &number), 1);
    assert_int_equal(BN_bn2binpad(number, n, sizeof(n)), sizeof(n));
    lk_base64url_encode(lk_view_make(n, sizeof(n)), &b);
    (void)snprintf(jwk, sizeof(jwk), "{\"kty\":\"RSA\",\"alg\":\"%s\",\"e\":\"AQAB\",\"n\":\"%s\"}", alg,
                   lk_buf_text(&b));
    keys = ring_of(jwk, NULL);
    assert_non_null(keys);
    status = lk_verify(lk_keyring_verifier(keys, (lk_view){0}), LK_VIEW("m"), lk_view_make(signature, len));
    lk_keyring_free(keys);
    BN_free(number);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return status;
}

/* RFC 7518 section 3.5: anything else would be a second spelling of one signature. */
static void pss_with_another_salt_or_mask_is_refused(void **state)
{
    (void)state;
    assert_int_equal(check_pss(32, EVP_sha256(), "PS256"), LK_OK);
    assert_int_equal(check_pss(32, EVP_sha256(), "RS256"), LK_REFUSED);
    assert_int_equal(check_pss(32, EVP_sha256(), "PS384"), LK_REFUSED);
    assert_int_equal(check_pss(0, EVP_sha256(), "PS256"), LK_REFUSED);
    assert_int_equal(check_pss(20, EVP_sha256(), "PS256"), LK_REFUSED);
    assert_int_equal(check_pss(222, EVP_sha256(), "PS256"), LK_REFUSED);
    assert_int_equal(check_pss(32, EVP_sha1(), "PS256"), LK_REFUSED);
}

/* CVE-2017-15361: this modulus was made as the weak library makes them; 0x5a5a... is the positive control of
 * test_jwk.c, and all sound keys of these tests. */
static void rsa_key_that_can_be_factored_is_refused(void **state)
{
    (void)state;
    refuse(
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\""
        "zaDWXMAwaPRDbph_Bk6X63LRPtM9sYSmiH1YZu8XRohh8BKbvvXJJeGAIobt8be6pPdICDvC8pHg2SujjYUad5hnWHtc77SWaM60"
        "dhWnI6fR0B3wztNjMAPLpyusx-N-frQWqUYDABYqYvudbmJBoVieRVShIWYxvUtC2fmu82V9-n8q5x-rDSQn-MGrV2XiHi1S-Bcd"
        "J8hIfIaKrsaAogD-2OV_dX2Ja0pYk-39X2rfhnzThq2FR3IHLaEM6Kbuwu5lW2gZ3t0Z7WFWwPrFSYyQ5wThfsSUx8IjytkkvcCE"
        "GS21RWv-YY_Lpn5WWwO8KtIpLsdlsU-a5CX7rLXhAQ\"}",
        "ROCA");
}

/* --- Ed448 -----------------------------------------------------------------------------------------------
 */

/* RFC 8032 section 7.4, "1 octet". */
#define ED448_X "Q7oo9DDN_0Vq5TFUX37NCsg0pV2TWMA3K_oMbGeYwIZq6gHrAHQoArhDjqTLghacI1FgYntMOpSA"

static void ed448_signature_of_the_standard_is_right_and_its_second_spelling_is_not(void **state)
{
    static const uint8_t order[57] = {0xf3, 0x44, 0x58, 0xab, 0x92, 0xc2, 0x78, 0x23, 0x55, 0x8f, 0xc5, 0x8d,
                                      0x72, 0xc2, 0x6c, 0x21, 0x90, 0x36, 0xd6, 0xae, 0x49, 0xdb, 0x4e, 0xc4,
                                      0xe9, 0x23, 0xca, 0x7c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0x00};
    lk_keyring *keys = ring_of("{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" ED448_X "\"}", NULL);
    uint8_t s[114];
    unsigned carry = 0;
    const lk_verifier *v;

    (void)state;
    assert_non_null(keys);
    v = lk_keyring_verifier(keys, (lk_view){0});
    assert_int_equal(
        bytes_of_text("Jrj5Fye9Yol68V5B60PDd--5xhDUjyM1ywvQCHgQ9DUlQbFDxLmBt-GPYt6MzfYz_BvwN6t813mAXg28"
                      "wKrhy87hr7LgJ982vATc7L8VQzbBnwr34KZHKQXnmfGVPSoP8zSKshqkra_R0jREHPgHwDoA",
                      s, sizeof(s)),
        sizeof(s));
    assert_int_equal(lk_verify(v, LK_VIEW("\x03"), lk_view_make(s, sizeof(s))), LK_OK);
    assert_int_equal(lk_verify(v, LK_VIEW("\x04"), lk_view_make(s, sizeof(s))), LK_REFUSED);
    assert_int_equal(lk_verify(v, LK_VIEW("\x03"), lk_view_make(s, sizeof(s) - 1)), LK_REFUSED);
    for (size_t i = 0; i < 57; i++) {
        carry += (unsigned)s[57 + i] + order[i];
        s[57 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(lk_verify(v, LK_VIEW("\x03"), lk_view_make(s, sizeof(s))), LK_REFUSED);
    lk_keyring_free(keys);
}

static void refuse_ed448(const uint8_t x[57])
{
    char jwk[200], text[100];
    lk_buf b = lk_buf_over(text, sizeof(text));

    lk_base64url_encode(lk_view_make(x, 57), &b);
    (void)snprintf(jwk, sizeof(jwk), "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"%s\"}", lk_buf_text(&b));
    refuse(jwk, "small order");
}

/* y of 0, 1 and p-1 with either sign, p and p+1 (0 and 1 written as larger numbers), bits that mean nothing,
 * and a y that is on no point. */
static void ed448_key_of_small_order_off_the_curve_or_in_another_spelling_is_refused(void **state)
{
    uint8_t x[57] = {0}, p[57];

    (void)state;
    memset(p, 0xff, 56);
    p[28] = 0xfe;
    p[56] = 0;
    for (unsigned sign = 0; sign < 2; sign++) {
        memset(x, 0, sizeof(x));
        x[56] = (uint8_t)(sign << 7);
        refuse_ed448(x);
        x[0] = 1;
        refuse_ed448(x);
        memcpy(x, p, sizeof(x));
        x[56] = (uint8_t)(sign << 7);
        refuse_ed448(x);
        x[0] = 0xfe;
        refuse_ed448(x);
    }
    memset(x, 0, 28);
    memset(x + 28, 0xff, 28);
    x[56] = 0;
    refuse_ed448(x); /* p + 1 */
    assert_int_equal(bytes_of_text(ED448_X, x, sizeof(x)), sizeof(x));
    x[56] |= 1;
    refuse_ed448(x);
    x[56] &= 0x80;
    x[0] ^= 3; /* about every second y is on no point; this is one */
    refuse_ed448(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_of_the_standards_are_right_for_their_algorithm_alone),
        cmocka_unit_test(longer_hashes_agree_with_openssl_for_every_length_of_key_and_message),
        cmocka_unit_test(hmac_key_shorter_than_its_hash_is_refused),
        cmocka_unit_test(ecdsa_numbers_out_of_range_are_refused_on_every_curve),
        cmocka_unit_test(ecdsa_signature_in_der_is_refused_on_every_curve),
        cmocka_unit_test(ec_point_off_its_curve_or_with_short_coordinates_is_refused),
        cmocka_unit_test(pss_with_another_salt_or_mask_is_refused),
        cmocka_unit_test(rsa_key_that_can_be_factored_is_refused),
        cmocka_unit_test(ed448_signature_of_the_standard_is_right_and_its_second_spelling_is_not),
        cmocka_unit_test(ed448_key_of_small_order_off_the_curve_or_in_another_spelling_is_refused),
    };
    int failed;

    ring = full_ring();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    lk_keyring_free(ring);
    return failed;
}
