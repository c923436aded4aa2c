/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/system_event.h"

#include <string.h>

#include "lang/glob.h"

const struct peri_system_event peri_system_events[] = {
    {"system.Started", "version started_at", "the service is ready: plugins and rules are loaded"},
    {"system.Stopping", "version reason", "the service was asked to stop"},
    {"plugin.Loaded", "plugin version", "a plugin has become active"},
    {"plugin.Unloaded", "plugin version reason", "an active plugin was switched off, replaced, revoked or removed"},
    {"plugin.Failed", "plugin version? code message", "a plugin could not be loaded, or has stopped working"},
    {"rule.Loaded", "rule name file", "a rule is new or has changed, and is in service"},
    {"rule.Failed", "file line column code message", "a rule file has an error"},
    {"run.Started", "run rule event", "a run has begun"},
    {"run.Finished", "run rule event state duration_ms error?", "a run has ended, in whatever state"},
    {"run.Failed", "run rule event duration_ms error", "a run has failed; run.Finished is told too"},
    {"action.Before", "run rule event step id? operator attempt", "an operator is about to be called by a step"},
    {"action.After", "run rule event step id? operator attempt state duration_ms error?", "an attempt has ended"},
    {"schedule.Fired", "rule? trigger? plugin? name? scheduled_at late_ms", "a schedule of a rule or plugin is due"},
    {"account.NeedsAttention", "provider code message",
        "a provider has withdrawn an account: somebody must connect it"},
    {"account.RenewalFailing", "provider code message expires_at?",
        "the token of an account could not be renewed twice in a row; it is tried again"},
    {"message.Received", "channel channel_type message? truncated?", "a message came in over a channel"},
    {"message.Sent", "channel channel_type to? key? rule? run?", "a channel or the outbox has taken a message"},
    {0},
};

const struct peri_system_event *peri_system_event_find(const char *type)
{
    for (const struct peri_system_event *e = peri_system_events; type && e->type; e++)
        if (!strcmp(e->type, type))
            return e;
    return NULL;
}

uint32_t peri_system_events_named(const char *glob)
{
    uint32_t named = 0;
    for (size_t i = 0; glob && glob[0] != '*' && peri_system_events[i].type; i++)
        if (peri_glob_match(glob, peri_system_events[i].type))
            named |= UINT32_C(1) << i;
    return named;
}

bool peri_system_event_has(const struct peri_system_event *event, const char *field)
{
    size_t len = strlen(field);
    for (const char *p = event->fields; *p;) {
        size_t n = strcspn(p, " ?");
        if (n == len && !memcmp(p, field, n))
            return true;
        p += strcspn(p, " ");
        p += *p == ' ';
    }
    return false;
}
