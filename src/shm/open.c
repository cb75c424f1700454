/* SPDX-License-Identifier: Apache-2.0
 *
 * open.c - the mapping: made once, joined by everybody else.
 *
 * Making is done under flock on the file, which the kernel gives up when the maker dies; the magic number is
 * written last. A damaged file is never written to: a new one is renamed over it, and those that still have
 * the old one mapped go on with it. For as long as a table is open its descriptor holds a shared lock on byte
 * 0 (open file description lock, so that it is inherited by fork), which tells whether anybody else has it.
 */
#include "table_inner.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of newer kernels than the headers may know; an older one answers EINVAL. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE_PAGE ((size_t)2 << 20)
#define RETRIES 100 /* the file was replaced between opening and locking it */

typedef struct opening {
    lk_table *t;
    const char *path;
    lk__geometry wanted;
    bool joined;
    lk_note *note;
} opening;

static lk_status fault(const opening *o, const char *what)
{
    lk_note_set(o->note, "%s: %s: %s", o->path != NULL ? o->path : "shared memory", what, strerror(errno));
    return LK_FAULT;
}

/* Map at an address where huge pages can be: in the middle of a larger reservation, whose ends are given
 * back. NULL with errno. */
static uint8_t *map_aligned(size_t size, int flags, int fd)
{
    size_t room = size + HUGE_PAGE;
    uint8_t *reserved = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
        return NULL;
    }
    size_t before = (HUGE_PAGE - (uintptr_t)reserved % HUGE_PAGE) % HUGE_PAGE;
    uint8_t *p = mmap(reserved + before, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
    if (p == MAP_FAILED) {
        (void)munmap(reserved, room);
        return NULL;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t end = before + (size + page - 1) / page * page;
    if (before > 0) {
        (void)munmap(reserved, before);
    }
    (void)munmap(reserved + end, room - end);
    return p;
}

static lk_status map(opening *o, int fd, const lk__geometry *g)
{
    uint8_t *p = map_aligned(g->size, fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd);
    if (p == NULL) {
        return fault(o, "cannot map the table");
    }
    (void)madvise(p, g->size, MADV_DONTDUMP); /* sessions do not belong in a core file */
    (void)madvise(p, g->size, MADV_HUGEPAGE);
    lk__table_attach(o->t, p, g);
    return LK_OK;
}

static void unmap(lk_table *t)
{
    if (t->map != NULL) {
        (void)munmap(t->map, t->g.size);
        t->map = NULL;
    }
}

/* All memory is taken now: a page that cannot be had later would be a SIGBUS in the middle of a request. A
 * kernel before 5.14 does not know how to do that through the mapping; there a file is just filled. Then the
 * pages are put together to huge ones, which saves a third of a look-up in a large table; a kernel that will
 * not (before 6.1, or for want of memory in one piece) does no harm. */
static lk_status take_memory(opening *o, int fd)
{
    lk_table *t = o->t;
    int error = 0;
    if (madvise(t->map, t->g.size, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) {
        error = errno == EFAULT ? ENOSPC : errno;
    }
    if (error == 0 && fd >= 0) {
        do {
            error = posix_fallocate(fd, 0, (off_t)t->g.size);
        } while (error == EINTR);
    }
    if (error != 0) {
        errno = error;
        return fault(o, "no room for the table");
    }
    (void)madvise(t->map, t->g.size / HUGE_PAGE * HUGE_PAGE, MADV_COLLAPSE);
    return LK_OK;
}

/* A new table in the file FD, or in anonymous memory (-1). */
static lk_status make_in(opening *o, int fd)
{
    if (fd >= 0 && ftruncate(fd, (off_t)o->wanted.size) != 0) {
        return fault(o, "no room for the table");
    }
    lk_status status = map(o, fd, &o->wanted);
    if (status == LK_OK) {
        status = take_memory(o, fd);
    }
    if (status == LK_OK) {
        status = lk__table_make(o->t);
        if (status != LK_OK) {
            lk_note_set(o->note, "no random bytes for the table");
        }
    }
    return status;
}

/* A file anybody else may write would let him log in as anyone. */
static lk_status check_file(const opening *o, const struct stat *st)
{
    if (!S_ISREG(st->st_mode)) {
        lk_note_set(o->note, "%s is not a regular file", o->path);
        return LK_FAULT;
    }
    if (st->st_uid != geteuid() || (st->st_mode & 077) != 0) {
        lk_note_set(o->note, "%s belongs to user %ld with mode %o; it must be ours (%ld) with mode 600",
                    o->path, (long)st->st_uid, (unsigned)(st->st_mode & 07777), (long)geteuid());
        return LK_FAULT;
    }
    return LK_OK;
}

/* LK_OK with *fd open and locked, and the file still the one of that name. */
static lk_status open_locked(const opening *o, int *fd, struct stat *st)
{
    for (int i = 0; i < RETRIES; i++) {
        struct stat named;
        *fd = open(o->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (*fd < 0) {
            return fault(o, "cannot open the table");
        }
        int error = flock(*fd, LOCK_EX);
        while (error < 0 && errno == EINTR) {
            error = flock(*fd, LOCK_EX);
        }
        if (error == 0 && fstat(*fd, st) == 0 && lstat(o->path, &named) == 0 && named.st_ino == st->st_ino &&
            named.st_dev == st->st_dev) {
            return LK_OK;
        }
        (void)close(*fd);
        *fd = -1;
    }
    return fault(o, "cannot lock the table");
}

static bool presence(int fd, int command, short type, struct flock *l)
{
    *l = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return fcntl(fd, command, l) == 0;
}

/* Locks carry pids, which mean nothing in another pid namespace: there a holder would look dead, and his lock
 * be taken from him. */
static lk_status check_space(const opening *o, int fd)
{
    lk_table *t = o->t;
    struct flock l;
    uint64_t ours = lk__name_space(), theirs = atomic_load(&t->head->pid_space);
    if (ours == theirs || ours == 0 || theirs == 0) {
        return LK_OK;
    }
    if (!presence(fd, F_OFD_GETLK, F_WRLCK, &l) || l.l_type != F_UNLCK) {
        lk_note_set(o->note,
                    "%s is in use by processes of another pid namespace (container): give each its own",
                    o->path);
        return LK_FAULT;
    }
    lk__table_release_all(t);
    atomic_store(&t->head->pid_space, ours);
    return LK_OK;
}

/* LK_OK; LK_STALE when what is there is no whole table of this format; LK_FAULT. */
static lk_status join(opening *o, int fd, const struct stat *st)
{
    lk__geometry g;
    if (lk__geometry_of((uint64_t)st->st_size, &g) != LK_OK) {
        return LK_STALE;
    }
    lk_status status = map(o, fd, &g);
    if (status == LK_OK && !lk__table_is_whole(o->t)) {
        unmap(o->t);
        status = LK_STALE;
    }
    if (status == LK_OK) {
        status = check_space(o, fd);
        o->joined = true;
    }
    if (status == LK_OK && g.size != o->wanted.size) {
        lk_note_set(o->note, "%s has %llu bytes, not the %llu asked for; it keeps them until it is removed",
                    o->path, (unsigned long long)g.size, (unsigned long long)o->wanted.size);
    }
    return status;
}

/* Make a new file beside and rename it. Whoever waits for the lock of the old one finds that its name is
 * gone. */
static lk_status replace(opening *o, int *fd)
{
    char beside[PATH_MAX];
    int n = snprintf(beside, sizeof(beside), "%s.new", o->path);
    if (n < 0 || (size_t)n >= sizeof(beside)) {
        lk_note_set(o->note, "the path of the table is too long");
        return LK_FAULT;
    }
    (void)unlink(beside); /* of a maker that was killed: the lock is ours */
    int new_fd = open(beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (new_fd < 0) {
        return fault(o, "cannot make a new table");
    }
    lk_status status = make_in(o, new_fd);
    if (status == LK_OK && rename(beside, o->path) < 0) {
        status = fault(o, "cannot put the new table in place");
    }
    if (status != LK_OK) {
        (void)unlink(beside);
        (void)close(new_fd);
        return status;
    }
    (void)close(*fd);
    *fd = new_fd;
    return LK_OK;
}

static lk_status open_file(opening *o)
{
    struct stat st;
    struct flock l;
    int fd = -1;
    lk_status status = open_locked(o, &fd, &st);
    if (status == LK_OK) {
        status = check_file(o, &st);
    }
    if (status == LK_OK && st.st_size == 0) {
        status = make_in(o, fd);
        if (status != LK_OK) {
            (void)unlink(o->path); /* leave nothing half made */
        }
    } else if (status == LK_OK) {
        status = join(o, fd, &st);
        if (status == LK_STALE) {
            status = replace(o, &fd);
        }
    }
    if (status == LK_OK && !presence(fd, F_OFD_SETLK, F_RDLCK, &l)) {
        status = fault(o, "cannot lock the table");
    }
    if (status == LK_OK) {
        o->t->fd = fd;
        (void)flock(fd, LOCK_UN);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

lk_status lk_table_open(const lk_env *env, const char *path, size_t size, lk_table **out, bool *joined,
                        lk_note *note)
{
    opening o = {.path = path, .note = note};
    *out = NULL;
    lk_note_set(note, "%s", "");
    if (lk__geometry_of(size, &o.wanted) != LK_OK) {
        lk_note_set(note, "a table has between %u and %llu bytes", LK_TABLE_SIZE_MIN,
                    (unsigned long long)LK__SIZE_MAX);
        return LK_REFUSED;
    }
    o.t = lk_alloc(env, sizeof(*o.t));
    if (o.t == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    o.t->env = env;
    o.t->fd = -1;
    lk_status status = path == NULL ? make_in(&o, -1) : open_file(&o);
    if (status != LK_OK) {
        lk_table_close(o.t);
        return status;
    }
    *out = o.t;
    if (joined != NULL) {
        *joined = o.joined;
    }
    return LK_OK;
}

void lk_table_close(lk_table *t)
{
    if (t == NULL) {
        return;
    }
    unmap(t);
    if (t->fd >= 0) {
        (void)close(t->fd);
    }
    lk_free(t->env, t);
}
