/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server listens, and who comes. */
#include "io/http_server_internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

#define ACCEPT_PAUSE_MS 100
#define ACCEPT_AT_ONCE 64 /* then others have their turn */
#define BACKLOG 256

/* ---- addresses ---- */

static enum peri_status unix_address(struct peri_http_server *server, const char *path, struct sockaddr_storage *ret,
    socklen_t *ret_len, struct peri_error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)ret;
    if (!*path || strlen(path) >= sizeof(un->sun_path))
        return peri_error_set(err, PERI_EINVAL, "http.listen", "the path of \"unix:%s\" must have 1 to %zu bytes", path,
            sizeof(un->sun_path) - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    *ret_len = sizeof(*un);
    /* A socket nobody answers on is left from a process that died. */
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)un, sizeof(*un)) < 0 && errno == ECONNREFUSED)
            unlink(path);
        if (fd >= 0)
            close(fd);
    }
    server->unix_path = peri_strdup(path);
    return server->unix_path ? PERI_OK : peri_error_nomem(err);
}

/* "host:port" or "[v6]:port" */
static enum peri_status inet_address(
    const char *listen, struct sockaddr_storage *ret, socklen_t *ret_len, struct peri_error *err)
{
    char host[256];
    const char *colon = strrchr(listen, ':');
    long long port;
    size_t len = colon ? (size_t)(colon - listen) : 0;
    if (!colon || len == 0 || len >= sizeof(host) || !peri_parse_i64(colon + 1, &port) || port < 0 || port > 65535)
        return peri_error_set(err, PERI_EINVAL, "http.listen",
            "\"%s\" is no address to listen on (wanted: 127.0.0.1:8420, [::1]:8420 or unix:/path)", listen);
    bool brackets = listen[0] == '[' && listen[len - 1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(brackets ? len - 2 : len), listen + brackets);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0)
        return peri_error_set(
            err, PERI_EINVAL, "http.listen", "can not listen on \"%s\": %s", listen, gai_strerror(rc));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return PERI_OK;
}

static int bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port) : 0;
}

/* ---- accepting ---- */

static void on_accept(void *arg, int fd, int what);

static enum peri_status begin_accepting(struct peri_http_server *server)
{
    return peri_loop_io(server->loop, server->fd, PERI_IO_READ, on_accept, server, &server->io);
}

static void accept_again(void *arg)
{
    struct peri_http_server *server = arg;
    server->accept_again = NULL;
    if (begin_accepting(server) != PERI_OK &&
        peri_loop_after(server->loop, ACCEPT_PAUSE_MS, accept_again, server, &server->accept_again) != PERI_OK)
        peri_err(server->log, "http", "no more connections are accepted: out of memory");
}

/* Out of descriptors, most likely. The waiting connection would wake us at once again, so pause. */
static void pause_accepting(struct peri_http_server *server, int error)
{
    http_server_make_room(server);
    peri_warn(server->log, "http", "can not accept a connection: %s", strerror(error));
    if (peri_loop_after(server->loop, ACCEPT_PAUSE_MS, accept_again, server, &server->accept_again) != PERI_OK)
        return;
    peri_io_destroy(server->io);
    server->io = NULL;
}

static void remote_text(
    const struct peri_http_server *server, const struct sockaddr_storage *from, socklen_t len, char *out)
{
    if (server->unix_path)
        snprintf(out, PERI_HTTP_REMOTE, "unix");
    else if (getnameinfo((const struct sockaddr *)from, len, out, PERI_HTTP_REMOTE, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(out, PERI_HTTP_REMOTE, "unknown");
}

static void on_accept(void *arg, int fd, int what)
{
    struct peri_http_server *server = arg;
    char remote[PERI_HTTP_REMOTE];
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int one = 1, peer = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                pause_accepting(server, errno);
            return;
        }
        if (!server->unix_path) /* an answer is one write: there is nothing to collect */
            (void)setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        remote_text(server, &from, len, remote);
        http_conn_open(server, peer, remote);
    }
}

/* ---- listening ---- */

static int open_socket(const struct sockaddr_storage *address, socklen_t len)
{
    int one = 1, fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, (const struct sockaddr *)address, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

enum peri_status http_server_listen(struct peri_http_server *server, const char *listen, struct peri_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t len = 0;
    enum peri_status st = peri_str_starts(listen, "unix:") ? unix_address(server, listen + 5, &address, &len, err)
                                                           : inet_address(listen, &address, &len, err);
    if (st)
        return st;
    mode_t mask = server->unix_path ? umask(0117) : 0;
    server->fd = open_socket(&address, len);
    int error = errno;
    if (server->unix_path)
        umask(mask);
    if (server->fd < 0) {
        free(server->unix_path); /* not ours: it must not be removed */
        server->unix_path = NULL;
        return peri_error_set(err, PERI_EIO, "http.listen", "can not listen on \"%s\": %s", listen, strerror(error));
    }
    server->port = bound_port(server->fd);
    return begin_accepting(server) == PERI_OK ? PERI_OK : peri_error_nomem(err);
}

void http_server_listen_end(struct peri_http_server *server)
{
    peri_timer_cancel(server->accept_again);
    peri_io_destroy(server->io);
    if (server->fd >= 0)
        close(server->fd);
    if (server->unix_path)
        unlink(server->unix_path);
    free(server->unix_path);
}
