/* SPDX-License-Identifier: Apache-2.0
 *
 * test_name.c - login names, realms and roles: what is one, what two, what none.
 */
#include "fixture.h"

static lk_status normal(const char *name, char out[LK_USER_NAME_MAX + 1], lk_note *note)
{
    lk_buf b = lk_buf_over(out, LK_USER_NAME_MAX + 1);
    lk_status status = lk_name_normalize(lk_view_of(name), &b, note);

    return status == LK_OK && lk_buf_text(&b) == NULL ? LK_FAULT : status;
}

static void assert_one(const char *a, const char *b, bool one)
{
    char name_a[LK_USER_NAME_MAX + 1], name_b[LK_USER_NAME_MAX + 1];
    uint8_t memory_a[LK_NAME_FOLDED_MAX], memory_b[LK_NAME_FOLDED_MAX];
    lk_buf fold_a = lk_buf_over(memory_a, sizeof(memory_a)), fold_b = lk_buf_over(memory_b, sizeof(memory_b));

    assert_int_equal(normal(a, name_a, NULL), LK_OK);
    assert_int_equal(normal(b, name_b, NULL), LK_OK);
    assert_int_equal(lk__name_fold(lk_view_of(name_a), &fold_a), LK_OK);
    assert_int_equal(lk__name_fold(lk_view_of(name_b), &fold_b), LK_OK);
    if (lk_view_equal(lk_buf_view(&fold_a), lk_buf_view(&fold_b)) != one)
        fail_msg("\"%s\" and \"%s\" are %s", a, b, one ? "two" : "one");
}

static void names_that_differ_in_case_or_in_compatible_forms_are_one(void **state)
{
    (void)state;
    assert_one("alice", "Alice", true);
    assert_one("alice", "ALICE", true);
    assert_one("alice", "\xef\xbc\xa1\xef\xbd\x8c\xef\xbd\x89\xef\xbd\x83\xef\xbd\x85",
               true);                                /* full width */
    assert_one("jos\xc3\xa9", "jose\xcc\x81", true); /* composed, decomposed */
    assert_one("stra\xc3\x9f"
               "e",
               "STRASSE", true);                                              /* sharp s */
    assert_one("\xcf\x83\xce\xb1\xcf\x82", "\xce\xa3\xce\x91\xce\xa3", true); /* both sigmas */
    assert_one("\xef\xac\x81sh", "FISH", true);                               /* the fi ligature */
    assert_one("\xe2\x84\xaa"
               "elvin",
               "kelvin", true); /* the kelvin sign */
}

static void names_that_only_look_alike_are_two(void **state)
{
    (void)state;
    assert_one("alice", "\xd0\xb0lice", false); /* Cyrillic a */
    assert_one("jose", "jos\xc3\xa9", false);
    assert_one("alice", "alice2", false);
    assert_one("\xe5\xbc\xa0\xe4\xbc\x9f", "\xe5\xbc\xa0\xe7\xbb\xb4", false);
    assert_one("i", "\xc4\xb1", false); /* dotless i: Turkish rules are a locale's, and there is none here */
}

static void a_name_is_kept_as_typed_but_for_its_compatible_forms(void **state)
{
    char out[LK_USER_NAME_MAX + 1];

    (void)state;
    assert_int_equal(normal("Alice O'Neill", out, NULL), LK_OK);
    assert_string_equal(out, "Alice O'Neill");
    assert_int_equal(normal("\xe5\xbc\xa0\xe4\xbc\x9f", out, NULL), LK_OK);
    assert_string_equal(out, "\xe5\xbc\xa0\xe4\xbc\x9f");
    assert_int_equal(normal("jose\xcc\x81", out, NULL), LK_OK);
    assert_string_equal(out, "jos\xc3\xa9");
    assert_int_equal(normal("a+b@example.org", out, NULL), LK_OK);
}

static void what_can_be_no_name_is_refused_with_its_rule(void **state)
{
    static const struct {
        const char *name, *rule;
    } bad[] = {
        {"", "empty"},
        {" alice", "begins with a blank"},
        {"alice ", "ends with a blank"},
        {"alice\xc2\xa0", "ends with a blank"}, /* no-break space: NFKC makes it a space */
        {"\xe3\x80\x80"
         "alice",
         "begins with a blank"}, /* ideographic space */
        {" ", "blank"},
        {"al\tice", "control"},
        {"al\nice", "control"},
        {"al\x7f"
         "ice",
         "control"},
        {"al\xc2\x85ice", "control"},       /* next line, of C1 */
        {"al\xe2\x80\x8bice", "invisible"}, /* zero width space */
        {"al\xe2\x80\xaeice", "invisible"}, /* right-to-left override */
        {"\xef\xbb\xbf"
         "alice",
         "invisible"},                           /* byte order mark */
        {"al\xc2\xadice", "invisible"},          /* soft hyphen */
        {"al\xe2\x80\xa8ice", "control"},        /* line separator */
        {"al\xee\x80\x80ice", "control"},        /* private use */
        {"al\xf3\xb0\x80\x80ice", "control"},    /* private use, plane 15 */
        {"al\xf0\x9f\xbf\xbfice", "unassigned"}, /* U+1FFFF, never a character */
        {"al\xff"
         "ice",
         "UTF-8"},
        {"al\xc0\xafice", "UTF-8"},     /* '/' in two bytes */
        {"al\xed\xa0\x80ice", "UTF-8"}, /* half a surrogate pair */
        {"al\xc3", "UTF-8"},            /* cut */
    };
    char out[LK_USER_NAME_MAX + 1];
    lk_note note;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        note.text[0] = 0;
        if (normal(bad[i].name, out, &note) != LK_REFUSED || strstr(note.text, bad[i].rule) == NULL)
            fail_msg("\"%s\" (%s): %s", bad[i].name, bad[i].rule, note.text);
    }
}

static void a_nul_in_a_name_is_a_control_character(void **state)
{
    uint8_t memory[LK_USER_NAME_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));

    (void)state;
    assert_int_equal(lk_name_normalize(LK_VIEW("alice\0admin"), &out, NULL), LK_REFUSED);
    assert_int_equal(out.len, 0);
}

static void a_name_is_as_long_as_it_is_after_normalising(void **state)
{
    char name[1024] = "", out[LK_USER_NAME_MAX + 1];

    (void)state;
    memset(name, 'a', LK_USER_NAME_MAX);
    assert_int_equal(normal(name, out, NULL), LK_OK);
    memset(name, 'a', LK_USER_NAME_MAX + 1);
    assert_int_equal(normal(name, out, NULL), LK_REFUSED);
    name[0] = 0;
    for (int i = 0; i < 64; i++) /* 192 bytes, composed 128 */
        strcat(name, "e\xcc\x81");
    assert_int_equal(normal(name, out, NULL), LK_OK);
    assert_int_equal(strlen(out), LK_USER_NAME_MAX);
    name[0] = 0;
    for (int i = 0; i < 40; i++) /* 120 bytes that become 1320 */
        strcat(name, "\xef\xb7\xba");
    assert_int_equal(normal(name, out, NULL), LK_REFUSED);
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    assert_int_equal(normal(name, out, NULL), LK_REFUSED);
}

static void a_name_like_that_of_an_oauth_client_is_refused(void **state)
{
    (void)state;
    static const char *const like[] = {"client:billing", "CLIENT:billing", "client:",
                                       "\xef\xbd\x83lient\xef\xbc\x9a"
                                       "billing"};
    for (size_t i = 0; i < 4; i++) {
        char room[LK_USER_NAME_MAX];
        lk_buf out = lk_buf_over(room, sizeof(room));
        assert_int_equal(lk_name_normalize(lk_view_of(like[i]), &out, NULL), LK_REFUSED);
    }
    char room[LK_USER_NAME_MAX];
    lk_buf out = lk_buf_over(room, sizeof(room));
    assert_int_equal(lk_name_normalize(LK_VIEW("client"), &out, NULL), LK_OK);
}

static void a_name_that_does_not_fit_the_buffer_is_full(void **state)
{
    uint8_t memory[4];
    lk_buf out = lk_buf_over(memory, sizeof(memory));

    (void)state;
    assert_int_equal(lk_name_normalize(LK_VIEW("alice"), &out, NULL), LK_FULL);
}

static void folding_what_is_folded_changes_nothing(void **state)
{
    uint8_t memory_a[LK_NAME_FOLDED_MAX], memory_b[LK_NAME_FOLDED_MAX], bytes[4];

    (void)state;
    for (uint32_t c = 0x80; c < 0x30000; c++) { /* every letter of the planes that have letters */
        lk_buf a = lk_buf_over(memory_a, sizeof(memory_a)), b = lk_buf_over(memory_b, sizeof(memory_b));
        lk_buf name = lk_buf_over(memory_a, sizeof(memory_a));
        size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

        bytes[0] = (uint8_t)(len == 2 ? 0xc0 | c >> 6 : len == 3 ? 0xe0 | c >> 12 : 0xf0 | c >> 18);
        for (size_t i = 1; i < len; i++)
            bytes[i] = (uint8_t)(0x80 | (c >> (6 * (len - 1 - i)) & 0x3f));
        if (lk_name_normalize(lk_view_make(bytes, len), &name, NULL) != LK_OK)
            continue;
        memcpy(memory_b, memory_a, name.len);
        assert_int_equal(lk__name_fold(lk_view_make(memory_b, name.len), &a), LK_OK);
        assert_int_equal(lk__name_fold(lk_buf_view(&a), &b), LK_OK);
        if (!lk_view_equal(lk_buf_view(&a), lk_buf_view(&b)))
            fail_msg("U+%04X folds to one thing, and that to another", c);
    }
}

static void roles_are_words_each_once(void **state)
{
    char memory[LK_ROLES_MAX + 1];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    char many[2 * LK_ROLES_MAX];

    (void)state;
    assert_int_equal(lk__roles_normalize(LK_VIEW("  buyer latchkey-admin  buyer Buyer "), &out, NULL), LK_OK);
    assert_string_equal(lk_buf_text(&out), "buyer latchkey-admin Buyer");
    out = lk_buf_over(memory, sizeof(memory));
    assert_int_equal(lk__roles_normalize(LK_VIEW(""), &out, NULL), LK_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(lk__roles_normalize(LK_VIEW("a,b"), &out, NULL), LK_REFUSED);
    assert_int_equal(lk__roles_normalize(LK_VIEW("a\"b"), &out, NULL), LK_REFUSED);
    assert_int_equal(lk__roles_normalize(LK_VIEW("a\tb"), &out, NULL), LK_REFUSED);
    assert_int_equal(lk__roles_normalize(LK_VIEW("a\r\nX: y"), &out, NULL), LK_REFUSED);
    assert_int_equal(lk__roles_normalize(LK_VIEW("caf\xc3\xa9"), &out, NULL), LK_REFUSED);
    memset(many, 'r', sizeof(many));
    out = lk_buf_over(memory, sizeof(memory));
    assert_int_equal(lk__roles_normalize(lk_view_make(many, LK_ROLES_MAX + 1), &out, NULL), LK_REFUSED);
    out = lk_buf_over(memory, sizeof(memory));
    assert_int_equal(lk__roles_normalize(lk_view_make(many, LK_ROLES_MAX), &out, NULL), LK_OK);
}

static void a_realm_is_a_short_word_without_a_slash(void **state)
{
    (void)state;
    assert_int_equal(lk__realm_check(LK_VIEW(""), NULL), LK_OK);
    assert_int_equal(lk__realm_check(LK_VIEW("shop.example"), NULL), LK_OK);
    assert_int_equal(lk__realm_check(LK_VIEW("a/b"), NULL), LK_REFUSED);
    assert_int_equal(lk__realm_check(LK_VIEW("a b"), NULL), LK_REFUSED);
    assert_int_equal(lk__realm_check(LK_VIEW("a\0b"), NULL), LK_REFUSED);
    assert_int_equal(lk__realm_check(LK_VIEW("123456789012345678901234567890123"), NULL), LK_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_differ_in_case_or_in_compatible_forms_are_one),
        cmocka_unit_test(names_that_only_look_alike_are_two),
        cmocka_unit_test(a_name_is_kept_as_typed_but_for_its_compatible_forms),
        cmocka_unit_test(what_can_be_no_name_is_refused_with_its_rule),
        cmocka_unit_test(a_nul_in_a_name_is_a_control_character),
        cmocka_unit_test(a_name_is_as_long_as_it_is_after_normalising),
        cmocka_unit_test(a_name_like_that_of_an_oauth_client_is_refused),
        cmocka_unit_test(a_name_that_does_not_fit_the_buffer_is_full),
        cmocka_unit_test(folding_what_is_folded_changes_nothing),
        cmocka_unit_test(roles_are_words_each_once),
        cmocka_unit_test(a_realm_is_a_short_word_without_a_slash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
