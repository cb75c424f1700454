/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h - a whole service over real keys, a real store and a real accounts file, and clients that keep
 * their cookies. Every answer is checked for what all answers must be.
 */
#ifndef LATCHKEY_TESTS_UNIT_SERVICE_CLIENT_H
#define LATCHKEY_TESTS_UNIT_SERVICE_CLIENT_H

#include "world.h"
#include <latchkey/json.h>
#include <latchkey/service.h>

#define COOKIES_MAX 8
#define ANSWER_MAX 262144

typedef struct site {
    world w;
    lk_accounts *accounts;
    lk_service *service;
    char audit[65536]; /* all lines so far */
    size_t audit_len;
} site;

/* STORE is "memory:" or "lmdb". */
void site_open(site *s, const char *store);
void site_close(site *s);

typedef struct cookie {
    char name[64];
    char value[4200];
} cookie;

/* One browser or program. Zero it to begin. */
typedef struct client {
    cookie jar[COOKIES_MAX];
    size_t jar_n;
    /* the last answer */
    int status;
    char headers[16384]; /* "Name: value\n" each */
    char body[ANSWER_MAX];
    lk_identity identity;
} client;

/* What is sent; what is NULL is not sent. */
typedef struct sent {
    const char *method, *path; /* with the query */
    const char *json, *form, *body;
    const char *type; /* of body; for json and form it is known */
    const char *accept, *language, *agent;
    const char *origin, *referer, *site, *if_match, *bearer, *original_uri;
    const char *scheme, *host; /* http, shop.example */
    bool too_large;
} sent;

#define BROWSER "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

/* Send and take the answer. Gives the status. */
int ask(site *s, client *c, sent what);
/* The value of the first header NAME of the last answer, or NULL. Good until the next call. */
const char *header_of(const client *c, const char *name);
const char *cookie_of(const client *c, const char *name);
void set_cookie(client *c, const char *name, const char *value);
/* The member at "a.b" of the JSON body as text ("" when it is not there). Good until the next call. */
const char *member_of(const client *c, const char *path);
/* The value of the hidden field NAME on the page. */
const char *field_of(const client *c, const char *name);

/* POST /auth/register and /auth/login as JSON; fail the test unless they work. */
void enroll(site *s, client *c, const char *name, const char *password);
void log_in(site *s, client *c, const char *name, const char *password);

#define GOOD_PASSWORD "wandering heron 42"
#define OTHER_PASSWORD "quiet lantern 77 river"

#endif
