/* SPDX-License-Identifier: Apache-2.0
 *
 * test_marks.c - fences and cut-offs as bytes: what revokes is never overlooked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/rules.h"
#include <string.h>

static void fence_reads_back_with_its_reason(void **state)
{
    (void)state;
    for (unsigned i = 1; i < LK_REASON_COUNT; i++) {
        uint8_t room[LK_FENCE_MAX];
        lk_buf fence = lk_buf_over(room, sizeof(room));
        lk_reason reason;
        int64_t until_s;

        assert_int_equal(lk__fence_write((lk_reason)i, 1800000000 + (int64_t)i, &fence), LK_OK);
        lk__fence_read(lk_buf_view(&fence), &reason, &until_s);
        assert_int_equal(reason, i);
        assert_int_equal(until_s, 1800000000 + (int64_t)i);
    }
}

static void fence_that_cannot_be_read_is_a_fence_all_the_same(void **state)
{
    static const char *const wrong[] = {"", "short", "12345678", "12345678sacked", "12345678kicked "};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        lk_reason reason = LK_REASON_NONE;
        int64_t until_s;

        lk__fence_read(lk_view_of(wrong[i]), &reason, &until_s);
        assert_int_equal(reason, LK_REASON_REVOKED);
    }
}

static lk_cutoff sample_cutoff(void)
{
    return (lk_cutoff){.level = LK_LEVEL_DEVICE,
                       .reason = LK_REASON_BANNED,
                       .key = "shop/phone-7",
                       .before_ms = 1790000000123,
                       .until_s = 1790043200};
}

static void cutoff_reads_back_at_every_level(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LK_LEVEL_COUNT; i++) {
        uint8_t room[LK_CUTOFF_BYTES_MAX];
        lk_buf bytes = lk_buf_over(room, sizeof(room));
        lk_cutoff c = sample_cutoff(), back;

        c.level = (lk_level)i;
        assert_int_equal(lk__cutoff_write(&c, &bytes), LK_OK);
        assert_int_equal(lk__cutoff_read(lk_buf_view(&bytes), &back), LK_OK);
        assert_int_equal(back.level, i);
        assert_int_equal(back.reason, c.reason);
        assert_string_equal(back.key, c.key);
        assert_int_equal(back.before_ms, c.before_ms);
        assert_int_equal(back.until_s, c.until_s);
    }
}

static void cutoff_of_an_unknown_level_or_version_is_stale_and_not_a_guess(void **state)
{
    uint8_t room[LK_CUTOFF_BYTES_MAX];
    lk_buf bytes = lk_buf_over(room, sizeof(room));
    lk_cutoff c = sample_cutoff(), back;

    (void)state;
    assert_int_equal(lk__cutoff_write(&c, &bytes), LK_OK);
    room[20] ^= 1; /* the level's word */
    assert_int_equal(lk__cutoff_read(lk_buf_view(&bytes), &back), LK_STALE);
    room[20] ^= 1;
    room[26] ^= 1; /* the reason's: what it cuts off is known all the same */
    assert_int_equal(lk__cutoff_read(lk_buf_view(&bytes), &back), LK_OK);
    assert_int_equal(back.reason, LK_REASON_REVOKED);
    assert_string_equal(back.key, c.key);
    room[0] = 2;
    assert_int_equal(lk__cutoff_read(lk_buf_view(&bytes), &back), LK_STALE);
}

static void cutoff_of_another_length_is_stale(void **state)
{
    uint8_t room[LK_CUTOFF_BYTES_MAX];
    lk_buf bytes = lk_buf_over(room, sizeof(room));
    lk_cutoff c = sample_cutoff(), back;

    (void)state;
    memset(c.key, 'k', LK_CUTOFF_KEY_MAX);
    assert_int_equal(lk__cutoff_write(&c, &bytes), LK_OK);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(lk__cutoff_read(lk_view_make(room, len), &back), LK_STALE);
    assert_int_equal(lk__cutoff_read(lk_view_make(room, bytes.len + 1), &back), LK_STALE);
    room[3] = LK_CUTOFF_KEY_MAX + 1;
    assert_int_equal(lk__cutoff_read(lk_view_make(room, bytes.len + 1), &back), LK_STALE);
}

static void cutoff_without_a_level_or_an_end_to_its_key_is_refused(void **state)
{
    uint8_t room[LK_CUTOFF_BYTES_MAX];
    lk_buf bytes = lk_buf_over(room, sizeof(room));
    lk_cutoff c = sample_cutoff();

    (void)state;
    c.level = LK_LEVEL_COUNT;
    assert_int_equal(lk__cutoff_write(&c, &bytes), LK_REFUSED);
    c = sample_cutoff();
    memset(c.key, 'k', sizeof(c.key));
    assert_int_equal(lk__cutoff_write(&c, &bytes), LK_REFUSED);
    assert_int_equal(bytes.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fence_reads_back_with_its_reason),
        cmocka_unit_test(fence_that_cannot_be_read_is_a_fence_all_the_same),
        cmocka_unit_test(cutoff_reads_back_at_every_level),
        cmocka_unit_test(cutoff_of_an_unknown_level_or_version_is_stale_and_not_a_guess),
        cmocka_unit_test(cutoff_of_another_length_is_stale),
        cmocka_unit_test(cutoff_without_a_level_or_an_end_to_its_key_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
