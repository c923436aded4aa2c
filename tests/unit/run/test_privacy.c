/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "run/privacy.h"

static struct peri_value *json(const char *text)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(text, strlen(text), &v, NULL), PERI_OK);
    return v;
}

static struct peri_privacy *marks(const char *text)
{
    struct peri_value *v = json(text);
    struct peri_privacy *p = NULL;
    assert_int_equal(peri_privacy_create(v, "000102030405060708090a0b0c0d0e0f", &p, NULL), PERI_OK);
    peri_value_unref(v);
    return p;
}

static bool hides(struct peri_personal *set, const char *text)
{
    char *hidden = NULL;
    size_t len;
    bool found = peri_personal_hide(set, text, strlen(text), &hidden, &len);
    free(hidden);
    return found;
}

static void test_paths_lead_through_lists_and_globs(void **state)
{
    struct peri_privacy *p =
        marks("{\"events\": {\"a.*\": [\"who\", \"list.name\"], \"b.C\": [\"\"]}, \"data\": {\"contact\": "
              "[\"address.city\"]}}");
    struct peri_personal *set = peri_privacy_set(p, 0);
    struct peri_value *v =
        json("{\"who\": \"Barnaby\", \"list\": [{\"name\": \"Clarissa\"}, [{\"name\": \"Dorothea\"}], 1], "
             "\"other\": \"Ebenezer\", \"address\": {\"city\": \"Xanten\"}}");
    peri_privacy_event(p, "x.Y", v, set);
    assert_int_equal(peri_personal_count(set), 0);
    peri_privacy_event(p, "a.Came", v, set);
    assert_true(hides(set, "Barnaby") && hides(set, "Clarissa") && hides(set, "Dorothea"));
    assert_false(hides(set, "Ebenezer") || hides(set, "Xanten"));
    peri_privacy_entity(p, "task", v, set);
    assert_false(hides(set, "Xanten"));
    peri_privacy_entity(p, "contact", v, set);
    assert_true(hides(set, "Xanten"));
    peri_privacy_event(p, "b.C", v, set);
    assert_true(hides(set, "Ebenezer"));
    assert_true(peri_privacy_marks(p, "a.X", "list.name") && peri_privacy_marks(p, "a.X", "who.first") &&
                peri_privacy_marks(p, "b.C", "anything"));
    assert_false(peri_privacy_marks(p, "a.X", "whom") || peri_privacy_marks(p, "a.X", "list"));
    peri_value_unref(v);
    peri_personal_destroy(set);
    peri_privacy_destroy(p);
}

static void test_events_and_entities_are_found_within(void **state)
{
    struct peri_privacy *p = marks("{\"events\": {\"a.B\": [\"who\"]}, \"data\": {\"contact\": [\"name\"]}}");
    struct peri_personal *set = peri_privacy_set(p, 0);
    struct peri_value *v =
        json("{\"steps\": [{\"result\": [{\"type\": \"contact\", \"id\": \"c\", \"name\": \"Barnaby\"}]}, "
             "{\"x\": {\"type\": \"a.B\", \"data\": {\"who\": \"Clarissa\"}}}, {\"type\": \"contact\", "
             "\"name\": \"Dorothea\"}]}");
    peri_privacy_within(p, v, set);
    assert_true(hides(set, "Barnaby") && hides(set, "Clarissa"));
    assert_false(hides(set, "Dorothea"));
    peri_value_unref(v);
    peri_personal_destroy(set);
    peri_privacy_destroy(p);
}

static void test_what_is_at_a_marked_place_is_covered_whatever_it_is(void **state)
{
    struct peri_privacy *p = marks("{\"events\": {\"a.B\": [\"ok\", \"list.n\", \"map\", \"gone.x\"]}}");
    struct peri_personal *set = peri_privacy_set(p, 0);
    struct peri_value *v = json(
                          "{\"ok\": true, \"list\": [{\"n\": 1}, {\"n\": null}, 2], \"map\": {\"k\": 1}, \"x\": true}"),
                      *covered = peri_privacy_cover(p, "a.B", v, set), *other = peri_privacy_cover(p, "c.D", v, set);
    assert_memory_equal(peri_map_text(covered, "ok"), "[personal ", 10);
    assert_memory_equal(peri_map_text(peri_list_at(peri_map_at(covered, "list"), 0), "n"), "[personal ", 10);
    assert_true(peri_value_is(peri_map_at(peri_list_at(peri_map_at(covered, "list"), 1), "n"), PERI_NULL));
    assert_int_equal(peri_value_as_int(peri_list_at(peri_map_at(covered, "list"), 2)), 2);
    assert_string_equal(peri_map_text(covered, "map"), "[personal]");
    assert_true(peri_map_bool(covered, "x", false));
    assert_true(peri_map_bool(v, "ok", false));
    assert_true(peri_value_equal(v, other));
    peri_value_unref(covered);
    peri_value_unref(other);
    peri_value_unref(v);
    peri_personal_destroy(set);
    peri_privacy_destroy(p);
}

static void test_marks_of_a_schema(void **state)
{
    struct peri_value
        *schema =
            json("{\"type\": \"object\", \"properties\": {\"a\": {\"personal\": true}, \"b\": {\"personal\": false}, "
                 "\"c\": {\"properties\": {\"d\": {\"personal\": true}}}, "
                 "\"e\": {\"items\": {\"properties\": {\"f\": {\"personal\": true}}}}, "
                 "\"g\": {\"items\": {\"personal\": true}}}}"),
        *list = peri_value_list(), *wanted = json("[\"a\", \"c.d\", \"e.f\", \"g\"]");
    assert_int_equal(peri_privacy_of_schema(schema, list), PERI_OK);
    assert_true(peri_value_equal(list, wanted));
    peri_value_unref(schema);
    peri_value_unref(list);
    peri_value_unref(wanted);
}

static void test_no_marks(void **state)
{
    struct peri_privacy *p = marks("{}");
    assert_true(peri_privacy_is_empty(p) && peri_privacy_is_empty(NULL));
    assert_false(peri_privacy_has_data(p, "contact") || peri_privacy_marks(p, "a.B", "x"));
    assert_null(peri_privacy_data_type(p, 0));
    peri_privacy_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_lead_through_lists_and_globs),
        cmocka_unit_test(test_events_and_entities_are_found_within),
        cmocka_unit_test(test_what_is_at_a_marked_place_is_covered_whatever_it_is),
        cmocka_unit_test(test_marks_of_a_schema),
        cmocka_unit_test(test_no_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
