/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include <stdlib.h>

#include <event2/event.h>

struct peri_io {
    struct peri_loop *loop;
    struct event *event;
    void (*fn)(void *arg, int fd, int what);
    void *arg;
};

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct peri_io *io = arg;
    io->fn(io->arg, (int)fd,
        (what & EV_READ ? PERI_IO_READ : 0) | (what & EV_WRITE ? PERI_IO_WRITE : 0)); /* may destroy io */
}

static short event_flags(int what)
{
    return (short)(EV_PERSIST | (what & PERI_IO_READ ? EV_READ : 0) | (what & PERI_IO_WRITE ? EV_WRITE : 0));
}

enum peri_status peri_loop_io(
    struct peri_loop *loop, int fd, int what, void (*fn)(void *arg, int fd, int what), void *arg, struct peri_io **ret)
{
    struct peri_io *io = calloc(1, sizeof(*io));
    if (!io)
        return PERI_ENOMEM;
    *io = (struct peri_io){.loop = loop, .fn = fn, .arg = arg};
    io->event = event_new(peri_loop_base(loop), fd, event_flags(what), on_ready, io);
    if (!io->event || event_add(io->event, NULL) < 0) {
        peri_io_destroy(io);
        return PERI_EIO;
    }
    *ret = io;
    return PERI_OK;
}

enum peri_status peri_io_change(struct peri_io *io, int what)
{
    int fd = event_get_fd(io->event);
    if (event_get_events(io->event) == event_flags(what))
        return PERI_OK;
    event_del(io->event);
    if (event_assign(io->event, peri_loop_base(io->loop), fd, event_flags(what), on_ready, io) < 0 ||
        event_add(io->event, NULL) < 0)
        return PERI_EIO;
    return PERI_OK;
}

void peri_io_destroy(struct peri_io *io)
{
    if (!io)
        return;
    if (io->event)
        event_free(io->event);
    free(io);
}
