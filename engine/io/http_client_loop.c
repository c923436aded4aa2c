/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's multi-socket interface on the loop: it names sockets and one timer, we report what happens to them. */
#include "io/http_client_internal.h"

#define KEPT_CONNECTIONS 64

static void act(struct peri_http_client *client, curl_socket_t fd, int mask)
{
    int running;
    curl_multi_socket_action(client->multi, fd, mask, &running);
    http_client_reap(client);
}

static void on_socket(void *arg, int fd, int what)
{
    act(arg, fd, (what & PERI_IO_READ ? CURL_CSELECT_IN : 0) | (what & PERI_IO_WRITE ? CURL_CSELECT_OUT : 0));
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct peri_http_client *client = arg;
    struct peri_io *io = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        peri_io_destroy(io);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    int wanted = (what & CURL_POLL_IN ? PERI_IO_READ : 0) | (what & CURL_POLL_OUT ? PERI_IO_WRITE : 0);
    if (io)
        return peri_io_change(io, wanted) == PERI_OK ? 0 : -1;
    if (peri_loop_io(client->loop, fd, wanted, on_socket, client, &io) != PERI_OK)
        return -1;
    curl_multi_assign(client->multi, fd, io);
    return 0;
}

static void on_timer(void *arg)
{
    struct peri_http_client *client = arg;
    client->timer = NULL;
    act(client, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct peri_http_client *client = arg;
    peri_timer_cancel(client->timer);
    client->timer = NULL;
    /* Also 0 goes by way of the loop: libcurl must not be entered from here. */
    if (ms >= 0 && peri_loop_after(client->loop, ms, on_timer, client, &client->timer) != PERI_OK)
        return -1;
    return 0;
}

bool http_client_loop_init(struct peri_http_client *client)
{
    client->multi = curl_multi_init();
    if (!client->multi)
        return false;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    return true;
}

void http_client_loop_finish(struct peri_http_client *client)
{
    if (client->multi)
        curl_multi_cleanup(client->multi);
    client->multi = NULL;
    peri_timer_cancel(client->timer);
    client->timer = NULL;
}
