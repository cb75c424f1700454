/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_open.c - what is opened once for all workers, before they
 * exist: the keys, the shared table, the directories of stores.
 */
#include "ngx_http_latchkey.h"


static ngx_int_t ngx_http_latchkey_open_table(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf);
static ngx_http_latchkey_table_t *ngx_http_latchkey_old_table(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf);
static uint32_t ngx_http_latchkey_group(ngx_conf_t *cf);
static void ngx_http_latchkey_close_keys(void *data);
static void ngx_http_latchkey_close_table(void *data);
static void ngx_http_latchkey_make_dir(ngx_cycle_t *cycle, const char *path,
    ngx_uint_t parent);


/* The keys are read, and made when there are none, by the master.  As root it
 * keeps them from being changed by the workers' user, whose group may read
 * what it makes: the workers look for new keys themselves.  `nginx -t` and `nginx -s` look and leave everything as it is. */
ngx_int_t
ngx_http_latchkey_open_shared(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    if (ngx_http_latchkey_open_keys(cf, lmcf) != NGX_OK
        || ngx_http_latchkey_try(cf, lmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    return ngx_http_latchkey_open_table(cf, lmcf);
}


/* The group that the workers of a master that is root run as, or 0. */
static uint32_t
ngx_http_latchkey_group(ngx_conf_t *cf)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    if (geteuid() != 0 || ccf->user == (ngx_uid_t) NGX_CONF_UNSET_UINT
        || ccf->group == (ngx_gid_t) NGX_CONF_UNSET_UINT)
    {
        return 0;
    }

    return (uint32_t) ccf->group;
}


ngx_int_t
ngx_http_latchkey_open_keys(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    ngx_uint_t           dry;
    lk_note              note;
    lk_status            status;
    lk_key_place         place;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    place = lk_settings_key_place(&lmcf->settings);
    place.group = ngx_http_latchkey_group(cf);

    dry = ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER;
    note.text[0] = '\0';

    status = lk_keyring_open_at(lk_env_system(), &place, !dry, &lmcf->ring,
                                &note);

    if (status == LK_MISS && dry) {
        ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0,
                           "no keys in \"%s\" yet: the first start makes "
                           "them", lmcf->settings.keys);
        return NGX_OK;
    }

    if (status != LK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "latchkey_keys: %s",
                           note.text);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_latchkey_close_keys;
    cln->data = lmcf->ring;

    return NGX_OK;
}


static void
ngx_http_latchkey_close_keys(void *data)
{
    lk_keyring  *ring = data;

    lk_keyring_free(ring);
}


static ngx_int_t
ngx_http_latchkey_open_table(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    bool                        joined;
    char                       *path;
    lk_note                     note;
    ngx_pool_cleanup_t         *cln;
    ngx_http_latchkey_table_t  *shared;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    shared = ngx_http_latchkey_old_table(cf, lmcf);

    if (shared == NULL) {
        shared = ngx_calloc(sizeof(ngx_http_latchkey_table_t), cf->log);
        if (shared == NULL) {
            return NGX_ERROR;
        }

        path = lmcf->settings.memory_path;

        ngx_memcpy(shared->path, path, LK_PATH_MAX);
        shared->size = lmcf->settings.memory_size;

        note.text[0] = '\0';
        joined = false;

        if (lk_table_open(lk_env_system(),
                          ngx_strcmp(path, "anonymous") == 0 ? NULL : path,
                          shared->size, &shared->table, &joined, &note)
            != LK_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "latchkey_memory: %s",
                               note.text);
            ngx_free(shared);
            return NGX_ERROR;
        }

        if (joined && note.text[0] != '\0') {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "latchkey_memory: %s",
                               note.text);
        }
    }

    shared->refs++;
    lmcf->shared = shared;

    cln->handler = ngx_http_latchkey_close_table;
    cln->data = shared;

    return NGX_OK;
}


/* On reload: the configuration that is running, or NULL. */
ngx_http_latchkey_main_conf_t *
ngx_http_latchkey_previous(ngx_conf_t *cf)
{
    ngx_cycle_t  *old;

    old = cf->cycle->old_cycle;

    if (old == NULL || ngx_is_init_cycle(old)
        || ngx_http_latchkey_module.ctx_index == NGX_MODULE_UNSET_INDEX)
    {
        return NULL;
    }

    return ngx_http_cycle_get_module_main_conf(old, ngx_http_latchkey_module);
}


/* On reload: the table of the configuration that is running, if it is the one
 * that is asked for.  Anonymous memory could not be found any other way, and
 * the sessions in it would be lost. */
static ngx_http_latchkey_table_t *
ngx_http_latchkey_old_table(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    ngx_http_latchkey_main_conf_t  *prev;

    prev = ngx_http_latchkey_previous(cf);

    if (prev == NULL || prev->shared == NULL
        || prev->shared->size != lmcf->settings.memory_size
        || ngx_strcmp(prev->shared->path, lmcf->settings.memory_path) != 0)
    {
        return NULL;
    }

    return prev->shared;
}


static void
ngx_http_latchkey_close_table(void *data)
{
    ngx_http_latchkey_table_t  *shared = data;

    if (--shared->refs == 0) {
        lk_table_close(shared->table);
        ngx_free(shared);
    }
}


/* The directories of stores that live in files.  Made here because the
 * workers' user may not write beside them. */
void
ngx_http_latchkey_make_dirs(ngx_cycle_t *cycle,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    const char  *url;

    /* The accounts first: the directory they lie in is often the one the
     * sessions lie below, and is the workers' as a whole then. */

    url = lmcf->settings.accounts;

    if (ngx_strncmp(url, "sqlite:", 7) == 0) {
        ngx_http_latchkey_make_dir(cycle, url + 7, 1);
    }

    url = lmcf->settings.store;

    if (ngx_strncmp(url, "lmdb:", 5) == 0) {
        ngx_http_latchkey_make_dir(cycle, url + 5, 0);
    }

    url = lmcf->settings.move_store;

    if (ngx_strncmp(url, "lmdb:", 5) == 0) {
        ngx_http_latchkey_make_dir(cycle, url + 5, 0);
    }
}


/* Make the directory PATH (or the one PATH lies in) with mode 0700 for the
 * workers' user.  Only a directory made here and now is given to them: owners
 * of what was there before are the operator's business, and root changing
 * them by name inside a directory that another user may write is how one file
 * is swapped for another under its feet (CVE-2016-1247). */
static void
ngx_http_latchkey_make_dir(ngx_cycle_t *cycle, const char *path,
    ngx_uint_t parent)
{
    int               fd;
    char             *end, dir[LK_URL_MAX];
    struct stat       st;
    ngx_core_conf_t  *ccf;

    (void) ngx_cpystrn((u_char *) dir, (u_char *) path, LK_URL_MAX);

    end = strchr(dir, '?');
    if (end != NULL) {
        *end = '\0';
    }

    end = strrchr(dir, '/');

    if (parent) {
        if (end == NULL || end == dir) {
            return;
        }

        *end = '\0';
    }

    if (ngx_create_full_path((u_char *) dir, 0755) != 0) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "latchkey: cannot make what \"%s\" lies in", dir);
        return;
    }

    if (ngx_create_dir(dir, 0700) == NGX_FILE_ERROR) {
        if (ngx_errno != NGX_EEXIST) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                          "latchkey: " ngx_create_dir_n " \"%s\" failed",
                          dir);
        }

        return;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (geteuid() != 0 || ccf->user == (ngx_uid_t) NGX_CONF_UNSET_UINT) {
        return;
    }

    /* by its descriptor: the name may stand for something else by now */

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

    if (fd == -1 || fstat(fd, &st) == -1 || st.st_uid != 0
        || fchown(fd, ccf->user, ccf->group) == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "latchkey: \"%s\" cannot be given to the workers' "
                      "user", dir);
    }

    if (fd != -1) {
        (void) close(fd);
    }
}
