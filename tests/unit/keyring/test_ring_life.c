/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ring_life.c - the life of a key: pending, active, retiring, gone; burned; sealed; and a ring that sees
 * it.
 */
#include "key_fixture.h"
#include <fcntl.h>
#include <latchkey/keys.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_env.h"

#define PUBLISH_S 60
#define LIFE_S 600
#define START_MS 1800000000000

static char dir[DIR_SIZE];
static lk_key_place place;

/* An hour into 2027, with a fresh directory of all first keys. */
static int set_up(void **state)
{
    lk_keyring *ring = NULL;

    (void)state;
    test_clock_set_ms(START_MS);
    key_dir_make(dir);
    place = (lk_key_place){.dir = dir, .publish_s = PUBLISH_S, .life_s = LIFE_S};
    assert_int_equal(lk_keyring_open_at(test_env(), &place, true, &ring, NULL), LK_OK);
    lk_keyring_free(ring);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    key_dir_remove(dir);
    return 0;
}

static lk_keyring *open_ring(void)
{
    lk_keyring *ring = NULL;
    lk_note note = {0};

    if (lk_keyring_open_at(test_env(), &place, false, &ring, &note) != LK_OK)
        fail_msg("%s", note.text);
    return ring;
}

static const char *signer_of(const lk_keyring *ring, lk_alg alg)
{
    const lk_signer *signer = lk_keyring_signer(ring, alg);

    return signer == NULL ? "" : (const char *)lk_signer_kid(signer).p;
}

static bool checks(const lk_keyring *ring, const char *kid)
{
    return lk_keyring_verifier(ring, lk_view_of(kid)) != NULL;
}

static lk_key_info info_of(const lk_keyring *ring, const char *kid)
{
    lk_key_info info;

    for (size_t i = 0; lk_keyring_info(ring, i, &info) == LK_OK; i++) {
        if (strcmp(info.kid, kid) == 0)
            return info;
    }
    fail_msg("no key %s", kid);
    return info;
}

static lk_key_state state_of(const lk_keyring *ring, const char *kid)
{
    return info_of(ring, kid).state;
}

static void later(int64_t s)
{
    test_clock_advance_ms(s * 1000);
}

/* The clock moves, and what it moves past is taken over. */
static void look(lk_keyring *ring)
{
    lk_note note = {0};
    lk_status status = lk_keyring_refresh(ring, &note);

    if (status != LK_OK && status != LK_MISS)
        fail_msg("%s", note.text);
}

static void path_of(const char *kid, char out[256])
{
    (void)snprintf(out, 256, "%s/%s.jwk", dir, kid);
}

static void read_text(const char *kid, char *out, size_t cap)
{
    char path[256];
    ssize_t n;
    int fd;

    path_of(kid, path);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    n = read(fd, out, cap - 1);
    assert_true(n > 0);
    out[n] = '\0';
    (void)close(fd);
}

static void write_text(const char *kid, const char *text)
{
    char path[256];
    int fd;

    path_of(kid, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

/* --- Rotation --------------------------------------------------------------------------------------------
 */

static void rotated_key_is_shown_then_signs_and_the_old_one_checks_until_all_it_signed_is_over(void **state)
{
    lk_keyring *ring = open_ring();
    char old[LK_KID_MAX + 1], new[LK_KID_MAX + 1], *json = NULL;

    (void)state;
    (void)snprintf(old, sizeof(old), "%s", signer_of(ring, LK_ALG_EDDSA));
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_EDDSA, LK_KEY_PUBLISHED, new, NULL), LK_OK);
    assert_int_equal(lk_keyring_refresh(ring, NULL), LK_OK);
    assert_int_equal(state_of(ring, new), LK_KEY_PENDING);
    assert_int_equal(state_of(ring, old), LK_KEY_ACTIVE);
    assert_int_equal(lk_keyring_jwks(ring, &json), LK_OK);
    assert_non_null(strstr(json, new));
    lk_free(test_env(), json);
    assert_true(checks(ring, new));
    later(PUBLISH_S - 1);
    assert_string_equal(signer_of(ring, LK_ALG_EDDSA), old);
    later(1);
    /* No file changed, and nothing was read again: it is the time that was asked. */
    assert_string_equal(signer_of(ring, LK_ALG_EDDSA), new);
    assert_int_equal(state_of(ring, old), LK_KEY_RETIRING);
    later(LIFE_S + PUBLISH_S - 1);
    look(ring);
    assert_true(checks(ring, old));
    later(1);
    look(ring);
    assert_false(checks(ring, old));
    assert_int_equal(state_of(ring, old), LK_KEY_GONE);
    assert_true(checks(ring, new));
    lk_keyring_free(ring);
}

static void second_rotation_while_one_is_on_its_way_makes_no_other_key(void **state)
{
    char first[LK_KID_MAX + 1], second[LK_KID_MAX + 1];

    (void)state;
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_PUBLISHED, first, NULL), LK_OK);
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_PUBLISHED, second, NULL), LK_STALE);
    assert_string_equal(first, second);
    later(PUBLISH_S);
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_PUBLISHED, second, NULL), LK_OK);
    assert_string_not_equal(first, second);
}

/* Two directories, one copied from the other file by file, at any moment. */
static void node_whose_copy_lacks_a_file_goes_on_signing_with_what_it_has(void **state)
{
    lk_keyring *ring = open_ring();
    char old[LK_KID_MAX + 1], new[LK_KID_MAX + 1], text[4096], path[256];

    (void)state;
    (void)snprintf(old, sizeof(old), "%s", signer_of(ring, LK_ALG_HS256));
    read_text(old, text, sizeof(text));
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_PUBLISHED, new, NULL), LK_OK);
    path_of(new, path);
    assert_int_equal(unlink(path), 0); /* the old file has come, the new one has not */
    later(PUBLISH_S + 1);
    look(ring);
    assert_string_equal(signer_of(ring, LK_ALG_HS256), old);
    write_text(old, text); /* and the other way round: both say that they sign */
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_AT_ONCE, new, NULL), LK_OK);
    write_text(old, text);
    look(ring);
    assert_string_equal(signer_of(ring, LK_ALG_HS256), new);
    assert_true(checks(ring, old));
    lk_keyring_free(ring);
}

static void pending_key_signs_when_it_is_activated_and_not_before(void **state)
{
    lk_keyring *ring = open_ring();
    char old[LK_KID_MAX + 1], new[LK_KID_MAX + 1];
    lk_note note = {0};

    (void)state;
    (void)snprintf(old, sizeof(old), "%s", signer_of(ring, LK_ALG_ES256));
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_ES256, LK_KEY_ON_DEMAND, new, NULL), LK_OK);
    later(1000000);
    look(ring);
    assert_string_equal(signer_of(ring, LK_ALG_ES256), old);
    assert_int_equal(state_of(ring, new), LK_KEY_PENDING);
    assert_int_equal(lk_key_activate(test_env(), &place, lk_view_of(new), NULL), LK_OK);
    look(ring);
    assert_string_equal(signer_of(ring, LK_ALG_ES256), new);
    assert_int_equal(state_of(ring, old), LK_KEY_RETIRING);
    assert_int_equal(lk_key_activate(test_env(), &place, lk_view_of(old), &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "retiring"));
    assert_int_equal(lk_key_activate(test_env(), &place, LK_VIEW("nix"), &note), LK_MISS);
    lk_keyring_free(ring);
}

static void last_signing_key_does_not_retire_and_another_does(void **state)
{
    lk_keyring *ring = open_ring();
    char old[LK_KID_MAX + 1], new[LK_KID_MAX + 1];
    lk_note note = {0};

    (void)state;
    (void)snprintf(old, sizeof(old), "%s", signer_of(ring, LK_ALG_HS256));
    assert_int_equal(lk_key_retire(test_env(), &place, lk_view_of(old), &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "key rotate HS256"));
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_ON_DEMAND, new, NULL), LK_OK);
    assert_int_equal(lk_key_retire(test_env(), &place, lk_view_of(new), NULL), LK_OK);
    look(ring);
    assert_int_equal(state_of(ring, new), LK_KEY_RETIRING);
    assert_string_equal(signer_of(ring, LK_ALG_HS256), old);
    lk_keyring_free(ring);
}

static void count_kid(void *context, const char *kid)
{
    assert_true(strlen(kid) > 0);
    ++*(int *)context;
}

static void files_of_keys_are_pruned_when_they_are_gone_and_never_before(void **state)
{
    char new[LK_KID_MAX + 1], old[LK_KID_MAX + 1], path[256];
    lk_keyring *ring = open_ring();
    int removed = 0;

    (void)state;
    (void)snprintf(old, sizeof(old), "%s", signer_of(ring, LK_ALG_HS256));
    path_of(old, path);
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_AT_ONCE, new, NULL), LK_OK);
    later(LIFE_S + PUBLISH_S - 1);
    assert_int_equal(lk_key_prune(test_env(), &place, count_kid, &removed, NULL), LK_OK);
    assert_int_equal(removed, 0);
    assert_int_equal(access(path, F_OK), 0);
    later(1);
    assert_int_equal(lk_key_prune(test_env(), &place, count_kid, &removed, NULL), LK_OK);
    assert_int_equal(removed, 1);
    assert_int_not_equal(access(path, F_OK), 0);
    lk_keyring_free(ring);
}

static void keys_are_rotated_by_age_once_and_shown_before_they_sign(void **state)
{
    lk_keyring *ring = open_ring();
    const int64_t age_s = 10 * PUBLISH_S;
    int made = 0;

    (void)state;
    later(age_s - PUBLISH_S - 1);
    assert_int_equal(lk_key_rotate_due(ring, &place, age_s, count_kid, &made, NULL), LK_MISS);
    later(1);
    assert_int_equal(lk_key_rotate_due(ring, &place, age_s, count_kid, &made, NULL), LK_OK);
    assert_int_equal(made, 4);
    /* Another process, whose ring has not seen it yet. */
    assert_int_equal(lk_key_rotate_due(ring, &place, age_s, count_kid, &made, NULL), LK_MISS);
    assert_int_equal(made, 4);
    look(ring);
    for (lk_alg alg = LK_ALG_HS256; alg <= LK_ALG_EDDSA; alg++)
        assert_true(info_of(ring, signer_of(ring, alg)).retires_s == lk_now_s(test_env()) + PUBLISH_S);
    later(PUBLISH_S);
    assert_int_equal(lk_key_rotate_due(ring, &place, age_s, count_kid, &made, NULL), LK_MISS);
    for (lk_alg alg = LK_ALG_HS256; alg <= LK_ALG_EDDSA; alg++)
        assert_true(info_of(ring, signer_of(ring, alg)).signs_s == lk_now_s(test_env()));
    lk_keyring_free(ring);
}

/* --- Burning ---------------------------------------------------------------------------------------------
 */

static void burned_key_neither_signs_nor_checks_and_its_file_holds_no_secret(void **state)
{
    lk_keyring *ring = open_ring();
    char old[LK_KID_MAX + 1], replacement[LK_KID_MAX + 1], text[4096];

    (void)state;
    (void)snprintf(old, sizeof(old), "%s", signer_of(ring, LK_ALG_HS256));
    assert_int_equal(lk_key_burn(test_env(), &place, lk_view_of(old), replacement, NULL), LK_OK);
    assert_string_not_equal(replacement, "");
    look(ring);
    assert_false(checks(ring, old));
    assert_int_equal(state_of(ring, old), LK_KEY_BURNED);
    assert_string_equal(signer_of(ring, LK_ALG_HS256), replacement);
    read_text(old, text, sizeof(text));
    assert_null(strstr(text, "\"k\""));
    assert_non_null(strstr(text, "lk_burned"));
    /* Once more does no harm, and makes no other key. */
    assert_int_equal(lk_key_burn(test_env(), &place, lk_view_of(old), replacement, NULL), LK_OK);
    assert_string_equal(replacement, "");
    later(LIFE_S + PUBLISH_S);
    assert_int_equal(lk_key_prune(test_env(), &place, NULL, NULL, NULL), LK_OK);
    look(ring);
    lk_keyring_free(ring);
}

static void pending_key_takes_the_place_of_a_burned_one_for_every_node_knows_it(void **state)
{
    lk_keyring *ring = open_ring();
    char old[LK_KID_MAX + 1], spare[LK_KID_MAX + 1], replacement[LK_KID_MAX + 1];

    (void)state;
    (void)snprintf(old, sizeof(old), "%s", signer_of(ring, LK_ALG_EDDSA));
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_EDDSA, LK_KEY_ON_DEMAND, spare, NULL), LK_OK);
    assert_int_equal(lk_key_burn(test_env(), &place, lk_view_of(old), replacement, NULL), LK_OK);
    assert_string_equal(replacement, spare);
    look(ring);
    assert_string_equal(signer_of(ring, LK_ALG_EDDSA), spare);
    lk_keyring_free(ring);
}

static void root_secret_is_not_burned_retired_or_activated(void **state)
{
    lk_keyring *ring = open_ring();
    char replacement[LK_KID_MAX + 1];
    lk_key_info info;
    lk_note note = {0};

    (void)state;
    for (size_t i = 0; lk_keyring_info(ring, i, &info) == LK_OK && !info.is_root; i++)
        continue;
    assert_int_equal(lk_key_burn(test_env(), &place, lk_view_of(info.kid), replacement, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "root"));
    assert_int_equal(lk_key_retire(test_env(), &place, lk_view_of(info.kid), NULL), LK_REFUSED);
    assert_int_equal(lk_key_activate(test_env(), &place, lk_view_of(info.kid), NULL), LK_REFUSED);
    lk_keyring_free(ring);
}

/* --- A ring that is in use -------------------------------------------------------------------------------
 */

static void what_was_handed_out_stays_good_for_a_minute_and_hmacs_for_ever(void **state)
{
    lk_keyring *ring = open_ring();
    const struct lk_mac *mac = lk_keyring_mac(ring, LK_PURPOSE_CSRF);
    uint8_t memory[LK_SIGNATURE_MAX];
    char kid[LK_KID_MAX + 1];

    (void)state;
    for (int i = 0; i < 20; i++) {
        const lk_signer *signer = lk_keyring_signer(ring, LK_ALG_HS256);
        lk_buf signature = lk_buf_over(memory, sizeof(memory));

        assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_AT_ONCE, kid, NULL), LK_OK);
        look(ring);
        assert_int_equal(lk_sign(signer, LK_VIEW("m"), &signature), LK_OK);
        later(20);
        assert_ptr_equal(lk_keyring_mac(ring, LK_PURPOSE_CSRF), mac);
    }
    lk_keyring_free(ring);
    assert_int_equal(test_alloc_live(), 0);
}

static void changes_without_end_fill_no_memory(void **state)
{
    lk_keyring *ring = open_ring();
    char kid[LK_KID_MAX + 1];
    int live;

    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_AT_ONCE, kid, NULL), LK_OK);
        look(ring);
    }
    live = test_alloc_live();
    for (int i = 0; i < 8; i++) {
        assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_AT_ONCE, kid, NULL), LK_OK);
        look(ring);
    }
    assert_int_equal(test_alloc_live(), live);
    assert_string_not_equal(signer_of(ring, LK_ALG_HS256), kid);
    later(61);
    look(ring);
    assert_string_equal(signer_of(ring, LK_ALG_HS256), kid); /* late, and not lost */
    lk_keyring_free(ring);
}

static void file_written_over_in_place_is_seen(void **state)
{
    lk_keyring *ring = open_ring();
    char kid[LK_KID_MAX + 1], text[4096], *at;

    (void)state;
    (void)snprintf(kid, sizeof(kid), "%s", signer_of(ring, LK_ALG_EDDSA));
    read_text(kid, text, sizeof(text));
    at = strstr(text, ",\"lk_signs\"");
    assert_non_null(at);
    memcpy(at, ",\"lk_xigns\"", 11); /* a member nobody knows: it signs no longer at any time */
    assert_int_equal(lk_keyring_refresh(ring, NULL), LK_MISS);
    write_text(kid, text);
    assert_int_equal(lk_keyring_refresh(ring, NULL), LK_OK);
    assert_string_equal(signer_of(ring, LK_ALG_EDDSA), "");
    lk_keyring_free(ring);
}

static void broken_file_leaves_the_keys_as_they_were_and_is_told_the_second_time(void **state)
{
    lk_keyring *ring = open_ring();
    char kid[LK_KID_MAX + 1], text[4096];
    lk_note note = {0};

    (void)state;
    (void)snprintf(kid, sizeof(kid), "%s", signer_of(ring, LK_ALG_EDDSA));
    read_text(kid, text, sizeof(text));
    write_text(kid, "{\"kty\":\"OKP\"");
    assert_int_equal(lk_keyring_refresh(ring, &note), LK_MISS); /* somebody may be at it */
    assert_int_equal(lk_keyring_refresh(ring, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, kid));
    assert_string_equal(signer_of(ring, LK_ALG_EDDSA), kid);
    assert_int_equal(lk_keyring_refresh(ring, &note), LK_MISS); /* and not again at once */
    write_text(kid, text);
    assert_int_equal(lk_keyring_refresh(ring, &note), LK_OK);
    lk_keyring_free(ring);
}

static void another_root_is_not_taken_over(void **state)
{
    lk_keyring *ring = open_ring();
    lk_key_info info;
    char path[256], text[512];
    lk_note note = {0};

    (void)state;
    for (size_t i = 0; lk_keyring_info(ring, i, &info) == LK_OK && !info.is_root; i++)
        continue;
    path_of(info.kid, path);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(
        text, sizeof(text),
        "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"kid\":\"root-x\","
        "\"lk_use\":\"root\",\"lk_created\":5}");
    write_text("root-x", text);
    assert_int_equal(lk_keyring_refresh(ring, &note), LK_MISS);
    assert_int_equal(lk_keyring_refresh(ring, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "another root"));
    lk_keyring_free(ring);
}

static void directory_that_is_taken_away_leaves_the_keys_as_they_were(void **state)
{
    lk_keyring *ring = open_ring();
    char kid[LK_KID_MAX + 1], aside[DIR_SIZE + 8];

    (void)state;
    (void)snprintf(kid, sizeof(kid), "%s", signer_of(ring, LK_ALG_EDDSA));
    (void)snprintf(aside, sizeof(aside), "%s.away", dir);
    assert_int_equal(rename(dir, aside), 0);
    assert_int_equal(lk_keyring_refresh(ring, NULL), LK_FAULT);
    assert_string_equal(signer_of(ring, LK_ALG_EDDSA), kid);
    assert_int_equal(rename(aside, dir), 0);
    look(ring);
    lk_keyring_free(ring);
}

static void add_up(void *context, const char *kid, uint64_t signed_n, uint64_t verified_n)
{
    uint64_t *sums = context;

    assert_true(strlen(kid) > 0);
    sums[0] += signed_n;
    sums[1] += verified_n;
}

static void uses_are_told_once(void **state)
{
    lk_keyring *ring = open_ring();
    uint64_t sums[2] = {0};

    (void)state;
    lk_keyring_uses(ring, add_up, sums);
    assert_int_equal(sums[0] + sums[1], 0); /* the pair that is proved when it is read is no use */
    lk_keyring_free(ring);
}

/* --- Formats ---------------------------------------------------------------------------------------------
 */

#define HS(kid, rest)                                                                                        \
    "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"kid\":\"" kid                  \
    "\",\"lk_created\":5" rest "}"

static void files_of_the_first_format_read_as_they_did(void **state)
{
    lk_keyring *ring = open_ring();
    char kid[LK_KID_MAX + 1], made[LK_KID_MAX + 1];

    (void)state;
    (void)snprintf(kid, sizeof(kid), "%s", signer_of(ring, LK_ALG_HS256));
    write_text("a1", HS("a1", ",\"lk_state\":\"active\""));
    write_text("r1", HS("r1", ",\"lk_state\":\"retiring\""));
    look(ring);
    assert_string_equal(signer_of(ring, LK_ALG_HS256), kid);
    assert_int_equal(state_of(ring, "a1"), LK_KEY_RETIRING); /* the one of today began later */
    assert_int_equal(state_of(ring, "r1"), LK_KEY_RETIRING);
    assert_true(checks(ring, "a1") && checks(ring, "r1"));
    later(100000000);
    look(ring);
    assert_true(checks(ring, "r1"));
    /* The next rotation gives them an end. */
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_AT_ONCE, made, NULL), LK_OK);
    later(LIFE_S + PUBLISH_S);
    look(ring);
    assert_false(checks(ring, "a1") || checks(ring, "r1") || checks(ring, kid));
    assert_string_equal(signer_of(ring, LK_ALG_HS256), made);
    lk_keyring_free(ring);
}

static void file_of_a_newer_format_or_with_times_out_of_order_is_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {HS("x", ",\"lk_version\":3"), "newer latchkey"},
        {HS("x", ",\"lk_version\":\"2\""), "newer latchkey"},
        {HS("x", ",\"lk_version\":2,\"lk_signs\":9,\"lk_retires\":8"), "order"},
        {HS("x", ",\"lk_version\":2,\"lk_retires\":9,\"lk_gone\":8"), "order"},
        {HS("x", ",\"lk_version\":2,\"lk_signs\":1e300"), "lk_signs"},
        {HS("x", ",\"lk_version\":2,\"lk_gone\":-1"), "lk_gone"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_keyring *ring = NULL;
        lk_note note = {0};

        write_text("x", cases[i].text);
        assert_int_equal(lk_keyring_open_at(test_env(), &place, false, &ring, &note), LK_REFUSED);
        if (strstr(note.text, cases[i].words) == NULL)
            fail_msg("%s lacks %s", note.text, cases[i].words);
    }
    write_text("x", HS("x", ",\"lk_version\":2,\"lk_signs\":8,\"lk_retires\":9,\"lk_gone\":9"));
    lk_keyring_free(open_ring());
}

/* --- Sealed files ----------------------------------------------------------------------------------------
 */

#define SECRET "correct horse battery staple"

static void sealed_directory_opens_with_its_secret_and_no_other(void **state)
{
    lk_keyring *ring = open_ring();
    char kid[LK_KID_MAX + 1], text[8192], made[LK_KID_MAX + 1];
    lk_note note = {0};
    size_t changed = 0;

    (void)state;
    (void)snprintf(kid, sizeof(kid), "%s", signer_of(ring, LK_ALG_HS256));
    lk_keyring_free(ring);
    place.secret = LK_VIEW(SECRET);
    ring = open_ring(); /* files in clear are read with a secret, too */
    assert_int_equal(lk_key_convert(test_env(), &place, true, &changed, NULL), LK_OK);
    assert_int_equal(changed, 5);
    assert_int_equal(lk_keyring_refresh(ring, NULL), LK_OK);
    assert_string_equal(signer_of(ring, LK_ALG_HS256), kid);
    read_text(kid, text, sizeof(text));
    assert_null(strstr(text, "\"k\""));
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_HS256, LK_KEY_AT_ONCE, made, NULL), LK_OK);
    read_text(made, text, sizeof(text));
    assert_non_null(strstr(text, "lk_box"));
    assert_null(strstr(text, "\"k\""));
    look(ring);
    assert_string_equal(signer_of(ring, LK_ALG_HS256), made);
    lk_keyring_free(ring);
    ring = NULL;
    place.secret = LK_VIEW("correct horse battery stable");
    assert_int_equal(lk_keyring_open_at(test_env(), &place, false, &ring, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "does not open it"));
    assert_null(strstr(note.text, "stable"));
    place.secret = (lk_view){0};
    assert_int_equal(lk_keyring_open_at(test_env(), &place, false, &ring, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "secret="));
    place.secret = LK_VIEW("short");
    assert_int_equal(lk_keyring_open_at(test_env(), &place, false, &ring, &note), LK_REFUSED);
    place.secret = LK_VIEW(SECRET);
    assert_int_equal(lk_key_convert(test_env(), &place, false, &changed, NULL), LK_OK);
    assert_int_equal(changed, 6);
    place.secret = (lk_view){0};
    lk_keyring_free(open_ring());
}

static void sealed_file_under_another_name_or_with_a_bit_changed_is_refused(void **state)
{
    lk_keyring *ring = open_ring();
    char kid[LK_KID_MAX + 1], text[8192], *at;
    lk_note note = {0};
    size_t changed = 0;

    (void)state;
    (void)snprintf(kid, sizeof(kid), "%s", signer_of(ring, LK_ALG_HS256));
    lk_keyring_free(ring);
    ring = NULL;
    place.secret = LK_VIEW(SECRET);
    assert_int_equal(lk_key_convert(test_env(), &place, true, &changed, NULL), LK_OK);
    read_text(kid, text, sizeof(text));
    write_text("other", text);
    assert_int_equal(lk_keyring_open_at(test_env(), &place, false, &ring, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "other.jwk"));
    {
        char path[256];

        path_of("other", path);
        assert_int_equal(unlink(path), 0);
    }
    lk_keyring_free(open_ring()); /* the positive control */
    at = strstr(text, "\"lk_box\":\"") + 40;
    *at = *at == 'A' ? 'B' : 'A';
    write_text(kid, text);
    assert_int_equal(lk_keyring_open_at(test_env(), &place, false, &ring, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "was changed"));
}

/* --- From elsewhere --------------------------------------------------------------------------------------
 */

static void private_key_from_elsewhere_becomes_a_pending_key(void **state)
{
    static const char jwk[] =
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\",\"x\":"
        "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"kid\":\"theirs\",\"use\":\"sig\",\"lk_signs\":1}";
    lk_keyring *ring = open_ring();
    char kid[LK_KID_MAX + 1];
    lk_note note = {0};

    (void)state;
    assert_int_equal(lk_key_import(test_env(), &place, lk_view_of(jwk), kid, &note), LK_OK);
    assert_string_equal(kid, "theirs");
    look(ring);
    assert_int_equal(state_of(ring, "theirs"), LK_KEY_PENDING);
    assert_int_equal(lk_key_import(test_env(), &place, lk_view_of(jwk), kid, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "there already"));
    assert_int_equal(lk_key_import(test_env(), &place, lk_view_of(rfc_eddsa), kid, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "public key"));
    assert_int_equal(lk_key_import(test_env(), &place, LK_VIEW("[]"), kid, &note), LK_REFUSED);
    assert_int_equal(
        lk_key_import(test_env(), &place, LK_VIEW("{\"kty\":\"oct\",\"k\":\"AAEC\"}"), kid, &note),
        LK_REFUSED);
    assert_int_equal(lk_key_import(test_env(), &place, lk_view_of("{"), kid, &note), LK_REFUSED);
    lk_keyring_free(ring);
}

/* A machine that starts with a wrong clock, which is then set right. */
static void clock_set_back_to_before_the_first_key_stops_nobody(void **state)
{
    char spare[LK_KID_MAX + 1];
    lk_keyring *ring;

    (void)state;
    assert_int_equal(lk_key_make(test_env(), &place, LK_ALG_EDDSA, LK_KEY_ON_DEMAND, spare, NULL), LK_OK);
    ring = open_ring();
    char first[LK_KID_MAX + 1];
    (void)snprintf(first, sizeof(first), "%s", signer_of(ring, LK_ALG_EDDSA));
    test_clock_set_ms(START_MS - 3600 * 1000);
    assert_string_equal(signer_of(ring, LK_ALG_EDDSA), first);
    assert_string_not_equal(signer_of(ring, LK_ALG_EDDSA), spare);
    assert_true(checks(ring, first));
    lk_keyring_free(ring);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(clock_set_back_to_before_the_first_key_stops_nobody),
        T(rotated_key_is_shown_then_signs_and_the_old_one_checks_until_all_it_signed_is_over),
        T(second_rotation_while_one_is_on_its_way_makes_no_other_key),
        T(node_whose_copy_lacks_a_file_goes_on_signing_with_what_it_has),
        T(pending_key_signs_when_it_is_activated_and_not_before),
        T(last_signing_key_does_not_retire_and_another_does),
        T(files_of_keys_are_pruned_when_they_are_gone_and_never_before),
        T(keys_are_rotated_by_age_once_and_shown_before_they_sign),
        T(burned_key_neither_signs_nor_checks_and_its_file_holds_no_secret),
        T(pending_key_takes_the_place_of_a_burned_one_for_every_node_knows_it),
        T(root_secret_is_not_burned_retired_or_activated),
        T(what_was_handed_out_stays_good_for_a_minute_and_hmacs_for_ever),
        T(changes_without_end_fill_no_memory),
        T(file_written_over_in_place_is_seen),
        T(broken_file_leaves_the_keys_as_they_were_and_is_told_the_second_time),
        T(another_root_is_not_taken_over),
        T(directory_that_is_taken_away_leaves_the_keys_as_they_were),
        T(uses_are_told_once),
        T(files_of_the_first_format_read_as_they_did),
        T(file_of_a_newer_format_or_with_times_out_of_order_is_refused_with_a_sentence),
        T(sealed_directory_opens_with_its_secret_and_no_other),
        T(sealed_file_under_another_name_or_with_a_bit_changed_is_refused),
        T(private_key_from_elsewhere_becomes_a_pending_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
