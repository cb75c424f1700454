/* SPDX-License-Identifier: Apache-2.0
 *
 * asset.c - the style sheet and the logo: their names hold a hash of what is in them, so they are kept for
 * good.
 */
#include "service/call.h"
#include "service/web.h"

void lk__asset(lk__call *c)
{
    for (size_t i = 0; i < LK_WEB_ASSETS; i++) {
        const lk__web_asset *asset = &lk__web_assets[i];
        if (!lk_view_equal(c->param, lk_view_of(asset->name)))
            continue;
        c->res->status = 200;
        c->res->body = lk_view_make(asset->data, asset->len);
        lk__answer_header(c, "Content-Type", lk_view_of(asset->media_type));
        lk__answer_header(c, "Cache-Control", LK_VIEW("public, max-age=31536000, immutable"));
        return;
    }
    lk__answer_problem(c, LK_PROBLEM_NOT_FOUND, LK_VIEW("there is no such file"));
}
