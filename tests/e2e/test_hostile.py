#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mistakes of operators, unkind surroundings and unkind plugins: a clear word each, and the service goes on."""
import http.server
import json
import os
import signal
import subprocess
import threading

import harness

STOP = "name: {0}\ntrigger: {{event: t.A}}\nactions: [{{stop: true}}]\n"


def put_plugin(service, id, lua, permissions=(), **more):
    """A plugin in the folder <service.dir>/plugins, for start("--plugins", ..., "--approve-all")."""
    folder = os.path.join(service.dir, "plugins", id)
    os.makedirs(folder, exist_ok=True)
    manifest = {"id": id, "name": id, "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                "permissions": list(permissions), **more}
    with open(os.path.join(folder, "plugin.json"), "w") as f:
        json.dump(manifest, f)
    with open(os.path.join(folder, "init.lua"), "w") as f:
        f.write(lua)


class Held(http.server.ThreadingHTTPServer):
    """Answers when it is told to."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), HeldHandler)
        self.go, self.asked = threading.Event(), threading.Event()
        self.at = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.go.set()
        self.shutdown()
        self.server_close()


class HeldHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.set()
        self.server.go.wait(harness.DEADLINE)
        try:
            self.send_response(200)
            self.end_headers()
        except OSError:
            pass

    do_POST = do_GET

    def log_message(self, *args):
        pass


HOOK = """return { webhooks = {
  ["/slow"] = { methods = { "GET" }, handle = function(ctx)
    ctx.http.get("http://" .. ctx.config.host .. "/")
    ctx.emit("t.Hook", {})
    return { status = 201 }
  end },
  ["/fails"] = { methods = { "GET" }, handle = function() error("the key is 4711") end } } }"""


class Webhooks(harness.Case):
    def setUp(self):
        self.held = Held()
        self.addCleanup(self.held.close)
        self.p = self.service(f"plugins: {{test.hook: {{config: {{host: '{self.held.at}'}}}}}}", start=False)
        put_plugin(self.p, "test.hook", HOOK, ["network:inbound", "event:publish:t.*", "network:outbound:{config.host}"],
                   configSchema={"type": "object", "properties": {"host": {"type": "string"}}})
        self.start()

    def start(self):
        self.p.start("--plugins", os.path.join(self.p.dir, "plugins"), "--approve-all")

    def test_one_that_is_under_way_at_the_stop_gets_its_answer(self):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.p.request("GET", "/hooks/test.hook/slow")))
        thread.start()
        self.assertTrue(self.held.asked.wait(harness.DEADLINE))
        self.p.process.send_signal(signal.SIGTERM)
        harness.wait_for(lambda: "stopping" in self.p.log_text(), "the stop to begin")
        self.assertEqual(self.p.request("GET", "/hooks/test.hook/slow").status, 503)
        self.held.go.set()
        thread.join()
        self.assertEqual(answers[0].status, 201)
        self.assertEqual(self.p.process.wait(harness.DEADLINE), 0)
        self.start()
        self.assertEqual(len(self.p.get("/v1/events?type=t.Hook")["items"]), 1)

    def test_strangers_do_not_learn_why_a_plugin_failed(self):
        answer = self.p.request("GET", "/hooks/test.hook/fails")
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"4711", answer.body)
        self.assertIn("4711", self.p.log_text())


class Configuration(harness.Case):
    def check(self, extra):
        self.p.write_config(extra, [self.p.rules])
        result = self.p.cli("check", "--json")
        return result.returncode, [json.loads(line) for line in result.stdout.splitlines()]

    def test_values_that_cannot_work_are_refused(self):
        self.p = self.service(start=False)
        for extra, column, word in (("timezone: ../../etc/passwd", 11, "time zone"), ("timezone: Mars/Olympus", 11, "time zone"), ("timezone: ''", 11, "time zone"),
                                    ("limits: {workers: 100000}", 19, "between 1 and 64"), ("limits: {workers: 0}", 19, "between"),
                                    ("location: {latitude: 200, longitude: 0}", 22, "between -90 and 90"), ("policy: ''", 9, "empty"), ("policy:", 8, "single value")):
            code, findings = self.check(extra)
            self.assertEqual((code, len(findings)), (1, 1), (extra, findings))
            self.assertEqual((findings[0]["line"], findings[0]["column"]), (4, column), findings)
            self.assertIn(word, findings[0]["message"])
        with open(self.p.config_file, "w") as f:
            f.write(f"state_dir: {self.p.state}\nhttp: {{token: ''}}\n")
        self.assertIn("must not be empty", self.p.cli("run", expect=1).stderr)

    def test_settings_for_nobody_are_told(self):
        self.p = self.service(start=False)
        code, findings = self.check("plugins: {twilo: {config: {}}}\nchannels: {sms: nosuch, email: outbox}")
        self.assertEqual(code, 0)
        self.assertEqual([(f["line"], f["severity"], f["code"]) for f in findings], [(4, "warning", "unknown-plugin"), (5, "warning", "unknown-plugin")])
        self.assertIn("twilio", findings[0]["hint"])


class Timeouts(harness.Case):
    def test_what_left_decides_whether_it_may_be_sent_again(self):
        held = Held()
        self.addCleanup(held.close)
        rule = "name: {0}\ntrigger: {{event: t.A}}\nactions:\n  - operator: http.request\n    params: {{url: 'http://{1}/', method: {0}}}\n" \
               "    timeout: 200ms\n    retry: {{maximum_attempts: 2, initial_interval: 10ms}}\n"
        p = self.service(f"plugins: {{http: {{config: {{hosts: ['{held.at}']}}}}}}", rules={m + ".yaml": rule.format(m, held.at) for m in ("GET", "POST")})
        event = p.emit("t.A")
        p.matched(event)
        harness.wait_for(lambda: {r["state"] for r in p.get(f"/v1/runs?event={event}")["items"]} == {"failed", "unknown"}, "both to end")
        runs = {r["rule"]: p.get("/v1/runs/" + r["id"]) for r in p.get(f"/v1/runs?event={event}")["items"]}
        self.assertEqual([s["error"]["code"] for s in runs["get"]["steps"]], ["timeout", "timeout"])
        self.assertEqual([s["state"] for s in runs["post"]["steps"]], ["unknown"])


class CommandLine(harness.Case):
    def test_output_that_is_lost_is_no_success(self):
        for target, code in (("/dev/full", 70), ("/dev/null", 0)):
            with open(target, "w") as out:
                result = subprocess.run([harness.BIN, "version"], stdout=out, stderr=subprocess.PIPE, text=True, timeout=harness.DEADLINE)
            self.assertEqual(result.returncode, code)
            self.assertEqual("could not be written" in result.stderr, code == 70)

    def test_check_names_a_path_that_is_no_file(self):
        p = self.service(start=False)
        os.mkfifo(os.path.join(p.dir, "fifo"))
        for path in ("/dev/null", os.path.join(p.dir, "fifo")):
            self.assertIn("neither a file nor a folder", p.cli("check", path, expect=1).stdout)


class Terminal(harness.Case):
    """What a plugin wrote is shown, and does nothing else to the screen of whoever looks at it."""

    def test_is_not_steered_by_a_plugin(self):
        p = self.service(start=False)
        esc, turn = "\x1b[2J\x1b]0;owned\x07", "\u202e"
        put_plugin(p, "test.esc", f"return {{ actions = {{ ['esc.x'] = {{ description = 'a{esc}b', execute = function() error('c{esc}d') end }} }} }}",
                   [f"filesystem:read:/a{esc}"], description=f"x{esc}{turn}y")
        plugins = os.path.join(p.dir, "plugins")
        outputs = [p.cli("plugins", "check", os.path.join(plugins, "test.esc"), expect=1), p.cli("plugins", "list", "--plugins", plugins)]
        put_plugin(p, "test.esc", f"return {{ actions = {{ ['esc.x'] = {{ description = 'a{esc}b', execute = function() error('c{esc}d') end }} }} }}",
                   [], description=f"x{esc}y")
        for command in (("plugins", "list"), ("plugins", "show", "test.esc"), ("operators", "list"), ("operators", "show", "esc.x"),
                        ("operators", "call", "esc.x", "--params", "{}")):
            outputs.append(p.cli(*command, "--plugins", plugins, "--approve-all"))
        for done in outputs:
            self.assertTrue(done.stdout or done.stderr)
            self.assertNotRegex(done.stdout + done.stderr, "[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.args)


class ManyRules(harness.Case):
    def test_each_of_thousands_gets_its_verdict(self):
        rules = "\n".join(f"- {{name: R{n}, trigger: {{event: t.A, match: {{x: [1]}}}}, actions: [{{stop: true}}]}}" for n in range(4200))
        p = self.service(rules={"many.yaml": "rules:\n" + rules})
        event = p.emit("t.A", {"x": 2})
        self.assertEqual(len(p.matched(event)), 4200)


class SilentRules(harness.Case):
    def test_why_says_what_stands_in_the_way(self):
        p = self.service(rules={"typo.yaml": STOP.format("Typo").replace("t.A", "t.B"), "off.yaml": STOP.format("Off") + "enabled: false\n",
                                "shut.yaml": STOP.format("Shut"), "bad.yaml": STOP.format("Bad") + "x: 1\n"})
        p.cli("rules", "disable", "shut", expect=0)
        event = p.emit("t.A")
        p.matched(event)
        for rule, words in (("typo", f"hears t.B; {event} is a t.A"), ("typp", 'did you mean "typo"'), ("bad", "1 error: see `perigee check'")):
            self.assertIn(words, p.cli("why", rule, "--event", event, expect=1).stderr)
        for rule, words in (("off", "`enabled: false' stands in the file"), ("shut", "perigee rules enable shut")):
            self.assertIn(words, p.cli("why", rule, "--event", event, expect=1).stdout)
        p.write_rule("late.yaml", STOP.format("Late"))
        self.assertIn("events replay", p.cli("why", "late", "--event", event, expect=1).stderr)


class Data(harness.Case):
    def test_every_page_is_reached_and_every_id_found(self):
        p = self.service()
        p.put("contacts", [{"id": f"c/{n}", "name": n % 3} for n in range(25)])
        seen, after = [], ""
        while after is not None:
            page = p.get(f"/v1/data/contact?limit=10&order=name{after}")
            seen += [item["id"] for item in page["items"]]
            after = "&after=" + page["next"] if "next" in page else None
            self.assertLess(len(seen), 100)
        self.assertEqual((len(seen), len(set(seen))), (25, 25))
        self.assertEqual(p.request("GET", "/v1/data/contact?after=c1").status, 400)
        self.assertEqual(p.get("/v1/data/contacts/c%2F7")["id"], "c/7")
        self.assertEqual(p.cli("data", "query", "contacts", "--count", expect=0).stdout, "25\n")
        p.cli("data", "delete", "contact", "c/7", expect=0)
        self.assertEqual(p.request("GET", "/v1/data/contact/c%2F7").status, 404)


class RuleFolder(harness.Case):
    def test_a_folder_that_is_not_there_is_told(self):
        p = self.service(start=False)
        p.write_config("", [p.rules, os.path.join(p.dir, "rulez")])
        finding, = [json.loads(line) for line in p.cli("check", "--json", expect=0).stdout.splitlines()]
        self.assertEqual((finding["severity"], finding["code"], finding["line"]), ("warning", "folder", 2))

    def test_a_link_back_to_the_folder_is_not_followed(self):
        p = self.service(rules={"a.yaml": STOP.format("A")}, start=False)
        os.symlink(p.rules, os.path.join(p.rules, "loop"))
        self.assertRegex(p.cli("check", expect=0).stderr, "^1 rules? in 1 files?: 0 errors")


if __name__ == "__main__":
    harness.main()
