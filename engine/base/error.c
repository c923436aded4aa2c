/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const status_names[] = {
    [PERI_OK] = "ok",
    [PERI_ENOMEM] = "out_of_memory",
    [PERI_EINVAL] = "invalid",
    [PERI_ENOTFOUND] = "not_found",
    [PERI_EEXIST] = "exists",
    [PERI_EIO] = "io_error",
    [PERI_ELIMIT] = "limit",
    [PERI_EDENIED] = "denied",
    [PERI_ETIMEOUT] = "timeout",
    [PERI_EBUSY] = "busy",
    [PERI_EFULL] = "disk_full",
    [PERI_ECORRUPT] = "corrupt",
    [PERI_ESTATE] = "wrong_state",
    [PERI_EINTERNAL] = "internal",
};

const char *peri_status_name(enum peri_status status)
{
    if ((unsigned)status >= sizeof(status_names) / sizeof(status_names[0]))
        return "internal";
    return status_names[status];
}

/* A message cut by snprintf may end inside a UTF-8 character: drop the incomplete tail. */
static void trim_utf8(char *text)
{
    size_t n = strlen(text), i = n, need = 0;
    while (i > 0 && n - i < 4 && ((unsigned char)text[i - 1] & 0xC0) == 0x80)
        i--;
    if (i == 0)
        return;
    unsigned char lead = (unsigned char)text[i - 1];
    need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (n - (i - 1) < need)
        text[i - 1] = '\0';
}

enum peri_status peri_error_set(struct peri_error *err, enum peri_status status, const char *code, const char *fmt, ...)
{
    if (!err)
        return status;
    va_list ap;
    va_start(ap, fmt);
    char text[PERI_ERROR_MESSAGE_MAX]; /* the arguments may point into err itself */
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(text))
        trim_utf8(text);
    err->status = status;
    err->retryable = status == PERI_ETIMEOUT || status == PERI_EBUSY;
    err->outcome_unknown = false;
    err->retry_after_ms = 0;
    snprintf(err->code, sizeof(err->code), "%s", code ? code : peri_status_name(status));
    memcpy(err->message, text, sizeof(text));
    return status;
}

void peri_error_prefix(struct peri_error *err, const char *fmt, ...)
{
    if (!err)
        return;
    char prefix[PERI_ERROR_MESSAGE_MAX], whole[2 * PERI_ERROR_MESSAGE_MAX + 4];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof(prefix), fmt, ap);
    va_end(ap);
    snprintf(whole, sizeof(whole), "%s: %s", prefix, err->message);
    whole[PERI_ERROR_MESSAGE_MAX - 1] = '\0';
    trim_utf8(whole);
    memcpy(err->message, whole, sizeof(err->message));
}

void peri_error_clear(struct peri_error *err)
{
    if (!err)
        return;
    err->status = PERI_OK; /* member by member: the texts are long, and end where they begin */
    err->code[0] = err->message[0] = '\0';
    err->retryable = err->outcome_unknown = false;
    err->retry_after_ms = 0;
}

enum peri_status peri_error_nomem(struct peri_error *err)
{
    return peri_error_set(err, PERI_ENOMEM, NULL, "out of memory");
}
