/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_FIX_H
#define PERI_APP_FIX_H

#include "base/diag.h"
#include "lang/rule.h"

/* The changes that findings propose (base/diag.h), carried out on a text. */

/* Where a finding's change applies in text: byte offset and length of what goes. False: the finding has none, or the
 * text does not hold at that place what the finding says. */
bool peri_fix_find(const struct peri_finding *f, const char *text, size_t len, size_t *ret_at, size_t *ret_len);

/* Called for each change that was made. The finding's place is as of the text at that moment. */
typedef void (*peri_fix_told)(void *ctx, const struct peri_finding *f);

/* Mends the text of one rule file, change by change. A change stays only if the text afterwards reads better: what it
 * was to mend is gone and nothing new is wrong. *ret is a malloc'ed text, equal to the old one when nothing was mended.
 */
enum peri_status peri_fix_rules(const char *file, const char *text, size_t len, const struct peri_rule_env *env,
    peri_fix_told told, void *ctx, char **ret, size_t *ret_len, size_t *ret_count) PERI_MUST_CHECK;

/* The same for a file, which is replaced in one piece and keeps its mode. */
enum peri_status peri_fix_file(const char *path, const struct peri_rule_env *env, peri_fix_told told, void *ctx,
    size_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;

#endif
