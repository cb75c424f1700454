/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_words.c - see explain_words.h.
 */
#include "guard/explain_words.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

const char *lk_step_answer_word(lk_step_answer answer)
{
    static const char *const words[] = {"seen", "yes", "no", "unknown"};
    return words[answer <= LK_STEP_UNKNOWN ? answer : LK_STEP_UNKNOWN];
}

static bool add(lk_explanation *e, const char *name, lk_step_answer answer, lk_reason why, const char *format,
                va_list arguments) __attribute__((format(printf, 5, 0)));

static bool add(lk_explanation *e, const char *name, lk_step_answer answer, lk_reason why, const char *format,
                va_list arguments)
{
    if (e->n < LK_STEPS_MAX) {
        lk_step *step = &e->steps[e->n++];
        *step = (lk_step){.name = name, .answer = answer, .why = why};
        (void)vsnprintf(step->value, sizeof(step->value), format, arguments);
    }
    return answer == LK_STEP_SEEN || answer == LK_STEP_YES;
}

bool lk__step(lk_explanation *e, const char *name, lk_step_answer answer, lk_reason why, const char *format,
              ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool on = add(e, name, answer, why, format, arguments);
    va_end(arguments);
    return on;
}

bool lk__step_yes(lk_explanation *e, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool on = add(e, name, LK_STEP_YES, LK_REASON_NONE, format, arguments);
    va_end(arguments);
    return on;
}

bool lk__step_seen(lk_explanation *e, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool on = add(e, name, LK_STEP_SEEN, LK_REASON_NONE, format, arguments);
    va_end(arguments);
    return on;
}

bool lk__step_no(lk_explanation *e, const char *name, lk_reason why, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool on = add(e, name, LK_STEP_NO, why, format, arguments);
    va_end(arguments);
    return on;
}

lk__words lk__words_length(int64_t seconds)
{
    lk__words w;
    long long s = seconds < 0 ? 0 : (long long)seconds;
    if (s < 60)
        (void)snprintf(w.text, sizeof(w.text), "%llds", s);
    else if (s < 3600)
        (void)snprintf(w.text, sizeof(w.text), "%lldm %llds", s / 60, s % 60);
    else if (s < 86400)
        (void)snprintf(w.text, sizeof(w.text), "%lldh %lldm", s / 3600, s / 60 % 60);
    else
        (void)snprintf(w.text, sizeof(w.text), "%lldd %lldh", s / 86400, s / 3600 % 24);
    return w;
}

lk__words lk__words_time(int64_t at_s, int64_t now_s)
{
    lk__words w = {"never"};
    struct tm tm;
    char text[40];
    time_t seconds = (time_t)at_s;
    if (at_s == 0)
        return w;
    if (gmtime_r(&seconds, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)snprintf(text, sizeof(text), "%lld", (long long)at_s);
    if (at_s > now_s)
        (void)snprintf(w.text, sizeof(w.text), "%s, in %.30s", text, lk__words_length(at_s - now_s).text);
    else
        (void)snprintf(w.text, sizeof(w.text), "%s, %.30s ago", text, lk__words_length(now_s - at_s).text);
    return w;
}

lk__words lk__words_shown(lk_view text)
{
    lk__words w;
    size_t n = text.len < sizeof(w.text) - 4 ? text.len : sizeof(w.text) - 4;
    for (size_t i = 0; i < n; i++)
        w.text[i] = text.p[i] >= 0x20 && text.p[i] < 0x7f ? (char)text.p[i] : '?';
    (void)snprintf(w.text + n, sizeof(w.text) - n, "%s", n < text.len ? "..." : "");
    return w;
}

lk__words lk__words_id(const lk_session_key *key)
{
    lk__words w;
    lk_public_id_write(key, w.text);
    return w;
}
