/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.c - GET /metrics: the Prometheus text format, version 0.0.4. No label ever names a person.
 */
#include "service/call.h"

#include <inttypes.h>
#include <latchkey/trust.h>

enum { METRICS_MAX = 65536 };

typedef struct series {
    lk_counter counter;
    const char *label; /* `result="hit"`, or "" */
} series;

typedef struct family {
    const char *name, *help;
    bool by_store; /* with a label that names the store */
    series series[4];
    size_t n;
} family;

static const family families[] = {
    {"latchkey_checks_total",
     "Requests whose visitor was looked up, by verdict.",
     false,
     {{LK_COUNT_ALLOWED, "verdict=\"allowed\""},
      {LK_COUNT_ANONYMOUS, "verdict=\"anonymous\""},
      {LK_COUNT_REFUSED, "verdict=\"refused\""},
      {LK_COUNT_UNKNOWN, "verdict=\"unknown\""}},
     4},
    {"latchkey_session_lookups_total",
     "Sessions looked up in the store, by result.",
     true,
     {{LK_COUNT_LOOKUP_HIT, "result=\"hit\""},
      {LK_COUNT_LOOKUP_MISS, "result=\"miss\""},
      {LK_COUNT_LOOKUP_STALE, "result=\"stale\""},
      {LK_COUNT_LOOKUP_FAULT, "result=\"fault\""}},
     4},
    {"latchkey_near_hits_total",
     "Sessions of a remote store answered by the copy near this node.",
     true,
     {{LK_COUNT_NEAR_HIT, ""}},
     1},
    {"latchkey_repeated_decisions_total",
     "Requests with a credential that was found good in the same second: nothing was looked up.",
     false,
     {{LK_COUNT_REPEATED, ""}},
     1},
    {"latchkey_store_batches_total",
     "Batches of look-ups sent to a remote store.",
     true,
     {{LK_COUNT_STORE_BATCH, ""}},
     1},
    {"latchkey_stale_served_total",
     "Requests served by latchkey_on_unknown on what was known before the store was lost.",
     true,
     {{LK_COUNT_STALE_SERVED, ""}},
     1},
    {"latchkey_events_total", "Events of the store taken over.", true, {{LK_COUNT_EVENTS, ""}}, 1},
    {"latchkey_resyncs_total",
     "Times the store's stream of events was read from its start, which drops every near copy.",
     true,
     {{LK_COUNT_RESYNC, ""}},
     1},
    {"latchkey_copied_sessions_total",
     "Sealed sessions that ended because an older copy of the cookie was shown.",
     false,
     {{LK_COUNT_COPIES, ""}},
     1},
    {"latchkey_token_checks_total",
     "Signed tokens checked, by whether the signature was computed or remembered.",
     false,
     {{LK_COUNT_TOKEN_VERIFIED, "result=\"verified\""}, {LK_COUNT_TOKEN_REMEMBERED, "result=\"remembered\""}},
     2},
    {"latchkey_logins_total",
     "Logins, by result.",
     false,
     {{LK_COUNT_LOGINS, "result=\"ok\""},
      {LK_COUNT_LOGINS_FAILED, "result=\"refused\""},
      {LK_COUNT_THROTTLED, "result=\"throttled\""}},
     3},
    {"latchkey_refreshes_total",
     "Refresh tokens shown, by whether it was the first use, one more within the grace time, one that ended "
     "the login, or no good.",
     false,
     {{LK_COUNT_REFRESHED, "result=\"ok\""},
      {LK_COUNT_REFRESHED_AGAIN, "result=\"repeated\""},
      {LK_COUNT_REFRESH_REUSED, "result=\"reused\""},
      {LK_COUNT_REFRESH_REFUSED, "result=\"refused\""}},
     4},
    {"latchkey_device_renewals_total",
     "Devices that asked for a session, by whether they were given a new one, the one they have once more, "
     "or "
     "none; unknown: the accounts or the store did not answer.",
     false,
     {{LK_COUNT_DEVICE_RENEWED, "result=\"renewed\""},
      {LK_COUNT_DEVICE_REPEATED, "result=\"repeated\""},
      {LK_COUNT_DEVICE_REFUSED, "result=\"refused\""},
      {LK_COUNT_DEVICE_UNKNOWN, "result=\"unknown\""}},
     4},
    {"latchkey_logouts_total", "Sessions ended by their users.", false, {{LK_COUNT_LOGOUTS, ""}}, 1},
    {"latchkey_registrations_total", "Accounts registered.", false, {{LK_COUNT_REGISTRATIONS, ""}}, 1},
    {"latchkey_cutoffs_total", "Cut-offs written.", false, {{LK_COUNT_CUTOFFS, ""}}, 1},
    {"latchkey_touches_total", "Last-seen times written to the store.", true, {{LK_COUNT_TOUCHES, ""}}, 1},
    {"latchkey_swept_total", "Sessions removed after their end.", true, {{LK_COUNT_SWEPT, ""}}, 1},
    {"latchkey_data_changes_total",
     "Changes of session data in answers of applications, by result.",
     false,
     {{LK_COUNT_DATA_CHANGED, "result=\"ok\""},
      {LK_COUNT_DATA_REFUSED, "result=\"refused\""},
      {LK_COUNT_DATA_OVER, "result=\"no_session\""},
      {LK_COUNT_DATA_FAILED, "result=\"failed\""}},
     4},
    {"latchkey_data_dropped_total",
     "Session fields not sent to an application because they were larger than latchkey_data max=.",
     false,
     {{LK_COUNT_DATA_DROPPED, ""}},
     1},
    {"latchkey_proofs_total",
     "Requests with a DPoP proof or a signature of their own, by result.",
     false,
     {{LK_COUNT_PROOFS, "result=\"dpop\""},
      {LK_COUNT_SIGNED, "result=\"signed\""},
      {LK_COUNT_REPLAYED, "result=\"replayed\""}},
     3},
    {"latchkey_key_reads_total",
     "Times a process read changed key files, by result.",
     false,
     {{LK_COUNT_KEYS_READ, "result=\"ok\""}, {LK_COUNT_KEYS_FAILED, "result=\"failed\""}},
     2},
    {"latchkey_keys_made_total",
     "Keys made because the one before had reached its age.",
     false,
     {{LK_COUNT_KEYS_MADE, ""}},
     1},
    {"latchkey_api_key_reads_total",
     "Times the row of an API key was asked for: at its first use, and then every reread= of "
     "latchkey_api_key.",
     false,
     {{LK_COUNT_API_KEY_READ, ""}},
     1},
    {"latchkey_csrf_refusals_total",
     "Changes refused because they may have come from another site.",
     false,
     {{LK_COUNT_CSRF, ""}},
     1},
};

static void write_head(lk_buf *out, const char *name, const char *help, const char *type)
{
    lk_buf_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_sample(lk_buf *out, const char *name, const char *label, const char *store, uint64_t value)
{
    const char *comma = label[0] != '\0' && store != NULL ? "," : "";
    lk_buf_add_text(out, name);
    if (store != NULL)
        lk_buf_add_printf(out, "{%s%sstore=\"%s\"}", label, comma, store);
    else if (label[0] != '\0')
        lk_buf_add_printf(out, "{%s}", label);
    lk_buf_add_printf(out, " %" PRIu64 "\n", value);
}

/* Milliseconds as the seconds that Prometheus wants. */
static void write_seconds(lk_buf *out, const char *name, const char *help, int64_t ms)
{
    uint64_t size = ms < 0 ? (uint64_t)-ms : (uint64_t)ms;
    write_head(out, name, help, "gauge");
    lk_buf_add_printf(out, "%s %s%" PRIu64 ".%03" PRIu64 "\n", name, ms < 0 ? "-" : "", size / 1000,
                      size % 1000);
}

static void write_view(lk__call *c, lk_buf *out)
{
    write_seconds(out, "latchkey_view_age_seconds",
                  "How old what this node knows of revocations is; 0 with a store of its own.",
                  lk_guard_view_age_ms(c->s->guard));
    write_seconds(out, "latchkey_clock_offset_seconds",
                  "What the clock of the store is ahead of this node's.",
                  lk_guard_clock_offset_ms(c->s->guard));
}

/* Issuers are addresses of services: no label names a person. */
static void write_trust(lk__call *c, lk_buf *out)
{
    lk_trust_state s;
    lk_guard *g = c->s->guard;
    if (!lk_guard_trust_state(g, 0, &s))
        return;
    write_head(out, "latchkey_trust_set_age_seconds", "Since the key set of an issuer was known to be right.",
               "gauge");
    for (uint32_t i = 0; lk_guard_trust_state(g, i, &s); i++)
        if (s.known)
            lk_buf_add_printf(out,
                              "latchkey_trust_set_age_seconds{issuer=\"%s\"} %" PRId64 ".%03" PRId64 "\n",
                              s.issuer, s.age_ms / 1000, s.age_ms % 1000);
    write_head(out, "latchkey_trust_set_usable", "Whether tokens of an issuer can be checked.", "gauge");
    for (uint32_t i = 0; lk_guard_trust_state(g, i, &s); i++)
        lk_buf_add_printf(out, "latchkey_trust_set_usable{issuer=\"%s\"} %d\n", s.issuer, s.usable ? 1 : 0);
    write_head(out, "latchkey_trust_fetches_total", "Looks for the key set of an issuer, by result.",
               "counter");
    for (uint32_t i = 0; lk_guard_trust_state(g, i, &s); i++)
        lk_buf_add_printf(out,
                          "latchkey_trust_fetches_total{issuer=\"%s\",result=\"ok\"} %" PRIu64
                          "\nlatchkey_trust_fetches_total{issuer=\"%s\",result=\"failed\"} %" PRIu64 "\n",
                          s.issuer, s.fetches, s.issuer, s.failures);
}

static void write_store(lk__call *c, const char *store, lk_buf *out)
{
    lk_store_count counts;
    bool up = lk_store_counts(lk_guard_parts_of(c->s->guard)->store, &counts) == LK_OK;
    write_head(out, "latchkey_store_up", "Whether the store answers.", "gauge");
    write_sample(out, "latchkey_store_up", "", store, up ? 1 : 0);
    if (!up)
        return;
    write_head(out, "latchkey_sessions", "Session records held, ended ones that were not swept yet included.",
               "gauge");
    write_sample(out, "latchkey_sessions", "", store, counts.sessions);
    write_head(out, "latchkey_store_bytes", "Bytes in use by the store.", "gauge");
    write_sample(out, "latchkey_store_bytes", "", store, counts.bytes);
    write_head(out, "latchkey_sessions_evicted_total", "Live sessions pushed out for want of room.",
               "counter");
    write_sample(out, "latchkey_sessions_evicted_total", "", store, counts.evicted);
}

/* Kids are names that we made, or base64url at least: nothing in them needs an escape. */
static void write_key_uses(lk__call *c, lk_buf *out)
{
    const lk_keyring *ring = lk_guard_parts_of(c->s->guard)->ring;
    lk_key_info info;
    write_head(out, "latchkey_key_uses_total", "What each key did: tokens and sessions signed, and proved.",
               "counter");
    for (size_t i = 0; lk_keyring_info(ring, i, &info) == LK_OK; i++) {
        uint64_t signed_n = 0, verified_n = 0;
        if (info.is_root)
            continue;
        lk_guard_key_uses(c->s->guard, lk_view_of(info.kid), &signed_n, &verified_n);
        lk_buf_add_printf(out, "latchkey_key_uses_total{kid=\"%s\",use=\"signed\"} %" PRIu64 "\n", info.kid,
                          signed_n);
        lk_buf_add_printf(out, "latchkey_key_uses_total{kid=\"%s\",use=\"verified\"} %" PRIu64 "\n", info.kid,
                          verified_n);
    }
    write_head(out, "latchkey_key_state", "The state each key is in.", "gauge");
    for (size_t i = 0; lk_keyring_info(ring, i, &info) == LK_OK; i++) {
        if (!info.is_root)
            lk_buf_add_printf(out, "latchkey_key_state{kid=\"%s\",alg=\"%s\",state=\"%s\"} 1\n", info.kid,
                              lk_alg_name(info.alg), lk_key_state_word(info.state));
    }
}

void lk__metrics(lk__call *c)
{
    lk_buf out = lk__arena_buf(c->arena, METRICS_MAX);
    const char *store = lk_store_name(lk_guard_parts_of(c->s->guard)->store);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const family *f = &families[i];
        write_head(&out, f->name, f->help, "counter");
        for (size_t k = 0; k < f->n; k++)
            write_sample(&out, f->name, f->series[k].label, f->by_store ? store : NULL,
                         lk_guard_counted(c->s->guard, f->series[k].counter));
    }
    write_key_uses(c, &out);
    write_view(c, &out);
    write_trust(c, &out);
    write_store(c, store, &out);
    lk__answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}
