/* SPDX-License-Identifier: Apache-2.0
 *
 * accounts.c - opening and closing the account system.
 */
#include "account/internal.h"
#include <latchkey/secret.h>

lk_status lk_accounts_url_check(const char *url, lk_note *note)
{
    return lk_sql_url_check(url, note);
}

/* A hash of the present cost whose password is nobody's: 32 random bytes that are forgotten at once. */
static lk_status nobody_make(lk_accounts *a, lk_note *note)
{
    uint8_t password[32];
    lk_status status = lk_random(a->env, password, sizeof(password));

    if (status == LK_OK)
        status = lk_password_hash(a->env, lk_view_make(password, sizeof(password)), a->cost, a->nobody);
    if (status != LK_OK)
        lk_note_set(note, "A password cannot be hashed with memory=%u: there is not enough memory.",
                    a->cost.memory_kib);
    lk_wipe(password, sizeof(password));
    return status;
}

static lk_status ready(lk_accounts *a, const char *url, lk_note *note)
{
    lk_status status = lk_password_cost_check(a->cost, note);

    if (status == LK_OK)
        status = lk_sql_open(a->env, url, NULL, &a->sql, note);
    if (status == LK_OK)
        status = lk__schema_ready(a->sql, note);
    if (status == LK_OK) {
        a->text = lk__account_text_of(lk_sql_dialect_of(a->sql));
        status = nobody_make(a, note);
    }
    return status == LK_FULL ? LK_FAULT : status;
}

lk_status lk_accounts_open(const lk_env *env, const lk_settings *settings, const lk_keyring *ring,
                           lk_accounts **out, lk_note *note)
{
    lk_accounts *a = NULL;
    lk_status status;

    *out = NULL;
    if (lk_keyring_mac(ring, LK_PURPOSE_THROTTLE) == NULL) {
        lk_note_set(note,
                    "These keys are for checking tokens only; accounts need the keys of a key directory.");
        return LK_REFUSED;
    }
    a = lk_alloc(env, sizeof(*a));
    if (a == NULL) {
        lk_note_set(note, "Out of memory.");
        return LK_FAULT;
    }
    a->env = env;
    a->settings = settings;
    a->mac = lk_keyring_mac(ring, LK_PURPOSE_THROTTLE);
    a->client_mac = lk_keyring_mac(ring, LK_PURPOSE_CLIENT);
    a->cost = (lk_password_cost){settings->password_memory_kib, settings->password_passes};
    a->dictionary = LK_DICTIONARY;
    for (size_t i = 0; i < LK_STRIPES; i++)
        pthread_mutex_init(&a->stripes[i], NULL);
    status = ready(a, settings->accounts, note);
    if (status == LK_OK)
        *out = a;
    else
        lk_accounts_close(a);
    return status;
}

lk_status lk_accounts_setup(const lk_env *env, const char *url, bool upgrade, lk_note *note)
{
    lk_sql *sql = NULL;
    lk_status status = lk_sql_open(env, url, NULL, &sql, note);

    if (status == LK_OK)
        status = lk__schema_make(sql, upgrade, note);
    lk_sql_close(sql);
    return status == LK_FULL ? LK_FAULT : status;
}

void lk_accounts_close(lk_accounts *a)
{
    if (a == NULL)
        return;
    lk_sql_close(a->sql);
    for (size_t i = 0; i < LK_STRIPES; i++)
        pthread_mutex_destroy(&a->stripes[i]);
    lk_free(a->env, a);
}
