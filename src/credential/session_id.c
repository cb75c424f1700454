/* SPDX-License-Identifier: Apache-2.0
 *
 * session_id.c - 32 random bytes in base64url, and the keyed hash under which a session is kept.
 *
 *   id      43 characters                                  what the client holds
 *   hash    HMAC-SHA256(session id key, the 43 characters)
 *   key     hash[0..11]                                    names the session in stores, lists and logs
 *   proof   hash[12..31]                                   kept in the record, compared in constant time
 *
 * docs/formats/session-id.md
 */
#include "credential/shape.h"
#include "crypto/mac.h"
#include <latchkey/base64url.h>
#include <string.h>

_Static_assert(LK_SESSION_KEY_LEN + LK_SESSION_PROOF_LEN == LK_MAC_LEN, "key and proof are the whole hash");
_Static_assert(LK_BASE64URL_LEN(LK_SESSION_ID_BYTES) == LK_SESSION_ID_LEN, "an id is the text of its bytes");

static lk_status split_hash(const lk_keyring *ring, lk_view id, lk_session_key *key,
                            uint8_t proof[LK_SESSION_PROOF_LEN])
{
    const lk_mac *mac = lk_keyring_mac(ring, LK_PURPOSE_SESSION_ID);
    uint8_t hash[LK_MAC_LEN];
    lk_status status;

    if (mac == NULL)
        return LK_FAULT; /* a ring for checking signatures only: no session can be looked up with it */
    status = lk_mac_run(mac, &id, 1, hash);
    if (status == LK_OK) {
        memcpy(key->bytes, hash, LK_SESSION_KEY_LEN);
        memcpy(proof, hash + LK_SESSION_KEY_LEN, LK_SESSION_PROOF_LEN);
    }
    lk_wipe(hash, sizeof(hash));
    return status;
}

lk_status lk_session_id_new(const lk_env *env, const lk_keyring *ring, char id_out[LK_SESSION_ID_LEN + 1],
                            lk_session_key *key, uint8_t proof[LK_SESSION_PROOF_LEN])
{
    lk_buf id = lk_buf_over(id_out, LK_SESSION_ID_LEN + 1);
    uint8_t random[LK_SESSION_ID_BYTES];
    lk_status status = lk_random(env, random, sizeof(random));

    id_out[0] = '\0';
    if (status == LK_OK) {
        lk_base64url_encode(lk_view_make(random, sizeof(random)), &id);
        status = lk_buf_text(&id) == NULL ? LK_FAULT : split_hash(ring, lk_buf_view(&id), key, proof);
    }
    if (status != LK_OK)
        lk_wipe(id_out, LK_SESSION_ID_LEN + 1);
    lk_wipe(random, sizeof(random));
    return status == LK_OK ? LK_OK : LK_FAULT; /* never a guessable id instead */
}

lk_status lk_session_id_read(const lk_keyring *ring, lk_view id, lk_session_key *key,
                             uint8_t proof[LK_SESSION_PROOF_LEN])
{
    uint8_t memory[LK_SESSION_ID_BYTES];
    lk_buf bytes = lk_buf_over(memory, sizeof(memory));
    lk_status status = LK_REFUSED;

    if (id.len != LK_SESSION_ID_LEN)
        return LK_REFUSED;
    /* Decoded only to see that it is one: the text is what is hashed, and each id has one spelling. */
    if (lk_base64url_decode(id, &bytes) == LK_OK)
        status = split_hash(ring, id, key, proof);
    lk_wipe(memory, sizeof(memory));
    return status;
}
