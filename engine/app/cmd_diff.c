/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/backtest.h"
#include "app/commands.h"
#include "app/event_file.h"
#include "app/paths.h"
#include "app/privacy.h"
#include "app/progress.h"
#include "app/rulebook.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/duration.h"

enum { SINCE, EVENTS };

static const struct argp_option options[] = {
    {"since", PERI_OPTION(SINCE), "DURATION", 0, "how far back the journal is taken: 7d (the default), 12h, 4w", 0},
    {"events", PERI_OPTION(EVENTS), "FILE", 0,
        "events of a file instead of the journal: one JSON object a line, {type, data, time?, source?, subject?, id?}, "
        "as `events list --json' prints them; - is standard input",
        0},
    {0},
};
static const struct peri_usage_text usage = {"RULES_DIR",
    "Sends stored events through the rules of the configuration and through those of RULES_DIR (a folder or a file), "
    "and prints the runs that would be gained (+), lost (-) and changed (~), with the parameters of their actions and "
    "the verdict of the other side. The clock is that of the events. Nothing has an effect: actions are answered with "
    "what was recorded for them (else they are assumed to work, which is told), conditions see the data as of each "
    "event, the network is not there. The service is not needed and not disturbed.\v"
    "Prints nothing when there is no difference. Exit code 1 when there is one. With --json, one run a line: {change, "
    "rule, event, trigger, time, before?, after?, verdict?, assumed?}. How many events were taken, and how fast, "
    "stands "
    "on standard error.",
    options, 1, 1};

#define SINCE_DEFAULT "7d"
#define GO_ON_MS (INT64_C(7) * 24 * 3600 * 1000) /* after the last event, for runs that wait */
#define PAGE 1000

/* ---- events ---- */

struct feed {
    struct peri_event **items; /* counted */
    uint64_t *seqs;            /* in the journal; 0: not from there */
    size_t count, cap, seq_cap;
    uint64_t last;
    size_t page, left_out;
    int64_t from_ms;
};

static bool feed_add(struct feed *feed, struct peri_event *event)
{
    if (!peri_vec_grow(&feed->items, &feed->cap, feed->count + 1, sizeof(*feed->items)) ||
        !peri_vec_grow(&feed->seqs, &feed->seq_cap, feed->count + 1, sizeof(*feed->seqs)))
        return false;
    feed->seqs[feed->count] = event->seq;
    feed->items[feed->count++] = peri_event_ref(event);
    return true;
}

/* What the engine made itself it makes again; what a person repeated is no event of its own. */
static bool comes_from_outside(const struct peri_event *event)
{
    return !peri_str_starts(event->source, "perigee:") && !event->replay_of && !event->damaged;
}

static enum peri_status take(void *arg, struct peri_event *event)
{
    struct feed *feed = arg;
    feed->last = event->seq;
    feed->page++;
    if (event->received_ms < feed->from_ms)
        return PERI_OK;
    if (comes_from_outside(event))
        return feed_add(feed, event) ? PERI_OK : PERI_ENOMEM;
    feed->left_out++;
    return PERI_OK;
}

static enum peri_status look(void *arg, struct peri_event *event)
{
    *(int64_t *)arg = event->received_ms;
    return PERI_OK;
}

/* A seq before which all events are older: they came in order of their seq. */
static enum peri_status find_start(
    struct peri_reader *reader, int64_t from_ms, uint64_t *ret_after, struct peri_error *err)
{
    uint64_t low = 0, high = 0;
    struct peri_event_filter filter = {.limit = 1};
    struct peri_value *newest = NULL;
    enum peri_status st = peri_reader_events(reader, &filter, &newest, err);
    (void)peri_event_id_parse(peri_map_text(peri_list_at(newest, 0), "id"), &high);
    peri_value_unref(newest);
    while (st == PERI_OK && low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        int64_t ms = INT64_MAX;
        st = peri_reader_journal(reader, middle, 1, look, &ms, err);
        if (ms < from_ms)
            low = middle;
        else
            high = middle;
    }
    *ret_after = low;
    return st;
}

static enum peri_status read_journal(
    struct peri_reader *reader, int64_t from_ms, struct feed *feed, struct peri_error *err)
{
    feed->from_ms = from_ms;
    enum peri_status st = find_start(reader, from_ms, &feed->last, err);
    do {
        feed->page = 0;
        if (st == PERI_OK)
            st = peri_reader_journal(reader, feed->last, PAGE, take, feed, err);
    } while (st == PERI_OK && feed->page == PAGE);
    return st;
}

static enum peri_status take_line(void *arg, struct peri_event *event)
{
    return feed_add(arg, event) ? PERI_OK : PERI_ENOMEM;
}

static void feed_finish(struct feed *feed)
{
    for (size_t i = 0; i < feed->count; i++)
        peri_event_unref(feed->items[i]);
    free(feed->items);
    free(feed->seqs);
}

/* ---- the two worlds ---- */

struct side {
    struct peri_rulebook *book;
    struct peri_rule_list rules; /* without those that are disabled. borrow */
    struct peri_backtest test;
    struct peri_backtest_result result;
};

struct comparison {
    struct peri_cli *cli;
    struct peri_backtest_stage stage;
    struct feed feed;
    struct side old, new;
    struct peri_progress progress;
    struct peri_privacy *privacy; /* NULL: nothing is hidden */
    int64_t busy_us;
};

static int64_t now_us(void)
{
    struct peri_clock clock = peri_clock_system();
    return peri_clock_mono(&clock).ns / 1000;
}

/* False after a message: rules with errors cannot be compared. */
static bool load(struct comparison *c, struct side *side, const char *const *folders, const struct peri_value *disabled)
{
    struct peri_diag diag;
    peri_diag_init(&diag);
    side->book = peri_rulebook_create(folders);
    bool good = side->book && peri_rulebook_load(side->book, &c->stage.bench.env, &diag) == PERI_OK && !diag.errors;
    if (diag.errors)
        peri_print_findings(c->cli, &diag, false);
    peri_diag_finish(&diag);
    const struct peri_rule_list *all = good ? peri_rulebook_rules(side->book) : NULL;
    side->rules.items = all ? calloc(all->count + 1, sizeof(struct peri_rule *)) : NULL;
    for (size_t i = 0; side->rules.items && i < all->count; i++)
        if (all->items[i]->enabled && !peri_map_at(disabled, all->items[i]->id))
            side->rules.items[side->rules.count++] = all->items[i];
    return good && side->rules.items;
}

static enum peri_status play(struct comparison *c, struct side *side, size_t before, struct peri_error *err)
{
    const struct feed *feed = &c->feed;
    int64_t start_ms = feed->count ? feed->items[0]->received_ms : 0, begun = now_us();
    enum peri_status st = peri_backtest_open(&side->test, &c->stage, &side->rules, start_ms, err);
    for (size_t i = 0; st == PERI_OK && i < feed->count; i++) {
        peri_progress_step(&c->progress, (int64_t)(before + i), (int64_t)feed->count * 2);
        st = peri_backtest_send(&side->test, feed->items[i], feed->seqs[i], err);
    }
    if (st == PERI_OK)
        st = peri_backtest_finish(&side->test, GO_ON_MS, err);
    c->busy_us += now_us() - begun;
    return st ? st : peri_backtest_result(&side->test, &side->result, err);
}

/* ---- telling ---- */

static void print_effect(const char *sign, const struct peri_value *effect)
{
    char *params = peri_json_text(peri_map_at(effect, "params"), PERI_JSON_COMPACT), after[80] = "";
    int64_t ms = peri_map_int(effect, "after_ms", 0);
    if (ms > 0) {
        char text[48];
        snprintf(after, sizeof(after), "after %.60s: ", peri_duration_format(ms, text));
    }
    printf("    %s %s%s %s\n", sign, after, peri_map_text(effect, "operator"), params ? params : "");
    free(params);
}

static void print_effects(const char *sign, const struct peri_value *effects, const struct peri_value *others)
{
    for (size_t i = 0; i < peri_value_count(effects); i++) {
        const struct peri_value *effect = peri_list_at(effects, i);
        bool same = false;
        for (size_t k = 0; k < peri_value_count(others); k++)
            same = same || peri_value_equal(effect, peri_list_at(others, k));
        if (!same || !others)
            print_effect(sign, effect);
    }
}

static void print_text(
    const struct peri_backtest_run *old, const struct peri_backtest_run *new, const struct peri_value *verdict)
{
    const struct peri_backtest_run *run = new ? new : old;
    char when[PERI_TIME_TEXT];
    const char *reason = peri_map_text(verdict, "reason");
    peri_time_format(run->time_ms, when);
    printf("%s %s  %s  %s\n", old && new ? "~" : new ? "+" : "-", run->rule, run->event, when);
    if (!old || !new)
        printf("      %s: %s%s%s\n", new ? "before" : "now", verdict ? peri_map_text(verdict, "verdict") : "not heard",
            reason ? ", " : "", reason ? reason : "");
    if (old)
        print_effects("-", old->effects, new ? new->effects : NULL);
    if (new)
        print_effects("+", new->effects, old ? old->effects : NULL);
    for (size_t i = 0; i < peri_value_count(run->assumed); i++)
        printf("      what %s answers is assumed: this call was not recorded\n",
            peri_value_text(peri_list_at(run->assumed, i)));
}

static void print_json(
    const struct peri_backtest_run *old, const struct peri_backtest_run *new, const struct peri_value *verdict)
{
    const struct peri_backtest_run *run = new ? new : old;
    struct peri_value *v = peri_value_map();
    bool good = v &&
                peri_map_put_text(v, "change",
                    old && new ? "changed"
                    : new      ? "gained"
                               : "lost") == PERI_OK &&
                peri_map_put_text(v, "rule", run->rule) == PERI_OK &&
                peri_map_put_text(v, "event", run->event) == PERI_OK &&
                peri_map_put_text(v, "trigger", run->trigger) == PERI_OK &&
                peri_map_put_time(v, "time", run->time_ms) == PERI_OK;
    if (good && old)
        good = peri_map_put_ref(v, "before", old->effects) == PERI_OK;
    if (good && new)
        good = peri_map_put_ref(v, "after", new->effects) == PERI_OK;
    if (good && verdict)
        good = peri_map_put_ref(v, "verdict", verdict) == PERI_OK;
    if (good && run->assumed)
        good = peri_map_put_ref(v, "assumed", run->assumed) == PERI_OK;
    char *text = good ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    if (text)
        puts(text);
    free(text);
    peri_value_unref(v);
}

static void print(struct comparison *c, const struct peri_backtest_run *old, const struct peri_backtest_run *new,
    struct peri_value *v)
{
    if (c->cli->json)
        print_json(old, new, v);
    else
        print_text(old, new, v);
}

static void hide(struct comparison *c, const struct side *side, uint64_t seq, struct peri_value **v)
{
    struct peri_error err;
    if (*v && peri_privacy_hide_by(c->privacy, side->test.reader, c->stage.recorded, seq, v, &err))
        *v = NULL;
}

static void tell(struct comparison *c, const struct peri_backtest_run *old, const struct peri_backtest_run *new)
{
    const struct side *other = new ? &c->old : &c->new, *side = new ? &c->new : &c->old;
    struct peri_backtest_run before = old ? *old : (struct peri_backtest_run){0}, after = new ? *new : before;
    const struct peri_backtest_run *run = new ? new : old;
    struct peri_value *verdict =
        old && new ? NULL : peri_backtest_verdict(&other->test, &other->result, run->event, run->rule);
    before.effects = peri_value_ref(before.effects);
    after.effects = new ? peri_value_ref(after.effects) : NULL;
    hide(c, &c->old, before.seq, &before.effects);
    hide(c, &c->new, after.seq, &after.effects);
    hide(c, side, run->seq, &verdict);
    print(c, old ? &before : NULL, new ? &after : NULL, verdict);
    peri_value_unref(before.effects);
    peri_value_unref(after.effects);
    peri_value_unref(verdict);
}

/* Both lists are sorted by the same order: one walk. */
static size_t compare(struct comparison *c, size_t counts[3])
{
    const struct peri_backtest_result *a = &c->old.result, *b = &c->new.result;
    size_t same = 0;
    for (size_t i = 0, k = 0; i < a->count || k < b->count;) {
        const struct peri_backtest_run *old = i < a->count ? &a->runs[i] : NULL,
                                       *new = k < b->count ? &b->runs[k] : NULL;
        bool old_gone = old && !peri_map_get(b->by_key, old->key), new_gone = new && !peri_map_get(a->by_key, new->key);
        if (old_gone && (!new_gone || old->time_ms <= new->time_ms)) {
            tell(c, old, NULL);
            counts[1]++;
            i++;
        } else if (new_gone) {
            tell(c, NULL, new);
            counts[0]++;
            k++;
        } else { /* the old one has its like */
            const struct peri_backtest_run *like = old ? peri_map_get(b->by_key, old->key) : NULL;
            if (old && !peri_value_equal(old->effects, like->effects)) {
                tell(c, old, like);
                counts[2]++;
            } else {
                same += old != NULL;
            }
            i += old != NULL;
            k += new != NULL;
        }
    }
    return same;
}

static bool tell_not_comparable(const char *key, void *value, void *arg)
{
    fprintf(stderr, "perigee: not comparable: the condition %s needs what is not there in a comparison [%s]\n", key,
        (const char *)value);
    return true;
}

static int run(struct comparison *c, struct peri_error *err)
{
    size_t counts[3] = {0};
    enum peri_status st = play(c, &c->old, 0, err);
    if (st == PERI_OK)
        st = play(c, &c->new, c->feed.count, err);
    peri_progress_end(&c->progress);
    if (st)
        return peri_cli_fail_error(c->cli, err);
    if (peri_privacy_here(c->cli, c->stage.bench.host, c->stage.recorded, &c->privacy, err))
        return peri_cli_fail_error(c->cli, err);
    size_t same = compare(c, counts);
    peri_map_each(c->new.test.not_comparable, tell_not_comparable, NULL);
    fprintf(stderr,
        "%zu gained, %zu lost, %zu changed, %zu the same; %zu events through %zu and %zu rules, %lld events/s\n",
        counts[0], counts[1], counts[2], same, c->feed.count, c->old.rules.count, c->new.rules.count,
        (long long)(c->busy_us ? (int64_t)c->feed.count * 2 * 1000000 / c->busy_us : 0));
    return counts[0] || counts[1] || counts[2] ? PERI_EXIT_NO : PERI_EXIT_OK;
}

static struct peri_value *read_disabled(struct peri_reader *reader)
{
    char *text = NULL;
    struct peri_value *map = NULL;
    struct peri_error err;
    if (!reader || peri_reader_meta(reader, "rules.disabled", &text, &err) != PERI_OK ||
        peri_json_parse(text, strlen(text), &map, NULL) != PERI_OK)
        map = NULL;
    free(text);
    return map;
}

static int prepare(struct comparison *c, const struct peri_args *args, int64_t since_ms, struct peri_error *err)
{
    const char *const folder[] = {args->words[0], NULL};
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_backtest_stage_open(&c->stage, c->cli, &diag, err);
    peri_diag_finish(&diag); /* plugins that do not load are told by the operators that are missing */
    if (st)
        return peri_cli_fail_error(c->cli, err);
    if (!peri_path_is_dir(folder[0]) && !peri_path_is_file(folder[0]))
        return peri_cli_fail(c->cli, PERI_EXIT_NO, "there is no file or folder %s", folder[0]);
    struct peri_value *disabled = read_disabled(c->stage.recorded);
    bool good =
        load(c, &c->old, (const char *const *)c->cli->config.rules, disabled) && load(c, &c->new, folder, disabled);
    peri_value_unref(disabled);
    if (!good)
        return PERI_EXIT_NO;
    struct peri_clock system = peri_clock_system();
    if (args->value[EVENTS])
        st = peri_event_file_read(args->value[EVENTS], peri_clock_wall_ms(&system), take_line, &c->feed, err);
    else if (c->stage.recorded)
        st = read_journal(c->stage.recorded, peri_clock_wall_ms(&system) - since_ms, &c->feed, err);
    return st ? peri_cli_fail_error(c->cli, err) : PERI_EXIT_OK;
}

static void side_finish(struct side *side)
{
    peri_backtest_result_finish(&side->result);
    peri_backtest_close(&side->test);
    peri_rulebook_destroy(side->book);
    free(side->rules.items);
}

int peri_cmd_diff(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_error err = {0};
    int64_t since_ms = 0;
    struct comparison c = {.cli = cli, .progress = {.what = "events"}};
    peri_cli_parse(cli, argc, argv, &usage, &args);
    const char *since = args.value[SINCE] ? args.value[SINCE] : SINCE_DEFAULT;
    if (peri_duration_parse(since, strlen(since), &since_ms, &err) != PERI_OK)
        return peri_cli_usage(cli, "diff", "--since: %s", err.message);
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    int code = prepare(&c, &args, since_ms, &err);
    if (code == PERI_EXIT_OK)
        code = run(&c, &err);
    side_finish(&c.old);
    side_finish(&c.new);
    feed_finish(&c.feed);
    peri_privacy_destroy(c.privacy);
    peri_backtest_stage_close(&c.stage);
    return code;
}
