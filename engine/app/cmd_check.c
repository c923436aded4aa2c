/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "app/commands.h"
#include "app/rulebook.h"
#include "app/workbench.h"

static const struct peri_usage_text usage = {"[PATH...]",
    "Validates the configuration, plugin manifests, Lua syntax and rules in one pass, and prints every finding with "
    "its place. "
    "PATH is a rule file or a folder of them; without one the configured rule folders are read.\v"
    "Exit code 1 when there is an error. With --json, one finding a line: {file, line, column, severity, code, "
    "message, hint}.",
    NULL, 0, PERI_ARGS_MAX - 1};

int peri_cmd_check(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_workbench bench = {0};
    struct peri_error err;
    struct peri_diag diag;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    peri_diag_init(&diag);
    if (peri_workbench_open(&bench, cli, &diag, &err))
        return peri_cli_fail_error(cli, &err);
    args.words[args.count] = NULL;
    struct peri_rulebook *book = peri_rulebook_create(args.count ? args.words : (const char *const *)cli->config.rules);
    enum peri_status st = book ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; i < args.count; i++) {
        FILE *f = fopen(args.words[i], "re");
        if (!f)
            peri_diag_add(&diag, (struct peri_place){args.words[i], 0, 0}, PERI_SEV_ERROR, "no-file", NULL,
                "cannot read this file or folder");
        else
            fclose(f);
    }
    if (st == PERI_OK)
        st = peri_rulebook_load(book, &bench.env, &diag);
    size_t rules = book ? peri_rulebook_rules(book)->count : 0, files = book ? peri_rulebook_files(book) : 0;
    peri_rulebook_destroy(book);
    peri_workbench_close(&bench);
    peri_print_findings(cli, &diag, true);
    size_t errors = diag.errors, others = diag.count - (diag.errors < diag.count ? diag.errors : diag.count);
    peri_diag_finish(&diag);
    if (st)
        return peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    if (!cli->json)
        fprintf(stderr, "%zu rule%s in %zu file%s: %zu error%s, %zu warning%s\n", rules, &"s"[rules == 1], files,
            &"s"[files == 1], errors, &"s"[errors == 1], others, &"s"[others == 1]);
    return errors ? PERI_EXIT_NO : PERI_EXIT_OK;
}
