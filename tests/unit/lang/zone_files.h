/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ZONE_FILES_H
#define TESTS_ZONE_FILES_H

#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "lang/tz.h"

/* The zones of the machine, read by the test itself. */
static inline enum peri_status read_zone(
    void *ctx, const char *name, unsigned char **ret_data, size_t *ret_len, struct peri_error *err)
{
    char path[256];
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return peri_error_set(err, PERI_ENOTFOUND, NULL, "no %s", path);
    *ret_data = malloc(65536);
    *ret_len = fread(*ret_data, 1, 65536, f);
    fclose(f);
    return PERI_OK;
}

static inline struct peri_tz *zone(const char *name)
{
    static const struct peri_tz_source source = {read_zone, NULL};
    struct peri_error err;
    struct peri_tz *tz = NULL;
    if (peri_tz_load(&source, name, &tz, &err) != PERI_OK)
        fail_msg("%s", err.message);
    return tz;
}

/* ms of an RFC 3339 text. */
static inline int64_t at(const char *text)
{
    int64_t ms = 0;
    if (!peri_time_parse(text, strlen(text), &ms))
        fail_msg("no time: %s", text);
    return ms;
}

#endif
