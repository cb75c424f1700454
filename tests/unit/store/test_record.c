/* SPDX-License-Identifier: Apache-2.0
 *
 * test_record.c - a session survives its bytes, and no bytes do harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sample.h"
#include <stdio.h>
#include <stdlib.h>

static void assert_view(lk_view a, lk_view b)
{
    assert_int_equal(a.len, b.len);
    assert_true(lk_view_equal(a, b));
}

static void assert_session(const lk_session *a, const lk_session *b)
{
    assert_memory_equal(&a->key, &b->key, sizeof(a->key));
    assert_memory_equal(a->proof, b->proof, sizeof(a->proof));
    assert_memory_equal(&a->previous, &b->previous, sizeof(a->previous));
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->issued_s, b->issued_s);
    assert_int_equal(a->issued_ms, b->issued_ms);
    assert_int_equal(a->auth_s, b->auth_s);
    assert_int_equal(a->seen_s, b->seen_s);
    assert_int_equal(a->idle_s, b->idle_s);
    assert_int_equal(a->expires_s, b->expires_s);
    assert_view(a->user, b->user);
    assert_view(a->name, b->name);
    assert_view(a->realm, b->realm);
    assert_view(a->roles, b->roles);
    assert_view(a->scope, b->scope);
    assert_view(a->device, b->device);
    assert_view(a->device_class, b->device_class);
    assert_view(a->agent, b->agent);
    assert_view(a->address, b->address);
    assert_view(a->fields, b->fields);
}

static lk_view written(const lk_session *s, uint8_t room[LK_RECORD_MAX])
{
    lk_buf out = lk_buf_over(room, LK_RECORD_MAX);

    assert_int_equal(lk_record_write(s, &out), LK_OK);
    return lk_buf_view(&out);
}

static void record_reads_back_as_the_session_it_was_written_from(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session(), back;

    (void)state;
    assert_int_equal(lk_record_read(written(&s, room), &back), LK_OK);
    assert_session(&s, &back);
    memset(&s, 0, sizeof(s));
    s.flags = LK_SESSION_ANONYMOUS;
    assert_int_equal(lk_record_read(written(&s, room), &back), LK_OK);
    assert_session(&s, &back);
}

static void record_of_version_1_kept_in_the_samples_is_still_readable(void **state)
{
    uint8_t bytes[LK_RECORD_MAX];
    lk_session s = sample_session(), back;
    size_t len = 0;
    unsigned byte;
    FILE *f = fopen(SAMPLES "/session-v1.hex", "r");

    (void)state;
    assert_non_null(f);
    while (len < sizeof(bytes) && fscanf(f, "%2x", &byte) == 1)
        bytes[len++] = (uint8_t)byte;
    fclose(f);
    assert_int_equal(lk_record_read(lk_view_make(bytes, len), &back), LK_OK);
    assert_session(&s, &back);
}

static void device_class_comes_back_and_is_never_empty_or_too_long(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    char class[LK_DEVICE_CLASS_MAX + 1];
    lk_session s = sample_session(), back;
    size_t at = 87 + LK_SESSION_KEY_LEN; /* behind `previous` */
    lk_view record;
    lk_buf out = lk_buf_over(room, sizeof(room));

    (void)state;
    memset(class, 'c', sizeof(class));
    s.device_class = LK_VIEW("mobile");
    record = written(&s, room);
    assert_int_equal(lk_record_read(record, &back), LK_OK);
    assert_session(&s, &back);
    assert_int_equal(room[at], 6);
    for (unsigned len = 0; len < 256; len++) {
        room[at] = (uint8_t)len;
        assert_int_equal(lk_record_read(record, &back), len == 6 ? LK_OK : LK_STALE);
    }
    room[at] = 6;
    room[at + 1] = '\n';
    assert_int_equal(lk_record_read(record, &back), LK_STALE);
    s.device_class = lk_view_make(class, LK_DEVICE_CLASS_MAX);
    assert_int_equal(lk_record_read(written(&s, room), &back), LK_OK);
    assert_session(&s, &back);
    s.device_class = lk_view_make(class, LK_DEVICE_CLASS_MAX + 1);
    assert_int_equal(lk_record_write(&s, &out), LK_FULL);
    s.device_class = LK_VIEW("a\x7f");
    assert_int_equal(lk_record_write(&s, &out), LK_REFUSED);
}

static void record_cut_after_the_head_reads_without_fields(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session(), back;
    lk_view record = written(&s, room);
    size_t head_len = lk_record_head_len(record);

    (void)state;
    assert_int_equal(head_len, record.len - s.fields.len);
    assert_int_equal(lk_record_head_len(lk_view_make(record.p, head_len)), head_len);
    assert_int_equal(lk_record_head_len(lk_view_make(record.p, head_len - 1)), 0);
    assert_int_equal(lk_record_read(lk_view_make(record.p, head_len), &back), LK_OK);
    s.fields = (lk_view){0};
    assert_session(&s, &back);
}

static void record_cut_anywhere_else_is_stale(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session(), back;
    lk_view record = written(&s, room);
    size_t head_len = lk_record_head_len(record);

    (void)state;
    for (size_t len = 0; len < record.len; len++) {
        uint8_t *copy = malloc(len + 1);

        assert_non_null(copy);
        memcpy(copy, record.p, len);
        assert_int_equal(lk_record_read(lk_view_make(copy, len), &back), len == head_len ? LK_OK : LK_STALE);
        free(copy);
    }
    room[record.len] = 0;
    assert_int_equal(lk_record_read(lk_view_make(room, record.len + 1), &back), LK_STALE);
}

static void record_of_a_newer_version_or_with_an_unknown_flag_is_stale(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session(), back;
    lk_view record = written(&s, room);

    (void)state;
    room[0] = 2;
    assert_int_equal(lk_record_read(record, &back), LK_STALE);
    assert_int_equal(lk_record_head_len(record), 0);
    assert_int_equal(lk_record_touch(room, record.len, INT64_C(1) << 35), LK_STALE);
    room[0] = 1;
    room[1] |= 0x20; /* the one bit that means nothing yet */
    assert_int_equal(lk_record_read(record, &back), LK_STALE);
}

static void record_whose_texts_hold_a_control_character_is_stale(void **state)
{
    static const uint8_t controls[] = {0x00, 0x0a, 0x0d, 0x1f, 0x7f};
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session(), back;
    lk_view record = written(&s, room);
    size_t head_len = lk_record_head_len(record);

    (void)state;
    for (size_t at = 99; at < head_len; at++) { /* 99: where the texts of a record with `previous` begin */
        uint8_t kept = room[at];

        for (size_t i = 0; i < sizeof(controls); i++) {
            room[at] = controls[i];
            assert_int_equal(lk_record_read(record, &back), LK_STALE);
        }
        room[at] = 0xc3; /* bytes of UTF-8 are fine */
        assert_int_equal(lk_record_read(record, &back), LK_OK);
        room[at] = kept;
    }
}

/* A small generator of our own: the same bytes in every run. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void damaged_bytes_are_stale_or_a_session_within_bounds(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session(), back;
    lk_view record = written(&s, room);
    uint32_t seed = 1;

    (void)state;
    for (unsigned n = 0; n < 200000; n++) {
        size_t len = n % 4 == 0 ? next_random(&seed) % (record.len + 1) : record.len;
        uint8_t *copy = malloc(len == 0 ? 1 : len);

        assert_non_null(copy);
        memcpy(copy, room, len);
        for (unsigned k = next_random(&seed) % 4; len > 0 && k < 4; k++)
            copy[n % 2 ? next_random(&seed) % (len < 99 ? len : 99) : next_random(&seed) % len] =
                (uint8_t)next_random(&seed);
        if (lk_record_read(lk_view_make(copy, len), &back) == LK_OK) {
            assert_true(back.user.len <= LK_USER_ID_MAX && back.roles.len <= LK_ROLES_MAX);
            assert_true(back.fields.p + back.fields.len <= copy + len);
        }
        (void)!lk_record_touch(copy, len, 1790000300);
        free(copy);
    }
}

static void touch_moves_last_seen_forward_and_never_back(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session(), back;
    lk_view record = written(&s, room);

    (void)state;
    assert_int_equal(lk_record_touch(room, record.len, s.seen_s + 50), LK_OK);
    assert_int_equal(lk_record_read(record, &back), LK_OK);
    assert_int_equal(back.seen_s, s.seen_s + 50);
    assert_int_equal(lk_record_touch(room, record.len, s.seen_s), LK_OK);
    assert_int_equal(lk_record_read(record, &back), LK_OK);
    s.seen_s += 50;
    assert_session(&s, &back);
}

static void session_over_a_bound_is_not_written_at_all(void **state)
{
    static uint8_t many[LK_FIELDS_BYTES_MAX + 1];
    uint8_t room[LK_RECORD_MAX];
    const lk_session good = sample_session();
    lk_session bad[9];
    lk_buf out = lk_buf_over(room, sizeof(room));

    (void)state;
    for (size_t i = 0; i < 9; i++)
        bad[i] = good;
    memset(many, 'x', sizeof(many));
    bad[0].user = lk_view_make(many, LK_USER_ID_MAX + 1);
    bad[1].roles = lk_view_make(many, LK_ROLES_MAX + 1);
    bad[2].agent = lk_view_make(many, LK_AGENT_MAX + 1);
    bad[3].fields = lk_view_make(many, LK_FIELDS_BYTES_MAX + 1);
    bad[4].expires_s = INT64_C(1) << 40;
    bad[5].seen_s = -1;
    bad[6].idle_s = INT64_C(1) << 32;
    bad[8].issued_ms = 1000;
    bad[7].device = lk_view_make(many, LK_DEVICE_MAX + 1);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(lk_record_write(&bad[i], &out), LK_FULL);
        assert_int_equal(out.len, 0);
    }
    out.cap = written(&good, room).len - 1;
    assert_int_equal(lk_record_write(&good, &out), LK_FULL);
    assert_int_equal(out.len, 0);
    out.cap++;
    assert_int_equal(lk_record_write(&good, &out), LK_OK);
}

static void session_with_a_control_character_or_unsound_fields_is_refused(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session();
    lk_buf out = lk_buf_over(room, sizeof(room));

    (void)state;
    s.name = LK_VIEW("Ada\r\nRemote-User: root");
    assert_int_equal(lk_record_write(&s, &out), LK_REFUSED);
    s = sample_session();
    s.fields = LK_VIEW("\x04\x05\x00"
                       "cart"
                       "[1,2");
    assert_int_equal(lk_record_write(&s, &out), LK_REFUSED);
    s = sample_session();
    s.flags = 0x80;
    assert_int_equal(lk_record_write(&s, &out), LK_REFUSED);
    assert_int_equal(out.len, 0);
}

static void session_with_every_text_at_its_bound_fits(void **state)
{
    static uint8_t many[LK_ROLES_MAX];
    uint8_t room[LK_RECORD_MAX];
    lk_session s = sample_session(), back;
    lk_view record;

    (void)state;
    memset(many, 'x', sizeof(many));
    s.user = lk_view_make(many, LK_USER_ID_MAX);
    s.name = lk_view_make(many, LK_USER_NAME_MAX);
    s.realm = lk_view_make(many, LK_REALM_MAX);
    s.roles = lk_view_make(many, LK_ROLES_MAX);
    s.scope = lk_view_make(many, LK_SCOPE_MAX);
    s.device = lk_view_make(many, LK_DEVICE_MAX);
    s.agent = lk_view_make(many, LK_AGENT_MAX);
    s.address = lk_view_make(many, LK_ADDRESS_MAX);
    record = written(&s, room);
    assert_true(lk_record_head_len(record) <= LK_HEAD_MAX);
    assert_int_equal(lk_record_read(record, &back), LK_OK);
    assert_session(&s, &back);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_reads_back_as_the_session_it_was_written_from),
        cmocka_unit_test(record_of_version_1_kept_in_the_samples_is_still_readable),
        cmocka_unit_test(device_class_comes_back_and_is_never_empty_or_too_long),
        cmocka_unit_test(record_cut_after_the_head_reads_without_fields),
        cmocka_unit_test(record_cut_anywhere_else_is_stale),
        cmocka_unit_test(record_of_a_newer_version_or_with_an_unknown_flag_is_stale),
        cmocka_unit_test(record_whose_texts_hold_a_control_character_is_stale),
        cmocka_unit_test(damaged_bytes_are_stale_or_a_session_within_bounds),
        cmocka_unit_test(touch_moves_last_seen_forward_and_never_back),
        cmocka_unit_test(session_over_a_bound_is_not_written_at_all),
        cmocka_unit_test(session_with_a_control_character_or_unsound_fields_is_refused),
        cmocka_unit_test(session_with_every_text_at_its_bound_fits),
    };

    /* `test_record --sample` prints the sample session in the present version, for a new file in samples/. */
    if (argc == 2 && strcmp(argv[1], "--sample") == 0) {
        uint8_t room[LK_RECORD_MAX];
        lk_session s = sample_session();
        lk_view record = written(&s, room);

        for (size_t i = 0; i < record.len; i++)
            printf("%02x%s", record.p[i], i % 32 == 31 || i + 1 == record.len ? "\n" : "");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
