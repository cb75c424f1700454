/* SPDX-License-Identifier: Apache-2.0
 *
 * share.c - the six ways to share a login among nodes: what each is made of, and what contradicts it.
 */
#include "guard/guard_internal.h"
#include <string.h>

/* A way says in one word what the other settings are meant to make. */
typedef struct way {
    const char *name;
    const char
        *stores; /* how the URL of its store may begin; NULL: any way, it only keeps what was revoked */
    const char *advice; /* those stores, for a sentence */
    lk_kind credential; /* what a browser is given */
} way;

static const way ways[LK_WAY_COUNT] = {
    [LK_WAY_UNSAID] = {"", NULL, NULL, LK_KIND_SESSION_ID},
    [LK_WAY_SEALED_COOKIE] = {"sealed_cookie", NULL, NULL, LK_KIND_SEALED},
    [LK_WAY_AFFINITY] = {"affinity", "memory lmdb sqlite redis postgres mariadb",
                         "a store of each node's own: lmdb:, memory: or sqlite:", LK_KIND_SESSION_ID},
    [LK_WAY_DATABASE] = {"database", "sqlite postgres mariadb", "sqlite:, postgres:// or mariadb://",
                         LK_KIND_SESSION_ID},
    [LK_WAY_REPLICATION] = {"replication", "redis redis+sentinel postgres",
                            "a store that has copies: redis://, redis+sentinel:// or postgres://",
                            LK_KIND_SESSION_ID},
    [LK_WAY_CENTRAL] = {"central", "redis redis+sentinel redis+cluster",
                        "redis://, redis+sentinel:// or redis+cluster://", LK_KIND_SESSION_ID},
    [LK_WAY_TOKEN] = {"token", NULL, NULL, LK_KIND_JWT},
};

#define NAMES "sealed_cookie, affinity, database, replication, central or token"

const char *lk_way_name(lk_way w)
{
    return (unsigned)w < LK_WAY_COUNT ? ways[w].name : "";
}

lk_status lk_way_of(lk_view name, lk_way *out)
{
    for (lk_way w = LK_WAY_SEALED_COOKIE; w < LK_WAY_COUNT; w++) {
        if (lk_view_equal(name, lk_view_of(ways[w].name))) {
            *out = w;
            return LK_OK;
        }
    }
    return LK_MISS;
}

lk_way lk_way_of_settings(const lk_settings *s)
{
    lk_way w = LK_WAY_UNSAID;
    return lk_way_of(lk_view_of(s->share), &w) == LK_OK ? w : LK_WAY_UNSAID;
}

lk_kind lk_way_credential(lk_way w)
{
    return (unsigned)w < LK_WAY_COUNT ? ways[w].credential : LK_KIND_SESSION_ID;
}

/* ---- one side: way, store, replica. There are two while a move is under way. ---- */

typedef struct side {
    const char *setting; /* "latchkey_share", for sentences */
    lk_way way;
    const char *store, *replica;
} side;

/* Stores that have a full copy to read from, and how the URL of that begins. */
static const struct {
    const char *store, *replica;
} copies[] = {{"postgres", "postgres"}, {"redis", "redis"}, {"redis+sentinel", "redis"}};

static lk_view scheme_of(const char *url)
{
    return lk_view_part(lk_view_of(url), 0, lk_view_find(lk_view_of(url), ':'));
}

static lk_status check_replica(const side *at, lk_note *note)
{
    lk_note why = {""};
    const char *wanted = NULL;
    lk_view scheme = scheme_of(at->store);
    if (lk_store_url_check(at->replica, &why) != LK_OK) {
        lk_note_set(note, "latchkey_replica: %s", why.text);
        return LK_REFUSED;
    }
    for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++)
        if (lk_view_equal(scheme, lk_view_of(copies[i].store)))
            wanted = copies[i].replica;
    if (wanted == NULL) {
        lk_note_set(
            note,
            "latchkey_replica: a store at %.*s: has no full copy to read from; redis://, redis+sentinel:// "
            "and postgres:// have: leave latchkey_replica out, or use one of those in latchkey_store",
            (int)scheme.len, (const char *)scheme.p);
        return LK_REFUSED;
    }
    if (!lk_view_equal(scheme_of(at->replica), lk_view_of(wanted))) {
        lk_note_set(note, "latchkey_replica: a copy of a store at %.*s:// is named by a URL of %s://",
                    (int)scheme.len, (const char *)scheme.p, wanted);
        return LK_REFUSED;
    }
    if (strcmp(at->replica, at->store) == 0) {
        lk_note_set(note,
                    "latchkey_replica: that is latchkey_store itself; name the copy near this node, or leave "
                    "latchkey_replica out");
        return LK_REFUSED;
    }
    return LK_OK;
}

/* The way that a store at SCHEME would be, or LK_WAY_UNSAID: it is seen by one node alone. */
static lk_way way_of_scheme(lk_view scheme)
{
    if (lk_words_have(lk_view_of(ways[LK_WAY_CENTRAL].stores), scheme))
        return LK_WAY_CENTRAL;
    return lk_words_have(lk_view_of(ways[LK_WAY_DATABASE].stores), scheme) ? LK_WAY_DATABASE : LK_WAY_UNSAID;
}

static void say_contradiction(const side *at, lk_note *note)
{
    lk_view scheme = scheme_of(at->store);
    lk_way is = way_of_scheme(scheme);
    if (at->way == LK_WAY_REPLICATION)
        lk_note_set(
            note,
            "%s replication: every node reads from a full copy near it: name that copy in "
            "latchkey_replica, and a store that has copies (redis://, redis+sentinel://, postgres://) in "
            "latchkey_store",
            at->setting);
    else if (is == LK_WAY_UNSAID)
        lk_note_set(note,
                    "%s %s: a store at %.*s: is seen by one node alone; latchkey_store takes %s for it (with "
                    "latchkey_share affinity each node keeps its own sessions), or leave latchkey_share out",
                    at->setting, ways[at->way].name, (int)scheme.len, (const char *)scheme.p,
                    ways[at->way].advice);
    else
        lk_note_set(
            note,
            "%s %s contradicts latchkey_store, which is at %.*s: write latchkey_share %s, or leave it out",
            at->setting, ways[at->way].name, (int)scheme.len, (const char *)scheme.p, ways[is].name);
}

static lk_status check_side(const side *at, lk_note *note)
{
    const char *stores = ways[at->way].stores;
    if (at->replica[0] != '\0' && check_replica(at, note) != LK_OK)
        return LK_REFUSED;
    bool fits = stores == NULL || lk_words_have(lk_view_of(stores), scheme_of(at->store));
    if (fits && (at->way != LK_WAY_REPLICATION || at->replica[0] != '\0'))
        return LK_OK;
    say_contradiction(at, note);
    return LK_REFUSED;
}

/* ---- a move ---- */

static lk_status check_move_url(const char *url, lk_note *note)
{
    lk_note why = {""};
    lk_view rest = lk_view_of(url);
    lk_status status = lk_store_url_check(url, &why);
    rest = lk_view_part(rest, lk_view_find(rest, ':') + 1, rest.len);
    if (status == LK_OK && (rest.len == 0 || rest.p[0] == '/'))
        return LK_OK;
    lk_note_set(note, "latchkey_move: store=: %s",
                status != LK_OK ? why.text : "give the whole path, beginning with /");
    return LK_REFUSED;
}

static lk_status check_move(const lk_settings *s, lk_note *note)
{
    side other = {"latchkey_move", LK_WAY_UNSAID, s->move_store[0] != '\0' ? s->move_store : s->store,
                  s->move_replica};
    bool to = s->move_to[0] != '\0', from = s->move_from[0] != '\0';
    if (!to && !from && s->move_store[0] == '\0' && s->move_replica[0] == '\0')
        return LK_OK;
    if (to == from) {
        lk_note_set(note, "latchkey_move: write to=WAY or from=WAY, one of the two");
        return LK_REFUSED;
    }
    if (s->share[0] == '\0') {
        lk_note_set(note,
                    "latchkey_move: a move is between two ways: name the present one in latchkey_share");
        return LK_REFUSED;
    }
    if (lk_way_of(lk_view_of(to ? s->move_to : s->move_from), &other.way) != LK_OK) {
        lk_note_set(note, "latchkey_move: expected " NAMES);
        return LK_REFUSED;
    }
    if (s->move_store[0] != '\0' && strcmp(s->move_store, s->store) == 0) {
        lk_note_set(note, "latchkey_move: store= is latchkey_store itself: leave store= out when the store "
                          "stays the same");
        return LK_REFUSED;
    }
    if (s->move_store[0] != '\0' && check_move_url(s->move_store, note) != LK_OK)
        return LK_REFUSED;
    return check_side(&other, note);
}

lk_status lk__share_check(const lk_settings *s, lk_note *note)
{
    side here = {"latchkey_share", LK_WAY_UNSAID, s->store, s->replica};
    if (s->share[0] != '\0' && lk_way_of(lk_view_of(s->share), &here.way) != LK_OK) {
        lk_note_set(note, "latchkey_share: expected " NAMES);
        return LK_REFUSED;
    }
    lk_status status = check_side(&here, note);
    return status == LK_OK ? check_move(s, note) : status;
}

void lk__share_read(lk_guard *g)
{
    const lk_settings *s = g->parts.settings;
    lk_way other = LK_WAY_UNSAID;
    g->hands_out = lk_way_credential(lk_way_of_settings(s));
    if (lk_way_of(lk_view_of(s->move_to), &other) == LK_OK ||
        lk_way_of(lk_view_of(s->move_from), &other) == LK_OK)
        g->takes_over = 1u << lk_way_credential(other);
    g->knows_by_client = g->hands_out != LK_KIND_SESSION_ID ||
                         (other != LK_WAY_UNSAID && lk_way_credential(other) != LK_KIND_SESSION_ID);
}

bool lk_guard_seals(const lk_guard *g)
{
    return g->hands_out == LK_KIND_SEALED || (g->takes_over & 1u << LK_KIND_SEALED) != 0;
}
