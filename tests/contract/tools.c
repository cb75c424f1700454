/* SPDX-License-Identifier: Apache-2.0
 *
 * tools.c - sessions for the tests, and short ways to ask the store for them.
 */
#include "contract.h"

#define FIELDS                                                                                               \
    "\x04\x05\x00"                                                                                           \
    "cart"                                                                                                   \
    "[1,2]"                                                                                                  \
    "\x05\x06\x00"                                                                                           \
    "theme"                                                                                                  \
    "\"dark\""

uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

unsigned fewer(unsigned n)
{
    return is_server ? n / 5 : n;
}

int64_t real_ms(void)
{
    const lk_env *system = lk_env_system();

    return system->mono_ms(system);
}

unsigned number_of(const lk_session_key *key)
{
    unsigned n;

    memcpy(&n, key->bytes + 8, sizeof(n));
    return n;
}

lk_session_key key_of(unsigned n)
{
    lk_session_key key;
    uint64_t x = (n + 1) * UINT64_C(0x9e3779b97f4a7c15); /* spread like the keyed hashes that real keys are */

    memcpy(key.bytes, &x, 8);
    memcpy(key.bytes + 8, &n, 4);
    return key;
}

lk_session session_of(unsigned n)
{
    lk_session s = {.key = key_of(n),
                    .generation = 1,
                    .revision = 1,
                    .created_s = NOW_S - 50,
                    .issued_s = NOW_S,
                    .issued_ms = 250,
                    .auth_s = NOW_S,
                    .seen_s = NOW_S,
                    .idle_s = IDLE_S,
                    .expires_s = NOW_S + LIFE_S,
                    .user = LK_VIEW("u1"),
                    .name = LK_VIEW("Ada Lovelace"),
                    .realm = LK_VIEW("shop"),
                    .roles = LK_VIEW("admin staff"),
                    .scope = LK_VIEW("orders.read"),
                    .device = LK_VIEW("d-7"),
                    .device_class = LK_VIEW("desktop"),
                    .agent = LK_VIEW("Mozilla/5.0 (X11; Linux x86_64) Firefox/115.0"),
                    .address = LK_VIEW("192.0.2.17"),
                    .fields = LK_VIEW(FIELDS)};

    memset(s.proof, (int)(n & 0xff), sizeof(s.proof));
    return s;
}

lk_status create(unsigned n)
{
    lk_session s = session_of(n);

    return lk_store_create(store, &s, NO_LIMIT, NULL);
}

lk_status destroy(unsigned n)
{
    lk_session_key key = key_of(n);

    return lk_store_destroy(store, &key, LK_REASON_KICKED, FENCE_S);
}

lk_status look(unsigned n, lk_session *s, lk_reason *why)
{
    static uint8_t buf[LK_RECORD_MAX];
    lk_load load = {.key = key_of(n), .buf = buf, .cap = sizeof(buf), .status = LK_FAULT};

    assert_int_equal(lk_store_load_many(store, &load, 1), LK_OK);
    if (s != NULL)
        *s = load.session;
    if (why != NULL)
        *why = load.why;
    return load.status;
}

lk_status status_of(unsigned n)
{
    return look(n, NULL, NULL);
}

lk_reason reason_of(unsigned n)
{
    lk_reason why;

    assert_int_equal(look(n, NULL, &why), LK_STALE);
    return why;
}

lk_status change(unsigned n, lk_op op)
{
    lk_session_key key = key_of(n);
    uint32_t revision;

    return lk_store_change(store, &key, 1, 0, &op, 1, &revision, NULL);
}

lk_op op_set(const char *name, const char *value)
{
    return (lk_op){.kind = LK_OP_SET, .name = lk_view_of(name), .value = lk_view_of(value)};
}

lk_op op_add(const char *name, int64_t number)
{
    return (lk_op){.kind = LK_OP_ADD, .name = lk_view_of(name), .number = number};
}

static void assert_view(lk_view a, lk_view b)
{
    assert_int_equal(a.len, b.len);
    assert_true(lk_view_equal(a, b));
}

void assert_same(const lk_session *a, const lk_session *b)
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

void assert_field(const lk_session *s, const char *name, const char *value)
{
    lk_view found;

    if (value == NULL) {
        assert_int_equal(lk_fields_get(s->fields, lk_view_of(name), &found), LK_MISS);
        return;
    }
    assert_int_equal(lk_fields_get(s->fields, lk_view_of(name), &found), LK_OK);
    assert_view(found, lk_view_of(value));
}

static bool count_one(void *context, const lk_session *s)
{
    (void)s;
    ++*(unsigned *)context;
    return true;
}

unsigned listed(const char *realm, const char *user, uint32_t page)
{
    uint64_t cursor = 0;
    unsigned n = 0;

    do
        assert_int_equal(
            lk_store_list_by_user(store, lk_view_of(realm), lk_view_of(user), &cursor, page, count_one, &n),
            LK_OK);
    while (cursor != 0);
    return n;
}

uint32_t sweep_all(int64_t now_s)
{
    uint32_t removed = 0, all = 0;
    lk_status status;

    do {
        status = lk_store_sweep(store, now_s, 1000, 1000, &removed);
        all += removed;
    } while (status == LK_FULL);
    assert_int_equal(status, LK_OK);
    return all;
}
