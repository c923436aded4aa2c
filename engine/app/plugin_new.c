/* SPDX-License-Identifier: Apache-2.0 */
/* A new plugin is a copy of a template folder in which @NAME@ and the like are replaced, in texts and in file names. */
#include "app/plugin_new.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/paths.h"
#include "base/buf.h"
#include "base/str.h"
#include "plugin/manifest.h"

#define MAX_FILE ((size_t)1 << 20)

enum { ID, NAME, WORD, TITLE, INCLUDE, TYPES, KEYS };
static const char *const keys[KEYS] = {"ID", "NAME", "WORD", "TITLE", "INCLUDE", "TYPES"};

struct filling {
    char *value[KEYS];
};

/* "my-garden" -> "myGarden", with a letter first: it begins the ids of operators. */
static char *word_of(const char *name)
{
    char *word = calloc(1, strlen(name) + 2);
    if (!word)
        return NULL;
    size_t n = 0;
    bool upper = false;
    if (isdigit((unsigned char)*name))
        word[n++] = 'p';
    for (const char *p = name; *p; p++) {
        if (isalnum((unsigned char)*p)) {
            word[n] = (char)(upper && n ? toupper((unsigned char)*p) : *p);
            n++;
        }
        upper = !isalnum((unsigned char)*p);
    }
    return word;
}

/* "my-garden" -> "My Garden" */
static char *title_of(const char *name)
{
    char *title = peri_strdup(name);
    bool first = true;
    for (char *p = title; p && *p; p++) {
        if (*p == '-')
            *p = ' ';
        else if (first)
            *p = (char)toupper((unsigned char)*p);
        first = *p == ' ';
    }
    return title;
}

static enum peri_status fill(struct filling *f, const char *id, struct peri_error *err)
{
    const char *dot = strrchr(id, '.');
    char *share = peri_path_share();
    f->value[ID] = peri_strdup(id);
    f->value[NAME] = peri_strdup(dot ? dot + 1 : id);
    f->value[WORD] = f->value[NAME] ? word_of(f->value[NAME]) : NULL;
    f->value[TITLE] = f->value[NAME] ? title_of(f->value[NAME]) : NULL;
    f->value[INCLUDE] = share ? peri_asprintf("%s/../../include", share) : NULL;
    f->value[TYPES] = peri_path_join(share, "lua/types");
    free(share);
    for (int i = 0; i < KEYS; i++)
        if (!f->value[i])
            return peri_error_nomem(err);
    return PERI_OK;
}

static void fill_finish(struct filling *f)
{
    for (int i = 0; i < KEYS; i++)
        free(f->value[i]);
}

/* text with every @KEY@ replaced; NULL when memory is out. */
static char *replaced(const struct filling *f, const char *text)
{
    struct peri_buf out;
    peri_buf_init(&out, 2 * MAX_FILE);
    while (*text) {
        const char *at = strchr(text, '@');
        size_t plain = at ? (size_t)(at - text) : strlen(text);
        (void)!peri_buf_append(&out, text, plain);
        text += plain;
        if (!at)
            break;
        const char *with = "@";
        size_t used = 1;
        for (int i = 0; i < KEYS; i++) {
            size_t len = strlen(keys[i]);
            if (strncmp(at + 1, keys[i], len) == 0 && at[1 + len] == '@') {
                with = f->value[i];
                used = len + 2;
            }
        }
        (void)!peri_buf_append(&out, with, strlen(with));
        text += used;
    }
    char *done = out.failed ? NULL : peri_buf_take(&out, NULL);
    peri_buf_finish(&out);
    return done;
}

/* The templates are the project's, what is made from them is the author's: so without the line that says whose. */
static const char *after_licence(const char *text)
{
    const char *end = strchr(text, '\n');
    const char *mark = strstr(text, "SPDX-License-Identifier");
    return end && mark && mark < end ? end + 1 : text;
}

static enum peri_status write_file(const char *path, const char *text, struct peri_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    size_t len = strlen(text), done = 0;
    while (fd >= 0 && done < len) {
        ssize_t n = write(fd, text + done, len - done);
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0 && done == len && close(fd) == 0)
        return PERI_OK;
    peri_error_set(err, PERI_EIO, "plugin.new", "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0 && done < len)
        close(fd);
    return PERI_EIO;
}

static enum peri_status copy_file(const struct filling *f, const char *from, const char *to, struct peri_error *err)
{
    char *text = NULL;
    size_t len;
    enum peri_status st = peri_path_read(from, MAX_FILE, &text, &len, err);
    if (st)
        return st;
    char *made = replaced(f, after_licence(text));
    st = made ? write_file(to, made, err) : peri_error_nomem(err);
    free(made);
    free(text);
    return st;
}

static enum peri_status copy_folder(const struct filling *f, const char *from, const char *to, struct peri_error *err)
{
    if (mkdir(to, 0777))
        return peri_error_set(err, errno == EEXIST ? PERI_EEXIST : PERI_EIO, "plugin.new", "cannot make %s: %s", to,
            errno == EEXIST ? "it is there already" : strerror(errno));
    DIR *dir = opendir(from);
    if (!dir)
        return peri_error_set(err, PERI_EIO, "plugin.new", "cannot read the template %s: %s", from, strerror(errno));
    enum peri_status st = PERI_OK;
    struct dirent *entry;
    while (!st && (entry = readdir(dir))) {
        if (peri_streq(entry->d_name, ".") || peri_streq(entry->d_name, ".."))
            continue;
        char *name = replaced(f, entry->d_name);
        char *source = peri_path_join(from, entry->d_name), *target = name ? peri_path_join(to, name) : NULL;
        if (!source || !target)
            st = peri_error_nomem(err);
        else
            st = peri_path_is_dir(source) ? copy_folder(f, source, target, err) : copy_file(f, source, target, err);
        free(name);
        free(source);
        free(target);
    }
    closedir(dir);
    return st;
}

static bool one_of(const char *word, const char *const *words)
{
    while (*words && !peri_streq(word, *words))
        words++;
    return *words != NULL;
}

static enum peri_status check(const struct peri_plugin_plan *plan, struct peri_error *err)
{
    static const char *const types[] = {"operator", "connector", "channel", NULL};
    static const char *const langs[] = {"lua", "c", NULL};
    if (!peri_plugin_id_ok(plan->id))
        return peri_error_set(err, PERI_EINVAL, "plugin.new",
            "\"%s\" is no plugin id: 3 to 128 lower-case letters, digits, dots and dashes", plan->id);
    const char *name = strrchr(plan->id, '.');
    name = name ? name + 1 : plan->id;
    if (*name == '\0' || *name == '-')
        return peri_error_set(
            err, PERI_EINVAL, "plugin.new", "\"%s\": the part after the last dot names the folder", plan->id);
    if (!one_of(plan->type, types))
        return peri_error_set(
            err, PERI_EINVAL, "plugin.new", "--type takes operator, connector or channel, not \"%s\"", plan->type);
    if (!one_of(plan->lang, langs))
        return peri_error_set(err, PERI_EINVAL, "plugin.new", "--lang takes lua or c, not \"%s\"", plan->lang);
    return PERI_OK;
}

enum peri_status peri_plugin_new(const struct peri_plugin_plan *plan, char **ret_folder, struct peri_error *err)
{
    struct filling f = {0};
    char *share = NULL, *template = NULL, *folder = NULL;
    enum peri_status st = check(plan, err);
    if (st == PERI_OK)
        st = fill(&f, plan->id, err);
    if (st)
        goto out;
    share = peri_path_share();
    template =
        share ? peri_asprintf("%s/templates/%s%s", share, plan->type, peri_streq(plan->lang, "c") ? "-c" : "") : NULL;
    folder = peri_path_join(plan->dir, f.value[NAME]);
    if (!template || !folder) {
        st = peri_error_nomem(err);
        goto out;
    }
    if (!peri_path_is_dir(template))
        st = peri_error_set(
            err, PERI_ENOTFOUND, "plugin.new", "the template %s is missing: perigee is not installed whole", template);
    if (st == PERI_OK)
        st = peri_path_make(plan->dir, err);
    if (st == PERI_OK)
        st = copy_folder(&f, template, folder, err);
    if (st == PERI_OK) {
        *ret_folder = folder;
        folder = NULL;
    }
out:
    free(share);
    free(template);
    free(folder);
    fill_finish(&f);
    return st;
}
