/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

/* What perigee's outgoing calls are compared with: the least that calls of a server cost, and the server itself.
 *
 *   baseline_outgoing serve             prints its port and answers until it is killed; GET /counts gives
 *                                       {"requests": n, "connections": m} since it was asked last
 *   baseline_outgoing call PORT N WIDE  N POSTs in a bare loop of libcurl's multi interface, WIDE under way, over at most
 *                                       WIDE connections; prints {"per_s": ..., "cpu_us": ...} */

#define BODY "{\"message\":\"somebody is at the door\",\"n\":1}"

static void die(const char *what)
{
    fprintf(stderr, "baseline_outgoing: %s\n", what);
    exit(1);
}

/* ---- the server ---- */

struct counts {
    struct event_base *base;
    long requests, connections;
};

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    struct counts *counts = arg;
    counts->connections++;
    return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
}

static void on_request(struct evhttp_request *request, void *arg)
{
    struct counts *counts = arg;
    struct evbuffer *body = evbuffer_new();
    if (!body)
        die("no memory");
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
    if (strcmp(evhttp_request_get_uri(request), "/counts") == 0) {
        evbuffer_add_printf(body, "{\"requests\": %ld, \"connections\": %ld}", counts->requests, counts->connections - 1);
        counts->requests = counts->connections = 0;
    } else {
        counts->requests++;
        evbuffer_add_printf(body, "{\"ok\": true}");
    }
    evhttp_send_reply(request, 200, "OK", body);
    evbuffer_free(body);
}

static void serve(void)
{
    struct counts counts = {.base = event_base_new()};
    struct evhttp *http = counts.base ? evhttp_new(counts.base) : NULL;
    struct evhttp_bound_socket *bound = http ? evhttp_bind_socket_with_handle(http, "127.0.0.1", 0) : NULL;
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&at, &len) != 0)
        die("cannot listen");
    evhttp_set_bevcb(http, on_connection, &counts);
    evhttp_set_gencb(http, on_request, &counts);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    event_base_dispatch(counts.base);
}

/* ---- the bare loop ---- */

static size_t drop(char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

static double now(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static CURL *make_call(const char *url, struct curl_slist *headers)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        die("no memory");
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, BODY);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    return easy;
}

static void call(const char *port, long count, long wide)
{
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%s/", port);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURLM *multi = curl_multi_init();
    if (!multi || !headers)
        die("no memory");
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, wide);
    double begun = now(CLOCK_MONOTONIC), used = now(CLOCK_PROCESS_CPUTIME_ID);
    long sent = 0, ended = 0;
    for (; sent < wide && sent < count; sent++)
        curl_multi_add_handle(multi, make_call(url, headers));
    while (ended < count) {
        int running = 0, left = 0;
        CURLMsg *message;
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &left))) {
            CURL *easy = message->easy_handle;
            if (message->msg != CURLMSG_DONE || message->data.result != CURLE_OK)
                die(curl_easy_strerror(message->data.result));
            curl_multi_remove_handle(multi, easy);
            ended++;
            if (sent++ < count)
                curl_multi_add_handle(multi, easy);
            else
                curl_easy_cleanup(easy);
        }
        if (ended < count)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    double wall = now(CLOCK_MONOTONIC) - begun;
    printf("{\"per_s\": %.1f, \"cpu_us\": %.2f}\n", (double)count / wall,
        (now(CLOCK_PROCESS_CPUTIME_ID) - used) / (double)count * 1e6);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        serve();
    } else if (argc == 5 && strcmp(argv[1], "call") == 0) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        call(argv[2], strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10));
        curl_global_cleanup();
    } else {
        die("serve, or call PORT N WIDE");
    }
    return 0;
}
