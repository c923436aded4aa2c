/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "app/commands.h"
#include "io/store_backup.h"

static const struct peri_usage_text usage = {"FILE",
    "Writes a copy of the database to FILE, with or without a running service. The copy is one state of the database; "
    "it is checked before it gets its name. An older copy of that name is replaced.",
    NULL, 1, 1};

/* Signals have no argument. */
static volatile sig_atomic_t interrupted;

static void interrupt(int signo)
{
    interrupted = 1;
}

void peri_cli_copy_begin(void)
{
    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
}

bool peri_cli_copy_progress(void *ctx, const char *what, int64_t done, int64_t total)
{
    if (isatty(STDERR_FILENO)) {
        if (total > 0)
            fprintf(stderr, "\r%s %3d %%\x1b[K", what, (int)(done * 100 / total));
        else if (done > 0)
            fprintf(stderr, "\r%s %" PRId64 "\x1b[K", what, done);
        else
            fprintf(stderr, "\r%s\x1b[K", what);
        fflush(stderr);
    }
    return !interrupted;
}

void peri_cli_copy_end(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\x1b[K", stderr);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

int peri_cmd_backup(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_value *v = NULL;
    struct peri_error err;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    struct peri_copy_options options = {
        .from = cli->config.database, .to = args.words[0], .progress = peri_cli_copy_progress};
    peri_cli_copy_begin();
    enum peri_status st = peri_store_backup(&options, &v, &err);
    peri_cli_copy_end();
    if (st)
        return peri_cli_fail_error(cli, &err);
    if (cli->json)
        peri_print_json(v);
    else
        printf("%s: %lld KiB, %lld events, %lld runs, %lld entities\n", args.words[0],
            (long long)(peri_map_int(v, "bytes", 0) >> 10), (long long)peri_map_int(v, "events", 0),
            (long long)peri_map_int(v, "runs", 0), (long long)peri_map_int(v, "entities", 0));
    peri_value_unref(v);
    return PERI_EXIT_OK;
}
