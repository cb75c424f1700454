/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_table.c - what was measured, as JSON and as a table. docs/lab.md says what each figure means.
 */
#include "lab.h"
#include <math.h>
#include <string.h>
#include <time.h>

#define WELL 0.95 /* of what was asked for: then it "works" with the store down */
#define NONE 0.02 /* and with less than this it does not */

/* ---- what works with the store down ---- */

static void add_word(lk_buf *out, const char *what, double part)
{
    if (part < NONE) {
        return;
    }
    lk_buf_add_printf(out, "%s%s", out->len > 0 ? ", " : "", what);
    if (part < WELL) {
        lk_buf_add_printf(out, " (%.0f %%)", part * 100);
    }
}

void lab_down_words(lab_result *r)
{
    lk_buf out = lk_buf_over(r->store_down, sizeof r->store_down);
    if (!r->has_store) {
        lk_buf_add_text(&out, "no store to lose");
    } else {
        add_word(&out, "requests", r->down_requests);
        add_word(&out, "changes", r->down_changes);
        add_word(&out, "logins", r->down_logins);
        if (out.len == 0) {
            lk_buf_add_text(&out, "nothing");
        } else if (r->down_back_s > 0) {
            lk_buf_add_printf(&out, "; all again after %.1f s", r->down_back_s);
        }
    }
    (void)lk_buf_text(&out);
}

/* ---- JSON ---- */

/* Three decimals are more than any of this is good for. */
static void set_real(json_t *object, const char *key, double value)
{
    (void)json_object_set_new(object, key, json_real(round(value * 1000) / 1000));
}

static json_t *down_parts(const lab_result *r)
{
    json_t *parts = json_object();
    set_real(parts, "requests", r->down_requests);
    set_real(parts, "changes", r->down_changes);
    set_real(parts, "logins", r->down_logins);
    return parts;
}

static json_t *way_object(const lab_result *r)
{
    json_t *o = json_object();
    cli_set_text(o, "way", lk_view_of(r->way->name));
    set_real(o, "requests_per_s", r->requests_per_s);
    set_real(o, "p50_ms", r->p50_ms);
    set_real(o, "p99_ms", r->p99_ms);
    set_real(o, "bytes_per_request", r->bytes_per_request);
    set_real(o, "server_bytes_per_user", r->server_bytes_per_user);
    set_real(o, "store_bytes_per_user", r->store_bytes_per_user);
    set_real(o, "store_ops_per_request", r->store_ops_per_request);
    set_real(o, "load_spread", r->load_spread);
    cli_set_number(o, "logins_lost", (int64_t)r->logins_lost);
    cli_set_number(o, "requests_failed", (int64_t)r->requests_failed);
    if (r->revocation_ms >= 0) {
        set_real(o, "revocation_ms", r->revocation_ms);
    } else {
        (void)json_object_set_new(o, "revocation_ms", json_null());
    }
    cli_set_text(o, "store_down", lk_view_of(r->store_down));
    cli_set_text(o, "revoked_on", lk_view_of(r->is_revoked_per_node ? "each node" : "one node"));
    cli_set_number(o, "logins", (int64_t)r->logins);
    cli_set_number(o, "requests", (int64_t)r->requests);
    set_real(o, "rate_kept_per_s", r->rate_kept);
    if (r->has_store) {
        (void)json_object_set_new(o, "store_down_parts", down_parts(r));
        cli_set_number(o, "logins_lost_with_store", (int64_t)r->logins_lost_store);
    }
    return o;
}

json_t *lab_json(const lab *l)
{
    json_t *object = json_object(), *ways = json_array(), *variants = json_array();
    for (size_t i = 0; i < l->ways_n; i++) {
        (void)json_array_append_new(l->ways[i]->is_variant ? variants : ways, way_object(&l->results[i]));
    }
    (void)json_object_set_new(object, "ways", ways);
    (void)json_object_set_new(object, "variants", variants);
    cli_set_number(object, "seconds", l->seconds);
    cli_set_number(object, "users", l->users_n);
    cli_set_number(object, "rate", l->rate);
    cli_set_number(object, "nodes", LAB_NODES);
    cli_set_text(object, "page", lk_view_of(l->html));
    return object;
}

/* ---- the table ---- */

static const cli_column columns[] = {
    {"way", "WAY", CLI_TEXT},
    {"requests_per_s", "REQ/S", CLI_TEXT},
    {"p50", "P50 MS", CLI_TEXT},
    {"p99", "P99 MS", CLI_TEXT},
    {"bytes", "BYTES/REQ", CLI_TEXT},
    {"server", "SERVER B/USER", CLI_TEXT},
    {"store", "STORE B/USER", CLI_TEXT},
    {"ops", "STORE OPS/REQ", CLI_TEXT},
    {"spread", "SPREAD", CLI_TEXT},
    {"lost", "LOST", CLI_TEXT},
    {"failed", "FAILED", CLI_TEXT},
    {"revoked", "REVOKED MS", CLI_TEXT},
    {"down", "WITH THE STORE DOWN", CLI_TEXT},
    {0},
};

static void set_cell(json_t *row, const char *key, int decimals, double value)
{
    char cell[64];
    snprintf(cell, sizeof cell, "%.*f", decimals, value);
    cli_set_text(row, key, lk_view_of(cell));
}

static json_t *row_of(const lab_result *r)
{
    json_t *row = json_object();
    cli_set_text(row, "way", lk_view_of(r->way->name));
    set_cell(row, "requests_per_s", 0, r->requests_per_s);
    set_cell(row, "p50", 2, r->p50_ms);
    set_cell(row, "p99", 1, r->p99_ms);
    set_cell(row, "bytes", 0, r->bytes_per_request);
    set_cell(row, "server", 0, r->server_bytes_per_user);
    set_cell(row, "store", 0, r->store_bytes_per_user);
    set_cell(row, "ops", 2, r->store_ops_per_request);
    set_cell(row, "spread", 2, r->load_spread);
    cli_set_number(row, "lost", (int64_t)r->logins_lost);
    cli_set_number(row, "failed", (int64_t)r->requests_failed);
    if (r->revocation_ms >= 0) {
        set_cell(row, "revoked", 1, r->revocation_ms);
    } else {
        cli_set_text(row, "revoked", LK_VIEW("never"));
    }
    cli_set_text(row, "down", lk_view_of(r->store_down));
    return row;
}

void lab_table(const lab *l)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < l->ways_n; i++) {
        (void)json_array_append_new(rows, row_of(&l->results[i]));
    }
    printf(
        "%lld visitors, %d nodes, %lld s each; times at %lld requests a second, a change of data in ten\n\n",
        (long long)l->users_n, LAB_NODES, (long long)l->seconds, (long long)l->rate);
    cli_table_rows(rows, columns);
    json_decref(rows);
}
