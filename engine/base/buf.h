/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_BUF_H
#define PERI_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

/* A growing byte buffer with a stated maximum. The data is always followed by a NUL that len does not count.
 * After a failed append nothing is changed, `failed` is set and stays set, and every later append fails too: a writer
 * may check once at the end. */
struct peri_buf {
    char *data; /* NULL until the first append */
    size_t len;
    size_t cap;
    size_t max;
    enum peri_status failed;
};

void peri_buf_init(struct peri_buf *buf, size_t max);
void peri_buf_finish(struct peri_buf *buf);
/* Forgets the content (and the failure), keeps the memory. */
void peri_buf_reset(struct peri_buf *buf);
/* PERI_ELIMIT above max, PERI_ENOMEM. */
enum peri_status peri_buf_reserve(struct peri_buf *buf, size_t more);
enum peri_status peri_buf_append(struct peri_buf *buf, const void *data, size_t len);
enum peri_status peri_buf_puts(struct peri_buf *buf, const char *text);
enum peri_status peri_buf_putc(struct peri_buf *buf, char c);
/* In decimal. */
enum peri_status peri_buf_put_uint(struct peri_buf *buf, uint64_t n);
enum peri_status peri_buf_printf(struct peri_buf *buf, const char *fmt, ...) PERI_PRINTF(2, 3);
enum peri_status peri_buf_vprintf(struct peri_buf *buf, const char *fmt, va_list ap) PERI_PRINTF(2, 0);
/* The NUL-terminated content, "" when empty. Valid until the next change. */
const char *peri_buf_text(const struct peri_buf *buf);
/* Hands the malloc'ed, NUL-terminated content to the caller (never NULL unless memory is out) and empties the buffer.
 */
char *peri_buf_take(struct peri_buf *buf, size_t *ret_len);

#endif
