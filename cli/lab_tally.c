/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_tally.c - what a load came to.
 */
#include "lab_drive.h"
#include <stdlib.h>

void lab_tally_free(lab_tally *tally)
{
    free(tally->us);
    tally->us = NULL;
}

uint64_t lab_tally_asked(const lab_tally *tally)
{
    return tally->kinds[LAB_GET].asked + tally->kinds[LAB_CHANGE].asked + tally->kinds[LAB_LOGIN].asked;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double lab_tally_ms(lab_tally *tally, double part)
{
    if (tally->us_n == 0) {
        return 0;
    }
    qsort(tally->us, tally->us_n, sizeof *tally->us, by_value);
    size_t at = (size_t)(part * (double)(tally->us_n - 1) + 0.5);
    return (double)tally->us[at] / 1000;
}
