/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_APPROVE_PAGE_H
#define PERI_APP_APPROVE_PAGE_H

#include "base/error.h"
#include "data/value.h"

/* The page behind a signed link: plain HTML and a form, no scripts. Looking at it changes nothing. */

/* approval: as peri_reader_approval gives it. note: what was wrong with the last answer, or NULL. malloc'ed. */
char *peri_approve_page(const struct peri_value *approval, const char *note);
/* A page that only says something. */
char *peri_approve_note(const char *title, const char *text);
/* The answer that a form of that page holds. PERI_EINVAL says what is wrong with it. */
enum peri_status peri_approve_form(const char *body, size_t len, const struct peri_value *schema,
    struct peri_value **ret_answer, struct peri_error *err) PERI_MUST_CHECK;

#endif
