/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "base/timefmt.h"
#include "app/zones.h"
#include "lang/cron.h"

enum { ZONE, AFTER, COUNT, DST };

static const struct argp_option options[] = {
    {"tz", PERI_OPTION(ZONE), "ZONE", 0, "IANA time zone (default: UTC)", 0},
    {"after", PERI_OPTION(AFTER), "TIME", 0, "strictly after this RFC 3339 time (default: now)", 0},
    {"count", PERI_OPTION(COUNT), "N", 0, "how many (default 5)", 0},
    {"dst", PERI_OPTION(DST), "MODE", 0, "once, skip or both (default once)", 0},
    {0},
};
static const struct peri_usage_text usage = {"EXPR",
    "Prints the next instants of a five-field cron expression or nickname (@daily), in UTC, one a line.\v"
    "An expression that never fires prints nothing and exits 1; a wrong one exits 2 with the reason.\n\n"
    "  perigee cron \"30 8 * * mon-fri\" --tz Europe/Berlin --count 3",
    options, 1, 1};

static int print_instants(struct peri_cli *cli, const struct peri_cron *cron, const struct peri_tz *tz,
    enum peri_dst dst, int64_t after, long long count)
{
    struct peri_value *list = peri_value_list();
    char text[PERI_TIME_TEXT];
    enum peri_status st = PERI_OK;
    for (long long i = 0; list && st == PERI_OK && i < count; i++) {
        st = peri_cron_next(cron, tz, dst, after, &after);
        if (st == PERI_OK)
            st = peri_list_push(list, peri_value_str(peri_time_format(after, text)));
        /* Cron has no finer grain than seconds: fractions would only be noise. */
        if (st == PERI_OK && !cli->json)
            printf("%.19sZ\n", text);
    }
    if (cli->json)
        peri_print_json(list);
    size_t n = peri_value_count(list);
    peri_value_unref(list);
    if (n == 0 && !cli->json)
        fprintf(stderr, "perigee: this expression never fires\n");
    return n ? PERI_EXIT_OK : PERI_EXIT_NO;
}

int peri_cmd_cron(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_cron cron;
    struct peri_tz *tz;
    struct peri_error err;
    struct peri_tz_source source = peri_tz_files();
    struct peri_clock clock = peri_clock_system();
    enum peri_dst dst = PERI_DST_ONCE;
    int64_t after = peri_clock_wall_ms(&clock);
    long long count;
    int column = 1;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (!peri_cli_number(cli, "--count", args.value[COUNT], 1, 100000, 5, &count))
        return PERI_EXIT_USAGE;
    if (args.value[AFTER] && !peri_time_parse(args.value[AFTER], strlen(args.value[AFTER]), &after))
        return peri_cli_usage(cli, "cron", "--after takes an RFC 3339 time such as 2026-01-02T03:04:05Z");
    if (args.value[DST] && !peri_dst_parse(args.value[DST], &dst))
        return peri_cli_usage(cli, "cron", "--dst takes once, skip or both");
    if (peri_cron_parse(args.words[0], &cron, &column, &err))
        return peri_cli_fail(cli, PERI_EXIT_USAGE, "column %d: %s", column, err.message);
    if (peri_tz_load(&source, args.value[ZONE] ? args.value[ZONE] : "UTC", &tz, &err))
        return peri_cli_fail(cli, PERI_EXIT_USAGE, "%s", err.message);
    int code = print_instants(cli, &cron, tz, dst, after, count);
    peri_tz_destroy(tz);
    return code;
}
