/* SPDX-License-Identifier: Apache-2.0
 *
 * key_dir.c - open, check, lock and read the directory of key files. docs/formats/keys.md
 */
#include "keyring/key_dir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <latchkey/base64url.h>
#include <latchkey/secret.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_NAME ".lock"
#define LOCK_WAIT_MS 10000
#define LOCK_STEP_MS 10
#define SUFFIX ".jwk"
#define OTHERS (S_IRWXG | S_IRWXO)
#define GROUP_READS (S_IRGRP | S_IXGRP)

bool lk__is_own_kid(lk_view kid)
{
    return kid.len > 0 && kid.len <= LK_KID_MAX && lk_is_base64url(kid);
}

/* Root gave it to a group to read: a group that somebody chose (root's own is where files end up by chance).
 */
static bool is_groups(const struct stat *st)
{
    mode_t allowed = S_ISDIR(st->st_mode) ? GROUP_READS : S_IRGRP;

    return st->st_uid == 0 && st->st_gid != 0 && (st->st_mode & OTHERS & ~allowed) == 0;
}

/* Owner and mode of what FD is open on. NAME is empty for the directory itself. */
static lk_status check_access(int fd, const char *path, const char *name, lk_note *note)
{
    const char *slash = name[0] == '\0' ? "" : "/";
    struct stat st;

    if (fstat(fd, &st) != 0) {
        lk_note_set(note, "%s%s%s cannot be looked at: %s", path, slash, name, strerrordesc_np(errno));
        return LK_FAULT;
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        lk_note_set(note, "%s%s%s belongs to user %u, who could change the keys; do: chown %u %s%s%s", path,
                    slash, name, (unsigned)st.st_uid, (unsigned)geteuid(), path, slash, name);
        return LK_REFUSED;
    }
    if ((st.st_mode & OTHERS) != 0 && !is_groups(&st)) {
        lk_note_set(note, "%s%s%s can be read by others than its owner; do: chmod %s %s%s%s", path, slash,
                    name, S_ISDIR(st.st_mode) ? "700" : "600", path, slash, name);
        return LK_REFUSED;
    }
    if (name[0] != '\0' && !S_ISREG(st.st_mode)) {
        lk_note_set(note, "%s%s%s is not a plain file; take it out of the key directory", path, slash, name);
        return LK_REFUSED;
    }
    return LK_OK;
}

static lk_status make_dir(const char *path, bool *made, lk_note *note)
{
    *made = mkdir(path, S_IRWXU) == 0;
    if (*made || errno == EEXIST)
        return LK_OK;
    lk_note_set(note, "the key directory %s cannot be made: %s", path, strerrordesc_np(errno));
    return LK_FAULT;
}

/* Sync the directory that DIR is in: keys in a directory that a power loss can take away again are not kept.
 */
static void sync_parent(const lk__key_dir *dir)
{
    int parent = openat(dir->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (parent < 0)
        return; /* we may search it but not read it: then we cannot have made the directory either */
    (void)fsync(parent);
    (void)close(parent);
}

lk_status lk__key_dir_share(const lk__key_dir *dir, int fd)
{
    struct stat st;

    if (fstat(dir->fd, &st) != 0)
        return LK_FAULT;
    if (geteuid() != 0 || !is_groups(&st) || (st.st_mode & S_IRGRP) == 0)
        return LK_OK;
    return fchown(fd, 0, st.st_gid) == 0 && fchmod(fd, S_IRUSR | S_IWUSR | S_IRGRP) == 0 ? LK_OK : LK_FAULT;
}

/* What root has just made for a gateway whose workers run as GROUP. */
static lk_status give_to_group(const lk__key_dir *dir, uint32_t group, lk_note *note)
{
    if (group == 0 || geteuid() != 0 ||
        (fchown(dir->fd, 0, group) == 0 && fchmod(dir->fd, S_IRWXU | GROUP_READS) == 0))
        return LK_OK;
    lk_note_set(note, "the key directory %s cannot be given to group %u: %s", dir->path, group,
                strerrordesc_np(errno));
    return LK_FAULT;
}

lk_status lk__key_dir_open(lk__key_dir *dir, const lk_env *env, const lk_key_place *place, bool create,
                           lk_note *note)
{
    const char *path = place->dir;
    bool made = false;
    lk_status status;

    *dir = (lk__key_dir){.env = env, .path = path, .secret = place->secret, .fd = -1, .lock_fd = -1};
    if (create && make_dir(path, &made, note) != LK_OK)
        return LK_FAULT;
    dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0) {
        int why = errno;

        lk_note_set(note, "the key directory %s cannot be opened: %s", path, strerrordesc_np(why));
        return why == ENOENT ? LK_MISS : LK_FAULT;
    }
    status = made ? give_to_group(dir, place->group, note) : LK_OK;
    if (create)
        sync_parent(dir);
    if (status == LK_OK)
        status = check_access(dir->fd, path, "", note);
    if (status != LK_OK)
        lk__key_dir_close(dir);
    return status;
}

void lk__key_dir_unlock(lk__key_dir *dir)
{
    if (dir->lock_fd >= 0)
        (void)close(dir->lock_fd); /* the lock belongs to the open file and goes with it */
    dir->lock_fd = -1;
}

void lk__key_dir_close(lk__key_dir *dir)
{
    lk__key_dir_unlock(dir);
    if (dir->fd >= 0)
        (void)close(dir->fd);
    dir->fd = -1;
    lk__key_box_wipe(&dir->box);
}

/* flock without waiting for ever: a stopped process that holds the lock must not hang a reload. */
static lk_status wait_for_lock(const lk__key_dir *dir, int how, lk_note *note)
{
    const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};

    for (int waited = 0; flock(dir->lock_fd, how | LOCK_NB) != 0; waited += LOCK_STEP_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            lk_note_set(note, "%s/%s cannot be locked: %s", dir->path, LOCK_NAME, strerrordesc_np(errno));
            return LK_FAULT;
        }
        if (waited >= LOCK_WAIT_MS) {
            lk_note_set(note, "another process has held %s/%s for %d seconds; see: fuser %s/%s", dir->path,
                        LOCK_NAME, LOCK_WAIT_MS / 1000, dir->path, LOCK_NAME);
            return LK_FAULT;
        }
        (void)nanosleep(&step, NULL);
    }
    return LK_OK;
}

lk_status lk__key_dir_lock(lk__key_dir *dir, bool for_writing, lk_note *note)
{
    int flags = O_CLOEXEC | O_NOFOLLOW | (for_writing ? O_RDWR | O_CREAT : O_RDONLY);
    lk_status status;

    dir->lock_fd = openat(dir->fd, LOCK_NAME, flags, S_IRUSR | S_IWUSR);
    if (dir->lock_fd < 0 && errno == ENOENT && !for_writing)
        return LK_OK;
    if (dir->lock_fd < 0) {
        lk_note_set(note, "%s/%s cannot be opened: %s", dir->path, LOCK_NAME, strerrordesc_np(errno));
        return LK_FAULT;
    }
    status = for_writing ? lk__key_dir_share(dir, dir->lock_fd) : LK_OK;
    if (status == LK_OK)
        status = wait_for_lock(dir, for_writing ? LOCK_EX : LOCK_SH, note);
    if (status != LK_OK)
        lk__key_dir_unlock(dir);
    return status;
}

/* Read all of FD into TEXT. LK_OK; LK_REFUSED when it is too long; LK_FAULT. */
static lk_status read_all(int fd, lk_buf *text)
{
    while (text->len < text->cap) {
        ssize_t got = read(fd, text->p + text->len, text->cap - text->len);

        if (got == 0)
            return LK_OK;
        if (got < 0 && errno != EINTR)
            return LK_FAULT;
        if (got > 0)
            text->len += (size_t)got;
    }
    return LK_REFUSED;
}

/* O_NOFOLLOW: a link could point at a file of the owner that is no key. O_NONBLOCK: a FIFO must not hang us.
 */
static lk_status read_file(const lk__key_dir *dir, const char *name, lk_buf *text, lk_note *note)
{
    int fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    lk_status status;

    if (fd < 0) {
        int why = errno;

        lk_note_set(note, "the key file %s/%s cannot be opened: %s", dir->path, name, strerrordesc_np(why));
        return why == ELOOP ? LK_REFUSED : LK_FAULT;
    }
    status = check_access(fd, dir->path, name, note);
    if (status == LK_OK) {
        status = read_all(fd, text);
        if (status != LK_OK)
            lk_note_set(note, "the key file %s/%s %s", dir->path, name,
                        status == LK_FAULT ? "cannot be read" : "is too long to be a key");
    }
    (void)close(fd);
    return status;
}

/* The kid a file name stands for; empty for a file that is no key file. */
static lk_view kid_of_name(const char *name)
{
    lk_view v = lk_view_of(name), suffix = LK_VIEW(SUFFIX);

    if (name[0] == '.' || v.len <= suffix.len ||
        !lk_view_equal(lk_view_part(v, v.len - suffix.len, suffix.len), suffix))
        return (lk_view){0};
    return lk_view_part(v, 0, v.len - suffix.len);
}

/* Hand TEXT of KID to VISIT, out of its seal if it is in one. */
static lk_status visit_text(lk__key_dir *dir, lk_view kid, lk_view text, lk__key_visit visit, void *context,
                            lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX];
    lk_buf inner = lk_buf_over(memory, sizeof(memory));
    lk_note why = {0};
    lk_status status;

    if (!lk__key_is_sealed(text))
        return visit(context, kid, text, note);
    status = lk__key_unseal(&dir->box, dir->secret, kid, text, &inner, &why);
    if (status == LK_OK)
        status = visit(context, kid, lk_buf_view(&inner), note);
    else
        lk_note_set(note, "the key file %s/%.*s.jwk: %s", dir->path, (int)kid.len, (const char *)kid.p,
                    why.text);
    lk_wipe(memory, inner.len);
    return status == LK_FULL ? LK_REFUSED : status;
}

static lk_status visit_file(lk__key_dir *dir, const char *name, lk__key_visit visit, void *context,
                            lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    lk_view kid = kid_of_name(name);
    lk_status status = LK_REFUSED;

    if (!lk__is_own_kid(kid))
        lk_note_set(note, "%s/%s: the name of a key file is letters, digits, - and _, at most %d of them",
                    dir->path, name, LK_KID_MAX);
    else
        status = read_file(dir, name, &text, note);
    if (status == LK_OK)
        status = visit_text(dir, kid, lk_buf_view(&text), visit, context, note);
    lk_wipe(memory, text.len);
    return status;
}

lk_status lk__key_dir_one(lk__key_dir *dir, const char *kid, lk__key_visit visit, void *context,
                          lk_note *note)
{
    char memory[LK_KID_MAX + sizeof(SUFFIX)];
    lk_buf name = lk_buf_over(memory, sizeof(memory));

    lk_buf_add_text(&name, kid);
    lk_buf_add_text(&name, SUFFIX);
    if (lk_buf_text(&name) == NULL)
        return LK_FAULT;
    if (faccessat(dir->fd, memory, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return LK_MISS;
    return visit_file(dir, memory, visit, context, note);
}

lk_status lk__key_dir_is_sealed(const lk__key_dir *dir, const char *kid, bool *out, lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    char name_memory[LK_KID_MAX + sizeof(SUFFIX)];
    lk_buf name = lk_buf_over(name_memory, sizeof(name_memory));
    lk_status status;

    lk_buf_add_text(&name, kid);
    lk_buf_add_text(&name, SUFFIX);
    if (lk_buf_text(&name) == NULL)
        return LK_FAULT;
    status = read_file(dir, name_memory, &text, note);
    *out = status == LK_OK && lk__key_is_sealed(lk_buf_view(&text));
    lk_wipe(memory, text.len);
    return status;
}

/* A stream over the directory with a place of its own: dir->fd stays usable. NULL with a note. */
static DIR *open_stream(const lk__key_dir *dir, lk_note *note)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (stream != NULL)
        return stream;
    lk_note_set(note, "the key directory %s cannot be read: %s", dir->path, strerrordesc_np(errno));
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

lk_status lk__key_dir_each(lk__key_dir *dir, lk__key_visit visit, void *context, lk_note *note)
{
    DIR *stream = open_stream(dir, note);
    lk_status status = LK_OK;
    struct dirent *entry;
    size_t count = 0;

    if (stream == NULL)
        return LK_FAULT;
    while (status == LK_OK && (errno = 0, entry = readdir(stream)) != NULL) {
        if (kid_of_name(entry->d_name).len == 0)
            continue;
        if (++count > LK__KEYS_MAX) {
            lk_note_set(note, "%s holds more than %d keys; take old ones out", dir->path, LK__KEYS_MAX);
            status = LK_FULL;
        } else {
            status = visit_file(dir, entry->d_name, visit, context, note);
        }
    }
    if (status == LK_OK && errno != 0) {
        lk_note_set(note, "the key directory %s cannot be read: %s", dir->path, strerrordesc_np(errno));
        status = LK_FAULT;
    }
    (void)closedir(stream);
    return status;
}

/* --- What has changed ------------------------------------------------------------------------------------
 */

static uint64_t mix(uint64_t print, uint64_t value)
{
    print = (print ^ value) * 0xff51afd7ed558ccdULL;
    return print ^ (print >> 32);
}

/* One file. The sum over all of them does not depend on their order in the directory. */
static uint64_t print_of(const char *name, const struct stat *st)
{
    uint64_t print = 1;

    for (size_t i = 0; name[i] != '\0'; i++)
        print = mix(print, (unsigned char)name[i]);
    print = mix(print, st->st_ino);
    print = mix(print, (uint64_t)st->st_size);
    print = mix(print, st->st_mode);
    print = mix(print, ((uint64_t)st->st_uid << 32) + st->st_gid);
    print = mix(print, (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec);
    return mix(print, (uint64_t)st->st_ctim.tv_sec * 1000000000 + (uint64_t)st->st_ctim.tv_nsec);
}

/* Every file is asked, and not the directory alone: whoever writes over a file in place, as cp does, leaves
 * the time of the directory as it was. */
lk_status lk__key_dir_print(const lk__key_dir *dir, uint64_t *out, lk_note *note)
{
    DIR *stream = open_stream(dir, note);
    struct dirent *entry;
    struct stat st;

    *out = 0;
    if (stream == NULL)
        return LK_FAULT;
    if (fstat(dir->fd, &st) == 0)
        *out = mix(mix(0, st.st_ino), st.st_mode);
    while ((entry = readdir(stream)) != NULL) {
        if (kid_of_name(entry->d_name).len > 0 &&
            fstatat(dir->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            *out += print_of(entry->d_name, &st);
    }
    (void)closedir(stream);
    return LK_OK;
}
