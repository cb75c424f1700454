/* SPDX-License-Identifier: Apache-2.0
 *
 * test_login.c - checking passwords: at one cost for everybody, and no more often than the bounds allow.
 *
 * The linker sends every call of crypto_pwhash through here, to be counted: the real one then does the work.
 */
#include "fixture.h"
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int hashes;
static _Atomic unsigned long long last_passes;
static _Atomic size_t last_memory;

int __real_crypto_pwhash(unsigned char *out, unsigned long long out_len, const char *password,
                         unsigned long long password_len, const unsigned char *salt,
                         unsigned long long passes, size_t memory, int alg);
int __wrap_crypto_pwhash(unsigned char *out, unsigned long long out_len, const char *password,
                         unsigned long long password_len, const unsigned char *salt,
                         unsigned long long passes, size_t memory, int alg);

int __wrap_crypto_pwhash(unsigned char *out, unsigned long long out_len, const char *password,
                         unsigned long long password_len, const unsigned char *salt,
                         unsigned long long passes, size_t memory, int alg)
{
    hashes++;
    last_passes = passes;
    last_memory = memory;
    return __real_crypto_pwhash(out, out_len, password, password_len, salt, passes, memory, alg);
}

static lk_status login(const char *name, lk_view password, const char *address, int64_t *retry_after_s)
{
    lk_user user;

    return lk_accounts_login(fixture, REALM, lk_view_of(name), password, lk_view_of(address), &user,
                             retry_after_s);
}

/* ---- one cost, one answer ---- */

static void assert_one_hash_and_refused(const char *name, lk_view password)
{
    int64_t retry_after_s = -1;
    lk_user user, empty = {0};
    int before = hashes;

    assert_int_equal(
        lk_accounts_login(fixture, REALM, lk_view_of(name), password, HOME, &user, &retry_after_s),
        LK_REFUSED);
    assert_int_equal(hashes - before, 1);
    assert_int_equal(last_passes, fixture_settings.password_passes);
    assert_int_equal(last_memory, (size_t)fixture_settings.password_memory_kib * 1024);
    assert_int_equal(retry_after_s, 0);
    assert_memory_equal(&user, &empty, sizeof(user));
}

static void unknown_wrong_and_disabled_cost_one_hash_and_are_one_answer(void **state)
{
    lk_user bob;

    (void)state;
    fixture_user("alice");
    bob = fixture_user("bob");
    assert_int_equal(lk_accounts_set_state(fixture, lk_view_of(bob.id), LK_USER_DISABLED), LK_OK);
    assert_one_hash_and_refused("alice", WRONG);
    assert_one_hash_and_refused("nobody", WRONG);
    assert_one_hash_and_refused("bob", WRONG);
    assert_one_hash_and_refused("bob", PASSWORD);
    assert_one_hash_and_refused("al\tice", WRONG); /* can be no name */
    assert_one_hash_and_refused("", WRONG);
    assert_one_hash_and_refused("alice", LK_VIEW(""));
    assert_int_equal(login("alice", PASSWORD, "192.0.2.1", &(int64_t){0}), LK_OK);
}

static void what_can_be_no_password_is_refused_alike_for_all_and_without_a_hash(void **state)
{
    static uint8_t longest[LK_PASSWORD_MAX + 1];
    static const char *const names[] = {"alice", "nobody"};
    int before;

    (void)state;
    fixture_user("alice");
    memset(longest, 'p', sizeof(longest));
    before = hashes;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fixture_login(names[i], lk_view_make(longest, sizeof(longest)), "192.0.2.1"),
                         LK_REFUSED);
        assert_int_equal(fixture_login(names[i], LK_VIEW("a\xff"), "192.0.2.1"), LK_REFUSED);
    }
    assert_int_equal(hashes, before);
}

static void a_login_gives_the_user_and_notes_the_time(void **state)
{
    lk_user alice = fixture_user("Alice"), user;
    int64_t retry_after_s;

    (void)state;
    test_clock_advance_ms(60000);
    assert_int_equal(
        lk_accounts_login(fixture, REALM, LK_VIEW("aLICE"), PASSWORD, HOME, &user, &retry_after_s), LK_OK);
    assert_string_equal(user.id, alice.id);
    assert_string_equal(user.name, "Alice");
    assert_int_equal(user.login_s, alice.created_s + 60);
    assert_int_equal(lk_accounts_get(fixture, lk_view_of(alice.id), &user), LK_OK);
    assert_int_equal(user.login_s, alice.created_s + 60);
}

static void an_id_is_no_name_to_log_in_with(void **state)
{
    lk_user alice = fixture_user("alice");

    (void)state;
    assert_int_equal(fixture_login(alice.id, PASSWORD, "192.0.2.1"), LK_REFUSED);
}

/* ---- parameters that rise ---- */

static void a_login_after_the_cost_rose_hashes_anew_once(void **state)
{
    int before;

    (void)state;
    fixture_user("alice");
    fixture_settings.password_memory_kib = 9216;
    fixture_reopen();
    before = hashes;
    assert_int_equal(fixture_login("alice", WRONG, "192.0.2.1"), LK_REFUSED);
    assert_int_equal(hashes - before, 1); /* a guess does not make us work twice */
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
    assert_int_equal(hashes - before, 3);
    assert_int_equal(last_memory, 9216 * 1024);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
    assert_int_equal(hashes - before, 4);
    assert_int_equal(last_memory, 9216 * 1024);
}

static void a_foreign_hash_is_taken_over_at_the_first_login(void **state)
{
    lk_user user;
    int before;

    (void)state;
    fixture_user("alice"); /* below: argon2i with two lanes, of the reference implementation, "password" */
    fixture_sql("UPDATE latchkey_user SET phc = "
                "'$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$T/XOJ2mh1/TIpJHfCdQan76Q5esCFVoT5MAeI"
                "M1Oq2E'");
    assert_int_equal(fixture_login("alice", LK_VIEW("password"), "192.0.2.1"), LK_OK);
    before = hashes;
    assert_int_equal(fixture_login("alice", LK_VIEW("password"), "192.0.2.1"), LK_OK);
    assert_int_equal(hashes - before, 1);
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("alice"), &user), LK_OK);
}

static void a_cost_below_the_floor_does_not_open(void **state)
{
    lk_accounts *a = NULL;
    lk_note note = {""};

    (void)state;
    fixture_settings.password_passes = 4;
    assert_int_equal(lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &a, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "below the floor"));
    assert_null(a);
}

static void a_hash_that_cannot_be_read_is_a_fault_and_no_failure_of_the_user(void **state)
{
    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 2;
    fixture_sql("UPDATE latchkey_user SET phc = '$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA'");
    for (int i = 0; i < 5; i++)
        assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_FAULT);
}

/* ---- throttling ---- */

static void miss(const char *name, const char *address, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(fixture_login(name, WRONG, address), LK_REFUSED);
}

static void assert_throttled(const char *name, lk_view password, const char *address, int64_t seconds)
{
    int64_t retry_after_s = -1;
    int before = hashes;

    assert_int_equal(login(name, password, address, &retry_after_s), LK_FULL);
    assert_int_equal(retry_after_s, seconds);
    assert_int_equal(hashes, before); /* decided before the hash */
}

static void after_the_bound_even_the_right_password_waits_until_the_window_is_over(void **state)
{
    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 3;
    miss("alice", "192.0.2.1", 2);
    test_clock_advance_ms(100 * 1000);
    miss("alice", "192.0.2.1", 1);
    assert_throttled("alice", PASSWORD, "192.0.2.1", 800);
    test_clock_advance_ms(799 * 1000);
    assert_throttled("alice", PASSWORD, "192.0.2.1", 1);
    test_clock_advance_ms(1000);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
}

static void asking_while_throttled_does_not_make_it_longer(void **state)
{
    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 3;
    miss("alice", "192.0.2.1", 3);
    for (int i = 0; i < 20; i++)
        assert_throttled("alice", WRONG, "192.0.2.1", 900);
    test_clock_advance_ms(900 * 1000);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
}

static void a_success_sets_the_count_of_the_account_back(void **state)
{
    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 3;
    for (int i = 0; i < 4; i++) {
        miss("alice", "192.0.2.1", 2);
        assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
    }
}

static void unknown_names_are_throttled_like_known_ones(void **state)
{
    (void)state;
    fixture_settings.throttle_account = 3;
    miss("nobody", "192.0.2.1", 3);
    assert_throttled("nobody", WRONG, "192.0.2.1", 900);
    assert_throttled("NOBODY", WRONG, "192.0.2.1", 900); /* in every spelling */
    miss("nobody2", "192.0.2.1", 1);
}

static void an_attacker_elsewhere_does_not_lock_the_owner_out(void **state)
{
    char address[32];

    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 2; /* and 20 from anywhere */
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
    for (int i = 0; i < 10; i++) {
        snprintf(address, sizeof(address), "198.51.100.%d", i);
        miss("alice", address, 2);
    }
    assert_throttled("alice", WRONG, "198.51.100.99", 900); /* the account's own bound holds for strangers */
    assert_throttled("alice", PASSWORD, "198.51.100.99", 900);
    miss("alice", "192.0.2.1", 1);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK); /* and not at home */
    miss("alice", "192.0.2.1", 2);
    assert_throttled("alice", PASSWORD, "192.0.2.1", 900); /* where the pair is what bounds */
}

static void a_success_at_home_does_not_clear_the_way_for_strangers(void **state)
{
    char address[32];

    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 1; /* and 10 from anywhere */
    for (int i = 0; i < 10; i++) {
        snprintf(address, sizeof(address), "198.51.100.%d", i);
        miss("alice", address, 1);
        if (i == 4)
            assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
    }
    assert_throttled("alice", WRONG, "198.51.100.99", 900);
}

static void one_address_does_not_try_many_accounts(void **state)
{
    char name[32];

    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_address = 5;
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        miss(name, "198.51.100.7", 1);
    }
    assert_throttled("user9", WRONG, "198.51.100.7", 900);
    assert_throttled("alice", PASSWORD, "198.51.100.7", 900);
    assert_int_equal(fixture_login("alice", PASSWORD, "198.51.100.8"), LK_OK);
}

static void a_login_of_ones_own_does_not_clear_the_count_of_the_address(void **state)
{
    char name[32];

    (void)state;
    fixture_user("mallory");
    fixture_settings.throttle_address = 4;
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        assert_int_equal(fixture_login("mallory", PASSWORD, "198.51.100.7"), LK_OK);
        miss(name, "198.51.100.7", 1);
    }
    assert_throttled("user9", WRONG, "198.51.100.7", 900);
}

static void a_neighbour_behind_one_address_does_not_lock_out_who_is_known_there(void **state)
{
    char name[32];

    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_address = 3; /* and 30 where the account is known */
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        miss(name, "192.0.2.1", 1);
    }
    assert_throttled("user9", WRONG, "192.0.2.1", 900);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
}

static void an_ipv6_customer_is_one_address_and_mapped_ipv4_is_ipv4(void **state)
{
    (void)state;
    fixture_settings.throttle_account = 2;
    miss("alice", "2001:db8:1:2::1", 1);
    miss("alice", "2001:db8:1:2:ffff:ffff:ffff:ffff", 1);
    assert_throttled("alice", WRONG, "2001:0db8:0001:0002:0:0:0:9", 900);
    miss("alice", "2001:db8:1:3::1", 1);
    miss("bob", "192.0.2.9", 1);
    miss("bob", "::ffff:192.0.2.9", 1);
    assert_throttled("bob", WRONG, "192.0.2.9", 900);
    miss("bob", "", 2);
    assert_throttled("bob", WRONG, "", 900);
    miss("bob", "unix:", 2);
}

static void counts_survive_a_restart_and_are_shared_by_processes(void **state)
{
    int status = 0;
    pid_t pid;

    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 4;
    miss("alice", "192.0.2.1", 1);
    fixture_reopen();
    miss("alice", "192.0.2.1", 1);
    lk_accounts_close(fixture);
    pid = fork();
    if (pid == 0) {
        lk_accounts *a = NULL;
        bool ok = lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &a, NULL) == LK_OK;

        fixture = a;
        ok = ok && fixture_login("alice", WRONG, "192.0.2.1") == LK_REFUSED;
        ok = ok && fixture_login("alice", WRONG, "192.0.2.1") == LK_REFUSED;
        lk_accounts_close(a);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fixture = fixture_open();
    assert_throttled("alice", PASSWORD, "192.0.2.1", 900);
}

static void a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_window(void **state)
{
    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 2;
    test_clock_advance_ms(365LL * 86400 * 1000);
    miss("alice", "192.0.2.1", 2);
    test_clock_advance_ms(-365LL * 86400 * 1000);
    assert_throttled("alice", PASSWORD, "192.0.2.1", 900); /* and not a year */
    miss("bob", "192.0.2.1", 1);                           /* writes the cut window down for the address */
    test_clock_advance_ms(900 * 1000);
    miss("bob", "192.0.2.1", 1);
}

static void the_table_names_nobody_and_empties_itself(void **state)
{
    char command[512], name[32];

    (void)state;
    fixture_user("alice");
    fixture_settings.throttle_account = 2;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "visitor-%d", i);
        miss(name, "198.51.100.77", 1);
    }
    assert_int_equal(fixture_login("alice", PASSWORD, "198.51.100.77"), LK_OK);
    if (fixture_is_sqlite()) { /* it is one file, which can be searched */
        snprintf(command, sizeof(command), "cat '%s'* | grep -aq -e visitor -e 198.51", fixture_path);
        assert_int_not_equal(system(command), 0);
        snprintf(command, sizeof(command), "cat '%s'* | grep -aq -e alice", fixture_path);
        assert_int_equal(system(command), 0); /* the control: grep does find what is there */
    }
    test_clock_advance_ms(900 * 1000);
    for (int i = 0; i < 2; i++)
        miss("late", "203.0.113.1", 1);
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_throttle"), 3);
}

static void an_account_is_known_at_its_last_sixteen_addresses_for_ninety_days(void **state)
{
    char address[32];

    (void)state;
    fixture_user("alice");
    for (int i = 0; i < 20; i++) {
        snprintf(address, sizeof(address), "192.0.2.%d", i);
        assert_int_equal(fixture_login("alice", PASSWORD, address), LK_OK);
        test_clock_advance_ms(1000);
    }
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_known_address"), 16);
    test_clock_advance_ms(90LL * 86400 * 1000);
    fixture_settings.throttle_account = 1; /* and 10 from anywhere */
    for (int i = 0; i < 10; i++) {
        snprintf(address, sizeof(address), "198.51.100.%d", i);
        miss("alice", address, 1);
    }
    assert_throttled("alice", PASSWORD, "192.0.2.19", 900);
}

/* ---- at the same moment ---- */

typedef struct guess {
    lk_accounts *accounts;
    const char *name;
    lk_view password;
    lk_status status;
} guess;

static void *guess_once(void *p)
{
    guess *g = p;
    int64_t retry_after_s;
    lk_user user;

    g->status =
        lk_accounts_login(g->accounts, REALM, lk_view_of(g->name), g->password, HOME, &user, &retry_after_s);
    return NULL;
}

static int run_at_once(guess *guesses, int n, lk_status counted)
{
    pthread_t threads[64];
    int count = 0;

    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, guess_once, &guesses[i]), 0);
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        count += guesses[i].status == counted;
    }
    return count;
}

static void fifty_wrong_logins_at_once_do_not_pass_the_bound(void **state)
{
    lk_accounts *second;
    guess guesses[50];
    int before;

    (void)state;
    fixture_user("alice");
    second = fixture_open(); /* as another process would */
    before = hashes;
    for (int i = 0; i < 50; i++)
        guesses[i] = (guess){i % 2 == 0 ? fixture : second, "alice", WRONG, LK_OK};
    assert_int_equal(run_at_once(guesses, 50, LK_REFUSED), 10);
    assert_int_equal(hashes - before, 10);
    for (int i = 0; i < 50; i++)
        assert_true(guesses[i].status == LK_REFUSED || guesses[i].status == LK_FULL);
    lk_accounts_close(second);
}

static void fifty_logins_at_once_to_fifty_accounts_do_not_pass_the_bound_of_the_address(void **state)
{
    char names[50][16];
    guess guesses[50];

    (void)state;
    fixture_settings.throttle_address = 12;
    for (int i = 0; i < 50; i++) {
        snprintf(names[i], sizeof(names[i]), "user%d", i);
        guesses[i] = (guess){fixture, names[i], WRONG, LK_OK};
    }
    assert_int_equal(run_at_once(guesses, 50, LK_REFUSED), 12);
}

static void many_right_logins_at_once_are_all_let_in(void **state)
{
    guess guesses[24];

    (void)state;
    fixture_user("alice");
    for (int i = 0; i < 24; i++)
        guesses[i] = (guess){fixture, "alice", PASSWORD, LK_FAULT};
    assert_int_equal(run_at_once(guesses, 24, LK_OK), 24);
    miss("alice", "192.0.2.1", 10); /* and nothing is left on the count */
    assert_throttled("alice", PASSWORD, "192.0.2.1", 900);
}

typedef struct race {
    lk_user user;
    bool done;
} race;

static void *change_password(void *p)
{
    race *r = p;

    r->done = lk_accounts_set_password(fixture, lk_view_of(r->user.id), LK_VIEW("thimbles and gravel"),
                                       NULL) == LK_OK;
    return NULL;
}

static void a_password_that_was_changed_during_the_check_is_refused(void **state)
{
    race r = {.user = fixture_user("alice")};
    pthread_t changer;

    (void)state;
    assert_int_equal(pthread_create(&changer, NULL, change_password, &r), 0);
    while (fixture_login("alice", PASSWORD, "192.0.2.1") == LK_OK)
        ;
    pthread_join(changer, NULL); /* once refused, the old one is refused for good, and the new one stands */
    assert_true(r.done);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_REFUSED);
    assert_int_equal(fixture_login("alice", LK_VIEW("thimbles and gravel"), "192.0.2.1"), LK_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unknown_wrong_and_disabled_cost_one_hash_and_are_one_answer),
        TEST(what_can_be_no_password_is_refused_alike_for_all_and_without_a_hash),
        TEST(a_login_gives_the_user_and_notes_the_time),
        TEST(an_id_is_no_name_to_log_in_with),
        TEST(a_login_after_the_cost_rose_hashes_anew_once),
        TEST(a_foreign_hash_is_taken_over_at_the_first_login),
        TEST(a_cost_below_the_floor_does_not_open),
        TEST(a_hash_that_cannot_be_read_is_a_fault_and_no_failure_of_the_user),
        TEST(after_the_bound_even_the_right_password_waits_until_the_window_is_over),
        TEST(asking_while_throttled_does_not_make_it_longer),
        TEST(a_success_sets_the_count_of_the_account_back),
        TEST(unknown_names_are_throttled_like_known_ones),
        TEST(an_attacker_elsewhere_does_not_lock_the_owner_out),
        TEST(a_success_at_home_does_not_clear_the_way_for_strangers),
        TEST(one_address_does_not_try_many_accounts),
        TEST(a_login_of_ones_own_does_not_clear_the_count_of_the_address),
        TEST(a_neighbour_behind_one_address_does_not_lock_out_who_is_known_there),
        TEST(an_ipv6_customer_is_one_address_and_mapped_ipv4_is_ipv4),
        TEST(counts_survive_a_restart_and_are_shared_by_processes),
        TEST(a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_window),
        TEST(the_table_names_nobody_and_empties_itself),
        TEST(an_account_is_known_at_its_last_sixteen_addresses_for_ninety_days),
        TEST(fifty_wrong_logins_at_once_do_not_pass_the_bound),
        TEST(fifty_logins_at_once_to_fifty_accounts_do_not_pass_the_bound_of_the_address),
        TEST(many_right_logins_at_once_are_all_let_in),
        TEST(a_password_that_was_changed_during_the_check_is_refused),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
