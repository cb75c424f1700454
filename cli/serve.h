/* SPDX-License-Identifier: Apache-2.0
 *
 * serve.h - what `latchkey serve` was asked to run, and its steps: choose, write the files, run nginx on
 * them.
 */
#ifndef LATCHKEY_CLI_SERVE_H
#define LATCHKEY_CLI_SERVE_H

#include "output.h"
#include <latchkey/settings.h>
#include <stdio.h>
#include <sys/types.h>

#define SERVE_APPS_MAX 16
#define SERVE_HOST_MAX 256

typedef struct serve_address {
    char host[SERVE_HOST_MAX]; /* as nginx writes it: 127.0.0.1, [::1], app.internal */
    unsigned port;
    bool loopback;
} serve_address;

/* A store, as it was named. What holds a password, or came from the environment, is written to a file of its
 * own that only this user can read, and latchkey.conf names that file. */
typedef struct serve_url {
    char url[LK_URL_MAX]; /* never shown as it is */
    char shown[LK_URL_MAX];
    char word[LK_URL_MAX]; /* what latchkey.conf says; "" for the file in DIR */
} serve_url;

typedef struct serve {
    char dir[LK_PATH_MAX];
    char nginx[LK_PATH_MAX];  /* the program */
    char module[LK_PATH_MAX]; /* ngx_http_latchkey_module.so */
    char keys[LK_PATH_MAX];
    serve_url store, accounts, replica;
    const char *share; /* NULL: not said */
    char memory[LK_PATH_MAX];
    char cert[LK_PATH_MAX], key[LK_PATH_MAX]; /* empty: plain http */
    char url[SERVE_HOST_MAX + 32];            /* where people go */
    serve_address listen;
    serve_address apps[SERVE_APPS_MAX];
    size_t apps_n;
    char data[256]; /* fields of the session that are the application's, as latchkey_data has them */
    int64_t workers;
    bool split; /* the API in an nginx of its own */
    bool keep;  /* leave files of an earlier start as they are */
    bool init;  /* make the tables that are missing */
} serve;

/* printf into a path; false when it does not fit. */
bool serve_path(char out[LK_PATH_MAX], const char *format, ...) LK_PRINTF(2, 3);

/* serve_address.c */
int serve_listen(const cli *c, const char *text, serve_address *out);
int serve_app(const cli *c, const char *text, serve_address *out);
/* Is the address free? Port 0 is replaced by a free one. */
int serve_claim(const cli *c, serve_address *address);

/* serve_find.c: the nginx program, the module, and where data is kept when no --dir says so */
int serve_find_nginx(const cli *c, serve *s);
int serve_find_module(const cli *c, serve *s);
int serve_choose_dir(const cli *c, serve *s);

/* serve_stores.c: --store, --accounts, --replica. Names that hold a password are hidden from the list of
 * processes. Then, before nginx is started: do the servers among them answer, and have they their tables? */
int serve_choose_stores(const cli *c, serve *s);
int serve_try_stores(const cli *c, const serve *s);

/* These would end a string, a directive or begin a variable in nginx.conf: refuse a TEXT that has them. */
int serve_check_plain(const cli *c, const char *what, const char *text);

/* serve_files.c: everything in DIR. The lock is held until the process ends. */
int serve_make_dir(const cli *c, serve *s);
int serve_write_files(const cli *c, const serve *s);

/* serve_nginx.c: nginx.conf, and api.conf with --split */
void serve_write_edge(const serve *s, FILE *f);
void serve_write_api(const serve *s, FILE *f);

/* serve_run.c: run nginx until it or we are asked to stop; gives the exit code. */
int serve_run(const cli *c, const serve *s);

/* serve_ready.c: does the gateway behind DIR/health.sock answer that it is ready? */
bool serve_is_ready(const serve *s);

#endif
