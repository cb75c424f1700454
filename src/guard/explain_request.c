/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_request.c - what the audit log says of one request.
 */
#include "guard/explain_words.h"
#include <fcntl.h>
#include <latchkey/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the audit log, from its end ---- */

enum { CHUNK = 64 * 1024 };

static bool read_text(lk_view line, const char *name, lk_buf *out)
{
    lk_json_item item;
    return lk_json_get(line, lk_view_of(name), &item) == LK_OK && item.type == LK_JSON_STRING &&
           lk_json_string(item.value, out) == LK_OK;
}

static bool is_of(lk_view line, lk_view request_id)
{
    uint8_t memory[128];
    lk_buf id = lk_buf_over(memory, sizeof(memory));
    return memmem(line.p, line.len, request_id.p, request_id.len) != NULL &&
           lk_json_check(line, NULL, NULL) == LK_OK && read_text(line, "request_id", &id) &&
           lk_view_equal(lk_buf_view(&id), request_id);
}

static void judge_event(lk_view line, lk_explanation *e)
{
    uint8_t memory[64], verdict_memory[16];
    lk_buf word = lk_buf_over(memory, sizeof(memory)),
           verdict = lk_buf_over(verdict_memory, sizeof(verdict_memory));
    lk_json_item item;
    int64_t status = 0;
    if (lk_json_get(line, LK_VIEW("status"), &item) == LK_OK && lk_parse_i64(item.value, &status) == LK_OK)
        e->status = (int)status;
    lk_reason why = read_text(line, "reason", &word) ? lk_reason_of(lk_buf_view(&word)) : LK_REASON_NONE;
    if (status == 0 && why == LK_REASON_NONE)
        return;
    bool refused = status >= 400 || why != LK_REASON_NONE;
    if (read_text(line, "verdict", &verdict) && lk_view_equal(lk_buf_view(&verdict), LK_VIEW("unknown")))
        e->verdict = LK_VERDICT_UNKNOWN;
    else
        e->verdict = refused ? LK_VERDICT_REFUSE : LK_VERDICT_ALLOW;
    e->reason = why;
    lk__step(e, "answer", refused ? LK_STEP_NO : LK_STEP_YES, why, "%lld%s%s", (long long)status,
             why != LK_REASON_NONE ? ": " : "", why != LK_REASON_NONE ? lk_reason_sentence(why) : "");
}

static void explain_event(lk_view line, lk_explanation *e)
{
    static const char *const names[] = {"time",    "event",      "verdict", "user",  "name",
                                        "session", "credential", "carrier", "realm", "address",
                                        "method",  "path",       "agent"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint8_t memory[512];
        lk_buf text = lk_buf_over(memory, sizeof(memory));
        if (read_text(line, names[i], &text))
            lk__step_seen(e, names[i], "%.*s", (int)text.len, (const char *)text.p);
    }
    judge_event(line, e);
}

/* The lines of TEXT, the last one first; the first may be cut, and is left to who reads on: its length comes
 * back. */
static size_t look_at_lines(lk_view text, bool is_whole, lk_view request_id, lk_explanation *e, size_t *found)
{
    size_t end = text.len;
    while (end > 0) {
        const uint8_t *newline = memrchr(text.p, '\n', end - 1);
        size_t begin = newline == NULL ? 0 : (size_t)(newline - text.p) + 1;
        if (newline == NULL && !is_whole)
            return end;
        lk_view line = lk_view_part(text, begin, end - begin);
        if (line.len > 0 && line.p[line.len - 1] == '\n')
            line.len--;
        if (is_of(line, request_id)) {
            explain_event(line, e);
            ++*found;
        }
        end = begin;
    }
    return 0;
}

static lk_status read_back(int file, int64_t size, uint8_t *memory, lk_view request_id, lk_explanation *e)
{
    int64_t at = size, least = size > LK_EXPLAIN_AUDIT_MAX ? size - LK_EXPLAIN_AUDIT_MAX : 0;
    size_t kept = 0, found = 0;
    while (at > least && found == 0) {
        size_t n = at - least < CHUNK ? (size_t)(at - least) : CHUNK;
        if (kept > CHUNK)
            kept = 0; /* no line of ours is that long */
        memmove(memory + n, memory, kept);
        at -= (int64_t)n;
        if (pread(file, memory, n, at) != (ssize_t)n)
            return LK_FAULT;
        kept = look_at_lines(lk_view_make(memory, n + kept), at == 0, request_id, e, &found);
    }
    return found > 0 ? LK_OK : LK_MISS;
}

lk_status lk_explain_request(const lk_env *env, const char *file, lk_view request_id, lk_explanation *out,
                             lk_note *note)
{
    struct stat about;
    memset(out, 0, sizeof(*out));
    if (request_id.len == 0 || request_id.len > 64)
        return LK_MISS;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint8_t *memory = lk_alloc(env, 2 * CHUNK);
    lk_status status = LK_FAULT;
    if (fd >= 0 && memory != NULL && fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
        status = read_back(fd, about.st_size, memory, request_id, out);
    if (status == LK_FAULT)
        lk_note_set(note, "the audit log %s cannot be read", file);
    if (status == LK_MISS)
        lk_note_set(note,
                    "the audit log does not speak of that request: only those that present a credential "
                    "and are refused, and what changes something, are in it");
    if (fd >= 0)
        (void)close(fd);
    lk_free(env, memory);
    return status;
}
