/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - rules that span settings. Each refusal names the rule and the cure.
 */
#include "crypto/password.h"
#include "settings/settings_internal.h"
#include <string.h>

/* tchar of RFC 9110 section 5.6.2: what cookie and header names are made of. */
static bool is_token(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                      (*text >= '0' && *text <= '9');
        if (!letter && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
            return false;
    }
    return true;
}

static bool is_made_of(const char *text, const char *extra)
{
    for (; *text != '\0'; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9');
        if (!plain && strchr(extra, *text) == NULL)
            return false;
    }
    return true;
}

static lk_status refuse(lk_note *note, const char *sentence)
{
    lk_note_set(note, "%s", sentence);
    return LK_REFUSED;
}

/* Browsers match the prefixes in any case, so a name that only looks like one is as bad as the real one
 * misused. RFC 6265bis sections 4.1.3 and 5.4. */
static lk_status check_prefix(const lk_settings *s, const char *setting, const char *cookie, lk_note *note)
{
    lk_view name = lk_view_of(cookie);
    bool host = lk_view_equal_nocase(lk_view_part(name, 0, 7), LK_VIEW("__Host-"));
    bool secure = lk_view_equal_nocase(lk_view_part(name, 0, 9), LK_VIEW("__Secure-"));
    const char *rule = NULL;
    if (host && strncmp(cookie, "__Host-", 7) != 0)
        rule = "browsers know the prefix in any case: write it as __Host-";
    else if (secure && strncmp(cookie, "__Secure-", 9) != 0)
        rule = "browsers know the prefix in any case: write it as __Secure-";
    else if ((host || secure) && !s->cookie_secure)
        rule = "a name with the prefix __Host- or __Secure- needs secure=on; on plain http for a test use a "
               "plain name such as latchkey";
    else if (host && s->cookie_domain[0] != '\0')
        rule = "__Host- binds the cookie to one host; with domain= use the prefix __Secure-";
    else if (host && strcmp(s->cookie_path, "/") != 0)
        rule = "a name with the prefix __Host- needs path=/";
    if (rule != NULL)
        lk_note_set(note, "%s: %s", setting, rule);
    return rule == NULL ? LK_OK : LK_REFUSED;
}

static lk_status check_cookie(const lk_settings *s, lk_note *note)
{
    if (!is_token(s->cookie_name))
        return refuse(note, "latchkey_cookie: the name may hold letters, digits and !#$%&'*+-.^_`|~ only");
    if (s->cookie_samesite == LK_SAMESITE_NONE && !s->cookie_secure)
        return refuse(note, "latchkey_cookie: browsers drop samesite=none without secure=on: add secure=on");
    if (s->cookie_path[0] != '/' || !is_made_of(s->cookie_path, "/-_.~%"))
        return refuse(note, "latchkey_cookie: path= begins with / and holds letters, digits and -_.~% only");
    if (!is_made_of(s->cookie_domain, ".-"))
        return refuse(note, "latchkey_cookie: domain= is a host name such as shop.example");
    return check_prefix(s, "latchkey_cookie", s->cookie_name, note);
}

static lk_status check_device(const lk_settings *s, lk_note *note)
{
    size_t len = strlen(s->cookie_name);
    if (s->device_idle_s > s->device_absolute_s)
        return refuse(note,
                      "latchkey_device: idle= is longer than absolute=, so it could never end a device");
    if (s->device_cookie[0] == '\0')
        return LK_OK;
    if (!is_token(s->device_cookie))
        return refuse(note, "latchkey_device: cookie= may hold letters, digits and !#$%&'*+-.^_`|~ only");
    if (strncmp(s->device_cookie, s->cookie_name, len) == 0 &&
        (s->device_cookie[len] == '\0' || s->device_cookie[len] == '.'))
        return refuse(note, "latchkey_device: cookie= is the name of the session's cookie: choose another");
    return check_prefix(s, "latchkey_device", s->device_cookie, note);
}

static lk_status check_times(const lk_settings *s, lk_note *note)
{
    if (s->idle_s > s->absolute_s)
        return refuse(note,
                      "latchkey_session: idle= is longer than absolute=, so it could never end a session");
    if (s->remember_s < s->absolute_s)
        return refuse(
            note,
            "latchkey_session: remember= is shorter than absolute=: \"stay logged in\" would log out sooner");
    if (s->refresh_idle_s > s->refresh_ttl_s)
        return refuse(note, "latchkey_refresh: idle= is longer than ttl=, so it could never end a login");
    if (s->refresh_grace_s >= s->refresh_idle_s)
        return refuse(note, "latchkey_refresh: grace= has to be shorter than idle=");
    if (s->grace_s > s->fence_s)
        return refuse(note, "latchkey_session: grace= is longer than fence=: a replaced id would outlive the "
                            "mark of its logout");
    return lk__limit_check(s, note);
}

static lk_status check_names(const lk_settings *s, lk_note *note)
{
    static const char *const taken[] = {"authorization", "cookie",         "host",
                                        "connection",    "content-length", "transfer-encoding"};
    if (s->header_name[0] != '\0' && !is_token(s->header_name))
        return refuse(note, "latchkey_header: not the name of a header");
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (lk_view_equal_nocase(lk_view_of(s->header_name), lk_view_of(taken[i])))
            return refuse(note,
                          "latchkey_header: that header has another meaning: choose a name of your own");
    size_t len = strlen(s->prefix);
    if (s->prefix[0] != '/' || len < 2 || s->prefix[len - 1] == '/' || !is_made_of(s->prefix, "/-_") ||
        strstr(s->prefix, "//") != NULL)
        return refuse(note,
                      "latchkey_prefix: a path such as /auth: letters, digits, - and _ , no / at the end");
    if (!is_made_of(s->realm, "-_."))
        return refuse(note, "latchkey_realm: letters, digits and -_. only");
    if (strpbrk(s->jwt_issuer, " \"\\") != NULL || strpbrk(s->jwt_audience, " \"\\") != NULL)
        return refuse(note, "latchkey_jwt: iss= and aud= hold no blank, quote or backslash");
    return LK_OK;
}

/* The successor is made publish= before its time, and the one after it must not be due before it signs. */
static lk_status check_keys(const lk_settings *s, lk_note *note)
{
    if (s->keys_rotate_s > 0 && s->keys_rotate_s < 2 * s->keys_publish_s)
        return refuse(note,
                      "latchkey_keys: rotate= is less than twice publish=: keys would follow each other "
                      "before everybody has seen them");
    return LK_OK;
}

static lk_status check_paths(const lk_settings *s, lk_note *note)
{
    if (s->keys[0] != '/')
        return refuse(note, "latchkey_keys: give the whole path, beginning with /");
    if (s->memory_path[0] != '/' && strcmp(s->memory_path, "anonymous") != 0)
        return refuse(note, "latchkey_memory: give the whole path, beginning with /, or the word anonymous");
    if (s->audit[0] != '/' && strcmp(s->audit, "stderr") != 0 && strcmp(s->audit, "off") != 0)
        return refuse(note, "latchkey_audit: give the whole path of a file, stderr or off");
    return LK_OK;
}

static lk_status check_password(const lk_settings *s, lk_note *note)
{
    lk_note inner = {""};
    lk_password_cost cost = {s->password_memory_kib, s->password_passes};
    lk_status status = lk_password_cost_check(cost, &inner);
    if (status != LK_OK)
        lk_note_set(note, "latchkey_password: %s", inner.text);
    return status;
}

lk_status lk_settings_check(const lk_settings *s, lk_note *note)
{
    static lk_status (*const rules[])(const lk_settings *, lk_note *) = {
        check_cookie, check_device, check_times,    check_keys,
        check_names,  check_paths,  check_password, lk__trust_check};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        lk_status status = rules[i](s, note);
        if (status != LK_OK)
            return status;
    }
    return LK_OK;
}
