/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/resource.h>

#include "app/commands.h"
#include "app/service.h"

static const struct peri_usage_text usage = {"",
    "The service. It stays in the foreground, logs to standard error, and is ready when rules and plugins are loaded "
    "(GET /readyz, sd_notify). SIGTERM drains and stops, SIGHUP reads the rules again.\v"
    "Without any configuration it keeps its state under $STATE_DIRECTORY or $XDG_STATE_HOME/perigee, listens on "
    "127.0.0.1:8420, and puts messages that no configured channel takes into the outbox (`perigee outbox').",
    NULL, 0, 0};

int peri_cmd_run(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    /* A core file would hold the secrets in memory. */
    (void)!setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    struct peri_service_options options = {&cli->config, cli->approve_all};
    return peri_service_run(&options);
}
