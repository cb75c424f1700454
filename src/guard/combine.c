/* SPDX-License-Identifier: Apache-2.0
 *
 * combine.c - which carriers, credentials and stores go together, and why the others do not.
 */
#include "guard/guard_internal.h"
#include <latchkey/account.h>
#include <string.h>

static bool is_only(unsigned mask, unsigned bit)
{
    return mask == (1u << bit);
}

static bool excludes(unsigned mask, unsigned bit)
{
    return mask != 0 && (mask & (1u << bit)) == 0;
}

/* `bound` and `signature`: what they need, and what they cannot be beside. */
static lk_status check_proofs(const lk_rule *rule, lk_note *note)
{
    const char *word = rule->bound ? "bound" : "signature";
    lk_kind kind = rule->bound ? LK_KIND_JWT : LK_KIND_API_KEY;
    if (!rule->bound && !rule->signature)
        return LK_OK;
    if (rule->mode != LK_MODE_REQUIRED)
        lk_note_set(note,
                    "%s asks for a proof of every request, and only latchkey required lets nobody else in",
                    word);
    else if (rule->bound && rule->signature)
        lk_note_set(note,
                    "bound and signature are two ways to prove the same: a token with a key of the client's, "
                    "or an API key that signs; no request has both");
    else if (excludes(rule->kinds, kind))
        lk_note_set(note, "%s needs credential=%s, which this rule leaves out: nobody could come in", word,
                    lk_kind_name(kind));
    else if (excludes(rule->carriers, LK_CARRIER_HEADER))
        lk_note_set(note, "%s needs carrier=header, which this rule leaves out: nobody could come in", word);
    else
        return LK_OK;
    return LK_REFUSED;
}

lk_status lk_rule_check(const lk_rule *rule, const lk_settings *settings, lk_note *note)
{
    bool asks = rule->role.len > 0 || rule->scope.len > 0 || rule->realm.len > 0 || rule->audience.len > 0 ||
                rule->max_age_s > 0;
    lk_view name = rule->scope, scope = rule->scope;
    lk_way way = lk_way_of_settings(settings);
    unsigned given = 1u << lk_way_credential(way), ids = 1u << LK_KIND_SESSION_ID;
    lk_status status = check_proofs(rule, note);
    if (status != LK_OK)
        return status;
    if (rule->mode == LK_MODE_OFF && (asks || rule->carriers != 0 || rule->kinds != 0))
        lk_note_set(note, "latchkey off takes nothing after it: what is not checked cannot be asked for");
    else if (rule->mode == LK_MODE_OPTIONAL && asks)
        lk_note_set(note, "latchkey optional lets everybody in, so role=, scope=, realm=, audience= and "
                          "max_age= would not hold: "
                          "write required");
    else if (rule->max_age_s < 0)
        lk_note_set(note, "max_age= is a time such as 10m");
    else if (rule->role.len > LK_ROLES_MAX || rule->scope.len > LK_SCOPE_MAX ||
             rule->realm.len > LK_REALM_MAX)
        lk_note_set(
            note, "role= and scope= are at most 256 characters, realm= at most 32: no user could hold more");
    else if (scope.len > 0 && is_only(rule->kinds, LK_KIND_SESSION_ID) && lk_words_next(&scope, &name))
        lk_note_set(
            note,
            "scope= with credential=session_id does nothing: a session of the site holds every scope of "
            "its user; add a token kind, or ask for role=");
    else if ((rule->kinds & ids) != 0 && (rule->kinds & given) == 0)
        lk_note_set(note,
                    "credential=session_id contradicts latchkey_share %s, under which a login is given %s: "
                    "nobody could come in; add %s",
                    lk_way_name(way), lk_kind_name(lk_way_credential(way)),
                    lk_kind_name(lk_way_credential(way)));
    else if (is_only(rule->carriers, LK_CARRIER_URL) && rule->kinds != 0 && (rule->kinds & ids) == 0)
        lk_note_set(note, "carrier=url takes session ids and nothing else: nobody could come in; write "
                          "credential=session_id, or another carrier");
    else
        return LK_OK;
    return LK_REFUSED;
}

/* nginx, its workers and the command line are started in different directories: a relative path would be
 * three. */
static lk_status check_url(const char *name, const char *url, lk_status status, const lk_note *why,
                           lk_note *note)
{
    lk_view rest = lk_view_of(url);
    rest = lk_view_part(rest, lk_view_find(rest, ':') + 1, rest.len);
    if (status == LK_OK && (rest.len == 0 || rest.p[0] == '/'))
        return LK_OK;
    lk_note_set(note, "%s: %s", name, status != LK_OK ? why->text : "give the whole path, beginning with /");
    return LK_REFUSED;
}

lk_status lk_guard_settings_check(const lk_settings *settings, lk_note *note)
{
    lk_note why = {""};
    lk_status status = lk_settings_check(settings, note);
    if (status != LK_OK)
        return status;
    status = lk_store_url_check(settings->store, &why);
    status = check_url("latchkey_store", settings->store, status, &why, note);
    if (status != LK_OK)
        return status;
    status = lk_accounts_url_check(settings->accounts, &why);
    status = check_url("latchkey_accounts", settings->accounts, status, &why, note);
    return status == LK_OK ? lk__share_check(settings, note) : status;
}
