/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve.c - looking a name up within a deadline.
 *
 * getaddrinfo waits as long as the resolver's own settings say, often ten seconds, and cannot be stopped. So
 * a name is looked up by a thread of its own. Who asked waits until his deadline; the thread ends when its
 * answer comes, and drops it if nobody is left to have it. Addresses need no thread.
 */
#include "base/resolve.h"
#include <errno.h>
#include <latchkey/env.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct inquiry {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool is_answered;
    bool is_abandoned; /* whoever comes second frees it */
    int error;
    struct addrinfo *found;
    char host[LK__RESOLVE_HOST_MAX], port[8];
} inquiry;

static int look_up(const char *host, const char *port, int flags, struct addrinfo **out)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};

    *out = NULL;
    return getaddrinfo(host, port, &hints, out);
}

static void end_inquiry(inquiry *q)
{
    if (q->found != NULL)
        freeaddrinfo(q->found);
    pthread_cond_destroy(&q->answered);
    pthread_mutex_destroy(&q->lock);
    lk_free(lk_env_system(), q);
}

static void *inquire(void *argument)
{
    inquiry *q = argument;
    struct addrinfo *found;
    int error = look_up(q->host, q->port, 0, &found);
    bool is_abandoned;

    pthread_mutex_lock(&q->lock);
    q->error = error;
    q->found = error == 0 ? found : NULL;
    q->is_answered = true;
    is_abandoned = q->is_abandoned;
    pthread_cond_signal(&q->answered);
    pthread_mutex_unlock(&q->lock);
    if (is_abandoned)
        end_inquiry(q);
    return NULL;
}

/* Without the signals of the program, which are for its own threads. */
static bool start_thread(inquiry *q)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    bool is_started;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    is_started = pthread_create(&thread, &attributes, inquire, q) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return is_started;
}

static inquiry *begin_inquiry(const char *host, const char *port)
{
    inquiry *q = lk_alloc(lk_env_system(), sizeof(*q)); /* may outlive the store and its environment */
    pthread_condattr_t attributes;

    if (q == NULL)
        return NULL;
    snprintf(q->host, sizeof(q->host), "%s", host);
    snprintf(q->port, sizeof(q->port), "%s", port);
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&q->answered, &attributes);
    pthread_condattr_destroy(&attributes);
    if (start_thread(q))
        return q;
    end_inquiry(q);
    return NULL;
}

int lk__resolve(const char *host, unsigned port, int64_t until_ms, struct addrinfo **out)
{
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    char digits[8];
    inquiry *q;
    int error;
    bool is_answered;

    snprintf(digits, sizeof(digits), "%u", port % 65536);
    if (look_up(host, digits, AI_NUMERICHOST, out) == 0)
        return 0;
    if (strlen(host) >= LK__RESOLVE_HOST_MAX)
        return EAI_NONAME;
    q = begin_inquiry(host, digits);
    if (q == NULL)
        return EAI_MEMORY;
    pthread_mutex_lock(&q->lock);
    while (!q->is_answered && pthread_cond_timedwait(&q->answered, &q->lock, &until) != ETIMEDOUT)
        ;
    is_answered = q->is_answered;
    q->is_abandoned = !is_answered;
    error = is_answered ? q->error : EAI_AGAIN;
    *out = q->found;
    q->found = NULL;
    pthread_mutex_unlock(&q->lock);
    if (is_answered)
        end_inquiry(q);
    return error;
}
