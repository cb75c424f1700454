/* SPDX-License-Identifier: Apache-2.0
 *
 * name.c - login names, realms and roles: what they may be made of, and when two names are one.
 *
 * A name is kept as typed but for NFKC, and compared case-folded (Unicode section 3.13, identifier caseless
 * matching), as RFC 8265 does: "Ａlice" in full-width letters and "alice" are one user. Invisible and
 * unassigned characters are refused: the first make two names that look alike, and the second may normalise
 * otherwise in a later Unicode, which would make one name two.
 */
#include "account/internal.h"
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#define NAME_INPUT_MAX (4 * LK_USER_NAME_MAX)
#define NFKC_GROWTH 11 /* bytes that one byte may become: U+FDFA, 3 bytes, becomes 33 */

static lk_status refuse(lk_note *note, const char *rule)
{
    lk_note_set(note, "%s", rule);
    return LK_REFUSED;
}

static bool is_invisible(ucs4_t c)
{
    const uint32_t mask = UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Cf | UC_CATEGORY_MASK_Cs |
                          UC_CATEGORY_MASK_Co | UC_CATEGORY_MASK_Cn | UC_CATEGORY_MASK_Zl |
                          UC_CATEGORY_MASK_Zp;

    return uc_is_general_category_withtable(c, mask);
}

static lk_status name_letters_check(lk_view name, lk_note *note)
{
    bool at_blank = true; /* the character before the first counts as a blank, as does the one after */

    for (size_t i = 0; i < name.len;) {
        ucs4_t c;
        int len = u8_mbtouc(&c, name.p + i, name.len - i);

        if (is_invisible(c))
            return refuse(note, "The name has a control character, an invisible or an unassigned one.");
        if (i == 0 && uc_is_property_white_space(c))
            return refuse(note, "The name begins with a blank.");
        at_blank = uc_is_property_white_space(c);
        i += (size_t)len;
    }
    return at_blank ? refuse(note, "The name ends with a blank.") : LK_OK;
}

/* Applications know an OAuth client that acts for itself as "client:NAME", where users have their names. */
static bool is_like_client(lk_view name)
{
    const lk_view kept = LK_VIEW("client:");

    return name.len >= kept.len && lk_view_equal_nocase(lk_view_part(name, 0, kept.len), kept);
}

lk_status lk_name_normalize(lk_view name, lk_buf *out, lk_note *note)
{
    uint8_t memory[NAME_INPUT_MAX * NFKC_GROWTH];
    size_t len = sizeof(memory);
    lk_status status = LK_FAULT;
    uint8_t *text;

    if (name.len == 0)
        return refuse(note, "The name is empty.");
    if (name.len > NAME_INPUT_MAX)
        return refuse(note, "The name is longer than 128 bytes.");
    if (u8_check(name.p, name.len) != NULL)
        return refuse(note, "The name is not UTF-8.");
    text = u8_normalize(UNINORM_NFKC, name.p, name.len, memory, &len);
    if (text == NULL) {
        lk_note_set(note, "Out of memory.");
        return LK_FAULT;
    }
    if (len > LK_USER_NAME_MAX)
        status = refuse(note, "The name is longer than 128 bytes.");
    else if (is_like_client(lk_view_make(text, len)))
        status = refuse(note, "The name begins with \"client:\", as programs are named.");
    else
        status = name_letters_check(lk_view_make(text, len), note);
    if (status == LK_OK) {
        lk_buf_add(out, lk_view_make(text, len));
        status = lk_buf_status(out);
    }
    if (text != memory)
        free(text);
    return status;
}

static lk_status fold_once(lk_view in, lk_buf *out)
{
    uint8_t memory[LK_NAME_FOLDED_MAX];
    size_t len = sizeof(memory);
    uint8_t *text = u8_casefold(in.p, in.len, NULL, UNINORM_NFKC, memory, &len);

    if (text == NULL)
        return LK_FAULT;
    lk_buf_add(out, lk_view_make(text, len));
    if (text != memory)
        free(text);
    return lk_buf_status(out) == LK_OK ? LK_OK : LK_REFUSED;
}

/* Folding once is not always the end: what NFKC takes apart afterwards may have capital letters in it. */
lk_status lk__name_fold(lk_view name, lk_buf *out)
{
    uint8_t memory[LK_NAME_FOLDED_MAX];
    lk_buf once = lk_buf_over(memory, sizeof(memory));
    lk_status status = fold_once(name, &once);

    return status == LK_OK ? fold_once(lk_buf_view(&once), out) : status;
}

bool lk__is_text(lk_view text)
{
    return lk_view_find(text, 0) == text.len && (text.len == 0 || u8_check(text.p, text.len) == NULL);
}

bool lk__is_id(lk_view id)
{
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.p[i], small = c | 0x20;

        if (!(small >= 'a' && small <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return id.len == LK_ACCOUNT_ID_LEN;
}

lk_status lk__realm_check(lk_view realm, lk_note *note)
{
    if (realm.len > LK_REALM_MAX)
        return refuse(note, "The realm is longer than 32 bytes.");
    for (size_t i = 0; i < realm.len; i++)
        if (realm.p[i] <= ' ' || realm.p[i] > '~' || realm.p[i] == '/') /* "<realm>/<key>" names cut-offs */
            return refuse(note, "A realm is made of printable ASCII without blanks and '/'.");
    return LK_OK;
}

/* The characters of an OAuth scope token (RFC 6749 section 3.3), without the comma, which parts the groups in
 * identity headers. */
static bool is_role(lk_view word)
{
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.p[i];

        if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == ',')
            return false;
    }
    return true;
}

lk_status lk__roles_normalize(lk_view roles, lk_buf *out, lk_note *note)
{
    lk_view rest = roles, word;
    size_t start = out->len;

    if (roles.len > 4 * LK_ROLES_MAX)
        return refuse(note, "The roles are longer than 256 bytes together.");
    while (lk_words_next(&rest, &word)) {
        if (!is_role(word))
            return refuse(note,
                          "A role is made of printable ASCII without blank, comma, quote and backslash.");
        if (lk_words_have(lk_view_part(lk_buf_view(out), start, out->len), word))
            continue;
        if (out->len > start)
            lk_buf_add_byte(out, ' ');
        lk_buf_add(out, word);
    }
    if (lk_buf_status(out) != LK_OK || out->len - start > LK_ROLES_MAX)
        return refuse(note, "The roles are longer than 256 bytes together.");
    return LK_OK;
}
