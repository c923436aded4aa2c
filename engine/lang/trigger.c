/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/rule.h"

bool peri_trigger_watches(const struct peri_trigger *trigger)
{
    switch (trigger->kind) {
    case PERI_TRIGGER_EVENT:
        return trigger->for_ms > 0;
    case PERI_TRIGGER_SCHEDULE:
        return false;
    default:
        return true;
    }
}

const char *peri_trigger_hears(const struct peri_trigger *trigger, size_t i, struct peri_place *ret_place)
{
    bool steps = trigger->kind == PERI_TRIGGER_SEQUENCE;
    if (i >= (steps ? trigger->step_count : 1))
        return NULL;
    if (ret_place)
        *ret_place = steps ? trigger->steps[i].event_place : trigger->event_place;
    return steps ? trigger->steps[i].event : trigger->event;
}

const char *peri_trigger_kind_name(const struct peri_trigger *trigger)
{
    switch (trigger->kind) {
    case PERI_TRIGGER_SCHEDULE:
        return "schedule";
    case PERI_TRIGGER_COUNT:
        return "count";
    case PERI_TRIGGER_ABSENCE:
        return "absence";
    case PERI_TRIGGER_SEQUENCE:
        return "sequence";
    case PERI_TRIGGER_EVENT:
        break;
    }
    return trigger->webhook ? "webhook" : "event";
}
