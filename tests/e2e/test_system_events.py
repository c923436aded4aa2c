#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the service tells about itself, heard by rules and by a plugin."""
import http.client
import json
import os
import signal
import unittest

import harness

LISTENER = """
name: {name}
id: {id}
trigger: {{event: {type}}}
actions:
  - operator: data.update
    params: {{type: note, source: test, externalId: "{{{{ trigger.event_id }}}}", create: true, set: {{about: "{type}", data: "{{{{ event }}}}"}}}}
"""

PLUGIN = {
    "id": "test.ear", "name": "Ear", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
    "permissions": ["event:subscribe:run.*", "event:subscribe:schedule.Fired", "data:write:note", "scheduler:write"],
}
EAR = """
return {
  init = function(ctx)
    ctx.events.on("run.Finished", function(event, c) c.data.put("note", { about = "heard", data = event.data }) end)
  end,
}
"""


class SystemEvents(harness.Case):
    def start_with(self, *types, plugin=None, work=True):
        rules = {f"{t}.yaml": LISTENER.format(name=f"On {t}", id="on-" + t.lower().replace(".", "-"), type=t) for t in types}
        if work:
            rules["work.yaml"] = "name: Work\ntrigger: {event: a.B}\nactions: [{operator: core.log, params: {message: hi}}]\n"
        s = self.service("plugin_path: [plugins]", rules=rules, start=False)
        self.folder = os.path.join(s.dir, "plugins")
        os.mkdir(self.folder)
        if plugin:
            self.write_plugin("ear", PLUGIN, plugin)
        s.start("--approve-all")
        return s

    def write_plugin(self, name, manifest, lua):
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "init.lua"), "w", encoding="utf-8") as f:
            f.write(lua)
        with open(os.path.join(folder, "plugin.json"), "w", encoding="utf-8") as f:
            json.dump(manifest, f)

    def notes(self, s, about, count=1):
        def ask():
            rows = [json.loads(line) for line in s.cli("data", "query", "note", "--where", json.dumps({"about": about}), "--json", expect=0).stdout.splitlines()]
            return rows if len(rows) >= count else None

        return [row["data"] for row in harness.wait_for(ask, f"{count} notes about {about}", 15)]

    def test_start_plugins_rules_and_stop(self):
        s = self.start_with("system.Started", "system.Stopping", "plugin.Loaded", "plugin.Failed", "plugin.Unloaded", "rule.Loaded", "rule.Failed",
                            plugin="return {}")
        self.assertIn("version", self.notes(s, "system.Started")[0])
        self.assertIn("test.ear", [n["plugin"] for n in self.notes(s, "plugin.Loaded", 5)])
        self.assertIn("work", [n["rule"] for n in self.notes(s, "rule.Loaded", 8)])
        s.write_rule("bad.yaml", "name: Bad\ntrigger: {event: a.B}\nactions: [{operator: core.lag}]\n")
        failed = self.notes(s, "rule.Failed")[0]
        self.assertEqual((failed["code"], failed["line"]), ("unknown-operator", 3))
        self.write_plugin("broken", {**PLUGIN, "id": "test.broken", "permissions": []}, "return {")
        self.assertEqual(self.notes(s, "plugin.Failed")[0]["plugin"], "test.broken")
        s.cli("plugins", "disable", "test.ear", expect=0)
        self.assertEqual(self.notes(s, "plugin.Unloaded")[0], {"plugin": "test.ear", "version": "1.0.0", "reason": "disabled"})
        s.stop()
        self.assertEqual(self.notes(s, "system.Stopping")[0]["reason"], "SIGTERM")

    def test_runs_messages_and_a_plugin_that_hears(self):
        s = self.start_with("run.Finished", "message.Sent", plugin=EAR)
        s.write_rule("send.yaml", "name: Send\ntrigger: {event: a.C}\nactions: [{operator: comms.sendSms, params: {to: '+15550100', body: hi}}]\n")
        harness.wait_for(lambda: s.request("GET", "/v1/rules/send").status == 200, "the new rule")
        s.runs_of(s.emit("a.C"))
        sent = self.notes(s, "message.Sent")[0]
        self.assertEqual((sent["channel"], sent["channel_type"], sent["to"], sent["rule"]), ("outbox", "sms", "+15550100", "send"))
        s.runs_of(s.emit("a.B"))
        for about in ("run.Finished", "heard"):
            self.assertEqual(sorted(n["rule"] for n in self.notes(s, about, 2)), ["send", "work"])
        told = [e for e in s.get("/v1/events?limit=1000")["items"] if e["type"] == "run.Finished"]
        self.assertEqual(len(told), 2)

    WAITER = """
name: Waiter
trigger: {event: t.Go}
actions:
  - id: other
    wait_for: {event: TYPE, match: {rule: [work]}, timeout: 1h}
"""

    def test_a_wait_for_hears_them_also_after_its_rule_has_changed(self):
        s = self.start_with()
        s.write_rule("waiter.yaml", self.WAITER.replace("TYPE", "run.Finished"))
        s.write_rule("star.yaml", self.WAITER.replace("TYPE", '"**"').replace("Waiter", "Star"))
        harness.wait_for(lambda: s.request("GET", "/v1/rules/waiter").status == s.request("GET", "/v1/rules/star").status == 200, "the new rules")
        go = s.emit("t.Go")
        s.matched(go)
        harness.wait_for(lambda: [r["state"] for r in s.get(f"/v1/runs?event={go}")["items"]] == ["waiting"] * 2, "both to wait")
        s.write_rule("waiter.yaml", self.WAITER.replace("TYPE", "other.Thing"))
        s.restart()
        work = s.emit("a.B")
        waited = next(r for r in s.get(f"/v1/runs?event={go}")["items"] if r["rule"] == "waiter")
        run = harness.wait_for(lambda: next((r for r in [s.get("/v1/runs/" + waited["id"])] if "ended" in r), None), "the wait to end")
        self.assertEqual((run["state"], run["steps"][0]["result"]["type"]), ("succeeded", "run.Finished"))
        self.assertEqual(run["steps"][0]["result"]["timed_out"], False)
        self.assertEqual([r["rule"] for r in s.runs_of(work)], ["work"])
        self.assertEqual([r["rule"] for r in s.get(f"/v1/runs?event={go}")["items"] if r["state"] == "waiting"], ["star"])

    def test_cancel_on_hears_them(self):
        s = self.start_with()
        s.write_rule("job.yaml", "name: Job\ntrigger: {event: t.Go}\ncancel_on: [{event: run.Failed, match: {rule: [breaks]}}]\nactions: [{delay: 1h}]\n")
        s.write_rule("breaks.yaml", "name: Breaks\ntrigger: {event: t.Break}\nactions: [{set: {x: \"{{ event.nothing }}\"}}]\n")
        harness.wait_for(lambda: s.request("GET", "/v1/rules/job").status == s.request("GET", "/v1/rules/breaks").status == 200, "the new rules")
        go = s.emit("t.Go")
        s.matched(go)
        s.runs_of(s.emit("t.Break"))
        run, = s.runs_of(go)
        self.assertEqual((run["state"], run["error"]["code"]), ("cancelled", "cancel_on"))

    def dies_at(self, s, failpoint, act):
        """Starts it so that it ends by SIGKILL at that place, lets act happen, and starts it as usual."""
        s.stop()
        s.env["PERIGEE_FAILPOINT"] = failpoint
        s.start("--approve-all")
        try:
            act()
        except (OSError, http.client.HTTPException, AssertionError):
            pass
        self.assertEqual(s.process.wait(harness.DEADLINE), -signal.SIGKILL)
        del s.env["PERIGEE_FAILPOINT"]
        s.start("--approve-all")

    def test_a_run_that_another_replaces_is_told_of_in_the_same_transaction(self):
        s = self.start_with("run.Finished", work=False)
        s.write_rule("job.yaml", "name: Job\ntrigger: {event: t.Go}\nmode: restart\nactions: [{delay: 1h}]\n")
        harness.wait_for(lambda: s.request("GET", "/v1/rules/job").status == 200, "the rule")
        s.matched(s.emit("t.Go"))
        self.dies_at(s, "t2.done@1", lambda: s.emit("t.Go"))
        told, = self.notes(s, "run.Finished")
        self.assertEqual((told["rule"], told["state"], told["error"]["code"]), ("job", "cancelled", "mode"))
        self.assertEqual([r["state"] for r in s.get("/v1/runs?rule=job")["items"]], ["sleeping", "cancelled"])

    POST = {
        "id": "test.post", "name": "Post", "version": "1.0.0", "type": "channel", "apiVersion": "1.0", "entrypoint": "./init.lua",
        "permissions": ["channels:send:*", "network:inbound", "data:write:letter"],
    }
    POST_LUA = """
return {
  actions = { ["post.send"] = { execute = function(params, ctx) ctx.send(params.over, { to = "ada", body = "hi" }) error("and then it breaks") end } },
  channel = { type = "post", send = function(ctx, message) return { ok = true } end,
    handle_incoming_event = function(ctx, request)
      ctx.data.put("letter", { source = "post", externalId = request.body, text = request.body })
      return { status = 200, message = { text = request.body } }
    end },
}
"""

    def test_a_kill_loses_nothing_that_was_stored(self):
        s = self.start_with("message.Sent", "message.Received", "plugin.Unloaded", work=False)
        self.write_plugin("post", self.POST, self.POST_LUA)
        s.write_rule("send.yaml", "name: Send\ntrigger: {event: t.Send}\nactions: [{operator: post.send, params: {over: '{{ event.over }}'}, retry: {maximum_attempts: 1}}]\n")
        harness.wait_for(lambda: s.request("GET", "/v1/plugins/test.post").status == s.request("GET", "/v1/rules/send").status == 200, "rule and plugin")
        # The outbox has it, and nothing else is stored of the attempt.
        self.dies_at(s, "outbox.stored@1", lambda: s.emit("t.Send", {"over": "sms"}))
        told, = self.notes(s, "message.Sent")
        self.assertEqual((told["channel"], told["to"], len(s.outbox())), ("outbox", "ada", 1))
        # A channel has sent it; the step that sent it fails afterwards.
        self.dies_at(s, "message.told@1", lambda: s.emit("t.Send", {"over": "post"}))
        self.assertEqual(sorted(n["channel"] for n in self.notes(s, "message.Sent", 2)), ["outbox", "test.post"])
        # What came in is stored, and its sender has no answer.
        self.dies_at(s, "webhook.stored@1", lambda: s.request("POST", "/hooks/test.post/in", "dear"))
        self.assertEqual(self.notes(s, "message.Received"), [{"channel": "test.post", "channel_type": "post", "message": {"text": "dear"}}])
        self.dies_at(s, "unload.stored@1", lambda: s.request("POST", "/v1/plugins/test.post/disable", {}))
        self.assertEqual(self.notes(s, "plugin.Unloaded")[0]["plugin"], "test.post")

    CLOCK_LUA = """
return {
  init = function(ctx) ctx.schedule.every("beat", "1s", "beat") ctx.schedule.after("once", "1s", "once") end,
  jobs = {
    beat = function(ctx, job)
      ctx.data.put("beat", { source = "clock", externalId = job.due, due = job.due })
      ctx.data.get("beat", "clock", "none") -- what was written is stored before this
      ctx.data.put("beat", { source = "clock", externalId = job.due, ended = true })
    end,
    once = function(ctx, job)
      ctx.data.put("beat", { source = "clock", externalId = "once", due = job.due })
      error("it breaks")
    end,
  },
}
"""

    def test_a_kill_while_a_schedule_of_a_plugin_fires_tells_of_it_once(self):
        manifest = {**PLUGIN, "id": "test.clock", "permissions": ["scheduler:write", "data:write:beat", "data:read:beat"]}
        s = self.start_with("schedule.Fired", work=False)
        s.stop()
        self.write_plugin("clock", manifest, self.CLOCK_LUA)
        # The first write of a handler is stored, and its schedule does not know yet that it has fired.
        self.dies_at(s, "plan.stored@1", lambda: None)
        self.dies_at(s, "plan.stored@3", lambda: None)
        harness.wait_for(lambda: len(self.rows(s, "beat", {"ended": True})) >= 3, "three beats", 15)
        s.stop()
        told = [json.loads(line) for line in s.cli("events", "list", "--limit", "1000", "--json", expect=0).stdout.splitlines()]
        told = [e["data"] for e in told if e["type"] == "schedule.Fired"]
        when = [t["scheduled_at"] for t in told if t["name"] == "beat"]
        self.assertEqual(len(when), len(set(when)))
        self.assertEqual(set(when), {row["due"] for row in self.rows(s, "beat", {"due": {"exists": True}})})
        once = [t["scheduled_at"] for t in told if t["name"] == "once"]  # each start makes it anew, and each fails
        self.assertTrue(once)
        self.assertEqual(len(once), len(set(once)))

    def rows(self, s, kind, where):
        out = s.cli("data", "query", kind, "--where", json.dumps(where), "--json", expect=0).stdout
        return [json.loads(line) for line in out.splitlines()]

    def test_nothing_is_kept_when_nobody_listens(self):
        s = self.start_with()
        s.runs_of(s.emit("a.B"))
        self.assertEqual([e["type"] for e in s.get("/v1/events")["items"]], ["a.B"])

    def test_check_knows_types_and_fields(self):
        s = self.service(start=False, rules={
            "a.yaml": "name: A\ntrigger: {event: run.Faild}\nactions: [{stop: true}]\n",
            "b.yaml": "name: B\ntrigger: {event: run.Failed}\nconditions:\n  - expr: event.rul == 'x'\nactions: [{stop: true}]\n"})
        told = s.cli("check", expect=1).stdout
        self.assertIn('did you mean "run.Failed"?', told)
        self.assertIn('run.Failed has no field "rul"', told)
        s.write_rule("b.yaml", "name: B\ntrigger: {event: run.Failed}\nactions: [{stop: true}]\n")
        self.assertIn("the service", s.cli("rules", "graph", expect=0).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
