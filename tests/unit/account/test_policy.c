/* SPDX-License-Identifier: Apache-2.0
 *
 * test_policy.c - which passwords are refused and, as important, which are not.
 */
#include "fixture.h"
#include <pthread.h>
#include <unistd.h>

static lk_status policy(const char *name, const char *password, lk_note *note)
{
    return lk_password_policy(fixture, lk_view_of(name), lk_view_of(password), note);
}

static void assert_refused(const char *name, const char *password, const char *rule)
{
    lk_note note = {""};

    if (policy(name, password, &note) != LK_REFUSED || strstr(note.text, rule) == NULL)
        fail_msg("\"%s\" (%s): %s", password, rule, note.text);
    if (strcmp(password, "password") != 0 && strstr(note.text, password) != NULL)
        fail_msg("the note gives the password away: %s", note.text);
}

static void assert_accepted(const char *name, const char *password)
{
    lk_note note = {""};

    if (policy(name, password, &note) != LK_OK)
        fail_msg("\"%s\": %s", password, note.text);
}

static void length_is_counted_in_characters_and_not_in_bytes(void **state)
{
    (void)state;
    assert_refused("bob", "xkqzvwj", "at least 8 characters");
    assert_accepted("bob", "xkqzvwjm");
    assert_refused("bob", "\xe5\xaf\x86\xe7\xa0\x81\xe5\xbe\x88\xe9\x95\xbf", "at least 8"); /* 4, 12 bytes */
    assert_accepted("bob",
                    "\xe5\xaf\x86\xe7\xa0\x81\xe5\xbe\x88\xe9\x95\xbf\xe8\xae\xb0\xe5\xbe\x97\xe4\xbd\x8f"
                    "\xe5\x91\xa2"); /* 8 */
    fixture_settings.password_min = 15;
    assert_refused("bob", "xkqzvwjmxkqzvw", "at least 15 characters");
    assert_accepted("bob", "xkqzvwjmyrtbnlp");
}

static void there_are_no_composition_rules(void **state)
{
    (void)state;
    assert_accepted("bob", "gravelfeltpoop"); /* lower case only */
    assert_accepted("bob", "GRAVELFELTPOOP");
    assert_accepted("bob", "8402915763");                   /* digits only */
    assert_accepted("bob", "correct horse battery staple"); /* blanks */
    assert_accepted("bob", "the quick brown fox jumps over the lazy dog and runs");
    assert_accepted("bob", "stuvwx long pass opqrst hijk"); /* libcrack: too systematic */
    assert_accepted("bob", "sassy bass asks");              /* few different characters */
    assert_accepted("bob", "zk402915q");                    /* libcrack: a National Insurance number */
    assert_accepted("bob", "\xf0\x9f\x90\xb4\xf0\x9f\x94\x8b\xf0\x9f\x93\x8e\xf0\x9f\x8c\xb5\xf0\x9f\x8e\xbb"
                           "\xf0\x9f\x9a\xb2\xf0\x9f\x8d\x8b\xf0\x9f\xaa\x90"); /* eight pictures */
}

static void the_passwords_that_are_tried_first_are_refused(void **state)
{
    /* From the top of published lists of leaked passwords, those of eight characters and more. */
    static const char *const top[] = {
        "12345678",   "password",   "123456789", "1234567890", "password1", "iloveyou",   "sunshine",
        "princess",   "qwertyuiop", "1q2w3e4r",  "football",   "baseball",  "11111111",   "1234qwer",
        "qwerty123",  "1qaz2wsx",   "asdfghjkl", "superman",   "starwars",  "trustno1",   "computer",
        "jennifer",   "michelle",   "corvette",  "88888888",   "987654321", "87654321",   "abcd1234",
        "letmein1",   "1q2w3e4r5t", "123123123", "zaq12wsx",   "passw0rd",  "P@ssw0rd1",  "Password1!",
        "qazwsxedc",  "iloveyou1",  "welcome1",  "monkey12",   "dragon123", "changeme",   "administrator",
        "asdfasdf",   "qwerqwer",   "aaaaaaaa",  "abcdefgh",   "00000000",  "1111111111", "123456789a",
        "a123456789", "qwer1234",   "asdf1234",  "zxcvbnm1",   "1234abcd",  "drowssap1",  "p4$$w0rd!",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(top) / sizeof(top[0]); i++)
        assert_refused("bob", top[i], "The password");
}

static void a_text_repeated_counts_once(void **state)
{
    (void)state;
    assert_refused("bob", "feltfeltfeltfelt", "repeats");
    assert_refused("bob", "xkqzvxkqzvxkqzv", "repeats");
    assert_refused("bob", "xkqzvxkqzvxk", "repeats"); /* and a part of it at the end */
    assert_accepted("bob", "xkqzvwjmxkqzvwjm");       /* long enough by itself */
    assert_accepted("bob", "xkqzv and xkqzv");
    assert_refused("bob",
                   "\xe5\xaf\x86\xe7\xa0\x81\xe5\xaf\x86\xe7\xa0\x81\xe5\xaf\x86\xe7\xa0\x81\xe5\xaf\x86"
                   "\xe7\xa0\x81",
                   "repeats");
}

static void sequences_of_letters_and_of_keys_are_refused(void **state)
{
    (void)state;
    assert_refused("bob", "mnopqrstuv", "sequence");
    assert_refused("bob", "vutsrqponm", "sequence");
    assert_refused("bob", "MNOPqrstUV", "sequence");
    assert_refused("bob", "edcrfvtgbyhn", "sequence"); /* columns of the keyboard */
    assert_refused("bob", "poiuytlkjhg", "sequence");
    assert_refused("bob", "1qaz2wsx3edc4rfv", "sequence");
    assert_refused("bob", "777888999", "sequence");
    assert_accepted("bob", "mnopqrst is in here too");
    assert_accepted("bob", "property tax error"); /* neighbours happen in words */
}

static void the_name_the_realm_and_latchkey_do_not_count(void **state)
{
    (void)state;
    assert_refused("annabelle7", "annabelle7annabelle7", "beside your name");
    assert_refused("annabelle", "xqannabelle42", "beside your name");
    assert_refused("annabelle", "ANNABELLE-2024", "beside your name");
    assert_refused("anna.zeppelin@example.org", "zeppelin-4711", "beside your name");
    assert_refused("bob", "latchkey-4711", "beside your name");
    assert_refused("bob", "shop-4711", "beside your name"); /* the realm is "shop" */
    assert_accepted("annabelle", "annabelle likes gravel");
    assert_accepted("bob", "thimble-latchkey-gravel");
    assert_accepted("al", "always thimble"); /* names under three letters are everywhere */
    assert_refused("\xe5\xbc\xa0\xe4\xbc\x9f\xe4\xb8\xbd", "\xe5\xbc\xa0\xe4\xbc\x9f\xe4\xb8\xbd-7301-x",
                   "beside your name");
}

static void words_of_the_dictionary_are_refused_in_their_disguises(void **state)
{
    (void)state;
    assert_refused("bob", "encyclopedia", "dictionary");
    assert_refused("bob", "Encyclopedia", "dictionary");
    assert_refused("bob", "aidepolcycne", "dictionary");
    assert_refused("bob", "encyclopedia!!", "dictionary");
    assert_refused("bob", "99encyclopedia99", "dictionary");
    assert_refused("bob", "3ncycl0p3d1a", "dictionary");
    assert_refused("bob", "mississippi", "dictionary"); /* libcrack stops at its four different letters */
    assert_accepted("bob", "encyclopedia of gravel");
    assert_accepted("bob", "8472619503-cat-883716"); /* the word is not what carries it */
}

static void one_english_word_in_a_chinese_password_is_not_the_whole_of_it(void **state)
{
    (void)state;
    assert_accepted("bob", "\xe6\x88\x91\xe7\x9a\x84\xe7\x8c\xab\xe5\x8f\xab\xe5\x81\x9a"
                           "computer\xe5\xbe\x88\xe5\x8f\xaf\xe7\x88\xb1");
}

static void a_nul_does_not_hide_the_rest_from_the_dictionary(void **state)
{
    lk_note note = {""};

    (void)state;
    assert_int_equal(lk_password_policy(fixture, LK_VIEW("bob"), LK_VIEW("\0encyclopedia"), &note),
                     LK_REFUSED);
    assert_non_null(strstr(note.text, "dictionary"));
    assert_int_equal(lk_password_policy(fixture, LK_VIEW("bob"), LK_VIEW("ab\0gravelfelt"), NULL), LK_OK);
}

static void a_password_of_1024_bytes_is_accepted_and_one_more_is_refused(void **state)
{
    static char longest[LK_PASSWORD_MAX + 2];

    (void)state;
    for (int i = 0; i < LK_PASSWORD_MAX; i++)
        longest[i] = (char)('a' + (i * i + i / 7) % 26);
    assert_accepted("bob", longest);
    longest[LK_PASSWORD_MAX] = 'q';
    assert_refused("bob", longest, "longer than 1024 bytes");
}

static void a_password_is_normalised_the_same_way_each_time(void **state)
{
    uint8_t memory_a[LK_PASSWORD_MAX], memory_b[LK_PASSWORD_MAX];
    lk_buf a = lk_buf_over(memory_a, sizeof(memory_a)), b = lk_buf_over(memory_b, sizeof(memory_b));

    (void)state;
    assert_int_equal(lk_password_normalize(LK_VIEW("e\xcc\x81\xef\xbc\xa1\0x"), &a, NULL), LK_OK);
    assert_int_equal(lk_password_normalize(LK_VIEW("\xc3\xa9"
                                                   "A\0x"),
                                           &b, NULL),
                     LK_OK);
    assert_true(lk_view_equal(lk_buf_view(&a), lk_buf_view(&b)));
    assert_int_equal(a.len, 5);
}

static void a_password_that_is_not_utf8_or_grows_too_long_is_refused(void **state)
{
    static uint8_t memory[LK_PASSWORD_MAX + 1];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    char grows[361] = "";
    lk_note note = {""};

    (void)state;
    assert_int_equal(lk_password_normalize(LK_VIEW("abc\xff"
                                                   "defgh"),
                                           &out, &note),
                     LK_REFUSED);
    assert_non_null(strstr(note.text, "UTF-8"));
    for (int i = 0; i < 120; i++) /* 360 bytes that become 3960 */
        strcat(grows, "\xef\xb7\xba");
    assert_int_equal(lk_password_normalize(lk_view_of(grows), &out, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "1024"));
    assert_int_equal(out.len, 0);
}

static void without_the_dictionary_no_password_is_accepted(void **state)
{
    lk_note note = {""};

    (void)state;
    fixture->dictionary = "/nonexistent/cracklib_dict";
    assert_int_equal(policy("bob", "gravel and thimbles", &note), LK_FAULT);
    assert_non_null(strstr(note.text, "cracklib-runtime"));
    fixture->dictionary = LK_DICTIONARY;
    assert_accepted("bob", "gravel and thimbles");
}

static void a_dictionary_that_was_cut_short_is_no_dictionary(void **state)
{
    char command[1024], cut[256];
    lk_note note = {""};

    (void)state;
    snprintf(cut, sizeof(cut), "%s.dict", fixture_path);
    snprintf(command, sizeof(command),
             "for s in pwi hwm; do cp %s.$s '%s'.$s; done; head -c 900 %s.pwd > '%s.pwd'", LK_DICTIONARY, cut,
             LK_DICTIONARY, cut);
    assert_int_equal(system(command), 0);
    fixture->dictionary = cut;
    assert_int_equal(policy("bob", "gravel and thimbles", &note), LK_FAULT);
    assert_non_null(strstr(note.text, "cracklib-runtime"));
    assert_int_equal(truncate(strcat(cut, ".pwi"), 0), 0);
    cut[strlen(cut) - 4] = 0;
    assert_int_equal(policy("bob", "gravel and thimbles", &note), LK_FAULT);
}

static void *check_often(void *p)
{
    intptr_t right = 0;

    (void)p;
    for (int i = 0; i < 50; i++) {
        right += policy("bob", "encyclopedia", NULL) == LK_REFUSED;
        right += policy("bob", "gravel and thimbles", NULL) == LK_OK;
    }
    return (void *)right;
}

static void threads_do_not_take_each_others_answers(void **state)
{
    pthread_t threads[4];
    void *right = NULL;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_often, NULL), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &right);
        assert_int_equal((intptr_t)right, 100);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(length_is_counted_in_characters_and_not_in_bytes),
        TEST(there_are_no_composition_rules),
        TEST(the_passwords_that_are_tried_first_are_refused),
        TEST(a_text_repeated_counts_once),
        TEST(sequences_of_letters_and_of_keys_are_refused),
        TEST(the_name_the_realm_and_latchkey_do_not_count),
        TEST(words_of_the_dictionary_are_refused_in_their_disguises),
        TEST(one_english_word_in_a_chinese_password_is_not_the_whole_of_it),
        TEST(a_nul_does_not_hide_the_rest_from_the_dictionary),
        TEST(a_password_of_1024_bytes_is_accepted_and_one_more_is_refused),
        TEST(a_password_is_normalised_the_same_way_each_time),
        TEST(a_password_that_is_not_utf8_or_grows_too_long_is_refused),
        TEST(without_the_dictionary_no_password_is_accepted),
        TEST(a_dictionary_that_was_cut_short_is_no_dictionary),
        TEST(threads_do_not_take_each_others_answers),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
