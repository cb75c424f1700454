/* SPDX-License-Identifier: Apache-2.0
 *
 * routes.c - the whole surface of the API, in one table.
 */
#include "service/devices.h"

#define SLOW LK_ROUTE_SLOW
#define CSRF LK_ROUTE_CSRF
#define LOGIN (LK_ROUTE_LOGIN | LK_ROUTE_RENEW)
#define BODY LK_ROUTE_BODY
#define BARE LK_ROUTE_BARE
#define PAGE LK_ROUTE_PAGE
#define DATA LK_ROUTE_DATA
#define ABSOLUTE LK_ROUTE_ABSOLUTE
#define FORM LK_ROUTE_FORM
#define RENEW LK_ROUTE_RENEW
#define OWNER LK_ROUTE_OWNER

static const lk__route routes[] = {
    {"GET", "", lk__home, NULL, PAGE | BARE},
    {"GET", "/", lk__home, NULL, PAGE | BARE},

    {"GET", "/login", lk__login_page, NULL, PAGE},
    {"POST", "/login", lk__login, lk__login_again, SLOW | CSRF | BODY},
    {"GET", "/register", lk__register_page, NULL, PAGE},
    {"POST", "/register", lk__register, lk__register_again, SLOW | CSRF | BODY},
    {"GET", "/logout", lk__logout_page, NULL, PAGE},
    {"POST", "/logout", lk__logout, NULL, CSRF | OWNER},
    {"GET", "/password", lk__password_page, NULL, PAGE | LOGIN},
    {"POST", "/password", lk__password, lk__password_again, SLOW | CSRF | BODY | LOGIN},

    {"POST", "/refresh", lk__refresh, NULL, BARE | DATA | BODY},

    {"GET", "/session", lk__session_get, NULL, DATA | RENEW},
    {"GET", "/session/data", lk__data_get, NULL, DATA | RENEW},
    {"PATCH", "/session/data", lk__data_patch, NULL, DATA | CSRF | RENEW | OWNER},

    {"GET", "/account", lk__account_page, NULL, PAGE | LOGIN},
    {"GET", "/sessions", lk__sessions_get, NULL, LOGIN},
    {"DELETE", "/sessions", lk__sessions_end_others, NULL, CSRF | LOGIN},
    {"POST", "/sessions", lk__sessions_post, NULL, CSRF | LOGIN | BODY | FORM},
    {"GET", "/sessions/others", lk__sessions_others_page, NULL, PAGE | LOGIN},
    {"GET", "/sessions/{}", lk__session_page, NULL, LOGIN},
    {"DELETE", "/sessions/{}", lk__session_end, NULL, CSRF | LOGIN},
    {"POST", "/sessions/{}", lk__session_end, NULL, CSRF | LOGIN | BODY | FORM},

    {"GET", "/devices", lk__devices_get, NULL, LOGIN},
    {"POST", "/devices", lk__devices_post, NULL, CSRF | LOGIN | BODY},
    {"POST", "/devices/challenge", lk__device_challenge, NULL, DATA | CSRF | BODY},
    {"POST", "/devices/session", lk__device_session, NULL, DATA | CSRF | BODY},
    {"GET", "/devices/{}", lk__device_page, NULL, LOGIN},
    {"PATCH", "/devices/{}", lk__device_patch, NULL, DATA | CSRF | LOGIN},
    {"DELETE", "/devices/{}", lk__device_delete, NULL, CSRF | LOGIN},
    {"POST", "/devices/{}", lk__device_post, NULL, CSRF | LOGIN | BODY | FORM},

    {"GET", "/api-keys", lk__api_keys_get, NULL, LOGIN},
    {"POST", "/api-keys", lk__api_keys_make, NULL, CSRF | LOGIN | BODY},
    {"GET", "/api-keys/{}", lk__api_key_page, NULL, LOGIN},
    {"DELETE", "/api-keys/{}", lk__api_key_end, NULL, CSRF | LOGIN},
    {"POST", "/api-keys/{}", lk__api_key_end, NULL, CSRF | LOGIN | BODY | FORM},

    {"POST", "/admin/explain", lk__admin_explain, NULL, DATA | CSRF | LOGIN | BODY},

    {"GET", "/authz/auth-request", lk__auth_request, NULL, BARE | DATA},
    {"GET", "/authz/forward-auth", lk__forward_auth, NULL, BARE | DATA},

    {"GET", "/health/live", lk__health_live, NULL, BARE | DATA},
    {"GET", "/health/ready", lk__health_ready, NULL, BARE | DATA},
    {"GET", "/metrics", lk__metrics, NULL, BARE | DATA},
    {"GET", "/assets/{}", lk__asset, NULL, BARE | DATA},

    {"GET", "/.well-known/jwks.json", lk__jwks, NULL, BARE | DATA | ABSOLUTE},
    {"GET", "/.well-known/oauth-authorization-server", lk__oauth_metadata, NULL, BARE | DATA | ABSOLUTE},
    {"POST", "/oauth2/token", lk__oauth_token_make, NULL, BARE | DATA | ABSOLUTE},
    {"POST", "/oauth2/introspect", lk__oauth_introspect, NULL, BARE | DATA | ABSOLUTE},
    {"POST", "/oauth2/revoke", lk__oauth_revoke, NULL, BARE | DATA | ABSOLUTE},
    {"GET", "/.well-known/change-password", lk__change_password, NULL, BARE | PAGE | ABSOLUTE},
};

const lk__route *lk__route_at(size_t index)
{
    return index < sizeof(routes) / sizeof(routes[0]) ? &routes[index] : NULL;
}

/* Does PATH (without the prefix) fit PATTERN? PARAM receives what {} stands for. */
static bool path_fits(lk_view pattern, lk_view path, lk_view *param)
{
    *param = (lk_view){0};
    if (pattern.len < 2 || pattern.p[pattern.len - 1] != '}')
        return lk_view_equal(pattern, path);
    size_t fixed = pattern.len - 2;
    if (path.len <= fixed || !lk_view_equal(lk_view_part(pattern, 0, fixed), lk_view_part(path, 0, fixed)))
        return false;
    *param = lk_view_part(path, fixed, path.len);
    return lk_view_find(*param, '/') == param->len;
}

static bool route_fits(const lk__route *r, const lk_settings *settings, lk_view path, lk_view *param)
{
    lk_view prefix = lk_view_of(settings->prefix);
    if ((r->flags & LK_ROUTE_ABSOLUTE) == 0) {
        if (!lk_view_equal(lk_view_part(path, 0, prefix.len), prefix))
            return false;
        path = lk_view_part(path, prefix.len, path.len);
    }
    return path_fits(lk_view_of(r->path), path, param);
}

static void allow_method(lk_buf *allow, const char *method)
{
    if (allow->len > 0)
        lk_buf_add_text(allow, ", ");
    lk_buf_add_text(allow, method);
    if (lk_view_equal(lk_view_of(method), LK_VIEW("GET")))
        lk_buf_add_text(allow, ", HEAD");
}

/* `/sessions/others` fits two patterns; what is spelt out comes first in the table and wins, for every
 * method, so that {} never hides a fixed name. */
lk_status lk__route_find(const lk_settings *settings, lk_view method, lk_view path, const lk__route **out,
                         lk_view *param, lk_buf *allow)
{
    const char *pattern = NULL;
    if (lk_view_equal(method, LK_VIEW("HEAD")))
        method = LK_VIEW("GET");
    *out = NULL;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        lk_view found;
        if (!route_fits(&routes[i], settings, path, &found))
            continue;
        if (pattern != NULL && !lk_view_equal(lk_view_of(pattern), lk_view_of(routes[i].path)))
            continue;
        pattern = routes[i].path;
        allow_method(allow, routes[i].method);
        if (!lk_view_equal(lk_view_of(routes[i].method), method))
            continue;
        *out = &routes[i];
        *param = found;
        return LK_OK;
    }
    return pattern == NULL ? LK_MISS : LK_REFUSED;
}
