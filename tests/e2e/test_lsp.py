#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""perigee lsp, as editors drive it: over standard input and output, and by Neovim's own client when it is installed."""
import os
import shutil
import subprocess
import unittest
import urllib.parse

import harness
import lsp_wire

RULE = """name: Followed
trigger:
  event: comms.CallMissed
  match:
    direction: [inbound]
conditions:
  - operator: comms.missedCalls
    params: {contactId: "{{ event.fromContactId }}", count: 3}
actions:
  - id: tasks
    operator: data.query
    params:
      type: task
    as: open
  - set:
      urgent: true
  - if: "{{ steps.tasks.count > 0 and vars.urgent }}"
    then:
      - emit: {event: demo.Followed}
"""


class Client(lsp_wire.Wire):
    def __init__(self, service, encodings=("utf-16",)):
        super().__init__([harness.BIN, "lsp", "--stdio", "--config", service.config_file], env=service.env, cwd=service.dir)
        self.server = self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {"general": {"positionEncodings": list(encodings)}}})
        self.tell("initialized", {})

    def open_file(self, path, text):
        uri = "file://" + urllib.parse.quote(path)
        return uri, self.open(uri, text)

    def change(self, uri, text):
        self.tell("textDocument/didChange", {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": text}]})
        return self.diagnostics(uri)

    def close(self):
        self.ask("shutdown", None)
        self.tell("exit", None)
        return self.end()


class Lsp(harness.Case):
    def setUp(self):
        self.p = self.service(start=False)
        self.path = os.path.join(self.p.rules, "mine.yaml")
        self.c = Client(self.p)
        self.addCleanup(self.finish)

    def finish(self):
        self.assertEqual(self.c.close(), 0)

    def at(self, method, marked, **more):
        """Asks with the cursor where the text has a bar. The text is the open file's from now on."""
        before, after = marked.split("¦")
        text = before + after
        uri, _ = self.c.open_file(self.path, text)
        line = before.count("\n")
        params = {"textDocument": {"uri": uri}, "position": {"line": line, "character": len(before.rsplit("\n", 1)[-1].encode("utf-16-le")) // 2}, **more}
        return self.c.ask("textDocument/" + method, params), text

    def labels(self, marked):
        return [item["label"] for item in self.at("completion", marked)[0]]

    def picked(self, marked, label):
        """The text after the item was chosen."""
        items, text = self.at("completion", marked)
        item, = [i for i in items if i["label"] == label]
        return apply(text, [item["textEdit"]])

    def hover(self, marked):
        result, _ = self.at("hover", marked)
        return result and result["contents"]["value"]

    # --- diagnostics ---

    def test_findings_come_while_one_types(self):
        uri, found = self.c.open_file(self.path, RULE)
        self.assertEqual(found, [])
        found, = self.c.change(uri, RULE.replace("comms.missedCalls", "comms.misedCalls"))
        self.assertEqual((found["code"], found["severity"], found["source"]), ("unknown-operator", 1, "perigee"))
        self.assertEqual(found["range"], {"start": {"line": 6, "character": 14}, "end": {"line": 6, "character": 30}})
        self.assertIn('did you mean "comms.missedCalls"', found["message"])
        self.assertEqual(self.c.change(uri, RULE), [])

    # --- tests and configuration ---

    def test_findings_in_test_files(self):
        path = os.path.join(self.p.rules, "mine.test.yaml")
        self.p.write_rule("mine.yaml", RULE)
        good = "tests:\n  - name: t\n    steps:\n      - {event: a.B, expect: {actions: []}}\n"
        uri, found = self.c.open_file(path, good)
        self.assertEqual(found, [])
        found, = self.c.change(uri, good.replace("expect:", "expct:"))
        self.assertEqual((found["range"]["start"]["line"], found["severity"]), (3, 1))
        self.assertIn('did you mean "expect"', found["message"])
        found, = self.c.change(uri, good.replace("a.B", "\ta.B").replace("tests:", "test"))
        self.assertEqual(found["code"], "yaml-syntax")

    def test_findings_in_the_configuration(self):
        path = os.path.join(self.p.dir, "etc", "perigee.yaml")
        text = "log: {level: info}\nplugins:\n  smtp: {config: {host: mail.example.org, port: 25, from: a@example.org, password: !secret mail}}\n"
        uri, found = self.c.open_file(path, text)
        self.assertEqual(found, [])
        found, = self.c.change(uri, text.replace("level: info", "level: loud"))
        self.assertEqual((found["code"], found["range"]["start"]["line"]), ("wrong-value", 0))
        found, = self.c.change(uri, text.replace("25", "often"))
        self.assertEqual((found["code"], found["range"]["start"]), ("settings", {"line": 2, "character": text.split("\n")[2].index("25")}))
        self.assertIn("plugins.smtp.config/port", found["message"])

    def in_file(self, path, marked, method="completion"):
        before, after = marked.split("¦")
        uri, _ = self.c.open_file(path, before + after)
        position = {"line": before.count("\n"), "character": len(before.rsplit("\n", 1)[-1])}
        return self.c.ask("textDocument/" + method, {"textDocument": {"uri": uri}, "position": position})

    def test_completion_in_test_files(self):
        path = os.path.join(self.p.rules, "mine.test.yaml")
        labels = lambda marked: [item["label"] for item in self.in_file(path, marked)]
        self.assertIn("timezone", labels("tests: []\n¦"))
        steps = labels("tests:\n  - name: t\n    steps:\n      - adv¦\n")
        self.assertTrue({"advance", "event", "expect", "edit"} <= set(steps), steps)
        self.assertIn("verdicts", labels("tests:\n  - name: t\n    steps:\n      - event: a.B\n        expect:\n          ¦\n"))
        operators = labels("tests:\n  - name: t\n    steps:\n      - expect:\n          actions:\n            - operator: ¦\n")
        self.assertIn("notify.send", operators)
        self.assertIn("comms.CallMissed", labels("tests:\n  - name: t\n    steps:\n      - event: ¦\n"))
        self.assertIn("lets time pass", self.in_file(path, "tests:\n  - name: t\n    steps:\n      - adv¦ance: 1h\n", "hover")["contents"]["value"])
        hover = self.in_file(path, "tests:\n  - name: t\n    steps:\n      - expect:\n          actions:\n            - operator: notify.se¦nd\n", "hover")
        self.assertIn("**notify.send** (action", hover["contents"]["value"])

    def test_completion_in_the_configuration(self):
        path = os.path.join(self.p.dir, "etc", "perigee.yaml")
        labels = lambda marked: [item["label"] for item in self.in_file(path, marked)]
        self.assertIn("retention", labels("log: {level: info}\n¦"))
        self.assertIn("max_backlog", labels("limits:\n  ¦\n"))
        self.assertEqual(set(labels("log:\n  level: ¦\n")), {"debug", "info", "warn", "error"})
        self.assertIn("twilio", labels("plugins:\n  ¦\n"))
        self.assertIn("accountSid", labels("plugins:\n  twilio:\n    config:\n      ¦\n"))
        self.assertNotIn("actions", labels("¦\n"))

    def test_places_behind_characters_of_two_units(self):
        _, found = self.c.open_file(self.path, 'name: A\ntrigger: {event: demo.A}\nactions:\n  - set: {x: "😀 {{ evnt.x }}"}\n')
        self.assertEqual(found[0]["range"]["start"], {"line": 3, "character": 20})
        wide = Client(self.p, ("utf-32", "utf-16"))
        self.assertEqual(wide.server["capabilities"]["positionEncoding"], "utf-32")
        _, found = wide.open_file(self.path, 'name: A\ntrigger: {event: demo.A}\nactions:\n  - set: {x: "😀 {{ evnt.x }}"}\n')
        self.assertEqual(found[0]["range"]["start"], {"line": 3, "character": 19})
        self.assertEqual(wide.close(), 0)

    def test_warnings_know_the_other_files(self):
        text = "name: Hears\ntrigger: {event: home.Frost}\nactions:\n  - stop: true\n"
        uri, found = self.c.open_file(self.path, text)
        self.assertEqual(found, [])
        self.p.write_rule("emits.yaml", "name: Emits\ntrigger: {event: demo.A}\nactions:\n  - emit: {event: home.Froste}\n")
        self.c.tell("textDocument/didSave", {"textDocument": {"uri": uri}})
        found, = self.c.diagnostics(uri)
        self.assertEqual((found["code"], found["severity"]), ("unknown-event", 2))

    def test_ids_of_other_files(self):
        self.p.write_rule("other.yaml", RULE)
        uri, found = self.c.open_file(self.path, RULE)
        self.c.tell("textDocument/didSave", {"textDocument": {"uri": uri}})
        found, = self.c.diagnostics(uri)
        self.assertEqual(found["code"], "duplicate-id")

    def test_quick_fix(self):
        text = RULE.replace("fromContactId }}\"", "fromContactId | uper }}\"")
        uri, (found,) = self.c.open_file(self.path, text)
        action, = self.c.ask("textDocument/codeAction", {"textDocument": {"uri": uri}, "range": found["range"], "context": {"diagnostics": [found]}})
        self.assertEqual(action["kind"], "quickfix")
        self.assertEqual(apply(text, action["edit"]["changes"][uri]), text.replace("uper", "upper"))
        other = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}
        self.assertEqual(self.c.ask("textDocument/codeAction", {"textDocument": {"uri": uri}, "range": other, "context": {"diagnostics": []}}), [])

    # --- completion ---

    def test_keys(self):
        top = self.labels("name: A\n¦")
        self.assertTrue({"trigger", "conditions", "actions", "mode"} <= set(top))
        self.assertNotIn("name", top)
        self.assertNotIn("operator", top)
        self.assertTrue({"event", "match", "schedule"} <= set(self.labels("trigger:\n  ¦\n")))
        self.assertTrue({"cron", "every", "at", "timezone"} <= set(self.labels("trigger:\n  schedule:\n    c¦\n")))
        step = self.labels("actions:\n  - operator: core.log\n    ¦\n")
        self.assertTrue({"params", "retry", "timeout"} <= set(step))
        self.assertNotIn("operator", step)
        self.assertTrue({"all", "any", "not", "operator", "expr"} <= set(self.labels("conditions:\n  - ¦\n")))
        self.assertTrue({"set", "emit", "delay"} <= set(self.labels("actions:\n  - if: event.x\n    then:\n      - ¦\n")))
        self.assertTrue({"in", "as"} <= set(self.labels("actions:\n  - for_each: {¦}\n")))

    def test_parameters_of_the_operator(self):
        self.assertEqual(set(self.labels("conditions:\n  - operator: contact.HasTag\n    params:\n      ¦\n")), {"contactId", "tag"})
        self.assertEqual(set(self.labels("conditions:\n  - operator: contact.HasTag\n    params: {tag: vip, ¦}\n")), {"contactId"})
        self.assertIn("message", self.labels("actions:\n  - {operator: core.log, params: {¦}}\n"))
        self.assertIn("message", self.labels("actions:\n- params:\n    ¦\n  operator: core.log\n"))

    def test_values(self):
        self.assertEqual(set(self.labels("mode: ¦")), {"single", "restart", "queued", "parallel"})
        self.assertEqual(set(self.labels("enabled: ¦")), {"true", "false"})
        conditions, actions = self.labels("conditions:\n  - operator: ¦"), self.labels("actions:\n  - operator: c¦")
        self.assertTrue("comms.missedCalls" in conditions and "comms.missedCalls" not in actions)
        self.assertTrue("comms.sendSms" in actions and "comms.sendSms" not in conditions)
        events = self.labels("trigger: {event: ¦}\nactions:\n  - emit: {event: demo.Mine}\n")
        self.assertTrue("comms.CallMissed" in events and "demo.Mine" in events)

    def test_what_choosing_an_item_makes_of_the_text(self):
        self.assertEqual(self.picked("name: A\ntrig¦", "trigger"), "name: A\ntrigger: ")
        self.assertEqual(self.picked("name: A\ntrig¦er: {event: a}", "trigger"), "name: A\ntrigger: {event: a}")
        self.assertEqual(self.picked("actions:\n  - operator: core.l¦og2", "core.log"), "actions:\n  - operator: core.log")

    def test_expressions(self):
        self.assertTrue({"event", "trigger", "steps", "open", "upper"} <= set(self.labels(RULE + "  - set: {x: \"{{ ¦ }}\"}\n")))
        filters = self.labels(RULE + "  - set: {x: \"{{ event.x | ¦ }}\"}\n")
        self.assertTrue("upper" in filters and "event" not in filters)
        self.assertEqual(self.labels(RULE + "  - set: {x: \"{{ steps.¦ }}\"}\n"), ["tasks"])
        self.assertIn("urgent", self.labels(RULE + "  - set: {x: \"{{ vars.u¦ }}\"}\n"))
        self.assertEqual(self.picked(RULE + "  - set: {x: \"{{ steps.t¦ }}\"}\n", "tasks"), RULE + "  - set: {x: \"{{ steps.tasks }}\"}\n")
        self.assertIn("event", self.labels("conditions:\n  - expr: e¦\n"))

    def test_scripts_and_comments_are_left_alone(self):
        self.assertEqual(self.labels("actions:\n  - lua: |\n      local x = {¦}\n"), [])
        self.assertEqual(self.labels("actions: # more: ¦\n"), [])

    # --- hover and definition ---

    def test_hover(self):
        self.assertIn("Without it every trigger fires", self.hover(RULE.replace("conditions", "cond¦itions")))
        self.assertIn("`type` string, required", self.hover(RULE.replace("data.query", "data.¦query")))
        self.assertIn("contactId", self.hover(RULE.replace("comms.missedCalls", "comms.missed¦Calls")))
        self.assertIn("upper(", self.hover("conditions:\n  - expr: event.a | up¦per\n"))
        self.assertIsNone(self.hover("name: So¦mething\n"))

    def test_definition(self):
        place, = self.at("definition", RULE.replace("operator: data.query", "operator: data.¦query"))[0]
        with open(urllib.parse.unquote(place["uri"][7:])) as f:
            self.assertIn("data.query", f.read().splitlines()[place["range"]["start"]["line"]] if place["uri"].endswith(".lua") else "data.query")
        place, = self.at("definition", RULE.replace("steps.tasks", "steps.ta¦sks"))[0]
        self.assertEqual(place["range"]["start"], {"line": 9, "character": 8})
        place, = self.at("definition", RULE.replace("vars.urgent", "vars.urg¦ent"))[0]
        self.assertEqual(place["range"]["start"], {"line": 15, "character": 6})
        self.p.write_rule("emits.yaml", "name: Emits\ntrigger: {event: demo.A}\nactions:\n  - emit: {event: demo.Heard}\n")
        self.c.tell("textDocument/didSave", {"textDocument": {"uri": "file://" + self.path}})
        place, = self.at("definition", "name: Hears\ntrigger: {event: demo.¦Heard}\nactions:\n  - stop: true\n")[0]
        self.assertTrue(place["uri"].endswith("emits.yaml"))
        self.assertEqual(place["range"]["start"]["line"], 3)

    def test_blueprints(self):
        os.makedirs(os.path.join(self.p.rules, "blueprints"))
        self.p.write_rule("blueprints/greet.yaml", "blueprint:\n  name: Greet\n  description: Says hello\n  input:\n    tag: {type: string, description: Who is greeted}\n"
                          "    how: {type: enum, options: [warmly, coldly], default: warmly}\ntrigger: {event: a.B, match: {tag: [!input tag]}}\nactions: [{stop: !input how}]\n")
        self.c.tell("textDocument/didSave", {"textDocument": {"uri": "file://" + self.path}})
        use = "name: A\nuse_blueprint:\n  path: blueprints/greet.yaml\n  input:\n    tag: x\n    how: warmly\n"
        self.assertEqual(set(self.labels("name: A\nuse_blueprint:\n  path: ¦\n")), {"blueprints/greet.yaml"})
        self.assertEqual(set(self.labels("name: A\nuse_blueprint:\n  path: blueprints/greet.yaml\n  input:\n    ¦\n")), {"tag", "how"})
        self.assertEqual(set(self.labels(use.replace("how: warmly", "¦"))), {"how"})
        self.assertEqual(set(self.labels(use.replace("how: warmly", "how: ¦"))), {"warmly", "coldly"})
        own = "blueprint:\n  name: B\n  input:\n    tag: {type: string, min: 1}\n    how:\n      type: string\ntrigger: {event: a.B}\nactions:\n"
        self.assertEqual(set(self.labels(own + "  - stop: !input ¦\n")), {"tag", "how"})
        self.assertEqual(set(self.labels(own + "  - stop: \"{{ input.¦ }}\"\n")), {"tag", "how"})
        self.assertIn("input", self.labels(own + "  - stop: \"{{ ¦ }}\"\n"))
        self.assertNotIn("input", self.labels("name: A\nactions:\n  - stop: \"{{ ¦ }}\"\n"))
        self.assertIn("Who is greeted", self.hover(use.replace("tag:", "t¦ag:")))
        self.assertIn("Says hello", self.hover(use.replace("greet.yaml", "gr¦eet.yaml")))
        place, = self.at("definition", use.replace("greet.yaml", "gr¦eet.yaml"))[0]
        self.assertTrue(place["uri"].endswith("blueprints/greet.yaml"))
        place, = self.at("definition", use.replace("how:", "h¦ow:"))[0]
        self.assertEqual(place["range"], {"start": {"line": 5, "character": 4}, "end": {"line": 5, "character": 7}})

    def test_outline(self):
        uri, _ = self.c.open_file(self.path, RULE + "---\n" + RULE.replace("Followed", "Second", 1))
        self.assertEqual([s["name"] for s in self.c.ask("textDocument/documentSymbol", {"textDocument": {"uri": uri}})], ["Followed", "Second"])

    # --- the protocol ---

    def test_bad_messages_are_answered(self):
        self.c.write(b"{nonsense")
        self.assertEqual(self.c.read()["error"]["code"], -32700)
        self.assertEqual(self.c.ask_raw("textDocument/rename", {})["error"]["code"], -32601)
        self.assertEqual(self.c.ask_raw("textDocument/hover", {"textDocument": {"uri": "file:///nowhere"}})["error"]["code"], -32602)
        self.c.tell("$/somethingNew", {})
        self.assertEqual(self.c.open_file(self.path, RULE)[1], [])

    def test_any_place_of_any_text_can_be_asked_about(self):
        text = RULE.replace("count: 3}", "count: 3, x: ['a', {b: ") + "\t- {{{ \"\n  : :\n- - - x\nä: |\n  a\n b"
        uri, _ = self.c.open_file(self.path, text)
        for line, content in enumerate(text.split("\n")):
            for character in range(0, len(content) + 3, 3):
                for method in ("completion", "hover", "definition"):
                    answer = self.c.ask_raw("textDocument/" + method, {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}})
                    self.assertIn("result", answer)

    def test_the_end_of_the_input_is_the_end(self):
        c = Client(self.p)
        self.assertEqual(c.end(), 1)


def apply(text, edits):
    lines = text.split("\n")
    for edit in sorted(edits, key=lambda e: -e["range"]["start"]["line"]):
        start, end = edit["range"]["start"], edit["range"]["end"]
        assert start["line"] == end["line"]
        line = lines[start["line"]]
        lines[start["line"]] = line[:start["character"]] + edit["newText"] + line[end["character"]:]
    return "\n".join(lines)


NVIM = r"""
local function fail(what) io.stderr:write(what .. "\n") vim.cmd("cquit 1") end
local function wait(what, condition) if not vim.wait(30000, condition, 10) then fail("waited in vain for " .. what) end end
vim.cmd("edit " .. vim.env.RULE_FILE)
local id = vim.lsp.start_client({ name = "perigee", cmd = { vim.env.PERIGEE, "lsp", "--config", vim.env.CONFIG } })
vim.lsp.buf_attach_client(0, id)
wait("a finding", function() return #vim.diagnostic.get(0) == 1 end)
local d = vim.diagnostic.get(0)[1]
if d.code ~= "unknown-operator" or d.lnum ~= 6 or d.col ~= 14 then fail("another finding: " .. vim.inspect(d)) end
vim.api.nvim_buf_set_lines(0, 6, 7, true, { "  - operator: comms.missedCalls" })
wait("no finding", function() return #vim.diagnostic.get(0) == 0 end)
vim.api.nvim_buf_set_lines(0, 6, 7, true, { "  - operator: comms.missed" })
vim.api.nvim_win_set_cursor(0, { 7, 26 })
local answer = vim.lsp.buf_request_sync(0, "textDocument/completion", vim.lsp.util.make_position_params(0, "utf-16"), 30000)
local items = vim.lsp.util.extract_completion_items(answer[id].result)
local found = false
for _, item in ipairs(items) do found = found or item.label == "comms.missedCalls" end
if not found then fail("no completion: " .. vim.inspect(answer)) end
vim.lsp.stop_client(id)
vim.cmd("qall!")
"""


@unittest.skipUnless(shutil.which("nvim"), "Neovim is not installed")
class Editor(harness.Case):
    def test_neovim(self):
        p = self.service(start=False, rules={"mine.yaml": RULE.replace("missedCalls", "misedCalls")})
        script = os.path.join(p.dir, "session.lua")
        with open(script, "w") as f:
            f.write(NVIM)
        env = {**p.env, "PERIGEE": harness.BIN, "CONFIG": p.config_file, "RULE_FILE": os.path.join(p.rules, "mine.yaml"), "XDG_DATA_HOME": p.dir}
        result = subprocess.run(["nvim", "--clean", "--headless", "-n", "-c", f"luafile {script}"], env=env, capture_output=True, text=True,
                                timeout=harness.DEADLINE)
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    harness.main()
