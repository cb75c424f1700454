/* SPDX-License-Identifier: Apache-2.0
 *
 * replace.c - a file is replaced: written beside the old one, synced, and renamed, so that whoever reads sees
 * the one or the other.
 */
#include "settings/replace.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool lk_file_replace(const char *path, lk_view text)
{
    char beside[4096];
    struct stat st;
    bool was_there = stat(path, &st) == 0;
    if (snprintf(beside, sizeof(beside), "%s.XXXXXX", path) >= (int)sizeof(beside)) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = write(fd, text.p, text.len) == (ssize_t)text.len &&
                fchmod(fd, was_there ? st.st_mode & 07777 : 0644) == 0 &&
                (!was_there || geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0) && fsync(fd) == 0;
    int why = errno;
    done = close(fd) == 0 && done;
    if (done && rename(beside, path) == 0)
        return true;
    errno = done ? errno : why;
    why = errno;
    (void)unlink(beside);
    errno = why;
    return false;
}
