/* SPDX-License-Identifier: Apache-2.0
 *
 * duties.c - everything that a gateway and an operator ask of a store, each once, as whoever the URL names.
 *
 *   duties URL           prints "done", and on the way what the store says of itself
 *   duties setup URL     makes the tables
 *
 * privileges.py runs it as a user who has the rights that the pages in docs/stores tell to grant.
 */
#include <latchkey/store.h>
#include <stdio.h>
#include <string.h>

#define NOW_S lk_now_s(lk_env_system()) /* what is over, Redis removes by itself */

#define MUST(what)                                                                                           \
    do {                                                                                                     \
        lk_status got = (what);                                                                              \
        if (got != LK_OK) {                                                                                  \
            printf("%s answered %d\n", #what, (int)got);                                                     \
            return 1;                                                                                        \
        }                                                                                                    \
    } while (0)

static lk_session session_of(unsigned n)
{
    lk_session s = {.generation = 1,
                    .revision = 1,
                    .created_s = NOW_S,
                    .issued_s = NOW_S,
                    .auth_s = NOW_S,
                    .seen_s = NOW_S,
                    .idle_s = 1800,
                    .expires_s = INT64_C(4000000000),
                    .user = LK_VIEW("u1"),
                    .realm = LK_VIEW("shop")};

    memset(s.key.bytes, (int)n + 1, sizeof(s.key.bytes));
    return s;
}

static void say(void *context, const lk_finding *f)
{
    static const char *const levels[] = {"fact", "warning", "problem"};

    (void)context;
    printf("%s %s=%s%s%s\n", levels[f->level], f->name, f->value, f->advice[0] != '\0' ? " " : "", f->advice);
}

static bool pass_over(void *context, const lk_session *s)
{
    (void)s;
    ++*(unsigned *)context;
    return true;
}

static int write_all(lk_store *store)
{
    lk_session s[4] = {session_of(0), session_of(1), session_of(2), session_of(3)};
    lk_limit limit = {.max = 2, .fence_s = INT64_C(4000000000)};
    lk_op op = {.kind = LK_OP_ADD, .name = LK_VIEW("n"), .number = 1};
    lk_cutoff c = {.level = LK_LEVEL_ALL, .reason = LK_REASON_REVOKED, .before_ms = 1, .until_s = NOW_S};
    lk_touch touches[6];

    for (unsigned i = 0; i < 3; i++)
        MUST(lk_store_create(store, &s[i], limit, NULL));
    MUST(lk_store_change(store, &s[1].key, 1, 0, &op, 1, NULL, NULL));
    MUST(lk_store_replace(store, &s[1].key, 1, &s[3], INT64_C(3000000000), limit.fence_s, limit));
    for (unsigned i = 0; i < 6; i++)
        touches[i] = (lk_touch){.key = session_of(i).key, .seen_s = NOW_S + 60};
    MUST(lk_store_touch_many(store, touches, 6));
    MUST(lk_store_destroy(store, &s[2].key, LK_REASON_KICKED, limit.fence_s));
    MUST(lk_store_cutoff_append(store, &c));
    return 0;
}

static int read_all(lk_store *store)
{
    static uint8_t buf[LK_RECORD_MAX];
    lk_load load = {.key = session_of(3).key, .buf = buf, .cap = sizeof(buf)};
    lk_store_count count;
    lk_event events[16];
    size_t n = 16;
    uint64_t cursor = 0, seq;
    int64_t now_ms;
    unsigned found = 0;

    MUST(lk_store_load_many(store, &load, 1));
    MUST(load.status);
    MUST(lk_store_list_by_user(store, LK_VIEW("shop"), LK_VIEW("u1"), &cursor, 10, pass_over, &found));
    MUST(found == 1 ? LK_OK : LK_MISS);
    MUST(lk_store_list(store, &cursor, 10, pass_over, &found));
    MUST(lk_store_counts(store, &count));
    MUST(lk_store_event_seq(store, &seq));
    MUST(lk_store_events_since(store, seq, events, &n));
    MUST(lk_store_events_wait(store, seq, 30));
    MUST(lk_store_time_ms(store, &now_ms));
    MUST(lk_store_ready(store, NULL));
    MUST(lk_store_inspect(store, say, NULL));
    return 0;
}

int main(int argc, char **argv)
{
    const char *url = argv[argc - 1];
    lk_store *store = NULL;
    lk_note note = {.text = ""};
    int code;

    if (argc == 3 && strcmp(argv[1], "setup") == 0) {
        MUST(lk_store_setup(lk_env_system(), url, false, &note));
        printf("done\n");
        return 0;
    }
    if (argc != 2 || lk_store_open(lk_env_system(), url, NULL, &store, &note) != LK_OK) {
        printf("%s\n", argc == 2 ? note.text : "usage: duties [setup] URL");
        return 1;
    }
    code = write_all(store);
    if (code == 0)
        code = read_all(store);
    if (code == 0 && lk_store_sweep(store, INT64_C(4000000001), 1000, 1000, NULL) != LK_OK)
        code = 1;
    lk_store_close(store);
    printf(code == 0 ? "done\n" : "not done\n");
    return code;
}
