/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile_suite.h"

static void hostile_plugins_end_as_they_should(void **state)
{
    run_folder(TEST_SOURCE_DIR "/tests/hostile", 80, false);
}

static void heavy_plugins_pass(void **state)
{
    run_folder(TEST_SOURCE_DIR "/tests/benign", 25, false);
}

/* --- one kill after the other --- */

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

static size_t allocated(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

/* The breaker's pauses go by as the clock is moved. */
static void kill_often(struct rig *rig, struct peri_clock_fake *clock, int times)
{
    static const char *const bodies[] = {"loop", "memory", "wait"};
    for (int i = 0; i < times; i++) {
        char id[32];
        snprintf(id, sizeof(id), "kill.%s", bodies[i % 3]);
        struct rig_answer a = call(rig, id, "{}");
        if (!peri_str_starts(a.error.code, "limit."))
            fail_msg("%s: %s (%s)", id, a.error.code, a.error.message);
        peri_clock_fake_advance(clock, 2 * 3600 * 1000);
    }
}

static void kills_leave_nothing_behind(void **state)
{
    struct rig rig;
    struct peri_clock_fake fake;
    rig_init(&rig);
    rig.options.clock = peri_clock_fake_init(&fake, 1000000);
    rig_plugin(&rig, "kill", "[\"operators:call\"]", ",\"limits\":{\"instructions\":20000,\"memoryBytes\":1048576}",
        "local kept = {}\n"
        "return { init = function() kept[1] = ('x'):rep(1000) end, actions = {\n"
        "  ['kill.loop'] = { execute = function() while true do pcall(string.rep, 'x', 10) end end },\n"
        "  ['kill.memory'] = { execute = function() while true do kept[#kept + 1] = ('x'):rep(10000) .. #kept end end "
        "},\n"
        "  ['kill.wait'] = { execute = function(_, ctx) ctx.call('good.ping', {}) while true do end end } } }");
    rig_plugin(&rig, "good", "[\"channels:send:*\"]", "", GOOD);
    rig_load_clean(&rig);
    kill_often(&rig, &fake, 100);
    size_t before = allocated();
    kill_often(&rig, &fake, 400);
    size_t after = allocated();
    if (after > before + 32768) /* what is in use at the moment goes up and down a little */
        fail_msg("%zu bytes after 100 kills, %zu after 500", before, after);
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_plugins_end_as_they_should),
        cmocka_unit_test(heavy_plugins_pass),
        cmocka_unit_test(kills_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
