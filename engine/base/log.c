/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/timefmt.h"

#define LOG_LINE_MAX 4096 /* PIPE_BUF: a pipe with room takes it whole */
#define STALL_MS 200      /* how long the service waits for a reader, once */

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const int syslog_levels[] = {7, 6, 4, 3};

struct peri_log {
    int fd;
    _Atomic int level, dropped; /* dropped: lines since the reader stopped reading */
    bool json;
    bool journal; /* standard error is the systemd journal: it adds the time, we give the priority */
    bool (*filter)(void *ctx, const char *text, char **ret);
    void *filter_ctx;
    void (*sink)(void *ctx, enum peri_log_level level, const char *area, const char *text);
    void *sink_ctx;
};

/* sd-daemon(3): JOURNAL_STREAM is "device:inode" of the stream that leads to the journal. */
static bool is_journal(int fd)
{
    const char *text = getenv("JOURNAL_STREAM");
    struct stat st;
    if (!text || fstat(fd, &st) < 0)
        return false;
    char mine[64];
    snprintf(mine, sizeof(mine), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return strcmp(text, mine) == 0;
}

struct peri_log *peri_log_create(const struct peri_log_options *options)
{
    struct peri_log *log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    log->fd = options->fd;
    log->level = (int)options->level;
    log->json = options->json;
    log->journal = is_journal(options->fd);
    return log;
}

void peri_log_destroy(struct peri_log *log)
{
    free(log);
}

void peri_log_set_level(struct peri_log *log, enum peri_log_level level)
{
    log->level = (int)level;
}

bool peri_log_enabled(const struct peri_log *log, enum peri_log_level level)
{
    return log && (int)level >= log->level;
}

bool peri_log_level_parse(const char *text, enum peri_log_level *ret_level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (peri_streq(text, level_names[i])) {
            *ret_level = (enum peri_log_level)i;
            return true;
        }
    }
    return false;
}

/* Bytes of the character at text, of which there are len at most; 0: it is none. */
static size_t character(const char *text, size_t len, unsigned *ret_code)
{
    static const unsigned char starts[] = {0xC0, 0xE0, 0xF0, 0xF8};
    for (size_t n = 2; n <= 4 && n <= len; n++)
        if (((unsigned char)text[0] & starts[n - 1]) == starts[n - 2])
            return peri_utf8_valid(text, n, NULL) ? peri_utf8_decode(text, n, ret_code) : 0;
    return 0;
}

static void put_escaped(struct peri_buf *line, const char *text, bool json)
{
    for (size_t n = 1, len; *text && line->len < LOG_LINE_MAX - 16; text += n) {
        unsigned char c = (unsigned char)*text;
        unsigned code = c;
        n = 1;
        if (c >= 0x80 && (len = strnlen(text, 4)) > 1 && (n = character(text, len, &code)) == 0)
            n = 1;
        if (n > 1 && peri_code_steers(code))
            peri_buf_printf(line, "\\u%04x", code);
        else if (n > 1)
            peri_buf_append(line, text, n);
        else if (c == '\n')
            peri_buf_puts(line, "\\n");
        else if (c < 0x20 || c == 0x7F)
            peri_buf_printf(line, "\\u%04x", c);
        else if (json && (c == '"' || c == '\\'))
            peri_buf_printf(line, "\\%c", c);
        else
            peri_buf_putc(line, (char)c);
    }
}

/* A reader that does not read must not stop the service: after a short wait lines are dropped until there is room. */
static bool has_room(struct peri_log *log)
{
    struct pollfd p = {.fd = log->fd, .events = POLLOUT};
    if (poll(&p, 1, log->dropped ? 0 : STALL_MS) != 0)
        return true; /* also when it cannot be asked */
    log->dropped++;
    return false;
}

static void put_line(
    struct peri_log *log, struct peri_buf *line, enum peri_log_level level, const char *area, const char *text)
{
    char stamp[PERI_TIME_TEXT];
    struct peri_clock clock = peri_clock_system();
    peri_time_format(peri_clock_wall_ms(&clock), stamp);
    if (log->json)
        peri_buf_printf(
            line, "{\"time\":\"%s\",\"level\":\"%s\",\"area\":\"%s\",\"message\":\"", stamp, level_names[level], area);
    else if (log->journal)
        peri_buf_printf(line, "<%d>%s: ", syslog_levels[level], area);
    else
        peri_buf_printf(line, "%s %-5s %s: ", stamp, level_names[level], area);
    put_escaped(line, text, log->json);
    peri_buf_puts(line, log->json ? "\"}\n" : "\n");
}

static void note_dropped(struct peri_log *log)
{
    char text[64];
    struct peri_buf line;
    int n = atomic_exchange(&log->dropped, 0);
    if (!n)
        return;
    snprintf(text, sizeof(text), "%d lines were dropped: nobody read them", n);
    peri_buf_init(&line, LOG_LINE_MAX);
    put_line(log, &line, PERI_LOG_WARN, "log", text);
    if (line.data && write(log->fd, line.data, line.len) < 0)
        log->dropped = n;
    peri_buf_finish(&line);
}

void peri_log_set_filter(struct peri_log *log, bool (*fn)(void *ctx, const char *text, char **ret), void *ctx)
{
    if (!log)
        return;
    log->filter = NULL;
    log->filter_ctx = ctx;
    log->filter = fn;
}

void peri_log_set_sink(struct peri_log *log,
    void (*fn)(void *ctx, enum peri_log_level level, const char *area, const char *text), void *ctx)
{
    if (!log)
        return;
    log->sink = NULL;
    log->sink_ctx = ctx;
    log->sink = fn;
}

const char *peri_log_level_name(enum peri_log_level level)
{
    return level_names[level];
}

void peri_log_write(struct peri_log *log, enum peri_log_level level, const char *area, const char *fmt, ...)
{
    if (!peri_log_enabled(log, level))
        return;
    char text[LOG_LINE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (log->sink) {
        log->sink(log->sink_ctx, level, area, text);
        return;
    }
    struct peri_buf line;
    peri_buf_init(&line, LOG_LINE_MAX);
    char *other = NULL;
    bool replaced = log->filter && log->filter(log->filter_ctx, text, &other);
    put_line(log, &line, level, area, replaced ? other : text);
    free(other);
    /* One write keeps lines of several threads apart. A log that can not be written must not stop the service. */
    if (line.data && has_room(log)) {
        note_dropped(log);
        if (write(log->fd, line.data, line.len) < 0)
            log->level = log->level;
    }
    peri_buf_finish(&line);
}
