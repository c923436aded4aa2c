#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An event that stops the whole engine, again and again, is set aside after a few starts, and the others go on."""
import http.client
import json
import os
import signal
import subprocess

import harness

# raise(SIGKILL) and not a bad pointer: the sanitizers would tell a crash, which is not what is looked at here.
PLUGIN = """
#include <perigee/plugin.h>
#include <signal.h>
#include <string.h>

static const struct perigee_host_api *host;

static enum perigee_status look(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    const char *text = host->value_as_text(host->map_at(params, "text"));
    (void)state, (void)call, (void)ret_value;
    if (text && strcmp(text, "poison") == 0)
        raise(SIGKILL);
    *ret_holds = 1;
    return PERIGEE_OK;
}

static const struct perigee_operator look_op = {.size = sizeof(look_op), .kind = PERIGEE_CONDITION, .id = "poison.look",
    .params_schema = "{\\"type\\": \\"object\\"}", .run = look};
static const struct perigee_operator *const operators[] = {&look_op, NULL};

PERIGEE_EXPORT int perigee_plugin_init(
    const struct perigee_host_api *api, struct perigee_plugin *plugin, char *message, size_t message_size)
{
    (void)message, (void)message_size;
    host = api;
    plugin->abi = PERIGEE_ABI_VERSION;
    plugin->operators = operators;
    return 0;
}
"""
MANIFEST = {"id": "poison", "name": "Poison", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./poison.so", "permissions": []}
RULE = """
name: Look
trigger: {event: p.P}
conditions: [{operator: poison.look, params: {text: "{{ event.text }}"}}]
actions: [{operator: notify.send, params: {message: "{{ event.text }}"}}]
"""


class Poison(harness.Case):
    def test_is_set_aside(self):
        self.p = self.service(rules={"look.yaml": RULE}, start=False)
        folder = os.path.join(self.p.dir, "plugins", "poison")
        os.makedirs(folder)
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump(MANIFEST, f)
        source = os.path.join(self.p.dir, "poison.c")
        with open(source, "w") as f:
            f.write(PLUGIN)
        subprocess.run(["cc", "-shared", "-fPIC", "-I", os.path.join(harness.SOURCE, "engine/include"), "-o", os.path.join(folder, "poison.so"), source], check=True)
        arguments = ["--plugins", os.path.dirname(folder), "--approve-all"]
        self.p.start(*arguments)
        events = [{"specversion": "1.0", "id": text, "source": "/p", "type": "p.P", "data": {"text": text}} for text in ("before", "poison", "after")]
        try:
            self.p.request("POST", "/v1/events", json.dumps(events), {"Content-Type": "application/cloudevents-batch+json"})
        except (OSError, http.client.HTTPException):
            pass  # it may end before the answer is out, but not before the events are stored
        ids = ["ev-1", "ev-2", "ev-3"]
        ends = 0
        while True:
            died = harness.wait_for(lambda: self.p.process.poll() is not None and "died" or self.settled(ids[1]) and "settled", "an end, or a verdict")
            if died == "settled":
                break
            self.assertEqual(self.p.process.returncode, -signal.SIGKILL)
            ends += 1
            self.assertLessEqual(ends, 5, self.p.log_text()[-3000:])
            self.p.start(*arguments, ready=False)
        self.assertEqual(ends, 4)  # as it came, and three tries
        self.p.wait_ready()
        verdict, = self.p.get(f"/v1/events/{ids[1]}/verdicts")["items"]
        self.assertIn("stopped the engine", verdict["reason"])
        self.assertEqual(self.p.get(f"/v1/events/{ids[1]}")["state"], "dead")
        for event in (ids[0], ids[2]):
            self.assertEqual([r["state"] for r in self.p.runs_of(event)], ["succeeded"])
        self.assertEqual(sorted(m["body"] for m in self.p.outbox()), ["after", "before"])
        self.assertRegex(self.p.cli("doctor").stdout, r"/p: 3 received = 2 matched \+ 0 unmatched \+ 0 duplicate \+ 0 rejected \+ 0 shed \+ 1 dead")

    def settled(self, event):
        try:
            return self.p.is_ready() and self.p.request("GET", f"/v1/events/{event}").json["state"] != "journaled"
        except (OSError, AssertionError, ValueError):
            return False

    def test_a_start_tells_how_long_nobody_was_there(self):
        rule = "name: Late\ntrigger: {event: t.Late}\nactions: [{delay: 1s}, {operator: notify.send, params: {message: late}}]\n"
        self.p = self.service(rules={"late.yaml": rule})
        self.assertTrue(self.p.get("/v1/status")["start"]["first"])
        event = self.p.emit("t.Late")
        harness.wait_for(lambda: [r for r in self.p.get(f"/v1/runs?event={event}")["items"] if r["state"] == "sleeping"], "the run to sleep")
        self.p.kill()
        self.p.start()
        start = self.p.get("/v1/status")["start"]
        self.assertFalse(start["first"])
        self.assertFalse(start["clean"])
        self.assertEqual((start["waiting"], start["unmatched"], start["missed"]), (1, 0, 0))
        self.assertGreaterEqual(start["down_ms"], 0)
        self.assertRegex(self.p.log_text(), r"down for .* since 2.*, after a stop that was not orderly")
        self.assertRegex(self.p.cli("doctor").stdout, r"ok +last start +.*1 waiting.*0 of schedules' occurrences missed")
        self.p.runs_of(event)


if __name__ == "__main__":
    harness.main()
