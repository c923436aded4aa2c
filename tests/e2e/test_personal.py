#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Personal data goes every way there is: actions get it, and whoever looks at what happened sees placeholders."""
import http.server
import json
import os
import re
import sqlite3
import threading
import urllib.parse

import harness

PERSON = {"name": "Zoë Quillfeather", "phone": "+49 30 5550 7719", "mail": "  zq@quill.example ", "age": 87163, "vip": True,
          "homes": [{"city": "Xanten-Vynen"}, {"city": "Ux"}], "contactId": "c-17", "size": 12, "order": "o-5"}
CONTACT = {"id": "c-17", "displayName": "Mortimer Grubbs", "phoneNumbers": ["+15005550199"], "team": "blue"}
MARKS = [PERSON["name"], "Quillfeather", "quillfeather", "QUILLFEATHER", "ZOË", PERSON["phone"], "493055507719", urllib.parse.quote(PERSON["name"], safe=""),
         "zq@quill", "87163", "Xanten", "Grubbs", "GRUBBS", "thistlewood", "15005550199"]

PLUGIN = """
return {
  conditions = { ["who.known"] = { params = { type = "object" }, evaluate = function(params, ctx)
    return params.yes == true, { actual = params.name, shout = string.upper(params.name), detail = "nobody called " .. params.name } end } },
  actions = {
    ["who.look"] = { params = { type = "object" }, execute = function(params, ctx)
      local contact = ctx.data.get("contact", params.id)
      ctx.log.warn("found " .. contact.displayName, { contact = contact })
      ctx.log.error(string.upper(params.name))
      return { name = contact.displayName, loud = string.upper(contact.displayName), phones = contact.phoneNumbers, given = params.name } end },
    ["who.fail"] = { params = { type = "object" }, execute = function(params, ctx)
      ctx.log.info("about " .. params.name)
      error({ code = "who", message = "cannot call " .. params.name .. " at " .. params.phone, retryable = params.again == true }) end },
    ["who.crash"] = { params = { type = "object" }, execute = function(params, ctx) return nil + params.name end },
  },
}
"""

RULE = """rules:
  - {name: Match, trigger: {event: who.Came, match: {name: [Somebody]}}, actions: [{stop: true}]}
  - {name: Vip, trigger: {event: who.Came, match: {vip: [false]}}, actions: [{stop: true}]}
  - {name: Compare, trigger: {event: who.Came}, conditions: ["event.age < 18"], actions: [{stop: true}]}
  - {name: Equal, trigger: {event: who.Came}, conditions: ["event.name | upper == 'X'"], actions: [{stop: true}]}
  - {name: Known, trigger: {event: who.Came}, conditions: [{operator: who.known, params: {yes: false, name: "{{ event.name }}"}}], actions: [{stop: true}]}
  - {name: Wrong, trigger: {event: who.Came}, conditions: ["event.name > 3"], actions: [{stop: true}]}
  - name: Tell
    trigger: {event: who.Came}
    actions:
      - {operator: who.look, id: look, params: {id: "{{ event.contactId }}", name: "{{ event.name }}"}}
      - {set: {name: "{{ event.name | upper }}", first: "{{ event.homes[1].city }}", age: "{{ event.age }}", slug: "{{ event.name | slug }}"}}
      - lua: |
          return { back = vars.name .. "!", digits = string.gsub(event.phone, "[^0-9]", "") }
      - {emit: {event: who.Told, data: {text: "{{ event.name }} ({{ event.age }}) of {{ event.homes[2].city }}", phone: "{{ event.phone }}"}}}
      - {operator: notify.send, params: {message: "{{ steps.look.name }} and {{ vars.name }}, {{ event.mail | trim }}"}}
      - {operator: http.request, params: {url: "%(url)s/hello?who={{ event.name | url_encode }}", method: POST, json: {person: "{{ event.name }}", age: "{{ event.age }}"}}}
  - {name: Hear, trigger: {event: who.Told}, conditions: ["event.text == 'nothing'"], actions: [{stop: true}]}
  - {name: Pass, trigger: {event: who.Told}, actions: [{operator: notify.send, params: {message: "told: {{ event.text }}"}}]}
  - {name: Fail, trigger: {event: who.Came}, actions: [{operator: who.fail, params: {name: "{{ event.name }}", phone: "{{ event.phone }}"}}]}
  - {name: Again, trigger: {event: who.Came}, actions: [{operator: who.fail, params: {name: "{{ event.name }}", phone: x, again: true}, retry: {maximum_attempts: 2, initial_interval: 10ms}}]}
  - {name: Crash, trigger: {event: who.Came}, actions: [{operator: who.crash, params: {name: "{{ event.name }}"}}]}
  - {name: Ask, trigger: {event: who.Came}, actions: [{approve: {prompt: "May {{ event.name }} come in?"}}]}
  - {name: Wait, trigger: {event: who.Came}, actions: [{wait_for: {event: who.Left, match: {name: ["{{ event.name }}"]}, timeout: 1h}, id: left}, {operator: notify.send, params: {message: "{{ steps.left.event.mail }}"}}]}
"""

CONFIG = """plugin_path: [%(folder)s]
log: {level: debug}
plugins:
  http: {config: {hosts: ["127.0.0.1:%(port)d"]}}
privacy:
  personal:
    events: {"who.*": [mail, homes.city], who.Left: name}
    data: {contact: [displayName, phoneNumbers]}
"""


class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.seen.append((self.path, body))
        told = json.dumps({"you said": body, "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *args):
        pass


class Personal(harness.Case):
    def setUp(self):
        self.echo = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        self.echo.seen = []
        threading.Thread(target=self.echo.serve_forever, daemon=True).start()
        self.addCleanup(self.echo.server_close)
        self.addCleanup(self.echo.shutdown)
        p = self.p = self.service(start=False)
        folder = os.path.join(p.dir, "plugins", "who")
        os.makedirs(folder)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write(PLUGIN)
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump({"id": "who", "name": "Who", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                       "permissions": ["data:read:contact", "event:publish:who.*"],
                       "events": [{"eventName": "who.Came", "direction": "publish", "description": "Somebody has come.", "schema": {
                           "type": "object", "properties": {"name": {"type": "string", "personal": True}, "phone": {"type": "string", "personal": True},
                                                            "age": {"type": "integer", "personal": True}, "vip": {"type": "boolean", "personal": True}}}}]}, f)
        p.write_config(CONFIG % {"folder": os.path.dirname(folder), "port": self.echo.server_port}, [p.rules])
        p.write_rule("who.yaml", RULE % {"url": f"http://127.0.0.1:{self.echo.server_port}"})
        p.start("--approve-all")
        p.put("contact", CONTACT)

    def go(self):
        p = self.p
        event = p.emit("who.Came", PERSON)
        p.matched(event)
        listed = f"/v1/runs?limit=100&event={event}"
        rest = ("succeeded", "failed", "unknown", "waiting")
        harness.wait_for(lambda: all(r["state"] in rest for r in p.get(listed)["items"]), "the runs to come to rest")
        left = p.emit("who.Left", {"name": PERSON["name"], "mail": "bye@thistlewood.example"})
        wait = next(r for r in p.get(listed)["items"] if r["rule"] == "wait")["id"]
        harness.wait_for(lambda: p.get("/v1/runs/" + wait)["state"] == "succeeded", "the run that waits")
        tell = next(r for r in p.get(listed)["items"] if r["rule"] == "tell")
        told = p.get("/v1/runs/" + tell["id"])["emitted"][0]["event"]
        p.matched(told)
        harness.wait_for(lambda: [r["state"] for r in p.get(f"/v1/runs?event={told}")["items"]] == ["succeeded"], "the second run")
        return event, told

    def shown(self, event, told):
        p = self.p
        runs = [r["id"] for e in (event, told) for r in p.get(f"/v1/runs?limit=100&event={e}")["items"]]
        letters = [x["id"] for x in p.get("/v1/dead")["items"]]
        errors = [x["id"] for x in p.get("/v1/errors")["items"]]
        self.assertEqual(len(runs), 7, [r["rule"] for e in (event, told) for r in p.get(f"/v1/runs?limit=100&event={e}")["items"]])
        self.assertTrue(letters and errors)
        paths = ["events?limit=100", "runs?limit=100", "outbox?limit=100", "errors", "errors/stats", "dead", "tasks", "approvals", "audit", "status"]
        paths += [f"events/{e}{x}" for e in (event, told) for x in ("", "/verdicts")] + [f"runs/{r}" for r in runs]
        paths += [f"dead/{x}" for x in letters] + [f"errors/{x}" for x in errors]
        for path in paths:
            answer = p.request("GET", "/v1/" + path)
            self.assertEqual(answer.status, 200, (path, answer))
            yield path, answer.body.decode()
        rules = re.findall(r"name: (\w+)", RULE)
        commands = [("events", "list"), ("events", "show", event), ("events", "show", told), ("runs", "list"), ("runs", "approve"), ("outbox", "list"),
                    ("errors", "list"), ("errors", "stats"), ("dead", "list"), ("tasks", "list"), ("diff", "--since", "1d", os.path.join(p.dir, "none"))]
        commands += [("runs", "show", r) for r in runs] + [("dead", "show", letters[0]), ("errors", "show", errors[0]), ("outbox", "show", "ob-1")]
        commands += [("why", r.lower(), "--event", e) for r in rules for e in (event,)] + [("why", "hear", "--event", told), ("why", "known")]
        commands += [("why", r, "--event", event, "--again") for r in ("match", "known")]
        commands += [("why", "known", "--event", os.path.join(p.dir, "event.json"))]
        for i, words in enumerate(commands):
            done = p.cli(*words, *(("--json",) if i % 2 else ()))
            yield " ".join(words), done.stdout + done.stderr

    def leaks(self, texts):
        return [(where, form, text[max(0, text.find(form) - 150):text.find(form) + 50]) for where, text in texts for form in MARKS if form in text]

    def test_people_who_look_see_placeholders_and_actions_the_values(self):
        p = self.p
        os.makedirs(os.path.join(p.dir, "none"))
        with open(os.path.join(p.dir, "none", "one.yaml"), "w") as f:
            f.write("rules:\n  - {name: Other, trigger: {event: who.Came}, actions: [{operator: notify.send, params: {message: 'new {{ event.name }}'}}]}\n")
        with open(os.path.join(p.dir, "event.json"), "w") as f:
            f.write(json.dumps({"type": "who.Came", "data": PERSON}))
        event, told = self.go()
        path, body = self.echo.seen[0]
        self.assertEqual((urllib.parse.unquote(path), json.loads(body)), (f"/hello?who={PERSON['name']}", {"person": PERSON["name"], "age": PERSON["age"]}))
        everything = dict(self.shown(event, told))
        self.assertEqual(self.leaks(everything.items()), [])
        self.assertEqual(self.leaks([("log", p.log_text())]), [])
        self.assertIn("about [personal ", p.log_text())
        self.assertIn("found [personal ", p.log_text())

        data = json.loads(everything[f"events/{event}"])["data"]
        self.assertRegex(data["name"], r"^\[personal [0-9a-f]{4}\]$")
        self.assertRegex(data["vip"], r"^\[personal [0-9a-f]{4}\]$")
        self.assertEqual([bool(re.match(r"\[personal", x["city"])) for x in data["homes"]], [True, True])
        self.assertEqual((data["size"], data["order"], data["contactId"]), (12, "o-5", "c-17"), "what is not marked stays")
        verdicts = {v["rule"]: v for v in json.loads(everything[f"events/{event}/verdicts"])["items"]}
        self.assertEqual(verdicts["match"]["detail"]["actual"], data["name"], "equal values can be told to be equal")
        self.assertEqual(verdicts["vip"]["detail"]["actual"], data["vip"])
        self.assertEqual(verdicts["compare"]["detail"]["right"], 18)
        self.assertIn(data["name"], verdicts["known"]["detail"]["detail"])
        self.assertIn(data["name"], json.loads(everything[f"events/{told}"])["data"]["text"], "and through rules")
        contact = p.get("/v1/data/contact/c-17")
        self.assertEqual(contact["displayName"], CONTACT["displayName"], "data itself is read as it is")

    def test_who_may_see_it_can_and_the_audit_trail_tells(self):
        p = self.p
        event, told = self.go()
        self.assertIn(PERSON["name"], p.cli("events", "show", event, "--show-personal", expect=0).stdout)
        self.assertIn(PERSON["name"], p.cli("why", "known", "--event", event, "--show-personal").stdout)
        self.assertEqual(p.get(f"/v1/events/{event}?personal=show")["data"], PERSON)
        rows = harness.wait_for(lambda: (lambda x: len(x) == 3 and x)(p.get("/v1/audit?action=personal.shown")["items"]), "three entries")
        self.assertEqual(sorted((r["actor"], r["target"]) for r in rows),
                         [("api", f"/v1/events/{event}"), ("local", f"events show {event}"), ("local", "why known")])
        p.stop()
        self.assertIn(PERSON["name"], p.cli("events", "show", event, "--show-personal", expect=0).stdout)
        self.assertNotIn(PERSON["name"], p.cli("events", "show", event, expect=0).stdout)
        p.start("--approve-all")
        self.assertEqual(len(p.get("/v1/audit?action=personal.shown")["items"]), 4)

    def test_of_an_event_that_is_gone_nothing_is_known(self):
        p = self.p
        event, told = self.go()
        tell = next(r["id"] for r in p.get(f"/v1/runs?event={event}")["items"] if r["rule"] == "tell")
        p.stop()
        with sqlite3.connect(os.path.join(p.state, "perigee.db")) as db:
            db.execute("DELETE FROM events WHERE seq=?", (int(event.split("-")[1]),))
        done = p.cli("runs", "show", tell, "--json", expect=0)
        self.assertEqual(self.leaks([("run", done.stdout)]), [])
        self.assertEqual(json.loads(done.stdout)["steps"][0]["params"]["name"], "[not shown: its event is no longer kept]")
        self.assertEqual(self.leaks([("event", p.cli("events", "show", told, expect=0).stdout)]), [], "nor of what came of it")
        self.assertIn("GRUBBS", p.cli("runs", "show", tell, "--show-personal", expect=0).stdout)

    def test_short_values_of_a_sender_blot_out_nothing_of_others(self):
        p = self.p
        hostile = p.emit("who.Left", {"name": "run", "mail": "1"})
        p.emit("who.Left", {"name": "failed", "mail": "2"})
        p.emit("who.Left", {"name": "who", "mail": 422})
        p.write_rule("plain.yaml", "name: Plain\ntrigger: {event: t.Plain}\nactions: [{operator: who.fail, params: {name: X, phone: 'of 1 in 2'}}]\n")
        harness.wait_for(lambda: p.request("GET", "/v1/rules/plain").status == 200, "the rule")
        run, = p.runs_of(p.emit("t.Plain"))
        self.assertRegex(run["id"], "^run-[0-9]+$")
        self.assertEqual((run["state"], run["error"]["message"]), ("failed", "cannot call X at of 1 in 2"))
        self.assertIn(f"{run['id']}: who.fail: cannot call X at of 1 in 2", p.log_text())
        shown = p.get("/v1/events/" + hostile)
        self.assertEqual((shown["id"], shown["type"], shown["state"]), (hostile, "who.Left", "matched"))
        self.assertRegex(shown["data"]["name"], r"^\[personal [0-9a-f]{4}\]$")

    def test_marks_follow_the_configuration(self):
        p = self.p
        event = p.emit("plain.Came", {"who": "Barnaby Sprockett"})
        p.matched(event)
        self.assertEqual(p.get(f"/v1/events/{event}")["data"], {"who": "Barnaby Sprockett"})
        with open(p.config_file) as f:
            text = f.read()
        with open(p.config_file, "w") as f:
            f.write(text.replace("events: {", "events: {plain.Came: who, "))
        harness.wait_for(lambda: "[personal" in str(p.get(f"/v1/events/{event}")["data"]), "the mark to count")
        bad = text.replace("events: {", "events: {'plain..x': who, b: event.who, ").replace("data: {", "date: {}\n    data: {")
        with open(p.config_file, "w") as f:
            f.write(bad)
        findings = [json.loads(x) for x in p.cli("check", "--json").stdout.splitlines()]
        self.assertEqual([(f["line"], f["code"]) for f in findings if f["file"] == p.config_file],
                         [(10, "wrong-value"), (10, "wrong-value"), (11, "unknown-key")])


if __name__ == "__main__":
    harness.main()
