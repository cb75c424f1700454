/* SPDX-License-Identifier: Apache-2.0
 *
 * key_box.c - a key file sealed under the master secret.
 *
 *   {"lk_version":2,"kid":KID,"lk_seal":"argon2id","lk_memory":KiB,"lk_passes":N,"lk_salt":SALT,"lk_box":BOX}
 *
 *   SALT  16 bytes for argon2id, base64url
 *   BOX   base64url of: 24 bytes of salt of the box, the key file in AES-256-GCM, 16 bytes of tag
 *
 * The box is bound to the kid, so that no file can take the place of another. The secret is stretched always:
 * nobody can tell a passphrase from random bytes, and it costs ten milliseconds a start.
 */
#include "keyring/key_box.h"
#include "crypto/seal.h"
#include "keyring/jwk.h"
#include "keyring/key_dir.h"
#include "keyring/key_life.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <string.h>

#define MEMORY_KIB 19456
#define PASSES 2
#define LABEL "latchkey key file 1\n"

void lk__key_box_wipe(lk__key_box *box)
{
    lk_wipe(box, sizeof(*box));
}

bool lk__key_is_sealed(lk_view text)
{
    lk_json_item item;

    return lk_json_check(text, NULL, NULL) == LK_OK && text.len > 0 && text.p[0] == '{' &&
           lk_json_get(text, LK_VIEW("lk_box"), &item) == LK_OK;
}

static lk_status check_secret(lk_view secret, lk_note *note)
{
    if (secret.len >= LK_KEY_SECRET_MIN && secret.len <= LK_KEY_SECRET_MAX)
        return LK_OK;
    if (secret.len == 0)
        lk_note_set(note,
                    "it is sealed under a master secret: name it by latchkey_keys DIR secret=env:NAME or "
                    "secret=file:PATH");
    else
        lk_note_set(note, "the master secret of latchkey_keys has %zu characters; it must have %d to %d",
                    secret.len, LK_KEY_SECRET_MIN, LK_KEY_SECRET_MAX);
    return LK_REFUSED;
}

/* The key under SECRET and SALT, in BOX. */
static lk_status stretch(lk__key_box *box, lk_view secret, const uint8_t salt[LK_STRETCH_SALT_LEN],
                         uint32_t memory_kib, uint32_t passes)
{
    lk_secret key = {0};
    lk_status status;

    if (box->has_key && box->memory_kib == memory_kib && box->passes == passes &&
        lk_secret_equal(lk_view_make(box->salt, sizeof(box->salt)), lk_view_make(salt, LK_STRETCH_SALT_LEN)))
        return LK_OK;
    box->has_key = false;
    status = lk_stretch(secret, salt, memory_kib, passes, &key);
    if (status == LK_OK)
        status = lk_mac_init(&box->key, lk_secret_view(&key));
    if (status == LK_OK) {
        memcpy(box->salt, salt, LK_STRETCH_SALT_LEN);
        box->memory_kib = memory_kib;
        box->passes = passes;
        box->has_key = true;
    }
    lk_secret_wipe(&key);
    return status;
}

static lk_view bound_to(lk_view kid, lk_buf *room)
{
    lk_buf_add_text(room, LABEL);
    lk_buf_add(room, kid);
    return lk_buf_view(room);
}

static void add_number(lk_buf *out, const char *name, int64_t number)
{
    lk_buf_add_text(out, ",\"");
    lk_buf_add_text(out, name);
    lk_buf_add_text(out, "\":");
    lk_buf_add_i64(out, number);
}

static void write_file(const lk__key_box *box, lk_view kid, lk_view sealed, lk_buf *out)
{
    char name[LK_KID_MAX + 1] = {0};

    memcpy(name, kid.p, kid.len);
    lk_buf_add_text(out, "{\"lk_version\":");
    lk_buf_add_i64(out, LK__KEY_FORMAT);
    lk_buf_add_byte(out, ',');
    lk__jwk_add_text(out, "kid", name);
    lk_buf_add_text(out, ",\"lk_seal\":\"argon2id\"");
    add_number(out, "lk_memory", box->memory_kib);
    add_number(out, "lk_passes", box->passes);
    lk_buf_add_byte(out, ',');
    lk__jwk_add_bytes(out, "lk_salt", lk_view_make(box->salt, sizeof(box->salt)));
    lk_buf_add_byte(out, ',');
    lk__jwk_add_bytes(out, "lk_box", sealed);
    lk_buf_add_text(out, "}\n");
}

lk_status lk__key_seal(lk__key_box *box, const lk_env *env, lk_view secret, lk_view kid, lk_view text,
                       lk_buf *out, lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX], name[sizeof(LABEL) + LK_KID_MAX], salt[LK_STRETCH_SALT_LEN];
    lk_buf name_buf = lk_buf_over(name, sizeof(name));
    uint8_t *at = memory + LK_SEAL_SALT_LEN;
    lk_status status = check_secret(secret, note);

    if (status != LK_OK)
        return status;
    if (kid.len > LK_KID_MAX || text.len > sizeof(memory) - LK_SEAL_EXTRA)
        return LK_FULL;
    if (lk_random(env, memory, LK_SEAL_SALT_LEN) != LK_OK || lk_random(env, salt, sizeof(salt)) != LK_OK)
        return LK_FAULT;
    if (!box->has_key)
        status = stretch(box, secret, salt, MEMORY_KIB, PASSES);
    memcpy(at, text.p, text.len);
    if (status == LK_OK)
        status = lk_seal(&box->key, memory, bound_to(kid, &name_buf), at, text.len, at + text.len);
    if (status == LK_OK)
        write_file(box, kid, lk_view_make(memory, text.len + LK_SEAL_EXTRA), out);
    lk_wipe(memory, sizeof(memory));
    return status == LK_OK ? lk_buf_status(out) : status;
}

static lk_status read_cost(lk_view text, const char *name, uint32_t max, uint32_t *out)
{
    lk_json_item item;
    int64_t number = 0;

    if (lk_json_get(text, lk_view_of(name), &item) != LK_OK || lk_json_i64(item.value, &number) != LK_OK ||
        number < 1 || number > (int64_t)max)
        return LK_REFUSED;
    *out = (uint32_t)number;
    return LK_OK;
}

/* What the file says of itself, and the key. */
static lk_status prepare(lk__key_box *box, lk_view secret, lk_view text, lk_note *note)
{
    uint8_t salt[LK_STRETCH_SALT_LEN], word[16];
    lk_buf how = lk_buf_over(word, sizeof(word));
    uint32_t memory_kib = 0, passes = 0;
    lk_status status = lk__key_format_check(text, note);

    if (status == LK_OK)
        status = check_secret(secret, note);
    if (status != LK_OK)
        return status;
    if (lk__jwk_text(text, "lk_seal", &how, NULL) != LK_OK ||
        !lk_view_equal(lk_buf_view(&how), LK_VIEW("argon2id")) ||
        read_cost(text, "lk_memory", LK_STRETCH_MEMORY_MAX, &memory_kib) != LK_OK ||
        read_cost(text, "lk_passes", LK_STRETCH_PASSES_MAX, &passes) != LK_OK ||
        lk__jwk_exact(text, "lk_salt", salt, sizeof(salt), NULL) != LK_OK) {
        lk_note_set(note, "the seal says something that no latchkey writes");
        return LK_REFUSED;
    }
    status = stretch(box, secret, salt, memory_kib, passes);
    if (status != LK_OK)
        lk_note_set(note, "the master secret cannot be stretched: memory is short");
    return status == LK_OK ? LK_OK : LK_FAULT;
}

lk_status lk__key_unseal(lk__key_box *box, lk_view secret, lk_view kid, lk_view text, lk_buf *out,
                         lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX], name[sizeof(LABEL) + LK_KID_MAX];
    lk_buf name_buf = lk_buf_over(name, sizeof(name));
    size_t len = 0, inner;
    lk_status status = prepare(box, secret, text, note);

    if (status != LK_OK)
        return status;
    status = lk__jwk_bytes(text, "lk_box", memory, sizeof(memory), &len, note);
    if (status == LK_OK && len <= LK_SEAL_EXTRA)
        status = LK_REFUSED;
    if (status != LK_OK || kid.len > LK_KID_MAX)
        return LK_REFUSED;
    inner = len - LK_SEAL_EXTRA;
    status = lk_unseal(&box->key, memory, bound_to(kid, &name_buf), memory + LK_SEAL_SALT_LEN, inner,
                       memory + LK_SEAL_SALT_LEN + inner);
    if (status == LK_OK)
        lk_buf_add(out, lk_view_make(memory + LK_SEAL_SALT_LEN, inner));
    else if (status == LK_REFUSED)
        lk_note_set(note,
                    "the master secret of latchkey_keys does not open it: another one sealed it, or the "
                    "file was changed");
    lk_wipe(memory, sizeof(memory));
    return status == LK_OK ? lk_buf_status(out) : status;
}
