/* SPDX-License-Identifier: Apache-2.0
 *
 * numeric_date.c - the times in a JWT (RFC 7519 section 2): JSON numbers, which may have fractions.
 *
 * Done on the digits, not by strtod: that follows the locale, and doubles lie about large numbers.
 */
#include "credential/jwt/jws.h"

#define LIMIT (INT64_C(1) << 53) /* what every JSON reader holds exactly (RFC 8259 section 6) */
#define EXPONENT_MAX 400

typedef struct digits {
    lk_view whole, fraction;
    int exponent; /* clamped to EXPONENT_MAX, beyond which only 0 is a time */
} digits;

static lk_view take_digits(lk_view *v)
{
    size_t n = 0;
    lk_view taken;

    while (n < v->len && v->p[n] >= '0' && v->p[n] <= '9')
        n++;
    taken = lk_view_part(*v, 0, n);
    *v = lk_view_part(*v, n, v->len);
    return taken;
}

static bool take(lk_view *v, uint8_t a, uint8_t b)
{
    if (v->len == 0 || (v->p[0] != a && v->p[0] != b))
        return false;
    *v = lk_view_part(*v, 1, v->len);
    return true;
}

static int take_exponent(lk_view *v)
{
    bool negative = take(v, '-', '-');
    lk_view n;
    int value = 0;

    if (!negative)
        (void)take(v, '+', '+');
    n = take_digits(v);
    for (size_t i = 0; i < n.len && value < EXPONENT_MAX; i++)
        value = value * 10 + (n.p[i] - '0');
    return negative ? -value : value;
}

/* The digit at PLACE of all digits in a row; 0 behind the last one. */
static int digit_at(const digits *d, size_t place)
{
    if (place < d->whole.len)
        return d->whole.p[place] - '0';
    place -= d->whole.len;
    return place < d->fraction.len ? d->fraction.p[place] - '0' : 0;
}

bool lk__short_number(lk_view value, int64_t *out)
{
    int64_t seconds = 0;

    if (value.len == 0 || value.len > 15)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        seconds = seconds * 10 + (value.p[i] - '0');
    }
    *out = seconds;
    return true;
}

lk_status lk__numeric_date(lk_view value, int64_t *out)
{
    int64_t seconds = 0;
    bool negative;
    size_t count;
    digits d = {0};

    if (lk__short_number(value, out))
        return LK_OK;
    negative = take(&value, '-', '-');
    d.whole = take_digits(&value);
    if (d.whole.len == 0)
        return LK_REFUSED; /* no number at all: a string, a truth value, null */
    if (take(&value, '.', '.'))
        d.fraction = take_digits(&value);
    if (take(&value, 'e', 'E'))
        d.exponent = take_exponent(&value);
    if (value.len > 0)
        return LK_REFUSED;
    if (d.exponent < 0 && (size_t)-d.exponent >= d.whole.len)
        count = 0;
    else
        count = (size_t)((int64_t)d.whole.len + d.exponent);
    /* The digits in front of the point, wherever the exponent has moved it; the rest is a fraction and cut
     * off. */
    for (size_t i = 0; i < count; i++) {
        seconds = seconds * 10 + digit_at(&d, i);
        if (seconds > LIMIT)
            return LK_REFUSED;
    }
    *out = negative ? -seconds : seconds;
    return LK_OK;
}
