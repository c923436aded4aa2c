/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a start time (8 bytes), a length, so many bytes of a TZif file (0: Berlin's rule), and an expression.
 * The next instant must lie after the start and fit the expression, unless the zone moved it out of a gap. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lang/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct peri_tz *rule_zone(const uint8_t *rule, size_t len)
{
    static const unsigned char types[] = {0, 0, 0, 0, 0, 0, 'U', 'T', 'C', 0};
    unsigned char file[512], header[44] = {'T', 'Z', 'i', 'f', '2'};
    header[39] = 1;
    header[43] = 4;
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        memcpy(file + n, header, sizeof(header));
        memcpy(file + n + sizeof(header), types, sizeof(types));
        n += sizeof(header) + sizeof(types);
    }
    file[n++] = '\n';
    memcpy(file + n, rule, len);
    n += len;
    file[n++] = '\n';
    struct peri_tz *tz = NULL;
    return peri_tz_parse("fuzz", file, n, &tz, NULL) == PERI_OK ? tz : NULL;
}

static void check(const struct peri_cron *cron, const struct peri_tz *tz, enum peri_dst dst, int64_t after)
{
    int64_t due = 0, again = 0;
    if (peri_cron_next(cron, tz, dst, after, &due) != PERI_OK)
        return;
    struct peri_local l, before;
    peri_tz_local(tz, due, &l);
    peri_tz_local(tz, due - 1000, &before);
    bool fits =
        cron->minutes >> l.minute & 1 && cron->hours >> l.hour & 1 && cron->months >> l.month & 1 && l.second == 0;
    if (due <= after || (!fits && l.offset == before.offset))
        abort();
    /* Nothing lies between: asked a moment earlier, the answer is the same. */
    if (due - 1 > after && (peri_cron_next(cron, tz, dst, due - 1, &again) != PERI_OK || again != due))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";
    if (size < 10)
        return 0;
    int64_t after;
    memcpy(&after, data, 8);
    if (data[8] & 1)
        after %= INT64_C(10000000000000);
    size_t zone_len = data[9];
    data += 10;
    size -= 10;
    if (zone_len > size)
        return 0;
    char *text = strndup((const char *)data + zone_len, size - zone_len);
    struct peri_cron cron;
    struct peri_error err;
    int column = 0;
    struct peri_tz *tz = zone_len ? rule_zone(data, zone_len) : rule_zone((const uint8_t *)berlin, sizeof(berlin) - 1);
    enum peri_status st = peri_cron_parse(text, &cron, &column, &err);
    if (st != PERI_OK && (st != PERI_EINVAL || column < 1 || (size_t)column > strlen(text) + 1))
        abort();
    if (st == PERI_OK && tz)
        for (int dst = 0; dst < 3; dst++)
            check(&cron, tz, (enum peri_dst)dst, after);
    peri_tz_destroy(tz);
    free(text);
    return 0;
}
