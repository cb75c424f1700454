/* SPDX-License-Identifier: Apache-2.0
 *
 * form.h - application/x-www-form-urlencoded: queries and the bodies of HTML forms.
 */
#ifndef LATCHKEY_SERVICE_FORM_H
#define LATCHKEY_SERVICE_FORM_H

#include "service/arena.h"

#define LK_FORM_FIELDS_MAX 32

typedef struct lk__form_field {
    lk_view name, value; /* decoded, in the arena */
} lk__form_field;

typedef struct lk__form {
    lk__form_field fields[LK_FORM_FIELDS_MAX];
    size_t n;
} lk__form;

/* Split and decode TEXT as the WHATWG URL standard does ('+' is a blank, a '%' without two digits stands for
 * itself). LK_OK; LK_FULL past LK_FORM_FIELDS_MAX fields; LK_FAULT without memory. */
LK_CHECKED lk_status lk__form_read(lk_view text, lk__arena *arena, lk__form *out);

/* The value of the field NAME. LK_OK; LK_MISS; LK_REFUSED when it is there twice: which of the two counts
 * would be a guess, and somebody else along the way may guess differently. */
LK_CHECKED lk_status lk__form_get(const lk__form *form, lk_view name, lk_view *value);

#endif
