/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_settings.c - a settings file of any bytes is read twice alike, or refused with a sentence.
 *
 * Input: the text of a latchkey.conf. What leads out of it (include, file:, env:) is left to the unit tests.
 */
#include "fuzz.h"
#include <latchkey/settings.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool leads_out(lk_view text)
{
    return memmem(text.p, text.len, "include", 7) != NULL || memmem(text.p, text.len, "file:", 5) != NULL ||
           memmem(text.p, text.len, "env:", 4) != NULL;
}

/* A file of memory, so that nothing is written to the disk; *path names it. */
static int file_of(lk_view text, char path[64])
{
    int fd = memfd_create("settings", 0);

    MUST(fd >= 0);
    MUST(fchmod(fd, 0600) == 0);
    MUST(text.len == 0 || write(fd, text.p, text.len) == (ssize_t)text.len);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static bool is_ended(const char *text, size_t room)
{
    return memchr(text, '\0', room) != NULL;
}

static void expect_whole(const lk_settings *s)
{
    MUST(is_ended(s->keys, sizeof(s->keys)) && is_ended(s->accounts, sizeof(s->accounts)));
    MUST(is_ended(s->store, sizeof(s->store)) && is_ended(s->cookie_name, sizeof(s->cookie_name)));
    MUST(is_ended(s->realm, sizeof(s->realm)) && is_ended(s->prefix, sizeof(s->prefix)));
    MUST(s->origins_n <= sizeof(s->origins) / sizeof(s->origins[0]));
    MUST(s->idle_s >= 0 && s->absolute_s > 0 && s->jwt_leeway_s >= 0 && s->jwt_leeway_s <= 60);
    MUST(s->cookie_samesite != LK_SAMESITE_NONE || s->cookie_secure);
    MUST(lk_settings_check(s, NULL) == LK_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lk_settings first, second;
    lk_note note = {""};
    lk_status status;
    char path[64];
    int fd;

    if (size > 65536 || leads_out(lk_view_make(data, size)))
        return 0;
    fd = file_of(lk_view_make(data, size), path);
    memset(&first, 0, sizeof(first));
    lk_settings_init(&first);
    memcpy(&second, &first, sizeof(first));
    status = lk_settings_read(lk_env_system(), path, &first, &note);
    MUST(status == LK_OK || (status == LK_REFUSED && note.text[0] != '\0'));
    if (status == LK_OK) {
        expect_whole(&first);
        MUST(lk_settings_read(lk_env_system(), path, &second, NULL) == LK_OK);
        MUST(memcmp(&first, &second, sizeof(first)) == 0);
    }
    close(fd);
    return 0;
}
