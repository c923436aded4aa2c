/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/message.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

#define HEAD 5
#define FIRST_ROOM ((size_t)8 << 10)
#define KEPT_ROOM ((size_t)256 << 10) /* a larger buffer is given back after use */

/* --- writing --- */

void peri_message_begin(struct peri_buf *out, enum peri_message_kind kind)
{
    static const char head[HEAD - 1] = {0};
    if (out->cap > KEPT_ROOM) {
        size_t max = out->max;
        peri_buf_finish(out);
        peri_buf_init(out, max);
    }
    peri_buf_reset(out);
    peri_buf_append(out, head, sizeof(head));
    peri_message_put8(out, (uint8_t)kind);
}

void peri_message_put8(struct peri_buf *out, uint8_t n)
{
    peri_buf_append(out, &n, 1);
}

void peri_message_put32(struct peri_buf *out, uint32_t n)
{
    peri_buf_append(out, &n, sizeof(n));
}

void peri_message_put64(struct peri_buf *out, int64_t n)
{
    peri_buf_append(out, &n, sizeof(n));
}

void peri_message_put_bytes(struct peri_buf *out, const char *data, size_t len)
{
    peri_message_put32(out, len > UINT32_MAX ? UINT32_MAX : (uint32_t)len);
    peri_buf_append(out, data, len);
}

void peri_message_put_text(struct peri_buf *out, const char *text)
{
    peri_message_put_bytes(out, text ? text : "", text ? strlen(text) : 0);
}

void peri_message_put_error(struct peri_buf *out, const struct peri_error *err)
{
    peri_message_put8(out, (uint8_t)err->status);
    peri_message_put8(out, (uint8_t)(err->retryable | err->outcome_unknown << 1));
    peri_message_put64(out, err->retry_after_ms);
    peri_message_put_text(out, err->code);
    peri_message_put_text(out, err->message);
}

/* --- reading --- */

static const char *take(struct peri_message *in, size_t n)
{
    if (in->bad || n > in->len - in->at) {
        in->bad = true;
        return NULL;
    }
    in->at += n;
    return in->data + in->at - n;
}

uint8_t peri_message_get8(struct peri_message *in)
{
    const char *p = take(in, 1);
    return p ? (uint8_t)*p : 0;
}

uint32_t peri_message_get32(struct peri_message *in)
{
    uint32_t n = 0;
    const char *p = take(in, sizeof(n));
    if (p)
        memcpy(&n, p, sizeof(n));
    return n;
}

int64_t peri_message_get64(struct peri_message *in)
{
    int64_t n = 0;
    const char *p = take(in, sizeof(n));
    if (p)
        memcpy(&n, p, sizeof(n));
    return n;
}

const char *peri_message_get_bytes(struct peri_message *in, size_t *ret_len)
{
    size_t len = peri_message_get32(in);
    const char *p = take(in, len);
    *ret_len = p ? len : 0;
    return p ? p : "";
}

void peri_message_get_text(struct peri_message *in, char *out, size_t size)
{
    size_t len;
    const char *p = peri_message_get_bytes(in, &len);
    if (len >= size || memchr(p, '\0', len)) {
        in->bad = true;
        len = 0;
    }
    memcpy(out, p, len);
    out[len] = '\0';
}

/* As the errors of a state in this process: lines and tabs stay. */
static void make_plain(char *text)
{
    for (;;) {
        size_t n = strcspn(text, "\n\t");
        char end = text[n];
        text[n] = '\0';
        peri_text_make_plain(text);
        text[n] = end;
        if (!end)
            return;
        text += n + 1;
    }
}

void peri_message_get_error(struct peri_message *in, struct peri_error *ret)
{
    memset(ret, 0, sizeof(*ret));
    int status = peri_message_get8(in);
    uint8_t flags = peri_message_get8(in);
    int64_t after = peri_message_get64(in);
    peri_message_get_text(in, ret->code, sizeof(ret->code));
    peri_message_get_text(in, ret->message, sizeof(ret->message));
    peri_text_make_plain(ret->code);
    make_plain(ret->message);
    ret->status = status == PERI_ELIMIT || status == PERI_ESTATE ? (enum peri_status)status : PERI_EINVAL;
    ret->retryable = flags & 1;
    ret->outcome_unknown = (flags & 2) != 0;
    ret->retry_after_ms = after > 0 && after < 1000000000000 ? (long)after : 0;
}

/* --- sending and receiving --- */

void peri_channel_init(struct peri_channel *channel, int fd, bool inside)
{
    *channel = (struct peri_channel){.fd = fd, .inside = inside};
}

void peri_channel_finish(struct peri_channel *channel)
{
    free(channel->data);
    channel->data = NULL;
    channel->start = channel->end = channel->cap = 0;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static enum peri_status wait_for(const struct peri_channel *channel, short what, int64_t *left_ns)
{
    struct pollfd p = {.fd = channel->fd, .events = what};
    if (*left_ns <= 0)
        return PERI_ETIMEOUT;
    int64_t from = now_ns(), ms = *left_ns / 1000000 + 1;
    int n = poll(&p, 1, ms > 60000 ? 60000 : (int)ms);
    *left_ns -= now_ns() - from;
    return n < 0 && errno != EINTR ? PERI_EIO : PERI_OK;
}

enum peri_status peri_channel_send(struct peri_channel *channel, struct peri_buf *out, int64_t *left_ns)
{
    if (out->failed || out->len < HEAD)
        return out->failed ? out->failed : PERI_EINVAL;
    uint32_t len = (uint32_t)(out->len - HEAD);
    memcpy(out->data, &len, sizeof(len));
    for (size_t at = 0; at < out->len;) {
        ssize_t n = channel->inside ? write(channel->fd, out->data + at, out->len - at)
                                    : send(channel->fd, out->data + at, out->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            at += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            enum peri_status st = wait_for(channel, POLLOUT, left_ns);
            if (st)
                return st;
        } else if (n == 0 || errno != EINTR) {
            return PERI_EIO;
        }
    }
    return PERI_OK;
}

static bool make_room(struct peri_channel *channel, size_t need)
{
    if (channel->start == channel->end && channel->cap > KEPT_ROOM && need < FIRST_ROOM)
        peri_channel_finish(channel);
    if (channel->start && channel->start + need > channel->cap) {
        memmove(channel->data, channel->data + channel->start, channel->end - channel->start);
        channel->end -= channel->start;
        channel->start = 0;
    }
    if (channel->start + need <= channel->cap)
        return true;
    size_t cap = need < FIRST_ROOM ? FIRST_ROOM : need;
    char *data = realloc(channel->data, cap);
    if (!data)
        return false;
    channel->data = data;
    channel->cap = cap;
    return true;
}

/* Until need bytes lie at start. */
static enum peri_status fill(struct peri_channel *channel, size_t need, int64_t *left_ns)
{
    if (!make_room(channel, need))
        return PERI_ENOMEM;
    while (channel->end - channel->start < need) {
        char *to = channel->data + channel->end;
        size_t room = channel->cap - channel->end;
        ssize_t n = channel->inside ? read(channel->fd, to, room) : recv(channel->fd, to, room, MSG_DONTWAIT);
        if (n > 0) {
            channel->end += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            enum peri_status st = wait_for(channel, POLLIN, left_ns);
            if (st)
                return st;
        } else if (n == 0 || errno != EINTR) {
            return PERI_EIO;
        }
    }
    return PERI_OK;
}

enum peri_status peri_channel_receive(struct peri_channel *channel, struct peri_message *ret, int64_t *left_ns)
{
    uint32_t len;
    enum peri_status st = fill(channel, HEAD, left_ns);
    if (st)
        return st;
    memcpy(&len, channel->data + channel->start, sizeof(len));
    if (len > PERI_MSG_MAX)
        return PERI_EINVAL;
    st = fill(channel, HEAD + len, left_ns);
    if (st)
        return st;
    *ret = (struct peri_message){.kind = (uint8_t)channel->data[channel->start + HEAD - 1],
        .data = channel->data + channel->start + HEAD,
        .len = len};
    channel->start += HEAD + len;
    if (channel->start == channel->end)
        channel->start = channel->end = 0;
    return PERI_OK;
}
