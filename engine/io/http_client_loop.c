/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's multi-socket interface on the loop: it names sockets and one timer, we report what happens to them. */
#include "io/http_client_internal.h"

#include <stdlib.h>
#include <unistd.h>

#define KEPT_CONNECTIONS 64

static void act(struct peri_http_client *client, curl_socket_t fd, int mask)
{
    int running;
    curl_multi_socket_action(client->multi, fd, mask, &running);
    http_client_reap(client);
}

static int flags_of(int what)
{
    return (what & PERI_IO_READ ? CURL_CSELECT_IN : 0) | (what & PERI_IO_WRITE ? CURL_CSELECT_OUT : 0);
}

/* ---- sockets of connections ---- */

/* Between two calls libcurl has a connection's socket watched no more, and watched again with the next one: two calls
 * of the system each time. So it stays watched while it rests. What comes then is the server's end of it, or nothing we
 * asked for: the watch ends, and libcurl sees for itself when it wants the connection again. */
static void on_socket(void *arg, int fd, int what)
{
    struct client_socket *socket = arg;
    if (!socket->rests) {
        act(socket->client, fd, flags_of(what));
        return;
    }
    peri_io_destroy(socket->io);
    socket->io = NULL;
}

static struct client_socket **find(struct peri_http_client *client, int fd)
{
    struct client_socket **link = &client->sockets;
    while (*link && (*link)->fd != fd)
        link = &(*link)->next;
    return link;
}

static void forget(struct client_socket **link)
{
    struct client_socket *socket = *link;
    if (!socket)
        return;
    *link = socket->next;
    peri_io_destroy(socket->io);
    free(socket);
}

bool http_client_socket_add(struct peri_http_client *client, int fd)
{
    struct client_socket *socket = calloc(1, sizeof(*socket));
    if (!socket)
        return false;
    forget(find(client, fd)); /* closed without our knowing */
    *socket = (struct client_socket){.next = client->sockets, .client = client, .fd = fd};
    client->sockets = socket;
    return true;
}

int http_client_socket_close(struct peri_http_client *client, int fd)
{
    forget(find(client, fd));
    return close(fd);
}

static int watch_connection(struct client_socket *socket, int what)
{
    struct peri_http_client *client = socket->client;
    int wanted = (what & CURL_POLL_IN ? PERI_IO_READ : 0) | (what & CURL_POLL_OUT ? PERI_IO_WRITE : 0);
    bool same = socket->io && socket->wanted == wanted;
    socket->rests = what == CURL_POLL_REMOVE;
    if (socket->rests && (!socket->io || socket->wanted == PERI_IO_READ))
        return 0;
    if (socket->rests) {
        peri_io_destroy(socket->io); /* it could be written to all the time */
        socket->io = NULL;
        return 0;
    }
    socket->wanted = wanted;
    if (socket->io)
        return same || peri_io_change(socket->io, wanted) == PERI_OK ? 0 : -1;
    return peri_loop_io(client->loop, socket->fd, wanted, on_socket, socket, &socket->io) == PERI_OK ? 0 : -1;
}

/* ---- what libcurl asks for ---- */

static void on_other(void *arg, int fd, int what)
{
    act(arg, fd, flags_of(what));
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct peri_http_client *client = arg;
    struct client_socket *socket = *find(client, fd);
    if (socket)
        return watch_connection(socket, what);
    struct peri_io *io = socket_arg; /* one of libcurl's own: its resolver tells so that it is through */
    if (what == CURL_POLL_REMOVE) {
        peri_io_destroy(io);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    int wanted = (what & CURL_POLL_IN ? PERI_IO_READ : 0) | (what & CURL_POLL_OUT ? PERI_IO_WRITE : 0);
    if (io)
        return peri_io_change(io, wanted) == PERI_OK ? 0 : -1;
    if (peri_loop_io(client->loop, fd, wanted, on_other, client, &io) != PERI_OK)
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
    while (client->sockets)
        forget(&client->sockets);
    peri_timer_cancel(client->timer);
    client->timer = NULL;
}
