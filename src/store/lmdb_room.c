/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_room.c - the last part of the room is kept for ending sessions: who runs out of disk must still be
 * able to log people out, and LMDB needs fresh pages even to delete.
 *
 * Two bounds are watched: the map (?map=), by counting pages, and the disk, by having the file system promise
 * the next part of the file before it is needed.
 */
#include "store/lmdb_inner.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define KEPT_LEN (UINT64_C(1) << 20)     /* room kept, at least; less in a map that is small itself */
#define KEPT_PART 12                     /* or this part of what is used: see kept_of */
#define PROMISED_LEN (UINT64_C(4) << 20) /* asked of the disk at a time */
#define FREE_PAGES_DBI 0 /* LMDB's own database of free pages; readable by a reader (mdb_stat does) */

/* Free pages inside the file, as the newest snapshot shows them, up to ENOUGH. */
static uint64_t free_pages(lk__lmdb_env *db, uint64_t enough)
{
    lk__lmdb_slot *slot;
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t pages = 0;

    if (lk__lmdb_read_begin(db, &slot) != LK_OK)
        return 0;
    if (mdb_cursor_open(slot->txn, FREE_PAGES_DBI, &cursor) == MDB_SUCCESS) {
        while (pages < enough && mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == MDB_SUCCESS) {
            size_t n = 0;

            if (value.mv_size >= sizeof(n))
                memcpy(&n, value.mv_data, sizeof(n)); /* each value begins with how many pages it lists */
            pages += n;
        }
        mdb_cursor_close(cursor);
    }
    lk__lmdb_read_end(slot);
    return pages;
}

/* Ask the disk for LEN bytes of the file from USED on. 0 or an errno. */
static int ask(int file, uint64_t used, uint64_t len)
{
    return fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)used, (off_t)len) == 0 ? 0 : errno;
}

static bool is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* Let the disk promise what lies KEPT beyond the used part of the file; more at a time if it has it. A file
 * system that cannot promise leaves us with what LMDB finds out when it writes. */
static lk_status promise(lk__lmdb_env *db, uint64_t used, uint64_t kept)
{
    uint64_t len = kept + PROMISED_LEN;
    int file, error;

    if (used + kept <= db->disk_until)
        return LK_OK;
    if (mdb_env_get_fd(db->mdb, &file) != MDB_SUCCESS)
        return LK_FAULT;
    error = ask(file, used, len);
    if (is_full(error)) {
        len = kept;
        error = ask(file, used, len);
    }
    if (is_full(error))
        return LK_FULL;
    db->disk_until = error == 0 ? used + len : UINT64_MAX;
    return LK_OK;
}

/* How much is kept. A fence lies where its session lay; what grows when sessions end is the expiry index,
 * where the entry of a session with a long life moves to the end of its fence. Entries are a tenth of a
 * store; pages run empty, and are used again, once about two thirds of the sessions are ended. A twelfth
 * covers it. */
static uint64_t kept_of(uint64_t used, uint64_t map_len)
{
    uint64_t kept = used / KEPT_PART > KEPT_LEN ? used / KEPT_PART : KEPT_LEN;

    return kept < map_len / 4 ? kept : map_len / 4;
}

lk_status lk__lmdb_has_room(lk__lmdb_env *db)
{
    MDB_envinfo info;
    uint64_t used, kept, behind, enough;
    lk_status status = LK_FULL;

    if (mdb_env_info(db->mdb, &info) != MDB_SUCCESS)
        return LK_FAULT;
    used = ((uint64_t)info.me_last_pgno + 1) * db->page_len;
    kept = kept_of(used, info.me_mapsize);
    behind = used < info.me_mapsize ? info.me_mapsize - used : 0;
    if (behind >= kept) {
        status = promise(db, used, kept);
        behind = 0;
    }
    if (status != LK_FULL)
        return status;
    /* The file can grow no further; are there pages in it that nobody uses? */
    enough = (kept - behind) / db->page_len;
    return free_pages(db, enough) >= enough ? LK_OK : LK_FULL;
}
