#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/why.md: each question of it happens, and is answered as it says there; and perigee why for events of files."""
import json
import os
import re
import shlex
import time

import harness
from test_check import lines

DOC = os.path.join(harness.SOURCE, "docs", "why.md")
ONE_SCREEN = 12  # lines


def sections():
    """(title, {language: text of its block}) for each question."""
    with open(DOC) as f:
        parts = re.split(r"^## ", f.read(), flags=re.M)[1:]
    for part in parts:
        blocks = dict(re.findall(r"^```(yaml|sh|console)\n(.*?)^```$", part, flags=re.M | re.S))
        if "console" in blocks:
            yield part.split("\n")[0], blocks


def plain(text):
    """Without what differs from day to day."""
    text = re.sub(r"\bev-\d+", "ev-N", text)
    text = re.sub(r"\brun-\d+", "run-N", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "2026-01-05T09:05:00.000Z", text)
    return re.sub(r"(/\S+/)?rules/", "rules/", text)


class Why(harness.Case):
    def test_every_question_of_the_page(self):
        found = list(sections())
        self.assertGreaterEqual(len(found), 20)
        rules = {}
        for title, blocks in found:
            name = re.search(r"^name: (.*)$", blocks["yaml"], flags=re.M).group(1)
            rules[name.lower().replace(" ", "-") + ".yaml"] = blocks["yaml"]
        self.assertEqual(len(rules), len(found), "each has a rule of its own")
        p = self.service(rules=rules)
        for title, blocks in found:
            with self.subTest(title):
                event = None
                for line in blocks["sh"].strip().split("\n"):
                    words = shlex.split(line)[1:]
                    if words[0] == "emit":
                        event = p.emit(words[1], json.loads(words[2]), **dict(zip((w[2:] for w in words[3::2]), words[4::2])))
                        p.matched(event)
                    else:
                        p.cli(*words, expect=0)
                command, _, wanted = blocks["console"].partition("\n")
                words = shlex.split(command.removeprefix("$ perigee "))
                done = p.cli(*(event if w.startswith("ev-") else w for w in words))
                self.assertEqual(plain(done.stdout + done.stderr), plain(wanted))
                self.assertLessEqual(wanted.count("\n"), ONE_SCREEN)
                self.assertEqual(done.returncode, 0 if ": fired" in wanted else 1)

    def test_an_event_of_a_file(self):
        rule = "name: Knock\ntrigger: {event: door.Knock, match: {who: [ada, bob]}}\nconditions: [event.times > 2]\nthrottle: {once_within: 1h}\nactions: [{stop: true}]\n"
        p = self.service(start=False, rules={"knock.yaml": rule})
        path = os.path.join(p.dir, "event.json")

        def ask(*events, expect, options=()):
            with open(path, "w") as f:
                f.write("\n".join(json.dumps(e) for e in events))
            return p.cli("why", "knock", "--event", path, *options, expect=expect)

        fires, no = {"type": "door.Knock", "data": {"who": "ada", "times": 3}}, {"type": "door.Knock", "data": {"who": "ada", "times": 1}}
        self.assertEqual(ask(fires, expect=0).stdout, f"{path}  knock: fired\n")
        self.assertIn("no, at conditions[0]: event.times > 2 is not true\n    {\"left\":1,\"op\":\">\",\"right\":2}", ask(no, expect=1).stdout)
        both = lines(ask(fires, fires, no, expect=1, options=("--json",)).stdout)
        self.assertEqual([v["verdict"] for v in both], ["fired", "fired", "no"], "each by itself")
        self.assertIn(f"hears door.Knock; {path} is a door.Ring", ask({"type": "door.Ring", "data": {}}, expect=1).stderr)
        self.assertIn("an event is a JSON object", ask({"data": {}}, expect=1).stderr)
        self.assertIn('did you mean "knock"', p.cli("why", "knok", "--event", path, expect=1).stderr)
        self.assertFalse(os.path.exists(os.path.join(p.state, "perigee.db")), "nothing is left behind")
        self.assertEqual(p.cli("why", "knock", "--event", "-", stdin=json.dumps(fires), expect=0).stdout, "standard input  knock: fired\n")
        self.assertIn("and no file", p.cli("why", "knock", "--event", "nowhere.json", expect=2).stderr)

    def test_again_says_where_data_is_of_now(self):
        rule = "name: Tagged\ntrigger: {event: tag.Asked}\nconditions:\n  - {operator: contact.HasTag, params: {contactId: '{{ event.who }}', tag: vip}}\nactions: [{stop: true}]\n"
        p = self.service(rules={"tag.yaml": rule})
        p.put("contact", {"id": "ada", "tags": []})
        p.put("contact", {"id": "bob", "tags": ["vip"]})
        ada, bob, eve = (p.emit("tag.Asked", {"who": who}) for who in ("ada", "bob", "eve"))
        for event in (ada, bob, eve, p.emit("tag.Other")):
            p.matched(event)
        p.put("contact", {"id": "ada", "tags": ["vip"]})
        p.put("contact", {"id": "eve", "tags": ["vip"]})
        again = p.cli("why", "tagged", "--event", ada, "--again", expect=0).stdout
        self.assertIn("contact ada was written after the event: what it says is of now", again)
        again = json.loads(p.cli("why", "tagged", "--event", ada, "--again", "--json", expect=0).stdout)
        self.assertEqual(again["data_of_now"], ["contact ada"])
        self.assertNotIn("of now", p.cli("why", "tagged", "--event", bob, "--again", expect=0).stdout)
        then, now = (p.cli("why", "tagged", "--event", eve, *option, expect=1).stdout for option in ((), ("--again",)))
        self.assertEqual(now, then, "who came later is not there yet")

    def test_again_for_a_stored_event(self):
        rule = "name: Knock\ntrigger: {event: door.Knock}\nconditions:\n  - operator: comms.missedCalls\n    params: {contactId: ada, count: 1}\nactions: [{stop: true}]\n"
        p = self.service(rules={"knock.yaml": rule})
        early = p.emit("door.Knock")
        p.matched(early)
        p.matched(p.emit("door.Closed"))
        p.put("call", {"contactId": "ada", "direction": "inbound", "missed": True, "startedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 600))})
        late = p.emit("door.Knock")
        self.assertEqual(p.matched(late)["knock"]["verdict"], "fired")
        self.assertIn("knock: no", p.cli("why", "knock", "--event", early, "--again", expect=1).stdout, "data as of the event")
        self.assertIn("knock: fired", p.cli("why", "knock", "--event", late, "--again", expect=0).stdout)
        p.stop()
        p.write_rule("knock.yaml", rule.replace("count: 1", "count: 2"))
        p.write_rule("new.yaml", "name: New\ntrigger: {event: door.*}\nactions: [{stop: true}]\n")
        self.assertIn("knock: no", p.cli("why", "knock", "--event", late, "--again", expect=1).stdout)
        self.assertIn("--again", p.cli("why", "new", "--event", late, expect=1).stderr)
        self.assertIn("new: fired", p.cli("why", "new", "--event", late, "--again", expect=0).stdout)
        p.cli("why", "new", "--again", expect=2)


if __name__ == "__main__":
    harness.main()
