/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void peri_buf_init(struct peri_buf *buf, size_t max)
{
    memset(buf, 0, sizeof(*buf));
    buf->max = max;
}

void peri_buf_finish(struct peri_buf *buf)
{
    free(buf->data);
    peri_buf_init(buf, buf->max);
}

void peri_buf_reset(struct peri_buf *buf)
{
    buf->len = 0;
    buf->failed = PERI_OK;
    if (buf->data)
        buf->data[0] = '\0';
}

enum peri_status peri_buf_reserve(struct peri_buf *buf, size_t more)
{
    if (buf->failed)
        return buf->failed;
    if (more > buf->max || buf->len > buf->max - more)
        return buf->failed = PERI_ELIMIT;
    size_t need = buf->len + more + 1;
    if (need <= buf->cap)
        return PERI_OK;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap *= 2;
    char *data = realloc(buf->data, cap);
    if (!data)
        return buf->failed = PERI_ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return PERI_OK;
}

/* What nearly all small appends meet. */
static inline bool has_room(const struct peri_buf *buf, size_t more)
{
    return !buf->failed && more < buf->cap - buf->len && more <= buf->max - buf->len;
}

enum peri_status peri_buf_append(struct peri_buf *buf, const void *data, size_t len)
{
    if (!has_room(buf, len) && peri_buf_reserve(buf, len))
        return buf->failed;
    if (len)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return PERI_OK;
}

enum peri_status peri_buf_puts(struct peri_buf *buf, const char *text)
{
    return peri_buf_append(buf, text, strlen(text));
}

enum peri_status peri_buf_putc(struct peri_buf *buf, char c)
{
    if (!has_room(buf, 1) && peri_buf_reserve(buf, 1))
        return buf->failed;
    buf->data[buf->len++] = c;
    buf->data[buf->len] = '\0';
    return PERI_OK;
}

enum peri_status peri_buf_put_uint(struct peri_buf *buf, uint64_t n)
{
    char text[20], *s = text + sizeof(text);
    do
        *--s = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    return peri_buf_append(buf, s, (size_t)(text + sizeof(text) - s));
}

enum peri_status peri_buf_vprintf(struct peri_buf *buf, const char *fmt, va_list ap)
{
    va_list copy;
    va_copy(copy, ap);
    int n = vsnprintf(NULL, 0, fmt, copy);
    va_end(copy);
    if (n < 0)
        return buf->failed = PERI_EINVAL;
    enum peri_status st = peri_buf_reserve(buf, (size_t)n);
    if (st)
        return st;
    vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, ap);
    buf->len += (size_t)n;
    return PERI_OK;
}

enum peri_status peri_buf_printf(struct peri_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum peri_status st = peri_buf_vprintf(buf, fmt, ap);
    va_end(ap);
    return st;
}

const char *peri_buf_text(const struct peri_buf *buf)
{
    return buf->data ? buf->data : "";
}

char *peri_buf_take(struct peri_buf *buf, size_t *ret_len)
{
    if (ret_len)
        *ret_len = buf->len;
    char *data = buf->data ? buf->data : calloc(1, 1);
    size_t max = buf->max;
    peri_buf_init(buf, max);
    return data;
}
