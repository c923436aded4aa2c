#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Webhooks of rules: who is let in and who is not, what becomes the event, repeats, limits, and that every call is accounted for."""
import hashlib
import hmac
import json
import os
import re
import socket
import time

import harness
from test_check import lines

KEY = "key-9d1c77"
RULES = {
    "bell.yaml": """name: Bell
trigger:
  webhook: {path: doorbell, token: !secret hook, methods: [POST, GET], headers: [X-Model], delivery_id: X-Delivery}
  match: {body: {button: [front]}}
actions: [{operator: notify.send, params: {message: "{{ event.body.button }} {{ event.headers['x-model'] | default('-') }} {{ event.query.q | default('-') }}"}}]
""",
    "hub.yaml": """name: Hub
trigger: {webhook: {path: git/push, signature: {as: github, secret: !secret hook}}}
actions: [{set: {who: "{{ event.body.who }}"}}]
""",
    "pay.yaml": """name: Pay
trigger: {webhook: {path: pay, signature: {as: stripe, secret: !secret hook}}}
actions: [{stop: true}]
""",
    "slack.yaml": """name: Slack
trigger: {webhook: {path: slack, signature: {as: slack, secret: !secret hook}}}
actions: [{stop: true}]
""",
    "own.yaml": """name: Own
trigger: {webhook: {path: own, signature: {secret: !secret hook, header: X-Sig, algorithm: sha1, encoding: base64, prefix: "v1,"}, max_bytes: 100}}
actions: [{stop: true}]
""",
    "open.yaml": """name: Open
trigger: {webhook: {path: open, open: true}}
actions: [{stop: true}]
""",
    "local.yaml": """name: Local
trigger: {webhook: {path: local, open: true, local_only: true}}
actions: [{stop: true}]
""",
    "query.yaml": """name: Query
trigger: {webhook: {path: query, token: {secret: !secret hook, query: key}, methods: [GET]}}
actions: [{stop: true}]
""",
}


def sign(body, key=KEY, algorithm="sha256"):
    return hmac.new(key.encode(), body, algorithm)


class Case(harness.Case):
    def begin(self, config=None, rules=RULES):
        self.p = self.service(config, rules=rules, start=False)
        self.p.cli("secrets", "set", "hook", stdin=KEY, expect=0)
        self.p.start()

    def call(self, path, body=None, headers=None, method="POST", token=None):
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + token
        if body is not None and not isinstance(body, (bytes, str)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
        return self.p.request(method, "/hooks/rules/" + path, body, headers, token=False)

    def door(self, path):
        return [d for d in self.p.get("/v1/webhooks")["items"] if d["path"] == path][0]


class Callers(Case):
    def setUp(self):
        self.begin()

    def test_a_token_in_the_header(self):
        answer = self.call("doorbell?q=7", {"button": "front"}, {"X-Model": "B1"}, token=KEY)
        self.assertEqual(answer.status, 202, answer)
        run, = self.p.runs_of(answer.json["id"])
        self.assertEqual(run["rule"], "bell")
        self.assertEqual(harness.wait_for(self.p.outbox, "the message")[0]["body"], "front B1 7")
        event = self.p.get("/v1/events/" + answer.json["id"])
        self.assertEqual((event["type"], event["source"]), ("webhook.doorbell", "webhook:doorbell"))
        self.assertEqual(event["data"], {"method": "POST", "path": "doorbell", "query": {"q": "7"}, "headers": {"x-model": "B1"}, "body": {"button": "front"}})
        back = self.call("doorbell", {"button": "back"}, token=KEY).json["id"]
        self.p.matched(back)
        self.assertIn("bell: no, at match: body.button", self.p.cli("why", "bell", "--event", back, expect=1).stdout)

    def test_who_does_not_prove_himself_is_not_let_in(self):
        body = json.dumps({"who": "eve"}).encode()
        good = "sha256=" + sign(body).hexdigest()
        now = int(time.time())
        stripe = lambda at, key=KEY: f"t={at},v1={sign(str(at).encode() + b'.' + body, key).hexdigest()}"
        slack = lambda at, key=KEY: {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": "v0=" + sign(b"v0:%d:" % at + body, key).hexdigest()}
        own = "v1," + __import__("base64").b64encode(sign(body, algorithm="sha1").digest()).decode()
        json_type = {"Content-Type": "application/json"}
        for path, headers, status in (
                ("doorbell", {}, 401), ("doorbell", {"Authorization": "Bearer wrong"}, 401), ("doorbell", {"Authorization": "Basic " + KEY}, 401),
                ("doorbell", {"Authorization": "Bearer " + KEY + "x"}, 401), ("doorbell", {"Authorization": "Bearer " + KEY}, 202),
                ("git/push", {}, 401), ("git/push", {"X-Hub-Signature-256": good[:-1] + ("0" if good[-1] != "0" else "1")}, 401),
                ("git/push", {"X-Hub-Signature-256": good[7:]}, 401), ("git/push", {"X-Hub-Signature-256": "sha256=" + sign(body, "other").hexdigest()}, 401),
                ("git/push", {"X-Hub-Signature-256": "sha256="}, 401), ("git/push", {"X-Hub-Signature-256": good}, 202),
                ("pay", {"Stripe-Signature": stripe(now, "other")}, 401), ("pay", {"Stripe-Signature": stripe(now - 600)}, 401), ("pay", {"Stripe-Signature": "v1=1"}, 401),
                ("pay", {"Stripe-Signature": stripe(now + 600)}, 401), ("pay", {"Stripe-Signature": stripe(now) + ",v1=aa"}, 202), ("pay", {"Stripe-Signature": "t=x,v1=y"}, 401),
                ("slack", slack(now, "other"), 401), ("slack", slack(now - 600), 401), ("slack", slack(now), 202),
                ("own", {"X-Sig": own[3:]}, 401), ("own", {"X-Sig": own}, 202), ("open", {}, 202), ("local", {}, 202), ("local", {"X-Forwarded-For": "8.8.8.8"}, 403),
                ("query", {}, 405), ("nothing", {}, 404), ("git", {}, 404), ("../v1/status", {}, None)):
            answer = self.call(path, body, {**json_type, **headers})
            if status:
                self.assertEqual(answer.status, status, (path, headers, answer))
            self.assertNotIn(KEY, str(answer.body))
        self.assertEqual(self.call("query?key=" + KEY, method="GET").status, 202)
        self.assertEqual(self.call("query?key=no", method="GET").status, 401)
        self.assertEqual(self.call("query", method="GET").status, 401)
        event, = [e for e in self.p.get("/v1/events?type=webhook.query")["items"]]
        self.assertNotIn(KEY, json.dumps(self.p.get("/v1/events/" + event["id"])))
        door = self.door("git/push")
        self.assertEqual((door["accepted"], door["rejected"], door["rules"], door["methods"], door["proof"]), (1, 5, ["hub"], ["POST"], "hmac"))
        self.assertEqual(door["last_rejected"]["reason"], "the signature is not right")
        self.assertNotIn(KEY, self.p.cli("rules", "webhooks", expect=0).stdout)
        self.assertRegex(self.p.cli("why", "query").stderr, r"note: its webhook query has refused 3 calls since the start, the last at \S+: there is no token in the query field key")

    def test_methods_bodies_and_sizes(self):
        wrong = self.call("doorbell", {}, method="PUT", token=KEY)
        self.assertEqual((wrong.status, wrong.headers["allow"]), (405, "GET, POST"))
        self.assertEqual(self.call("doorbell", method="GET", token=KEY).status, 202)
        for body, kind, status, seen in ((b"{bad", "application/json", 400, None), (b"a=1&b=x%20y&a=2", "application/x-www-form-urlencoded", 202, {"a": "2", "b": "x y"}),
                                         (b"plain \xc3\xa9", "text/plain", 202, "plain \u00e9"), (b"\xff\xfe", "text/plain", 415, None), (b"\x00\x01", "application/octet-stream", 415, None),
                                         (b'{"$secret": "hook"}', "application/json", 400, None), (b'["x"]', "application/vnd.x+json", 202, ["x"]), (b"x" * 101, "text/plain", None, None)):
            answer = self.call("open", body, {"Content-Type": kind})
            if status:
                self.assertEqual(answer.status, status, (body, answer))
            if seen is not None:
                self.assertEqual(self.p.get("/v1/events/" + answer.json["id"])["data"]["body"], seen)
        self.assertEqual(self.call("own", b"x" * 101, {"Content-Type": "text/plain"}).status, 413)
        self.assertEqual(self.call("open", b"x" * 70000, {"Content-Type": "text/plain"}).status, 413)
        self.assertEqual(self.call("open", b"x" * 65500, {"Content-Type": "text/plain"}).status in (202, 413), True)
        for query, seen in (("%", None), ("%zz=%4", None), ("=1&&=", {}), ("a=%ff", None), ("a%3Db=c%26d+e", {"a=b": "c&d e"}), ("a=1&a=2", {"a": "2"}), ("a=" + "b" * 3000, {"a": "b" * 3000})):
            answer = self.call("open?" + query, {})
            self.assertEqual(answer.status, 400 if seen is None else 202, query)
            if seen is not None:
                self.assertEqual(self.p.get("/v1/events/" + answer.json["id"])["data"]["query"], seen)
        for body in (b"", b"&", b"a", b"a=%", b"%=%&" * 500, b"=" * 1000):
            self.assertEqual(self.call("open", body, {"Content-Type": "application/x-www-form-urlencoded"}).status, 202, body[:20])
        # A body that never comes holds up nobody.
        with socket.create_connection(("127.0.0.1", self.p.port)) as slow:
            slow.sendall(b"POST /hooks/rules/open HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nabc")
            self.assertEqual(self.call("open", {}).status, 202)

    def test_a_repeated_delivery_is_told_and_not_run_again(self):
        first = self.call("doorbell", {"button": "front"}, {"X-Delivery": "d-1"}, token=KEY)
        again = self.call("doorbell", {"button": "front"}, {"X-Delivery": "d-1"}, token=KEY)
        self.assertEqual((again.status, again.json), (202, {"id": first.json["id"], "duplicate": True}))
        self.assertNotEqual(self.call("doorbell", {"button": "front"}, {"X-Delivery": "d-2"}, token=KEY).json["id"], first.json["id"])
        self.assertEqual(len(self.p.runs_of(first.json["id"])), 1)
        self.assertEqual((self.door("doorbell")["accepted"], self.door("doorbell")["duplicates"]), (2, 1))
        self.p.kill()
        self.p.start()
        self.assertEqual(self.call("doorbell", {"button": "front"}, {"X-Delivery": "d-1"}, token=KEY).json, {"id": first.json["id"], "duplicate": True})

    def test_a_secret_that_is_not_set_lets_nobody_in(self):
        self.p.cli("secrets", "remove", "hook", expect=0)
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer " + KEY}):
            self.assertEqual(self.call("doorbell", {}, headers).status, 401)

    def test_a_rule_that_is_off_says_so(self):
        self.p.cli("rules", "disable", "open", expect=0)
        event = self.call("open", {}).json["id"]
        self.assertEqual(self.p.matched(event)["open"]["verdict"], "disabled")


class Limits(Case):
    def test_too_many_and_that_all_are_accounted_for(self):
        self.begin("limits: {sources: {\"webhook:open\": 1}}\n")
        answers = [self.call("open", {}).status for _ in range(6)]
        self.assertEqual((answers[0], answers[-1]), (202, 429))
        refused = self.call("open", {})
        self.assertEqual((refused.status, "retry-after" in refused.headers), (429, True))
        for _ in range(3):
            self.assertEqual(self.call("doorbell", {}).status, 401)
        harness.wait_for(lambda: self.p.get("/v1/status")["unmatched"] == 0, "all to be evaluated")
        text = self.p.request("GET", "/metrics").body.decode()
        rows = {}
        for source, fate, n in re.findall(r'^perigee_source_events_total\{source="(webhook:\w+)",fate="(\w+)"\} (\d+)$', text, re.M):
            rows.setdefault(source, {})[fate] = int(n)
        received = dict(re.findall(r'^perigee_source_received_total\{source="(webhook:\w+)"\} (\d+)$', text, re.M))
        self.assertEqual((rows["webhook:doorbell"]["rejected"], received["webhook:doorbell"]), (3, "3"))
        self.assertEqual(rows["webhook:open"]["matched"] + rows["webhook:open"]["shed"], 7)
        self.assertEqual(received["webhook:open"], "7")
        self.assertIn('perigee_webhook_calls_total{path="doorbell",result="rejected"} 3', text)
        self.assertRegex(self.p.cli("doctor").stdout, r"ok +conservation")


class Rules(Case):
    def codes(self):
        return [(f["code"], os.path.basename(f["file"])) for f in lines(self.p.cli("check", "--json").stdout)]

    def test_two_rules_on_one_path(self):
        one = "name: A\ntrigger: {webhook: {path: x, token: !secret hook}, match: {body: {n: [1]}}}\nactions: [{stop: true}]\n"
        two = "name: B\ntrigger: {webhook: {path: x, token: !secret hook}}\nactions: [{stop: true}]\n"
        self.begin(rules={"a.yaml": one, "b.yaml": two, "c.yaml": "name: C\ntrigger: {event: webhook.x}\nactions: [{stop: true}]\n"})
        event = self.call("x", {"n": 2}, token=KEY).json["id"]
        self.assertEqual({r: v["verdict"] for r, v in self.p.matched(event).items()}, {"a": "no", "b": "fired", "c": "fired"})
        self.assertEqual(self.door("x")["rules"], ["a", "b"])
        self.p.write_rule("b.yaml", two.replace("token: !secret hook", "open: true"))
        self.assertEqual(self.codes(), [("webhook-conflict", "b.yaml")])
        found = self.p.request("POST", "/v1/reload", {}).json["items"]
        self.assertEqual([f["code"] for f in found], ["webhook-conflict"])
        self.assertEqual(self.call("x", {}).status, 401, "what was set up first stays")
        os.unlink(os.path.join(self.p.rules, "a.yaml"))
        self.p.request("POST", "/v1/reload", {})
        self.assertEqual(self.call("x", {}).status, 202)
        for name in ("b.yaml", "c.yaml"):
            os.unlink(os.path.join(self.p.rules, name))
        self.p.request("POST", "/v1/reload", {})
        self.assertEqual(self.call("x", {}).status, 404)

    def test_in_tests_of_rules(self):
        self.p = self.service(start=False, rules=RULES)
        self.p.write_rule("hub.test.yaml", """secrets: {hook: k}
tests:
  - name: signed and not
    steps:
      - webhook: rules/git/push
        json: {who: ada}
        sign: {as: hmac-sha256, secret: k, header: X-Hub-Signature-256, prefix: "sha256="}
        expect: {response: {status: 202}, verdicts: {hub: fired}}
      - webhook: rules/git/push
        json: {who: ada}
        sign: {as: hmac-sha256, secret: other, header: X-Hub-Signature-256, prefix: "sha256="}
        expect: {response: {status: 401}, actions: []}
      - webhook: rules/git/push
        method: GET
        expect: {response: {status: 405, headers: {Allow: POST}}}
      - webhook: rules/nothing
        expect: {response: {status: 404}}
""")
        self.p.cli("test", os.path.join(self.p.rules, "hub.test.yaml"), "--rules", self.p.rules, expect=0)

    def test_what_is_wrong_with_one_has_its_place(self):
        self.p = self.service(start=False)
        for hook, code, column in (("{path: x}", "webhook-unprotected", 20), ("{token: !secret a}", "missing-key", 20), ("{path: /x, open: true}", "webhook-path", 27),
                                   ("{path: x, token: abc}", "webhook-secret", 37), ("{path: x, token: {secret: abc}}", "webhook-secret", 46),
                                   ("{path: x, open: true, token: !secret a}", "conflicting-keys", 30), ("{path: x, open: false}", "webhook-unprotected", 36),
                                   ("{path: x, signature: {secret: !secret a}}", "missing-key", 41), ("{path: x, signature: {as: githb, secret: !secret a}}", "bad-value", 46),
                                   ("{path: x, signature: {as: github, header: a, secret: !secret a}}", "misplaced-key", 54), ("{path: x, open: true, methods: [FETCH]}", "bad-value", 52),
                                   ("{path: x, open: true, headers: [Cookie]}", "webhook-secret", 52), ("doorbell", "wrong-type", 20), ("{path: x, open: true, bytes: 1}", "unknown-key", 42)):
            self.p.write_rule("a.yaml", f"name: A\ntrigger: {{webhook: {hook}}}\nactions: [{{stop: true}}]\n")
            found = [(f["code"], f["line"], f["column"]) for f in lines(self.p.cli("check", "--json", expect=1).stdout)]
            self.assertEqual(found, [(code, 2, column)], hook)


if __name__ == "__main__":
    harness.main()
