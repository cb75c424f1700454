/* SPDX-License-Identifier: Apache-2.0
 *
 * pem.c - read a key in PEM (RFC 7468): SubjectPublicKeyInfo (RFC 5280 section 4.1), PKCS#8 (RFC 5958), SEC1
 * (RFC 5915) and PKCS#1 (RFC 8017 appendix A.1).
 *
 * Nothing is asked of a person here: an encrypted key is refused and not prompted for.
 */
#include "crypto/pem.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* One block: what stands between BEGIN and END. OpenSSL's memory. */
typedef struct block {
    char *name;
    char *header; /* of the old encryption (RFC 1421); empty when there is none */
    unsigned char *data;
    long len;
} block;

static void block_free(block *b)
{
    OPENSSL_free(b->name);
    OPENSSL_free(b->header);
    OPENSSL_clear_free(b->data, b->len > 0 ? (size_t)b->len : 0);
    *b = (block){0};
}

static bool is_named(const block *b, const char *name)
{
    return lk_view_equal(lk_view_of(b->name), lk_view_of(name));
}

/* The next block; false at the end, and also where a block is broken. */
static bool next_block(BIO *bio, block *b)
{
    return PEM_read_bio(bio, &b->name, &b->header, &b->data, &b->len) == 1;
}

/* Find the one key. LK_OK with *B; LK_REFUSED. */
static lk_status find_key(BIO *bio, block *b, lk_note *note)
{
    block more = {0};
    bool found = next_block(bio, b);

    if (found && is_named(b, "EC PARAMETERS")) {
        block_free(b);
        found = next_block(bio, b);
    }
    if (!found) {
        lk_note_set(note, "there is no whole PEM block in the text");
        return LK_REFUSED;
    }
    if (!next_block(bio, &more))
        return LK_OK;
    lk_note_set(note, "there is more than one PEM block in the text; keep the one key that is meant");
    block_free(&more);
    return LK_REFUSED;
}

static lk_status check_kind(const block *b, lk_note *note)
{
    if (b->header[0] != '\0' || is_named(b, "ENCRYPTED PRIVATE KEY")) {
        lk_note_set(note,
                    "the key is encrypted with a passphrase; decrypt it first (openssl pkey -in FILE -out "
                    "NEW)");
        return LK_REFUSED;
    }
    if (is_named(b, "CERTIFICATE")) {
        lk_note_set(note, "this is a certificate; take its key out (openssl x509 -in FILE -pubkey -noout)");
        return LK_REFUSED;
    }
    return LK_OK;
}

/* The key in *B, and whether it is a private one. NULL when it is none; *P is where it ended. */
static EVP_PKEY *parse(const block *b, const unsigned char **p, bool *is_private)
{
    *is_private = false;
    if (is_named(b, "PUBLIC KEY"))
        return d2i_PUBKEY(NULL, p, b->len);
    if (is_named(b, "RSA PUBLIC KEY"))
        return d2i_PublicKey(EVP_PKEY_RSA, NULL, p, b->len);
    *is_private = true;
    if (is_named(b, "PRIVATE KEY"))
        return d2i_AutoPrivateKey(NULL, p, b->len);
    if (is_named(b, "EC PRIVATE KEY"))
        return d2i_PrivateKey(EVP_PKEY_EC, NULL, p, b->len);
    if (is_named(b, "RSA PRIVATE KEY"))
        return d2i_PrivateKey(EVP_PKEY_RSA, NULL, p, b->len);
    return NULL;
}

/* --- Its numbers -----------------------------------------------------------------------------------------
 */

static const char *const rsa_names[LK_RSA_COUNT] = {
    [LK_RSA_N] = OSSL_PKEY_PARAM_RSA_N,          [LK_RSA_E] = OSSL_PKEY_PARAM_RSA_E,
    [LK_RSA_D] = OSSL_PKEY_PARAM_RSA_D,          [LK_RSA_P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
    [LK_RSA_Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,    [LK_RSA_DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
    [LK_RSA_DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2, [LK_RSA_QI] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

static bool get_rsa_number(const EVP_PKEY *pkey, size_t index, lk_pem_key *out)
{
    BIGNUM *number = NULL;
    bool done = EVP_PKEY_get_bn_param(pkey, rsa_names[index], &number) == 1 && !BN_is_zero(number) &&
                BN_num_bytes(number) <= LK_RSA_LEN_MAX;

    if (done)
        out->rsa.of[index].len = (size_t)BN_bn2bin(number, out->rsa.of[index].bytes);
    BN_clear_free(number);
    return done;
}

static lk_status get_rsa(const EVP_PKEY *pkey, lk_pem_key *out, lk_note *note)
{
    BIGNUM *third = NULL;
    bool multi = out->is_private && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_FACTOR3, &third) == 1;

    BN_clear_free(third);
    out->type = LK_PEM_RSA;
    for (size_t i = 0; i < (out->is_private ? LK_RSA_COUNT : LK_RSA_PUBLIC_COUNT) && !multi; i++)
        multi = !get_rsa_number(pkey, i, out);
    if (!multi)
        return LK_OK;
    lk_note_set(note, "an RSA key of more than %d bits, or not of two primes", LK_RSA_BITS_MAX);
    return LK_REFUSED;
}

static bool get_coordinate(const EVP_PKEY *pkey, const char *name, uint8_t *out, size_t len)
{
    BIGNUM *number = NULL;
    bool done =
        EVP_PKEY_get_bn_param(pkey, name, &number) == 1 && BN_bn2binpad(number, out, (int)len) == (int)len;

    BN_clear_free(number);
    return done;
}

static lk_status get_ec(const EVP_PKEY *pkey, lk_pem_key *out, lk_note *note)
{
    static const char *const groups[] = {"prime256v1", "secp384r1", "secp521r1"};
    char group[32] = "";
    int is_explicit = 0;
    size_t i = 0;

    (void)EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL);
    (void)EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit);
    while (i < 3 && !lk_view_equal(lk_view_of(group), lk_view_of(groups[i])))
        i++;
    /* A curve written out in numbers can be another one with the same look (CVE-2020-0601). */
    if (i == 3 || is_explicit != 0) {
        lk_note_set(note, "the EC key is on no curve that is known here by name: P-256, P-384, P-521");
        return LK_REFUSED;
    }
    out->type = (lk_pem_type)(LK_PEM_P256 + i);
    out->len = lk_ec_len((lk_curve)i);
    if (get_coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_X, out->x, out->len) &&
        get_coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, out->y, out->len) &&
        (!out->is_private || get_coordinate(pkey, OSSL_PKEY_PARAM_PRIV_KEY, out->d, out->len)))
        return LK_OK;
    lk_note_set(note, "the EC key has no point");
    return LK_REFUSED;
}

static lk_status get_edwards(const EVP_PKEY *pkey, lk_pem_key *out)
{
    size_t x_len = sizeof(out->x), d_len = sizeof(out->d);

    out->type = EVP_PKEY_is_a(pkey, "ED25519") ? LK_PEM_ED25519 : LK_PEM_ED448;
    out->len = out->type == LK_PEM_ED25519 ? LK_ED25519_PUBLIC_LEN : LK_ED448_LEN;
    if (EVP_PKEY_get_raw_public_key(pkey, out->x, &x_len) != 1 || x_len != out->len)
        return LK_FAULT;
    if (out->is_private && (EVP_PKEY_get_raw_private_key(pkey, out->d, &d_len) != 1 || d_len != out->len))
        return LK_FAULT;
    return LK_OK;
}

static lk_status get_numbers(const EVP_PKEY *pkey, lk_pem_key *out, lk_note *note)
{
    if (EVP_PKEY_is_a(pkey, "RSA"))
        return get_rsa(pkey, out, note);
    if (EVP_PKEY_is_a(pkey, "EC"))
        return get_ec(pkey, out, note);
    if (EVP_PKEY_is_a(pkey, "ED25519") || EVP_PKEY_is_a(pkey, "ED448"))
        return get_edwards(pkey, out);
    lk_note_set(note,
                "the key is of a type that makes no signatures here: RSA, EC, Ed25519 and Ed448 are known");
    return LK_REFUSED;
}

static lk_status read_block(const block *b, lk_pem_key *out, lk_note *note)
{
    lk_status status = check_kind(b, note);
    const unsigned char *p = b->data;
    EVP_PKEY *pkey;

    if (status != LK_OK)
        return status;
    pkey = parse(b, &p, &out->is_private);
    if (pkey == NULL || p != b->data + b->len) {
        lk_note_set(note, "the PEM block \"%.32s\" is no key that is known here, or not one alone", b->name);
        status = LK_REFUSED;
    } else {
        status = get_numbers(pkey, out, note);
    }
    EVP_PKEY_free(pkey);
    return status;
}

lk_status lk_pem_read(lk_view text, lk_pem_key *out, lk_note *note)
{
    lk_status status;
    block b = {0};
    BIO *bio;

    memset(out, 0, sizeof(*out));
    if (text.len > LK_PEM_MAX) {
        lk_note_set(note, "the PEM text is longer than %d bytes", LK_PEM_MAX);
        return LK_REFUSED;
    }
    ERR_set_mark();
    bio = BIO_new_mem_buf(text.p, (int)text.len);
    status = bio == NULL ? LK_FAULT : find_key(bio, &b, note);
    if (status == LK_OK)
        status = read_block(&b, out, note);
    if (status != LK_OK)
        lk_wipe(out, sizeof(*out));
    block_free(&b);
    BIO_free(bio);
    ERR_pop_to_mark();
    return status;
}
