/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_RUN_VIEW_H
#define PERI_APP_RUN_VIEW_H

#include "data/value.h"

/* For people: a run with its steps; an event with its verdicts; one verdict as a line. */
void peri_print_run(const struct peri_value *run);
void peri_print_event(const struct peri_value *event, const struct peri_value *verdicts);
void peri_print_verdict(const struct peri_value *verdict);

#endif
