/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_FORGET_H
#define PERI_APP_FORGET_H

#include "app/service.h"

/* Deletes, in the background and once an hour at most, what the store keeps for rules that have been gone for a month:
 * what their triggers remember, and when their schedules have fired. */
void peri_forget_gone(struct peri_service *service);

#endif
