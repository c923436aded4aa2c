/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_RULEBOOK_H
#define PERI_APP_RULEBOOK_H

#include "base/diag.h"
#include "lang/rule.h"

/* The rule folders. Remembers for each file the last version that had no error: a file that breaks keeps running as it
 * was; a folder that vanishes keeps its rules until it is back. */
struct peri_rulebook;

/* folders: NULL-ended; each may also be a single file. Copied. */
struct peri_rulebook *peri_rulebook_create(const char *const *folders);
void peri_rulebook_destroy(struct peri_rulebook *book);
/* Rules are kept slim (peri_rule_slim), as soon as their file has been checked. */
void peri_rulebook_keep_slim(struct peri_rulebook *book);
/* Reads all files (*.yaml, *.yml, not *.test.yaml; sorted by path, folders inside folders too, hidden ones not).
 * Findings of every file go to diag. Afterwards peri_rulebook_rules is the set to run. */
enum peri_status peri_rulebook_load(
    struct peri_rulebook *book, const struct peri_rule_env *env, struct peri_diag *diag) PERI_MUST_CHECK;
/* The same in pieces: begin, step until nothing more is to come (the first one looks which files there are, each other
 * reads one), end. What peri_rulebook_rules answers changes at the end. */
void peri_rulebook_begin(struct peri_rulebook *book);
enum peri_status peri_rulebook_step(struct peri_rulebook *book, const struct peri_rule_env *env, struct peri_diag *diag,
    bool *ret_more) PERI_MUST_CHECK;
enum peri_status peri_rulebook_end(struct peri_rulebook *book, struct peri_diag *diag) PERI_MUST_CHECK;
/* borrow; valid until the next load. */
const struct peri_rule_list *peri_rulebook_rules(const struct peri_rulebook *book);
size_t peri_rulebook_files(const struct peri_rulebook *book);
/* The i-th file of the last load, those without rules too; NULL behind the last. borrow */
const char *peri_rulebook_file_at(const struct peri_rulebook *book, size_t i);

#endif
