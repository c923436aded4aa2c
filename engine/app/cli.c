/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

enum { OPT_JSON = 0x100, OPT_CONFIG, OPT_COLOUR, OPT_RULES, OPT_PLUGINS, OPT_APPROVE, OPT_STATE, OPT_PERSONAL };

static const struct argp_option common_options[] = {
    {"json", OPT_JSON, 0, 0, "machine-readable output: one document, or one object a line", 90},
    {"config", OPT_CONFIG, "FILE", 0,
        "the configuration file (else $PERIGEE_CONFIG, then perigee.yaml of the configuration folder)", 90},
    {"state-dir", OPT_STATE, "DIR", 0, "the state folder (else state_dir of the configuration)", 90},
    {"rules", OPT_RULES, "DIR", 0, "rule folder or file instead of the configured ones; may be repeated", 90},
    {"plugins", OPT_PLUGINS, "DIR", 0, "adds a plugin folder; may be repeated", 90},
    {"approve-all", OPT_APPROVE, 0, 0, "grant what plugin manifests ask for (development and tests only)", 90},
    {"show-personal", OPT_PERSONAL, 0, 0, "show personal data where it would be hidden; the audit trail tells of it",
        90},
    {"color", OPT_COLOUR, "WHEN", 0, "always, never or auto", 90},
    {0},
};

struct parse_state {
    struct peri_cli *cli;
    struct peri_args *args;
    const struct peri_usage_text *usage;
};

static void add_folder(struct argp_state *state, const char **list, size_t *count, const char *arg)
{
    if (*count + 1 >= 32)
        argp_error(state, "too many folders");
    else
        list[(*count)++] = arg;
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    struct peri_cli *cli = ((struct parse_state *)state->input)->cli;
    switch (key) {
    case OPT_JSON:
        cli->json = true;
        break;
    case OPT_CONFIG:
        cli->flags.config = arg;
        break;
    case OPT_STATE:
        cli->flags.state_dir = arg;
        break;
    case OPT_RULES:
        add_folder(state, cli->rules, &cli->rule_count, arg);
        break;
    case OPT_PLUGINS:
        add_folder(state, cli->plugins, &cli->plugin_count, arg);
        break;
    case OPT_APPROVE:
        cli->approve_all = true;
        break;
    case OPT_PERSONAL:
        cli->show_personal = true;
        break;
    case OPT_COLOUR:
        if (!peri_streq(arg, "always") && !peri_streq(arg, "never") && !peri_streq(arg, "auto"))
            argp_error(state, "--color takes always, never or auto");
        cli->colour = arg;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const char *name_of(const struct peri_usage_text *usage, int key)
{
    const struct argp_option *o = usage->options;
    while (o->key != key)
        o++;
    return o->name;
}

static error_t parse_own(int key, char *arg, struct argp_state *state)
{
    struct parse_state *p = state->input;
    struct peri_args *args = p->args;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = p;
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        if (args->count >= p->usage->max_words)
            argp_error(state, "unexpected argument \"%s\"", arg);
        args->words[args->count++] = arg;
        return 0;
    }
    if (key == ARGP_KEY_END) {
        if (args->count < p->usage->min_words)
            argp_error(state, "too few arguments");
        return 0;
    }
    if (key < PERI_OPTION(0) || key >= PERI_OPTION(PERI_OPTIONS_MAX))
        return ARGP_ERR_UNKNOWN;
    if (args->value[key - PERI_OPTION(0)] && arg) /* the first would be lost */
        argp_error(state, "--%s is given twice", name_of(p->usage, key));
    args->value[key - PERI_OPTION(0)] = arg ? arg : "";
    return 0;
}

static bool use_colour(const char *when, int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (peri_streq(when, "always"))
        return true;
    if (peri_streq(when, "never") || (no && *no))
        return false;
    return isatty(fd) && !peri_streq(term, "dumb");
}

void peri_cli_parse(
    struct peri_cli *cli, int argc, char **argv, const struct peri_usage_text *usage, struct peri_args *args)
{
    const struct argp common = {.options = common_options, .parser = parse_common};
    const struct argp_child children[] = {{&common, 0, "Common options:", 90}, {0}};
    const struct argp argp = {usage->options, parse_own, usage->args_doc, usage->doc, children, NULL, NULL};
    struct parse_state state = {cli, args, usage};
    char name[128];
    snprintf(name, sizeof(name), "perigee %s", argv[0]);
    snprintf(cli->command, sizeof(cli->command), "%s", argv[0]);
    argv[0] = name;
    memset(args, 0, sizeof(*args));
    argp_parse(&argp, argc, argv, 0, NULL, &state);
    for (size_t i = 0, n = strlen(cli->command); i < args->count && n < sizeof(cli->command); i++)
        n += (size_t)snprintf(cli->command + n, sizeof(cli->command) - n, " %s", args->words[i]);
    argv[0] = NULL;
    cli->rules[cli->rule_count] = NULL;
    cli->plugins[cli->plugin_count] = NULL;
    cli->flags.rules = cli->rules;
    cli->flags.plugins = cli->plugins;
    cli->colour_out = use_colour(cli->colour, STDOUT_FILENO);
    cli->colour_err = use_colour(cli->colour, STDERR_FILENO);
}

/* Lines may end in it, but nothing steers the terminal: it may quote what a plugin or a sender wrote. */
static void put_error(const char *text)
{
    char *copy = peri_strdup(text), *rest = copy;
    fputs("perigee: ", stderr);
    for (char *line; copy && (line = strsep(&rest, "\n"));) {
        peri_text_make_plain(line);
        fprintf(stderr, "%s\n", line);
    }
    if (!copy)
        fputs("out of memory\n", stderr);
    free(copy);
}

bool peri_cli_config(struct peri_cli *cli)
{
    if (cli->config_loaded)
        return true;
    struct peri_diag diag;
    peri_diag_init(&diag);
    cli->config_loaded = peri_config_load(&cli->flags, &cli->config, &diag) == PERI_OK;
    if (!cli->config_loaded && diag.count > 0)
        peri_print_findings(cli, &diag, cli->json);
    else if (!cli->config_loaded)
        put_error("the configuration could not be read: out of memory");
    peri_diag_finish(&diag);
    return cli->config_loaded;
}

static void print_json_error(const char *code, const char *message, bool retryable)
{
    struct peri_value *doc = peri_value_map(), *error = peri_value_map();
    if (doc && error && peri_map_put_bool(doc, "ok", false) == PERI_OK &&
        peri_map_put_text(error, "code", code) == PERI_OK && peri_map_put_text(error, "message", message) == PERI_OK &&
        peri_map_put_bool(error, "retryable", retryable) == PERI_OK && peri_map_put_ref(doc, "error", error) == PERI_OK)
        peri_print_json(doc);
    peri_value_unref(error);
    peri_value_unref(doc);
}

int peri_cli_fail(struct peri_cli *cli, int code, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    put_error(text);
    if (cli->json)
        print_json_error(code == PERI_EXIT_UNAVAILABLE ? "unavailable" : "failed", text, code == PERI_EXIT_UNAVAILABLE);
    return code;
}

int peri_cli_fail_error(struct peri_cli *cli, const struct peri_error *err)
{
    put_error(err->message);
    if (cli->json)
        print_json_error(err->code, err->message, err->retryable);
    return err->status == PERI_EINTERNAL || err->status == PERI_ENOMEM ? PERI_EXIT_INTERNAL : PERI_EXIT_NO;
}

int peri_cli_usage(struct peri_cli *cli, const char *command, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "perigee %s: ", command);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry `perigee %s --help'.\n", command);
    return PERI_EXIT_USAGE;
}

static int print_help(FILE *out)
{
    fputs("Usage: perigee COMMAND [ARGUMENT...]\n\nA rules engine and automation service: events in, YAML rules, "
          "actions out.\n",
        out);
    for (const struct peri_command *c = peri_commands; c->name; c++) {
        if (c->group)
            fprintf(out, "\n%s:\n", c->group);
        fprintf(out, "  %-10s %s\n", c->name, c->summary);
    }
    fputs("\nTo begin: `perigee run' in one terminal, `perigee emit demo.Hello '{\"name\": \"Ada\"}' --wait' in "
          "another;\n"
          "README.md goes on from there.\n"
          "`perigee COMMAND --help' explains each command; all take --json and --config FILE.\n"
          "Exit codes: 0 done; 1 no, or findings; 2 wrong usage; 69 the service is not reachable; 70 internal error.\n",
        out);
    return PERI_EXIT_OK;
}

static int unknown_command(const char *word)
{
    const char *names[64];
    size_t n = 0;
    for (const struct peri_command *c = peri_commands; c->name && n < 63; c++)
        names[n++] = c->name;
    names[n] = NULL;
    const char *near = peri_nearest(word, names);
    fprintf(stderr, "perigee: there is no command \"%s\"", word);
    if (near)
        fprintf(stderr, " (did you mean \"%s\"?)", near);
    fputs("\nTry `perigee --help'.\n", stderr);
    return PERI_EXIT_USAGE;
}

static int finish_output(int code)
{
    bool lost = fflush(stdout) == EOF;
    int why = errno;
    lost = ferror(stdout) || lost;
    struct pollfd out = {.fd = STDOUT_FILENO};
    /* A reader that went away (head, a closed pager) is no error of ours; a full disk is. */
    if (!lost || (poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP))))
        return code;
    fprintf(stderr, "perigee: the output could not be written: %s\n", strerror(why));
    return code == PERI_EXIT_OK ? PERI_EXIT_INTERNAL : code;
}

int peri_main(int argc, char **argv)
{
    /* Numbers and sorting stay plain whatever the locale: only character widths follow it. */
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    argp_err_exit_status = PERI_EXIT_USAGE;
    if (argc < 2)
        return print_help(stderr), PERI_EXIT_USAGE;
    if (peri_streq(argv[1], "--help") || peri_streq(argv[1], "-h") || (peri_streq(argv[1], "help") && argc == 2))
        return print_help(stdout);
    const char *word = peri_streq(argv[1], "--version") ? "version" : argv[1];
    char flag[] = "--help";
    char *help[] = {argv[0], argv[argc - 1], flag, NULL};
    if (peri_streq(word, "help")) { /* `perigee help run' is `perigee run --help' */
        word = argv[2];
        argc = 3;
        argv = help;
    }
    for (const struct peri_command *c = peri_commands; c->name; c++) {
        if (!peri_streq(c->name, word))
            continue;
        struct peri_cli cli = {.colour = "auto"};
        int code = c->run(&cli, argc - 1, argv + 1);
        if (cli.config_loaded)
            peri_config_finish(&cli.config);
        if (code == PERI_EXIT_INTERNAL)
            fputs("perigee: it could not be done (out of memory, or an internal error)\n", stderr);
        return finish_output(code);
    }
    return unknown_command(word);
}
