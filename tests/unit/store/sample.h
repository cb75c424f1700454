/* SPDX-License-Identifier: Apache-2.0
 *
 * sample.h - the session that samples/session-v1.hex holds.
 */
#ifndef LATCHKEY_TESTS_STORE_SAMPLE_H
#define LATCHKEY_TESTS_STORE_SAMPLE_H

#include <latchkey/session.h>
#include <string.h>

/* Two fields: cart = [1,2] and theme = "dark". */
#define SAMPLE_FIELDS                                                                                        \
    "\x04\x05\x00"                                                                                           \
    "cart"                                                                                                   \
    "[1,2]"                                                                                                  \
    "\x05\x06\x00"                                                                                           \
    "theme"                                                                                                  \
    "\"dark\""

static inline lk_session sample_session(void)
{
    lk_session s = {.generation = 3,
                    .revision = 7,
                    .flags = LK_SESSION_REMEMBER,
                    .created_s = 1790000000,
                    .issued_s = 1790000100,
                    .issued_ms = 987,
                    .auth_s = 1790000099,
                    .seen_s = 1790000200,
                    .idle_s = 1800,
                    .expires_s = 1790043300,
                    .user = LK_VIEW("u-1001"),
                    .name = LK_VIEW("Ada Lovelace"),
                    .realm = LK_VIEW("shop"),
                    .roles = LK_VIEW("admin staff"),
                    .scope = LK_VIEW("orders.read"),
                    .device = LK_VIEW("d-7"),
                    .agent = LK_VIEW("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/115.0"),
                    .address = LK_VIEW("192.0.2.17"),
                    .fields = LK_VIEW(SAMPLE_FIELDS)};

    for (size_t i = 0; i < LK_SESSION_KEY_LEN; i++) {
        s.key.bytes[i] = (uint8_t)(0xa0 + i);
        s.previous.bytes[i] = (uint8_t)(0x10 + i);
    }
    memset(s.proof, 0x5c, sizeof(s.proof));
    return s;
}

#endif
