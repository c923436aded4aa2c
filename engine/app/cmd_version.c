/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "plugin/host.h"

static const struct peri_usage_text usage = {
    "", "Prints the version of perigee and of the libraries it was built with (of Lua the one that runs).", NULL, 0, 0};

/* "lua 5.4.4,sqlite3 3.40.1,...": from the build (cmake/dependencies.cmake). */
static const char linked[] = PERIGEE_LINKED;

int peri_cmd_version(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    struct peri_value *doc = peri_value_map();
    if (!doc || peri_map_put_text(doc, "perigee", PERIGEE_VERSION))
        return PERI_EXIT_INTERNAL;
    for (const char *p = linked; *p;) {
        size_t n = strcspn(p, ","), name = strcspn(p, " ");
        if (name < n && peri_map_putn(doc, p, name, peri_value_strn(p + name + 1, n - name - 1)))
            break;
        p += n + (p[n] == ',');
    }
    char lua[16];
    bool backstop;
    (void)!peri_map_put_text(doc, "lua", peri_host_lua(lua, &backstop)); /* the library may be newer than the build */
    (void)!peri_map_put_text(doc, "lua_guards", "active");
    if (cli->json)
        peri_print_json(doc);
    else
        peri_print_record(doc);
    peri_value_unref(doc);
    return PERI_EXIT_OK;
}
