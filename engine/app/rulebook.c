/* SPDX-License-Identifier: Apache-2.0 */
#include "app/rulebook.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/paths.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"

#define MAX_FOLDER_DEPTH 8

struct file {
    char *path;
    struct peri_rule_list good; /* the rules that run */
    bool seen;                  /* in this pass */
};

struct folder {
    char *path;
    bool was_there;
};

struct peri_rulebook {
    struct folder *folders;
    size_t folder_count;
    const char **paths;  /* of the folders, NULL-ended */
    struct file **files; /* sorted by path, but not while folders are scanned */
    size_t count, cap;
    struct peri_map *by_path;
    struct peri_rule_list rules; /* of all files, ids distinct */
    bool slim;
    size_t running; /* files that they come from */
    size_t next;    /* to be read */
    bool scanned;
};

struct peri_rulebook *peri_rulebook_create(const char *const *folders)
{
    struct peri_rulebook *book = calloc(1, sizeof(*book));
    size_t n = 0;
    while (folders[n])
        n++;
    if (book) {
        book->folders = calloc(n + 1, sizeof(*book->folders));
        book->paths = calloc(n + 1, sizeof(*book->paths));
        book->by_path = peri_map_create();
    }
    if (!book || !book->folders || !book->paths || !book->by_path) {
        peri_rulebook_destroy(book);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        /* The same folder twice would make every id a duplicate. */
        bool known = false;
        for (size_t k = 0; k < book->folder_count; k++)
            known |= peri_streq(book->folders[k].path, folders[i]);
        if (!known && (book->folders[book->folder_count].path = peri_strdup(folders[i]))) {
            book->paths[book->folder_count] = book->folders[book->folder_count].path;
            book->folder_count++;
        }
    }
    return book;
}

static void file_destroy(struct file *f)
{
    peri_rule_list_finish(&f->good);
    free(f->path);
    free(f);
}

void peri_rulebook_keep_slim(struct peri_rulebook *book)
{
    book->slim = true;
}

void peri_rulebook_destroy(struct peri_rulebook *book)
{
    if (!book)
        return;
    for (size_t i = 0; i < book->count; i++)
        file_destroy(book->files[i]);
    for (size_t i = 0; i < book->folder_count; i++)
        free(book->folders[i].path);
    peri_rule_list_finish(&book->rules);
    peri_map_destroy(book->by_path, NULL);
    free(book->folders);
    free(book->paths);
    free(book->files);
    free(book);
}

static struct file *find_file(struct peri_rulebook *book, const char *path)
{
    struct file *f = peri_map_get(book->by_path, path);
    if (f)
        return f;
    if (!peri_vec_grow(&book->files, &book->cap, book->count + 1, sizeof(*book->files)))
        return NULL;
    f = calloc(1, sizeof(*f));
    if (!f || !(f->path = peri_strdup(path)) || !peri_map_set(book->by_path, path, f, NULL)) {
        if (f)
            free(f->path);
        free(f);
        return NULL;
    }
    book->files[book->count++] = f;
    return f;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct file *const *)a)->path, (*(struct file *const *)b)->path);
}

static bool is_rule_file(const char *name)
{
    return name[0] != '.' && (peri_str_ends(name, ".yaml") || peri_str_ends(name, ".yml")) &&
           !peri_str_ends(name, ".test.yaml") && !peri_str_ends(name, ".test.yml");
}

/* The folders that lead to one, to notice a link back to one of them. */
struct chain {
    const struct chain *above;
    dev_t device;
    ino_t inode;
    int depth;
};

static bool leads_back(const struct chain *chain, const struct stat *info)
{
    for (; chain; chain = chain->above)
        if (chain->device == info->st_dev && chain->inode == info->st_ino)
            return true;
    return false;
}

static void scan(struct peri_rulebook *book, const char *folder, const struct chain *above, struct peri_diag *diag)
{
    DIR *dir = opendir(folder);
    struct stat info;
    if (!dir) {
        peri_diag_add(diag, (struct peri_place){folder, 0, 0}, PERI_SEV_ERROR, "folder", NULL,
            "cannot read this folder: %s", strerror(errno));
        return;
    }
    struct chain here = {.above = above, .depth = above ? above->depth + 1 : 0};
    if (fstat(dirfd(dir), &info) == 0) {
        if (leads_back(above, &info)) {
            closedir(dir);
            return;
        }
        here.device = info.st_dev;
        here.inode = info.st_ino;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        char *path = peri_path_join(folder, e->d_name);
        if (path && peri_path_is_dir(path) && here.depth < MAX_FOLDER_DEPTH) {
            scan(book, path, &here, diag);
        } else if (path && is_rule_file(e->d_name) && peri_path_is_file(path)) {
            struct file *f = find_file(book, path);
            if (f)
                f->seen = true;
        }
        free(path);
    }
    closedir(dir);
}

/* A vanished folder must not switch off its rules: somebody may be replacing it this moment. */
static void keep_folder(struct peri_rulebook *book, const char *folder)
{
    size_t n = strlen(folder);
    for (size_t i = 0; i < book->count; i++) {
        const char *path = book->files[i]->path;
        if (strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0'))
            book->files[i]->seen = true;
    }
}

static void scan_all(struct peri_rulebook *book, struct peri_diag *diag)
{
    for (size_t i = 0; i < book->folder_count; i++) {
        struct folder *folder = &book->folders[i];
        struct peri_place place = {folder->path, 0, 0};
        if (peri_path_is_file(folder->path)) {
            struct file *f = find_file(book, folder->path);
            if (f)
                f->seen = true;
            folder->was_there = true;
        } else if (peri_path_is_dir(folder->path)) {
            folder->was_there = true;
            scan(book, folder->path, NULL, diag);
        } else if (folder->was_there) {
            peri_diag_add(diag, place, PERI_SEV_ERROR, "folder", NULL,
                "this rule folder has vanished: its last good rules keep running");
            keep_folder(book, folder->path);
        }
    }
}

static enum peri_status read_file(struct file *f, bool slim, const struct peri_rule_env *env, struct peri_diag *diag)
{
    struct peri_rule_list fresh = {0};
    bool had_good = f->good.count > 0;
    enum peri_status st = peri_rules_load_file(f->path, env, &fresh, diag);
    if (st == PERI_ENOMEM) {
        peri_rule_list_finish(&fresh);
        return st;
    }
    if (st != PERI_OK && had_good) {
        peri_rule_list_finish(&fresh);
        return PERI_OK;
    }
    for (size_t i = 0; slim && i < fresh.count; i++)
        peri_rule_slim(fresh.items[i]);
    peri_rule_list_finish(&f->good);
    f->good = fresh;
    return PERI_OK;
}

/* Rules that share the path of a webhook agree about who may call it. False with a finding. */
static bool doors_agree(struct peri_map *doors, const struct peri_rule *rule, struct peri_diag *diag, bool *ret_nomem)
{
    for (size_t i = 0; i < rule->trigger_count; i++) {
        const struct peri_trigger *t = &rule->triggers[i], *first;
        if (!t->webhook)
            continue;
        if (!(first = peri_map_get(doors, t->webhook->path))) {
            *ret_nomem = !peri_map_set(doors, t->webhook->path, (void *)(uintptr_t)t, NULL) || *ret_nomem;
        } else if (strcmp(first->webhook->spec, t->webhook->spec) != 0) {
            peri_diag_add(diag, t->event_place, PERI_SEV_ERROR, "webhook-conflict",
                "say the same in both, take another path, or hear its event in one: trigger: {event: webhook...}",
                "the webhook \"%s\" is set up otherwise in %s:%d", t->webhook->path, first->event_place.file,
                first->event_place.line);
            return false;
        }
    }
    return true;
}

/* All good rules in file order; an id that is taken is a finding at the second place. */
static enum peri_status merge(struct peri_rulebook *book, struct peri_diag *diag)
{
    struct peri_map *ids = peri_map_create(), *doors = peri_map_create();
    enum peri_status st = ids && doors ? PERI_OK : PERI_ENOMEM;
    bool nomem = false;
    struct peri_rule_list all = {0};
    for (size_t i = 0; st == PERI_OK && i < book->count; i++) {
        const struct peri_rule_list *good = &book->files[i]->good;
        for (size_t k = 0; st == PERI_OK && k < good->count; k++) {
            struct peri_rule *rule = good->items[k], *first = peri_map_get(ids, rule->id);
            if (first) {
                peri_diag_add(diag, rule->place, PERI_SEV_ERROR, "duplicate-id",
                    "give one of them an \"id\" of its own", "the rule id \"%s\" is already used in %s:%d", rule->id,
                    first->place.file, first->place.line);
                continue;
            }
            if (!doors_agree(doors, rule, diag, &nomem))
                continue;
            if (nomem || !peri_vec_grow(&all.items, &all.cap, all.count + 1, sizeof(*all.items)) ||
                !peri_map_set(ids, rule->id, rule, NULL))
                st = PERI_ENOMEM;
            else
                all.items[all.count++] = peri_rule_ref(rule);
        }
    }
    peri_map_destroy(ids, NULL);
    peri_map_destroy(doors, NULL);
    if (st) {
        peri_rule_list_finish(&all);
        return st;
    }
    peri_rule_list_finish(&book->rules);
    book->rules = all;
    return PERI_OK;
}

void peri_rulebook_begin(struct peri_rulebook *book)
{
    book->scanned = false;
    book->next = 0;
}

static void look_for_files(struct peri_rulebook *book, struct peri_diag *diag)
{
    for (size_t i = 0; i < book->count; i++)
        book->files[i]->seen = false;
    scan_all(book, diag);
    size_t kept = 0;
    for (size_t i = 0; i < book->count; i++) {
        if (book->files[i]->seen) {
            book->files[kept++] = book->files[i];
        } else {
            peri_map_remove(book->by_path, book->files[i]->path);
            file_destroy(book->files[i]);
        }
    }
    book->count = kept;
    if (kept)
        qsort(book->files, kept, sizeof(*book->files), by_path);
    book->scanned = true;
}

enum peri_status peri_rulebook_step(
    struct peri_rulebook *book, const struct peri_rule_env *env, struct peri_diag *diag, bool *ret_more)
{
    enum peri_status st = PERI_OK;
    struct peri_rule_env mine = env ? *env : (struct peri_rule_env){0};
    mine.folders[1] = mine.folders[0];
    mine.folders[0] = book->paths;
    if (!book->scanned)
        look_for_files(book, diag);
    else if (book->next < book->count && peri_path_is_file(book->files[book->next]->path))
        st = read_file(book->files[book->next++], book->slim, &mine, diag);
    else if (book->next < book->count)
        book->next++;
    *ret_more = book->next < book->count;
    return st;
}

enum peri_status peri_rulebook_end(struct peri_rulebook *book, struct peri_diag *diag)
{
    enum peri_status st = merge(book, diag);
    if (!st)
        book->running = book->count;
    return st;
}

enum peri_status peri_rulebook_load(struct peri_rulebook *book, const struct peri_rule_env *env, struct peri_diag *diag)
{
    bool more = true;
    enum peri_status st = PERI_OK;
    peri_rulebook_begin(book);
    while (!st && more)
        st = peri_rulebook_step(book, env, diag, &more);
    return st ? st : peri_rulebook_end(book, diag);
}

const struct peri_rule_list *peri_rulebook_rules(const struct peri_rulebook *book)
{
    return &book->rules;
}

size_t peri_rulebook_files(const struct peri_rulebook *book)
{
    return book->running;
}

const char *peri_rulebook_file_at(const struct peri_rulebook *book, size_t i)
{
    return i < book->count ? book->files[i]->path : NULL;
}
