/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "app/commands.h"
#include "app/paths.h"
#include "app/privacy.h"
#include "app/run_view.h"
#include "app/why_again.h"
#include "app/why_door.h"
#include "app/why_hint.h"
#include "app/why_silent.h"
#include "base/str.h"
#include "io/store_events.h"
#include "io/store_runs.h"
#include "run/verdicts_read.h"

enum { EVENT, AGAIN };

static const struct argp_option options[] = {
    {"event", PERI_OPTION(EVENT), "ID|FILE", 0,
        "the event in question (default: the newest one with a verdict for the rule); or a file of events, one JSON "
        "object a line ({type, data, time?, source?}; - is standard input), which the rule is asked about as it is now",
        0},
    {"again", PERI_OPTION(AGAIN), 0, 0,
        "with the id of a stored event: not what was decided then, but what the rule as it is now says to it", 0},
    {0},
};
static const struct peri_usage_text usage = {"RULE",
    "Says why RULE did or did not run for an event: fired, or the first thing that stood in the way with the actual "
    "values. "
    "Exit code 1 when it did not fire or there is no verdict.\v"
    "An event of a file, and --again, have no effect; no service is needed, and throttles and runs of other events are "
    "not in the way.",
    options, 1, 1};

#define LOOK_BACK 1000

static const struct peri_value *verdict_of(const struct peri_value *verdicts, const char *rule)
{
    for (size_t i = 0; i < peri_value_count(verdicts); i++)
        if (peri_streq(peri_map_text(peri_list_at(verdicts, i), "rule"), rule))
            return peri_list_at(verdicts, i);
    return NULL;
}

/* What holds its run back now, beside the verdict that made it: {state, until?, waiting}. Before anything is hidden. */
static void put_now(struct peri_reader *reader, struct peri_value *verdicts, const char *rule)
{
    struct peri_value *verdict = NULL, *run = NULL, *now = NULL;
    struct peri_error ignored;
    uint64_t id;
    for (size_t i = 0; i < peri_value_count(verdicts) && !verdict; i++)
        if (peri_streq(peri_map_text(peri_list_at(verdicts, i), "rule"), rule))
            verdict = peri_list_at(verdicts, i);
    const char *text = peri_map_text(verdict, "run");
    if (!text || !peri_run_id_parse(text, &id) || peri_reader_run(reader, id, &run, &ignored))
        return;
    struct peri_value *waiting = peri_map_at(run, "waiting");
    bool tells = waiting && (now = peri_value_map()) != NULL;
    if (tells && !peri_map_put_text(now, "state", peri_map_text(run, "state")) &&
        !peri_map_put_text(now, "until", peri_map_text(run, "wake")) && !peri_map_put_ref(now, "waiting", waiting))
        (void)!peri_map_put_ref(verdict, "now", now);
    peri_value_unref(now);
    peri_value_unref(run);
}

static int print(
    struct peri_cli *cli, const char *event, const struct peri_value *verdict, const struct peri_value *data)
{
    char hint[600];
    bool hinted = peri_why_hint(verdict, data, hint, sizeof(hint));
    char id[PERI_ID_TEXT];
    uint64_t seq;
    if (cli->json) {
        struct peri_value *copy = peri_value_copy(verdict);
        bool stored = peri_event_id_parse(event, &seq);
        if (copy && peri_map_put_text(copy, "event", stored ? peri_event_id(seq, id) : event) == PERI_OK &&
            (!hinted || peri_map_put_text(copy, "hint", hint) == PERI_OK))
            peri_print_json(copy);
        peri_value_unref(copy);
    } else {
        printf("%s  ", event);
        peri_print_verdict(verdict);
        if (hinted) {
            printf("    = ");
            peri_print_line(hint);
        }
    }
    return peri_streq(peri_map_text(verdict, "verdict"), "fired") ? PERI_EXIT_OK : PERI_EXIT_NO;
}

static int print_stored(
    struct peri_cli *cli, struct peri_reader *reader, const char *id, uint64_t seq, const struct peri_value *verdict)
{
    struct peri_value *event = NULL;
    (void)!peri_reader_event_value(reader, seq, &event, NULL);
    int code = print(cli, id, verdict, peri_map_at(event, "data"));
    peri_value_unref(event);
    return code;
}

static int explain(struct peri_cli *cli, struct peri_reader *reader, const char *rule, const char *event)
{
    struct peri_value *verdicts = NULL, *events = NULL;
    struct peri_error err;
    uint64_t seq;
    enum peri_status st = PERI_OK;
    if (event) {
        (void)peri_event_id_parse(event, &seq);
        st = peri_verdicts_read(reader, seq, rule, &verdicts, &err);
        if (!st)
            put_now(reader, verdicts, rule);
        if (!st)
            st = peri_cli_hide(cli, reader, seq, &verdicts, &err);
        const struct peri_value *v = verdict_of(verdicts, rule);
        int code = st  ? peri_cli_fail_error(cli, &err)
                   : v ? print_stored(cli, reader, event, seq, v)
                       : peri_why_silent(cli, reader, rule, event);
        peri_value_unref(verdicts);
        return code;
    }
    struct peri_event_filter filter = {.limit = LOOK_BACK};
    st = peri_reader_events(reader, &filter, &events, &err);
    int code = st ? peri_cli_fail_error(cli, &err) : -1;
    for (size_t i = 0; code < 0 && i < peri_value_count(events); i++) {
        const char *id = peri_map_text(peri_list_at(events, i), "id");
        if (!peri_event_id_parse(id, &seq) || peri_verdicts_read(reader, seq, rule, &verdicts, &err))
            continue;
        const struct peri_value *v = NULL;
        put_now(reader, verdicts, rule);
        if (verdict_of(verdicts, rule) && peri_cli_hide(cli, reader, seq, &verdicts, &err))
            code = peri_cli_fail_error(cli, &err);
        else
            v = verdict_of(verdicts, rule);
        if (v)
            code = print_stored(cli, reader, id, seq, v);
        peri_value_unref(verdicts);
        verdicts = NULL;
    }
    peri_value_unref(events);
    if (code >= 0)
        return code;
    return peri_why_silent(cli, reader, rule, NULL);
}

int peri_cmd_why(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_reader *reader;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    const char *event = args.value[EVENT];
    uint64_t seq = 0;
    bool stored = event && peri_event_id_parse(event, &seq), file = event && !stored;
    if (file && !peri_streq(event, "-") && !peri_path_is_file(event))
        return peri_cli_usage(cli, "why", "\"%s\" is no event id (they look like ev-12), and no file", event);
    if (args.value[AGAIN] && !stored)
        return peri_cli_usage(cli, "why", "--again goes with --event ev-12");
    if ((file || args.value[AGAIN]) && !peri_cli_config(cli))
        return PERI_EXIT_NO;
    if (file)
        return peri_why_file(cli, args.words[0], event, print);
    if (args.value[AGAIN])
        return peri_why_stored(cli, args.words[0], seq, print);
    int code = peri_cli_reader(cli, &reader);
    if (code)
        return code;
    code = reader ? explain(cli, reader, args.words[0], args.value[EVENT])
                  : peri_cli_fail(cli, PERI_EXIT_NO, "there are no events yet");
    if (!event)
        peri_why_refused(cli, args.words[0]);
    peri_reader_close(reader);
    return code;
}
