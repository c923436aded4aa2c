/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_MESSAGE_H
#define PERI_PLUGIN_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"

/* Messages between the host and a plugin's own process (cell.h): a length of four bytes, a kind of one, and what the
 * kind says. Both ends are one build on one machine, so numbers go as they lie in memory. What comes from a cell is
 * taken to be hostile: every read is bounded, and after a bad one the message is bad for good. */

#define PERI_MSG_MAX ((size_t)6 << 20)

/* Kinds: to the cell, then from it. What stands in them is said in lua_cell.h. */
enum peri_message_kind {
    PERI_MSG_LOAD = 1,
    PERI_MSG_START,
    PERI_MSG_RESUME,
    PERI_MSG_ABORT,   /* no answer */
    PERI_MSG_RELEASE, /* no answer */
    PERI_MSG_TEXT,    /* a module */
    PERI_MSG_RESULT,  /* of a host function */
    PERI_MSG_RAISE,   /* it raised an error */
    PERI_MSG_STOP,    /* it ended the call */
    PERI_MSG_WAIT,    /* it waits: suspend */

    PERI_MSG_LOADED = 64,
    PERI_MSG_DONE,
    PERI_MSG_SUSPENDED,
    PERI_MSG_FAILED,
    PERI_MSG_MODULE, /* asks for one */
    PERI_MSG_HOST    /* calls a host function */
};

/* --- writing: into a buffer that peri_message_begin empties --- */

void peri_message_begin(struct peri_buf *out, enum peri_message_kind kind);
void peri_message_put8(struct peri_buf *out, uint8_t n);
void peri_message_put32(struct peri_buf *out, uint32_t n);
void peri_message_put64(struct peri_buf *out, int64_t n);
void peri_message_put_bytes(struct peri_buf *out, const char *data, size_t len);
void peri_message_put_text(struct peri_buf *out, const char *text); /* NULL as "" */
void peri_message_put_error(struct peri_buf *out, const struct peri_error *err);

/* --- reading --- */

struct peri_message {
    uint8_t kind;
    const char *data; /* borrow: valid until the next receive */
    size_t len, at;
    bool bad; /* something did not fit */
};

uint8_t peri_message_get8(struct peri_message *in); /* 0 once it is bad, as the others */
uint32_t peri_message_get32(struct peri_message *in);
int64_t peri_message_get64(struct peri_message *in);
/* Not followed by a NUL. "" once it is bad. */
const char *peri_message_get_bytes(struct peri_message *in, size_t *ret_len);
/* Copies; what does not fit, or holds a NUL, makes the message bad. */
void peri_message_get_text(struct peri_message *in, char *out, size_t size);
/* code and message as plain text, whatever was in them. */
void peri_message_get_error(struct peri_message *in, struct peri_error *ret);
static inline size_t peri_message_left(const struct peri_message *in)
{
    return in->bad ? 0 : in->len - in->at;
}

/* --- sending and receiving --- */

struct peri_channel {
    int fd;
    bool inside; /* in the cell: plain read and write, which wait for ever */
    char *data;  /* received bytes */
    size_t start, end, cap;
};

void peri_channel_init(struct peri_channel *channel, int fd, bool inside);
void peri_channel_finish(struct peri_channel *channel); /* does not close */
/* Sends what is in out. *left_ns: how long both may wait for the other side; reduced by the time they waited.
 * PERI_ETIMEOUT, PERI_EIO (the other side is gone), PERI_ELIMIT (out has failed: too large). */
enum peri_status peri_channel_send(
    struct peri_channel *channel, struct peri_buf *out, int64_t *left_ns) PERI_MUST_CHECK;
/* The next message. PERI_EINVAL: a length that is none. */
enum peri_status peri_channel_receive(
    struct peri_channel *channel, struct peri_message *ret, int64_t *left_ns) PERI_MUST_CHECK;

#endif
