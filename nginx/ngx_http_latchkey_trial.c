/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_trial.c - store and accounts on a server are tried before
 * anything starts, so that a wrong URL or password is a sentence at the start
 * and not a gateway that answers 503.
 *
 * The one who tries is a child with the workers' user: a database that knows
 * its clients by their user (peer authentication) must see the one that will
 * ask it, and nothing of its client library is left in the master.
 */
#include "ngx_http_latchkey.h"
#include <poll.h>
#include <sys/wait.h>


/* Many hosts of a cluster, each at the longest deadline there is. */
#define NGX_HTTP_LATCHKEY_TRIAL  60000

/* A server that has just been started, or a machine that is busy starting,
 * may need more than one deadline. */
#define NGX_HTTP_LATCHKEY_TRIALS  3


typedef struct {
    ngx_uint_t  store;       /* 1: is to be tried */
    ngx_uint_t  accounts;
} ngx_http_latchkey_tried_t;

typedef struct {
    lk_status   status;
    ngx_uint_t  accounts;    /* 1: it is what failed */
    lk_note     note;
} ngx_http_latchkey_trial_t;


static ngx_int_t ngx_http_latchkey_trial(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf, const ngx_http_latchkey_tried_t *what,
    ngx_http_latchkey_trial_t *trial);
static void ngx_http_latchkey_trial_child(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf, const ngx_http_latchkey_tried_t *what,
    int fd);
static void ngx_http_latchkey_trial_open(ngx_http_latchkey_main_conf_t *lmcf,
    const ngx_http_latchkey_tried_t *what, ngx_http_latchkey_trial_t *trial);
static ngx_int_t ngx_http_latchkey_trial_read(int fd,
    ngx_http_latchkey_trial_t *trial);


/* What lies in files is made on the first start, so there is nothing to try. */
ngx_uint_t
ngx_http_latchkey_is_network(const char *url)
{
    return ngx_strstr(url, "://") != NULL;
}


/* On a reload what is in use already is not tried: it may be away just now,
 * and that is no reason to refuse other settings.  Without keys, before the
 * first start, accounts cannot be opened. */
ngx_int_t
ngx_http_latchkey_try(ngx_conf_t *cf, ngx_http_latchkey_main_conf_t *lmcf)
{
    char                            url[LK_URL_MAX];
    const char                     *name;
    ngx_http_latchkey_tried_t       what;
    ngx_http_latchkey_trial_t       trial;
    ngx_http_latchkey_main_conf_t  *prev;

    if (ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    prev = ngx_http_latchkey_previous(cf);

    if (prev != NULL && !prev->enabled) {
        prev = NULL;
    }

    what.store = (ngx_http_latchkey_is_network(lmcf->settings.store)
                  || ngx_http_latchkey_is_network(lmcf->settings.move_store))
                 && (prev == NULL
                     || ngx_strcmp(prev->settings.store, lmcf->settings.store)
                     || ngx_strcmp(prev->settings.replica,
                                   lmcf->settings.replica)
                     || ngx_strcmp(prev->settings.move_store,
                                   lmcf->settings.move_store));

    what.accounts = ngx_http_latchkey_is_network(lmcf->settings.accounts)
                    && lmcf->ring != NULL
                    && (prev == NULL
                        || ngx_strcmp(prev->settings.accounts,
                                      lmcf->settings.accounts));

    if (!what.store && !what.accounts) {
        return NGX_OK;
    }

    if (ngx_http_latchkey_trial(cf, lmcf, &what, &trial) != NGX_OK) {
        return NGX_ERROR;
    }

    if (trial.status == LK_OK) {
        return NGX_OK;
    }

    name = trial.accounts ? "latchkey_accounts" : "latchkey_store";

    lk_store_url_show(trial.accounts ? lmcf->settings.accounts
                                     : lmcf->settings.store,
                      url, sizeof(url));

    if (trial.status == LK_FAULT) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s %s: %s; start it, or correct %s", name, url,
                      trial.note.text, name);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s %s: %s", name, url,
                      trial.note.text);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_latchkey_trial(ngx_conf_t *cf, ngx_http_latchkey_main_conf_t *lmcf,
    const ngx_http_latchkey_tried_t *what, ngx_http_latchkey_trial_t *trial)
{
    int        fds[2];
    pid_t      pid;
    ngx_int_t  rc;

    if (pipe(fds) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno, "pipe() failed");
        return NGX_ERROR;
    }

    pid = fork();

    if (pid == -1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno, "fork() failed");
        (void) close(fds[0]);
        (void) close(fds[1]);
        return NGX_ERROR;
    }

    if (pid == 0) {
        (void) close(fds[0]);
        ngx_http_latchkey_trial_child(cf, lmcf, what, fds[1]);
    }

    (void) close(fds[1]);

    rc = ngx_http_latchkey_trial_read(fds[0], trial);

    (void) close(fds[0]);

    if (rc != NGX_OK) {
        (void) kill(pid, SIGKILL);

        trial->status = LK_FAULT;
        trial->accounts = !what->store;
        lk_note_set(&trial->note, "trying it came to no end");
    }

    /* nobody else reaps here: a master that reloads has SIGCHLD blocked */

    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) { /* void */ }

    return NGX_OK;
}


/* What the child says comes in one piece (PIPE_BUF), or not at all. */
static ngx_int_t
ngx_http_latchkey_trial_read(int fd, ngx_http_latchkey_trial_t *trial)
{
    int            n;
    struct pollfd  p;

    p.fd = fd;
    p.events = POLLIN;

    do {
        n = poll(&p, 1, NGX_HTTP_LATCHKEY_TRIAL);
    } while (n == -1 && errno == EINTR);

    if (n != 1 || read(fd, trial, sizeof(ngx_http_latchkey_trial_t))
                  != (ssize_t) sizeof(ngx_http_latchkey_trial_t))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The user of the workers, if root may be another.  Without a `user` line
 * before http {} it is the one nginx was built for. */
static ngx_int_t
ngx_http_latchkey_become_worker(ngx_conf_t *cf)
{
    struct passwd    *pwd;
    ngx_core_conf_t  *ccf;

    if (geteuid() != 0) {
        return NGX_OK;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    if (ccf->user != (ngx_uid_t) NGX_CONF_UNSET_UINT) {

        if (setgid(ccf->group) == -1
            || initgroups(ccf->username, ccf->group) == -1
            || setuid(ccf->user) == -1)
        {
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    pwd = getpwnam(NGX_USER);

    if (pwd == NULL || setgid(pwd->pw_gid) == -1
        || initgroups(NGX_USER, pwd->pw_gid) == -1
        || setuid(pwd->pw_uid) == -1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_latchkey_trial_child(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf, const ngx_http_latchkey_tried_t *what,
    int fd)
{
    ngx_uint_t                 i;
    ngx_http_latchkey_trial_t  trial;

    ngx_memzero(&trial, sizeof(ngx_http_latchkey_trial_t));

    if (ngx_http_latchkey_become_worker(cf) == NGX_OK) {

        for (i = 1; /* void */ ; i++) {
            ngx_http_latchkey_trial_open(lmcf, what, &trial);

            if (trial.status != LK_FAULT || i == NGX_HTTP_LATCHKEY_TRIALS) {
                break;
            }

            ngx_msleep((useconds_t) i * 200);
        }

    } else {
        trial.status = LK_FAULT;
        lk_note_set(&trial.note, "the workers' user cannot be taken on");
    }

    (void) !write(fd, &trial, sizeof(ngx_http_latchkey_trial_t));

    _exit(0);
}


static void
ngx_http_latchkey_trial_open(ngx_http_latchkey_main_conf_t *lmcf,
    const ngx_http_latchkey_tried_t *what, ngx_http_latchkey_trial_t *trial)
{
    lk_store     *store;
    lk_accounts  *accounts;
    lk_settings  *settings;

    settings = &lmcf->settings;

    trial->status = LK_OK;
    trial->accounts = 0;

    if (what->store && !ngx_http_latchkey_is_network(settings->store)) {
        trial->status = LK_OK;
    } else if (what->store && settings->replica[0] != '\0') {
        trial->status = lk_store_open_replicated(lk_env_system(),
                                                 settings->store,
                                                 settings->replica, NULL,
                                                 &store, &trial->note);
    } else if (what->store) {
        trial->status = lk_store_open(lk_env_system(), settings->store, NULL,
                                      &store, &trial->note);
    }

    /* the other store of a move */

    if (trial->status == LK_OK && what->store
        && ngx_http_latchkey_is_network(settings->move_store))
    {
        trial->status = lk_store_open(lk_env_system(), settings->move_store,
                                      NULL, &store, &trial->note);
    }

    if (trial->status == LK_OK && what->accounts) {
        trial->accounts = 1;
        trial->status = lk_accounts_open(lk_env_system(), settings,
                                         lmcf->ring, &accounts, &trial->note);
    }
}
