/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed.c - the whole session in the client: v1.<kid>.<base64url(salt | ciphertext | tag)>
 *
 *   salt         24   random; with the seal key of the kid it gives the key of this box (crypto/seal.h)
 *   ciphertext        AES-256-GCM of the contents:
 *     0           1   version of the contents, 1
 *     1           1   cookies the text takes, 1 to 4
 *     2           1   bytes of padding at the end, 0 or 1
 *     3          32   the bytes of the session id
 *     35              the record (docs/formats/session-record.md), which has key and proof of the id
 *                     padding, 0x00
 *   tag          16
 *
 * Associated data: version "v1", kid, purpose, name, realm, each behind its length in one byte.
 * docs/formats/sealed.md
 */
#include "credential/shape.h"
#include "crypto/seal.h"
#include "keyring/keyring_internal.h"
#include <latchkey/base64url.h>
#include <string.h>

#define VERSION_OF_CONTENTS 1
#define PADDING_MAX 1
#define PART_MAX 255
#define BOUND_MAX (5 * (1 + PART_MAX))

enum { AT_VERSION = 0, AT_PIECES = 1, AT_PADDING = 2, AT_ID = 3, AT_RECORD = AT_ID + LK_SESSION_ID_BYTES };

/* Bytes that fit into CHARS characters of base64url. */
#define BYTES_IN(chars) ((chars) / 4 * 3 + ((chars) % 4 > 0 ? (chars) % 4 - 1 : 0))
#define BOX_MAX BYTES_IN(LK_SEALED_MAX)

static lk_view version(void)
{
    return lk_view_make(LK__SEALED_MARK, sizeof(LK__SEALED_MARK) - 2);
}

/* The associated data. Each part's length comes first: no two lists of parts have the same bytes. LK_OK, or
 * LK_FULL when a part is too long. */
static lk_status write_bound(const lk_seal_place *place, lk_view kid, uint8_t memory[BOUND_MAX], lk_view *out)
{
    const lk_view parts[] = {version(), kid, place->purpose, place->name, place->realm};
    size_t at = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].len > PART_MAX)
            return LK_FULL;
        memory[at++] = (uint8_t)parts[i].len;
        if (parts[i].len > 0)
            memcpy(memory + at, parts[i].p, parts[i].len);
        at += parts[i].len;
    }
    *out = lk_view_make(memory, at);
    return LK_OK;
}

/* Characters of the text under KID with so many bytes of contents. */
static size_t text_len(lk_view kid, size_t contents_len)
{
    return sizeof(LK__SEALED_MARK) - 1 + kid.len + 1 + LK_BASE64URL_LEN(contents_len + LK_SEAL_EXTRA);
}

static size_t pieces_of(size_t len)
{
    return (len + LK_SEALED_PIECE_LEN - 1) / LK_SEALED_PIECE_LEN;
}

/* --- Making ----------------------------------------------------------------------------------------------
 */

/* Bytes of contents that a text under KID has room for, at most. */
static size_t contents_max(lk_view kid)
{
    size_t chars = LK_SEALED_MAX - (text_len(kid, 0) - LK_BASE64URL_LEN(LK_SEAL_EXTRA));

    return BYTES_IN(chars) - LK_SEAL_EXTRA;
}

/* The bytes of ID, after making sure that it is the id of S: else the box would open one session and name
 * another. */
static lk_status add_id(const lk_keyring *ring, lk_view id, const lk_session *s, lk_buf *contents)
{
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_session_key key;
    lk_status status = lk_session_id_read(ring, id, &key, proof);

    if (status != LK_OK)
        return status;
    if (!lk_secret_equal(lk_view_make(key.bytes, sizeof(key.bytes)),
                         lk_view_make(s->key.bytes, sizeof(s->key.bytes))) ||
        !lk_secret_equal(lk_view_make(proof, sizeof(proof)), lk_view_make(s->proof, sizeof(s->proof))))
        status = LK_REFUSED;
    lk_wipe(proof, sizeof(proof));
    return status == LK_OK ? lk_base64url_decode(id, contents) : status;
}

/* Where a text ends with a full cookie, a reader could not tell whether one more belongs to it: one byte more
 * and it does not end there. After the last cookie there is none. */
static void add_padding(lk_view kid, lk_buf *contents)
{
    size_t len = text_len(kid, contents->len);

    if (len % LK_SEALED_PIECE_LEN == 0 && len < LK_SEALED_MAX) {
        contents->p[AT_PADDING] = 1;
        lk_buf_add_byte(contents, 0);
    }
    contents->p[AT_PIECES] = (uint8_t)pieces_of(text_len(kid, contents->len));
}

static lk_status write_contents(const lk_keyring *ring, lk_view kid, lk_view id, const lk_session *s,
                                lk_buf *contents, lk_note *note)
{
    static const uint8_t front[AT_ID] = {VERSION_OF_CONTENTS};
    lk_status status;

    lk_buf_add(contents, lk_view_make(front, sizeof(front)));
    status = add_id(ring, id, s, contents);
    if (status == LK_REFUSED)
        lk_note_set(note, "the session id is not that of the session");
    if (status != LK_OK)
        return status;
    status = lk_record_write(s, contents);
    if (status == LK_FULL)
        lk_note_set(note,
                    "a session sealed in cookies may have %zu bytes with its data, and this one has more",
                    contents->cap - AT_RECORD);
    else if (status != LK_OK)
        lk_note_set(note, "the session holds what no record can hold");
    if (status == LK_OK)
        add_padding(kid, contents);
    return status;
}

/* Seal the LEN bytes of contents inside BOX, behind the room for the salt. */
static lk_status seal_box(const lk_env *env, const lk_signer *signer, const lk_seal_place *place,
                          uint8_t *box, size_t len)
{
    uint8_t memory[BOUND_MAX];
    lk_view bound;
    uint8_t *contents = box + LK_SEAL_SALT_LEN;

    if (write_bound(place, lk_signer_kid(signer), memory, &bound) != LK_OK)
        return LK_REFUSED;
    if (lk_random(env, box, LK_SEAL_SALT_LEN) != LK_OK)
        return LK_FAULT; /* never a salt that may have been there before */
    return lk_seal(lk__signer_seal_mac(signer), box, bound, contents, len, contents + len);
}

static lk_status write_text(lk_view kid, lk_view box, lk_buf *out)
{
    lk_buf before = *out;

    lk_buf_add_text(out, LK__SEALED_MARK);
    lk_buf_add(out, kid);
    lk_buf_add_byte(out, '.');
    lk_base64url_encode(box, out);
    if (!out->full)
        return LK_OK;
    *out = before;
    return LK_FULL;
}

lk_status lk_sealed_make(const lk_env *env, const lk_keyring *ring, const lk_seal_place *place,
                         const char id[LK_SESSION_ID_LEN + 1], const lk_session *s, lk_buf *out,
                         lk_note *note)
{
    const lk_signer *signer = lk_keyring_signer(ring, LK_ALG_HS256);
    lk_view kid = signer == NULL ? (lk_view){0} : lk_signer_kid(signer);
    uint8_t box[BOX_MAX];
    lk_status status;
    lk_buf contents;

    if (signer == NULL) {
        lk_note_set(note, "there is no HS256 key to seal with");
        return LK_FAULT;
    }
    contents = lk_buf_over(box + LK_SEAL_SALT_LEN, contents_max(kid));
    status = write_contents(ring, kid, lk_view_of(id), s, &contents, note);
    if (status == LK_OK)
        status = seal_box(env, signer, place, box, contents.len);
    if (status == LK_OK)
        lk__signer_count(signer);
    if (status == LK_OK)
        status = write_text(kid, lk_view_make(box, contents.len + LK_SEAL_EXTRA), out);
    lk_wipe(box, contents.len + LK_SEAL_EXTRA);
    return status;
}

/* --- Opening ---------------------------------------------------------------------------------------------
 */

static lk_status refuse(lk_reason *why, lk_reason reason)
{
    *why = reason;
    return LK_REFUSED;
}

/* The parts of TEXT by its shape alone. */
static bool split(lk_view text, lk_view *kid, lk_view *box)
{
    lk_view parts[LK__SEALED_PARTS];

    if (text.len > LK_SEALED_MAX || !lk__is_marked_sealed(text) ||
        lk__split_dots(text, parts, LK__SEALED_PARTS) != LK__SEALED_PARTS)
        return false;
    *kid = parts[1];
    *box = parts[2];
    return kid->len > 0 && kid->len <= LK_KID_MAX && box->len > 0;
}

/* Prove BOX, and give its contents in the same place. */
static lk_status open_box(const lk_verifier *verifier, const lk_seal_place *place, uint8_t *box, size_t len,
                          lk_buf *contents)
{
    uint8_t memory[BOUND_MAX];
    lk_view bound;
    size_t inside = len - LK_SEAL_EXTRA;

    if (write_bound(place, lk_verifier_kid(verifier), memory, &bound) != LK_OK)
        return LK_REFUSED;
    *contents = lk_buf_over(box + LK_SEAL_SALT_LEN, inside);
    contents->len = inside;
    return lk_unseal(lk__verifier_seal_mac(verifier), box, bound, contents->p, inside, contents->p + inside);
}

/* What is inside a box that was proved. TEXT_LEN tells how many cookies it must have been made for. LK_OK;
 * LK_REFUSED; LK_STALE. */
static lk_status read_contents(lk_view contents, size_t len_of_text, lk_session *out)
{
    size_t padding;

    if (contents.len < AT_RECORD)
        return LK_REFUSED;
    if (contents.p[AT_VERSION] != VERSION_OF_CONTENTS)
        return LK_STALE;
    padding = contents.p[AT_PADDING];
    if (contents.p[AT_PIECES] != pieces_of(len_of_text) || padding > PADDING_MAX ||
        padding > contents.len - AT_RECORD)
        return LK_REFUSED;
    return lk_record_read(lk_view_make(contents.p + AT_RECORD, contents.len - AT_RECORD - padding), out);
}

/* Hand the id over, and leave none in the scratch, which lives as long as the session does. */
static void move_id(lk_buf *contents, char *id)
{
    if (contents->len < AT_RECORD)
        return;
    if (id != NULL) {
        lk_buf text = lk_buf_over(id, LK_SESSION_ID_LEN);

        lk_base64url_encode(lk_view_make(contents->p + AT_ID, LK_SESSION_ID_BYTES), &text);
        id[LK_SESSION_ID_LEN] = '\0';
    }
    lk_wipe(contents->p + AT_ID, LK_SESSION_ID_BYTES);
}

lk_view lk_sealed_kid(lk_view text)
{
    lk_view kid, box;

    return split(text, &kid, &box) ? kid : (lk_view){0};
}

static lk_status open_text(const lk_keyring *ring, const lk_seal_place *place, lk_view text, lk_buf *scratch,
                           char *id, lk_session *out, lk_reason *why)
{
    const lk_verifier *verifier;
    size_t start = scratch->len;
    lk_view kid, box;
    lk_buf contents;
    lk_status status;

    if (!split(text, &kid, &box))
        return refuse(why, LK_REASON_MALFORMED);
    verifier = lk_keyring_verifier(ring, kid);
    if (verifier == NULL || lk__verifier_seal_mac(verifier) == NULL)
        return refuse(why, LK_REASON_UNKNOWN_KEY);
    status = lk_base64url_decode(box, scratch);
    if (status == LK_FULL)
        return LK_FULL;
    if (status != LK_OK || scratch->len - start < LK_SEAL_EXTRA)
        return refuse(why, LK_REASON_MALFORMED);
    *why = LK_REASON_BAD_SIGNATURE;
    status = open_box(verifier, place, scratch->p + start, scratch->len - start, &contents);
    if (status != LK_OK)
        return status;
    status = read_contents(lk_buf_view(&contents), text.len, out);
    if (status == LK_STALE)
        *why = LK_REASON_EXPIRED;
    move_id(&contents, status == LK_OK ? id : NULL);
    lk__verifier_count(verifier);
    return status;
}

lk_status lk_sealed_open(const lk_keyring *ring, const lk_seal_place *place, lk_view text, lk_buf *scratch,
                         char *id, lk_session *out, lk_reason *why)
{
    lk_buf before = *scratch;
    lk_status status;

    *why = LK_REASON_NONE;
    *out = (lk_session){0};
    if (id != NULL)
        id[0] = '\0';
    status = open_text(ring, place, text, scratch, id, out, why);
    if (status == LK_OK) {
        *why = LK_REASON_NONE;
        return LK_OK;
    }
    if (status == LK_FULL || status == LK_FAULT)
        *why = LK_REASON_NONE;
    *out = (lk_session){0};
    lk_wipe(scratch->p + before.len, scratch->len - before.len);
    *scratch = before;
    return status;
}
