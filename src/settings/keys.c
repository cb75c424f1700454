/* SPDX-License-Identifier: Apache-2.0
 *
 * keys.c - what the settings mean for the life of keys.
 */
#include <latchkey/settings.h>

enum { HOUR_S = 3600, DAY_S = 86400 };

/* The longest life of anything that a key signs or seals. */
static int64_t longest_life_s(const lk_settings *s)
{
    const int64_t lives[] = {s->absolute_s, s->remember_s, s->anonymous_s, s->token_ttl_s, s->jwt_ttl_s};
    int64_t longest = 0;

    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
        if (lives[i] > longest)
            longest = lives[i];
    }
    return longest + s->jwt_leeway_s;
}

/* A margin of a day for settings that were lowered while older credentials are still out; not where
 * everything is over within the hour. */
lk_key_place lk_settings_key_place(const lk_settings *s)
{
    int64_t life_s = longest_life_s(s);

    return (lk_key_place){.dir = s->keys,
                          .secret = lk_view_of(s->keys_secret),
                          .publish_s = s->keys_publish_s,
                          .life_s = life_s > HOUR_S ? life_s + DAY_S : life_s,
                          .algs = LK_ALGS_FIRST | LK_ALG_BIT(s->jwt_alg)};
}
