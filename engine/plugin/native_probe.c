/* SPDX-License-Identifier: Apache-2.0 */
/* A C plugin is first loaded by a process of its own: what its constructors and its init do to that process (a memory
 * fault, abort, exit, an endless loop) they would do to the service. A fork of the service would inherit its locks and
 * threads half-way; the same program in another role is a clean one, with the same loader and environment. */
#include "plugin/native.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"
#include "plugin/spawn.h"

#define SAID_MAX 65536

/* --- in the process --- */

static void tell(FILE *to, struct peri_value *v)
{
    char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    if (text)
        fprintf(to, "%s\n", text);
    fflush(to);
    free(text);
    peri_value_unref(v);
}

static void tell_stage(void *arg, const char *stage)
{
    struct peri_value *v = peri_value_map();
    if (v && !peri_map_put_text(v, "stage", stage))
        tell(arg, peri_value_ref(v));
    peri_value_unref(v);
}

static void tell_error(FILE *to, const struct peri_error *err)
{
    struct peri_value *v = peri_value_map(), *e = peri_value_map();
    if (v && e && !peri_map_put_text(e, "code", err->code) && !peri_map_put_text(e, "message", err->message) &&
        !peri_map_put_bool(v, "ok", false) && !peri_map_put_ref(v, "error", e))
        tell(to, peri_value_ref(v));
    peri_value_unref(v);
    peri_value_unref(e);
}

static struct peri_value *good(const struct peri_native *native)
{
    struct peri_value *v = peri_value_map(), *ids = peri_value_list();
    bool ok = v && ids && !peri_map_put_bool(v, "ok", true) && !peri_map_put_int(v, "abi", native->plugin.abi);
    for (size_t i = 0; ok && i < native->operator_count; i++)
        ok = !peri_list_push(ids, peri_value_str(native->operators[i].id));
    if (ok && !peri_map_put_ref(v, "operators", ids) && !peri_map_put_text(v, "channel", native->channel.type) &&
        !peri_map_put_bool(v, "connector", native->plugin.connector != NULL)) {
        peri_value_unref(ids);
        return v;
    }
    peri_value_unref(v);
    peri_value_unref(ids);
    return NULL;
}

/* Signals end this process as they would end one without handlers: who waits for it reads how it ended. */
static void default_signals(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        sigaction(fatal[i], &plain, NULL);
}

bool peri_native_probe_here(const char *path)
{
    struct peri_native *native = NULL;
    struct peri_error err = {0};
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;
    struct peri_native_watch watch = {tell_stage, to};
    if (!to || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return false;
    default_signals();
    enum peri_status st = peri_native_open(path, NULL, &watch, &native, &err);
    if (st) {
        tell_error(to, &err);
    } else {
        struct peri_value *offer = good(native);
        tell_stage(to, "unload");
        peri_native_close(native);
        tell(to, offer);
    }
    fclose(to);
    return st == PERI_OK;
}

/* --- around it --- */

struct probe {
    pid_t pid;
    int out, errors; /* reading ends */
    struct peri_buf said, printed;
    int status;
};

static int64_t now_ms(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_MONOTONIC, &t) ? 0 : (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int spawn(struct probe *probe, const char *program, const char *path, int out, int errors)
{
    char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "plugins", (char *)(uintptr_t) "probe",
        (char *)(uintptr_t) "--json", (char *)(uintptr_t)path, NULL};
    const int fds[] = {-1, out, errors};
    return peri_spawn(program, argv, environ, fds, sizeof(fds) / sizeof(fds[0]), &probe->pid);
}

/* False: the pipe has ended. What is beyond the bound is read and dropped. */
static bool drain(int fd, struct peri_buf *into)
{
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n > 0 && into->len + (size_t)n < SAID_MAX)
        (void)!peri_buf_append(into, chunk, (size_t)n);
    return n > 0 || (n < 0 && errno == EINTR);
}

static bool has_ended(struct probe *probe)
{
    return waitpid(probe->pid, &probe->status, WNOHANG) == probe->pid;
}

/* Reads until it has ended; false: its time was over. Something that it has started may hold the pipes open for longer
 * than it lives, so their end is not waited for. */
static bool listen_to(struct probe *probe, int timeout_ms)
{
    int64_t until = now_ms() + timeout_ms;
    bool open[2] = {true, true}, ended = false;
    while (!ended && now_ms() < until) {
        struct pollfd fds[2] = {{open[0] ? probe->out : -1, POLLIN, 0}, {open[1] ? probe->errors : -1, POLLIN, 0}};
        int n = poll(fds, 2, open[0] || open[1] ? 50 : 5);
        if (n > 0 && fds[0].revents)
            open[0] = drain(probe->out, &probe->said);
        if (n > 0 && fds[1].revents)
            open[1] = drain(probe->errors, &probe->printed);
        if (n <= 0 || (!open[0] && !open[1]))
            ended = has_ended(probe);
    }
    if (ended) { /* with the last it said still in the pipe, perhaps */
        fcntl(probe->out, F_SETFL, O_NONBLOCK);
        fcntl(probe->errors, F_SETFL, O_NONBLOCK);
        while (open[0] && drain(probe->out, &probe->said))
            ;
        while (open[1] && drain(probe->errors, &probe->printed))
            ;
        return true;
    }
    kill(-probe->pid, SIGKILL);
    kill(probe->pid, SIGKILL);
    while (waitpid(probe->pid, &probe->status, 0) < 0 && errno == EINTR)
        ;
    return false;
}

/* The last line that it printed, for people; "" when there is none. */
static void last_words(struct probe *probe, char *out, size_t size)
{
    const char *text = peri_buf_text(&probe->printed);
    size_t end = probe->printed.len;
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r'))
        end--;
    size_t from = end;
    while (from > 0 && text[from - 1] != '\n' && end - from < size - 8)
        from--;
    if (end == from) {
        out[0] = '\0';
        return;
    }
    snprintf(out, size, " (%.*s)", (int)(end - from), text + from);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
}

/* What it said: the stage that it was in, and the verdict if it came to one. */
static struct peri_value *verdict(struct probe *probe, const char **ret_stage)
{
    static const char *const doing[] = {"load", "init", "offer", "unload"}, *const words[] = {"its constructors ran",
                                                                                "its init ran",
                                                                                "what it offers was looked at",
                                                                                "it was unloaded"};
    const char *line = peri_buf_text(&probe->said);
    *ret_stage = "it was started";
    while (line && *line) {
        size_t len = strcspn(line, "\n");
        struct peri_value *v = NULL;
        if (!peri_json_parse(line, len, &v, NULL) && peri_map_at(v, "ok"))
            return v;
        for (size_t i = 0; v && i < 4; i++)
            if (peri_streq(peri_map_text(v, "stage"), doing[i]))
                *ret_stage = words[i];
        peri_value_unref(v);
        line += len + (line[len] == '\n');
    }
    return NULL;
}

static enum peri_status judge(struct probe *probe, const char *path, bool in_time, struct peri_error *err)
{
    char words[200];
    const char *stage;
    struct peri_value *v = verdict(probe, &stage);
    const struct peri_value *e = peri_map_at(v, "error");
    const char *found = peri_map_text(e, "code");
    enum peri_status st = PERI_OK;
    last_words(probe, words, sizeof(words));
    if (!in_time)
        st = peri_error_set(
            err, PERI_EINVAL, "native.hangs", "%s did not come to an end while %s%s", path, stage, words);
    else if (v && e)
        st = peri_error_set(err, PERI_EINVAL, found, "%s", peri_map_text(e, "message"));
    else if (WIFSIGNALED(probe->status))
        st = peri_error_set(err, PERI_EINVAL, "native.crashed", "%s crashed while %s: signal %d, %s%s", path, stage,
            WTERMSIG(probe->status), strsignal(WTERMSIG(probe->status)), words);
    else if (!v || WEXITSTATUS(probe->status) != 0)
        st = peri_error_set(err, PERI_EINVAL, "native.crashed", "%s ended the process while %s: exit status %d%s", path,
            stage, WEXITSTATUS(probe->status), words);
    peri_value_unref(v);
    return st;
}

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

enum peri_status peri_native_probe(const char *program, const char *path, int timeout_ms, struct peri_error *err)
{
    int out[2] = {-1, -1}, errors[2] = {-1, -1};
    struct probe probe = {.pid = -1};
    enum peri_status st = peri_native_check_file(path, err); /* as cheap here, and no process for it */
    if (st)
        return st;
    peri_buf_init(&probe.said, SAID_MAX);
    peri_buf_init(&probe.printed, SAID_MAX);
    int failed = pipe2(out, O_CLOEXEC) || pipe2(errors, O_CLOEXEC) ? errno : 0;
    if (!failed)
        failed = spawn(&probe, program, path, out[1], errors[1]);
    if (failed) {
        close_pair(out);
        close_pair(errors);
        return peri_error_set(err, PERI_EIO, "native.probe", "%s could not be tried by a process of its own: %s: %s",
            path, program, strerror(failed));
    }
    close(out[1]);
    close(errors[1]);
    probe.out = out[0];
    probe.errors = errors[0];
    bool in_time = listen_to(&probe, timeout_ms);
    st = judge(&probe, path, in_time, err);
    close(probe.out);
    close(probe.errors);
    peri_buf_finish(&probe.said);
    peri_buf_finish(&probe.printed);
    return st;
}
