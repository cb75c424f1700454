/* SPDX-License-Identifier: Apache-2.0
 *
 * status.c - names of the answers, and the note for a person.
 */
#include <latchkey/status.h>
#include <stdarg.h>
#include <stdio.h>

void lk_note_set(lk_note *note, const char *format, ...)
{
    va_list args;

    if (note == NULL)
        return;
    va_start(args, format);
    if (vsnprintf(note->text, sizeof(note->text), format, args) < 0)
        note->text[0] = '\0';
    va_end(args);
}

const char *lk_status_name(lk_status status)
{
    switch (status) {
    case LK_OK:
        return "ok";
    case LK_MISS:
        return "miss";
    case LK_STALE:
        return "stale";
    case LK_REFUSED:
        return "refused";
    case LK_FULL:
        return "full";
    case LK_FAULT:
        return "fault";
    }
    /* Only a number that was never an lk_status comes here: the worst answer is the safe one. */
    return "fault";
}
