/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/paths.h"
#include "base/str.h"
#include "io/secrets.h"

static const struct peri_usage_text usage = {"list | set NAME | remove NAME",
    "Secret values for `!secret NAME' in perigee.yaml. `set' reads the value from standard input (hidden on a "
    "terminal), never from the "
    "command line. Values are kept in the state folder, readable by its owner only, and are never printed.",
    NULL, 0, 2};

static int open_secrets(struct peri_cli *cli, struct peri_secrets **ret)
{
    struct peri_error err;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    return peri_secrets_open(cli->config.state_dir, ret, &err) ? peri_cli_fail_error(cli, &err) : PERI_EXIT_OK;
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_secrets *secrets;
    struct peri_error err;
    char **names;
    int code = open_secrets(cli, &secrets);
    if (code)
        return code;
    if (peri_secrets_names(secrets, &names, &err)) {
        code = peri_cli_fail_error(cli, &err);
    } else {
        for (size_t i = 0; names[i]; i++)
            printf(cli->json ? "{\"name\":\"%s\"}\n" : "%s\n", names[i]);
        peri_secrets_free_names(names);
    }
    peri_secrets_destroy(secrets);
    return code;
}

static int set(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_secrets *secrets;
    struct peri_error err;
    char *value = NULL;
    size_t len = 0;
    int code = open_secrets(cli, &secrets);
    if (code)
        return code;
    enum peri_status st = peri_cli_read_hidden("value", &value, &len, &err);
    if (st == PERI_OK)
        st = peri_path_make(cli->config.state_dir, &err);
    if (st == PERI_OK)
        st = peri_secrets_set(secrets, args->words[0], value, len, &err);
    if (value)
        peri_secret_free(value, len);
    peri_secrets_destroy(secrets);
    if (st)
        return peri_cli_fail_error(cli, &err);
    if (!cli->json)
        fprintf(stderr, "stored\n");
    return PERI_EXIT_OK;
}

static int remove_secret(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_secrets *secrets;
    struct peri_error err;
    int code = open_secrets(cli, &secrets);
    if (code)
        return code;
    if (peri_secrets_remove(secrets, args->words[0], &err))
        code = peri_cli_fail_error(cli, &err);
    peri_secrets_destroy(secrets);
    return code;
}

int peri_cmd_secrets(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {
        {"list", list, 0, 0, ""}, {"set", set, 1, 1, "NAME"}, {"remove", remove_secret, 1, 1, "NAME"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "secrets", verbs, &args);
}
