#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What plugin authors are given: templates that work, their tests, the annotated example, and the newcomer's path of
docs/plugins.md typed as written."""
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import unittest
import urllib.parse

import harness
import test_readme

BUILD = os.path.dirname(os.path.dirname(harness.BIN))


class Templates(harness.Case):
    def setUp(self):
        self.s = self.service(start=False)

    def make(self, name, *options, expect=0):
        return self.s.cli("plugins", "new", name, *options, expect=expect)

    def test_of_every_type_pass_the_check_and_their_own_tests(self):
        for kind in ("operator", "connector", "channel"):
            with self.subTest(kind):
                name = f"my-{kind}"
                self.assertIn(name, self.make(name, "--type", kind).stdout)
                self.assertIn("good", self.s.cli("plugins", "check", name, expect=0).stdout)
                told = self.s.cli("plugins", "test", name, expect=0).stdout
                self.assertIn("ok 1 - ", told)
                self.assertNotIn("not ok", told)
                left = subprocess.run(["grep", "-rnE", "@[A-Z]+@|SPDX", name], cwd=self.s.dir, capture_output=True, text=True, check=False).stdout
                self.assertEqual(left, "")

    def test_say_what_is_wrong_with_a_name(self):
        self.assertIn("say --type", self.make("garden", expect=2).stderr)
        self.assertIn("no plugin id", self.make("../garden", "--type", "operator", expect=2).stderr)
        self.assertIn("last dot", self.make("io.-x", "--type", "operator", expect=2).stderr)
        self.assertIn("--type takes", self.make("garden", "--type", "thing", expect=2).stderr)
        self.assertIn("--lang takes", self.make("garden", "--type", "operator", "--lang", "go", expect=2).stderr)
        self.make("io.example.garden", "--type", "operator", "--dir", "deep/er")
        self.assertTrue(os.path.isfile(os.path.join(self.s.dir, "deep/er/garden/plugin.json")))
        again = self.make("other.garden", "--type", "operator", "--dir", "deep/er", expect=1)
        self.assertIn("is there already", again.stderr)

    def test_in_c_is_built_outside_the_tree_against_the_installed_header(self):
        prefix = os.path.join(self.s.dir, "usr")
        subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
        perigee = os.path.join(prefix, "bin/perigee")
        env = {**self.s.env, "PATH": os.path.dirname(perigee) + ":" + os.environ["PATH"], "PKG_CONFIG_PATH": os.path.join(prefix, "share/pkgconfig")}

        def run(*command):
            done = subprocess.run(command, cwd=self.s.dir, env=env, capture_output=True, text=True, timeout=harness.DEADLINE)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
            return done.stdout

        flags = run("pkg-config", "--cflags", "perigee").strip()
        self.assertEqual(os.path.realpath(flags.removeprefix("-I")), os.path.realpath(os.path.join(prefix, "include")))
        for kind, told_of in self.TOLD_IN_C.items():
            name = f"my-{kind}"
            run(perigee, "plugins", "new", name, "--type", kind, "--lang", "c")
            run("cmake", "-S", name, "-B", f"{name}/.build", "-DCMAKE_C_FLAGS=-Werror")
            run("cmake", "--build", f"{name}/.build")
            run(perigee, "plugins", "check", name, "--config", self.s.config_file)
            told = run(perigee, "plugins", "test", name, "--config", self.s.config_file)
            self.assertNotIn("not ok", told)
            for line in told_of:
                self.assertIn(line, told)
        self.listens()

    TOLD_IN_C = {
        "operator": ("ok 2 - myOperator.count needs a text", "ok 3 - examples.json: myOperator.isLonger"),
        "channel": ("ok 1 - sending posts the message", "ok 5 - after an attempt of unknown outcome does not send what did"),
        "connector": ("ok 1 - fetching stores tickets and tells rules", "ok 3 - examples.json: my-connector.execute"),
    }

    def listens(self):
        """The connector that was just built, in a service: what it hears fires a rule."""
        heard = "name: Heard\ntrigger: {event: myConnector.Ticket}\nactions: [{operator: core.log, params: {message: '{{ event.title }}'}}]\n"
        path = os.path.join(self.s.dir, "tickets.sock")
        s = self.service(f"plugin_path: [{json.dumps(os.path.join(self.s.dir, 'my-connector'))}]\nplugins: {{my-connector: {{config: {{socket: {json.dumps(path)}}}}}}}",
                         rules={"heard.yaml": heard}, start=False)
        s.cli("plugins", "approve", "my-connector", "--yes", expect=0)
        s.start()
        harness.wait_for(lambda: os.path.exists(path), "the socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(b'no JSON', path)
            out.sendto(b'{"id": "7", "title": "No heating"}', path)
        event = harness.wait_for(lambda: next((e for e in s.get("/v1/events")["items"] if e["type"] == "myConnector.Ticket"), None), "the ticket")
        self.assertEqual([r["state"] for r in s.runs_of(event["id"])], ["succeeded"])
        self.assertIn("what came in is no JSON", s.log_text())


class Tests(harness.Case):
    def setUp(self):
        self.s = self.service(start=False)
        self.s.cli("plugins", "new", "garden", "--type", "operator", expect=0)
        self.folder = os.path.join(self.s.dir, "garden")

    def change(self, name, old, new):
        path = os.path.join(self.folder, name)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        self.assertIn(old, text)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))

    def test_fail_when_a_spec_fails(self):
        self.change("spec/garden_spec.lua", "Hi, Ada!", "Bye, Ada!")
        done = self.s.cli("plugins", "test", "garden", expect=1)
        self.assertIn("not ok 1", done.stdout)
        self.assertIn("the specs", done.stderr)

    def test_fail_when_an_example_does_not_come_true(self):
        self.change("examples.json", '"times": 1}}', '"times": 2}}')
        done = self.s.cli("plugins", "test", "garden", expect=1)
        self.assertIn('# result is {"text":"Good day, Ada!","times":1}, not {"text":"Good day, Ada!","times":2}', done.stdout)
        rows = [json.loads(line) for line in self.s.cli("plugins", "test", "garden", "--json", expect=1).stdout.splitlines()]
        self.assertEqual([row["ok"] for row in rows], [False, True, True, True])

    def test_run_in_the_sandbox(self):
        self.change("init.lua", "local times = times_greeted", "while true do end\n        local times = times_greeted")
        shutil.rmtree(os.path.join(self.folder, "spec"))
        done = self.s.cli("plugins", "test", "garden", expect=1)
        self.assertIn("[limit.instructions]", done.stdout)

    def test_say_what_is_missing(self):
        self.s.env["PATH"] = self.s.dir
        self.assertIn("apt install lua5.4 lua-busted", self.s.cli("plugins", "test", "garden", expect=1).stderr)
        self.change("examples.json", '"config"', '"confug"')
        self.assertIn('examples.json: must be {"config"', self.s.cli("plugins", "test", "garden", expect=1).stderr)
        self.assertIn("cannot read nowhere", self.s.cli("plugins", "test", "nowhere", expect=1).stderr)


class Sky(http.server.BaseHTTPRequestHandler):
    """Open-Meteo, as far as the example asks."""

    def do_GET(self):
        self.server.asked.append(self.path)
        status, body = self.server.answers.pop(0) if self.server.answers else (200, {"current": {"temperature_2m": -3.5, "precipitation": 0.4}})
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


RULES = """
name: Rain
trigger: {event: weather.Changed, match: {rain: [true]}}
actions:
  - operator: notify.send
    params: {message: "rain at {{ event.place }}, {{ event.temperature }} degrees"}
---
name: Look
trigger: {event: demo.Look}
conditions:
  - operator: weather.isBelow
    params: {place: home, celsius: 0}
actions:
  - operator: weather.current
    params: {place: home}
    retry: {initial_interval: 10ms, maximum_attempts: 3}
"""


class Weather(harness.Case):
    def setUp(self):
        self.sky = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sky)
        self.sky.asked, self.sky.answers = [], []
        threading.Thread(target=self.sky.serve_forever, daemon=True).start()
        self.addCleanup(self.sky.server_close)
        self.addCleanup(self.sky.shutdown)

    def serve(self):
        config = f"""plugin_path: ["{harness.SOURCE}/docs/examples"]
plugins:
  io.example.weather:
    config:
      baseUrl: "http://127.0.0.1:{self.sky.server_port}"
      places: {{home: {{latitude: 52.5, longitude: 13.4}}}}"""
        service = self.service(config=config, rules={"weather.yaml": RULES}, start=False)
        return service.start("--approve-all")

    def test_passes_its_own_tests(self):
        s = self.service(start=False)
        told = s.cli("plugins", "test", os.path.join(harness.SOURCE, "docs/examples/weather"), expect=0).stdout
        self.assertIn("ok 3 - examples.json: weather.isBelow", told)

    def test_asks_once_and_tells_the_rules(self):
        s = self.serve()
        for _ in range(2):
            run, = s.runs_of(s.emit("demo.Look"))
            self.assertEqual(run["state"], "succeeded", run)
            self.assertEqual(run["steps"][0]["result"], {"temperature": -3.5, "millimeters": 0.4, "rain": True})
        harness.wait_for(lambda: s.outbox(), "the message")
        self.assertEqual([m["body"] for m in s.outbox()], ["rain at home, -3.5 degrees"])
        self.assertEqual([urllib.parse.parse_qs(asked.removeprefix("/v1/forecast?")) for asked in self.sky.asked],
                         [{"latitude": ["52.5"], "longitude": ["13.4"], "current": ["temperature_2m,precipitation"]}] * 2)
        # The condition asked once before anything was kept, the action once; then the answer was in storage.
        compared = s.matched(s.emit("demo.Look"))["look"]
        self.assertEqual(compared["verdict"], "fired", compared)
        self.assertEqual(len(self.sky.asked), 2)

    def test_tries_again_what_is_worth_it(self):
        s = self.serve()
        good = (200, {"current": {"temperature_2m": -1, "precipitation": 0}})
        self.sky.answers = [good, (503, {}), good]
        run, = s.runs_of(s.emit("demo.Look"))
        self.assertEqual((run["state"], len(self.sky.asked)), ("succeeded", 3), run)


class Newcomer(harness.Case):
    maxDiff = None

    def setUp(self):
        self.s = self.service(start=False)
        del self.s.env["XDG_CONFIG_HOME"]
        self.s.start()
        programs = os.path.join(self.s.dir, "bin")
        os.mkdir(programs)
        os.symlink(harness.BIN, os.path.join(programs, "perigee"))
        self.env = {**self.s.env, "PATH": programs + ":" + os.environ["PATH"], "PERIGEE_CONFIG": self.s.config_file}

    def settled(self):
        """The service has seen the plugin's folder and the rules, which take it a moment."""
        folder = os.path.join(self.s.dir, ".config/perigee/plugins/greeter")
        known = {plugin["id"] for plugin in self.s.get("/v1/plugins")["items"]}
        files = [os.path.join(self.s.rules, name) for name in os.listdir(self.s.rules) if name.endswith(".yaml")]
        return ("greeter" in known) == os.path.isdir(folder) and {r["file"] for r in self.s.get("/v1/rules")["items"]} == set(files)

    def type(self, command):
        done = subprocess.run(["bash", "-c", command], cwd=self.s.dir, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=harness.DEADLINE)
        harness.wait_for(self.settled, "plugins and rules to be read")
        return done.stdout

    def test_prints_what_the_guide_shows(self):
        with open(os.path.join(harness.SOURCE, "docs/plugins.md"), encoding="utf-8") as f:
            (name, block), = test_readme.BLOCK.findall(f.read())
        self.assertEqual(name, "newcomer")
        shown, printed = test_readme.Normal(), test_readme.Normal()
        steps = test_readme.commands(block)
        self.assertLess(len(steps), 10)
        for command, output in steps:
            with self.subTest(command.splitlines()[0]):
                self.assertEqual(self.plain(printed(self.type(command))), self.plain(shown(output)))

    @staticmethod
    def plain(text):
        """Without what differs from one machine to the next, and with JSON in one order of keys."""
        text = re.sub(r"sha256 [0-9a-f]+…?", "sha256 HASH", text)
        text = re.sub(r"\S*/\.config/", "~/.config/", text)
        text = re.sub(r"\S*/policy\.yaml", "policy.yaml", text)
        return re.sub(r"\{\".*\}$", lambda found: json.dumps(json.loads(found.group()), sort_keys=True), text, flags=re.M)


if __name__ == "__main__":
    unittest.main(verbosity=1)
