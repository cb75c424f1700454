/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_sql.c - the inside of the stores over SQL: docs/stores/sqlite.md, postgres.md and mariadb.md.
 */
#include "contract.h"
#include "raw.h"
#include "sql/sql.h"

static int64_t kept_seq;

static lk_sql *database;
static lk_sql_link *link;

static bool connect_raw(void)
{
    lk_note note = {.text = ""};

    if (lk_sql_open(lk_env_system(), store_url(), NULL, &database, &note) == LK_OK &&
        lk_sql_borrow(database, &link, &note) == LK_OK)
        return true;
    fprintf(stderr, "no way into the database: %s\n", note.text);
    return false;
}

static bool disconnect(bool is_done)
{
    lk_note note = {.text = ""};

    if (!is_done && link != NULL) {
        lk_sql_explain(link, &note);
        fprintf(stderr, "%s\n", note.text);
    }
    lk_sql_give_back(link);
    lk_sql_close(database);
    link = NULL;
    database = NULL;
    return is_done;
}

static bool run_script(const char *statements)
{
    return disconnect(connect_raw() && lk_sql_script(link, statements) == LK_OK);
}

/* Run one statement with VALUES. */
static bool run_one(const char *text, const lk_sql_value *values, size_t n)
{
    return disconnect(connect_raw() && lk_sql_do(link, text, values, n, NULL) == LK_OK);
}

static bool ask_number(const char *text, const lk_sql_value *values, size_t n, int64_t *out)
{
    lk_sql_query *q = NULL;
    bool is_done = connect_raw() && lk_sql_ask(link, text, values, n, &q) == LK_OK && lk_sql_step(q) == LK_OK;

    if (is_done) {
        *out = lk_sql_i64(q, 0);
        lk_sql_reset(q);
    }
    return disconnect(is_done);
}

static bool wipe(void)
{
    return run_script(
        "DELETE FROM latchkey_session; DELETE FROM latchkey_event;"
        "UPDATE latchkey_stream SET seq = 0; UPDATE latchkey_lease SET swept_s = 0, removed = 0;"
        "UPDATE latchkey_meta SET number = number - 1000 WHERE name = 'format' AND number > 1000");
}

static bool make_newer(void)
{
    return run_script("UPDATE latchkey_meta SET number = number + 1000 WHERE name = 'format'");
}

/* A record is cut in two where the one that is there is. */
static bool put_record(const lk_session_key *key, const uint8_t *bytes, size_t len)
{
    lk_sql_value id = lk_sql_of_bytes(lk_view_make(key->bytes, sizeof(key->bytes)));
    int64_t head_len = 0;

    if (!ask_number("SELECT length(head) FROM latchkey_session WHERE id = ?", LK_SQL_VALUES(id), &head_len))
        return false;
    if (len < (size_t)head_len)
        head_len = (int64_t)len;
    return run_one("UPDATE latchkey_session SET head = ?, fields = ? WHERE id = ?",
                   LK_SQL_VALUES(lk_sql_of_bytes(lk_view_make(bytes, (size_t)head_len)),
                                 lk_sql_of_bytes(lk_view_make(bytes + head_len, len - (size_t)head_len)),
                                 id));
}

static bool put_unreadable_cutoff(void)
{
    return run_one("INSERT INTO latchkey_event (seq, mark, due, kind, bytes) VALUES (1, 7, 2147483647, 1, ?)",
                   LK_SQL_VALUES(lk_sql_of_bytes(LK_VIEW("\x09 newer")))) &&
           run_script("UPDATE latchkey_stream SET seq = 1");
}

static bool keep_stream(void)
{
    return ask_number("SELECT seq FROM latchkey_stream", NULL, 0, &kept_seq);
}

static bool put_stream_back(void)
{
    return run_one("DELETE FROM latchkey_event WHERE seq > ?", LK_SQL_VALUES(lk_sql_of_i64(kept_seq))) &&
           run_one("UPDATE latchkey_stream SET seq = ?", LK_SQL_VALUES(lk_sql_of_i64(kept_seq)));
}

static bool unmake(void)
{
    return run_script(
        "DROP TABLE latchkey_session; DROP TABLE latchkey_event; DROP TABLE latchkey_stream;"
        "DROP TABLE latchkey_lease; DROP TABLE IF EXISTS latchkey_turn; DROP TABLE latchkey_meta");
}

const raw_store raw_sql = {.wipe = wipe,
                           .put_record = put_record,
                           .make_newer = make_newer,
                           .put_unreadable_cutoff = put_unreadable_cutoff,
                           .keep_stream = keep_stream,
                           .put_stream_back = put_stream_back,
                           .unmake = unmake};
