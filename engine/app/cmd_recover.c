/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/paths.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "io/store_backup.h"

enum { OUTPUT, REPLACE };

static const struct argp_option options[] = {
    {"output", PERI_OPTION(OUTPUT), "FILE", 0, "where to write it (default: the database's name with .recovered)", 0},
    {"replace", PERI_OPTION(REPLACE), 0, 0,
        "put it in the place of the damaged database, which is kept beside it under another name", 0},
    {0},
};
static const struct peri_usage_text usage = {"[FILE|DIR]",
    "Saves what can be saved of a damaged database (FILE, or the one in the state folder DIR) into a new one, row by "
    "row, "
    "and says for each table how many rows were saved and lost. The damaged one is not changed. Runs that had not "
    "ended "
    "are paused in the new one: `perigee runs resume' lets them go on. Exit code 1 when something was lost.",
    options, 0, 1};

static const struct peri_column columns[] = {
    {"table", "TABLE", 0}, {"saved", "SAVED", 0}, {"lost", "LOST (AT MOST)", 0}, {0}};

static char *database_of(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode) ? peri_path_join(path, "perigee.db") : peri_strdup(path);
}

/* "<database>.damaged-20260102T030405Z" */
static char *aside_name(const char *database)
{
    struct peri_clock clock = peri_clock_system();
    char text[PERI_TIME_TEXT], stamp[32];
    size_t n = 0;
    peri_time_format(peri_clock_wall_ms(&clock), text);
    for (const char *p = text; *p && *p != '.' && n < sizeof(stamp) - 2; p++)
        if (*p != '-' && *p != ':')
            stamp[n++] = *p;
    stamp[n] = '\0';
    return peri_asprintf("%s.damaged-%sZ", database, stamp);
}

static void print_result(struct peri_cli *cli, struct peri_value *v, const char *database, const char *aside)
{
    const char *file = peri_map_text(v, "file");
    if (cli->json) {
        peri_print_json(v);
        return;
    }
    struct peri_value *tables = peri_map_at(v, "tables");
    for (size_t i = 0; i < peri_value_count(tables); i++)
        if (!peri_map_at(peri_list_at(tables, i), "lost"))
            (void)!peri_map_put_text(peri_list_at(tables, i), "lost", "some");
    peri_print_table(tables, columns, "no tables");
    if (peri_map_int(v, "paused", 0) > 0)
        printf("\n%lld runs that had not ended are paused: look at `perigee runs list --state paused', let them go on "
               "with\n"
               "`perigee runs resume' when the service runs.\n",
            (long long)peri_map_int(v, "paused", 0));
    if (aside)
        printf("\n%s is the recovered database now; the damaged one is %s\n", database, aside);
    else
        printf("\nwritten to %s. To use it: stop the service and run this command again with --replace.\n", file);
}

static void print_finished(struct peri_cli *cli, const char *database)
{
    struct peri_value *v = peri_value_map();
    if (!cli->json)
        printf("an earlier call was stopped halfway: %s is the recovered database now\n", database);
    else if (v && !peri_map_put_text(v, "file", database) && !peri_map_put_bool(v, "finished", true))
        peri_print_json(v);
    peri_value_unref(v);
}

static int recover(struct peri_cli *cli, const struct peri_args *args, const char *database)
{
    struct peri_error err;
    struct peri_value *v = NULL;
    int lock = -1, code = PERI_EXIT_OK;
    bool replace = args->value[REPLACE] != NULL, finished = false;
    char *aside = replace ? aside_name(database) : NULL;
    char *to = args->value[OUTPUT] ? peri_strdup(args->value[OUTPUT]) : peri_asprintf("%s.recovered", database);
    struct peri_copy_options copy = {.from = database, .to = to, .progress = peri_cli_copy_progress};
    enum peri_status st = to && (aside || !replace) ? PERI_OK : peri_error_nomem(&err);
    if (!st && replace)
        st = peri_store_hold(database, &lock, &err);
    if (!st && replace)
        st = peri_store_finish_replacing(database, to, &finished, &err);
    if (finished) {
        print_finished(cli, database);
        goto out;
    }
    if (!st) {
        if (replace && !args->value[OUTPUT])
            unlink(to); /* of an earlier try */
        peri_cli_copy_begin();
        st = peri_store_recover(&copy, &v, &err);
        peri_cli_copy_end();
    }
    if (!st && replace)
        st = peri_store_replace(database, to, aside, &err);
    if (!st && replace && (peri_map_put_text(v, "file", database) || peri_map_put_text(v, "damaged", aside)))
        st = peri_error_nomem(&err);
    if (st) {
        if (st == PERI_ECORRUPT)
            peri_error_prefix(&err, "not even the table of contents can be read, only a backup can help");
        code = peri_cli_fail_error(cli, &err);
    } else {
        code = peri_map_at(v, "lost") && peri_map_int(v, "lost", 0) == 0 ? PERI_EXIT_OK : PERI_EXIT_NO;
        print_result(cli, v, database, aside);
    }
out:
    if (lock >= 0)
        close(lock);
    peri_value_unref(v);
    free(to);
    free(aside);
    return code;
}

int peri_cmd_recover(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (!args.count && !peri_cli_config(cli))
        return PERI_EXIT_NO;
    if (args.value[OUTPUT] && args.value[REPLACE])
        return peri_cli_usage(cli, "recover", "--output and --replace do not go together");
    char *database = database_of(args.count ? args.words[0] : cli->config.database);
    int code = database ? recover(cli, &args, database) : PERI_EXIT_INTERNAL;
    free(database);
    return code;
}
