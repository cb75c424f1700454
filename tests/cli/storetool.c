/* SPDX-License-Identifier: Apache-2.0
 *
 * storetool.c - fills and shows stores for the tests of `latchkey store`; a user of liblatchkey like any
 * other.
 *
 *   storetool fill URL N FIRST used|new|old  N sessions of every kind, and a cut-off for every tenth
 *   storetool dump URL               every session and cut-off as a line, record in hexadecimal; unsorted
 *   storetool end URL PUBLIC_ID [S]  end a session; the store may forget that after S seconds (3600)
 *   storetool set URL PUBLIC_ID N V  set field N of a session to the JSON text V
 *   storetool touch URL PUBLIC_ID S  last seen S seconds later than it was
 */
#include <latchkey/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const lk_env *env;
static lk_store *store;
static int64_t age_s;

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "storetool: %s\n", what);
        exit(1);
    }
}

static void print_record(char kind, const lk_session *s)
{
    static uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof room);
    char public_id[LK_PUBLIC_ID_LEN + 1];
    lk_public_id_write(&s->key, public_id);
    must(lk_record_write(s, &record) == LK_OK, "a record cannot be written");
    printf("%c %s %llu %lld ", kind, public_id, (unsigned long long)s->revision, (long long)s->seen_s);
    for (size_t i = 0; i < record.len; i++) {
        printf("%02x", record.p[i]);
    }
    putchar('\n');
}

/* ---- dump ---- */

static lk_load load_one(const lk_session_key *key)
{
    static uint8_t room[LK_RECORD_MAX];
    lk_load load = {.key = *key, .buf = room, .cap = sizeof room};
    must(lk_store_load_many(store, &load, 1) == LK_OK, "a session cannot be loaded");
    return load;
}

static bool dump_one(void *context, const lk_session *head)
{
    (void)context;
    lk_session_key previous = head->previous;
    lk_load load = load_one(&head->key);
    must(load.status == LK_OK, "a listed session is not there");
    print_record('s', &load.session);
    load = load_one(&previous);
    if (load.status == LK_OK) {
        print_record('p', &load.session);
    }
    return true;
}

static void dump(void)
{
    uint64_t cursor = 0, after = 0;
    lk_event events[64];
    size_t n = 64;
    do {
        must(lk_store_list(store, &cursor, 100, dump_one, NULL) == LK_OK, "the list failed");
    } while (cursor != 0);
    while (n == 64) {
        must(lk_store_events_since(store, after, events, &n) == LK_OK, "the events cannot be read");
        for (size_t i = 0; i < n; i++) {
            const lk_cutoff *c = &events[i].cutoff;
            after = events[i].seq;
            if (events[i].kind == LK_EVENT_CUTOFF) {
                printf("c %s %s %s %lld %lld\n", lk_level_name(c->level), c->key, lk_reason_word(c->reason),
                       (long long)c->before_ms, (long long)c->until_s);
            }
        }
    }
}

/* ---- fill ---- */

static lk_view text_of(char room[64], const char *format, unsigned i)
{
    snprintf(room, 64, format, i);
    return lk_view_of(room);
}

static void put_fields(unsigned i, lk_buf *out)
{
    char value[64];
    lk_op ops[3] = {
        {.kind = LK_OP_SET, .name = LK_VIEW("cart"), .value = text_of(value, "[%u,2,\"\xc3\xa4\"]", i)},
        {.kind = LK_OP_ADD, .name = LK_VIEW("visits"), .number = i},
        {.kind = LK_OP_SET, .name = LK_VIEW("lang"), .value = LK_VIEW("\"zh-CN\"")}};
    must(lk_fields_apply((lk_view){0}, ops, i % 4, out, NULL) == LK_OK, "fields");
}

/* One of each kind in turn: plain, remembered, behind a token, anonymous. */
static void describe(unsigned i, lk_session *s, char rooms[5][64])
{
    static const uint32_t flags[] = {0, LK_SESSION_REMEMBER, LK_SESSION_TOKEN, LK_SESSION_ANONYMOUS};
    int64_t now_s = lk_now_s(env);
    *s = (lk_session){.generation = 1 + i % 3, .revision = 1 + i % 7, .flags = flags[i % 4]};
    must(lk_random(env, s->key.bytes, sizeof s->key.bytes) == LK_OK, "randomness");
    must(lk_random(env, s->proof, sizeof s->proof) == LK_OK, "randomness");
    s->created_s = now_s - age_s - (age_s > 0 ? 1000 + i % 500 : 0);
    s->issued_s = now_s - age_s - (age_s > 0 ? i % 500 : 0);
    s->issued_ms = (uint16_t)(i % 1000);
    s->seen_s = age_s > 0 ? now_s - 60 - i % 400 : now_s;
    s->idle_s = i % 4 == 1 ? 0 : 3600;
    s->expires_s = now_s + 86400;
    s->agent = text_of(rooms[0], "agent %u \xe4\xb8\xad", i);
    s->address = text_of(rooms[1], "10.0.0.%u", i % 250);
    if (i % 4 != 3) {
        s->auth_s = s->issued_s;
        s->user = text_of(rooms[2], "user%u", i / 10);
        s->name = text_of(rooms[3], "User %u", i / 10);
        s->realm = LK_VIEW("shop");
        s->roles = LK_VIEW("editor staff");
        s->scope = LK_VIEW("orders.read");
        s->device = text_of(rooms[4], "phone%u", i);
    }
}

static void add_cutoff(unsigned i)
{
    lk_cutoff c = {.level = (lk_level)(i / 10 % LK_LEVEL_COUNT), .reason = LK_REASON_KICKED};
    char key[64];
    c.before_ms = lk_now_ms(env) - 100000000 + i;
    c.until_s = lk_now_s(env) + 86400 + i;
    must(lk_cutoff_key(c.level, LK_VIEW("shop"), text_of(key, "key%u", i), c.key) == LK_OK,
         "key of a cut-off");
    must(lk_store_cutoff_append(store, &c) == LK_OK, "a cut-off cannot be appended");
}

static void fill(unsigned n, unsigned first)
{
    char rooms[5][64];
    for (unsigned i = first; i < first + n; i++) {
        uint8_t room[1024];
        lk_buf fields = lk_buf_over(room, sizeof room);
        lk_session s;
        describe(i, &s, rooms);
        put_fields(i, &fields);
        s.fields = lk_buf_view(&fields);
        must(lk_store_create(store, &s, (lk_limit){0}, NULL) == LK_OK, "a session cannot be created");
        if (i % 50 == 0) {
            lk_session_key old = s.key;
            must(lk_random(env, s.key.bytes, sizeof s.key.bytes) == LK_OK, "randomness");
            s.previous = old;
            s.issued_s = s.seen_s; /* a new id at the last use: one of an unused session is no newer */
            must(lk_store_replace(store, &old, s.generation, &s, lk_now_s(env) + 250, lk_now_s(env) + 3600,
                                  (lk_limit){0}) == LK_OK,
                 "a session cannot be replaced");
        }
        if (i % 10 == 0) {
            add_cutoff(i);
        }
    }
}

int main(int argc, char **argv)
{
    lk_note note = {{0}};
    lk_session_key key;
    env = lk_env_system();
    must(argc >= 3, "usage: see the head of storetool.c");
    must(lk_store_open(env, argv[2], NULL, &store, &note) == LK_OK, note.text);
    const char *what = argv[1];
    if (strcmp(what, "fill") == 0) {
        must(argc > 5, "usage: see the head of storetool.c");
        age_s = strcmp(argv[5], "old") == 0 ? 20000 : strcmp(argv[5], "new") == 0 ? 0 : 2000;
        fill((unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    } else if (strcmp(what, "dump") == 0) {
        dump();
    } else {
        must(argc > 3 && lk_public_id_read(lk_view_of(argv[3]), &key) == LK_OK, "no public id");
    }
    if (strcmp(what, "end") == 0) {
        must(lk_store_destroy(store, &key, LK_REASON_KICKED,
                              lk_now_s(env) + (argc > 4 ? atoi(argv[4]) : 3600)) == LK_OK,
             "not ended");
    } else if (strcmp(what, "touch") == 0) {
        lk_touch touch = {.key = key, .seen_s = load_one(&key).session.seen_s + atoi(argv[4])};
        must(lk_store_touch_many(store, &touch, 1) == LK_OK, "not touched");
    } else if (strcmp(what, "set") == 0) {
        lk_op op = {.kind = LK_OP_SET, .name = lk_view_of(argv[4]), .value = lk_view_of(argv[5])};
        must(lk_store_change(store, &key, load_one(&key).session.generation, 0, &op, 1, NULL, NULL) == LK_OK,
             "not changed");
    }
    lk_store_close(store);
    return 0;
}
