/* SPDX-License-Identifier: Apache-2.0 */
/* Reads JSON events line by line and prints those that a pattern matches: a grep that knows JSON. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/paths.h"
#include "base/str.h"
#include "base/vec.h"
#include "lang/matcher.h"

enum { COUNT, QUIET, INVERT, PATTERNS };

static const struct argp_option options[] = {
    {"count", PERI_OPTION(COUNT), 0, 0, "prints only how many events matched", 0},
    {"quiet", PERI_OPTION(QUIET), 0, 0, "prints nothing; the exit code answers", 0},
    {"invert", PERI_OPTION(INVERT), 0, 0, "the events that do not match", 0},
    {"patterns", PERI_OPTION(PATTERNS), "FILE", 0,
        "one pattern a line instead of PATTERN; prints for each event the numbers (from 0) of all that match, as a "
        "JSON array",
        0},
    {0},
};
static const struct peri_usage_text usage = {"PATTERN [FILE...]",
    "Reads JSON events, one a line, from the files or standard input, and prints those that PATTERN matches. PATTERN "
    "is a JSON event "
    "pattern (docs/rules.md) or @FILE. Exit code 1 when none matches, 2 for a bad pattern; a line that is not JSON is "
    "reported and skipped.",
    options, 0, PERI_ARGS_MAX - 1};

#define PROGRESS_EVERY 100000
#define READ_SIZE ((size_t)1 << 20) /* asked for at once; the buffer grows with the longest line */
#define WRITE_SIZE ((size_t)256 << 10)

struct matcher {
    struct peri_cli *cli;
    struct peri_pattern **patterns;
    size_t pattern_count, pattern_cap;
    struct peri_matcher *index;
    struct peri_matcher_scratch *scratch;
    uint32_t *hits; /* room for all patterns */
    char *buffer;
    size_t cap;
    bool many, count, quiet, invert, progress;
    unsigned long long lines, matched, bad;
};

static bool add_pattern(struct matcher *m, const char *where, const char *text, size_t len)
{
    struct peri_error err;
    if (!peri_vec_grow(&m->patterns, &m->pattern_cap, m->pattern_count + 1, sizeof(*m->patterns)))
        return false;
    if (peri_pattern_compile_json(text, len, &m->patterns[m->pattern_count], &err)) {
        peri_cli_fail(m->cli, PERI_EXIT_USAGE, "%s: %s", where, err.message);
        return false;
    }
    m->pattern_count++;
    return true;
}

static bool load_patterns(struct matcher *m, const char *file)
{
    char *text = NULL;
    size_t len;
    struct peri_error err;
    if (peri_path_read(file, 1u << 30, &text, &len, &err)) {
        peri_cli_fail(m->cli, PERI_EXIT_USAGE, "%s", err.message);
        return false;
    }
    bool ok = true;
    int number = 0;
    for (char *line = text; ok && *line;) {
        size_t n = strcspn(line, "\n");
        char where[64];
        snprintf(where, sizeof(where), "pattern %d", number++);
        if (n > 0)
            ok = add_pattern(m, where, line, n);
        line += n + (line[n] == '\n');
    }
    free(text);
    return ok;
}

/* [3,17] and a line end; faster than printf. */
static void print_hits(const struct matcher *m, size_t count)
{
    putchar_unlocked('[');
    for (size_t i = 0; i < count; i++) {
        char digits[10];
        size_t n = 0;
        uint32_t rest = m->hits[i];
        do {
            digits[n++] = (char)('0' + rest % 10);
            rest /= 10;
        } while (rest);
        if (i)
            putchar_unlocked(',');
        while (n)
            putchar_unlocked(digits[--n]);
    }
    putchar_unlocked(']');
    putchar_unlocked('\n');
}

static void match_line(struct matcher *m, const char *file, const char *line, size_t len)
{
    struct peri_error err;
    size_t count = 0;
    m->lines++;
    if (m->progress && m->lines % PROGRESS_EVERY == 0)
        fprintf(stderr, "\r%llu events, %llu matched", m->lines, m->matched);
    bool bad = peri_matcher_match(m->index, m->scratch, line, len, m->hits, m->pattern_count, &count, &err) != PERI_OK;
    if (bad) {
        m->bad++;
        fprintf(stderr, "perigee: %s:%llu: not a JSON event: %s\n", file, m->lines, err.message);
    }
    if (m->many && !m->count && !m->quiet)
        print_hits(m, count);
    if (bad || (count > 0) == m->invert)
        return;
    m->matched++;
    if (!m->many && !m->count && !m->quiet) {
        fwrite(line, 1, len, stdout);
        putchar_unlocked('\n');
    }
}

/* All whole lines in the first *used bytes; what is left moves to the front. */
static void match_lines(struct matcher *m, const char *file, size_t *used)
{
    char *line = m->buffer, *end = m->buffer + *used, *stop;
    while ((stop = memchr(line, '\n', (size_t)(end - line))) && !(m->quiet && m->matched)) {
        if (stop > line)
            match_line(m, file, line, (size_t)(stop - line));
        line = stop + 1;
    }
    *used = (size_t)(end - line);
    memmove(m->buffer, line, *used);
}

static bool match_file(struct matcher *m, const char *name)
{
    bool std = peri_streq(name, "-");
    int fd = std ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    const char *shown = std ? "standard input" : name;
    size_t used = 0;
    ssize_t n = 0;
    while (fd >= 0 && !(m->quiet && m->matched)) {
        if (m->cap - used < READ_SIZE && !peri_vec_grow(&m->buffer, &m->cap, used + READ_SIZE, 1)) {
            errno = ENOMEM;
            n = -1;
            break;
        }
        n = read(fd, m->buffer + used, READ_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        /* A long line is searched once, not with every piece of it that arrives. */
        bool whole = memchr(m->buffer + used, '\n', (size_t)n);
        used += (size_t)n;
        if (whole)
            match_lines(m, shown, &used);
    }
    if (fd < 0 || n < 0)
        peri_cli_fail(m->cli, PERI_EXIT_USAGE, "cannot read %s: %s", shown, strerror(errno));
    else if (used > 0 && !(m->quiet && m->matched))
        match_line(m, shown, m->buffer, used);
    if (!std && fd >= 0)
        close(fd);
    return fd >= 0 && n >= 0;
}

static bool build_index(struct matcher *m)
{
    struct peri_error err;
    m->scratch = peri_matcher_scratch_create();
    m->hits = calloc(m->pattern_count + 1, sizeof(*m->hits));
    if (!m->scratch || !m->hits)
        peri_error_nomem(&err);
    else if (peri_matcher_build((const struct peri_pattern *const *)m->patterns, m->pattern_count, &m->index, &err) ==
             PERI_OK)
        return true;
    peri_cli_fail_error(m->cli, &err);
    return false;
}

static bool compile(struct matcher *m, const struct peri_args *args, size_t *ret_first_file)
{
    *ret_first_file = 0;
    if (args->value[PATTERNS])
        return load_patterns(m, args->value[PATTERNS]);
    if (args->count == 0) {
        peri_cli_usage(m->cli, "match", "a PATTERN is needed");
        return false;
    }
    *ret_first_file = 1;
    const char *text = args->words[0];
    if (text[0] != '@')
        return add_pattern(m, "the pattern", text, strlen(text));
    char *read = NULL;
    size_t len;
    struct peri_error err;
    if (peri_path_read(text + 1, 16u << 20, &read, &len, &err)) {
        peri_cli_fail(m->cli, PERI_EXIT_USAGE, "%s", err.message);
        return false;
    }
    bool ok = add_pattern(m, text + 1, read, len);
    free(read);
    return ok;
}

int peri_cmd_match(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    struct matcher m = {.cli = cli,
        .many = args.value[PATTERNS],
        .count = args.value[COUNT],
        .quiet = args.value[QUIET],
        .invert = args.value[INVERT],
        .progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO)};
    size_t first;
    bool ok = compile(&m, &args, &first) && build_index(&m);
    for (size_t i = 0; i < m.pattern_count; i++) /* the index has what it needs */
        peri_pattern_destroy(m.patterns[i]);
    static char written[WRITE_SIZE]; /* stdout keeps it until the end of the program */
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, written, _IOFBF, sizeof(written));
    for (size_t i = first; ok && i < args.count; i++)
        ok = match_file(&m, args.words[i]);
    if (ok && first >= args.count)
        ok = match_file(&m, "-");
    if (ok && m.progress && m.lines >= PROGRESS_EVERY)
        fprintf(stderr, "\r%llu events, %llu matched\n", m.lines, m.matched);
    if (ok && m.count && cli->json)
        printf("{\"events\":%llu,\"matched\":%llu,\"invalid\":%llu}\n", m.lines, m.matched, m.bad);
    else if (ok && m.count)
        printf("%llu\n", m.matched);
    free(m.buffer);
    free(m.hits);
    peri_matcher_scratch_destroy(m.scratch);
    peri_matcher_destroy(m.index);
    free(m.patterns);
    return !ok ? PERI_EXIT_USAGE : m.matched ? PERI_EXIT_OK : PERI_EXIT_NO;
}
