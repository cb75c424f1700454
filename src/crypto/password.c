/* SPDX-License-Identifier: Apache-2.0
 *
 * password.c - argon2id hashes as PHC strings (RFC 9106; docs/formats/accounts.md has the string).
 *
 * The string is read here and not by a library, so that every number in it is bounded before any memory is
 * asked for: a hash with m=4294967295 in a stolen and edited database must cost a refusal, not a machine.
 * libsodium computes what it can (argon2id, version 19, one lane, 16 bytes of salt: twice as fast as
 * libargon2 here); libargon2 computes the foreign rest.
 */
#include "crypto/password.h"
#include <argon2.h>
#include <latchkey/secret.h>
#include <sodium.h>
#include <string.h>

#define MEMORY_MAX_KIB (1024 * 1024)
#define PASSES_MAX 64
#define LANES_MAX 64
#define SALT_LEN 16 /* what we make; NIST SP 800-63B asks for 4 */
#define SALT_MIN 8  /* RFC 9106 section 3.1 */
#define SALT_MAX 64
#define HASH_LEN 32
#define HASH_MIN 16 /* a shorter one could be met by chance, and no library makes it unasked */
#define HASH_MAX 64

typedef struct phc {
    argon2_type type;
    uint32_t version, memory_kib, passes, lanes;
    uint8_t salt[SALT_MAX], hash[HASH_MAX];
    size_t salt_len, hash_len;
} phc;

/* The floor: any cost that is at least one of these in both numbers. Source: OWASP Password Storage Cheat
 * Sheet. */
static const lk_password_cost floors[] = {{19456, 2}, {47104, 1}, {12288, 3}, {9216, 4}, {7168, 5}};

lk_status lk_password_cost_check(lk_password_cost cost, lk_note *note)
{
    if (cost.memory_kib > MEMORY_MAX_KIB || cost.passes > PASSES_MAX) {
        lk_note_set(note, "argon2id memory=%u passes=%u is above the bound of memory=%d passes=%d.",
                    cost.memory_kib, cost.passes, MEMORY_MAX_KIB, PASSES_MAX);
        return LK_REFUSED;
    }
    for (size_t i = 0; i < sizeof(floors) / sizeof(floors[0]); i++)
        if (cost.memory_kib >= floors[i].memory_kib && cost.passes >= floors[i].passes)
            return LK_OK;
    lk_note_set(note,
                "argon2id memory=%u passes=%u is below the floor: use at least memory=19456 passes=2, or "
                "47104/1, 12288/3, 9216/4, 7168/5.",
                cost.memory_kib, cost.passes);
    return LK_REFUSED;
}

/* ---- reading: each takes something off the front of *REST, or gives false ---- */

static bool take(lk_view *rest, lk_view literal)
{
    if (!lk_view_equal(lk_view_part(*rest, 0, literal.len), literal))
        return false;
    *rest = lk_view_part(*rest, literal.len, rest->len);
    return true;
}

static bool take_number(lk_view *rest, lk_view before, int64_t min, int64_t max, uint32_t *out)
{
    size_t digits = 0;
    int64_t value;

    if (!take(rest, before))
        return false;
    while (digits < rest->len && rest->p[digits] >= '0' && rest->p[digits] <= '9')
        digits++;
    if (lk_parse_i64(lk_view_part(*rest, 0, digits), &value) != LK_OK || value < min || value > max)
        return false;
    *rest = lk_view_part(*rest, digits, rest->len);
    *out = (uint32_t)value;
    return true;
}

/* Base64 with the plain alphabet and without padding, up to the next '$' or the end. */
static bool take_base64(lk_view *rest, size_t min, size_t max, uint8_t *out, size_t *len)
{
    lk_view text;

    if (!take(rest, LK_VIEW("$")))
        return false;
    text = lk_view_part(*rest, 0, lk_view_find(*rest, '$'));
    if (text.len == 0 || sodium_base642bin(out, max, (const char *)text.p, text.len, NULL, len, NULL,
                                           sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0)
        return false;
    *rest = lk_view_part(*rest, text.len, rest->len);
    return *len >= min;
}

/* $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>: this order and nothing else. A string without v= is of
 * version 16, before versions were written. keyid= and data= are not supported and so refused. */
static bool phc_read(lk_view text, phc *out)
{
    lk_view rest = text;

    *out = (phc){.version = ARGON2_VERSION_10};
    if (text.len >= LK_PHC_MAX)
        return false;
    if (take(&rest, LK_VIEW("$argon2id$")))
        out->type = Argon2_id;
    else if (take(&rest, LK_VIEW("$argon2i$")))
        out->type = Argon2_i;
    else
        return false;
    if (take(&rest, LK_VIEW("v=19$")))
        out->version = ARGON2_VERSION_13;
    else if (!take(&rest, LK_VIEW("v=16$")) && lk_view_equal(lk_view_part(rest, 0, 2), LK_VIEW("v=")))
        return false;
    return take_number(&rest, LK_VIEW("m="), 8, MEMORY_MAX_KIB, &out->memory_kib) &&
           take_number(&rest, LK_VIEW(",t="), 1, PASSES_MAX, &out->passes) &&
           take_number(&rest, LK_VIEW(",p="), 1, LANES_MAX, &out->lanes) &&
           take_base64(&rest, SALT_MIN, SALT_MAX, out->salt, &out->salt_len) &&
           take_base64(&rest, HASH_MIN, HASH_MAX, out->hash, &out->hash_len) && rest.len == 0 &&
           out->memory_kib >= 8 * out->lanes; /* RFC 9106 section 3.1 */
}

static void add_base64(lk_buf *out, const uint8_t *bytes, size_t len)
{
    char text[sodium_base64_ENCODED_LEN(HASH_MAX, sodium_base64_VARIANT_ORIGINAL_NO_PADDING)];

    sodium_bin2base64(text, sizeof(text), bytes, len, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    lk_buf_add_text(out, text);
    lk_wipe(text, sizeof(text));
}

static lk_status phc_write(const phc *p, char out[LK_PHC_MAX])
{
    lk_buf b = lk_buf_over(out, LK_PHC_MAX);

    lk_buf_add_printf(&b, "$argon2id$v=19$m=%u,t=%u,p=1$", p->memory_kib, p->passes);
    add_base64(&b, p->salt, p->salt_len);
    lk_buf_add_byte(&b, '$');
    add_base64(&b, p->hash, p->hash_len);
    return lk_buf_text(&b) != NULL ? LK_OK : LK_FAULT;
}

/* ---- computing ---- */

static bool is_native(const phc *p)
{
    return p->type == Argon2_id && p->version == ARGON2_VERSION_13 && p->lanes == 1 &&
           p->salt_len == crypto_pwhash_SALTBYTES;
}

static lk_status compute_native(const phc *p, lk_view password, uint8_t *out)
{
    const char *bytes = password.len > 0 ? (const char *)password.p : "";

    /* sodium_init picks the vectorised implementation; it may be called again and from any thread. */
    if (sodium_init() < 0)
        return LK_FAULT;
    return crypto_pwhash(out, p->hash_len, bytes, password.len, p->salt, p->passes,
                         (size_t)p->memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) == 0
               ? LK_OK
               : LK_FAULT;
}

/* One thread computes all the lanes: the result is the same, and a foreign hash cannot start threads. */
static lk_status compute_foreign(const phc *p, lk_view password, uint8_t *out)
{
    phc copy = *p;
    argon2_context context = {.out = out,
                              .outlen = (uint32_t)p->hash_len,
                              .pwd = (uint8_t *)(uintptr_t)password.p,
                              .pwdlen = (uint32_t)password.len,
                              .salt = copy.salt,
                              .saltlen = (uint32_t)p->salt_len,
                              .t_cost = p->passes,
                              .m_cost = p->memory_kib,
                              .lanes = p->lanes,
                              .threads = 1,
                              .version = p->version,
                              .flags = ARGON2_DEFAULT_FLAGS};
    lk_status status = argon2_ctx(&context, p->type) == ARGON2_OK ? LK_OK : LK_FAULT;

    lk_wipe(&copy, sizeof(copy));
    return status;
}

lk_status lk_password_hash(const lk_env *env, lk_view password, lk_password_cost cost, char out[LK_PHC_MAX])
{
    lk_status status = LK_FAULT;
    phc p = {.type = Argon2_id,
             .version = ARGON2_VERSION_13,
             .memory_kib = cost.memory_kib,
             .passes = cost.passes,
             .lanes = 1,
             .salt_len = SALT_LEN,
             .hash_len = HASH_LEN};

    out[0] = 0;
    if (password.len > LK_PASSWORD_MAX)
        return LK_REFUSED;
    if (cost.memory_kib < 8 || cost.memory_kib > MEMORY_MAX_KIB || cost.passes < 1 ||
        cost.passes > PASSES_MAX)
        return LK_FAULT;
    status = lk_random(env, p.salt, SALT_LEN);
    if (status == LK_OK)
        status = compute_native(&p, password, p.hash);
    if (status == LK_OK)
        status = phc_write(&p, out);
    lk_wipe(&p, sizeof(p));
    return status;
}

/* Is P less than we would make today? Either number lower counts, so that all accounts move to the present
 * parameters and cost an attacker, and a watcher of times, the same. */
static bool is_lower(const phc *p, lk_password_cost cost)
{
    return !is_native(p) || p->hash_len < HASH_LEN || p->memory_kib < cost.memory_kib ||
           p->passes < cost.passes;
}

lk_status lk_password_verify(lk_view password, lk_view text, lk_password_cost cost)
{
    lk_status status = LK_FAULT;
    uint8_t computed[HASH_MAX];
    phc p;

    if (password.len > LK_PASSWORD_MAX)
        return LK_REFUSED;
    if (!phc_read(text, &p))
        goto out;
    status = is_native(&p) ? compute_native(&p, password, computed) : compute_foreign(&p, password, computed);
    if (status != LK_OK)
        goto out;
    if (!lk_secret_equal(lk_view_make(computed, p.hash_len), lk_view_make(p.hash, p.hash_len)))
        status = LK_REFUSED;
    else if (is_lower(&p, cost))
        status = LK_STALE;
out:
    lk_wipe(computed, sizeof(computed));
    lk_wipe(&p, sizeof(p));
    return status;
}
