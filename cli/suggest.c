/* SPDX-License-Identifier: Apache-2.0
 *
 * suggest.c - the nearest known word to a mistyped one.
 */
#include "command.h"
#include <string.h>

#define WORD_MAX 40

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

/* Levenshtein distance by two rows; words longer than any of ours are far from all of them. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned row[WORD_MAX + 1];
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u));
            diagonal = above;
        }
    }
    return row[b_len];
}

void cli_nearest_try(cli_nearest *nearest, const char *text, const char *word)
{
    size_t text_len = strlen(text), word_len = strlen(word);
    if (text_len > WORD_MAX || word_len > WORD_MAX || text_len == 0) {
        return;
    }
    /* A word that was begun and not ended is near, however much of it is missing. */
    unsigned far = strncmp(text, word, text_len) == 0 ? 1 : distance(text, text_len, word, word_len);
    unsigned limit = (unsigned)(word_len < 5 ? 2 : 1 + word_len / 3);
    if (far <= limit && (nearest->word == NULL || far < nearest->distance)) {
        nearest->word = word;
        nearest->distance = far;
    }
}
