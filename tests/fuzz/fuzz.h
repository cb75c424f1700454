/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz.h - what every fuzz target has: the entry of libFuzzer, and a way to say what must hold.
 */
#ifndef LATCHKEY_TESTS_FUZZ_H
#define LATCHKEY_TESTS_FUZZ_H

#include <latchkey/bytes.h>
#include <stdio.h>
#include <stdlib.h>

/* Try one input. Answers 0; ends the program when something that must hold does not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for any input at all. */
#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition);                       \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* Take the text before the next newline off the front of *REST; the whole rest when there is none. */
static inline lk_view fuzz_line(lk_view *rest)
{
    size_t end = lk_view_find(*rest, '\n');
    lk_view line = lk_view_part(*rest, 0, end);

    *rest = lk_view_part(*rest, end < rest->len ? end + 1 : end, rest->len);
    return line;
}

/* The lines of REST, at most CAP of them; the last takes what is left. */
static inline size_t fuzz_lines(lk_view rest, lk_view *lines, size_t cap)
{
    size_t n = 0;

    while (rest.len > 0 && n + 1 < cap)
        lines[n++] = fuzz_line(&rest);
    if (rest.len > 0)
        lines[n++] = rest;
    return n;
}

#endif
