/* SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"

#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "data/json.h"
#include "lang/expr.h"
#include "lang/index.h"
#include "lang/rule.h"

/* Reading and compiling rules with each allocation refused once: PERI_ENOMEM, or the rule, and never half of it. */

static const char text[] =
    "name: Everything\ntrigger:\n  event: shop.*\n  match: {total: [{numeric: [\">=\", 100]}], who: [{prefix: a}, {exists: false}]}\n"
    "key: \"{{ event.who }}\"\nmode: queued\nmax: 3\nthrottle: {once_within: 1h}\n"
    "conditions:\n  - expr: \"{{ event.total > 3 and event.who | default('x') | upper == 'ANN' }}\"\n"
    "  - any:\n      - not: {expr: \"{{ event.a[1].b == nil }}\"}\n      - {operator: c.yes, params: {n: \"{{ event.n }}\"}}\n"
    "actions:\n  - set: {a: \"{{ 1 + 2 }} and {{ event.x | default(3) }}\"}\n  - if: \"{{ vars.a == '3' }}\"\n    then: [{delay: 5m}]\n"
    "    else: [{emit: {event: x.Y, data: {n: \"{{ event.n | default(1) }}\"}}}]\n"
    "  - for_each: {in: \"{{ event.list | default('') }}\", as: item}\n    do: [{stop: \"done\"}]\n";

/* False: nothing was refused any more. */
static bool one_round(long n)
{
    struct peri_rule_list list = {0};
    struct peri_index *index = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    oom_at(n);
    enum peri_status st = peri_rules_load_text("r.yaml", text, strlen(text), NULL, &list, &diag);
    if (st == PERI_OK)
        st = peri_index_build(list.items, list.count, &index);
    bool hit = oom_over();
    if (!hit && st != PERI_OK)
        fail_msg("allocation %ld: %s", n, diag.count ? diag.items[0].message : peri_status_name(st));
    if (st == PERI_OK)
        assert_int_equal(list.count, 1);
    peri_index_destroy(index);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return hit;
}

static void test_each_allocation_fails_once(void **state)
{
    long n = 1;
    while (one_round(n))
        n++;
    assert_true(n > 100);
}

static const char blueprint[] =
    "blueprint:\n  name: B\n  input:\n    n: {type: integer, min: 1}\n    k: {type: string, default: key}\n    s: {type: list, min: 1, items: {type: string, pattern: \"^a\"}, "
    "default: [ab]}\ntrigger: {event: a.B, match: {x: !input s}}\nconditions: [\"{{ event.n > input.n }}\"]\nactions:\n"
    "  - {operator: core.log, params: {message: {!input k: [!input n, !input s]}}}\n";
static const char use[] = "name: R\nuse_blueprint: {path: b.yaml, input: {n: 3}}\n";
static char file[] = "/tmp/perigee-oom-rules-XXXXXX";

static enum peri_status find_blueprint(const struct peri_rule_env *env, const char *from, const char *path,
    char **ret_file, char *near, struct peri_error *err)
{
    near[0] = '\0';
    *ret_file = peri_strdup(file);
    return *ret_file ? PERI_OK : peri_error_nomem(err);
}

static bool one_blueprint_round(long n)
{
    struct peri_rule_list list = {0};
    struct peri_rule_env env = {.find_blueprint = find_blueprint};
    struct peri_diag diag;
    peri_diag_init(&diag);
    oom_at(n);
    enum peri_status st = peri_rules_load_text("r.yaml", use, strlen(use), &env, &list, &diag);
    bool hit = oom_over();
    if (!hit && st != PERI_OK)
        fail_msg("allocation %ld: %s", n, diag.count ? diag.items[0].message : peri_status_name(st));
    assert_int_equal(list.count, st == PERI_OK ? 1 : 0);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return hit;
}

static void test_each_allocation_of_a_blueprint_fails_once(void **state)
{
    int fd = mkstemp(file);
    assert_true(fd >= 0 && write(fd, blueprint, sizeof(blueprint) - 1) == (ssize_t)sizeof(blueprint) - 1 && close(fd) == 0);
    long n = 1;
    while (one_blueprint_round(n))
        n++;
    unlink(file);
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation_fails_once),
        cmocka_unit_test(test_each_allocation_of_a_blueprint_fails_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
