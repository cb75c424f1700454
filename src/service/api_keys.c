/* SPDX-License-Identifier: Apache-2.0
 *
 * api_keys.c - /api-keys: a user makes keys for programs, sees them in a list, and takes them back. The key
 * itself is shown once, in the answer that makes it. docs/third-parties.md
 */
#include "service/api_keys.h"

#include "service/sessions.h"
#include "service/text.h"

#include <string.h>

enum { LIFE_S = 90 * 86400, TRIES = 4 };

static void broken(lk__call *c, const char *rule)
{
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk_view_of(rule));
}

/* ---- what is asked for ---- */

/* LK_OK; LK_MISS; LK_REFUSED when it is no whole number. */
static lk_status read_number(lk__call *c, const char *name, int64_t *out)
{
    lk_json_item item;
    lk_view text;
    if (c->body_kind == LK_BODY_JSON) {
        if (lk_json_get(c->req->body, lk_view_of(name), &item) != LK_OK || item.type == LK_JSON_NULL)
            return LK_MISS;
        return item.type == LK_JSON_NUMBER ? lk_json_i64(item.value, out) : LK_REFUSED;
    }
    lk_status status = lk__body_text(c, lk_view_of(name), &text);
    if (status != LK_OK || text.len == 0)
        return status == LK_REFUSED ? LK_REFUSED : LK_MISS;
    return lk_parse_i64(text, out);
}

static bool read_expiry(lk__call *c, int64_t *out)
{
    int64_t now_s = c->now_ms / 1000, at = 0, in = LIFE_S;
    lk_status by_time = read_number(c, "expires", &at), by_life = read_number(c, "expires_in", &in);
    *out = by_time == LK_OK ? at : now_s + LIFE_S;
    if (by_life == LK_OK && in > 0 && in <= LK_API_KEY_LIFE_MAX_S)
        *out = now_s + in;
    else if (by_life == LK_OK)
        by_life = LK_REFUSED;
    if (by_time != LK_REFUSED && by_life != LK_REFUSED && (by_time == LK_MISS || by_life == LK_MISS))
        return true;
    broken(c, "say expires (seconds since 1970) or expires_in (seconds from now), a whole number, at most "
              "ten years");
    return false;
}

/* Nobody gives what he has not got. */
static bool may_give(lk__call *c, const lk_api_key *key)
{
    if (c->id->limited && !lk_words_have_every(lk_view_of(c->id->scope), lk_view_of(key->scope))) {
        lk__answer_reason(c, 403, LK_REASON_INSUFFICIENT_SCOPE,
                          LK_VIEW("this credential cannot make a key with scopes that it does not hold"));
        return false;
    }
    if (!lk_words_have_every(lk_view_of(c->id->roles), lk_view_of(key->roles))) {
        lk__answer_reason(c, 403, LK_REASON_INSUFFICIENT_ROLE,
                          LK_VIEW("a key can only be given roles that its user has"));
        return false;
    }
    return true;
}

static bool read_wish(lk__call *c, lk_api_key *key)
{
    lk_api_key_wish wish = {0};
    lk_note note = {""};
    if (!lk__body_need(c, LK_VIEW("label"), &wish.label) || !lk__body_words(c, "scope", &wish.scope) ||
        !lk__body_words(c, "roles", &wish.roles) || !lk__body_words(c, "audience", &wish.audience) ||
        !lk__body_words(c, "addresses", &wish.addresses) || !read_expiry(c, &wish.expires_s))
        return false;
    if (lk_api_key_describe(&wish, c->now_ms / 1000, key, &note) != LK_OK) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
        return false;
    }
    return may_give(c, key);
}

/* ---- making ---- */

/* TEXT receives the key. A public part that is taken, one chance in 2^48 for each key there is, is drawn
 * anew. */
static lk_status make(lk__call *c, lk_api_key *key, char text[LK_API_KEY_LEN + 1], lk_note *note)
{
    lk_status status = LK_REFUSED;
    memcpy(key->user, c->id->user, sizeof(key->user));
    key->created_ms = lk_guard_issue_time_ms(c->s->guard, lk_view_of(c->id->realm), lk_view_of(key->roles),
                                             lk_view_of(c->id->user), (lk_view){0});
    for (int i = 0; i < TRIES && status == LK_REFUSED; i++) {
        status = lk_api_key_make(c->s->env, lk_guard_parts_of(c->s->guard)->ring, text);
        memcpy(key->public_id, text + 3, LK_API_KEY_PUBLIC_LEN);
        if (status == LK_OK)
            status = lk_accounts_api_key_add(c->s->accounts, key, c->s->settings->api_key_per_user, note);
    }
    return status;
}

static void add_words(lk_buf *out, const char *name, const char *words)
{
    lk_view rest = lk_view_of(words), word;
    bool first = true;
    lk_buf_add_printf(out, ",\"%s\":[", name);
    while (lk_words_next(&rest, &word)) {
        if (!first)
            lk_buf_add_byte(out, ',');
        first = false;
        lk__json_add(out, word);
    }
    lk_buf_add_byte(out, ']');
}

/* The members of KEY, without the brackets around them. */
static void write_key(lk_buf *out, const lk_api_key *key)
{
    lk_buf_add_printf(out, "\"public_id\":\"%s\",\"label\":", key->public_id);
    lk__json_add(out, lk_view_of(key->label));
    lk_buf_add_text(out, ",\"scope\":");
    lk__json_add(out, lk_view_of(key->scope));
    add_words(out, "roles", key->roles);
    add_words(out, "audience", key->audience);
    add_words(out, "addresses", key->addresses);
    lk_buf_add_printf(out,
                      ",\"created\":%lld,\"expires\":%lld,\"last_used\":", (long long)key->created_ms / 1000,
                      (long long)key->expires_s);
    if (key->used_s > 0)
        lk_buf_add_i64(out, key->used_s);
    else
        lk_buf_add_text(out, "null");
}

/* The one answer that has the key in it. */
static void answer_made(lk__call *c, const lk_api_key *key, const char *text)
{
    if (c->page) {
        lk__scope scope = {.n = 0};
        lk__scope_text(&scope, "key", lk__arena_copy(c->arena, lk_view_make(text, LK_API_KEY_LEN)));
        lk__scope_text(&scope, "label", lk__arena_copy(c->arena, lk_view_of(key->label)));
        lk__scope_text(&scope, "account_path", lk__path(c, "/account#api-keys"));
        lk__page(c, 201, "api_key", &scope);
        return;
    }
    lk_buf body = lk__arena_buf(c->arena, 4096);
    lk_buf_add_printf(&body, "{\"key\":\"%s\",", text);
    write_key(&body, key);
    lk_buf_add_byte(&body, '}');
    lk__answer(c, 201, "application/json", &body);
}

void lk__api_keys_make(lk__call *c)
{
    lk_api_key key;
    char text[LK_API_KEY_LEN + 1] = "";
    lk_note note = {""};
    if (!lk__issue_is_safe(c) || !read_wish(c, &key))
        return;
    switch (make(c, &key, text, &note)) {
    case LK_OK:
        lk__audit(c, "api_key_made", LK_REASON_NONE, 201, (lk_view){0}, c->id);
        answer_made(c, &key, text);
        break;
    case LK_FULL:
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
        break;
    case LK_MISS:
        lk__answer_reason(c, 403, LK_REASON_INSUFFICIENT_SCOPE,
                          LK_VIEW("only users of this site's own accounts can make API keys"));
        break;
    case LK_STALE:
    case LK_REFUSED:
    case LK_FAULT:
        lk__answer_unavailable(c);
        break;
    }
    lk_wipe(text, sizeof(text));
}

/* ---- listing ---- */

lk_status lk__api_keys_load(lk__call *c, lk_api_key **keys, size_t *n)
{
    *keys = lk__arena_take(c->arena, LK_API_KEYS_MAX * sizeof(lk_api_key));
    *n = 0;
    if (*keys == NULL)
        return LK_FAULT;
    return lk_accounts_api_keys(c->s->accounts, lk_view_of(c->id->user), *keys, LK_API_KEYS_MAX, n);
}

void lk__api_keys_get(lk__call *c)
{
    lk_api_key *keys;
    size_t n;
    if (c->page) {
        lk__answer_redirect(c, 303, lk__path(c, "/account#api-keys"));
        return;
    }
    if (lk__api_keys_load(c, &keys, &n) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    lk_buf body = lk__arena_buf(c->arena, 64 + n * 2048);
    lk_buf_add_text(&body, "{\"api_keys\":[");
    for (size_t i = 0; i < n; i++) {
        lk_buf_add_text(&body, i > 0 ? ",{" : "{");
        write_key(&body, &keys[i]);
        lk_buf_add_byte(&body, '}');
    }
    lk_buf_add_text(&body, "]}");
    lk__answer(c, 200, "application/json", &body);
}

/* One row of the account page. */
void lk__api_key_scope(lk__call *c, const lk_api_key *key, lk__scope *scope)
{
    lk_buf end_path = lk__arena_buf(c->arena, 256);
    lk_buf_add(&end_path, lk__path(c, "/api-keys/"));
    lk_buf_add_text(&end_path, key->public_id);
    lk__scope_text(scope, "label", lk_view_of(key->label));
    lk__scope_text(scope, "public_id", lk_view_of(key->public_id));
    lk__scope_text(scope, "scope", lk_view_of(key->scope));
    lk__scope_text(scope, "created", lk__time_text(c, key->created_ms / 1000));
    lk__scope_text(scope, "expires", lk__time_text(c, key->expires_s));
    lk__scope_text(scope, "used", key->used_s > 0 ? lk__time_text(c, key->used_s) : (lk_view){0});
    lk__scope_text(scope, "end_path", lk_buf_view(&end_path));
}

/* ---- taking back ---- */

static void answer_unknown(lk__call *c, lk_status status)
{
    if (status == LK_MISS)
        lk__answer_problem(c, LK_PROBLEM_NOT_FOUND, LK_VIEW("you have no API key of this public part"));
    else
        lk__answer_unavailable(c);
}

/* Fences, then the row, then fences again. Whoever asks once more after a store that failed finds the row
 * still there, or nothing left to do; and a session that was made in between ends. */
void lk__api_key_end(lk__call *c)
{
    lk_api_key key;
    lk_status status = lk_accounts_api_key_get(c->s->accounts, c->param, &key);
    if (status == LK_OK && !lk_view_equal(lk_view_of(key.user), lk_view_of(c->id->user)))
        status = LK_MISS;
    if (status == LK_OK && lk_guard_api_key_end(c->s->guard, c->param, LK_REASON_REVOKED) != LK_OK)
        status = LK_FAULT;
    if (status == LK_OK)
        status = lk_accounts_api_key_remove(c->s->accounts, lk_view_of(c->id->user), c->param);
    if (status == LK_OK && lk_guard_api_key_end(c->s->guard, c->param, LK_REASON_REVOKED) != LK_OK)
        status = LK_FAULT;
    if (status != LK_OK) {
        answer_unknown(c, status == LK_MISS ? LK_MISS : LK_FAULT);
        return;
    }
    lk__audit(c, "api_key_ended", LK_REASON_REVOKED, 204, (lk_view){0}, c->id);
    if (c->page)
        lk__answer_redirect(c, 303, lk__path(c, "/account#api-keys"));
    else
        lk__answer_empty(c, 204);
}

/* The page that asks before a key is taken back; for programs the key as JSON. */
void lk__api_key_page(lk__call *c)
{
    lk_api_key key;
    lk_status status = lk_accounts_api_key_get(c->s->accounts, c->param, &key);
    if (status == LK_OK && !lk_view_equal(lk_view_of(key.user), lk_view_of(c->id->user)))
        status = LK_MISS;
    if (status != LK_OK) {
        answer_unknown(c, status);
        return;
    }
    if (!c->page) {
        lk_buf body = lk__arena_buf(c->arena, 4096);
        lk_buf_add_byte(&body, '{');
        write_key(&body, &key);
        lk_buf_add_byte(&body, '}');
        lk__answer(c, 200, "application/json", &body);
        return;
    }
    lk__scope scope = {.n = 0};
    lk_buf to = lk__arena_buf(c->arena, 256);
    lk_buf_add(&to, lk__path(c, "/api-keys/"));
    lk_buf_add(&to, c->param);
    lk__scope_flag(&scope, "end_key", true);
    lk__scope_text(&scope, "label", lk__arena_copy(c->arena, lk_view_of(key.label)));
    lk__scope_text(&scope, "form_path", lk_buf_view(&to));
    lk__page(c, 200, "confirm", &scope);
}
