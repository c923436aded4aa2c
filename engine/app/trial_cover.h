/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_TRIAL_COVER_H
#define PERI_APP_TRIAL_COVER_H

#include "app/trial.h"

/* What tests reached of their rules: how conditions and patterns turned out, which branches were taken. Rules are known
 * by id and their parts by path, because a run that went on after a restart has rules of its own. */
struct peri_trial_cover;

struct peri_trial_cover *peri_trial_cover_create(void);
void peri_trial_cover_destroy(struct peri_trial_cover *cover);
/* Each condition as it is decided. */
void peri_trial_cover_condition(struct peri_trial_cover *cover, const struct peri_rule *rule,
    const struct peri_condition *leaf, enum peri_cond_outcome outcome);
/* Verdicts and steps of the case that ends. */
enum peri_status peri_trial_cover_case(
    struct peri_trial_cover *cover, struct peri_trial_bed *bed, struct peri_error *err) PERI_MUST_CHECK;
/* Adds the bed's rules to those that are reported. PERI_ENOMEM. */
enum peri_status peri_trial_cover_rules(
    struct peri_trial_cover *cover, const struct peri_rule_list *rules) PERI_MUST_CHECK;
/* Findings (notes, [not-covered]) and totals; with --json one rule a line. */
void peri_trial_cover_print(struct peri_trial_cover *cover, struct peri_cli *cli);

#endif
