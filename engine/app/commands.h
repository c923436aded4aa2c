/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_COMMANDS_H
#define PERI_APP_COMMANDS_H

#include "app/cli.h"
#include "io/store.h"

/* One function for each cmd_<name>.c. */
int peri_cmd_run(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_check(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_emit(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_events(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_rules(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_blueprints(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_runs(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_why(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_lsp(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_match(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_test(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_diff(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_eval(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_cron(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_operators(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_plugins(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_data(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_mappings(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_outbox(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_tasks(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_dead(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_errors(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_secrets(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_accounts(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_backup(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_recover(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_doctor(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_top(struct peri_cli *cli, int argc, char **argv);
int peri_cmd_version(struct peri_cli *cli, int argc, char **argv);

/* For peri_copy_options: percentages on a terminal, nothing elsewhere; gives up when interrupted. begin before, end
 * after. */
void peri_cli_copy_begin(void);
bool peri_cli_copy_progress(void *ctx, const char *what, int64_t done, int64_t total);
void peri_cli_copy_end(void);

/* A verb of a command: `events list`. */
struct peri_verb {
    const char *name;
    int (*run)(struct peri_cli *cli, const struct peri_args *args);
    size_t min_words, max_words; /* after the verb */
    const char *words;           /* "ID", for the message */
};
/* Runs the verb that args->words[0] names (verbs[0] when there is none). verbs end with an empty entry. */
int peri_cli_verb(
    struct peri_cli *cli, const char *command, const struct peri_verb *verbs, const struct peri_args *args);

/* The state folder's database, read-only, service or not. *ret is NULL when there is none yet. Returns an exit code. */
int peri_cli_reader(struct peri_cli *cli, struct peri_reader **ret);
/* `show ID` of what the store keeps under a number: noun is what one is called in messages. print: for people; NULL: as
 * a record. Returns an exit code. */
typedef enum peri_status (*peri_cli_read_fn)(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err);
int peri_cli_show(struct peri_cli *cli, const char *noun, const char *word, uint64_t id, peri_cli_read_fn read,
    void (*print)(const struct peri_value *v));
/* `list`: the rows that read gives (none when there is no database yet), as a table or as JSON; none: what is said when
 * there are no rows. Returns an exit code. */
typedef enum peri_status (*peri_cli_rows_fn)(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err);
int peri_cli_list(struct peri_cli *cli, peri_cli_rows_fn read, const void *filter, const struct peri_column *columns,
    const char *none);
/* --limit and the like: a whole number between low and high; false after a message. */
bool peri_cli_number(struct peri_cli *cli, const char *option, const char *text, long long low, long long high,
    long long fallback, long long *ret);
/* One line without echo from a terminal, where `what` is asked for; the whole of a pipe, less one line end. The caller
 * gives it back with peri_secret_free. */
enum peri_status peri_cli_read_hidden(
    const char *what, char **ret, size_t *ret_len, struct peri_error *err) PERI_MUST_CHECK;
/* Reads JSON given on the command line: text, @FILE or - for standard input. */
enum peri_status peri_cli_json(
    const char *what, const char *text, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

/* A change that the running service makes (method, path, body), or, when none runs, that fn makes in the store
 * directly. Prints what came of it. Returns an exit code. */
int peri_cli_change(struct peri_cli *cli, const char *method, const char *path, const struct peri_value *body,
    peri_store_fn fn, void *arg, struct peri_value **ret_answer);

#endif
