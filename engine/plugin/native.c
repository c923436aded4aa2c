/* SPDX-License-Identifier: Apache-2.0 */
/* Loading of shared objects. What a plugin hands over is copied into structs as this version knows them: members that
 * the plugin's own headers did not have yet are zero, those that came later are left out. */
#include "plugin/native.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define MAX_ITEMS 1000 /* of one kind */

/* Up to the last member that the first header of each struct had. */
#define FIRST(type, member) (offsetof(struct type, member) + sizeof(((struct type *)0)->member))

/* --- the file --- */

static const char *machine_name(unsigned machine)
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {{EM_X86_64, "x86-64"}, {EM_AARCH64, "arm64"}, {EM_386, "x86 (32 bits)"}, {EM_ARM, "arm (32 bits)"},
        {EM_RISCV, "risc-v"}, {EM_PPC64, "ppc64"}, {EM_S390, "s390x"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].machine == machine)
            return names[i].name;
    return "another machine";
}

/* False: not that many bytes. */
static bool read_head(const char *path, Elf64_Ehdr *ret)
{
    FILE *in = fopen(path, "re");
    bool read = in && fread(ret, sizeof(*ret), 1, in) == 1;
    if (in)
        fclose(in);
    return read;
}

enum peri_status peri_native_check_file(const char *path, struct peri_error *err)
{
    Elf64_Ehdr head, own;
    errno = 0;
    if (!read_head(path, &head))
        return errno ? peri_error_set(err, PERI_EINVAL, "native.load", "%s: %s", path, strerror(errno))
                     : peri_error_set(err, PERI_EINVAL, "native.format", "%s is no shared object: too short", path);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return peri_error_set(
            err, PERI_EINVAL, "native.format", "%s is no shared object (not an ELF file): build it first", path);
    /* e_type and e_machine lie at the same place in files of 32 and 64 bits. */
    if (read_head("/proc/self/exe", &own) &&
        (head.e_ident[EI_CLASS] != own.e_ident[EI_CLASS] || head.e_ident[EI_DATA] != own.e_ident[EI_DATA] ||
            head.e_machine != own.e_machine))
        return peri_error_set(err, PERI_EINVAL, "native.arch", "%s is built for %s, this is %s", path,
            machine_name(head.e_machine), machine_name(own.e_machine));
    if (head.e_type != ET_DYN)
        return peri_error_set(err, PERI_EINVAL, "native.format",
            "%s is no shared object but another kind of ELF file: link it with -shared", path);
    return PERI_OK;
}

/* What the loader says, sorted into what can be done about it. */
static enum peri_status load_error(const char *path, const char *why, struct peri_error *err)
{
    size_t len = strlen(path);
    if (!why)
        why = path;
    if (strstr(why, "undefined symbol"))
        return peri_error_set(err, PERI_EINVAL, "native.symbol", "%s", why);
    if (strstr(why, "cannot open shared object file") && strncmp(why, path, len) != 0)
        return peri_error_set(err, PERI_EINVAL, "native.library", "%s", why);
    return peri_error_set(err, PERI_EINVAL, "native.load", "%s", why);
}

/* --- what it offers --- */

static bool take(void *to, size_t known, const void *from, size_t least)
{
    size_t size;
    memcpy(&size, from, sizeof(size));
    if (size < least)
        return false;
    memset(to, 0, known);
    memcpy(to, from, size < known ? size : known);
    return true;
}

static size_t count_of(const void *list)
{
    const void *const *items = list;
    size_t n = 0;
    while (items && items[n])
        n++;
    return n;
}

static const char *take_operators(struct peri_native *native)
{
    const struct perigee_operator *const *ops = native->plugin.operators;
    size_t n = count_of(ops);
    if (n > MAX_ITEMS)
        return "it registers too many operators";
    if (n && !(native->operators = calloc(n, sizeof(*native->operators))))
        return "out of memory";
    for (; native->operator_count < n; native->operator_count++) {
        struct perigee_operator *op = &native->operators[native->operator_count];
        if (!take(op, sizeof(*op), ops[native->operator_count], FIRST(perigee_operator, reserved)))
            return "an operator's size is smaller than the struct of its version";
        if (!op->id || !*op->id || !op->run)
            return "an operator lacks an id or a run function";
        if (op->kind != PERIGEE_CONDITION && op->kind != PERIGEE_ACTION)
            return "an operator is neither a condition nor an action";
        if (op->reserved)
            return "an operator sets a member that is reserved";
        if (op->lookup && op->kind == PERIGEE_CONDITION)
            return "a condition has a lookup: only actions are looked up";
    }
    return NULL;
}

static const char *take_webhooks(struct peri_native *native)
{
    size_t n = count_of(native->plugin.webhooks);
    if (n > MAX_ITEMS)
        return "it registers too many webhooks";
    if (n && !(native->webhooks = calloc(n, sizeof(*native->webhooks))))
        return "out of memory";
    for (; native->webhook_count < n; native->webhook_count++) {
        struct perigee_webhook *w = &native->webhooks[native->webhook_count];
        if (!take(w, sizeof(*w), native->plugin.webhooks[native->webhook_count], FIRST(perigee_webhook, handle)) ||
            !w->path || w->path[0] != '/' || !w->handle)
            return "a webhook lacks its size, a path that begins with a slash, or a function handle";
    }
    return NULL;
}

static const char *take_jobs(struct peri_native *native)
{
    size_t n = count_of(native->plugin.jobs);
    if (n > MAX_ITEMS)
        return "it registers too many jobs";
    if (n && !(native->jobs = calloc(n, sizeof(*native->jobs))))
        return "out of memory";
    for (; native->job_count < n; native->job_count++) {
        struct perigee_job *job = &native->jobs[native->job_count];
        if (!take(job, sizeof(*job), native->plugin.jobs[native->job_count], FIRST(perigee_job, run)) || !job->name ||
            !*job->name || !job->run)
            return "a job lacks its size, a name, or a function run";
    }
    return NULL;
}

static const char *take_channel(struct peri_native *native)
{
    struct perigee_channel *c = &native->channel;
    if (!native->plugin.channel)
        return NULL;
    if (!take(c, sizeof(*c), native->plugin.channel, FIRST(perigee_channel, incoming)))
        return "the channel's size is smaller than the struct of its version";
    if (!c->type || !*c->type || !c->send)
        return "the channel lacks a type or a function send";
    if (c->delivery < PERIGEE_ONCE || c->delivery > PERIGEE_LOOKUP)
        return "the channel's delivery is none that there is";
    if ((c->delivery == PERIGEE_LOOKUP) != (c->lookup != NULL))
        return "the channel's delivery PERIGEE_LOOKUP and a function lookup go together";
    return NULL;
}

static const char *take_connector(struct peri_native *native)
{
    struct perigee_connector *c = &native->connector;
    if (!native->plugin.connector)
        return NULL;
    if (!take(c, sizeof(*c), native->plugin.connector, FIRST(perigee_connector, execute_schema)))
        return "the connector's size is smaller than the struct of its version";
    if (!c->sync && !c->listen && !c->execute && !c->map)
        return "the connector has neither sync nor map, listen or execute";
    if (c->sync_every_ms != 0 && (!c->sync || c->sync_every_ms < 1000))
        return "sync_every_ms needs a function sync, and is at least 1000";
    if ((c->listen != NULL) != (c->unlisten != NULL))
        return "listen and unlisten go together";
    return NULL;
}

static enum peri_status take_all(struct peri_native *native, const char *path, struct peri_error *err)
{
    const char *(*const takers[])(struct peri_native *) = {
        take_operators, take_webhooks, take_jobs, take_channel, take_connector};
    for (size_t i = 0; i < sizeof(takers) / sizeof(takers[0]); i++) {
        const char *why = takers[i](native);
        if (why)
            return peri_error_set(err, PERI_EINVAL, "native.operator", "%s: %s", path, why);
    }
    return PERI_OK;
}

/* --- loading --- */

static enum peri_status start(
    struct peri_native *native, const char *path, const struct peri_native_watch *watch, struct peri_error *err)
{
    union {
        void *symbol;
        perigee_plugin_init_fn *init;
    } entry = {.symbol = dlsym(native->object, "perigee_plugin_init")};
    char message[256] = "";
    if (!entry.symbol)
        return peri_error_set(err, PERI_EINVAL, "native.entry", "%s exports no perigee_plugin_init", path);
    struct perigee_plugin *plugin = &native->plugin;
    if (watch)
        watch->said(watch->arg, "init");
    if (entry.init(&peri_native_api, plugin, message, sizeof(message))) {
        message[sizeof(message) - 1] = '\0';
        plugin->unload = NULL;
        return peri_error_set(
            err, PERI_EINVAL, "native.init", "%s: init failed%s%s", path, message[0] ? ": " : "", message);
    }
    if (plugin->abi < peri_native_api.abi_min || plugin->abi > peri_native_api.abi_max)
        return peri_error_set(err, PERI_EINVAL, "native.version",
            "%s is built for plugin ABI %u, this perigee speaks %u: build it against %s", path, plugin->abi,
            peri_native_api.abi_max, "the installed perigee/plugin.h");
    if (watch)
        watch->said(watch->arg, "offer");
    return take_all(native, path, err);
}

enum peri_status peri_native_open(const char *path, struct perigee_self *self, const struct peri_native_watch *watch,
    struct peri_native **ret, struct peri_error *err)
{
    enum peri_status st = peri_native_check_file(path, err);
    struct peri_native *native = st ? NULL : calloc(1, sizeof(*native));
    if (!native)
        return st ? st : peri_error_nomem(err);
    native->plugin.size = sizeof(native->plugin);
    native->plugin.self = self;
    if (watch)
        watch->said(watch->arg, "load");
    native->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!native->object) {
        st = load_error(path, dlerror(), err);
        free(native);
        return st;
    }
    st = start(native, path, watch, err);
    if (st)
        peri_native_close(native);
    else
        *ret = native;
    return st;
}

void peri_native_close(struct peri_native *native)
{
    if (!native)
        return;
    if (native->listening)
        native->connector.unlisten(native->plugin.state);
    if (native->plugin.unload)
        native->plugin.unload(native->plugin.state);
    if (!atomic_load(&native->stays))
        dlclose(native->object);
    free(native->operators);
    free(native->webhooks);
    free(native->jobs);
    free(native);
}
