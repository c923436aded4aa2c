/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_LOG_H
#define PERI_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include "base/status.h"

enum peri_log_level {
    PERI_LOG_DEBUG,
    PERI_LOG_INFO,
    PERI_LOG_WARN,
    PERI_LOG_ERROR,
    PERI_LOG_NONE /* as a level of the log: silence */
};

/* The log sink: one line a record on a file descriptor, written whole, from any thread. Every object that logs is given
 * one at creation; a NULL log is silent. */
struct peri_log;

struct peri_log_options {
    int fd;                    /* 2 for standard error */
    enum peri_log_level level; /* records below are dropped */
    bool json;                 /* one JSON object a line */
};

struct peri_log *peri_log_create(const struct peri_log_options *options);
void peri_log_destroy(struct peri_log *log);
/* Called with each record's text, from any thread: true and a malloc'ed text to be written instead. Set before threads
 * log, taken back (NULL) before ctx goes. */
void peri_log_set_filter(struct peri_log *log, bool (*fn)(void *ctx, const char *text, char **ret), void *ctx);
/* Records go to fn instead of the descriptor, from any thread; the same rules. */
void peri_log_set_sink(struct peri_log *log,
    void (*fn)(void *ctx, enum peri_log_level level, const char *area, const char *text), void *ctx);
const char *peri_log_level_name(enum peri_log_level level);
void peri_log_set_level(struct peri_log *log, enum peri_log_level level);
bool peri_log_enabled(const struct peri_log *log, enum peri_log_level level);
/* area is the module ("rules", "plugin.comms"). Control characters in the text are escaped, lines cut at 4 KiB. */
void peri_log_write(struct peri_log *log, enum peri_log_level level, const char *area, const char *fmt, ...)
    PERI_PRINTF(4, 5);
bool peri_log_level_parse(const char *text, enum peri_log_level *ret_level);

#define peri_debug(log, area, ...) peri_log_write(log, PERI_LOG_DEBUG, area, __VA_ARGS__)
#define peri_info(log, area, ...) peri_log_write(log, PERI_LOG_INFO, area, __VA_ARGS__)
#define peri_warn(log, area, ...) peri_log_write(log, PERI_LOG_WARN, area, __VA_ARGS__)
#define peri_err(log, area, ...) peri_log_write(log, PERI_LOG_ERROR, area, __VA_ARGS__)

#endif
