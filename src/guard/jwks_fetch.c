/* SPDX-License-Identifier: Apache-2.0
 *
 * jwks_fetch.c - one text by https or from a file, within bounds of time and size.
 *
 * The address is the operator's and stays what it is: no redirect is followed, since where it leads would be
 * chosen by whoever answers; no proxy is taken from the environment; the server has to prove its name. What
 * is longer than LK_JWKS_MAX is given up as soon as that is known. Source: RFC 8725 section 3.10, RFC 9110.
 */
#include "guard/jwks_fetch.h"
#include <errno.h>
#include <fcntl.h>
#include <latchkey/trust.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *lk__jwks_path(const lk_trust *t)
{
    return lk_view_equal(lk_view_part(lk_view_of(t->jwks), 0, 5), LK_VIEW("file:")) ? t->jwks + 5 : NULL;
}

/* O_NONBLOCK: a pipe in its place must not hold the thread. */
static lk_status read_file(const char *path, lk_buf *out, lk_note *note)
{
    struct stat st;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool fits = true, plain = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    while (plain && fits && (got = read(fd, out->p + out->len, out->cap - out->len)) > 0) {
        out->len += (size_t)got;
        fits = out->len < LK_JWKS_MAX;
    }
    int why = errno;
    if (fd >= 0)
        (void)close(fd);
    if (plain && fits && got == 0)
        return LK_OK;
    if (fd < 0 || got < 0)
        lk_note_set(note, "%s cannot be read: %s", path, strerror(why));
    else
        lk_note_set(note, plain ? "%s is longer than 256 KiB" : "%s is no file", path);
    return LK_FAULT;
}

#ifdef LK_WITH_CURL
#include <curl/curl.h>
#include <pthread.h>

typedef struct answer {
    lk_buf *out;
    int64_t *fresh_s;
    bool too_long;
} answer;

bool lk_trust_can_fetch(void)
{
    return true;
}

static size_t take_body(char *p, size_t size, size_t n, void *context)
{
    answer *a = context;
    lk_buf_add(a->out, lk_view_make(p, size * n));
    a->too_long = a->out->full || a->out->len > LK_JWKS_MAX;
    return a->too_long ? 0 : size * n;
}

/* One directive of Cache-Control. What is not to be kept is kept for as long as the setting makes it. */
static void take_directive(lk_view word, int64_t *fresh_s)
{
    const lk_view max_age = LK_VIEW("max-age=");
    while (word.len > 0 && (word.p[0] == ' ' || word.p[0] == '\t'))
        word = lk_view_part(word, 1, word.len);
    while (word.len > 0 && (word.p[word.len - 1] == ' ' || word.p[word.len - 1] == '\t'))
        word.len--;
    if (lk_view_equal_nocase(word, LK_VIEW("no-store")) || lk_view_equal_nocase(word, LK_VIEW("no-cache")))
        *fresh_s = 0;
    if (*fresh_s != 0 && lk_view_equal_nocase(lk_view_part(word, 0, max_age.len), max_age) &&
        (lk_parse_i64(lk_view_part(word, max_age.len, word.len), fresh_s) != LK_OK || *fresh_s < 0))
        *fresh_s = -1;
}

static size_t take_header(char *p, size_t size, size_t n, void *context)
{
    answer *a = context;
    const lk_view name = LK_VIEW("cache-control:");
    lk_view line = lk_view_make(p, size * n);
    while (line.len > 0 && (line.p[line.len - 1] == '\r' || line.p[line.len - 1] == '\n'))
        line.len--;
    if (lk_view_equal_nocase(lk_view_part(line, 0, name.len), name)) {
        for (lk_view rest = lk_view_part(line, name.len, line.len); rest.len > 0;) {
            size_t comma = lk_view_find(rest, ',');
            take_directive(lk_view_part(rest, 0, comma), a->fresh_s);
            rest = lk_view_part(rest, comma + 1, rest.len);
        }
    }
    return size * n;
}

static pthread_once_t begun = PTHREAD_ONCE_INIT;
static bool has_begun;

static void begin(void)
{
    has_begun = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static bool set_up(CURL *c, const lk_trust *t, answer *a, char error[CURL_ERROR_SIZE])
{
    bool ca = t->ca[0] != '\0';
    /* The names of the options are checked by their types in curl's own headers. */
    return curl_easy_setopt(c, CURLOPT_URL, t->jwks) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, t->jwks[4] == 's' ? "https" : "http") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)LK__FETCH_CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)LK__FETCH_MS) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)LK_JWKS_MAX) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USERAGENT, "latchkey") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           (!ca || (curl_easy_setopt(c, CURLOPT_CAINFO, t->ca) == CURLE_OK &&
                    curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK)) &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, a) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HEADERDATA, a) == CURLE_OK;
}

/* What became of it, in words for an operator. */
static lk_status judge(const lk_trust *t, CURLcode code, long http, const answer *a, const char *error,
                       lk_note *note)
{
    if (a->too_long || code == CURLE_FILESIZE_EXCEEDED)
        lk_note_set(note, "%s is longer than 256 KiB", t->jwks);
    else if (code != CURLE_OK)
        lk_note_set(note, "%s cannot be had: %s", t->jwks,
                    error[0] != '\0' ? error : curl_easy_strerror(code));
    else if (http >= 300 && http < 400)
        lk_note_set(note,
                    "%s answers with a redirect (%ld), which is not followed: write the address it leads to",
                    t->jwks, http);
    else if (http != 200)
        lk_note_set(note, "%s answers %ld", t->jwks, http);
    else
        return LK_OK;
    return LK_FAULT;
}

static lk_status read_url(const lk_trust *t, lk_buf *out, int64_t *fresh_s, lk_note *note)
{
    char error[CURL_ERROR_SIZE] = "";
    answer a = {.out = out, .fresh_s = fresh_s};
    long http = 0;
    (void)pthread_once(&begun, begin);
    CURL *c = has_begun ? curl_easy_init() : NULL;
    if (c == NULL || !set_up(c, t, &a, error)) {
        curl_easy_cleanup(c);
        lk_note_set(note, "libcurl cannot be set up");
        return LK_FAULT;
    }
    CURLcode code = curl_easy_perform(c);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_cleanup(c);
    return judge(t, code, http, &a, error, note);
}
#else
bool lk_trust_can_fetch(void)
{
    return false;
}

static lk_status read_url(const lk_trust *t, lk_buf *out, int64_t *fresh_s, lk_note *note)
{
    (void)out;
    (void)fresh_s;
    lk_note_set(note, "%s cannot be had: this latchkey was built without libcurl", t->jwks);
    return LK_FAULT;
}
#endif

lk_status lk__jwks_fetch(const lk_trust *t, lk_buf *out, int64_t *fresh_s, lk_note *note)
{
    const char *path = lk__jwks_path(t);
    *fresh_s = -1;
    return path != NULL ? read_file(path, out, note) : read_url(t, out, fresh_s, note);
}
