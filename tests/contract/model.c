/* SPDX-License-Identifier: Apache-2.0
 *
 * model.c - random operations on the store and on a model so simple that one can see it is right; every
 * answer has to be the same. Since each store is compared with the model, they are compared with each other.
 *
 * Time only moves together with a full sweep, so that "may still be answered" and "is removed" are one.
 */
#include "contract.h"
#include <stdlib.h>

#define NUMBERS 60
#define USERS 5
#define FIELDS 4
#define CLASSES 3
#define STEPS 12000

typedef struct modelled {
    bool is_there;
    unsigned user, class;
    uint32_t generation, revision, flags;
    int64_t seen_s, issued_s, idle_s, expires_s;
    int previous; /* number, or -1 */
    bool has[FIELDS];
    int64_t value[FIELDS];
    bool is_fenced;
    lk_reason why;
    int64_t until_s;
} modelled;

static modelled model[NUMBERS];
static int64_t now_s;
static uint32_t seed;

static const char *const users[USERS] = {"", "ada", "ben", "cleo", "dora"};
static const char *const classes[CLASSES] = {"", "mobile", "desktop"};
static const char *const names[FIELDS] = {"a", "b", "c", "d"};
static const lk_reason reasons[] = {LK_REASON_REVOKED, LK_REASON_KICKED, LK_REASON_BANNED};

static unsigned pick(unsigned n)
{
    return random_next(&seed) % n;
}

static int64_t model_ends_s(const modelled *m)
{
    int64_t idle_end_s = m->seen_s + m->idle_s;

    return m->idle_s > 0 && idle_end_s < m->expires_s ? idle_end_s : m->expires_s;
}

static int64_t model_forget_s(const modelled *m)
{
    return model_ends_s(m) + 60 + m->idle_s / 8;
}

static bool model_is_listed(const modelled *m)
{
    return m->is_there && !(m->flags & LK_SESSION_ENDING) && now_s < m->expires_s &&
           now_s < model_forget_s(m);
}

static lk_status model_absent(const modelled *m)
{
    return m->is_fenced ? LK_STALE : LK_MISS;
}

static bool model_is_writable(const modelled *m, uint32_t generation)
{
    return !(m->flags & LK_SESSION_ENDING) && m->generation == generation && now_s < m->expires_s;
}

static void model_end(modelled *m, lk_reason why, int64_t until_s)
{
    m->is_there = false;
    if (!m->is_fenced) {
        m->is_fenced = true;
        m->why = why;
        m->until_s = until_s;
    } else if (m->until_s < until_s) {
        m->until_s = until_s;
    }
}

/* Is A to be ended before B? */
static bool model_goes_before(unsigned a, unsigned b, lk_victim victim)
{
    const modelled *x = &model[a], *y = &model[b];
    lk_session_key key_a = key_of(a), key_b = key_of(b);

    if (victim == LK_VICTIM_LONGEST_IDLE && x->seen_s != y->seen_s)
        return x->seen_s < y->seen_s;
    if (victim == LK_VICTIM_SOONEST_EXPIRY && x->expires_s != y->expires_s)
        return x->expires_s < y->expires_s;
    if (x->issued_s != y->issued_s)
        return x->issued_s < y->issued_s;
    if (victim == LK_VICTIM_OLDEST && x->seen_s != y->seen_s)
        return x->seen_s < y->seen_s;
    return memcmp(&key_a, &key_b, sizeof(key_a)) < 0;
}

/* The sessions beside FRESH that count, but for LEAVES, of its class only with SAME_CLASS; *first is the one
 * to be ended first. */
static unsigned model_others(unsigned fresh, int leaves, bool same_class, lk_victim victim, int *first)
{
    unsigned others = 0;

    *first = -1;
    for (unsigned n = 0; n < NUMBERS; n++) {
        const modelled *m = &model[n];

        if (n == fresh || (int)n == leaves || m->user != model[fresh].user || !model_is_listed(m) ||
            (m->flags & LK_SESSION_API_KEY) || (same_class && m->class != model[fresh].class))
            continue;
        others++;
        if (*first < 0 || model_goes_before(n, (unsigned)*first, victim))
            *first = (int)n;
    }
    return others;
}

static bool model_is_limited(unsigned fresh)
{
    return model[fresh].user != 0 && !(model[fresh].flags & LK_SESSION_API_KEY);
}

static bool model_refuses(unsigned fresh, int leaves, lk_limit limit)
{
    int first;

    if (limit.victim != LK_VICTIM_REFUSE || !model_is_limited(fresh))
        return false;
    return (limit.class_max > 0 &&
            model_others(fresh, leaves, true, limit.victim, &first) >= limit.class_max) ||
           (limit.max > 0 && model_others(fresh, leaves, false, limit.victim, &first) >= limit.max);
}

static uint32_t model_keep(unsigned fresh, bool same_class, uint32_t max, lk_limit limit)
{
    uint32_t ended = 0;
    int first;

    while (max > 0 && model_is_limited(fresh) &&
           model_others(fresh, -1, same_class, limit.victim, &first) >= max) {
        model_end(&model[first], LK_REASON_REPLACED, limit.fence_s);
        ended++;
    }
    return ended;
}

static uint32_t model_limit(unsigned fresh, lk_limit limit)
{
    uint32_t ended = model_keep(fresh, true, limit.class_max, limit);

    return ended + model_keep(fresh, false, limit.max, limit);
}

/* ---- the operations, each on both ---- */

static lk_session fresh_session(unsigned n, int previous, uint32_t generation)
{
    lk_session s = session_of(n);
    modelled *m = &model[n];
    unsigned user = pick(USERS), class = pick(CLASSES);

    s.user = lk_view_of(users[user]);
    s.device_class = lk_view_of(classes[class]);
    s.flags = user == 0 ? LK_SESSION_ANONYMOUS : pick(6) == 0 ? LK_SESSION_API_KEY : 0;
    s.generation = generation;
    s.issued_s = now_s - pick(5);
    s.seen_s = now_s - pick(50);
    s.idle_s = pick(3) == 0 ? 0 : 100 + pick(2000);
    s.expires_s = now_s + 50 + pick(4000);
    s.fields = (lk_view){0};
    if (previous >= 0)
        s.previous = key_of((unsigned)previous);
    if (m->is_there || m->is_fenced)
        return s; /* it will be refused */
    memset(m, 0, sizeof(*m));
    m->user = user;
    m->class = class;
    m->flags = s.flags;
    m->generation = generation;
    m->revision = 1;
    m->issued_s = s.issued_s;
    m->seen_s = s.seen_s;
    m->idle_s = s.idle_s;
    m->expires_s = s.expires_s;
    m->previous = previous;
    return s;
}

/* Of two stores the second is told whom the limit of the first has ended, and ends the one that had replaced
 * by it as well; here, where keys come again, that would show. The group `limits` has them. */
static lk_limit pick_limit(int64_t fence_s, bool *refused)
{
    lk_limit limit = {.max = pick(4),
                      .class_max = pick(3),
                      .victim = (lk_victim)pick(LK_VICTIM_COUNT),
                      .fence_s = fence_s,
                      .refused = refused};

    *refused = false;
    return is_moving ? (lk_limit){.refused = refused} : limit;
}

static void do_create(void)
{
    unsigned n = pick(NUMBERS);
    bool is_free = !model[n].is_there && !model[n].is_fenced;
    lk_session s = fresh_session(n, -1, 1 + pick(2));
    bool refused, refuses;
    lk_limit limit = pick_limit(now_s + 100 + pick(1000), &refused);
    uint32_t ended = 99, expected = 0;
    lk_status status = lk_store_create(store, &s, limit, &ended);

    refuses = is_free && model_refuses(n, -1, limit);
    assert_int_equal(status, refuses ? LK_FULL : is_free ? LK_OK : LK_REFUSED);
    assert_int_equal(refused, refuses);
    if (status == LK_OK) {
        model[n].is_there = true;
        expected = model_limit(n, limit);
    }
    assert_int_equal(ended, expected);
}

static void do_replace(void)
{
    unsigned old = pick(NUMBERS), n = pick(NUMBERS);
    modelled *o = &model[old];
    bool is_free = !model[n].is_there && !model[n].is_fenced;
    uint32_t generation = pick(4) ? o->generation : 1 + pick(3);
    int64_t grace_s = pick(2) ? now_s + 10 : 0, fence_s = now_s + 100 + pick(1000);
    bool refused;
    lk_limit limit = pick_limit(fence_s, &refused);
    lk_session_key key = key_of(old);
    lk_status expected = LK_OK;
    lk_session s;

    if (n == old)
        return;
    if (!o->is_there)
        expected = model_absent(o);
    else if (!model_is_writable(o, generation))
        expected = LK_STALE;
    else if (!is_free)
        expected = LK_REFUSED;
    s = fresh_session(n, (int)old, 1 + pick(2));
    if (expected == LK_OK && model_refuses(n, (int)old, limit))
        expected = LK_FULL;
    assert_int_equal(lk_store_replace(store, &key, generation, &s, grace_s, fence_s, limit), expected);
    assert_int_equal(refused, expected == LK_FULL);
    if (expected != LK_OK)
        return;
    if (grace_s == 0) {
        model_end(o, LK_REASON_REPLACED, fence_s);
    } else {
        o->flags |= LK_SESSION_ENDING;
        o->expires_s = grace_s < o->expires_s ? grace_s : o->expires_s;
    }
    model[n].is_there = true;
    (void)model_limit(n, limit);
}

/* What OP does to field F: LK_OK or LK_REFUSED. */
static lk_status model_change(modelled *m, unsigned f, lk_op_kind kind, int64_t number, bool expect,
                              int64_t expected)
{
    switch (kind) {
    case LK_OP_SET:
        break;
    case LK_OP_COMPARE_SET:
        if (expect != m->has[f] || (expect && m->value[f] != expected))
            return LK_REFUSED;
        break;
    case LK_OP_ADD:
        number += m->has[f] ? m->value[f] : 0;
        break;
    case LK_OP_MAX:
        number = m->has[f] && m->value[f] > number ? m->value[f] : number;
        break;
    case LK_OP_APPEND:
    case LK_OP_DELETE:
        m->has[f] = false;
        return LK_OK;
    }
    m->has[f] = true;
    m->value[f] = number;
    return LK_OK;
}

static void do_change(void)
{
    static const lk_op_kind kinds[] = {LK_OP_SET, LK_OP_COMPARE_SET, LK_OP_ADD, LK_OP_MAX, LK_OP_DELETE};
    unsigned n = pick(NUMBERS), f = pick(FIELDS);
    modelled *m = &model[n], changed = *m;
    uint32_t generation = pick(4) ? m->generation : 1 + pick(3), if_revision = pick(3) ? 0 : 1 + pick(4),
             revision = 0;
    int64_t number = (int64_t)pick(10) - 5, expected = (int64_t)pick(10) - 5;
    bool expect = pick(2);
    char text[24], expected_text[24];
    lk_op op = {.kind = kinds[pick(5)], .name = lk_view_of(names[f]), .number = number};
    lk_session_key key = key_of(n);
    lk_status status = LK_OK;

    snprintf(text, sizeof(text), "%d", (int)number);
    snprintf(expected_text, sizeof(expected_text), "%d", (int)expected);
    op.value = lk_view_of(text);
    op.expected = expect ? lk_view_of(expected_text) : (lk_view){0};
    if (!m->is_there)
        status = model_absent(m);
    else if (!model_is_writable(m, generation))
        status = LK_STALE;
    else if (if_revision > 0 && if_revision != m->revision)
        status = LK_REFUSED;
    else
        status = model_change(&changed, f, op.kind, number, expect, expected);
    assert_int_equal(lk_store_change(store, &key, generation, if_revision, &op, 1, &revision, NULL), status);
    if (status == LK_OK) {
        changed.revision++;
        assert_int_equal(revision, changed.revision);
        *m = changed;
    }
}

static void do_touch(void)
{
    lk_touch touches[5];

    for (unsigned i = 0; i < 5; i++) {
        unsigned n = pick(NUMBERS);
        modelled *m = &model[n];

        touches[i] = (lk_touch){.key = key_of(n), .seen_s = now_s - pick(100)};
        if (m->is_there && !(m->flags & LK_SESSION_ENDING) && touches[i].seen_s > m->seen_s)
            m->seen_s = touches[i].seen_s;
    }
    assert_int_equal(lk_store_touch_many(store, touches, 5), LK_OK);
}

static void do_destroy(void)
{
    int n = (int)pick(NUMBERS);
    lk_reason why = reasons[pick(3)];
    int64_t until_s = now_s + 100 + pick(1000);
    lk_session_key key = key_of((unsigned)n);

    assert_int_equal(lk_store_destroy(store, &key, why, until_s), LK_OK);
    for (unsigned hop = 0; n >= 0 && (hop == 0 || model[n].is_there); hop++) {
        int previous = model[n].is_there ? model[n].previous : -1;

        model_end(&model[n], why, until_s);
        n = previous;
    }
}

static void check_one(unsigned n)
{
    const modelled *m = &model[n];
    lk_session s;
    lk_reason why;
    lk_status status = look(n, &s, &why);

    assert_int_equal(status, m->is_there ? LK_OK : model_absent(m));
    if (status == LK_STALE)
        assert_int_equal(why, m->why);
    if (status != LK_OK)
        return;
    assert_int_equal(s.generation, m->generation);
    assert_int_equal(s.revision, m->revision);
    assert_int_equal(s.flags, m->flags);
    assert_int_equal(s.seen_s, m->seen_s);
    assert_int_equal(s.expires_s, m->expires_s);
    for (unsigned f = 0; f < FIELDS; f++) {
        char text[24];

        snprintf(text, sizeof(text), "%d", (int)m->value[f]);
        assert_field(&s, names[f], m->has[f] ? text : NULL);
    }
}

static bool mark_one(void *context, const lk_session *s)
{
    unsigned n;

    memcpy(&n, s->key.bytes + 8, sizeof(n));
    ((unsigned *)context)[n]++;
    return true;
}

static void check_lists(unsigned user)
{
    unsigned found[NUMBERS] = {0}, all[NUMBERS] = {0};
    uint64_t cursor = 0;
    uint32_t page = 1 + pick(20);

    do
        assert_int_equal(lk_store_list_by_user(store, LK_VIEW("shop"), lk_view_of(users[user]), &cursor, page,
                                               mark_one, found),
                         LK_OK);
    while (cursor != 0);
    do
        assert_int_equal(lk_store_list(store, &cursor, page, mark_one, all), LK_OK);
    while (cursor != 0);
    for (unsigned n = 0; n < NUMBERS; n++) {
        bool is_listed = model_is_listed(&model[n]);

        assert_int_equal(found[n], is_listed && user != 0 && model[n].user == user);
        assert_int_equal(all[n] > 0, is_listed);
    }
}

static void check_all(void)
{
    lk_store_count count;
    uint64_t there = 0;

    for (unsigned n = 0; n < NUMBERS; n++) {
        check_one(n);
        there += model[n].is_there;
    }
    for (unsigned user = 0; user < USERS; user++)
        check_lists(user);
    assert_int_equal(lk_store_counts(store, &count), LK_OK);
    assert_int_equal(count.sessions, there);
    assert_int_equal(count.evicted, 0);
}

static void do_pass_time(void)
{
    now_s += 1 + pick(300);
    test_clock_set_ms(now_s * 1000);
    sweep_all(now_s);
    for (unsigned n = 0; n < NUMBERS; n++) {
        if (model[n].is_there && model_forget_s(&model[n]) <= now_s)
            model[n].is_there = false;
        if (model[n].is_fenced && model[n].until_s <= now_s)
            model[n].is_fenced = false;
    }
}

static void random_operations_have_the_answers_of_the_model(void **state)
{
    const char *chosen = getenv("LATCHKEY_TEST_SEED");

    (void)state;
    memset(model, 0, sizeof(model));
    now_s = NOW_S;
    seed = chosen != NULL ? (uint32_t)atoi(chosen) : 2;
    for (unsigned step = 0; step < (is_server ? STEPS / 2 : STEPS); step++) {
        unsigned kind = pick(100);

        if (kind < 25)
            do_create();
        else if (kind < 40)
            do_replace();
        else if (kind < 65)
            do_change();
        else if (kind < 75)
            do_touch();
        else if (kind < 85)
            do_destroy();
        else if (kind < 95)
            check_one(pick(NUMBERS));
        else if (kind < 97)
            check_lists(pick(USERS));
        else
            do_pass_time();
        if (step % 500 == 0)
            check_all();
    }
    check_all();
}

int run_model(void)
{
    const struct CMUnitTest tests[] = {TEST(random_operations_have_the_answers_of_the_model)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
