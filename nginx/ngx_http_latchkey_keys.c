/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_keys.c - keys that change while the gateway runs, as a
 * part of the upkeep: looked for in a thread, told of in the event loop.
 *
 * There is one upkeep at a time, so what is here has one writer at a time.
 */
#include "ngx_http_latchkey.h"


static lk_note    ngx_http_latchkey_keys_note;   /* "": all is well */
static char       ngx_http_latchkey_keys_said[sizeof(lk_note)];


/* In a thread.  Without a guard the keys stay as they are: who cannot be
 * checked needs no new ones. */
void
ngx_http_latchkey_keys_work(lk_guard *guard)
{
    lk_note  note;

    if (guard == NULL) {
        return;
    }

    note.text[0] = '\0';

    if (lk_guard_keys(guard, &note) == LK_OK) {
        note.text[0] = '\0';

    } else if (note.text[0] == '\0') {
        lk_note_set(&note, "they cannot be read: memory is short");
    }

    ngx_memcpy(&ngx_http_latchkey_keys_note, &note, sizeof(lk_note));
}


/* The same sentence once, and not every second. */
void
ngx_http_latchkey_keys_done(ngx_log_t *log)
{
    const char  *text;

    text = ngx_http_latchkey_keys_note.text;

    if (ngx_strcmp(ngx_http_latchkey_keys_said, text) == 0) {
        return;
    }

    ngx_memcpy(ngx_http_latchkey_keys_said, text, sizeof(lk_note));

    if (text[0] != '\0') {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "latchkey: keys: %s; going on with those that were "
                      "read before", text);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0, "latchkey: keys are read again");
}
