/* SPDX-License-Identifier: Apache-2.0
 *
 * device.h - what is known of a device that stays logged in. docs/devices.md
 */
#ifndef LATCHKEY_DEVICE_H
#define LATCHKEY_DEVICE_H

#include <latchkey/session.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_DEVICE_ID_LEN 16     /* base64url of 12 random bytes */
#define LK_DEVICE_LABEL_MAX 128 /* bytes of UTF-8 */
#define LK_DEVICE_JWK_MAX 256   /* bytes of a public key */
#define LK_DEVICES_MAX 50 /* of one user: one more, and the one that was used longest ago is forgotten */

#define LK_DEVICE_SECRET_LEN 43 /* base64url of 32 random bytes */
#define LK_DEVICE_TEXT_LEN (3 + LK_DEVICE_ID_LEN + 1 + LK_DEVICE_SECRET_LEN)
#define LK_DEVICE_HASH_LEN 32

typedef struct lk_device {
    char id[LK_DEVICE_ID_LEN + 1];
    char user[LK_USER_ID_MAX + 1]; /* id */
    char realm[LK_REALM_MAX + 1];
    char label[LK_DEVICE_LABEL_MAX + 1];
    char device_class[LK_DEVICE_CLASS_MAX + 1];
    bool has_secret;
    uint8_t hash[LK_DEVICE_HASH_LEN];
    char key[LK_DEVICE_JWK_MAX + 1]; /* without a secret: the public key, a JWK */
    int64_t issued_ms;               /* what cut-offs are compared with: the last time it was vouched for */
    int64_t auth_s;                  /* last login with a password on it */
    int64_t created_s, seen_s;       /* registered; last given a session */
    int64_t ends_s, expires_s;       /* without use; in all */
    int64_t proved_ms;               /* of the newest challenge it signed */
    /* The session it was given last, by public id, when, and what that was derived from. */
    char session[LK_PUBLIC_ID_LEN + 1], session_from[LK_PUBLIC_ID_LEN + 1];
    int64_t session_s;
    /* When a limit ended that session, or a logout of the device began: until the next login on it, it is
     * given none. 0: neither. */
    int64_t put_out_s;
} lk_device;

#ifdef __cplusplus
}
#endif
#endif
