/* SPDX-License-Identifier: Apache-2.0
 *
 * account.c - the account page: who I am, where I am signed in, and the way out of each.
 */
#include "service/agent.h"
#include "service/api_keys.h"
#include "service/devices.h"
#include "service/sessions.h"

static void fill_scope(lk__call *c, const lk__session_row *row, lk__scope *scope)
{
    const char *browser = lk__agent_browser(lk_view_of(row->agent));
    const char *system = lk__agent_system(lk_view_of(row->agent));
    lk_buf end_path = lk__arena_buf(c->arena, 256);
    lk_buf_add(&end_path, lk__path(c, "/sessions/"));
    lk_buf_add_text(&end_path, row->public_id);
    lk__scope_flag(scope, "known", browser[0] != '\0' || system[0] != '\0');
    lk__scope_text(scope, "browser", lk_view_of(browser));
    lk__scope_text(scope, "system", lk_view_of(system));
    lk__scope_flag(scope, "is_current", row->is_current);
    lk__scope_flag(scope, "is_token", (row->flags & LK_SESSION_TOKEN) != 0);
    lk__scope_text(scope, "address", lk_view_of(row->address));
    lk__scope_text(scope, "seen", lk__time_text(c, row->seen_s));
    lk__scope_text(scope, "issued", lk__time_text(c, row->issued_s));
    lk__scope_text(scope, "expires", lk__time_text(c, row->ends_s));
    lk__scope_text(scope, "end_path", lk_buf_view(&end_path));
}

void lk__account_page(lk__call *c)
{
    lk__session_list list;
    if (lk__sessions_load(c, 0, &list) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    lk__scope *rows = lk__arena_take(c->arena, (list.n + 1) * sizeof(lk__scope));
    if (rows == NULL) {
        lk__answer_unavailable(c);
        return;
    }
    for (size_t i = 0; i < list.n; i++)
        fill_scope(c, &list.rows[i], &rows[i]);
    lk_api_key *keys;
    size_t keys_n;
    if (lk__api_keys_load(c, &keys, &keys_n) != LK_OK)
        keys_n = 0; /* the accounts are away: the sessions are worth showing without them */
    lk__scope *key_rows = lk__arena_take(c->arena, (keys_n + 1) * sizeof(lk__scope));
    for (size_t i = 0; key_rows != NULL && i < keys_n; i++)
        lk__api_key_scope(c, &keys[i], &key_rows[i]);
    lk__scope scope = {.n = 0};
    lk__scope_rows(&scope, "sessions", rows, list.n);
    if (lk__devices_scope(c, &scope) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    lk__scope_rows(&scope, "keys", key_rows, key_rows == NULL ? 0 : keys_n);
    lk__scope_text(&scope, "keys_path", lk__path(c, "/api-keys"));
    lk__scope_flag(&scope, "others", list.n > 1);
    lk__scope_flag(&scope, "more", list.next != 0);
    lk__scope_text(&scope, "others_path", lk__path(c, "/sessions/others"));
    lk__scope_text(&scope, "everywhere_path", lk__path(c, "/logout?everywhere=1"));
    lk__scope_text(&scope, "password_path", lk__path(c, "/password"));
    lk__scope_flag(&scope, "password_changed",
                   lk_view_equal(lk__query_text(c, LK_VIEW("notice")), LK_VIEW("password_changed")));
    lk__page(c, 200, "account", &scope);
}

void lk__home(lk__call *c)
{
    lk__answer_redirect(c, 303, lk__path(c, "/account"));
}

/* https://w3c.github.io/webappsec-change-password-url/: password managers come here. */
void lk__change_password(lk__call *c)
{
    lk__answer_redirect(c, 302, lk__path(c, "/password"));
}
