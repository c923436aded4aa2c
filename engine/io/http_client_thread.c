/* SPDX-License-Identifier: Apache-2.0 */
/* Mail runs on threads: libcurl's SMTP waits for the answer to the end of a mail in one place without going back to its
 * caller, and servers that scan mail take many seconds for it. Each mail has a thread of its own, a few at a time. It
 * reports by a list and an eventfd, and asks the loop's thread where it may connect, so that allow() and done() are
 * called there as for HTTP. */
#include "io/http_client_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_BYTES (512 * 1024)

static void wake(struct peri_http_client *client)
{
    uint64_t one = 1;
    (void)!write(client->wake_fd, &one, sizeof(one));
}

/* ---- on the mail's thread ---- */

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    struct peri_http_call *call = arg;
    return call->cancelled;
}

bool http_thread_may_connect(struct peri_http_call *call, const char *address, int port)
{
    struct peri_http_client *client = call->client;
    pthread_mutex_lock(&client->lock);
    call->question_address = address;
    call->question_port = port;
    call->question_state = QUESTION_ASKED;
    call->question_next = client->questions;
    client->questions = call;
    wake(client);
    while (call->question_state == QUESTION_ASKED && !call->cancelled)
        pthread_cond_wait(&client->answered, &client->lock);
    bool allowed = call->question_state == QUESTION_ALLOWED && !call->cancelled;
    if (call->question_state == QUESTION_ASKED) { /* cancelled meanwhile: take the question back */
        struct peri_http_call **link = &client->questions;
        while (*link && *link != call)
            link = &(*link)->question_next;
        if (*link)
            *link = call->question_next;
    }
    call->question_state = QUESTION_NONE;
    pthread_mutex_unlock(&client->lock);
    return allowed;
}

static void *run(void *arg)
{
    struct peri_http_call *call = arg;
    struct peri_http_client *client = call->client;
    call->rc = curl_easy_perform(call->easy);
    pthread_mutex_lock(&client->lock);
    call->finished_next = client->finished;
    client->finished = call;
    wake(client);
    pthread_mutex_unlock(&client->lock);
    return NULL;
}

/* ---- on the loop's thread ---- */

bool http_thread_start(struct peri_http_call *call)
{
    struct peri_http_client *client = call->client;
    pthread_attr_t attributes;
    sigset_t all, before;
    curl_easy_setopt(call->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(call->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(call->easy, CURLOPT_XFERINFODATA, call);
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    call->threaded = pthread_create(&call->thread, &attributes, run, call) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!call->threaded)
        return false;
    call->thread_next = client->threads;
    client->threads = call;
    client->thread_count++;
    return true;
}

void http_thread_abandon(struct peri_http_call *call)
{
    pthread_mutex_lock(&call->client->lock);
    call->cancelled = true;
    pthread_cond_broadcast(&call->client->answered);
    pthread_mutex_unlock(&call->client->lock);
}

static void join(struct peri_http_call *call)
{
    struct peri_http_client *client = call->client;
    struct peri_http_call **link = &client->threads;
    pthread_join(call->thread, NULL);
    while (*link != call)
        link = &(*link)->thread_next;
    *link = call->thread_next;
    client->thread_count--;
    call->threaded = false;
}

static void answer_questions(struct peri_http_client *client)
{
    pthread_mutex_lock(&client->lock);
    while (client->questions) {
        struct peri_http_call *call = client->questions;
        client->questions = call->question_next;
        /* Its thread stands still until the answer; with the lock held it can not go away either. */
        bool allowed = !call->cancelled && http_call_may_connect(call, call->question_address, call->question_port);
        call->question_state = allowed ? QUESTION_ALLOWED : QUESTION_DENIED;
    }
    pthread_cond_broadcast(&client->answered);
    pthread_mutex_unlock(&client->lock);
}

static void on_wake(void *arg, int fd, int what)
{
    struct peri_http_client *client = arg;
    uint64_t count;
    (void)!read(fd, &count, sizeof(count));
    answer_questions(client);
    pthread_mutex_lock(&client->lock);
    struct peri_http_call *finished = client->finished;
    client->finished = NULL;
    pthread_mutex_unlock(&client->lock);
    while (finished) {
        struct peri_http_call *call = finished;
        finished = call->finished_next;
        join(call);
        if (call->cancelled)
            http_call_free(call); /* its end was told, or nobody wants to know */
        else
            http_call_ended(call, call->rc);
    }
    http_client_reap(client);
}

bool http_thread_init(struct peri_http_client *client)
{
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->answered, NULL);
    client->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return client->wake_fd >= 0 &&
           peri_loop_io(client->loop, client->wake_fd, PERI_IO_READ, on_wake, client, &client->wake_io) == PERI_OK;
}

void http_thread_finish(struct peri_http_client *client)
{
    for (struct peri_http_call *call = client->threads; call; call = call->thread_next)
        http_thread_abandon(call);
    while (client->threads) { /* libcurl looks at `cancelled` at least once a second */
        struct peri_http_call *call = client->threads;
        join(call);
        http_call_free(call);
    }
    peri_io_destroy(client->wake_io);
    if (client->wake_fd >= 0)
        close(client->wake_fd);
    pthread_cond_destroy(&client->answered);
    pthread_mutex_destroy(&client->lock);
}
