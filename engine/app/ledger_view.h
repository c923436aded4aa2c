/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LEDGER_VIEW_H
#define PERI_APP_LEDGER_VIEW_H

#include "app/cli.h"
#include "io/store_ledger.h"

/* What `dead` and `errors` have in common: which option means what (-1: there is none), and how they settle. */
struct peri_ledger_options {
    int kind, op, rule, code, since, state, limit, after, all, note;
};

/* "2h" ago or an RFC 3339 time; 0 when text is NULL. False after a message. */
bool peri_ledger_since(struct peri_cli *cli, const char *text, int64_t *ret_ms);
/* An exit code. */
int peri_ledger_filter_read(struct peri_cli *cli, const char *command, const struct peri_args *args,
    const struct peri_ledger_options *places, struct peri_ledger_filter *ret);
int peri_ledger_body(struct peri_cli *cli, const char *command, const struct peri_args *args,
    const struct peri_ledger_options *places, struct peri_value **ret);
/* POST /v1/<command>/<id>/<verb>, or for all that the options say without an id; prints what came of it. */
int peri_ledger_change(struct peri_cli *cli, const char *command, const char *id, const char *verb,
    const struct peri_args *args, const struct peri_ledger_options *places);

#endif
