/* SPDX-License-Identifier: Apache-2.0
 *
 * library.c - nanoseconds per operation of the library beside the raw primitive it stands on, measured in
 * turn.
 *
 *   library [--json]
 *
 * Each row is the median of ROUNDS rounds; in every round each operation runs for about SLICE_MS. The other
 * libraries for JWT that were found when this was built take their turns, too (peers.h).
 */
#include "crypto/mac.h"
#include "peers.h"
#include <dirent.h>
#include <jansson.h>
#include <latchkey/base64url.h>
#include <latchkey/credential.h>
#include <latchkey/keys.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 9, SLICE_MS = 40, CALLS = 64 };

typedef struct token {
    char text[2048];
    size_t len;
    size_t signed_len; /* bytes before the last dot */
} token;

static lk_keyring *ring;
static token jwt[LK_ALG_COUNT], simple, for_peers;
static lk_expect expect;
static EVP_PKEY *raw_keys[LK_ALG_COUNT];
static uint8_t raw_signature[LK_ALG_COUNT][512];
static size_t raw_signature_len[LK_ALG_COUNT];
static uint8_t sodium_public[32], sodium_secret[64], sodium_signature[64];
static lk_mac raw_mac;
static lk_claims claims;

/* A session of about 300 bytes, sealed, and the ciphertext of as many bytes under a key that stays. */
static const lk_seal_place place = {
    {(const uint8_t *)"session", 7}, {(const uint8_t *)"__Host-latchkey", 15}, {(const uint8_t *)"shop", 4}};
static lk_session session;
static char session_id[LK_SESSION_ID_LEN + 1];
static token sealed;
static EVP_CIPHER_CTX *raw_cipher;
static uint8_t raw_box[1024], raw_tag[16];
static size_t raw_box_len;

/* Of this thread's processor time: who else is at work on the machine is not measured. */
static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "library: %s failed\n", what);
        exit(1);
    }
}

static lk_view signed_part(lk_alg alg)
{
    return lk_view_make(jwt[alg].text, jwt[alg].signed_len);
}

static void check_jwt(lk_alg alg)
{
    uint8_t memory[2048];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    lk_claims out;
    lk_reason why;
    must(lk_jwt_check(ring, lk_view_make(jwt[alg].text, jwt[alg].len), &expect, &scratch, &out, &why, NULL) ==
             LK_OK,
         "jwt check");
}

static void check_hs256(void)
{
    check_jwt(LK_ALG_HS256);
}
static void check_es256(void)
{
    check_jwt(LK_ALG_ES256);
}
static void check_rs256(void)
{
    check_jwt(LK_ALG_RS256);
}
static void check_eddsa(void)
{
    check_jwt(LK_ALG_EDDSA);
}
static void check_ps256(void)
{
    check_jwt(LK_ALG_PS256);
}
static void check_es384(void)
{
    check_jwt(LK_ALG_ES384);
}
static void check_es512(void)
{
    check_jwt(LK_ALG_ES512);
}
static void check_ed448(void)
{
    check_jwt(LK_ALG_ED448);
}

static void check_simple(void)
{
    uint8_t memory[2048];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    lk_claims out;
    lk_reason why;
    must(lk_token_check(ring, lk_view_make(simple.text, simple.len), &expect, &scratch, &out, &why) == LK_OK,
         "token check");
}

static void mint_typed(lk_alg alg, lk_view type, token *out)
{
    lk_buf text = lk_buf_over(out->text, sizeof(out->text));
    must(lk_jwt_mint(ring, alg, &claims, type, &text) == LK_OK, "jwt mint");
    out->len = text.len;
    for (out->signed_len = text.len - 1; out->text[out->signed_len] != '.';)
        out->signed_len--;
}

static void mint_jwt(lk_alg alg, token *out)
{
    mint_typed(alg, LK_VIEW("at+jwt"), out);
}

static void mint_hs256(void)
{
    token t;
    mint_jwt(LK_ALG_HS256, &t);
}

static void mac_prepared(void)
{
    uint8_t out[LK_MAC_LEN];
    lk_view v = signed_part(LK_ALG_HS256);
    must(lk_mac_run(&raw_mac, &v, 1, out) == LK_OK, "mac");
}

static void mac_simple(void)
{
    uint8_t out[LK_MAC_LEN];
    lk_view v = lk_view_make(simple.text, simple.signed_len);
    must(lk_mac_run(&raw_mac, &v, 1, out) == LK_OK, "mac");
}

static void open_sealed(void)
{
    uint8_t memory[2048];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    char id[LK_SESSION_ID_LEN + 1];
    lk_session out;
    lk_reason why;
    must(lk_sealed_open(ring, &place, lk_view_make(sealed.text, sealed.len), &scratch, id, &out, &why) ==
             LK_OK,
         "sealed open");
}

static void make_sealed(void)
{
    char memory[2048];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    must(lk_sealed_make(lk_env_system(), ring, &place, session_id, &session, &out, NULL) == LK_OK,
         "sealed make");
}

static void raw_gcm(void)
{
    static const uint8_t nonce[12];
    uint8_t out[sizeof(raw_box)];
    int n;
    must(EVP_DecryptInit_ex(raw_cipher, NULL, NULL, NULL, nonce) == 1 &&
             EVP_DecryptUpdate(raw_cipher, out, &n, raw_box, (int)raw_box_len) == 1 &&
             EVP_CIPHER_CTX_ctrl(raw_cipher, EVP_CTRL_AEAD_SET_TAG, sizeof(raw_tag), raw_tag) == 1 &&
             EVP_DecryptFinal_ex(raw_cipher, out, &n) == 1,
         "raw gcm");
}

static const EVP_MD *md_of(lk_alg alg)
{
    if (alg == LK_ALG_EDDSA || alg == LK_ALG_ED448)
        return NULL;
    return alg == LK_ALG_ES384 ? EVP_sha384() : alg == LK_ALG_ES512 ? EVP_sha512() : EVP_sha256();
}

static bool set_padding(EVP_PKEY_CTX *inner, lk_alg alg)
{
    return alg != LK_ALG_PS256 || (EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING) == 1 &&
                                   EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static void raw_verify(lk_alg alg)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    lk_view v = signed_part(alg);
    EVP_PKEY_CTX *inner = NULL;
    must(EVP_DigestVerifyInit(context, &inner, md_of(alg), NULL, raw_keys[alg]) == 1 &&
             set_padding(inner, alg) &&
             EVP_DigestVerify(context, raw_signature[alg], raw_signature_len[alg], v.p, v.len) == 1,
         "raw verify");
    EVP_MD_CTX_free(context);
}

static void raw_es256(void)
{
    raw_verify(LK_ALG_ES256);
}
static void raw_rs256(void)
{
    raw_verify(LK_ALG_RS256);
}
static void raw_ps256(void)
{
    raw_verify(LK_ALG_PS256);
}
static void raw_es384(void)
{
    raw_verify(LK_ALG_ES384);
}
static void raw_es512(void)
{
    raw_verify(LK_ALG_ES512);
}
static void raw_ed448(void)
{
    raw_verify(LK_ALG_ED448);
}
static void raw_eddsa_openssl(void)
{
    raw_verify(LK_ALG_EDDSA);
}

static void raw_eddsa_sodium(void)
{
    lk_view v = signed_part(LK_ALG_EDDSA);
    must(crypto_sign_verify_detached(sodium_signature, v.p, v.len, sodium_public) == 0, "sodium verify");
}

/* The same claims under the typ that all of them take, with the same key. */
static void check_peer(const bench_peer *peer)
{
    must(peer->check(for_peers.text, for_peers.len, "latchkey", "latchkey", expect.now_s), peer->name);
}

#ifdef HAVE_LIBJWT
static void check_libjwt(void)
{
    check_peer(&bench_libjwt);
}
#endif
#ifdef HAVE_RHONABWY
static void check_rhonabwy(void)
{
    check_peer(&bench_rhonabwy);
}
#endif
#ifdef HAVE_CJOSE
static void check_cjose(void)
{
    check_peer(&bench_cjose);
}
#endif
#ifdef HAVE_JOSE
static void check_jose(void)
{
    check_peer(&bench_jose);
}
#endif

typedef struct bench_case {
    const char *name;
    void (*run)(void);
    double ns[ROUNDS];
    double median;
} bench_case;

static bench_case cases[] = {
    {.name = "raw HMAC-SHA256, prepared key", .run = mac_prepared},
    {.name = "JWT HS256 verify with claims", .run = check_hs256},
    {.name = "JWT HS256 sign", .run = mint_hs256},
    {.name = "raw HMAC-SHA256 of the simple token", .run = mac_simple},
    {.name = "simple token verify", .run = check_simple},
    {.name = "raw AES-256-GCM of the sealed session", .run = raw_gcm},
    {.name = "sealed session open", .run = open_sealed},
    {.name = "sealed session make", .run = make_sealed},
    {.name = "raw Ed25519 verify, libsodium", .run = raw_eddsa_sodium},
    {.name = "raw Ed25519 verify, OpenSSL", .run = raw_eddsa_openssl},
    {.name = "JWT EdDSA verify with claims", .run = check_eddsa},
    {.name = "raw ECDSA P-256 verify, OpenSSL", .run = raw_es256},
    {.name = "JWT ES256 verify with claims", .run = check_es256},
    {.name = "raw RSA-2048 verify, OpenSSL", .run = raw_rs256},
    {.name = "JWT RS256 verify with claims", .run = check_rs256},
    {.name = "raw RSA-2048 PSS verify, OpenSSL", .run = raw_ps256},
    {.name = "JWT PS256 verify with claims", .run = check_ps256},
    {.name = "raw ECDSA P-384 verify, OpenSSL", .run = raw_es384},
    {.name = "JWT ES384 verify with claims", .run = check_es384},
    {.name = "raw ECDSA P-521 verify, OpenSSL", .run = raw_es512},
    {.name = "JWT ES512 verify with claims", .run = check_es512},
    {.name = "raw Ed448 verify, OpenSSL", .run = raw_ed448},
    {.name = "JWT Ed448 verify with claims", .run = check_ed448},
#ifdef HAVE_LIBJWT
    {.name = "libjwt HS256 with claims", .run = check_libjwt},
#endif
#ifdef HAVE_RHONABWY
    {.name = "rhonabwy HS256 with claims", .run = check_rhonabwy},
#endif
#ifdef HAVE_CJOSE
    {.name = "cjose HS256 with claims", .run = check_cjose},
#endif
#ifdef HAVE_JOSE
    {.name = "jose HS256 with claims", .run = check_jose},
#endif
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static double measure(void (*run)(void))
{
    double start = now_ns(), end = start;
    unsigned long n = 0;
    while (end - start < SLICE_MS * 1e6) {
        for (int i = 0; i < CALLS; i++)
            run();
        n += CALLS;
        end = now_ns();
    }
    return (end - start) / (double)n;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What the raw primitive is measured with, for the algorithms that are. */
static const char *const curves[LK_ALG_COUNT] = {
    [LK_ALG_ES256] = "P-256", [LK_ALG_ES384] = "P-384", [LK_ALG_ES512] = "P-521"};

static EVP_PKEY *make_key(lk_alg alg)
{
    if (curves[alg] != NULL)
        return EVP_EC_gen(curves[alg]);
    if (alg == LK_ALG_RS256 || alg == LK_ALG_PS256)
        return EVP_RSA_gen(2048);
    if (alg == LK_ALG_EDDSA || alg == LK_ALG_ED448)
        return EVP_PKEY_Q_keygen(NULL, NULL, alg == LK_ALG_EDDSA ? "ED25519" : "ED448");
    return NULL;
}

static void prepare_raw(lk_alg alg)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    lk_view v = signed_part(alg);
    EVP_PKEY_CTX *inner = NULL;
    raw_keys[alg] = make_key(alg);
    raw_signature_len[alg] = sizeof(raw_signature[alg]);
    must(raw_keys[alg] == NULL ||
             (EVP_DigestSignInit(context, &inner, md_of(alg), NULL, raw_keys[alg]) == 1 &&
              set_padding(inner, alg) &&
              EVP_DigestSign(context, raw_signature[alg], &raw_signature_len[alg], v.p, v.len) == 1),
         "raw sign");
    EVP_MD_CTX_free(context);
}

static void prepare_sealed(void)
{
    static const uint8_t key[32], nonce[12];
    static uint8_t field[112] = {4, 105, 0, 'c', 'a', 'r', 't', '"'};
    int64_t now_s = lk_now_s(lk_env_system());
    lk_buf text = lk_buf_over(sealed.text, sizeof(sealed.text));
    int n;
    memset(field + 8, 'x', sizeof(field) - 9);
    field[sizeof(field) - 1] = '"';
    session = (lk_session){.user = LK_VIEW("nK3zD0aT9wQx2LrB"),
                           .name = LK_VIEW("alice"),
                           .realm = LK_VIEW("shop"),
                           .roles = LK_VIEW("editor staff"),
                           .agent = LK_VIEW("Firefox on Linux, as kept with a session"),
                           .address = LK_VIEW("203.0.113.77"),
                           .fields = lk_view_make(field, sizeof(field)),
                           .generation = 1,
                           .issued_s = now_s,
                           .seen_s = now_s,
                           .expires_s = now_s + 3600};
    must(lk_session_id_new(lk_env_system(), ring, session_id, &session.key, session.proof) == LK_OK,
         "session id");
    must(lk_sealed_make(lk_env_system(), ring, &place, session_id, &session, &text, NULL) == LK_OK,
         "sealed make");
    sealed.len = text.len;
    raw_box_len = 87 + 35 + 16 + 5 + 4 + 12 + 41 + 12 + sizeof(field);
    raw_cipher = EVP_CIPHER_CTX_new();
    must(EVP_EncryptInit_ex(raw_cipher, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
             EVP_EncryptUpdate(raw_cipher, raw_box, &n, raw_box, (int)raw_box_len) == 1 &&
             EVP_EncryptFinal_ex(raw_cipher, raw_box + n, &n) == 1 &&
             EVP_CIPHER_CTX_ctrl(raw_cipher, EVP_CTRL_AEAD_GET_TAG, sizeof(raw_tag), raw_tag) == 1,
         "raw gcm");
}

/* The bytes of the HS256 key, from its file in DIR. */
static size_t read_key(const char *dir, uint8_t *out, size_t cap)
{
    lk_view kid = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256));
    lk_buf bytes = lk_buf_over(out, cap);
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%.*s.jwk", dir, (int)kid.len, (const char *)kid.p);
    json_t *jwk = json_load_file(path, 0, NULL);
    const char *k = json_string_value(json_object_get(jwk, "k"));
    must(k != NULL && lk_base64url_decode(lk_view_of(k), &bytes) == LK_OK, path);
    json_decref(jwk);
    return bytes.len;
}

static void prepare_peers(const char *dir)
{
    static const bench_peer *const peers[] = {
#ifdef HAVE_LIBJWT
        &bench_libjwt,
#endif
#ifdef HAVE_RHONABWY
        &bench_rhonabwy,
#endif
#ifdef HAVE_CJOSE
        &bench_cjose,
#endif
#ifdef HAVE_JOSE
        &bench_jose,
#endif
        NULL};
    uint8_t key[64];
    size_t len = read_key(dir, key, sizeof(key));
    mint_typed(LK_ALG_HS256, LK_VIEW("JWT"), &for_peers);
    must(for_peers.len < sizeof(for_peers.text), "token");
    for_peers.text[for_peers.len] = '\0';
    for (size_t i = 0; peers[i] != NULL; i++) {
        must(peers[i]->prepare(key, len), peers[i]->name);
        check_peer(peers[i]);
        /* A library that would say yes to anything is no peer. */
        for_peers.text[for_peers.len - 10] ^= 1;
        must(!peers[i]->check(for_peers.text, for_peers.len, "latchkey", "latchkey", expect.now_s),
             peers[i]->name);
        for_peers.text[for_peers.len - 10] ^= 1;
    }
}

static void prepare(const char *dir)
{
    lk_note note = {""};
    static uint8_t secret[32];
    must(sodium_init() >= 0, "sodium_init");
    const lk_key_place keys = {.dir = dir, .algs = LK_ALG_BIT(LK_ALG_COUNT) - 1};
    if (lk_keyring_open_at(lk_env_system(), &keys, true, &ring, &note) != LK_OK)
        must(false, note.text);
    int64_t now_s = lk_now_s(lk_env_system());
    claims = (lk_claims){.user = LK_VIEW("nK3zD0aT9wQx2LrB"),
                         .name = LK_VIEW("alice"),
                         .realm = LK_VIEW("shop"),
                         .roles = LK_VIEW("editor staff"),
                         .issuer = LK_VIEW("latchkey"),
                         .audience = LK_VIEW("latchkey"),
                         .id = LK_VIEW("p0X2mF7sJq8a1ZcV"),
                         .has_session = true,
                         .issued_s = now_s,
                         .auth_s = now_s,
                         .expires_s = now_s + 3600,
                         .generation = 1};
    expect = (lk_expect){.issuer = LK_VIEW("latchkey"),
                         .audience = LK_VIEW("latchkey"),
                         .type = LK_VIEW("at+jwt"),
                         .need_expiry = true,
                         .now_s = now_s};
    must(lk_mac_init(&raw_mac, lk_view_make(secret, sizeof(secret))) == LK_OK, "mac");
    for (int alg = 0; alg < LK_ALG_COUNT; alg++) {
        mint_jwt((lk_alg)alg, &jwt[alg]);
        prepare_raw((lk_alg)alg);
    }
    prepare_peers(dir);
    lk_buf text = lk_buf_over(simple.text, sizeof(simple.text));
    must(lk_token_mint(ring, &claims, &text) == LK_OK, "token mint");
    simple.len = text.len;
    simple.signed_len = text.len - 65;
    prepare_sealed();
    must(crypto_sign_keypair(sodium_public, sodium_secret) == 0, "sodium key");
    lk_view v = signed_part(LK_ALG_EDDSA);
    must(crypto_sign_detached(sodium_signature, NULL, v.p, v.len, sodium_secret) == 0, "sodium sign");
}

static void print_rows(bool json)
{
    for (size_t i = 0; i < CASES; i++) {
        if (json)
            printf("%s{\"what\":\"%s\",\"ns\":%.0f}", i == 0 ? "[" : ",", cases[i].name, cases[i].median);
        else
            printf("%-40s %10.0f ns\n", cases[i].name, cases[i].median);
    }
    if (json)
        printf("]\n");
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/latchkey-bench-XXXXXX", command[64];
    must(mkdtemp(dir) != NULL && rmdir(dir) == 0, "temporary directory");
    prepare(dir);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < CASES; i++)
            cases[i].ns[round] = measure(cases[i].run);
    for (size_t i = 0; i < CASES; i++) {
        qsort(cases[i].ns, ROUNDS, sizeof(double), by_value);
        cases[i].median = cases[i].ns[ROUNDS / 2];
    }
    print_rows(argc > 1 && strcmp(argv[1], "--json") == 0);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command) == 0 ? 0 : 1;
}
