/* SPDX-License-Identifier: Apache-2.0
 *
 * dictionary.c - the dictionary of libcrack, and which of its verdicts are about a dictionary.
 *
 * FascistCheckUser undoes what people do to a word (turn it round, put digits around it, write 0 for o) and
 * looks the rest up, but before that it also judges composition: too few different characters, too
 * systematic, the look of a National Insurance number. Those verdicts are dropped here, as passwords are not
 * judged by composition (SECURITY-RULES 118), and as libcrack then has not looked into the dictionary at all,
 * the plain forms of the password are looked up by FindPW in any case. A verdict that is not on the list of
 * dropped ones is a refusal, so a libcrack that words things otherwise refuses more and not less.
 */
#include "account/internal.h"
#include <crack.h>
#include <latchkey/secret.h>
#include <packer.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORD_MAX 256 /* libcrack cuts at 255; no word of a dictionary is that long */

/* libcrack keeps its answers and its place in the dictionary in static memory. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static const char *const dropped[] = {
    "it is WAY too short",
    "it is too short",
    "it does not contain enough DIFFERENT characters",
    "it is all whitespace",
    "it is too simplistic/systematic",
    "it looks like a National Insurance number.",
};

static const char *const broken[] = {"error loading dictionary", "memory allocation error"};

static bool is_one_of(const char *verdict, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(verdict, list[i]) == 0)
            return true;
    return false;
}

static lk_status status_of(const char *verdict)
{
    if (verdict == NULL || is_one_of(verdict, dropped, sizeof(dropped) / sizeof(dropped[0])))
        return LK_OK;
    return is_one_of(verdict, broken, sizeof(broken) / sizeof(broken[0])) ? LK_FAULT : LK_REFUSED;
}

/* ---- the plain forms ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* A C string for libcrack: ASCII in lower case, a NUL as a blank, cut where libcrack would cut. */
static bool word_of(lk_view v, char out[WORD_MAX])
{
    bool ascii = true;
    size_t n = 0;

    for (; n < v.len && n < WORD_MAX - 1; n++) {
        uint8_t c = v.p[n];

        ascii &= c < 0x80;
        out[n] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c == 0 ? ' ' : c);
    }
    out[n] = 0;
    return ascii;
}

/* The part between the first and the last letter; "" when that is less than half of the whole: then the rest
 * is what carries the password. */
static void core_of(const char *word, char out[WORD_MAX])
{
    size_t from = 0, to = strlen(word), whole = to;

    while (from < to && !is_letter(word[from]))
        from++;
    while (to > from && !is_letter(word[to - 1]))
        to--;
    if (2 * (to - from) < whole)
        to = from;
    snprintf(out, WORD_MAX, "%.*s", (int)(to - from), word + from);
}

/* Letters for the digits and signs that stand for them. */
static void spell_out(char *word)
{
    static const char signs[] = "@4831!05$7", letters[] = "aabeiiosst";

    for (; *word != 0; word++) {
        const char *sign = strchr(signs, *word);

        if (sign != NULL)
            *word = letters[sign - signs];
    }
}

static bool has_word(PWDICT *dictionary, char *word)
{
    unsigned int none = FindPW(dictionary, (char[]){"\001"}); /* what it answers when there is no such word */

    return word[0] != 0 && FindPW(dictionary, word) != none;
}

static lk_status look_up(PWDICT *dictionary, char *word)
{
    char core[WORD_MAX], spelled[WORD_MAX];
    bool found = has_word(dictionary, word);

    core_of(word, core);
    found = found || has_word(dictionary, core);
    spell_out(core);
    found = found || has_word(dictionary, core);
    snprintf(spelled, sizeof(spelled), "%s", word);
    spell_out(spelled);
    core_of(spelled, core);
    found = found || has_word(dictionary, core);
    lk_wipe(core, sizeof(core));
    lk_wipe(spelled, sizeof(spelled));
    return found ? LK_REFUSED : LK_OK;
}

/* ---- libcrack ---- */

static bool is_readable(const char *dictionary)
{
    static const char *const suffixes[] = {".pwd", ".pwi", ".hwm"};
    char path[LK_PATH_MAX];

    for (size_t i = 0; i < 3; i++) {
        int len = snprintf(path, sizeof(path), "%s%s", dictionary, suffixes[i]);

        if (len < 0 || (size_t)len >= sizeof(path) || access(path, R_OK) != 0)
            return false;
    }
    return true;
}

static lk_status forms_check(const char *dictionary, char *word)
{
    PWDICT *open = PWOpen(dictionary, (char[]){"r"});
    lk_status status;

    if (open == NULL)
        return LK_FAULT;
    /* A file that was cut short finds nothing and does not say why. This word is in every list of words. */
    status = has_word(open, (char[]){"password"}) ? look_up(open, word) : LK_FAULT;
    PWClose(open);
    return status;
}

lk_status lk__dictionary_check(const char *dictionary, lk_view password, lk_view name, lk_note *note)
{
    char word[WORD_MAX], user[64];
    bool ascii = word_of(password, word);
    lk_status status = LK_FAULT;

    snprintf(user, sizeof(user), "%.*s", (int)(name.len < sizeof(user) ? name.len : sizeof(user) - 1),
             name.len > 0 ? (const char *)name.p : "");
    pthread_mutex_lock(&one_at_a_time);
    if (is_readable(dictionary))
        status = forms_check(dictionary, word);
    /* libcrack takes every byte over 127 for punctuation and throws it away: a long Chinese password with one
     * English word in it would be that word. */
    if (status == LK_OK && ascii)
        status = status_of(FascistCheckUser(word, dictionary, user, ""));
    pthread_mutex_unlock(&one_at_a_time);
    if (status == LK_REFUSED)
        lk_note_set(note, "The password is a word of the dictionary, or made of one.");
    if (status == LK_FAULT)
        lk_note_set(note,
                    "The password dictionary %s cannot be read: install the package cracklib-runtime, or run "
                    "update-cracklib.",
                    dictionary);
    lk_wipe(word, sizeof(word));
    return status;
}
