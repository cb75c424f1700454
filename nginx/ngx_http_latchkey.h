/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey.h - what the files of the nginx module share.
 *
 * Who owns what: the master reads the settings, opens keys and the shared
 * table (main conf, one per configuration).  Each worker opens store, guard,
 * accounts and service after the fork (runtime, one per process).  Each
 * request that meets the gate has a context, found again after an internal
 * redirect.  What blocks runs as a job in a thread pool.
 */
#ifndef _NGX_HTTP_LATCHKEY_H_INCLUDED_
#define _NGX_HTTP_LATCHKEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_thread_pool.h>

#include <latchkey/data.h>
#include <latchkey/service.h>
#include <latchkey/trust.h>
#include <shm/table.h>


#if !(NGX_THREADS)
#error "latchkey needs an nginx with thread pools: configure --with-threads"
#endif


/* Remote-User, Remote-Groups, Remote-Name, Latchkey-Session */
#define NGX_HTTP_LATCHKEY_IDENTITY  4

/* Longest Cookie field that a sealed session makes, with room for others. */
#define NGX_HTTP_LATCHKEY_HEADER    (LK_SEALED_MAX + 1024)

/* Longest problem document. */
#define NGX_HTTP_LATCHKEY_PROBLEM   1024


/* of latchkey_api */
#define NGX_HTTP_LATCHKEY_API_HERE    1
#define NGX_HTTP_LATCHKEY_API_REMOTE  2


typedef struct ngx_http_latchkey_job_s  ngx_http_latchkey_job_t;
typedef struct ngx_http_latchkey_wait_s  ngx_http_latchkey_wait_t;
typedef struct ngx_http_latchkey_ask_s  ngx_http_latchkey_ask_t;
typedef struct ngx_http_latchkey_data_s  ngx_http_latchkey_data_t;
typedef struct ngx_http_latchkey_lane_s  ngx_http_latchkey_lane_t;

typedef void (*ngx_http_latchkey_wait_pt)(ngx_http_latchkey_wait_t *wait);


/* The shared table outlives a configuration: a reload must find the sessions
 * of the memory store where they were. */
typedef struct {
    ngx_uint_t                   refs;
    lk_table                    *table;
    uint64_t                     size;
    char                         path[LK_PATH_MAX];
} ngx_http_latchkey_table_t;


/* What a location asks for, as it was written. */
typedef struct {
    lk_rule                      rule;
    ngx_uint_t                   anonymous;
    ngx_http_core_srv_conf_t    *server;
    ngx_str_t                    file;       /* for the sentence of a refusal */
    ngx_uint_t                   line;
} ngx_http_latchkey_rule_t;


/* What the application of a location is told of the session's fields, and may
 * change of them. */
typedef struct {
    ngx_array_t                  names;      /* of lk_view */
    ngx_table_elt_t             *forms;      /* without values; one more: */
    ngx_uint_t                   n;          /* the names that were dropped */
    size_t                       max;        /* bytes of the values */
    unsigned                     on:1;
    unsigned                     all:1;
    unsigned                     accept:1;
} ngx_http_latchkey_data_conf_t;


/* Pages of other origins that may read what a location answers. */
typedef struct {
    ngx_array_t                  origins;    /* of ngx_str_t; or one "*" */
    ngx_str_t                    methods;
    ngx_str_t                    headers;
    ngx_str_t                    expose;
    ngx_str_t                    max_age;
    unsigned                     given:1;    /* `off` is given, too */
    unsigned                     on:1;
    unsigned                     any:1;
    unsigned                     credentials:1;
} ngx_http_latchkey_cors_t;


typedef struct {
    lk_settings                  settings;
    lk_keyring                  *ring;
    lk_trust_room               *trust;      /* NULL: no latchkey_trust */
    ngx_thread_pool_t           *trust_pool; /* fetches key sets */
    ngx_http_latchkey_table_t   *shared;
    ngx_thread_pool_t           *pool;       /* of calls to the API */
    ngx_thread_pool_t           *lane_pool;  /* of look-ups and upkeep */
    ngx_uint_t                   lane_queue; /* requests that may wait */
    ngx_msec_t                   lane_wait;  /* for an answer, at most */
    ngx_open_file_t             *audit;      /* NULL: see audit_stderr */
    ngx_array_t                  rules;      /* ngx_http_latchkey_rule_t * */
    ngx_str_t                    node;
    ngx_str_t                    header;     /* latchkey_header, lower case */
    ngx_int_t                    request_id; /* index of $request_id */
    ngx_msec_t                   wait;       /* for a thread, at most */
    unsigned                     audit_stderr:1;
    unsigned                     keys_given:1;
    unsigned                     lane_given:1;
    unsigned                     used:1;     /* a location needs the module */
    unsigned                     sticky:1;   /* an upstream needs the keys */
    unsigned                     enabled:1;
} ngx_http_latchkey_main_conf_t;


typedef struct {
    ngx_http_latchkey_rule_t    *rule;       /* NULL until merged */
    ngx_thread_pool_t           *pool;       /* of latchkey_api */
    ngx_http_latchkey_data_conf_t  *data;    /* NULL until merged */
    ngx_http_latchkey_cors_t    *cors;       /* NULL until merged */
    ngx_flag_t                   csrf;
    ngx_uint_t                   api;

    ngx_int_t                    stale_s;    /* latchkey_on_unknown */
    ngx_uint_t                   stale_safe;
    ngx_int_t                    lag_ms;     /* latchkey_revocation_lag */
    lk_lag                       lag;
} ngx_http_latchkey_loc_conf_t;


/* What a request waits for has one of these; see ngx_http_latchkey_wait.c. */
struct ngx_http_latchkey_wait_s {
    ngx_http_request_t          *request;    /* NULL: nobody waits any more */
    ngx_event_t                  timer;
    ngx_http_latchkey_wait_pt    late;       /* it has waited too long */
    ngx_http_latchkey_wait_pt    left;       /* it is being freed */
    ngx_uint_t                   filter;     /* its answer is what waits */
};


/* What the check of one request has to ask; see ngx_http_latchkey_lane.c. */
struct ngx_http_latchkey_ask_s {
    ngx_queue_t                  queue;
    ngx_http_latchkey_lane_t    *lane;
    ngx_http_latchkey_wait_t     wait;

    unsigned                     asked:1;    /* in the batch */
    unsigned                     has_question:1;

    lk_question                  question;
};


/* A signed request, between its parts; see ngx_http_latchkey_signature.c. */
#define NGX_HTTP_LATCHKEY_SIGN_READ      0   /* the body is to be read */
#define NGX_HTTP_LATCHKEY_SIGN_READING   1
#define NGX_HTTP_LATCHKEY_SIGN_BODY      2   /* it is there */
#define NGX_HTTP_LATCHKEY_SIGN_ASKED     3   /* a thread judges it */
#define NGX_HTTP_LATCHKEY_SIGN_GOOD      4
#define NGX_HTTP_LATCHKEY_SIGN_BAD       5

typedef struct {
    lk_signed                    it;
    lk_identity                  id;         /* of the key */
    ngx_uint_t                   state;
    lk_verdict                   verdict;    /* of BAD */
    lk_reason                    why;
} ngx_http_latchkey_sign_t;


/* What is known about one request (a sub-request has its own).  It lives in a
 * pool cleanup, because internal redirects and named locations wipe r->ctx. */
typedef struct {
    ngx_http_request_t          *request;
    ngx_http_latchkey_rule_t    *rule;       /* the one it was let through by */
    ngx_table_elt_t             *headers;    /* ours, in r->headers_in */
    ngx_http_latchkey_wait_t    *wait;       /* what it waits for */
    ngx_http_latchkey_ask_t     *answer;     /* what it waited for */
    ngx_http_latchkey_data_t    *data;       /* NULL: without latchkey_data */
    ngx_http_latchkey_sign_t    *sign;       /* of a signed request; wiped */
    ngx_http_latchkey_cors_t    *cors;       /* of what was asked for */

    ngx_str_t                    user;
    ngx_str_t                    name;
    ngx_str_t                    realm;
    ngx_str_t                    roles;
    ngx_str_t                    scope;
    ngx_str_t                    session;    /* public id */
    ngx_str_t                   *params;     /* of its simple token, once read */
    ngx_str_t                   *set_cookies; /* wait for the header filter */
    ngx_uint_t                   set_cookies_n;
    ngx_str_t                    body;       /* of a call to the API */
    ngx_str_t                    fresh;      /* what its device was given */
    ngx_str_t                    device_cookie; /* Set-Cookie */
    lk_reason                    reason;

    unsigned                     pieces:LK_SEALED_PIECES; /* cookies that came */
    unsigned                     no_store:1;
    unsigned                     by_url:1;   /* its session came in the path */
    unsigned                     by_token:1; /* a simple token let it in */
    unsigned                     carrier:2;  /* where that rode */
    unsigned                     issued:1;   /* an anonymous session was made */
    unsigned                     tried:1;    /* ... or could not be */
    unsigned                     too_large:1;
    unsigned                     unanswered:1; /* and waits no more */
    unsigned                     proof_used:1; /* of this main request */
    unsigned                     device_tried:1;
    unsigned                     device_unknown:1;
} ngx_http_latchkey_ctx_t;


/* In c->buffered, beside those of nginx's own filters. */
#define NGX_HTTP_LATCHKEY_BUFFERED  0x40


/* Fields of the session in a request, and changes of them in its answer. */
#define NGX_HTTP_LATCHKEY_DATA_OPEN      0
#define NGX_HTTP_LATCHKEY_DATA_HOLDING   1   /* until the store has it */
#define NGX_HTTP_LATCHKEY_DATA_PASSING   2
#define NGX_HTTP_LATCHKEY_DATA_DROPPING  3   /* another was sent instead */

struct ngx_http_latchkey_data_s {
    lk_identity                  id;         /* as it was let through */
    lk_issued                   *issued;     /* in this request, or NULL */
    lk_view                      fields;
    ngx_list_part_t             *part;       /* ours, in r->headers_in */
    ngx_http_latchkey_data_conf_t  *conf;    /* of who is asked */
    ngx_http_latchkey_data_conf_t  *by;      /* of who asked for the steps */
    ngx_http_upstream_t         *upstream;   /* whose answer was looked at */

    lk_data_step                 steps[LK_DATA_STEPS_MAX];
    size_t                       steps_n;
    size_t                       steps_len;
    ngx_chain_t                 *held;
    ngx_uint_t                   state;

    unsigned                     loaded:1;
    unsigned                     unknown:1;
    unsigned                     large:1;
    unsigned                     failed:1;
    unsigned                     ended:1;    /* the last buffer was seen */
};


/* What a thread needs for it. */
typedef struct {
    size_t                       len;        /* to wipe */
    lk_identity                  id;
    lk_issued                    issued;
    ngx_http_latchkey_data_conf_t  *conf;
    lk_view                      fields;
    lk_data_step                 steps[LK_DATA_STEPS_MAX];
    size_t                       steps_n;
    lk_data_end                  end;
    lk_note                      note;
    u_char                       bytes[];
} ngx_http_latchkey_data_work_t;


/* What is said at most once a minute. */
#define NGX_HTTP_LATCHKEY_SAY_LARGE     0
#define NGX_HTTP_LATCHKEY_SAY_UNWANTED  1
#define NGX_HTTP_LATCHKEY_SAY_BROKEN    2
#define NGX_HTTP_LATCHKEY_SAY_OVER      3
#define NGX_HTTP_LATCHKEY_SAY_FAILED    4
#define NGX_HTTP_LATCHKEY_SAY_N         5


/* One per process, made after the fork, and opened in a thread.  A member that
 * could not be opened is NULL, and what needs it answers 503 until a later try
 * succeeds. */
typedef struct {
    lk_store                    *store;
    lk_guard                    *guard;
    lk_accounts                 *accounts;
    lk_service                  *service;
} ngx_http_latchkey_opened_t;


typedef struct {
    ngx_http_latchkey_main_conf_t  *conf;
    lk_cluster_clock             clock;      /* with a store in the network */

    lk_store                    *store;
    lk_guard                    *guard;
    lk_accounts                 *accounts;
    lk_service                  *service;

    ngx_uint_t                   opening;    /* 1 until it was tried once */

    ngx_queue_t                  waiting;    /* jobs that hash a password */
    ngx_uint_t                   waiting_n;
    ngx_uint_t                   hashing;    /* 1 while one is in a thread */
} ngx_http_latchkey_runtime_t;


/* Blocking work for one request.  The job owns copies of all it needs, so
 * that the request may die first: then nobody waits, and the job is freed
 * when its thread is through.  It is freed exactly once, by the event loop. */
struct ngx_http_latchkey_job_s {
    ngx_thread_task_t            task;       /* first: the event leads back */
    ngx_queue_t                  queue;
    ngx_http_latchkey_wait_t     wait;
    ngx_http_request_t          *request;    /* until it waits */
    ngx_thread_pool_t           *pool;

    /* in a thread of the pool */
    void                       (*work)(ngx_http_latchkey_job_t *job);
    /* in the event loop, while the request lives; late: no result */
    void                       (*done)(ngx_http_request_t *r,
                                    ngx_http_latchkey_job_t *job,
                                    ngx_uint_t late);
    lk_request                   req;
    lk_response                  res;
    lk_issued                    issued;
    lk_signed                    sign;       /* wiped */
    lk_status                    status;
    lk_reason                    why;
    int64_t                      now_s;

    ngx_http_latchkey_data_work_t  *data;    /* wiped */
    u_char                      *copies;     /* behind req; wiped */
    size_t                       copies_len;
    u_char                      *audit;      /* lines said in the thread */
    size_t                       audit_len;

    unsigned                     slow:1;     /* hashes a password */
    unsigned                     waits:1;    /* in the queue */
    unsigned                     answered:1; /* res must be freed */
    unsigned                     begins:1;   /* with a session, if none came */
    unsigned                     over:1;     /* what a device holds */
};


/* The values of the header fields of one name. */
typedef struct {
    lk_view                     *fields;
    size_t                       n;
    size_t                       cap;
    lk_view                      few[4];
} ngx_http_latchkey_fields_t;

typedef struct {
    ngx_http_latchkey_fields_t   cookies;
    ngx_http_latchkey_fields_t   authorization;
    ngx_http_latchkey_fields_t   header;
    ngx_http_latchkey_fields_t   proofs;
} ngx_http_latchkey_found_t;


static ngx_inline lk_view
ngx_http_latchkey_view(const ngx_str_t *s)
{
    return lk_view_make(s->data, s->len);
}


/* ngx_http_latchkey_module.c */
extern ngx_module_t  ngx_http_latchkey_module;

/* ngx_http_latchkey_sticky.c: the balancer */
extern ngx_module_t  ngx_http_latchkey_sticky_module;

/* ngx_http_latchkey_url.c: the carrier of visitors without cookies */
extern ngx_module_t  ngx_http_latchkey_url_module;
lk_view ngx_http_latchkey_url_presented(ngx_http_request_t *r);
ngx_uint_t ngx_http_latchkey_url_wants_session(ngx_http_request_t *r);

/* ngx_http_latchkey_rule.c: the directive `latchkey` */
char *ngx_http_latchkey_rule(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ngx_http_latchkey_settings.c: the other directives */
char *ngx_http_latchkey_setting(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_latchkey_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_latchkey_lane_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_latchkey_check_settings(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf);

/* ngx_http_latchkey_policy.c: what a location does when nobody knows */
char *ngx_http_latchkey_on_unknown(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_latchkey_revocation_lag(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_latchkey_merge_policy(ngx_conf_t *cf,
    ngx_http_latchkey_loc_conf_t *prev, ngx_http_latchkey_loc_conf_t *conf);

/* ngx_http_latchkey_pool.c: threads */
ngx_thread_pool_t *ngx_http_latchkey_api_pool(ngx_conf_t *cf);
ngx_thread_pool_t *ngx_http_latchkey_lane_pool(ngx_conf_t *cf);
ngx_thread_pool_t *ngx_http_latchkey_trust_pool(ngx_conf_t *cf);

/* ngx_http_latchkey_trial.c: servers are tried before anything starts */
ngx_uint_t ngx_http_latchkey_is_network(const char *url);
ngx_int_t ngx_http_latchkey_try(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf);

/* ngx_http_latchkey_open.c: what the master opens */
ngx_int_t ngx_http_latchkey_open_keys(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf);
ngx_int_t ngx_http_latchkey_open_shared(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf);
ngx_http_latchkey_main_conf_t *ngx_http_latchkey_previous(ngx_conf_t *cf);
void ngx_http_latchkey_make_dirs(ngx_cycle_t *cycle,
    ngx_http_latchkey_main_conf_t *lmcf);

/* ngx_http_latchkey_runtime.c: what each worker opens, and its upkeep */
ngx_http_latchkey_runtime_t *ngx_http_latchkey_runtime(void);
ngx_int_t ngx_http_latchkey_init_process(ngx_cycle_t *cycle);
void ngx_http_latchkey_exit_process(ngx_cycle_t *cycle);
const char *ngx_http_latchkey_not_open(void);

/* ngx_http_latchkey_keys.c: keys that change while the gateway runs */
void ngx_http_latchkey_keys_work(lk_guard *guard);
void ngx_http_latchkey_keys_done(ngx_log_t *log);

/* ngx_http_latchkey_headers.c: the client's identity headers go */
ngx_int_t ngx_http_latchkey_strip(ngx_http_request_t *r);
ngx_uint_t ngx_http_latchkey_is_identity(ngx_str_t *name);

/* ngx_http_latchkey_identity.c: ours come */
void ngx_http_latchkey_init_identity(void);
ngx_int_t ngx_http_latchkey_set_identity(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx);
ngx_int_t ngx_http_latchkey_clear_identity(ngx_http_request_t *r);

/* ngx_http_latchkey_request.c: a request as the core wants to see it */
ngx_http_latchkey_ctx_t *ngx_http_latchkey_ctx(ngx_http_request_t *r);
ngx_http_latchkey_ctx_t *ngx_http_latchkey_need_ctx(ngx_http_request_t *r);
ngx_int_t ngx_http_latchkey_remember(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_identity *id);
ngx_int_t ngx_http_latchkey_find(ngx_http_request_t *r,
    ngx_http_latchkey_found_t *found, lk_presented *presented);
lk_view ngx_http_latchkey_header(ngx_http_request_t *r, const char *name);
lk_view ngx_http_latchkey_scheme(ngx_http_request_t *r);
void ngx_http_latchkey_fill_request(ngx_http_request_t *r, lk_request *req);

/* ngx_http_latchkey_dpop.c: proofs of possession */
void ngx_http_latchkey_about(ngx_http_request_t *r, lk_about *about);
ngx_int_t ngx_http_latchkey_note_proof(ngx_http_request_t *r,
    const lk_identity *id);
const char *ngx_http_latchkey_scheme_wanted(const lk_identity *id,
    const lk_rule *rule);
const char *ngx_http_latchkey_proof_error(const lk_identity *id);
ngx_int_t ngx_http_latchkey_dpop_challenge(ngx_http_request_t *r,
    const lk_identity *id, lk_buf *out);

/* ngx_http_latchkey_signature.c: signed requests */
ngx_int_t ngx_http_latchkey_signature(ngx_http_request_t *r,
    lk_presented *presented, lk_identity *id);
ngx_int_t ngx_http_latchkey_signature_known(ngx_http_request_t *r,
    lk_identity *id);
ngx_int_t ngx_http_latchkey_signature_finish(ngx_http_request_t *r,
    lk_identity *id);
lk_status ngx_http_latchkey_signature_check(const lk_signed *it, lk_view body,
    lk_reason *why);
void ngx_http_latchkey_signature_limits(ngx_conf_t *cf);

/* ngx_http_latchkey_gate.c: the decision */
ngx_int_t ngx_http_latchkey_gate(ngx_http_request_t *r);
ngx_uint_t ngx_http_latchkey_changes_state(ngx_http_request_t *r);

/* ngx_http_latchkey_refuse.c: what a refused visitor is told */
ngx_int_t ngx_http_latchkey_refuse(ngx_http_request_t *r,
    const lk_identity *id, const lk_rule *rule);
ngx_uint_t ngx_http_latchkey_is_browser(ngx_http_request_t *r);
ngx_int_t ngx_http_latchkey_send_problem(ngx_http_request_t *r,
    ngx_uint_t status, lk_reason reason, lk_view detail);
ngx_int_t ngx_http_latchkey_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_buf_t *out);
u_char *ngx_http_latchkey_secret(ngx_pool_t *pool, size_t len);
ngx_table_elt_t *ngx_http_latchkey_push_header(ngx_http_request_t *r,
    const char *name, const char *value, size_t len);

/* ngx_http_latchkey_wait.c: requests that are put aside */
void ngx_http_latchkey_wait_init(ngx_http_latchkey_wait_t *wait,
    ngx_http_latchkey_wait_pt late, ngx_http_latchkey_wait_pt left);
ngx_int_t ngx_http_latchkey_wait_begin(ngx_http_latchkey_wait_t *wait,
    ngx_http_request_t *r, ngx_msec_t at_most);
ngx_http_request_t *ngx_http_latchkey_wait_end(ngx_http_latchkey_wait_t *wait);
void ngx_http_latchkey_wait_cancel(ngx_http_latchkey_wait_t *wait);
void ngx_http_latchkey_wait_leave(ngx_http_latchkey_wait_t *wait);
void ngx_http_latchkey_go_on(ngx_http_request_t *r);

/* ngx_http_latchkey_lane.c: questions to the store, in batches */
void ngx_http_latchkey_lane_init(void);
ngx_int_t ngx_http_latchkey_lane_ask(ngx_http_request_t *r,
    const lk_question *question);
ngx_http_latchkey_ask_t *ngx_http_latchkey_lane_get(void);
void ngx_http_latchkey_lane_free(ngx_http_latchkey_ask_t *ask);
void ngx_http_latchkey_lane_answer(ngx_http_latchkey_ask_t *ask);

/* ngx_http_latchkey_trust.c */
ngx_int_t ngx_http_latchkey_open_trust(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf);
void ngx_http_latchkey_trust_init(ngx_http_latchkey_runtime_t *rt);
ngx_int_t ngx_http_latchkey_trust_ask(ngx_http_request_t *r,
    const lk_question *question);

void ngx_http_latchkey_lane_opened(void);

/* ngx_http_latchkey_job.c: calls of the API in a thread pool */
ngx_http_latchkey_job_t *ngx_http_latchkey_job_new(ngx_http_request_t *r);
ngx_int_t ngx_http_latchkey_job_start(ngx_http_latchkey_job_t *job);
void ngx_http_latchkey_job_free(ngx_http_latchkey_job_t *job);
void ngx_http_latchkey_hear_audit(void *context, lk_view line);
void ngx_http_latchkey_note_affinity(void);

/* ngx_http_latchkey_job_copy.c */
ngx_int_t ngx_http_latchkey_job_copy(ngx_http_latchkey_job_t *job,
    const lk_request *req);

/* ngx_http_latchkey_anonymous.c: a session for somebody nobody knows */
ngx_int_t ngx_http_latchkey_anonymous(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx);

/* ngx_http_latchkey_device.c: a session for a device that stays logged in */
ngx_int_t ngx_http_latchkey_device(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf, lk_identity *id);

/* ngx_http_latchkey_reissue.c: his credential anew for somebody known */
ngx_int_t ngx_http_latchkey_reissue(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_identity *id);

/* ngx_http_latchkey_api.c: the content handler */
ngx_int_t ngx_http_latchkey_api_handler(ngx_http_request_t *r);

/* ngx_http_latchkey_data_conf.c: the directive latchkey_data */
char *ngx_http_latchkey_data(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ngx_http_latchkey_data.c: fields of the session, for the application */
ngx_int_t ngx_http_latchkey_data_know(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_identity *id);
ngx_int_t ngx_http_latchkey_data_share(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, ngx_http_latchkey_ctx_t *main);
ngx_int_t ngx_http_latchkey_data_begun(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_issued *issued);
ngx_int_t ngx_http_latchkey_data_load(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, ngx_http_latchkey_loc_conf_t *llcf);
ngx_int_t ngx_http_latchkey_set_data(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, ngx_http_latchkey_loc_conf_t *llcf);
void ngx_http_latchkey_clear_data(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx);

/* ngx_http_latchkey_data_filter.c: answers that are held back */
void ngx_http_latchkey_init_data(void);
ngx_int_t ngx_http_latchkey_data_release(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d);

/* ngx_http_latchkey_data_answer.c: changes of them, from the application */
void ngx_http_latchkey_data_keep(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx);
ngx_int_t ngx_http_latchkey_data_answer(ngx_http_request_t *r);
void ngx_http_latchkey_data_say(ngx_http_request_t *r, ngx_uint_t kind,
    const char *text);

/* ngx_http_latchkey_cors.c, ngx_http_latchkey_cors_conf.c: other origins */
char *ngx_http_latchkey_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
void ngx_http_latchkey_cors_defaults(ngx_http_latchkey_cors_t *cors);
ngx_int_t ngx_http_latchkey_cors_gate(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf);
lk_cors ngx_http_latchkey_cors_of(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf);
ngx_int_t ngx_http_latchkey_cors_filter(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf);

/* ngx_http_latchkey_filter.c: header fields of the answer */
void ngx_http_latchkey_init_filter(void);
ngx_int_t ngx_http_latchkey_header_filter(ngx_http_request_t *r);
ngx_int_t ngx_http_latchkey_plan_cookie(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_issued *issued);

/* ngx_http_latchkey_variables.c */
ngx_int_t ngx_http_latchkey_add_variables(ngx_conf_t *cf);

/* ngx_http_latchkey_audit.c */
ngx_int_t ngx_http_latchkey_open_audit(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf);
void ngx_http_latchkey_write_audit(const u_char *lines, size_t len);
void ngx_http_latchkey_audit_refusal(ngx_http_request_t *r,
    const lk_identity *id, int status);


#endif /* _NGX_HTTP_LATCHKEY_H_INCLUDED_ */
