/* SPDX-License-Identifier: Apache-2.0 */
#include "app/trial_stub.h"

#include <stdlib.h>
#include <string.h>

#include "data/json.h"

static struct peri_trial_stub *find_in(struct peri_trial_stub *stubs, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(stubs[i].operator_id, id) == 0)
            return &stubs[i];
    return NULL;
}

struct peri_trial_stub *peri_trial_stub_find(const struct peri_trial_bed *bed, const char *id)
{
    struct peri_trial_stub *stub = bed->now ? find_in(bed->now->stubs, bed->now->stub_count, id) : NULL;
    return stub ? stub : find_in(bed->file->stubs, bed->file->stub_count, id);
}

/* Those with a `when` that fits come before those without; of several, each once, then the last again and again. */
static struct peri_trial_answer *choose(struct peri_trial_stub *stub, const struct peri_value *params)
{
    struct peri_trial_answer *found = NULL;
    char *json = peri_json_text(params, PERI_JSON_COMPACT);
    for (size_t i = 0; json && i < stub->count; i++) {
        struct peri_trial_answer *a = &stub->answers[i];
        bool fits = !a->when;
        if (a->when && peri_pattern_match(a->when, json, strlen(json), &fits, NULL, NULL) != PERI_OK)
            fits = false;
        if (!fits || (found && found->when && !a->when))
            continue;
        if (!found || found->used || (a->when && !found->when))
            found = a;
    }
    free(json);
    if (found)
        found->used = true;
    return found;
}

struct peri_trial_stub *peri_trial_stub_known(const struct peri_trial_file *file, const char *id)
{
    struct peri_trial_stub *stub = find_in(file->stubs, file->stub_count, id);
    for (size_t i = 0; !stub && i < file->case_count; i++)
        stub = find_in(file->cases[i].stubs, file->cases[i].stub_count, id);
    return stub;
}

struct pending {
    const struct peri_trial_answer *answer;
    peri_call_done done;
    void *arg;
};

static void deliver(void *arg)
{
    struct pending *p = arg;
    const struct peri_trial_answer *a = p->answer;
    struct peri_call_result result = {
        .is_condition = a && a->is_condition, .holds = a && a->holds, .value = a ? a->value : NULL};
    if (!a)
        result.status =
            peri_error_set(&result.error, PERI_EINVAL, "stub", "no answer of the stub fits these parameters");
    else if (a->fails) {
        result.status = a->error.status;
        result.error = a->error;
    }
    p->done(p->arg, &result);
    free(p);
}

enum peri_status peri_trial_stub_call(struct peri_trial_bed *bed, struct peri_trial_stub *stub,
    const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    struct pending *p = calloc(1, sizeof(*p));
    if (!p)
        return peri_error_nomem(err);
    *p = (struct pending){choose(stub, call->params), done, arg};
    enum peri_status st = peri_loop_post(bed->loop, deliver, p);
    if (st) {
        free(p);
        return peri_error_set(err, st, NULL, "the call was not made");
    }
    return PERI_OK;
}

void peri_trial_stubs_forget(struct peri_trial_stub *stubs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < stubs[i].count; k++)
            stubs[i].answers[k].used = false;
}
