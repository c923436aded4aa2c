/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/lsp.h"

static const struct argp_option options[] = {
    {"stdio", PERI_OPTION(0), 0, 0, "speak over standard input and output: the default, and what editors say", 1},
    {0},
};

static const struct peri_usage_text usage = {"",
    "A language server for rule files: an editor starts it and shows findings while you type, completes keys, "
    "operators, "
    "parameters, event types and expressions, explains them, and leads to where they are defined.\v"
    "docs/authors.md shows how to set up editors.",
    options, 0, 0};

int peri_cmd_lsp(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_workbench bench = {0};
    struct peri_error err;
    struct peri_diag diag;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (isatty(STDIN_FILENO))
        return peri_cli_fail(cli, PERI_EXIT_USAGE, "an editor starts this, with messages on standard input");
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    peri_diag_init(&diag);
    enum peri_status st = peri_workbench_open(&bench, cli, &diag, &err);
    peri_print_findings(cli, &diag, false);
    peri_diag_finish(&diag);
    if (st)
        return peri_cli_fail_error(cli, &err);
    bool good = peri_lsp_serve(&bench, stdin, stdout);
    peri_workbench_close(&bench);
    return good ? PERI_EXIT_OK : PERI_EXIT_NO;
}
