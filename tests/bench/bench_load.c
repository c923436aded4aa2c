/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "base/str.h"

/* Load for a service on 127.0.0.1, one line of JSON as the result. The token is in the environment (PERIGEE_TOKEN).
 *
 *   bench_load rate PORT TYPE CONNECTIONS BATCH COUNT [TARGET]   posts COUNT events, each connection one request at a
 *       time, and then waits until every event is matched and every run has ended. TARGET: another path than
 *       /v1/events, for servers to compare with; then there is nothing to wait for.
 *   bench_load latency PORT TYPE COUNT   posts COUNT events one after the other; each is timed to its 202 and, over the
 *       event stream, to the end of its run.
 *
 * PERIGEE_BENCH_IDS=random: ids without any order, as UUIDs of version 4 have none; otherwise they count.
 *
 * An answer of 503 (overloaded) is counted and the request repeated a little later. */

#define BODY_MAX (1 << 20)
#define MAX_CONNECTIONS 1024
#define RETRY_S 0.005

struct connection {
    int fd;
    char *out;
    size_t out_len, out_at;
    char in[16384];
    size_t in_len;
    size_t events;       /* in the request under way */
    size_t skip;         /* bytes of the answer's body that are still to come */
    int status;          /* of the answer whose body is being skipped */
    double begun, again; /* again: when to repeat it; 0: not to be repeated */
};

struct load {
    int port, epoll;
    const char *token, *type, *target;
    size_t batch;
    long left, accepted, refused, requests;
    unsigned long serial;
    bool random_ids;
    double *times;
};

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, errno ? strerror(errno) : "unexpected answer");
    exit(1);
}

static int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* --- requests --- */

static int write_data(char *to, size_t size, unsigned long serial)
{
    return snprintf(to, size,
        "{\"fromContactId\":\"contact-1\",\"direction\":\"inbound\",\"durationSeconds\":0,\"n\":%lu,"
        "\"startedAt\":\"2026-01-01T00:00:00.000Z\",\"to\":\"+4930123456\",\"from\":\"+4930654321\"}",
        serial);
}

/* splitmix64 (Steele, Lea, Flood 2014): each number once, in no order. */
static uint64_t scatter(uint64_t n)
{
    n += UINT64_C(0x9E3779B97F4A7C15);
    n = (n ^ (n >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94D049BB133111EB);
    return n ^ (n >> 31);
}

static const char *id_of(const struct load *l, char id[40])
{
    uint64_t n = scatter((uint64_t)getpid() << 32 | l->serial);
    if (l->random_ids)
        snprintf(id, 40, "%016" PRIx64 "%016" PRIx64, n, scatter(n));
    else
        snprintf(id, 40, "%d-%lu", (int)getpid(), l->serial);
    return id;
}

static size_t write_batch(struct load *l, char *body, size_t size)
{
    size_t len = 0;
    char id[40];
    for (size_t i = 0; i < l->batch; i++) {
        len += (size_t)snprintf(body + len, size - len,
            "%s{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"bench\",\"type\":\"%s\",\"data\":", i ? "," : "[",
            id_of(l, id), l->type);
        len += (size_t)write_data(body + len, size - len, l->serial++);
        len += (size_t)snprintf(body + len, size - len, "}");
    }
    return len + (size_t)snprintf(body + len, size - len, "]");
}

/* A CloudEvent in binary mode, or a batch of them. */
static size_t write_request(struct load *l, char *out)
{
    static char body[BODY_MAX];
    char id[112] = "", own[40];
    size_t len;
    if (l->batch > 1) {
        len = write_batch(l, body, sizeof(body));
    } else {
        snprintf(id, sizeof(id), "ce-specversion: 1.0\r\nce-source: bench\r\nce-id: %s\r\n", id_of(l, own));
        len = (size_t)write_data(body, sizeof(body), l->serial++);
    }
    int head = snprintf(out, BODY_MAX,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n%s%s%s%s"
        "Content-Length: %zu\r\n\r\n",
        l->target ? l->target : "/v1/events", l->token,
        l->batch > 1 ? "application/cloudevents-batch+json" : "application/json", id, *id ? "ce-type: " : "",
        *id ? l->type : "", *id ? "\r\n" : "", len);
    memcpy(out + head, body, len);
    return (size_t)head + len;
}

/* Blocks when the server does not read: it has room for a request of each connection. */
static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die("send");
        data += n;
        len -= (size_t)n;
    }
}

static void begin(struct load *l, struct connection *c)
{
    if (l->left <= 0)
        return;
    l->left -= (long)l->batch;
    c->events = l->batch;
    c->out_len = write_request(l, c->out);
    c->begun = now();
    send_all(c->fd, c->out, c->out_len);
}

/* --- answers --- */

/* Reads the head of an answer; the length of head, 0 when it is not complete. */
static size_t read_head(const char *in, int *ret_status, size_t *ret_body)
{
    const char *end = strstr(in, "\r\n\r\n"), *length = strstr(in, "Content-Length: ");
    if (!end)
        return 0;
    if (strncmp(in, "HTTP/1.1 ", 9) != 0 || (!length && !strstr(in, "chunked"))) {
        errno = 0;
        die(in);
    }
    *ret_status = (int)strtol(in + 9, NULL, 10);
    *ret_body = length ? strtoul(length + 16, NULL, 10) : 0;
    return (size_t)(end - in) + 4;
}

static void answered(struct load *l, struct connection *c)
{
    l->requests++;
    if (c->status == 503) {
        l->refused++;
        c->again = now() + RETRY_S;
        return;
    }
    if (c->status != 202) {
        errno = 0;
        die(c->in);
    }
    l->accepted += (long)c->events;
    if (l->times)
        l->times[(size_t)l->accepted / l->batch - 1] = now() - c->begun;
    c->events = 0;
    begin(l, c);
}

static void receive(struct load *l, struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len, 0);
    if (n <= 0)
        die("recv");
    c->in_len += (size_t)n;
    c->in[c->in_len] = '\0';
    if (c->status == 0) {
        size_t head = read_head(c->in, &c->status, &c->skip);
        if (head == 0)
            return;
        c->in_len -= head;
    }
    c->skip -= c->in_len < c->skip ? c->in_len : c->skip;
    c->in_len = 0;
    if (c->skip > 0)
        return;
    answered(l, c);
    c->status = 0;
}

/* --- asking the service --- */

/* The body of GET path; for one short answer that is over when the connection is. */
static char *ask(const struct load *l, const char *path)
{
    static char text[1 << 20];
    size_t len = 0;
    ssize_t n;
    int fd = connect_to(l->port);
    snprintf(text, sizeof(text),
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", path, l->token);
    send_all(fd, text, strlen(text));
    while (len < sizeof(text) - 1 && (n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    char *body = strstr(text, "\r\n\r\n");
    if (!body)
        die("status");
    return body + 4;
}

static long number(const char *json, const char *key)
{
    const char *at = strstr(json, key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void wait_until_idle(const struct load *l)
{
    for (;;) {
        char *json = ask(l, "/v1/status");
        if (number(json, "\"unmatched\":") == 0 && number(json, "\"live_runs\":") == 0)
            return;
        poll(NULL, 0, 2);
    }
}

/* --- the two measurements --- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double quantile(double *times, size_t n, double q)
{
    qsort(times, n, sizeof(*times), compare);
    return n ? times[(size_t)((double)(n - 1) * q)] : 0;
}

static void repeat_refused(struct load *l, struct connection *all, size_t count)
{
    double t = now();
    for (size_t i = 0; i < count; i++) {
        if (all[i].again == 0 || all[i].again > t)
            continue;
        all[i].again = 0;
        send_all(all[i].fd, all[i].out, all[i].out_len);
    }
    (void)l;
}

static int rate(struct load *l, size_t count)
{
    struct connection *all = calloc(count, sizeof(*all));
    long total = l->left;
    l->times = calloc((size_t)total / l->batch + count + 1, sizeof(*l->times));
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        struct epoll_event ev = {.events = EPOLLIN, .data = {.ptr = &all[i]}};
        all[i].fd = connect_to(l->port);
        all[i].out = malloc(2 * BODY_MAX);
        if (!all[i].out || epoll_ctl(l->epoll, EPOLL_CTL_ADD, all[i].fd, &ev) < 0)
            die("epoll");
    }
    double start = now();
    for (size_t i = 0; i < count; i++)
        begin(l, &all[i]);
    while (l->accepted < total) {
        struct epoll_event ready[64];
        int n = epoll_wait(l->epoll, ready, 64, 2);
        for (int i = 0; i < n; i++)
            receive(l, ready[i].data.ptr);
        repeat_refused(l, all, count);
    }
    double accepted = now();
    if (!l->target)
        wait_until_idle(l);
    double done = now();
    size_t answers = (size_t)l->accepted / l->batch;
    printf("{\"events\":%ld,\"accepted_s\":%.4f,\"accepted_per_s\":%.1f,\"done_s\":%.4f,\"done_per_s\":%.1f,"
           "\"refused\":%ld,\"answer_p50_us\":%.0f,\"answer_p99_us\":%.0f}\n",
        l->accepted, accepted - start, (double)l->accepted / (accepted - start), done - start,
        (double)l->accepted / (done - start), l->refused, quantile(l->times, answers, 0.5) * 1e6,
        quantile(l->times, answers, 0.99) * 1e6);
    return 0;
}

/* Reads until text is there, and forgets what was before its end. */
static void read_until(struct connection *c, const char *text)
{
    for (;;) {
        char *found = strstr(c->in, text);
        if (found) {
            found += strlen(text);
            c->in_len -= (size_t)(found - c->in);
            memmove(c->in, found, c->in_len + 1);
            return;
        }
        if (c->in_len > sizeof(c->in) / 2) { /* keep what may be the beginning of it */
            memmove(c->in, c->in + c->in_len - 256, 257);
            c->in_len = 256;
        }
        ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len, 0);
        if (n <= 0)
            die("stream");
        c->in_len += (size_t)n;
        c->in[c->in_len] = '\0';
    }
}

static int latency(struct load *l, size_t count)
{
    static struct connection post, stream;
    double *to_answer = calloc(count, sizeof(double)), *to_end = calloc(count, sizeof(double));
    char text[512];
    post.fd = connect_to(l->port);
    post.out = malloc(2 * BODY_MAX);
    stream.fd = connect_to(l->port);
    snprintf(
        text, sizeof(text), "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", l->token);
    send_all(stream.fd, text, strlen(text));
    read_until(&stream, ": listening\n\n");
    for (size_t i = 0; i < count; i++) {
        l->left = 1;
        begin(l, &post);
        while (l->accepted == (long)i)
            receive(l, &post);
        to_answer[i] = now() - post.begun;
        read_until(&stream, "\"state\":\"succeeded\"");
        to_end[i] = now() - post.begun;
    }
    printf("{\"events\":%zu,\"answer_p50_us\":%.0f,\"answer_p99_us\":%.0f,\"end_p50_us\":%.0f,\"end_p99_us\":%.0f}\n",
        count, quantile(to_answer, count, 0.5) * 1e6, quantile(to_answer, count, 0.99) * 1e6,
        quantile(to_end, count, 0.5) * 1e6, quantile(to_end, count, 0.99) * 1e6);
    return 0;
}

static long argument(const char *text, long max)
{
    long long n;
    if (!peri_parse_i64(text, &n) || n < 1 || n > max) {
        fprintf(stderr, "bench_load: \"%s\" is no number from 1 to %ld\n", text, max);
        exit(2);
    }
    return (long)n;
}

int main(int argc, char **argv)
{
    const char *token = getenv("PERIGEE_TOKEN"), *ids = getenv("PERIGEE_BENCH_IDS");
    struct load l = {.token = token ? token : "", .batch = 1, .random_ids = peri_streq(ids, "random")};
    if (argc >= 7 && strcmp(argv[1], "rate") == 0) {
        l.port = (int)argument(argv[2], 65535);
        l.type = argv[3];
        l.batch = (size_t)argument(argv[5], 1000);
        l.left = argument(argv[6], 100000000);
        l.left -= l.left % (long)l.batch;
        l.target = argc > 7 ? argv[7] : NULL;
        return rate(&l, (size_t)argument(argv[4], MAX_CONNECTIONS));
    }
    if (argc == 5 && strcmp(argv[1], "latency") == 0) {
        l.port = (int)argument(argv[2], 65535);
        l.type = argv[3];
        return latency(&l, (size_t)argument(argv[4], 1000000));
    }
    fprintf(stderr, "usage: bench_load rate PORT TYPE CONNECTIONS BATCH COUNT [TARGET]\n"
                    "       bench_load latency PORT TYPE COUNT\n");
    return 2;
}
