/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.c - what a password may be: long enough, not too long, and not what a guesser tries first.
 *
 * The rules are those of NIST SP 800-63B section 5.1.1.2 and OWASP ASVS 6.2: a least length in characters, no
 * composition rules, no expiry, a dictionary, words of the context. docs/passwords.md says them to people.
 */
#include "account/internal.h"
#include <latchkey/secret.h>
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>
#include <unistr.h>

#define NFKC_GROWTH 11 /* bytes that one byte may become: U+FDFA, 3 bytes, becomes 33 */
#define FRESH_MIN 5    /* parts a password has at the least, a run being one: 1qaz2wsx3edc4rfv has four */

static lk_status refuse(lk_note *note, const char *rule)
{
    lk_note_set(note, "%s", rule);
    return LK_REFUSED;
}

static bool is_ascii(lk_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.p[i] >= 0x80)
            return false;
    return true;
}

static lk_status too_long(lk_note *note)
{
    lk_note_set(note, "The password is longer than %d bytes.", LK_PASSWORD_MAX);
    return LK_REFUSED;
}

/* ASCII is its own NFKC, so most passwords never pass through memory that libunistring may leave unwiped. */
lk_status lk_password_normalize(lk_view password, lk_buf *out, lk_note *note)
{
    uint8_t memory[LK_PASSWORD_MAX * NFKC_GROWTH];
    size_t len = sizeof(memory);
    lk_status status = LK_OK;
    uint8_t *text;

    if (password.len > LK_PASSWORD_MAX)
        return too_long(note);
    if (is_ascii(password)) {
        lk_buf_add(out, password);
        return lk_buf_status(out);
    }
    if (u8_check(password.p, password.len) != NULL)
        return refuse(note, "The password is not UTF-8.");
    text = u8_normalize(UNINORM_NFKC, password.p, password.len, memory, &len);
    if (text == NULL) {
        lk_note_set(note, "Out of memory.");
        return LK_FAULT;
    }
    if (len > LK_PASSWORD_MAX)
        status = too_long(note);
    else
        lk_buf_add(out, lk_view_make(text, len));
    lk_wipe(text, len);
    if (text != memory)
        free(text);
    return status == LK_OK ? lk_buf_status(out) : status;
}

/* ---- words of the context ---- */

static bool is_separator(uint32_t c)
{
    return c < 0x80 && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9');
}

/* Cover TEXT, and each part of it between signs ("alice" and "example" of alice@example.org). */
static void cover_words(const lk__letters *password, lk_view text, bool *covered)
{
    lk__letters words;
    size_t from = 0;

    lk__letters_of(text, &words);
    lk__letters_cover(password, words.at, words.n, covered);
    for (size_t i = 0; i <= words.n; i++)
        if (i == words.n || is_separator(words.at[i])) {
            lk__letters_cover(password, words.at + from, i - from, covered);
            from = i + 1;
        }
}

/* Letters of PASSWORD outside the name, the realm and our own name. */
static size_t outside_context(const lk__letters *password, lk_view realm, lk_view name)
{
    bool covered[LK_PASSWORD_MAX] = {false};
    size_t outside = 0;

    cover_words(password, name, covered);
    cover_words(password, realm, covered);
    cover_words(password, LK_VIEW("latchkey"), covered);
    for (size_t i = 0; i < password->n; i++)
        outside += !covered[i];
    lk_wipe(covered, sizeof(covered));
    return outside;
}

static lk_status letters_check(const lk_settings *s, const lk__letters *password, lk_view realm, lk_view name,
                               lk_note *note)
{
    size_t min = s->password_min;

    if (password->n < min) {
        lk_note_set(note, "The password needs at least %zu characters.", min);
        return LK_REFUSED;
    }
    if (lk__letters_unit(password) < min)
        return refuse(note, "The password repeats a text that is too short.");
    if (lk__letters_fresh(password) < FRESH_MIN)
        return refuse(note, "The password is a sequence of characters or keys.");
    if (outside_context(password, realm, name) < min) {
        lk_note_set(note,
                    "The password needs at least %zu characters beside your name and the name of this "
                    "service.",
                    min);
        return LK_REFUSED;
    }
    return LK_OK;
}

lk_status lk__policy_check(const lk_accounts *a, lk_view realm, lk_view name, lk_view password, lk_note *note)
{
    lk__letters letters;
    lk_status status;

    if (password.len > LK_PASSWORD_MAX)
        return too_long(note);
    if (u8_check(password.p, password.len) != NULL)
        return refuse(note, "The password is not UTF-8.");
    lk__letters_of(password, &letters);
    status = letters_check(a->settings, &letters, realm, name, note);
    if (status == LK_OK)
        status = lk__dictionary_check(a->dictionary, password, name, note);
    lk_wipe(&letters, sizeof(letters));
    return status;
}

lk_status lk_password_policy(const lk_accounts *a, lk_view name, lk_view password, lk_note *note)
{
    return lk__policy_check(a, lk_view_of(a->settings->realm), name, password, note);
}
