#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml is the HTTP API: every route is in it, and what the service answers is what it promises."""
import glob
import http.client
import os
import re

import harness
import jsonschema
import yaml

METHODS = ("get", "post", "put", "patch", "delete")
RULES = {
    "hello.yaml": "name: Hello\ndescription: greets\ntags: [demo]\ntrigger: {event: demo.Hello, match: {name: [{exists: true}]}}\nactions:\n"
                  "  - {id: told, operator: notify.send, params: {message: \"Hello, {{ event.name }}!\"}}\n",
    "wait.yaml": "name: Wait\ntrigger: {event: demo.Hello}\nactions: [{delay: 1d}]\n",
    "fail.yaml": "name: Fail\ntrigger: {event: demo.Hello}\nactions: [{operator: http.request, params: {url: \"http://nowhere.invalid/\"}}]\n",
    "clock.yaml": "name: Clock\ntrigger: {schedule: {cron: \"0 9 * * *\"}}\nactions: [{stop: done}]\n",
    "ask.yaml": "name: Ask\ntrigger: {event: demo.Hello}\nactions:\n  - {id: boss, approve: {prompt: \"{{ event.name }}?\", timeout: 1h}}\n  - emit: {event: demo.Told}\n",
    "bell.yaml": "name: Bell\ntrigger: {webhook: {path: bell, open: true}}\nactions: [{stop: done}]\n",
    "bad.yaml": "name: Bad\ntigger: {event: demo.Hello}\nactions: [{stop: done}]\n",
}

ACCOUNTS = """accounts:
  weather: {kind: key, hosts: [api.example.com]}
  mail: {preset: gmail, client_id: x, client_secret: !secret x}
"""


def document():
    with open(os.path.join(harness.SOURCE, "docs/openapi.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)


def routes():
    """{(method, path with {} for each parameter): open} of the tables in the source."""
    found = {}
    for name in glob.glob(os.path.join(harness.SOURCE, "engine/app/api*.c")):
        with open(name, encoding="utf-8") as f:
            for method, path, is_open in re.findall(r'^\s*\{"([A-Z]+)", "(/[^"]*)", \w+, (true|false), (?:true|false)\},', f.read(), flags=re.M):
                found[(method.lower(), path)] = is_open == "true"
    return found


def shape(path):
    return re.sub(r"\{[^}]*\}", "{}", path)


class Document(harness.Case):
    def setUp(self):
        self.doc = document()

    def operations(self):
        for path, item in self.doc["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method, item[method]

    def test_has_every_route_and_no_other(self):
        real = {key for key in routes() if key[0] != "any"}
        self.assertGreater(len(real), 30)
        written = {(method, shape(path)) for path, method, _ in self.operations() if not path.startswith("/hooks/")}
        self.assertEqual(real - written, set(), "routes that the document lacks")
        self.assertEqual(written - real, set(), "paths that the service lacks")

    def test_says_what_needs_no_token(self):
        is_open = routes()
        for path, method, operation in self.operations():
            wanted = True if path.startswith("/hooks/") else is_open[(method, shape(path))]
            self.assertEqual(operation.get("security") == [], wanted, f"{method} {path}")

    def test_is_well_formed(self):
        resolver = jsonschema.RefResolver.from_schema(self.doc)

        def walk(value):
            if isinstance(value, dict):
                if "$ref" in value:
                    resolver.resolve(value["$ref"])
                for part in value.values():
                    walk(part)
            elif isinstance(value, list):
                for part in value:
                    walk(part)

        walk(self.doc)
        for schema in self.doc["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        ids = [operation["operationId"] for path, _, operation in self.operations() if not path.startswith("/hooks/")]
        self.assertEqual(len(ids), len(set(ids)))
        for path, method, operation in self.operations():
            item = self.doc["paths"][path]
            names = [resolver.resolve(p["$ref"])[1]["name"] if "$ref" in p else p["name"]
                     for p in item.get("parameters", []) + operation.get("parameters", [])]
            for name in re.findall(r"\{([^}]*)\}", path):
                self.assertIn(name, names, f"{method} {path}")
            self.assertTrue(operation["summary"] and operation["responses"], f"{method} {path}")


class Answers(harness.Case):
    def setUp(self):
        self.doc = document()
        self.resolver = jsonschema.RefResolver.from_schema(self.doc)
        self.s = self.service(ACCOUNTS, rules=RULES)
        self.seen = set()
        self.task = self.s.request("POST", "/v1/tasks", {"operator": "core.log", "params": {"message": "x"}, "after": "1h"}).json
        self.event = self.s.emit("demo.Hello", {"name": "Ada"}, source="test", id="1", subject="s")
        self.s.put("contact", {"id": "ada", "tags": ["vip"]})
        self.mapping = self.s.request("POST", "/v1/mappings", {"source": "crm", "type": "contact", "key": "ada", "external_id": "7"}).json
        self.s.matched(self.event)
        self.hello = self.ended("hello")
        self.wait = self.s.get(f"/v1/runs?rule=wait&event={self.event}")["items"][0]
        self.message = self.s.outbox()[0]
        self.fill = {"event": self.event, "run": self.hello["id"], "rule": "hello", "plugin": "notify", "operator": "notify.send", "type": "contact",
                     "id": "ada", "message": self.message["id"], "mapping": self.mapping["id"], "letter": "dl-1", "error": "er-1",
                     "task": self.task["id"], "provider": "weather"}
        self.asked = harness.wait_for(lambda: self.s.get("/v1/approvals")["items"], "the question")[0]
        self.fill["token"] = self.asked["link"].rsplit("/", 1)[1]
        self.ended("fail")

    def ended(self, rule):
        def fetch():
            runs = self.s.get(f"/v1/runs?rule={rule}")["items"]
            return next((run for run in runs if "ended" in run), None)
        return harness.wait_for(fetch, f"a run of {rule} to end")

    def check(self, path, method, answer):
        """The answer is one that the document has for this status, in its media type and its shape."""
        what = f"{method} {path}: {answer}"
        promised = self.doc["paths"][path][method]["responses"]
        self.assertIn(str(answer.status), promised, what)
        response = promised[str(answer.status)]
        if "$ref" in response:
            response = self.resolver.resolve(response["$ref"])[1]
        kind = answer.headers["content-type"].split(";")[0]
        self.assertIn(kind, response["content"], what)
        if kind.endswith("json"):
            schema = response["content"][kind]["schema"]
            try:
                jsonschema.Draft202012Validator(schema, resolver=self.resolver).validate(answer.json)
            except jsonschema.ValidationError as error:
                self.fail(f"{what}\n{error.message} at {list(error.absolute_path)}")
        self.seen.add((method, path))
        return answer

    def ask(self, path, method="get", body=None, query="", status=200, **fill):
        url = path.format(**{**self.fill, **fill})
        answer = self.check(path, method, self.s.request(method.upper(), url + query, body))
        self.assertEqual(answer.status, status, f"{method} {url}: {answer}")
        return answer.json if answer.headers["content-type"].endswith("json") else answer.body

    def test_every_get(self):
        for path, item in self.doc["paths"].items():
            if "get" not in item or path in ("/v1/stream", "/v1/mappings/lookup", "/hooks/{plugin}/{path}", "/hooks/rules/{path}", "/oauth/authorize", "/oauth/callback"):
                continue
            with self.subTest(path):
                found = self.ask(path)
                if isinstance(found, dict) and "items" in found:
                    if path not in ("/v1/findings", "/v1/audit"):
                        self.assertTrue(found["items"], path)
        failed = self.ask("/v1/runs/{run}", run=self.ended("fail")["id"])
        self.assertEqual(failed["state"], "failed")
        self.assertEqual(len(self.ask("/v1/runs", query="?limit=2")["items"]), 2)
        self.assertEqual(self.ask("/v1/events", query="?limit=1")["next"], self.event)
        findings = self.ask("/v1/findings")["items"]
        self.assertIn("unknown-key", [finding["code"] for finding in findings])

    def test_mappings(self):
        one = {"source": "crm", "type": "contact", "key": "bob", "external_id": "8", "data": {"seen": True}}
        made = self.ask("/v1/mappings", "post", one)
        self.assertEqual(self.ask("/v1/mappings/{mapping}", mapping=made["id"]), made)
        self.assertEqual(self.ask("/v1/mappings/lookup", query="?source=crm&type=contact&key=bob")["external_id"], "8")
        self.assertEqual(self.ask("/v1/mappings/lookup", query="?source=crm&type=contact&external_id=8")["key"], "bob")
        self.ask("/v1/mappings/lookup", query="?source=crm&type=contact&key=eve", status=404)
        self.ask("/v1/mappings/lookup", query="?source=crm", status=400)
        self.ask("/v1/mappings", "post", {**one, "key": "eve"}, status=409)
        self.ask("/v1/mappings", "post", {**one, "key": ""}, status=400)
        self.ask("/v1/mappings", "post", {**one, "keys": "x"}, status=400)
        self.assertEqual(self.ask("/v1/mappings", "post", {**one, "external_id": "9"})["id"], made["id"])
        bulk = {"items": [{**one, "key": f"k{i}", "external_id": f"e{i}"} for i in range(20)]}
        self.assertEqual(self.ask("/v1/mappings/bulk", "post", bulk)["count"], 20)
        page = self.ask("/v1/mappings", query="?source=crm&type=contact&limit=3")
        self.assertEqual([m["key"] for m in page["items"]], ["ada", "bob", "k0"])
        page = self.ask("/v1/mappings", query=f"?limit=3&after={page['next']}")
        self.assertEqual([m["key"] for m in page["items"]], ["k1", "k2", "k3"])
        self.ask("/v1/mappings/{mapping}", "delete", mapping=made["id"])
        self.ask("/v1/mappings/{mapping}", "delete", mapping=made["id"], status=404)
        self.ask("/v1/mappings/{mapping}", mapping="ob-7", status=404)
        self.ask("/v1/mappings", query="?after=7", status=404)
        self.assertEqual(self.s.cli("mappings", "lookup", "crm", "contact", "k3", expect=0).stdout, "e3\n")
        self.assertEqual(self.s.cli("mappings", "key", "crm", "contact", "e3", expect=0).stdout, "k3\n")
        self.s.cli("mappings", "set", "crm", "contact", "zoe", "26", expect=0)
        self.assertIn("zoe", self.s.cli("mappings", "list", expect=0).stdout)
        self.s.cli("mappings", "lookup", "crm", "contact", "nobody", expect=1)

    def test_accounts(self):
        begun = self.ask("/v1/accounts/{provider}/connect", "post", {}, provider="mail")
        self.assertIn("connecting_until", self.ask("/v1/accounts/{provider}", provider="mail"))
        query = begun["url"][begun["url"].index("?"):]
        self.ask("/oauth/authorize", query=query, status=303)
        self.ask("/oauth/authorize", query=query, status=403)
        self.ask("/oauth/authorize", status=403)
        self.ask("/oauth/callback", query="?state=x&code=y", status=403)
        self.ask("/v1/accounts/{provider}/connect", "post", {"key": "k"}, provider="mail", status=400)
        self.ask("/v1/accounts/{provider}/disconnect", "post", {}, provider="mail", status=409)

    def test_the_stream(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=harness.DEADLINE)
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/stream", headers={"Authorization": "Bearer " + self.s.token})
        response = connection.getresponse()
        self.assertEqual((response.status, response.getheader("Content-Type").split(";")[0]), (200, "text/event-stream"))
        self.assertTrue(response.readline().startswith(b":"))
        self.s.emit("demo.Hello", {"name": "Bob"})
        names = set()
        while names != {b"event", b"run"}:
            line = response.readline()
            self.assertTrue(line, "the stream ended")
            if line.startswith(b"event: "):
                names.add(line.split()[1])

    def test_changes(self):
        accepted = self.ask("/v1/events", "post", {"name": "Bob"}, "?type=demo.Hello&source=test&id=2", 202)
        self.assertNotIn("duplicate", accepted)
        self.assertTrue(self.ask("/v1/events", "post", {"name": "Bob"}, "?type=demo.Hello&source=test&id=2", 202)["duplicate"])
        batch = self.check("/v1/events", "post", self.s.request("POST", "/v1/events", [
            {"specversion": "1.0", "type": "a.B", "source": "test", "id": "3", "data": {}, "extra": "x"}], {"Content-Type": "application/cloudevents-batch+json"}))
        self.assertEqual(batch.status, 202)
        self.ask("/v1/events/{event}", event=batch.json[0]["id"])
        self.ask("/v1/events/{event}/replay", "post", {"rule": "hello"})
        self.ask("/v1/runs/{run}/cancel", "post", run=self.wait["id"])
        self.ask("/approve/{token}", "post", status=400)
        self.ask("/v1/runs/{run}/approve", "post", {"answer": 5}, run=self.asked["id"], status=400)
        self.ask("/v1/runs/{run}/approve", "post", {}, run=self.asked["id"], status=400)
        self.ask("/v1/runs/{run}/approve", "post", {"answer": True, "step": "boss"}, run=self.asked["id"])
        self.ask("/v1/runs/{run}/approve", "post", {"answer": True}, run=self.asked["id"], status=409)
        self.ask("/approve/{token}", "post", status=410)
        told = self.ask("/v1/runs/{run}", run=self.asked["id"])["emitted"][0]
        self.assertEqual(self.ask("/v1/events/{event}", event=told["event"])["trace"][-1]["run"], self.asked["id"])
        self.ask("/v1/runs/{run}/retry", "post", run=self.ended("fail")["id"])
        self.ask("/v1/runs/{run}/resume", "post", status=409)
        self.ask("/v1/runs/{run}/pause", "post", status=409)
        self.ask("/v1/runs/{run}/resolve", "post", {"decision": "done"}, status=409)
        self.ask("/v1/runs/{run}/resolve", "post", {"decision": "perhaps"}, status=400)
        self.assertFalse(self.ask("/v1/rules/{rule}/disable", "post")["enabled"])
        self.assertTrue(self.ask("/v1/rules/{rule}/enable", "post")["enabled"])
        self.ask("/v1/reload", "post")
        self.ask("/v1/audit/personal", "post", {"what": "events show ev-1"})
        self.ask("/v1/plugins/{plugin}/disable", "post", plugin="core")
        self.ask("/v1/plugins/{plugin}/enable", "post", plugin="core")
        harness.wait_for(lambda: self.ask("/v1/plugins/{plugin}", plugin="core")["state"] == "active", "the plugin to be active")
        self.ask("/v1/plugins/{plugin}/reload", "post", plugin="core")
        self.assertTrue(self.ask("/v1/operators/{operator}/call", "post", {"params": {"tag": "vip", "contactId": "ada"}}, operator="contact.HasTag")["result"]["holds"])
        self.assertFalse(self.ask("/v1/operators/{operator}/call", "post", {"params": {"url": "http://nowhere.invalid/"}}, operator="http.request")["ok"])
        self.ask("/v1/operators/{operator}/call", "post", {"params": {}}, status=400)
        self.ask("/v1/data/{type}", "post", {"id": "bob", "source": "desk", "externalId": 7})
        self.assertEqual(self.ask("/v1/data/{type}", "post", [{"id": "eve"}, {"id": "joe"}])["count"], 2)
        self.ask("/v1/data/{type}", "post", "7", status=400)
        self.ask("/v1/data/{type}/{id}", "delete", id="eve")
        self.assertGreater(self.ask("/v1/outbox", "delete")["count"], 0)
        made = self.ask("/v1/mappings", "post", {"source": "crm", "type": "contact", "key": "bob", "external_id": "8"})
        self.ask("/v1/mappings/bulk", "post", {"items": [{"source": "crm", "type": "contact", "key": "eve", "external_id": "9"}]})
        self.ask("/v1/mappings/{mapping}", "delete", mapping=made["id"])
        self.ask("/v1/dead/{letter}/resolve", "post", {"note": "seen"})
        self.ask("/v1/dead/{letter}/redrive", "post", {}, status=409)
        self.ask("/v1/dead/resolve", "post", {}, status=400)
        self.ask("/v1/dead/redrive", "post", {"rule": "nothing"})
        self.ask("/v1/dead/resolve", "post", {"rule": "fail"})
        self.ask("/v1/errors/{error}/resolve", "post", {"note": "seen"})
        self.ask("/v1/errors/{error}/resolve", "post", {}, status=409)
        self.assertGreater(self.ask("/v1/errors/resolve", "post", {"operator": "http.request"})["count"], 0)
        self.assertTrue(self.ask("/v1/tasks", "post", {"operator": "core.log", "params": {"message": "x"}, "key": "k"})["id"])
        self.assertTrue(self.ask("/v1/tasks", "post", {"operator": "core.log", "params": {"message": "x"}, "key": "k"})["duplicate"])
        self.ask("/v1/tasks", "post", {"operator": "core.log", "params": {}}, status=400)
        self.ask("/v1/tasks", "post", {"operator": "no.ne"}, status=400)
        self.ask("/v1/tasks/{task}/retry", "post", {}, status=409)
        self.ask("/v1/tasks/{task}/cancel", "post", {})
        self.ask("/v1/tasks/{task}/retry", "post", {})
        self.assertEqual(self.ask("/v1/accounts/{provider}/connect", "post", {"key": "k-123"})["state"], "connected")
        self.ask("/v1/accounts/{provider}/disconnect", "post", {})
        for method, path, status in (("post", "bell", 202), ("post", "none", 404), ("get", "bell", 405)):
            answer = self.check("/hooks/rules/{path}", method, self.s.request(method.upper(), "/hooks/rules/" + path, {} if method == "post" else None))
            self.assertEqual(answer.status, status)
        changing = {(method, path) for path, item in self.doc["paths"].items() for method in METHODS if method in item and method != "get"}
        self.assertEqual(changing - self.seen, {("post", "/hooks/{plugin}/{path}")}, "not called here")

    def test_what_is_not_there(self):
        absent = {"event": "ev-999", "run": "run-999", "rule": "none", "plugin": "none", "operator": "no.ne", "type": "contact", "id": "nobody",
                  "message": "ob-999", "mapping": "map-999", "letter": "dl-999", "error": "er-999", "task": "task-999", "token": "1-boss-1-00", "provider": "nobody"}
        for path, item in self.doc["paths"].items():
            names = re.findall(r"\{([^}]*)\}", path)
            for method in METHODS:
                if method in item and names and names != ["type"] and not path.startswith("/hooks/") and not path.endswith("/verdicts"):
                    body = {"decision": "done"} if path.endswith("/resolve") else {"answer": True} if path.endswith("/approve") else {} if method == "post" else None
                    with self.subTest(f"{method} {path}"):
                        self.ask(path, method, body, status=404, **absent)
        for method in METHODS[:2]:
            answer = self.s.request(method.upper(), "/hooks/none/x")
            self.check("/hooks/{plugin}/{path}", method, answer)
            self.assertEqual(answer.status, 404)

    def test_without_a_token(self):
        for path, item in self.doc["paths"].items():
            for method in METHODS:
                if method not in item or item[method].get("security") == []:
                    continue
                with self.subTest(f"{method} {path}"):
                    url = path.format(**self.fill)
                    answer = self.s.request(method.upper(), url, headers={"Authorization": "Bearer wrong"})
                    self.check(path, method, answer)
                    self.assertEqual(answer.status, 401)


if __name__ == "__main__":
    harness.main()
