/* SPDX-License-Identifier: Apache-2.0
 *
 * register.c - POST /register, and its page.
 */
#include "service/call.h"

static bool is_open(lk__call *c)
{
    if (c->s->settings->registration)
        return true;
    lk__answer_problem(c, LK_PROBLEM_FORBIDDEN,
                       LK_VIEW("registration is switched off: an administrator makes the accounts here"));
    return false;
}

static void answer_made(lk__call *c, const lk_user *user)
{
    lk_guard_count(c->s->guard, LK_COUNT_REGISTRATIONS);
    lk__audit(c, "registered", LK_REASON_NONE, 201, lk_view_of(user->id), NULL);
    if (c->page) {
        lk_buf to = lk__arena_buf(c->arena, 8192);
        lk_view return_to = lk__page_return(c);
        lk_view link = lk__page_link(c, "/login", return_to);
        lk_buf_add(&to, link);
        lk_buf_add_text(&to, return_to.len > 0 ? "&notice=registered" : "?notice=registered");
        lk__answer_redirect(c, 303, lk_buf_view(&to));
        return;
    }
    lk_buf body = lk__arena_buf(c->arena, 4096);
    lk_buf_add_text(&body, "{\"user\":");
    lk__json_user(&body, lk_view_of(user->id), lk_view_of(user->name), lk_view_of(user->roles));
    lk_buf_add_byte(&body, '}');
    lk__answer(c, 201, "application/json", &body);
}

void lk__register(lk__call *c)
{
    lk_view name, password;
    lk_user user;
    lk_note note = {{0}};
    if (!is_open(c) || !lk__issue_is_safe(c) || !lk__body_need(c, LK_VIEW("username"), &name) ||
        !lk__body_need(c, LK_VIEW("password"), &password))
        return;
    switch (lk_accounts_add(c->s->accounts, lk_view_of(c->s->settings->realm), name, password, (lk_view){0},
                            &user, &note)) {
    case LK_OK:
        answer_made(c, &user);
        return;
    case LK_REFUSED:
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
        return;
    case LK_FULL:
        lk__answer_problem(c, LK_PROBLEM_NAME_TAKEN, LK_VIEW("somebody has registered this name before"));
        return;
    case LK_MISS:
    case LK_STALE:
    case LK_FAULT:
        break;
    }
    lk__answer_unavailable(c);
}

static void form_scope(lk__call *c, lk__scope *scope)
{
    lk_view return_to = lk__page_return(c);
    lk__scope_text(scope, "return", return_to);
    lk__scope_text(scope, "form_path", lk__path(c, "/register"));
    lk__scope_text(scope, "login_path", lk__page_link(c, "/login", return_to));
}

void lk__register_page(lk__call *c)
{
    lk__scope scope = {.n = 0};
    if (!is_open(c))
        return;
    form_scope(c, &scope);
    lk__page(c, 200, "register", &scope);
}

void lk__register_again(lk__call *c, int status, const char *word, lk_view detail)
{
    lk__scope scope = {.n = 0};
    lk_view name = {0};
    form_scope(c, &scope);
    if (lk__body_text(c, LK_VIEW("username"), &name) != LK_OK)
        name = (lk_view){0};
    lk__scope_text(&scope, "username", name);
    lk__scope_text(&scope, "error", lk__page_problem_text(c, word, detail));
    lk__scope_flag(&scope, "name_taken", status == lk__problem_about(LK_PROBLEM_NAME_TAKEN)->status);
    if (status == 422)
        lk__page_rule(c, detail, &scope);
    lk__page(c, status, "register", &scope);
}
