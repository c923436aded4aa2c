/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_WATCH_H
#define PERI_RUN_WATCH_H

#include "io/store_watch.h"
#include "lang/rule.h"

/* What watches over time: once_after, and triggers that wait, count or miss something. Their state is one row for each
 * key. T2 changes it when something is heard; when a row is due, it is looked at again here. Whatever is found becomes
 * an event of the source perigee:watch for just that rule and trigger, journaled in the same transaction, and goes the
 * way of all events: conditions, throttle, lane. Its external id makes it unique. */

#define WATCH_QUIET "$quiet" /* stands for the trigger of a watch that belongs to throttle.once_after */
#define WATCH_KEYS_MAX 100000

#endif
