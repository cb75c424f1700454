/* SPDX-License-Identifier: Apache-2.0
 *
 * key_fixture.c - key directories and keyrings for tests.
 */
#include "key_fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <latchkey/base64url.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_env.h"

void key_dir_make(char dir[DIR_SIZE])
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(dir, DIR_SIZE, "%.40s/lk-keys-XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0700), 0);
}

void key_dir_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        (void)unlinkat(dirfd(d), e->d_name, 0); /* "." and ".." refuse to go */
    (void)closedir(d);
    assert_int_equal(rmdir(dir), 0);
}

lk_status key_make(const char *dir, lk_alg alg, bool at_once, char kid[LK_KID_MAX + 1], lk_note *note)
{
    lk_key_place place = {.dir = dir, .life_s = 30 * 86400};

    return lk_key_make(test_env(), &place, alg, at_once ? LK_KEY_AT_ONCE : LK_KEY_ON_DEMAND, kid, note);
}

lk_keyring *fresh_ring(void)
{
    lk_keyring *ring = NULL;
    char dir[DIR_SIZE];
    lk_note note = {0};

    key_dir_make(dir);
    if (lk_keyring_open(test_env(), dir, true, &ring, &note) != LK_OK)
        fail_msg("%s", note.text);
    key_dir_remove(dir);
    return ring;
}

lk_keyring *full_ring(void)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1];
    lk_keyring *ring = NULL;
    lk_note note = {0};

    key_dir_make(dir);
    assert_int_equal(lk_keyring_open(test_env(), dir, true, &ring, &note), LK_OK);
    for (lk_alg alg = 0; alg < LK_ALG_COUNT; alg++) {
        if (lk_keyring_signer(ring, alg) == NULL && key_make(dir, alg, true, kid, &note) != LK_OK)
            fail_msg("%s", note.text);
    }
    lk_keyring_free(ring);
    if (lk_keyring_open(test_env(), dir, false, &ring, &note) != LK_OK)
        fail_msg("%s", note.text);
    key_dir_remove(dir);
    return ring;
}

lk_keyring *ring_of(const char *jwk, lk_note *note)
{
    lk_keyring *ring = NULL;
    lk_status status = lk_keyring_from_jwk(test_env(), lk_view_of(jwk), &ring, note);

    assert_true(status == LK_OK || status == LK_REFUSED);
    assert_true((status == LK_OK) == (ring != NULL));
    return ring;
}

size_t bytes_of_text(const char *text, uint8_t *out, size_t cap)
{
    lk_buf b = lk_buf_over(out, cap);

    assert_int_equal(lk_base64url_decode(lk_view_of(text), &b), LK_OK);
    return b.len;
}

const char *const rfc_hs256 = "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
                              "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}";
const char *const rfc_hs256_token =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const char *const rfc_rs256 = "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
                              "wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz"
                              "P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_"
                              "7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs"
                              "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_"
                              "I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
                              "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}";
const char *const rfc_rs256_token =
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
    "O8W2Fp5jujGbds9uJdbF9CU"
    "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
    "eSN9383LcOLn6_d"
    "O--xi12jzDwusC-"
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
    "cN_IoypGlUPQGe77Rw";

const char *const rfc_es256 =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
const char *const rfc_es256_token =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

const char *const rfc_eddsa =
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
const char *const rfc_eddsa_token =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
