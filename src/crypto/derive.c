/* SPDX-License-Identifier: Apache-2.0
 *
 * derive.c - HKDF-SHA256 without salt (RFC 5869), by OpenSSL's EVP_KDF.
 */
#include "crypto/derive.h"
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define ROOT_MIN 32
#define LABEL_MAX 1024 /* OpenSSL 3.0 takes no longer info */

static lk_status stretch(EVP_KDF_CTX *ctx, lk_view root, lk_view label, uint8_t *out, size_t len)
{
    OSSL_PARAM params[4];
    size_t n = 0;

    /* OSSL_PARAM has no const; EVP_KDF_derive only reads. */
    params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
    params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)root.p, root.len);
    if (label.len > 0)
        params[n++] =
            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)label.p, label.len);
    params[n] = OSSL_PARAM_construct_end();
    return EVP_KDF_derive(ctx, out, len, params) == 1 ? LK_OK : LK_FAULT;
}

lk_status lk_derive(lk_view root, lk_view label, lk_secret *out, size_t len)
{
    lk_status status = LK_FAULT;
    EVP_KDF_CTX *ctx = NULL;
    EVP_KDF *kdf = NULL;

    lk_secret_wipe(out);
    if (root.len < ROOT_MIN || label.len > LABEL_MAX || len == 0 || len > LK_SECRET_MAX)
        return LK_REFUSED;
    kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    if (ctx == NULL)
        goto out;
    status = stretch(ctx, root, label, out->bytes, len);
    if (status == LK_OK)
        out->len = (uint8_t)len;
    else
        lk_secret_wipe(out);
out:
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return status;
}
