/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for perigee-cell: a process whose plugin has taken it over. It loads a harmless package, and at the first
 * call it does what the plugin's id says. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plugin/cell.h"

static struct peri_channel channel;
static struct peri_buf out;
static struct peri_message in;
static int64_t left_ns = INT64_MAX;

static void send(void)
{
    (void)!peri_channel_send(&channel, &out, &left_ns);
}

static bool receive(void)
{
    return !peri_channel_receive(&channel, &in, &left_ns);
}

/* { actions = { ["t.go"] = { execute = function } } } in the tags of lua_wire.c */
static void put_key(const char *key)
{
    peri_message_put8(&out, 5);
    peri_message_put_text(&out, key);
}

static void loaded(const char *operator)
{
    peri_message_begin(&out, PERI_MSG_LOADED);
    peri_message_put8(&out, 6);
    put_key("actions");
    peri_message_put8(&out, 6);
    put_key(operator);
    peri_message_put8(&out, 6);
    put_key("execute");
    peri_message_put8(&out, 11);
    for (int i = 0; i < 3; i++)
        peri_message_put8(&out, 8);
    send();
}

static void put_usage(int64_t n)
{
    for (int i = 0; i < 3; i++)
        peri_message_put64(&out, n);
}

static void begin_done(void)
{
    peri_message_begin(&out, PERI_MSG_DONE);
    put_usage(1);
    peri_message_put8(&out, 1);
}

static void begin_host(uint32_t number, int arguments)
{
    peri_message_begin(&out, PERI_MSG_HOST);
    peri_message_put8(&out, 1);
    peri_message_put32(&out, number);
    peri_message_put8(&out, (uint8_t)arguments);
}

static void misbehave(const char *how)
{
    if (strstr(how, "long-frame")) {
        static const unsigned char huge[5] = {0xff, 0xff, 0xff, 0x7f, PERI_MSG_DONE};
        (void)!write(PERI_CELL_FD, huge, sizeof(huge));
    } else if (strstr(how, "bad-kind")) {
        peri_message_begin(&out, (enum peri_message_kind)200);
        send();
    } else if (strstr(how, "cut-value")) {
        begin_done();
        peri_message_put8(&out, 5);
        peri_message_put32(&out, 1000000);
        send();
    } else if (strstr(how, "bad-tag")) {
        begin_done();
        peri_message_put8(&out, 99);
        send();
    } else if (strstr(how, "deep")) {
        begin_done();
        for (int i = 0; i < 100000; i++) {
            peri_message_put8(&out, 6);
            peri_message_put8(&out, 2);
        }
        send();
    } else if (strstr(how, "nil-key")) {
        begin_done();
        peri_message_put8(&out, 6);
        peri_message_put8(&out, 0);
        peri_message_put8(&out, 2);
        peri_message_put8(&out, 8);
        send();
    } else if (strstr(how, "secret")) {
        begin_done();
        peri_message_put8(&out, 10);
        peri_message_put_text(&out, "bank");
        send();
    } else if (strstr(how, "usage")) {
        peri_message_begin(&out, PERI_MSG_DONE);
        put_usage(-5);
        peri_message_put8(&out, 0);
        send();
    } else if (strstr(how, "unasked")) {
        peri_message_begin(&out, PERI_MSG_SUSPENDED);
        send();
    } else if (strstr(how, "no-function")) {
        begin_host(4000000000u, 0);
        send();
        (void)receive();
        begin_done(); /* it was refused; the call goes on */
        peri_message_put8(&out, in.kind == PERI_MSG_RAISE ? 2 : 1);
        send();
    } else if (strstr(how, "flood")) {
        do {
            begin_host(1, 0);
            send();
        } while (receive());
    } else if (strstr(how, "rehash")) { /* keys that collide in the host's state */
        begin_done();
        peri_message_put8(&out, 6);
        for (int64_t i = 0; i < 65537; i++) {
            peri_message_put8(&out, 3);
            peri_message_put64(&out, i * 65535);
            peri_message_put8(&out, 2);
        }
        peri_message_put8(&out, 8);
        send();
    } else if (strstr(how, "handles")) {
        begin_host(1, 50);
        for (int i = 0; i < 50; i++)
            peri_message_put8(&out, 33), peri_message_put32(&out, (uint32_t)i);
        send();
        (void)receive();
        begin_done();
        peri_message_put8(&out, 2);
        send();
    } else if (strstr(how, "paint")) {
        peri_message_begin(&out, PERI_MSG_FAILED);
        put_usage(1);
        peri_message_put8(&out, 0);
        struct peri_error err = {.status = PERI_EDENIED, .code = "a\033[31mb", .message = "c\033]0;x\007d\xff"};
        peri_message_put_error(&out, &err);
        send();
    } else if (strstr(how, "silent")) {
        (void)receive();
    } else if (strstr(how, "segv")) {
        raise(SIGSEGV);
    } else {
        begin_done();
        peri_message_put8(&out, 2);
        send();
    }
}

int main(void)
{
    char how[128] = "";
    int calls = 0;
    peri_channel_init(&channel, PERI_CELL_FD, true);
    peri_buf_init(&out, PERI_MSG_MAX);
    while (receive()) {
        if (in.kind == PERI_MSG_LOAD) {
            peri_message_get_text(&in, how, sizeof(how));
            loaded(how);
        } else if (in.kind == PERI_MSG_START) {
            calls++;
            misbehave(calls == 1 ? how : "good");
        }
    }
    return 0;
}
