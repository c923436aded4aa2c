#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What strangers send: a clear refusal each, and the service lives."""
import json
import os
import socket
import subprocess

import harness

RULE = "name: Any\ntrigger: {event: t.**}\nactions:\n  - operator: core.log\n    params: {message: seen}\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8))


class BadInput(harness.Case):
    def setUp(self):
        self.p = self.service(rules={"any.yaml": RULE})

    def tearDown(self):
        self.assertEqual(self.p.request("GET", "/readyz").status, 200)
        self.p.runs_of(self.p.emit("t.Alive"))

    def post(self, body, kind="application/json", path="/v1/events?type=t.X"):
        return self.p.request("POST", path, body, {"Content-Type": kind})

    def refused(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer)
        problem = answer.json
        self.assertEqual(problem["status"], status)
        for word in words:
            self.assertIn(word, problem["detail"])

    def test_json(self):
        self.refused(self.post("{\"a\":"), 400, "line 1")
        self.refused(self.post("{\"a\":1} x"), 400)
        self.refused(self.post("[" * 10000 + "]" * 10000), 400, "deep")
        self.refused(self.post(b"{\"a\":\"\xff\"}"), 400)
        self.refused(self.post("{\"a\":1e999}"), 400)
        self.refused(self.post(b"\x00"), 400)

    def test_sizes(self):
        self.refused(self.post(json.dumps({"a": "x" * 70000})), 413)
        head = f"POST /v1/events?type=t.X HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.p.token}\r\nContent-Length: 100000000\r\n\r\n".encode()
        got = self.p.raw(head + b"x" * 1000000)
        self.assertTrue(got == b"" or got.startswith(b"HTTP/1.1 413"), got[:100])
        many = b"".join(b"X-H%d: 1\r\n" % i for i in range(10000))
        got = self.p.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
        self.assertRegex(got[:13], rb"^$|HTTP/1\.[01] 4")

    def test_http(self):
        auth = f"Authorization: Bearer {self.p.token}\r\n".encode()
        for request in (b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
                        b"POST /v1/events?type=t.X HTTP/1.1\r\nHost: a\r\n" + auth + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                        b"POST /v1/events?type=t.X HTTP/1.1\r\nHost: a\r\n" + auth + b"Content-Length: +2\r\n\r\n{}",
                        b"POST /v1/events?type=t.X HTTP/1.1\r\nHost: a\r\n" + auth + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
                        b"POST /v1/events?type=t.X HTTP/1.1\r\nHost: a\r\n" + auth + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
                        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x00" * 100):
            got = self.p.raw(request)
            self.assertFalse(got.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")), (request[:60], got[:60]))

    def test_what_strangers_write_steers_no_terminal(self):
        """C1 controls are commands to some terminals, and marks of direction show a line as it is not."""
        for evil in ("\x1b[2J", "\x9b2J", "\u202e", "\u2066", "\u200f"):
            text = f"x{evil}y\u00e9"
            event = self.p.emit("t.Evil", {"m": text}, subject=f"q{evil[-1]}" if evil[0] > "\x9f" else "q")
            self.p.write_rule("evil.yaml", f'name: "E{evil[-1]}"\nid: evil\ntrigger: {{event: t.Evil}}\nactions: [{{operator: core.log, params: {{message: "{{{{ event.m }}}}"}}}}]\n'
                              if evil[0] > "\x9f" else "name: E\nid: evil\ntrigger: {event: t.Evil}\nactions: [{operator: core.log, params: {message: \"{{ event.m }}\"}}]\n")
            harness.wait_for(lambda: self.p.request("GET", "/v1/rules/evil").status == 200, "the rule")
            event = self.p.emit("t.Evil", {"m": text})
            run = next(r for r in self.p.runs_of(event) if r["rule"] == "evil")
            for words in (("events", "show", event), ("events", "list"), ("runs", "show", run["id"]), ("rules", "list"), ("why", "evil", "--event", event)):
                self.assertNotIn(evil[0], self.p.cli(*words).stdout, (words, evil))
            self.assertEqual(json.loads(self.p.cli("events", "show", event, "--json", expect=0).stdout)["data"]["m"], text)
            self.assertNotIn(evil[0], self.p.log_text())
            self.assertIn("y\u00e9", self.p.log_text())

    def test_authorization(self):
        self.refused(self.p.request("GET", "/v1/events", token=False), 401, "token")
        self.refused(self.p.request("GET", "/v1/events", headers={"Authorization": "Bearer x"}), 401)
        self.refused(self.p.request("GET", "/v1/nothing"), 404)
        answer = self.p.request("DELETE", "/v1/events")
        self.refused(answer, 405)
        self.assertIn("GET", answer.headers["allow"])

    def test_cloudevents(self):
        self.refused(self.post("{}", "application/cloudevents+json", "/v1/events"), 400)
        self.refused(self.post("{}", "application/cloudevents+xml", "/v1/events"), 415)
        good = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t.B", "data": {}}
        before = len(self.p.get("/v1/events?type=t.B")["items"])
        self.refused(self.post(json.dumps([good, {**good, "id": ""}]), "application/cloudevents-batch+json", "/v1/events"), 400)
        self.assertEqual(len(self.p.get("/v1/events?type=t.B")["items"]), before, "one bad event refuses the whole batch")
        self.refused(self.post("{}", path="/v1/events?type=not%20a%20type"), 400, "type")
        self.refused(self.post("{}", path="/v1/events"), 400, "type")

    def test_a_client_that_says_nothing_or_goes_away(self):
        with socket.create_connection(("127.0.0.1", self.p.port)):
            self.p.emit("t.Beside")
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", self.p.port)) as s:
                s.sendall(f"POST /v1/events?type=t.X HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.p.token}\r\nContent-Length: 2\r\n\r\n{{}}".encode())

    def test_yaml(self):
        self.p.write_rule("bomb.yaml", BOMB)
        self.p.write_rule("deep.yaml", "a: " + "[" * 50000)
        self.p.write_rule("bytes.yaml", "name: \x00\x01")
        with open(os.path.join(self.p.rules, "latin.yaml"), "wb") as f:
            f.write(b"name: caf\xe9\n")
        files = harness.wait_for(lambda: (lambda s: s if len(s) >= 4 else None)({os.path.basename(f["file"]) for f in self.p.get("/v1/findings")["items"]}), "findings")
        self.assertEqual(files, {"bomb.yaml", "deep.yaml", "bytes.yaml", "latin.yaml"})

    def test_rule_folder_that_vanishes(self):
        os.rename(self.p.rules, self.p.rules + ".away")
        harness.wait_for(lambda: "vanished" in json.dumps(self.p.get("/v1/findings")), "the finding")
        self.assertEqual(len(self.p.runs_of(self.p.emit("t.Still"))), 1)
        os.rename(self.p.rules + ".away", self.p.rules)
        harness.wait_for(lambda: self.p.get("/v1/findings")["errors"] == 0, "the folder to be back")


class BadState(harness.Case):
    def fails(self, *words):
        p = self.p
        result = subprocess.run([harness.BIN, "run", "--config", p.config_file], env=p.env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        self.assertNotEqual(result.returncode, 0)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertNotIn("Sanitizer", result.stderr)

    def test_database_that_is_none(self):
        self.p = self.service(start=False)
        os.mkdir(self.p.state, 0o700)
        path = os.path.join(self.p.state, "perigee.db")
        with open(path, "w") as f:
            f.write("this is not a database\n" * 1000)
        self.fails("perigee.db", "database")
        with open(path) as f:
            self.assertTrue(f.read().startswith("this is not a database"), "the file was touched")

    def test_state_folder_that_is_a_file(self):
        self.p = self.service(start=False)
        with open(self.p.state, "w") as f:
            f.write("x")
        self.fails("state")

    @harness.unittest.skipIf(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"), "root writes everywhere")
    def test_read_only_state_folder(self):
        self.p = self.service(start=False)
        os.mkdir(self.p.state, 0o500)
        command = [harness.BIN, "run", "--config", self.p.config_file]
        if os.geteuid() == 0:
            os.chown(self.p.state, 65534, 65534)
            command = ["/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"] + command
        result = subprocess.run(command, env=self.p.env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(self.p.state, result.stderr)

    def test_second_service_on_the_same_state(self):
        self.p = self.service()
        self.fails("state")
        self.p.emit("t.Alive")

    def test_configuration_mistakes_have_places(self):
        self.p = self.service(start=False)
        with open(self.p.config_file, "w") as f:
            f.write("state_dri: x\nhttp:\n  listn: y\nlog: {level: loud}\n")
        result = self.p.cli("check", expect=1)
        self.assertIn("perigee.yaml:1:1: error: unknown key \"state_dri\"", result.stdout + result.stderr)
        self.assertIn("state_dir", result.stdout + result.stderr)
        self.assertIn(":3:3:", result.stdout + result.stderr)
        self.assertIn(":4:14:", result.stdout + result.stderr)


if __name__ == "__main__":
    harness.main()
