/* SPDX-License-Identifier: Apache-2.0
 *
 * key_write.c - write a key file so that a crash at any moment leaves the old file or the new one, whole.
 *
 * temporary file, written and synced -> rename -> directory synced. Only then is the key used: what a user
 * holds can never be signed by a key that a power loss takes away.
 */
#include "keyring/key_dir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <latchkey/base64url.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY ".tmp-"
#define NAME_SIZE (LK_KID_MAX + 8)

static lk_status write_all(int fd, lk_view text)
{
    size_t done = 0;

    while (done < text.len) {
        ssize_t n = write(fd, text.p + done, text.len - done);

        if (n < 0 && errno != EINTR)
            return LK_FAULT;
        if (n > 0)
            done += (size_t)n;
    }
    return fsync(fd) == 0 ? LK_OK : LK_FAULT;
}

static lk_status temporary_name(const lk_env *env, char out[NAME_SIZE])
{
    lk_buf name = lk_buf_over(out, NAME_SIZE);
    uint8_t random[9];

    if (lk_random(env, random, sizeof(random)) != LK_OK)
        return LK_FAULT;
    lk_buf_add_text(&name, TEMPORARY);
    lk_base64url_encode(lk_view_make(random, sizeof(random)), &name);
    return lk_buf_text(&name) != NULL ? LK_OK : LK_FAULT;
}

/* Make the temporary file NAME with TEXT in it. Nothing is left behind on a failure. */
static lk_status write_temporary(const lk__key_dir *dir, const char *name, lk_view text)
{
    int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    lk_status status;
    int why;

    if (fd < 0)
        return LK_FAULT;
    status = lk__key_dir_share(dir, fd);
    if (status == LK_OK)
        status = write_all(fd, text);
    why = errno;
    if (close(fd) != 0 && status == LK_OK) {
        why = errno;
        status = LK_FAULT;
    }
    if (status != LK_OK)
        (void)unlinkat(dir->fd, name, 0);
    errno = why;
    return status;
}

static lk_status write_file(const lk__key_dir *dir, const char *kid, lk_view text, lk_note *note)
{
    char temporary[NAME_SIZE], name[NAME_SIZE];
    lk_status status;

    if (temporary_name(dir->env, temporary) != LK_OK) {
        lk_note_set(note, "no name for a key file in %s can be made", dir->path);
        return LK_FAULT;
    }
    (void)snprintf(name, sizeof(name), "%s.jwk", kid);
    status = write_temporary(dir, temporary, text);
    if (status == LK_OK && renameat(dir->fd, temporary, dir->fd, name) != 0) {
        status = LK_FAULT;
        (void)unlinkat(dir->fd, temporary, 0);
    } else if (status == LK_OK && fsync(dir->fd) != 0) {
        status = LK_FAULT;
    }
    if (status != LK_OK)
        lk_note_set(note, "the key file %s/%s cannot be written: %s", dir->path, name,
                    strerrordesc_np(errno));
    return status;
}

lk_status lk__key_dir_write(lk__key_dir *dir, const char *kid, lk_view text, lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX];
    lk_buf sealed = lk_buf_over(memory, sizeof(memory));
    lk_note why = {0};
    lk_status status;

    if (!lk__is_own_kid(lk_view_of(kid))) {
        lk_note_set(note, "no name for a key file in %s can be made", dir->path);
        return LK_FAULT;
    }
    if (dir->secret.len == 0)
        return write_file(dir, kid, text, note);
    status = lk__key_seal(&dir->box, dir->env, dir->secret, lk_view_of(kid), text, &sealed, &why);
    if (status == LK_OK)
        return write_file(dir, kid, lk_buf_view(&sealed), note);
    lk_note_set(note, "the key file %s/%s.jwk cannot be sealed%s%s", dir->path, kid,
                why.text[0] != '\0' ? ": " : "", why.text);
    return status == LK_REFUSED ? LK_REFUSED : LK_FAULT;
}

lk_status lk__key_dir_remove(const lk__key_dir *dir, const char *kid, lk_note *note)
{
    char name[NAME_SIZE];

    (void)snprintf(name, sizeof(name), "%s.jwk", kid);
    if ((unlinkat(dir->fd, name, 0) == 0 || errno == ENOENT) && fsync(dir->fd) == 0)
        return LK_OK;
    lk_note_set(note, "the key file %s/%s cannot be removed: %s", dir->path, name, strerrordesc_np(errno));
    return LK_FAULT;
}

void lk__key_dir_sweep(const lk__key_dir *dir)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const lk_view mark = LK_VIEW(TEMPORARY);
    struct dirent *entry;

    if (stream == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return; /* they are harmless, and the next writer tries again */
    }
    while ((entry = readdir(stream)) != NULL) {
        if (lk_view_equal(lk_view_part(lk_view_of(entry->d_name), 0, mark.len), mark))
            (void)unlinkat(dir->fd, entry->d_name, 0);
    }
    (void)closedir(stream);
}
