/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_CLI_H
#define PERI_APP_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include "app/config.h"
#include "base/diag.h"
#include "data/value.h"

/* The command line. One command is one file cmd_<name>.c with one entry in commands.c. */

enum peri_exit {
    PERI_EXIT_OK = 0,
    PERI_EXIT_NO = 1,
    PERI_EXIT_USAGE = 2,
    PERI_EXIT_UNAVAILABLE = 69,
    PERI_EXIT_INTERNAL = 70
};

#define PERI_ARGS_MAX 256
#define PERI_OPTIONS_MAX 32
#define PERI_OPTION(n) (0x200 + (n)) /* key of a command's own n-th option */

/* What all commands share. */
struct peri_cli {
    bool json;
    bool colour_out, colour_err;
    const char *colour; /* always, never, auto */
    struct peri_config_flags flags;
    const char *rules[32], *plugins[32]; /* --rules, --plugins; NULL-ended */
    size_t rule_count, plugin_count;
    bool approve_all;
    bool show_personal, shown_told; /* told: to the audit trail */
    char command[200];              /* with its words, for the audit trail */
    bool config_loaded;
    struct peri_config config;
};

struct peri_args {
    const char *value[PERI_OPTIONS_MAX]; /* of option n: its argument, "" for one without; NULL when not given */
    const char *words[PERI_ARGS_MAX];    /* positional, without the program's and the command's name */
    size_t count;
};

/* What a command accepts: args_doc and doc as argp(3) wants them, its own options. */
struct peri_usage_text {
    const char *args_doc, *doc;
    const struct argp_option *options; /* may be NULL */
    size_t min_words, max_words;
};

struct peri_command {
    const char *group; /* heading of it and those behind it in the help; NULL: that of the one before */
    const char *name, *summary;
    int (*run)(struct peri_cli *cli, int argc, char **argv);
};
extern const struct peri_command peri_commands[]; /* ends with an empty entry */

int peri_main(int argc, char **argv);

/* Parses the command's words and options (and the common ones); ends the program on --help and on wrong usage (2). */
void peri_cli_parse(
    struct peri_cli *cli, int argc, char **argv, const struct peri_usage_text *usage, struct peri_args *args);
/* Reads the configuration once. False: findings were printed. */
bool peri_cli_config(struct peri_cli *cli);
/* "perigee: ..." on standard error; as {"error":{...}} on standard output too with --json. Returns code. */
int peri_cli_fail(struct peri_cli *cli, int code, const char *fmt, ...) PERI_PRINTF(3, 4);
int peri_cli_fail_error(struct peri_cli *cli, const struct peri_error *err);
/* Usage mistakes found by a command itself. */
int peri_cli_usage(struct peri_cli *cli, const char *command, const char *fmt, ...) PERI_PRINTF(3, 4);

/* --- output.c --- */

struct peri_column {
    const char *key; /* dotted path into the row */
    const char *title;
    int max_width; /* 0: any */
};
/* A plain table of a list of maps; columns end with an empty one. "none" in words when empty. */
void peri_print_table(const struct peri_value *rows, const struct peri_column *columns, const char *none);
/* One object a line. */
void peri_print_json_lines(const struct peri_value *list);
/* One document, indented on a terminal. */
void peri_print_json(const struct peri_value *v);
/* One line; what would steer a terminal becomes blanks. */
void peri_print_line(const char *text);
/* key: value lines of a map, nested values as JSON. */
void peri_print_record(const struct peri_value *map);
/* Either of the two by cli->json. */
void peri_print_list(
    struct peri_cli *cli, const struct peri_value *rows, const struct peri_column *columns, const char *none);

/* --- findings.c --- */

/* Findings as a compiler prints them: place, text, source line, caret; or JSON, one object a line. */
void peri_print_findings(struct peri_cli *cli, struct peri_diag *diag, bool to_stdout);
struct peri_value *peri_finding_value(const struct peri_finding *f);

#endif
