/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <sqlite3.h>

/* What perigee's ingest is compared with: the least that an event needs to be durable before it is answered. evhttp on
 * one thread, SQLite on another, which commits whatever is queued as one group; the database has the pragmas of
 * perigee's (WAL, synchronous=FULL), an event is one row, and nothing is checked, recognised, matched or told. A body
 * that begins with a bracket is a batch: it is split at its brackets, each element is a row, and the answer has an id
 * for each.
 *
 *   baseline_ingest FILE    makes FILE anew, prints the port, and serves POST on any path until it is killed
 */

#define GROUP_MAX 512

struct item {
    struct item *next;
    struct evhttp_request *request;
    char *body;
    size_t len;
    char source[64], id[64], type[64];
    sqlite3_int64 seq; /* of the last row */
    int rows;
};

struct server {
    struct event_base *base;
    struct event *done_event;
    sqlite3 *db;
    sqlite3_stmt *insert;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct item *queue, **queue_end; /* to be committed */
    struct item *done, **done_end;   /* to be answered */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "baseline_ingest: %s: %s\n", what, why);
    exit(1);
}

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql, sqlite3_errmsg(db));
}

static void open_database(struct server *s, const char *path)
{
    unlink(path);
    if (sqlite3_open(path, &s->db) != SQLITE_OK)
        die(path, sqlite3_errmsg(s->db));
    run_sql(s->db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                   "PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=67108864;"
                   "CREATE TABLE events(seq INTEGER PRIMARY KEY, src TEXT, id TEXT, type TEXT, body TEXT)");
    if (sqlite3_prepare_v2(s->db, "INSERT INTO events(src,id,type,body) VALUES(?,?,?,?)", -1, &s->insert, NULL) !=
        SQLITE_OK)
        die("prepare", sqlite3_errmsg(s->db));
}

/* --- the committing thread --- */

/* The next element of a list, NULL behind the last. *at is behind it then. */
static const char *next_element(const char **at, const char *end, size_t *ret_len)
{
    const char *s = *at, *from;
    int depth = 0;
    while (s < end && *s != '{')
        s++;
    for (from = s; s < end; s++) {
        if (*s == '"')
            for (s++; s < end && *s != '"'; s++)
                s += *s == '\\';
        else if (*s == '{' || *s == '[')
            depth++;
        else if ((*s == '}' || *s == ']') && --depth == 0)
            break;
    }
    if (s >= end)
        return NULL;
    *at = s + 1;
    *ret_len = (size_t)(s + 1 - from);
    return from;
}

static void insert(struct server *s, struct item *it, const char *body, size_t len)
{
    sqlite3_bind_text(s->insert, 1, it->source, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->insert, 2, it->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->insert, 3, it->type, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->insert, 4, body, (int)len, SQLITE_STATIC);
    if (sqlite3_step(s->insert) != SQLITE_DONE)
        die("insert", sqlite3_errmsg(s->db));
    it->seq = sqlite3_last_insert_rowid(s->db);
    it->rows++;
    sqlite3_reset(s->insert);
}

static void insert_all(struct server *s, struct item *it)
{
    const char *at = it->body + 1, *end = it->body + it->len, *element;
    size_t len = 0;
    if (it->len == 0 || it->body[0] != '[') {
        insert(s, it, it->body, it->len);
        return;
    }
    while ((element = next_element(&at, end, &len)) != NULL)
        insert(s, it, element, len);
}

static struct item *take_group(struct server *s)
{
    pthread_mutex_lock(&s->mutex);
    while (!s->queue)
        pthread_cond_wait(&s->wake, &s->mutex);
    struct item *first = s->queue, *last = first;
    for (int n = 1; n < GROUP_MAX && last->next; n++)
        last = last->next;
    s->queue = last->next;
    if (!s->queue)
        s->queue_end = &s->queue;
    last->next = NULL;
    pthread_mutex_unlock(&s->mutex);
    return first;
}

static void *commit_groups(void *arg)
{
    struct server *s = arg;
    for (;;) {
        struct item *first = take_group(s), *last = first;
        run_sql(s->db, "BEGIN IMMEDIATE");
        for (struct item *it = first; it; last = it, it = it->next)
            insert_all(s, it);
        run_sql(s->db, "COMMIT");
        pthread_mutex_lock(&s->mutex);
        *s->done_end = first;
        s->done_end = &last->next;
        pthread_mutex_unlock(&s->mutex);
        event_active(s->done_event, EV_READ, 0);
    }
    return NULL;
}

/* --- the loop --- */

static void answer_done(evutil_socket_t fd, short what, void *arg)
{
    struct server *s = arg;
    pthread_mutex_lock(&s->mutex);
    struct item *it = s->done;
    s->done = NULL;
    s->done_end = &s->done;
    pthread_mutex_unlock(&s->mutex);
    while (it) {
        struct item *next = it->next;
        struct evbuffer *out = evhttp_request_get_output_buffer(it->request);
        bool list = it->len > 0 && it->body[0] == '[';
        for (int i = 0; i < it->rows; i++)
            evbuffer_add_printf(out, "%s{\"id\":\"ev-%lld\"}",
                !list ? ""
                : i   ? ","
                      : "[",
                (long long)it->seq - it->rows + 1 + i);
        evbuffer_add_printf(out, "%s", list ? "]" : "");
        evhttp_add_header(evhttp_request_get_output_headers(it->request), "Content-Type", "application/json");
        evhttp_send_reply(it->request, 202, "Accepted", NULL);
        free(it->body);
        free(it);
        it = next;
    }
    (void)fd;
    (void)what;
}

static void copy_header(struct evhttp_request *request, const char *name, char to[64])
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(request), name);
    snprintf(to, 64, "%s", value ? value : "");
}

static void on_request(struct evhttp_request *request, void *arg)
{
    struct server *s = arg;
    struct evbuffer *in = evhttp_request_get_input_buffer(request);
    struct item *it = calloc(1, sizeof(*it));
    if (!it)
        die("memory", strerror(errno));
    it->request = request;
    it->len = evbuffer_get_length(in);
    it->body = malloc(it->len + 1);
    if (!it->body || evbuffer_remove(in, it->body, it->len) != (int)it->len)
        die("body", "cannot be read");
    copy_header(request, "ce-source", it->source);
    copy_header(request, "ce-id", it->id);
    copy_header(request, "ce-type", it->type);
    pthread_mutex_lock(&s->mutex);
    *s->queue_end = it;
    s->queue_end = &it->next;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

int main(int argc, char **argv)
{
    struct server s = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    if (argc != 2)
        die("usage", "baseline_ingest FILE");
    signal(SIGPIPE, SIG_IGN);
    s.queue_end = &s.queue;
    s.done_end = &s.done;
    open_database(&s, argv[1]);
    evthread_use_pthreads();
    s.base = event_base_new();
    struct evhttp *http = s.base ? evhttp_new(s.base) : NULL;
    s.done_event = s.base ? event_new(s.base, -1, EV_PERSIST, answer_done, &s) : NULL;
    if (!http || !s.done_event)
        die("libevent", "cannot be set up");
    evhttp_set_gencb(http, on_request, &s);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len) < 0)
        die("bind", strerror(errno));
    if (pthread_create(&thread, NULL, commit_groups, &s) != 0)
        die("thread", "cannot be made");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    event_base_dispatch(s.base);
    return 0;
}
