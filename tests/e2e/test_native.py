#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin in C that is connector, channel and operators (tests/unit/plugin/native/full.c), with rules, and over kills."""
import json
import os
import shutil
import subprocess
import unittest

import harness

MOCKS = os.path.join(os.path.dirname(os.path.dirname(harness.BIN)), "tests/mocks")
MANIFEST = {
    "id": "test.full", "name": "Full", "version": "1.0.0", "type": "connector", "apiVersion": "1.0", "entrypoint": "./full.so",
    "permissions": ["data:write:thing", "data:read:thing", "event:publish:full.*", "event:subscribe:full.*", "storage:read", "storage:write",
                    "scheduler:write", "operators:call", "channels:send:full", "network:inbound"],
    "configSchema": {"type": "object"},
}


def rule(name, event, action):
    return f"name: {name}\ntrigger: {{event: {event}}}\nactions: [{action}]\n"


class Native(harness.Case):
    def begin(self, **rules):
        s = self.service("plugin_path: [plugins]", rules={name + ".yaml": text for name, text in rules.items()}, start=False)
        folder = os.path.join(s.dir, "plugins/full")
        os.makedirs(folder)
        shutil.copy(os.path.join(MOCKS, "full.so"), folder)
        with open(os.path.join(folder, "plugin.json"), "w", encoding="utf-8") as f:
            json.dump(MANIFEST, f)
        self.file, self.fifo = os.path.join(s.dir, "file"), os.path.join(s.dir, "fifo")
        os.mkfifo(self.fifo)
        config = {"notify": {"config": {"channel": "full"}}, "test.full": {"config": {"file": self.file, "fifo": self.fifo}}}
        with open(s.config_file, "a", encoding="utf-8") as f:
            f.write(f"plugins: {json.dumps(config)}\n")
        s.cli("plugins", "approve", "test.full", "--yes", expect=0)
        return s.start()

    def say(self, *lines):
        with open(self.fifo, "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in lines))

    def ends(self, s, event):
        run, = s.runs_of(event)
        return run

    def under_way(self, s, event, calls=1):
        """Waits until the event's only run has a call under way."""
        s.matched(event)
        harness.wait_for(lambda: [r["state"] for r in s.get(f"/v1/runs?event={event}")["items"]] == ["running"], "the call")
        harness.wait_for(lambda: s.get("/v1/plugins/test.full").get("deferred", {}).get("open") == calls, "the plugin to have it")

    def items(self, s, count):
        def ask():
            found = [e for e in s.get("/v1/events?limit=1000")["items"] if e["type"] == "full.Item"]
            return found if len(found) == count else None

        return harness.wait_for(ask, f"{count} items")

    def test_what_a_connector_hears_fires_a_rule(self):
        s = self.begin(heard=rule("Heard", "full.Item", "{operator: core.log, params: {message: '{{ event.name }}'}}"))
        self.say("door", "no", "window")
        events = self.items(s, 2)
        self.assertEqual([self.ends(s, e["id"])["state"] for e in events], ["succeeded"] * 2)
        rows = [json.loads(r) for r in s.cli("data", "query", "thing", "--json", expect=0).stdout.splitlines()]
        self.assertEqual(sorted(r["name"] for r in rows), ["door", "window"])
        self.assertIn("an item that came in was not stored: not this one [full.item]", s.log_text())
        s.restart()
        self.say("door", "lamp")
        self.items(s, 3)  # the door's has the same id

    def test_sync_and_execute_are_actions(self):
        s = self.begin(open=rule("Open", "t.Open", "{id: did, operator: test.full.execute, params: {what: '{{ event.what }}'}}"))
        run = self.ends(s, s.emit("t.Open", {"what": "gate"}))
        self.assertEqual((run["state"], run["steps"][0]["result"]), ("succeeded", {"did": "gate"}))
        told = json.loads(s.cli("operators", "call", "test.full.sync", "--json", expect=0).stdout)
        self.assertEqual(told["result"], {"items": 2, "entities": 2, "events": 2})
        self.assertEqual(s.request("POST", "/v1/operators/test.full.sync/call", {"params": {}}).json["result"]["items"], 2)
        self.assertEqual(s.request("POST", "/hooks/test.full/hook", {"a": 1}).json, {"a": 1})

    def test_a_message_is_looked_up_after_a_kill(self):
        s = self.begin(send=rule("Send", "t.Send", "{operator: notify.send, params: {message: '{{ event.text }}'}}"))
        run = self.ends(s, s.emit("t.Send", {"text": "plain"}))
        self.assertEqual((run["state"], run["steps"][0]["result"]["channel"]), ("succeeded", "test.full"))
        event = s.emit("t.Send", {"text": "hang"})
        self.under_way(s, event)
        s.restart()
        run = self.ends(s, event)
        key = run["steps"][0]["idempotency_key"]
        self.assertEqual((run["state"], run["steps"][-1]["state"]), ("succeeded", "done"))
        with open(self.file, encoding="utf-8") as f:
            sent = f.read().splitlines()
        self.assertEqual([line.split(" ", 1)[1] for line in sent], ["plain", "hang"])
        self.assertEqual(sent[1].split(" ")[0], key)

    def test_an_action_that_answers_later_and_a_kill_before_that(self):
        kinds = {kind: rule(kind, "t." + kind.title(), f"{{operator: full.{kind}, params: {{how: '{{{{ event.how }}}}'}}}}") for kind in ("laters", "repeats")}
        s = self.begin(**kinds)
        run = self.ends(s, s.emit("t.Laters", {"how": "yes"}))
        self.assertEqual((run["state"], run["steps"][0]["result"]), ("succeeded", {"how": "yes"}))
        once = s.emit("t.Laters", {"how": "never"})
        self.under_way(s, once)
        again = s.emit("t.Repeats", {"how": "second"})
        self.under_way(s, again, 2)
        s.restart()
        run = self.ends(s, again)
        self.assertEqual((run["state"], run["steps"][-1]["result"]), ("succeeded", {"how": "second"}))
        self.assertEqual(len({step["idempotency_key"] for step in run["steps"]}), 1)
        unknown = harness.wait_for(lambda: [r for r in s.get(f"/v1/runs?event={once}")["items"] if r["state"] == "unknown"], "a person to be asked")
        self.assertEqual(s.request("POST", f"/v1/runs/{unknown[0]['id']}/resolve", {"decision": "done"}).status, 200)
        self.assertEqual(self.ends(s, once)["state"], "succeeded")

    def test_a_revocation_and_a_stop_end_its_threads(self):
        s = self.begin()
        s.cli("plugins", "revoke", "test.full", expect=0)
        self.assertEqual(s.get("/v1/plugins/test.full")["state"], "blocked")
        s.cli("plugins", "approve", "test.full", "--yes", expect=0)
        harness.wait_for(lambda: s.get("/v1/plugins/test.full")["state"] == "active", "it to be active again")
        self.say("door")
        self.items(s, 1)
        s.stop()
        self.assertIn("full has stopped", s.log_text())


class Header(harness.Case):
    COMPILERS = (["cc", "-std=c11", "-x", "c"], ["c++", "-std=c++11", "-x", "c++"], ["clang", "-std=c11", "-x", "c"], ["clang++", "-std=c++17", "-x", "c++"])

    def test_compiles_as_c_and_as_c_plus_plus(self):
        source = "#include <perigee/plugin.h>\n#include <perigee/plugin.h>\nint main(void) { return PERIGEE_ABI_VERSION == 1u ? 0 : 1; }\n"
        for compiler in self.COMPILERS:
            if not shutil.which(compiler[0]):
                continue
            flags = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only", "-I", os.path.join(harness.SOURCE, "engine/include"), "-"]
            done = subprocess.run([*compiler, *flags], input=source, capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), compiler)


if __name__ == "__main__":
    unittest.main(verbosity=1)
