/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sealed.c - sealed sessions: cut, changed, moved and forged in every way, and what is right beside it.
 */
#include "crypto/seal.h"
#include "key_fixture.h"
#include "keyring/keyring_internal.h"
#include "test_env.h"
#include <latchkey/base64url.h>
#include <latchkey/credential.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000
#define TEXT(literal) ((lk_view){(const uint8_t *)("" literal), sizeof(literal) - 1})
#define AT_PIECES 1
#define AT_PADDING 2
#define AT_RECORD 35

static const lk_seal_place place = {TEXT("session"), TEXT("__Host-latchkey"), TEXT("shop")};

static char dir[DIR_SIZE];
static lk_keyring *ring;
static char id[LK_SESSION_ID_LEN + 1];
static lk_session session;
static char made[LK_SEALED_MAX + 1];
static uint8_t scratch_memory[LK_SEALED_MAX];
static uint8_t field_memory[LK_FIELDS_BYTES_MAX];

static lk_keyring *open_ring(void)
{
    lk_keyring *opened = NULL;
    lk_note note = {""};

    if (lk_keyring_open(test_env(), dir, true, &opened, &note) != LK_OK)
        fail_msg("%s", note.text);
    return opened;
}

static int set_up(void **state)
{
    (void)state;
    key_dir_make(dir);
    ring = open_ring();
    session = (lk_session){.user = TEXT("u_42"),
                           .name = TEXT("alice"),
                           .realm = TEXT("shop"),
                           .roles = TEXT("editor staff"),
                           .generation = 3,
                           .revision = 7,
                           .created_s = NOW - 60,
                           .issued_s = NOW - 50,
                           .issued_ms = 123,
                           .auth_s = NOW - 40,
                           .seen_s = NOW,
                           .idle_s = 1800,
                           .expires_s = NOW + 43200};
    assert_int_equal(lk_session_id_new(test_env(), ring, id, &session.key, session.proof), LK_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lk_keyring_free(ring);
    key_dir_remove(dir);
    return 0;
}

/* Fields of exactly LEN bytes (0, or 8 at least) in all. */
static lk_view fields_of(size_t len)
{
    size_t at = 0, n = 0;

    while (at < len) {
        size_t rest = len - at, size = rest > 15000 ? 12000 : rest; /* name of 2, value in quotes */

        field_memory[at] = 2;
        field_memory[at + 1] = (uint8_t)((size - 5) & 0xff);
        field_memory[at + 2] = (uint8_t)((size - 5) >> 8);
        field_memory[at + 3] = 'f';
        field_memory[at + 4] = (uint8_t)('a' + n++);
        memset(field_memory + at + 5, 'x', size - 5);
        field_memory[at + 5] = field_memory[at + size - 1] = '"';
        at += size;
    }
    return lk_view_make(field_memory, len);
}

static lk_view seal_into(char *memory, const lk_session *s)
{
    lk_buf out = lk_buf_over(memory, LK_SEALED_MAX + 1);
    lk_note note = {""};

    if (lk_sealed_make(test_env(), ring, &place, id, s, &out, &note) != LK_OK)
        fail_msg("not sealed: %s", note.text);
    return lk_buf_view(&out);
}

static lk_view seal(void)
{
    return seal_into(made, &session);
}

/* Open TEXT with everything that can be wrong about an answer looked at. */
static lk_status open_at(const lk_keyring *with, const lk_seal_place *at, lk_view text, lk_session *out,
                         lk_reason *why)
{
    static const lk_session nothing;
    static const uint8_t zeros[sizeof(scratch_memory)];
    char got[LK_SESSION_ID_LEN + 1] = "before";
    lk_buf scratch = lk_buf_over(scratch_memory, sizeof(scratch_memory));
    lk_status status;

    memset(scratch_memory, 0, sizeof(scratch_memory));
    status = lk_sealed_open(with, at, text, &scratch, got, out, why);
    assert_true((status == LK_OK) == (*why == LK_REASON_NONE));
    assert_null(memmem(scratch_memory, sizeof(scratch_memory), id, LK_SESSION_ID_LEN));
    if (status == LK_OK) {
        assert_string_equal(got, id);
        return status;
    }
    assert_string_equal(got, "");
    assert_int_equal(scratch.len, 0);
    assert_false(scratch.full);
    assert_memory_equal(out, &nothing, sizeof(nothing));
    if (*why != LK_REASON_MALFORMED)
        assert_memory_equal(scratch_memory, zeros, sizeof(zeros));
    return status;
}

static lk_status open_text(lk_view text, lk_reason *why)
{
    lk_session out;

    return open_at(ring, &place, text, &out, why);
}

static void expect_at(const lk_keyring *with, const lk_seal_place *at, lk_view text, lk_status status,
                      lk_reason reason)
{
    lk_session out;
    lk_reason why;
    lk_status got = open_at(with, at, text, &out, &why);

    if (got != status || why != reason)
        fail_msg("%.*s\n   gives %s %s instead of %s %s", (int)text.len, (const char *)text.p,
                 lk_status_name(got), lk_reason_word(why), lk_status_name(status), lk_reason_word(reason));
}

static void expect(lk_view text, lk_status status, lk_reason reason)
{
    expect_at(ring, &place, text, status, reason);
}

/* --- what is right ---------------------------------------------------------------------------------------
 */

static void sealed_session_comes_back_whole_with_its_id(void **state)
{
    lk_session out;
    lk_reason why;
    lk_view text;

    (void)state;
    session.fields = fields_of(100);
    session.previous.bytes[0] = 5;
    text = seal();
    assert_int_equal(open_at(ring, &place, text, &out, &why), LK_OK);
    assert_memory_equal(out.key.bytes, session.key.bytes, LK_SESSION_KEY_LEN);
    assert_memory_equal(out.proof, session.proof, LK_SESSION_PROOF_LEN);
    assert_memory_equal(out.previous.bytes, session.previous.bytes, LK_SESSION_KEY_LEN);
    assert_true(lk_view_equal(out.user, session.user) && lk_view_equal(out.name, session.name));
    assert_true(lk_view_equal(out.realm, session.realm) && lk_view_equal(out.roles, session.roles));
    assert_true(lk_view_equal(out.fields, session.fields));
    assert_int_equal(out.generation, 3);
    assert_int_equal(out.revision, 7);
    assert_int_equal(out.created_s, NOW - 60);
    assert_int_equal(out.issued_s, NOW - 50);
    assert_int_equal(out.issued_ms, 123);
    assert_int_equal(out.auth_s, NOW - 40);
    assert_int_equal(out.seen_s, NOW);
    assert_int_equal(out.idle_s, 1800);
    assert_int_equal(out.expires_s, NOW + 43200);
}

static void sealed_text_is_known_by_its_shape_and_shows_nothing(void **state)
{
    lk_view text = seal(), kid = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256));
    uint8_t bytes[LK_SEALED_MAX];
    lk_buf box = lk_buf_over(bytes, sizeof(bytes));
    lk_kind kind;

    (void)state;
    assert_int_equal(lk_credential_kind(text, &kind), LK_OK);
    assert_int_equal(kind, LK_KIND_SEALED);
    assert_memory_equal(text.p, "v1.", 3);
    assert_memory_equal(text.p + 3, kid.p, kid.len);
    assert_int_equal(text.p[3 + kid.len], '.');
    assert_int_equal(lk_base64url_decode(lk_view_part(text, 4 + kid.len, SIZE_MAX), &box), LK_OK);
    assert_null(memmem(bytes, box.len, "alice", 5));
    assert_null(memmem(bytes, box.len, "u_42", 4));
    assert_null(memmem(bytes, box.len, session.key.bytes, LK_SESSION_KEY_LEN));
}

static void no_two_boxes_of_one_session_are_alike(void **state)
{
    enum { BOXES = 200 };
    static char texts[BOXES][1024];
    size_t front = 4 + lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256)).len;

    (void)state;
    for (size_t i = 0; i < BOXES; i++) {
        lk_view text = seal();

        assert_true(text.len < sizeof(texts[i]));
        memcpy(texts[i], text.p, text.len);
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(texts[i] + front, texts[k] + front, 32);           /* the salt */
            assert_memory_not_equal(texts[i] + front + 33, texts[k] + front + 33, 20); /* the ciphertext */
        }
    }
}

static void scratch_is_added_to_and_id_is_for_those_who_ask(void **state)
{
    lk_buf scratch = lk_buf_over(scratch_memory, sizeof(scratch_memory)), small;
    lk_view text = seal();
    lk_session out;
    lk_reason why;

    (void)state;
    lk_buf_add(&scratch, LK_VIEW("kept"));
    assert_int_equal(lk_sealed_open(ring, &place, text, &scratch, NULL, &out, &why), LK_OK);
    assert_memory_equal(scratch_memory, "kept", 4);
    assert_true(out.user.p > scratch_memory + 4 && out.user.p < scratch_memory + scratch.len);
    small = lk_buf_over(scratch_memory, 100);
    assert_int_equal(lk_sealed_open(ring, &place, text, &small, NULL, &out, &why), LK_FULL);
    assert_int_equal(small.len, 0);
}

/* --- what is not -----------------------------------------------------------------------------------------
 */

static void box_cut_at_any_length_is_refused(void **state)
{
    lk_view text = seal();
    lk_reason why;

    (void)state;
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(open_text(lk_view_part(text, 0, len), &why), LK_REFUSED);
    for (size_t from = 1; from < text.len; from++)
        assert_int_equal(open_text(lk_view_part(text, from, SIZE_MAX), &why), LK_REFUSED);
    expect(text, LK_OK, LK_REASON_NONE);
}

/* The text of BOX under KID. */
static lk_view spell(lk_view kid, lk_view box)
{
    static char memory[2 * LK_SEALED_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));

    lk_buf_add_text(&out, "v1.");
    lk_buf_add(&out, kid);
    lk_buf_add_byte(&out, '.');
    lk_base64url_encode(box, &out);
    assert_false(out.full);
    return lk_buf_view(&out);
}

static lk_view own_kid(void)
{
    return lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256));
}

static size_t box_of(lk_view text, uint8_t *bytes)
{
    lk_buf box = lk_buf_over(bytes, LK_SEALED_MAX);

    assert_int_equal(lk_base64url_decode(lk_view_part(text, 4 + own_kid().len, SIZE_MAX), &box), LK_OK);
    return box.len;
}

static void box_with_any_bit_changed_is_refused_by_the_one_word(void **state)
{
    static uint8_t box[LK_SEALED_MAX];
    size_t len = box_of(seal(), box);

    (void)state;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        box[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect(spell(own_kid(), lk_view_make(box, len)), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
        box[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    expect(spell(own_kid(), lk_view_make(box, len)), LK_OK, LK_REASON_NONE);
}

static void tag_that_is_cut_or_longer_is_refused(void **state)
{
    static uint8_t box[LK_SEALED_MAX];
    size_t len = box_of(seal(), box);

    (void)state;
    for (size_t cut = 1; cut <= LK_SEAL_TAG_LEN; cut++)
        expect(spell(own_kid(), lk_view_make(box, len - cut)), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    expect(spell(own_kid(), lk_view_make(box, len + 1)), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    /* Shorter than salt and tag it is no box at all, as anybody can see. */
    expect(spell(own_kid(), lk_view_make(box, LK_SEAL_EXTRA)), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    expect(spell(own_kid(), lk_view_make(box, LK_SEAL_EXTRA - 1)), LK_REFUSED, LK_REASON_MALFORMED);
}

static void text_with_any_character_changed_is_refused(void **state)
{
    char changed[1024];
    lk_view text = seal();
    lk_reason why;

    (void)state;
    assert_true(text.len < sizeof(changed));
    for (size_t i = 0; i < text.len; i++) {
        for (const char *c = "A.=-v\n"; *c != '\0'; c++) {
            memcpy(changed, text.p, text.len);
            if (changed[i] == *c)
                continue;
            changed[i] = *c;
            assert_int_equal(open_text(lk_view_make(changed, text.len), &why), LK_REFUSED);
        }
    }
}

static void text_of_another_shape_is_malformed(void **state)
{
    static const char *const odd[] = {
        "",      "v1",        "v1.",       "v1..",     "v1.k",    "v1.k.",   "v1.k.A",  "v2.k.AAAA",
        "V1.k.", "v1.k.AA.A", "v1..AAAA",  "v1.k.AA=", "v1.k.A ", "v1 k AA", "AAAA.AA", "e30.e30.AAAA",
        "1v.k.", "v11.k.AA",  "v1.k.AA\n", ".v1.k.AA", "v1.k",    "v1...",   "v1.....", "v1.k.A.",
    };
    lk_session out;
    lk_reason why;

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        assert_int_equal(open_at(ring, &place, lk_view_of(odd[i]), &out, &why), LK_REFUSED);
        assert_true(why == LK_REASON_MALFORMED || why == LK_REASON_UNKNOWN_KEY);
    }
}

static void box_moved_to_another_name_purpose_or_realm_is_refused(void **state)
{
    static const lk_seal_place others[] = {
        {TEXT("csrf"), TEXT("__Host-latchkey"), TEXT("shop")},
        {TEXT("session"), TEXT("latchkey"), TEXT("shop")},
        {TEXT("session"), TEXT("__host-latchkey"), TEXT("shop")},
        {TEXT("session"), TEXT("__Host-latchkey"), TEXT("")},
        {TEXT("session"), TEXT("__Host-latchkey"), TEXT("shop2")},
        {TEXT("session"), TEXT("__Host-latchkeyshop"), TEXT("")}, /* the same bytes, parted elsewhere */
        {TEXT("session"), TEXT("__Host-latchke"), TEXT("yshop")},
        {TEXT("session__Host-latchkey"), TEXT(""), TEXT("shop")},
        {TEXT("sessio"), TEXT("n__Host-latchkey"), TEXT("shop")},
        {TEXT(""), TEXT(""), TEXT("")},
    };
    lk_view text = seal();

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        expect_at(ring, &others[i], text, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    expect(text, LK_OK, LK_REASON_NONE);
}

static void place_that_is_too_long_is_refused_on_both_sides(void **state)
{
    static char name[257];
    lk_seal_place longer = place;
    lk_buf out = lk_buf_over(made, sizeof(made));
    lk_view text;

    (void)state;
    memset(name, 'n', sizeof(name));
    longer.name = lk_view_make(name, 256);
    assert_int_equal(lk_sealed_make(test_env(), ring, &longer, id, &session, &out, NULL), LK_REFUSED);
    assert_int_equal(out.len, 0);
    text = seal();
    expect_at(ring, &longer, text, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    longer.name.len = 255;
    out = lk_buf_over(made, sizeof(made));
    assert_int_equal(lk_sealed_make(test_env(), ring, &longer, id, &session, &out, NULL), LK_OK);
    expect_at(ring, &longer, lk_buf_view(&out), LK_OK, LK_REASON_NONE);
}

/* --- keys -------------------------------------------------------------------------------------------------
 */

static void rotate(char kid[LK_KID_MAX + 1])
{
    lk_note note = {""};

    assert_int_equal(key_make(dir, LK_ALG_HS256, true, kid, &note), LK_OK);
    lk_keyring_free(ring);
    ring = open_ring();
}

static void retiring_key_opens_what_it_sealed_and_the_active_one_seals(void **state)
{
    char kid[LK_KID_MAX + 1], before[1024] = "";
    lk_view old = seal_into(made, &session), fresh;

    (void)state;
    memcpy(before, old.p, old.len);
    rotate(kid);
    expect(lk_view_of(before), LK_OK, LK_REASON_NONE);
    fresh = seal();
    assert_memory_equal(fresh.p + 3, kid, strlen(kid));
    expect(fresh, LK_OK, LK_REASON_NONE);
}

static void kid_of_another_key_of_the_ring_does_not_open_it(void **state)
{
    static uint8_t box[LK_SEALED_MAX];
    size_t len = box_of(seal(), box);
    char kid[LK_KID_MAX + 1], old[LK_KID_MAX + 1] = "";

    (void)state;
    memcpy(old, own_kid().p, own_kid().len);
    rotate(kid);
    expect(spell(lk_view_of(kid), lk_view_make(box, len)), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    expect(spell(lk_view_of(old), lk_view_make(box, len)), LK_OK, LK_REASON_NONE);
}

static void key_that_is_gone_or_never_was_opens_nothing_and_the_others_go_on(void **state)
{
    char kid[LK_KID_MAX + 1], old[LK_KID_MAX + 1] = "", path[DIR_SIZE + LK_KID_MAX + 8], before[1024] = "";
    lk_view text = seal(), eddsa = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_EDDSA));
    static uint8_t box[LK_SEALED_MAX];
    size_t len = box_of(text, box);

    (void)state;
    memcpy(before, text.p, text.len);
    memcpy(old, own_kid().p, own_kid().len);
    expect(spell(LK_VIEW("hs256-AAAAAAAA"), lk_view_make(box, len)), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    expect(spell(eddsa, lk_view_make(box, len)), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    rotate(kid);
    (void)snprintf(path, sizeof(path), "%s/%s.jwk", dir, old);
    assert_int_equal(remove(path), 0);
    lk_keyring_free(ring);
    ring = open_ring();
    expect(lk_view_of(before), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    expect(seal(), LK_OK, LK_REASON_NONE);
}

/* Two entries of one secret: the kid in the text is bound too. */
static void kid_is_bound_even_where_two_keys_have_one_secret(void **state)
{
    static const char set[] = "{\"keys\":["
                              "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"a\",\"k\":"
                              "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"},"
                              "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"b\",\"k\":"
                              "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}";
    /* salt 00..17, contents of "x", bound to v1, a, session, n, r */
    uint8_t box[LK_SEAL_EXTRA + 1] = {0}, bound[] = "\x02v1\x01"
                                                    "a\x07session\x01n\x01r";
    lk_keyring *two = ring_of(set, NULL);
    const lk_mac *mac = lk__verifier_seal_mac(lk_keyring_verifier(two, LK_VIEW("a")));
    lk_seal_place at = {TEXT("session"), TEXT("n"), TEXT("r")};
    uint8_t *contents = box + LK_SEAL_SALT_LEN;

    (void)state;
    contents[0] = 2; /* a newer version: told apart from a refusal without a whole record */
    assert_int_equal(lk_seal(mac, box, lk_view_make(bound, sizeof(bound) - 1), contents, 1, contents + 1),
                     LK_OK);
    expect_at(two, &at, spell(LK_VIEW("b"), lk_view_make(box, sizeof(box))), LK_REFUSED,
              LK_REASON_BAD_SIGNATURE);
    lk_keyring_free(two);
}

static void ring_that_only_checks_seals_nothing(void **state)
{
    lk_keyring *checks = ring_of("{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"a\",\"k\":"
                                 "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}",
                                 NULL);
    lk_buf out = lk_buf_over(made, sizeof(made));

    (void)state;
    assert_int_equal(lk_sealed_make(test_env(), checks, &place, id, &session, &out, NULL), LK_FAULT);
    assert_int_equal(out.len, 0);
    lk_keyring_free(checks);
}

/* --- contents that nobody but us could seal --------------------------------------------------------------
 */

/* CONTENTS sealed by hand, as the page of the format says it. */
static lk_view forge(lk_view contents)
{
    static uint8_t box[LK_SEALED_MAX];
    uint8_t memory[256];
    lk_buf bound = lk_buf_over(memory, sizeof(memory));
    lk_view parts[] = {LK_VIEW("v1"), own_kid(), place.purpose, place.name, place.realm};
    const lk_signer *signer = lk_keyring_signer(ring, LK_ALG_HS256);

    for (size_t i = 0; i < 5; i++) {
        lk_buf_add_byte(&bound, (uint8_t)parts[i].len);
        lk_buf_add(&bound, parts[i]);
    }
    assert_int_equal(lk_random(test_env(), box, LK_SEAL_SALT_LEN), LK_OK);
    memcpy(box + LK_SEAL_SALT_LEN, contents.p, contents.len);
    assert_int_equal(lk_seal(lk__signer_seal_mac(signer), box, lk_buf_view(&bound), box + LK_SEAL_SALT_LEN,
                             contents.len, box + LK_SEAL_SALT_LEN + contents.len),
                     LK_OK);
    return spell(own_kid(), lk_view_make(box, contents.len + LK_SEAL_EXTRA));
}

/* The contents of a right box for one cookie. */
static size_t right_contents(uint8_t *out)
{
    lk_buf b = lk_buf_over(out, LK_SEALED_MAX);

    lk_buf_add(&b, lk_view_make("\x01\x01\x00", 3));
    assert_int_equal(lk_base64url_decode(lk_view_of(id), &b), LK_OK);
    assert_int_equal(lk_record_write(&session, &b), LK_OK);
    return b.len;
}

static void format_is_the_one_the_page_says(void **state)
{
    static uint8_t contents[LK_SEALED_MAX];
    size_t len = right_contents(contents);

    (void)state;
    expect(forge(lk_view_make(contents, len)), LK_OK, LK_REASON_NONE);
    assert_int_equal(seal().len, forge(lk_view_make(contents, len)).len);
}

/* Made by other hands, from the page alone. */
static void vector_of_the_page_opens(void **state)
{
    lk_keyring *checks = ring_of("{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"hs256-LYQVMtmf\",\"k\":"
                                 "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}",
                                 NULL);
    lk_view text = LK_VIEW(
        "v1.hs256-LYQVMtmf.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXzbDUEsWxjV52_tR16oK9cyIYh2MwPHd7DB_9DaZBP9mIaU6k"
        "z37XMd8JEf7nFDyptMkThXurpLAmrBQEL7iOkDrDy9Iovj-x8v-JEd5gEQpNnVwkvt7REUj6vm_9EO-tYjVoGOhrl-73OQ6_"
        "qraZsgQHHFjueTMv9lpgJq6zW-ALZRmCefzp-fEstzhvgPTAXJ4");
    lk_buf scratch = lk_buf_over(scratch_memory, sizeof(scratch_memory));
    char got[LK_SESSION_ID_LEN + 1];
    lk_session out;
    lk_reason why;

    (void)state;
    assert_int_equal(lk_sealed_open(checks, &place, text, &scratch, got, &out, &why), LK_OK);
    assert_string_equal(got, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    assert_true(lk_view_equal(out.user, LK_VIEW("u_42")) && lk_view_equal(out.realm, LK_VIEW("shop")));
    assert_int_equal(out.expires_s, 1800043200);
    lk_keyring_free(checks);
}

static void forged_number_of_pieces_is_refused_behind_the_seal(void **state)
{
    static uint8_t contents[LK_SEALED_MAX];
    size_t len = right_contents(contents);

    (void)state;
    for (unsigned pieces = 0; pieces < 256; pieces++) {
        contents[AT_PIECES] = (uint8_t)pieces;
        if (pieces != 1)
            expect(forge(lk_view_make(contents, len)), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    }
}

static void forged_padding_is_refused(void **state)
{
    static uint8_t contents[LK_SEALED_MAX];
    size_t len = right_contents(contents);

    (void)state;
    for (unsigned padding = 2; padding < 256; padding++) {
        contents[AT_PADDING] = (uint8_t)padding;
        expect(forge(lk_view_make(contents, len)), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    }
    contents[AT_PADDING] = 1; /* one byte less of the record */
    expect(forge(lk_view_make(contents, len)), LK_STALE, LK_REASON_EXPIRED);
}

static void contents_of_a_newer_version_are_stale_and_never_guessed(void **state)
{
    static uint8_t contents[LK_SEALED_MAX];
    size_t len = right_contents(contents);

    (void)state;
    contents[0] = 2;
    expect(forge(lk_view_make(contents, len)), LK_STALE, LK_REASON_EXPIRED);
    contents[0] = 1;
    contents[AT_RECORD] = 2; /* the version of the record */
    expect(forge(lk_view_make(contents, len)), LK_STALE, LK_REASON_EXPIRED);
    contents[AT_RECORD] = 1;
    expect(forge(lk_view_make(contents, len)), LK_OK, LK_REASON_NONE);
}

static void contents_cut_at_any_length_are_never_a_session(void **state)
{
    static uint8_t contents[LK_SEALED_MAX];
    size_t len = right_contents(contents);
    lk_reason why;

    (void)state;
    for (size_t cut = 0; cut < len; cut++) {
        lk_status status = open_text(forge(lk_view_make(contents, cut)), &why);

        assert_true(status == LK_REFUSED || status == LK_STALE);
        assert_true(cut >= AT_RECORD || status == LK_REFUSED);
    }
}

/* --- bounds -----------------------------------------------------------------------------------------------
 */

/* The bytes of a session without fields, as its record has them. */
static size_t head_len(void)
{
    static uint8_t memory[LK_RECORD_MAX];
    lk_buf b = lk_buf_over(memory, sizeof(memory));
    lk_session bare = session;

    bare.fields = (lk_view){0};
    assert_int_equal(lk_record_write(&bare, &b), LK_OK);
    return b.len;
}

/* Bytes of record that make a text of CHARS characters. */
static size_t record_for(size_t chars)
{
    size_t body = chars - 4 - own_kid().len;

    return body / 4 * 3 + (body % 4 > 0 ? body % 4 - 1 : 0) - LK_SEAL_EXTRA - AT_RECORD;
}

static void four_full_pieces_are_sealed_and_one_byte_more_is_refused(void **state)
{
    size_t most = record_for(LK_SEALED_MAX);
    lk_buf out = lk_buf_over(made, sizeof(made));
    lk_note note = {""};
    char words[64];

    (void)state;
    session.fields = fields_of(most - head_len());
    expect(seal(), LK_OK, LK_REASON_NONE);
    assert_true(seal().len > LK_SEALED_MAX - 4 && seal().len <= LK_SEALED_MAX);
    session.fields = fields_of(most - head_len() + 1);
    assert_int_equal(lk_sealed_make(test_env(), ring, &place, id, &session, &out, &note), LK_FULL);
    assert_int_equal(out.len, 0);
    assert_false(out.full);
    (void)snprintf(words, sizeof(words), "may have %zu bytes", most);
    assert_non_null(strstr(note.text, words));
}

static void room_too_small_for_the_text_is_said_and_nothing_written(void **state)
{
    size_t len = seal().len;
    lk_buf out = lk_buf_over(made, len - 1);

    (void)state;
    assert_int_equal(lk_sealed_make(test_env(), ring, &place, id, &session, &out, NULL), LK_FULL);
    assert_int_equal(out.len, 0);
    out = lk_buf_over(made, len);
    assert_int_equal(lk_sealed_make(test_env(), ring, &place, id, &session, &out, NULL), LK_OK);
}

/* A reader of cookies goes on after a full one: a text must not end there, but with the last. */
static void text_never_ends_with_a_full_piece_before_the_last(void **state)
{
    (void)state;
    for (size_t pieces = 1; pieces <= LK_SEALED_PIECES; pieces++) {
        size_t about = record_for(pieces * LK_SEALED_PIECE_LEN);
        bool padded = false;

        for (size_t record = about - 4; record <= about + 4; record++) {
            lk_view text;

            if (record > record_for(LK_SEALED_MAX))
                break;
            session.fields = fields_of(record - head_len());
            text = seal();
            padded = padded || text.len % LK_SEALED_PIECE_LEN <= 2;
            assert_true(text.len % LK_SEALED_PIECE_LEN != 0 || text.len == LK_SEALED_MAX);
            expect(text, LK_OK, LK_REASON_NONE);
        }
        assert_true(padded || pieces == LK_SEALED_PIECES);
    }
}

static void text_over_the_bound_is_of_no_kind_and_not_opened(void **state)
{
    static char text[LK_SEALED_MAX + 2];
    lk_kind kind;

    (void)state;
    memset(text, 'A', sizeof(text) - 1);
    memcpy(text, "v1.k.", 5);
    assert_int_equal(lk_credential_kind(lk_view_make(text, LK_SEALED_MAX), &kind), LK_OK);
    assert_int_equal(kind, LK_KIND_SEALED);
    assert_int_equal(lk_credential_kind(lk_view_make(text, LK_SEALED_MAX + 1), &kind), LK_REFUSED);
    expect(lk_view_make(text, LK_SEALED_MAX + 1), LK_REFUSED, LK_REASON_MALFORMED);
}

/* --- what cannot be sealed --------------------------------------------------------------------------------
 */

static void id_of_another_session_is_not_sealed_with_this_one(void **state)
{
    char other[LK_SESSION_ID_LEN + 1], cut[LK_SESSION_ID_LEN + 1] = "short";
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_buf out = lk_buf_over(made, sizeof(made));
    lk_session_key key;

    (void)state;
    assert_int_equal(lk_session_id_new(test_env(), ring, other, &key, proof), LK_OK);
    assert_int_equal(lk_sealed_make(test_env(), ring, &place, other, &session, &out, NULL), LK_REFUSED);
    assert_int_equal(lk_sealed_make(test_env(), ring, &place, cut, &session, &out, NULL), LK_REFUSED);
    session.proof[0] ^= 1;
    assert_int_equal(lk_sealed_make(test_env(), ring, &place, id, &session, &out, NULL), LK_REFUSED);
    assert_int_equal(out.len, 0);
}

static void session_that_no_record_can_hold_is_not_sealed(void **state)
{
    lk_buf out = lk_buf_over(made, sizeof(made));

    (void)state;
    session.name = LK_VIEW("a\nb");
    assert_int_equal(lk_sealed_make(test_env(), ring, &place, id, &session, &out, NULL), LK_REFUSED);
    assert_int_equal(out.len, 0);
}

static void without_randomness_nothing_is_sealed(void **state)
{
    lk_buf out = lk_buf_over(made, sizeof(made));

    (void)state;
    test_random_fail_at(1);
    assert_int_equal(lk_sealed_make(test_env(), ring, &place, id, &session, &out, NULL), LK_FAULT);
    test_random_fail_at(0);
    assert_int_equal(out.len, 0);
}

static void sealing_and_opening_take_no_memory_of_the_environment(void **state)
{
    lk_view text;

    (void)state;
    test_alloc_fail_at(1);
    text = seal();
    expect(text, LK_OK, LK_REASON_NONE);
    assert_false(test_alloc_failed());
    test_alloc_fail_at(0);
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RING(sealed_session_comes_back_whole_with_its_id),
        WITH_RING(sealed_text_is_known_by_its_shape_and_shows_nothing),
        WITH_RING(no_two_boxes_of_one_session_are_alike),
        WITH_RING(scratch_is_added_to_and_id_is_for_those_who_ask),
        WITH_RING(box_cut_at_any_length_is_refused),
        WITH_RING(box_with_any_bit_changed_is_refused_by_the_one_word),
        WITH_RING(tag_that_is_cut_or_longer_is_refused),
        WITH_RING(text_with_any_character_changed_is_refused),
        WITH_RING(text_of_another_shape_is_malformed),
        WITH_RING(box_moved_to_another_name_purpose_or_realm_is_refused),
        WITH_RING(place_that_is_too_long_is_refused_on_both_sides),
        WITH_RING(retiring_key_opens_what_it_sealed_and_the_active_one_seals),
        WITH_RING(kid_of_another_key_of_the_ring_does_not_open_it),
        WITH_RING(key_that_is_gone_or_never_was_opens_nothing_and_the_others_go_on),
        WITH_RING(kid_is_bound_even_where_two_keys_have_one_secret),
        WITH_RING(ring_that_only_checks_seals_nothing),
        WITH_RING(format_is_the_one_the_page_says),
        cmocka_unit_test(vector_of_the_page_opens),
        WITH_RING(forged_number_of_pieces_is_refused_behind_the_seal),
        WITH_RING(forged_padding_is_refused),
        WITH_RING(contents_of_a_newer_version_are_stale_and_never_guessed),
        WITH_RING(contents_cut_at_any_length_are_never_a_session),
        WITH_RING(four_full_pieces_are_sealed_and_one_byte_more_is_refused),
        WITH_RING(room_too_small_for_the_text_is_said_and_nothing_written),
        WITH_RING(text_never_ends_with_a_full_piece_before_the_last),
        WITH_RING(text_over_the_bound_is_of_no_kind_and_not_opened),
        WITH_RING(id_of_another_session_is_not_sealed_with_this_one),
        WITH_RING(session_that_no_record_can_hold_is_not_sealed),
        WITH_RING(without_randomness_nothing_is_sealed),
        WITH_RING(sealing_and_opening_take_no_memory_of_the_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
