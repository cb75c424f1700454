/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_audit.c - the audit log: an open file of nginx, so that
 * USR1 reopens it.
 */
#include "ngx_http_latchkey.h"


ngx_int_t
ngx_http_latchkey_open_audit(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    ngx_str_t  name;

    name.data = (u_char *) lmcf->settings.audit;
    name.len = ngx_strlen(lmcf->settings.audit);

    if (name.len == 0 || ngx_strcmp(name.data, "off") == 0) {
        return NGX_OK;
    }

    if (ngx_strcmp(name.data, "stderr") == 0) {
        lmcf->audit_stderr = 1;
        return NGX_OK;
    }

    lmcf->audit = ngx_conf_open_file(cf->cycle, &name);

    return lmcf->audit ? NGX_OK : NGX_ERROR;
}


/* Whole lines, in one write: with O_APPEND the lines of several workers do not
 * mix. */
void
ngx_http_latchkey_write_audit(const u_char *lines, size_t len)
{
    ssize_t                         n;
    ngx_fd_t                        fd;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_latchkey_runtime()->conf;

    if (lmcf->audit != NULL) {
        fd = lmcf->audit->fd;

    } else if (lmcf->audit_stderr) {
        fd = ngx_stderr;

    } else {
        return;
    }

    n = ngx_write_fd(fd, (void *) lines, len);

    if (n == -1 || (size_t) n != len) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "latchkey: writing the audit log failed");
    }
}


/* Strangers without any credential are no event; a credential that is not
 * good is one. */
void
ngx_http_latchkey_audit_refusal(ngx_http_request_t *r, const lk_identity *id,
    int status)
{
    u_char                         *line;
    lk_buf                          b;
    lk_request                      req;
    lk_audit_event                  event;
    ngx_http_latchkey_main_conf_t  *lmcf;
    u_char                          buf[LK_AUDIT_MAX + 1];

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    if ((lmcf->audit == NULL && !lmcf->audit_stderr)
        || ngx_http_latchkey_runtime() == NULL
        || id->reason == LK_REASON_NO_CREDENTIAL
        || id->reason == LK_REASON_STORE_UNAVAILABLE)
    {
        return;
    }

    ngx_http_latchkey_fill_request(r, &req);

    ngx_memzero(&event, sizeof(lk_audit_event));

    event.event = "refused";
    event.reason = id->reason;
    event.identity = id;
    event.realm = lk_view_of(lmcf->settings.realm);
    event.address = req.address;
    event.method = req.method;
    event.path = req.path;
    event.request_id = req.request_id;
    event.agent = req.user_agent;
    event.status = status;
    event.now_ms = lk_now_ms(lk_env_system());

    b = lk_buf_over(buf, LK_AUDIT_MAX);
    lk_audit_line(&event, &b);

    line = b.p;
    line[b.len++] = '\n';

    ngx_http_latchkey_write_audit(line, b.len);
}
