/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/buf.h"
#include "data/json.h"
#include "lang/matcher.h"
#include "lang/matcher_scan.h"

#if HAVE_SIMDJSON
/* baseline_simdjson.cpp: so many events read, their whole documents or their field "subject" alone. */
size_t baseline_simdjson(const char *text, const size_t *at, size_t count, bool whole);
#endif

/* Events a second of one thread, in CPU seconds: the median of interleaved rounds.
 * bench_match [--json] [--max RULES] [--only TEXT]. Reference points of the same run, for the events of each case:
 * finding newlines with memchr, simdjson (where it was found when this was built: a whole document, and one field asked
 * for), the matcher's scan alone, the tree of values, and jq on a part of them. */

enum { EVENTS = 2000, ROUNDS = 5, CASES = 128 };

struct events {
    struct peri_buf text; /* one a line */
    size_t at[EVENTS + 1];
    size_t count;
};

struct bench {
    char name[64];
    const struct events *events;
    struct peri_matcher *matcher;
    struct peri_matcher_scratch *scratch;
    size_t rules, hits;
    double build_us, rate[ROUNDS];
    int repeat;
};

static struct events lots_first, lots_last, clouds, words, arrays;
static struct bench cases[CASES];
static size_t case_count;
static const char *only; /* cases whose name has this */

static double cpu(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void end_event(struct events *e)
{
    peri_buf_putc(&e->text, '\n');
    e->at[++e->count] = e->text.len;
}

/* A city lot: ten properties and a polygon of nested arrays, 882 bytes or so. */
static void make_lots(struct events *e, bool first)
{
    peri_buf_init(&e->text, 64u << 20);
    for (unsigned i = 0; i < EVENTS; i++) {
        struct peri_buf *b = &e->text;
        char properties[400];
        snprintf(properties, sizeof(properties),
            "\"properties\": { \"MAPBLKLOT\": \"%07u\", \"BLKLOT\": \"%07u\", \"BLOCK_NUM\": \"%04u\", \"LOT_NUM\": "
            "\"%03u\", "
            "\"FROM_ST\": \"%u\", \"TO_ST\": \"%u\", \"STREET\": \"%s\", \"ST_TYPE\": %s, \"ODD_EVEN\": \"%c\" }",
            i * 7, i * 7, i % 9000, i % 900, i % 4000, i % 4000 + 2, i % 50 ? "UNKNOWN" : "CRANLEIGH",
            i % 3 ? "\"AVE\"" : "null", i % 2 ? 'O' : 'E');
        peri_buf_printf(b, "{ \"type\": \"Feature\", %s%s\"geometry\": { \"type\": \"Polygon\", \"coordinates\": [ [ ",
            first ? properties : "", first ? ", " : "");
        for (unsigned k = 0; k < 12; k++)
            peri_buf_printf(b, "%s[ -122.422%011u, 37.808%012u, 0.0 ]", k ? ", " : "", i * 7919u + k * 104729u,
                i * 15485863u % 1000000007u + k);
        peri_buf_printf(b, " ] ] }%s%s }", first ? "" : ", ", first ? "" : properties);
        end_event(e);
    }
}

static void make_clouds(struct events *e)
{
    peri_buf_init(&e->text, 64u << 20);
    for (unsigned i = 0; i < EVENTS; i++) {
        peri_buf_printf(&e->text,
            "{\"specversion\":\"1.0\",\"id\":\"6a7e8feb-b491-4cf7-a9f1-%012u\",\"source\":\"/sensors/tn-%u/alerts\","
            "\"type\":\"com.example.kind%u\",\"subject\":\"device-%u/floor-3\",\"time\":\"2026-04-05T17:%02u:00Z\","
            "\"datacontenttype\":\"application/json\",\"region\":\"eu-west-%u\",\"data\":{\"device\":{\"id\":\"d-%u\","
            "\"model\":\"TX-20\",\"tags\":[\"roof\",\"north\"],\"ip\":\"10.%u.%u.%u\"},\"reading\":{\"temperature\":%u."
            "75,"
            "\"humidity\":%u,\"ok\":true},\"status\":\"%s\",\"note\":\"nothing special\"}}",
            i, i, i % 100, i * 37 % 100000, i % 60, i % 4, i, i % 250, i * 7 % 250, i * 3 % 250, i % 40, i % 100,
            i % 3 ? "active" : "idle");
        end_event(e);
    }
}

static void make_words(struct events *e)
{
    peri_buf_init(&e->text, 64u << 20);
    for (unsigned i = 0; i < EVENTS; i++) {
        char word[6] = {0};
        for (unsigned k = 0, r = i * 2654435761u; k < 5; k++, r /= 26)
            word[k] = (char)('a' + r % 26);
        peri_buf_printf(&e->text, "{\"x\":\"%s\"}", word);
        end_event(e);
    }
}

static void make_arrays(struct events *e)
{
    peri_buf_init(&e->text, 64u << 20);
    for (unsigned i = 0; i < 20; i++) {
        peri_buf_puts(&e->text, "{\"o\":[");
        for (unsigned k = 0; k < 3000; k++)
            peri_buf_printf(
                &e->text, "%s{\"p\":%u,\"q\":\"v%u\",\"z\":\"other\"}", k ? "," : "", k % 100, (k + 1) % 100);
        peri_buf_puts(&e->text, "]}");
        end_event(e);
    }
}

/* %u is the number of the rule; one of patterns in turn. */
static void add_case(
    const char *name, const struct events *events, size_t rules, void (*make)(char *out, size_t size, unsigned i))
{
    struct peri_pattern **patterns = calloc(rules, sizeof(struct peri_pattern *));
    struct bench *c = &cases[case_count];
    struct peri_error err = {0};
    if (only && !strstr(name, only))
        return;
    case_count++;
    for (size_t i = 0; i < rules; i++) {
        char text[600];
        make(text, sizeof(text), (unsigned)i);
        if (peri_pattern_compile_json(text, strlen(text), &patterns[i], &err) != PERI_OK)
            fprintf(stderr, "bench_match: %s: %s\n", text, err.message), exit(1);
    }
    snprintf(c->name, sizeof(c->name), "%s", name);
    double start = cpu();
    if (peri_matcher_build((const struct peri_pattern *const *)patterns, rules, &c->matcher, &err) != PERI_OK)
        fprintf(stderr, "bench_match: %s\n", err.message), exit(1);
    c->build_us = (cpu() - start) * 1e6 / (double)rules;
    c->events = events;
    c->rules = rules;
    c->scratch = peri_matcher_scratch_create();
    c->repeat = events == &arrays ? 1 : 20;
    for (size_t i = 0; i < rules; i++)
        peri_pattern_destroy(patterns[i]);
    free(patterns);
}

#define KIND(name, ...)                                                                                                \
    static void name(char *out, size_t size, unsigned i)                                                               \
    {                                                                                                                  \
        snprintf(out, size, __VA_ARGS__);                                                                              \
    }

static const char *const streets[] = {"CRANLEIGH", "17TH", "MAIN", "OAK", "FOLSOM"};
KIND(lot_exact, "{\"properties\":{\"STREET\":[\"%s\"]}}", streets[i % 5])
KIND(lot_prefix, "{\"properties\":{\"STREET\":[{\"prefix\":\"%.3s\"}]}}", streets[i % 5])
KIND(lot_suffix, "{\"properties\":{\"STREET\":[{\"suffix\":\"%s\"}]}}", streets[i % 5] + 1)
KIND(lot_wild, "{\"properties\":{\"STREET\":[{\"wildcard\":\"%.1s*%s\"}]}}", streets[i % 5], streets[i % 5] + 2)
KIND(lot_fold, "{\"properties\":{\"STREET\":[{\"equals-ignore-case\":\"%s\"}]}}", streets[i % 5])
KIND(lot_but, "{\"properties\":{\"STREET\":[{\"anything-but\":[\"UNKNOWN\",\"%s\"]}]}}", streets[i % 5])
KIND(lot_coordinates, "{\"geometry\":{\"coordinates\":[{\"numeric\":[\">\",%u]}]}}", 100 + i)
KIND(exact, "{\"subject\":[\"device-%u/floor-3\"]}", i)
KIND(prefix, "{\"subject\":[{\"prefix\":\"device-%u/\"}]}", i)
KIND(suffix, "{\"source\":[{\"suffix\":\"tn-%u/alerts\"}]}", i)
KIND(star_end, "{\"subject\":[{\"wildcard\":\"device-%u/*\"}]}", i)
KIND(star_middle, "{\"subject\":[{\"wildcard\":\"device-%u/*r-3\"}]}", i)
KIND(star_first, "{\"subject\":[{\"wildcard\":\"*-%u/floor-3\"}]}", i)
KIND(fold, "{\"subject\":[{\"equals-ignore-case\":\"DEVICE-%u/Floor-3\"}]}", i)
KIND(numeric, "{\"data\":{\"reading\":{\"humidity\":[{\"numeric\":[\">=\",%u,\"<\",%u]}]}}}", i * 3, i * 3 + 2)
KIND(cidr, "{\"data\":{\"device\":{\"ip\":[{\"cidr\":\"10.%u.%u.0/24\"}]}}}", i % 250, i / 250 % 250)
KIND(four,
    "{\"type\":[\"com.example.kind%u\"],\"subject\":[{\"prefix\":\"device-%u\"}],\"data\":{\"status\":[\"active\","
    "\"idle\"]},\"region\":[\"eu-west-%u\"]}",
    i % 100, i % 1000, i % 4)
KIND(word, "{\"x\":[{\"wildcard\":\"%c*%c%c*%c\"}]}", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 7 % 26,
    'a' + i / 676 % 26)
KIND(element, "{\"o\":{\"p\":[%u],\"q\":[\"v%u\"]}}", i, i + 3)

static void mixed(char *out, size_t size, unsigned i)
{
    static void (*const kinds[])(char *, size_t, unsigned) = {
        exact, prefix, suffix, star_middle, fold, numeric, cidr, four};
    kinds[i % 8](out, size, i / 8);
}

static void add_all(size_t max)
{
    static const struct {
        const char *name;
        void (*make)(char *, size_t, unsigned);
    } lots[] = {{"exact", lot_exact}, {"prefix", lot_prefix}, {"suffix", lot_suffix}, {"wildcard", lot_wild},
        {"ignore-case", lot_fold}, {"anything-but", lot_but}, {"coordinates", lot_coordinates}},
      rules[] = {{"exact", exact}, {"prefix", prefix}, {"suffix", suffix}, {"star at the end", star_end},
          {"star in the middle", star_middle}, {"star first", star_first}, {"ignore-case", fold}, {"numeric", numeric},
          {"cidr", cidr}, {"four fields", four}, {"mixed", mixed}};
    char name[64];
    for (size_t i = 0; i < sizeof(lots) / sizeof(lots[0]); i++) {
        snprintf(name, sizeof(name), "lots, fields first: %s", lots[i].name);
        add_case(name, &lots_first, 5, lots[i].make);
        snprintf(name, sizeof(name), "lots, fields last: %s", lots[i].name);
        add_case(name, &lots_last, 5, lots[i].make);
    }
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        for (size_t n = 1; n <= max; n *= 10)
            add_case(rules[i].name, &clouds, n, rules[i].make);
    add_case("words with two stars", &words, 5000, word);
    add_case("two fields of one element of 3000", &arrays, 50, element);
}

static void run_case(struct bench *c, int round)
{
    double start = cpu();
    c->hits = 0;
    for (int r = 0; r < c->repeat; r++) {
        for (size_t i = 0; i < c->events->count; i++) {
            size_t found;
            const char *text = c->events->text.data + c->events->at[i];
            if (peri_matcher_match(c->matcher, c->scratch, text, c->events->at[i + 1] - c->events->at[i] - 1, NULL, 0,
                    &found, NULL) != PERI_OK)
                fprintf(stderr, "bench_match: an event is not valid\n"), exit(1);
            c->hits += found;
        }
    }
    c->rate[round] = (double)c->events->count * c->repeat / (cpu() - start);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double rate[ROUNDS])
{
    qsort(rate, ROUNDS, sizeof(*rate), by_value);
    return rate[ROUNDS / 2];
}

/* --- reference points --- */

static double newlines(const struct events *e)
{
    double start = cpu();
    volatile size_t found = 0;
    for (int r = 0; r < 50; r++)
        for (const char *p = e->text.data, *end = p + e->text.len; (p = memchr(p, '\n', (size_t)(end - p))); p++)
            found++;
    return (double)found / (cpu() - start);
}

static double scans(const struct events *e)
{
    struct matcher_scan scan = {0};
    double start = cpu();
    size_t done = 0;
    for (int r = 0; r < 20; r++)
        for (size_t i = 0; i < e->count; i++)
            done += matcher_scan(&scan, e->text.data + e->at[i], e->at[i + 1] - e->at[i] - 1) == MATCHER_SCAN_OK;
    double rate = (double)done / (cpu() - start);
    matcher_scan_finish(&scan);
    return rate;
}

static double trees(const struct events *e)
{
    double start = cpu();
    for (size_t i = 0; i < e->count; i++) {
        struct peri_value *v = NULL;
        if (peri_json_parse(e->text.data + e->at[i], e->at[i + 1] - e->at[i] - 1, &v, NULL) == PERI_OK)
            peri_value_unref(v);
    }
    return (double)e->count / (cpu() - start);
}

#if HAVE_SIMDJSON
static double simdjson(const struct events *e, bool whole)
{
    double start = cpu();
    size_t done = 0;
    for (int r = 0; r < 5; r++)
        done += baseline_simdjson(e->text.data, e->at, e->count, whole);
    return (double)done / (cpu() - start);
}

static double simdjson_whole(const struct events *e)
{
    return simdjson(e, true);
}

static double simdjson_field(const struct events *e)
{
    return simdjson(e, false);
}
#endif

static double jq(const struct events *e)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    FILE *f = popen("jq -c 'select(.subject == \"device-37/floor-3\")' >/dev/null 2>&1", "w");
    if (!f)
        return 0;
    fwrite(e->text.data, 1, e->text.len, f);
    if (pclose(f) != 0)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (double)e->count / ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
}

static struct reference {
    const char *name;
    double (*run)(const struct events *e);
    double rate[2][ROUNDS]; /* of clouds and of lots */
} references[] = {
    {"memchr for newlines", newlines, {{0}}},
#if HAVE_SIMDJSON
    {"simdjson, the whole document", simdjson_whole, {{0}}},
    {"simdjson, one field on demand", simdjson_field, {{0}}},
#endif
    {"the scan alone", scans, {{0}}},
    {"a tree of values", trees, {{0}}},
    {"jq (wall time)", jq, {{0}}},
};

#define REFERENCE_COUNT (sizeof(references) / sizeof(references[0]))

static void show_reference(struct reference *ref, bool json)
{
    double cloud = median(ref->rate[0]), lot = median(ref->rate[1]);
    if (json)
        printf("{\"reference\":\"%s\",\"clouds\":%.0f,\"lots\":%.0f}\n", ref->name, cloud, lot);
    else
        printf("%-36s %12.0f events/s of %zu B  %12.0f of %zu B\n", ref->name, cloud, clouds.text.len / EVENTS, lot,
            lots_first.text.len / EVENTS);
}

static void show_case(struct bench *c, bool json)
{
    double rate = median(c->rate), bytes = (double)peri_matcher_bytes(c->matcher) / (double)c->rules;
    double mb = rate * (double)c->events->text.len / (double)c->events->count / 1e6;
    if (json)
        printf("{\"case\":\"%s\",\"rules\":%zu,\"events_per_s\":%.0f,\"MB_per_s\":%.0f,\"hits\":%zu,\"build_us\":%.2f,"
               "\"bytes_per_rule\":%.0f}\n",
            c->name, c->rules, rate, mb, c->hits, c->build_us, bytes);
    else
        printf("%-36s %7zu rules %10.0f events/s %6.0f MB/s %8.2f us and %6.0f B a rule, %zu hits\n", c->name, c->rules,
            rate, mb, c->build_us, bytes, c->hits);
}

int main(int argc, char **argv)
{
    bool json = false;
    size_t max = 100000;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--max") == 0 && i + 1 < argc)
            max = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else
            return fprintf(stderr, "Usage: bench_match [--json] [--max RULES] [--only TEXT]\n"), 2;
    }
    make_lots(&lots_first, true);
    make_lots(&lots_last, false);
    make_clouds(&clouds);
    make_words(&words);
    make_arrays(&arrays);
    add_all(max);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < REFERENCE_COUNT && !only; i++) {
            references[i].rate[0][round] = references[i].run(&clouds);
            references[i].rate[1][round] = references[i].run(&lots_first);
        }
        for (size_t i = 0; i < case_count; i++)
            run_case(&cases[i], round);
    }
    if (!json)
        printf("scan: %s\n", matcher_scan_kernel(0));
    for (size_t i = 0; i < REFERENCE_COUNT && !only; i++)
        show_reference(&references[i], json);
    for (size_t i = 0; i < case_count; i++) {
        show_case(&cases[i], json);
        peri_matcher_destroy(cases[i].matcher);
        peri_matcher_scratch_destroy(cases[i].scratch);
    }
    return 0;
}
