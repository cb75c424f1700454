/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - latchkey session: who is logged in, and the end of it.
 */
#include "place.h"
#include <stdio.h>
#include <string.h>

#define PAGE 128
#define LIST_DEFAULT 1000

static const cli_column list_columns[] = {
    {"public_id", "PUBLIC ID", CLI_TEXT}, {"name", "USER", CLI_TEXT},
    {"seen", "LAST SEEN", CLI_TIME},      {"ends", "ENDS", CLI_TIME},
    {"address", "ADDRESS", CLI_TEXT},     {"kind", "KIND", CLI_TEXT},
    {"agent", "AGENT", CLI_TEXT},         {0},
};

static const cli_column show_columns[] = {
    {"public_id", "Public id", CLI_TEXT},
    {"state", "State", CLI_TEXT},
    {"kind", "Kind", CLI_TEXT},
    {"name", "User", CLI_TEXT},
    {"user", "User id", CLI_TEXT},
    {"realm", "Realm", CLI_TEXT},
    {"roles", "Roles", CLI_TEXT},
    {"scope", "Scope", CLI_TEXT},
    {"device", "Device", CLI_TEXT},
    {"created", "First seen", CLI_TIME},
    {"auth", "Signed in", CLI_TIME},
    {"seen", "Last seen", CLI_TIME},
    {"ends", "Ends", CLI_TIME},
    {"expires", "At the latest", CLI_TIME},
    {"address", "Address", CLI_TEXT},
    {"agent", "Agent", CLI_TEXT},
    {"generation", "Generation", CLI_TEXT},
    {"fields", "Fields", CLI_TEXT},
    {0},
};

static const char *kind_of(const lk_session *s)
{
    if (s->flags & LK_SESSION_TOKEN) {
        return "token";
    }
    if (s->flags & LK_SESSION_ANONYMOUS) {
        return "anonymous";
    }
    return s->flags & LK_SESSION_REMEMBER ? "remembered" : "session";
}

static json_t *session_object(const lk_session *s)
{
    char public_id[LK_PUBLIC_ID_LEN + 1];
    json_t *object = json_object();
    lk_public_id_write(&s->key, public_id);
    cli_set_text(object, "public_id", lk_view_of(public_id));
    cli_set_text(object, "kind", lk_view_of(kind_of(s)));
    cli_set_text(object, "user", s->user);
    cli_set_text(object, "name", s->name);
    cli_set_text(object, "realm", s->realm);
    cli_set_words(object, "roles", s->roles);
    cli_set_words(object, "scope", s->scope);
    cli_set_text(object, "device", s->device);
    cli_set_number(object, "created", s->created_s);
    cli_set_number(object, "issued", s->issued_s);
    cli_set_number(object, "auth", s->auth_s);
    cli_set_number(object, "seen", s->seen_s);
    cli_set_number(object, "ends", lk_session_ends_s(s));
    cli_set_number(object, "expires", s->expires_s);
    cli_set_text(object, "address", s->address);
    cli_set_text(object, "agent", s->agent);
    cli_set_number(object, "generation", s->generation);
    return object;
}

/* Why S is over at NOW_S, or LK_REASON_NONE when it is alive: its own times, then the cut-offs. */
static lk_reason over(const lk_session *s, const cli_cutoffs *cutoffs, int64_t now_s)
{
    char public_id[LK_PUBLIC_ID_LEN + 1];
    lk_reason why = LK_REASON_NONE;
    if (s->flags & LK_SESSION_ENDING) {
        return LK_REASON_REPLACED;
    }
    if (lk_session_alive(s, now_s, &why) != LK_OK) {
        return why;
    }
    lk_public_id_write(&s->key, public_id);
    cli_subject subject = {.realm = s->realm,
                           .roles = s->roles,
                           .user = s->user,
                           .device = s->device,
                           .public_id = public_id,
                           .issued_ms = s->issued_s * 1000 + s->issued_ms};
    const lk_cutoff *cut = cli_cutoff_hits(cutoffs, &subject, now_s);
    return cut != NULL ? cut->reason : LK_REASON_NONE;
}

/* ---- list ---- */

typedef struct listing {
    const cli_cutoffs *cutoffs;
    json_t *rows;
    size_t limit;
    int64_t now_s;
    bool more;
} listing;

static bool list_one(void *context, const lk_session *s)
{
    listing *l = context;
    if (over(s, l->cutoffs, l->now_s) != LK_REASON_NONE) {
        return true;
    }
    if (l->limit > 0 && json_array_size(l->rows) >= l->limit) {
        l->more = true;
        return false;
    }
    return json_array_append_new(l->rows, session_object(s)) == 0;
}

static lk_status list_pages(const cli_place *place, const lk_user *user, listing *l)
{
    uint64_t cursor = 0;
    lk_status status = LK_OK;
    do {
        status = user != NULL ? lk_store_list_by_user(place->store, lk_view_of(user->realm),
                                                      lk_view_of(user->id), &cursor, PAGE, list_one, l)
                              : lk_store_list(place->store, &cursor, PAGE, list_one, l);
    } while (status == LK_OK && cursor != 0 && !l->more);
    return status;
}

static int list_open(const cli *c, const cli_place *place, const lk_user *user, int64_t limit)
{
    cli_cutoffs cutoffs;
    int code = cli_cutoffs_read(c, place->store, &cutoffs);
    if (code != CLI_YES) {
        return code;
    }
    listing l = {&cutoffs, json_array(), (size_t)limit, lk_now_s(lk_env_system()), false};
    json_t *object = json_object();
    (void)json_object_set_new(object, "sessions", l.rows);
    lk_status status = list_pages(place, user, &l);
    cli_cutoffs_free(&cutoffs);
    if (status != LK_OK) {
        json_decref(object);
        return cli_fault(c, "the sessions cannot be read from the store");
    }
    cli_set_flag(object, "more", l.more);
    if (l.more && !c->json) {
        cli_remark("only the first %lld are shown; --limit 0 shows all", (long long)limit);
    }
    return cli_print_table(c, object, "sessions", list_columns, "Nobody is logged in.");
}

static int list(cli *c)
{
    cli_place place;
    lk_user user;
    int64_t limit = LIST_DEFAULT;
    const char *name = cli_get(c, "user");
    int code = cli_get_number(c, "limit", 0, 10000000, &limit);
    if (code == CLI_YES) {
        code = cli_place_open(c, CLI_STORE | (name != NULL ? CLI_ACCOUNTS : 0), &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    if (name != NULL) {
        code = cli_user_find(c, &place, name, &user);
    }
    if (code == CLI_YES) {
        code = list_open(c, &place, name != NULL ? &user : NULL, limit);
    }
    cli_place_close(&place);
    return code;
}

/* ---- show ---- */

static int read_public_id(const cli *c, const char *text, lk_session_key *key)
{
    if (lk_public_id_read(lk_view_of(text), key) != LK_OK) {
        return cli_wrong(c,
                         "'%s' is no public id: those have %d characters, latchkey session list shows them",
                         text, LK_PUBLIC_ID_LEN);
    }
    return CLI_YES;
}

/* The record of KEY into LOAD. */
static int load(const cli *c, const cli_place *place, const lk_session_key *key, lk_load *one)
{
    one->key = *key;
    if (lk_store_load_many(place->store, one, 1) == LK_FAULT || one->status == LK_FAULT ||
        one->status == LK_FULL) {
        return cli_fault(c, "the session cannot be read from the store");
    }
    if (one->status == LK_OK) {
        return CLI_YES;
    }
    return cli_no(c, one->status == LK_STALE ? one->why : LK_REASON_NONE,
                  one->status == LK_STALE ? "that session is over" : "there is no such session");
}

/* The names only: what an application keeps in a session is not for the terminal of whoever looks after it.
 */
static json_t *field_names(lk_view fields)
{
    json_t *names = json_array();
    lk_field field;
    for (size_t at = 0; lk_fields_next(fields, &at, &field);) {
        (void)json_array_append_new(names, json_stringn((const char *)field.name.p, field.name.len));
    }
    return names;
}

static int show_open(const cli *c, const cli_place *place, const lk_session_key *key)
{
    static uint8_t record[LK_RECORD_MAX];
    cli_cutoffs cutoffs;
    lk_load one = {.buf = record, .cap = sizeof record};
    int code = load(c, place, key, &one);
    if (code == CLI_YES) {
        code = cli_cutoffs_read(c, place->store, &cutoffs);
    }
    if (code != CLI_YES) {
        return code;
    }
    lk_reason why = over(&one.session, &cutoffs, lk_now_s(lk_env_system()));
    cli_cutoffs_free(&cutoffs);
    json_t *object = session_object(&one.session);
    cli_set_text(object, "state", lk_view_of(why == LK_REASON_NONE ? "alive" : lk_reason_word(why)));
    (void)json_object_set_new(object, "fields", field_names(one.session.fields));
    code = cli_print_record(c, object, show_columns);
    return code != CLI_YES ? code : why == LK_REASON_NONE ? CLI_YES : CLI_NO;
}

static int show(cli *c)
{
    cli_place place;
    lk_session_key key;
    int code = read_public_id(c, c->arguments[0], &key);
    if (code == CLI_YES) {
        code = cli_place_open(c, CLI_STORE, &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    code = show_open(c, &place, &key);
    cli_place_close(&place);
    return code;
}

/* ---- revoke ---- */

static int revoke_one(const cli *c, const cli_place *place, lk_reason reason)
{
    static uint8_t head[LK_HEAD_MAX];
    lk_load one = {.head_only = true, .buf = head, .cap = sizeof head};
    lk_session_key key;
    int code = read_public_id(c, c->arguments[0], &key);
    if (code == CLI_YES) {
        code = load(c, place, &key, &one);
    }
    if (code != CLI_YES) {
        return code;
    }
    if (lk_guard_end(place->guard, one.session.realm, &key, reason) != LK_OK) {
        return cli_fault(c, "the store failed; the session may still be alive");
    }
    /* The mark of its end goes after a while: its device would begin another one then. */
    if (one.session.device.len > 0 && lk_guard_cutoff(place->guard, LK_LEVEL_DEVICE, one.session.realm,
                                                      one.session.device, reason, NULL, NULL) != LK_OK) {
        return cli_fault(c, "the session ended, but its device may be given another");
    }
    json_t *object = json_object();
    cli_set_number(object, "sessions_ended", 1);
    return cli_done(c, object, "session %s ended", c->arguments[0]);
}

static int revoke_user(const cli *c, cli_place *place, const char *name, lk_reason reason)
{
    lk_user user;
    uint32_t ended = 0;
    int code = cli_place_add(c, CLI_ACCOUNTS, place);
    if (code == CLI_YES) {
        code = cli_user_find(c, place, name, &user);
    }
    if (code != CLI_YES) {
        return code;
    }
    if (lk_guard_end_user(place->guard, lk_view_of(user.realm), lk_view_of(user.id), NULL, reason, &ended) !=
        LK_OK) {
        return cli_fault(c, "the store failed; some sessions of %s may still be alive", user.name);
    }
    json_t *object = json_object();
    cli_set_number(object, "sessions_ended", ended);
    return cli_done(c, object, "%u session%s of %s ended", ended, ended == 1 ? "" : "s", user.name);
}

/* One cut-off, however many sessions there are: each is refused from now on, and swept in its own time. */
static int revoke_all(const cli *c, const cli_place *place, lk_reason reason)
{
    lk_cutoff made;
    lk_note note = {{0}};
    lk_status status =
        lk_guard_cutoff(place->guard, LK_LEVEL_ALL, (lk_view){0}, (lk_view){0}, reason, &made, &note);
    if (status != LK_OK) {
        return cli_fault(c, "the store failed: %s", note.text);
    }
    json_t *object = json_object();
    cli_set_number(object, "before", made.before_ms / 1000);
    cli_set_number(object, "before_ms", made.before_ms);
    return cli_done(c, object, "every session and token issued until now is refused");
}

static int revoke(cli *c)
{
    cli_place place;
    lk_reason reason;
    const char *user = cli_get(c, "user");
    bool all = cli_has(c, "all");
    if ((c->arguments_n > 0) + (user != NULL) + all != 1) {
        return cli_wrong(c, "say which: a PUBLIC_ID, --user NAME, or --all");
    }
    int code = cli_ending_reason(c, LK_REASON_KICKED, &reason);
    if (code == CLI_YES) {
        code = cli_place_open(c, CLI_REVOKE, &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    if (all) {
        code = revoke_all(c, &place, reason);
    } else {
        code = user != NULL ? revoke_user(c, &place, user, reason) : revoke_one(c, &place, reason);
    }
    cli_place_close(&place);
    return code;
}

static const cli_option list_options[] = {
    {"user", "NAME", "only those of one user"},
    {"limit", "N", "show at most that many (default 1000; 0: all)"},
    {"realm", "REALM", "the user's account system; the one of the settings when not given"},
    {0},
};
static const cli_option revoke_options[] = {
    {"user", "NAME", "every session and token of one user"},
    {"all", NULL, "every session and token there is"},
    {"reason", "WORD", "what the client is told: kicked (default), revoked, banned, replaced"},
    {"realm", "REALM", "the user's account system; the one of the settings when not given"},
    {0},
};

const cli_command cli_session_commands[] = {
    {"session", "list", "", 0, 0, list_options, "List the sessions that are alive",
     "Last-seen times are as exact as the gateway writes them: a tenth of the idle time.",
     "latchkey session list --user alice", list},
    {"session", "show", "PUBLIC_ID", 1, 1, NULL, "Show one session; the answer is no when it is over",
     "The names of its fields are shown, their values are not.", "latchkey session show R2d1nUJkqE0yYl5c",
     show},
    {"session", "revoke", "[PUBLIC_ID]", 0, 1, revoke_options, "End one session, all of a user, or every one",
     "A running gateway on the same settings refuses it at its next request.",
     "latchkey session revoke --user alice --reason banned", revoke},
    {0},
};
