#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every rule that is shipped in rules/ does what it says. (The two of the mission have tests of their own: test_vip.py, test_office.py.)
Schedules and delays are brought forward by editing the text; everything else runs as it is."""
import datetime
import http.server
import os
import shutil
import threading

import harness

TESTED_ELSEWHERE = {"vip-missed-call.yaml", "office-arrival.yaml"}
NUMBER = "+14155550101"


def text_of(name):
    with open(os.path.join(harness.SOURCE, "rules", name)) as f:
        return f.read()


class Rules(harness.Case):
    def one(self, name, *edits, config=None):
        text = text_of(name)
        for old, new in edits:
            self.assertIn(old, text)
            text = text.replace(old, new)
        if "use_blueprint:" not in text:
            return self.service(config, rules={name: text})
        p = self.service(config, rules={name: text}, start=False)
        shutil.copytree(os.path.join(harness.SOURCE, "rules", "blueprints"), os.path.join(p.rules, "blueprints"))
        p.start()
        return p

    def ada(self, p):
        p.put("contact", {"id": "ada", "phoneNumbers": [NUMBER], "emails": ["ada@example.org"]})

    def bodies(self, p, count):
        return [m["body"] for m in harness.wait_for(lambda: len(p.outbox()) >= count and p.outbox(), f"{count} messages")]

    def test_every_rule_is_tested(self):
        with open(__file__) as f:
            here = f.read()
        for name in os.listdir(os.path.join(harness.SOURCE, "rules")):
            if name.endswith(".yaml") and not name.endswith(".test.yaml") and name not in TESTED_ELSEWHERE and not name.startswith("my-"):  # somebody's own
                self.assertIn(f'"{name}"', here, f"{name} has no test")

    def test_hello(self):
        p = self.one("hello.yaml")
        p.runs_of(p.emit("demo.Hello", {"name": "Ada"}))
        self.assertEqual(p.runs_of(p.emit("demo.Hello", {})), [])
        self.assertEqual(self.bodies(p, 1), ["Hello, Ada!"])

    def message(self, p, time, **more):
        return p.runs_of(p.emit("comms.MessageReceived", {"channelType": "sms", "fromContactId": "ada", "body": "are you there?", **more}, time=time))

    def test_after_hours_reply(self):
        p = self.one("after-hours-reply.yaml")
        self.ada(p)
        self.assertEqual(self.message(p, "2026-01-05T11:00:00Z"), [], "at noon")
        self.assertEqual(len(self.message(p, "2026-01-05T17:30:00Z")), 1, "half past six in Berlin")
        self.assertEqual(self.message(p, "2026-01-05T21:00:00Z", body="STOP"), [], "opted out")
        p.put("call", {"contactId": "ada", "direction": "outbound", "startedAt": "2026-01-06T20:00:00Z"})
        self.assertEqual(self.message(p, "2026-01-06T21:00:00Z"), [], "just called")
        self.assertEqual(len(self.bodies(p, 1)), 1)

    def test_follow_up_unanswered(self):
        p = self.one("follow-up-unanswered.yaml", ("delay: 1d", "delay: 1s"))
        self.ada(p)
        p.runs_of(p.emit("comms.CallMissed", {"fromContactId": "ada", "at": "2026-01-05T11:00:00Z"}))
        task, = p.get("/v1/data/task")["items"]
        self.assertEqual((task["contactId"], task["kind"], task["status"]), ("ada", "follow_up", "pending"))
        self.assertIn("was not called back", task["note"])
        p.put("call", {"contactId": "ada", "direction": "outbound", "startedAt": p.get("/v1/status")["started"]})
        run, = p.runs_of(p.emit("comms.CallMissed", {"fromContactId": "ada", "at": "2026-01-05T12:00:00Z"}))
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual(len(p.get("/v1/data/task")["items"]), 1, "called back: no second task")

    def test_battery_low(self):
        p = self.one("battery-low.yaml")
        for level, charging in ((0.5, False), (0.1, True), (0.14, False), (0.03, False)):
            p.runs_of(p.emit("device.Battery", {"deviceId": "phone", "level": level, "charging": charging}))
        self.assertEqual(self.bodies(p, 2), ["phone: 14 %", "phone: 3 %"])
        self.assertEqual([m["subject"] for m in p.outbox()], ["Battery low", "Battery nearly empty"])

    def test_morning_voicemail(self):
        p = self.one("morning-voicemail.yaml", ('cron: "0 9 * * mon-fri"\n    timezone: Europe/Berlin', "every: 1s"))
        harness.wait_for(lambda: p.get("/v1/status")["matched"] >= 1, "the schedule to fire")
        self.assertEqual(p.outbox(), [], "there is no voicemail")
        p.put("voicemail", {"contactId": "ada", "listened": False, "receivedAt": "2026-01-05T11:00:00Z"})
        self.assertIn("voicemail", self.bodies(p, 1)[0])

    def test_weekly_digest(self):
        p = self.one("weekly-digest.yaml", ('{cron: "30 7 * * mon", timezone: Europe/Berlin}', "{every: 1s}"))
        run = harness.wait_for(lambda: [r for r in p.get("/v1/runs")["items"] if "ended" in r], "a run")[0]
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual(p.outbox(), [], "nothing is open")
        for n in (1, 2):
            p.put("task", {"status": "pending", "note": f"note {n}", "dueAt": f"2026-01-0{n}T00:00:00Z"})
        harness.wait_for(lambda: "Notes: note 1; note 2" in [m["body"] for m in p.outbox()], "the digest")
        self.assertIn("2 open follow-ups", [m["subject"] for m in p.outbox()])

    def test_temperature_alarm(self):
        got = []

        class Alarms(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Alarms)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        port = server.server_address[1]
        p = self.one("temperature-alarm.yaml", ("127.0.0.1:8099", f"127.0.0.1:{port}"), config=f"plugins: {{http: {{config: {{hosts: [\"127.0.0.1:{port}\"]}}}}}}")
        p.runs_of(p.emit("device.Sensor", {"deviceId": "boiler", "sensor": "temperature.flow", "value": 59.9}))
        run, = p.runs_of(p.emit("device.Sensor", {"deviceId": "boiler", "sensor": "temperature.flow", "value": 60}))
        self.assertEqual(run["state"], "succeeded", run)
        self.assertEqual(len(got), 1)
        self.assertIn(b'"celsius":60', got[0])
        self.assertEqual(len(p.get("/v1/events?type=home.TemperatureAlarm")["items"]), 1)

    def test_temperature_alarm_without_its_server(self):
        p = self.one("temperature-alarm.yaml")
        run, = p.runs_of(p.emit("device.Sensor", {"deviceId": "boiler", "sensor": "temperature", "value": 80}))
        self.assertEqual(run["state"], "succeeded", "a failure there is noted, not fatal")
        self.assertIn("the alarm server did not take it", p.log_text())

    def test_alarm_escalation(self):
        p = self.one("alarm-escalation.yaml", ("delay: 10m", "delay: 1s"))
        p.runs_of(p.emit("home.TemperatureAlarm", {"deviceId": "boiler", "celsius": 61}))
        self.assertEqual(self.bodies(p, 2), ["boiler reports 61 degrees", "Please look at boiler"])

    def test_order_unpaid(self):
        p = self.one("order-unpaid.yaml")
        ago = lambda **age: (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**age)).isoformat()
        for order in (17, 18):
            p.emit("shop.OrderPlaced", {"orderId": order, "email": "ada@example.org", "total": 40}, time=ago(days=1, hours=23))
        p.emit("shop.OrderPlaced", {"orderId": 19, "email": "ada@example.org", "total": 50}, time=ago(days=2, seconds=-5))
        seq = p.emit("shop.OrderConfirmed", {"orderId": 19}, time=ago(days=1))
        p.emit("shop.OrderConfirmed", {"orderId": 18}, time=ago(days=1))
        p.matched(seq)
        verdict, = p.get(f"/v1/events/{seq}/verdicts")["items"]
        self.assertEqual(verdict["verdict"], "held")
        self.assertIn("2 of 2 within 2d: ", verdict["reason"])
        p.kill()
        p.start()
        self.assertEqual(self.bodies(p, 1), ["50 EUR are still open."])
        watch, = p.get("/v1/status")["watches"]
        self.assertEqual((watch["kind"], watch["keys"], watch["evicted"]), ("sequence", 3, 0))

    def test_sensor_silent(self):
        p = self.one("sensor-silent.yaml", ("for: 30m", "for: 1s"))
        self.bodies(p, 2)
        self.assertEqual({m["subject"] for m in p.outbox()}, {"No news from freezer", "No news from cellar"})

    def test_readings_above(self):
        p = self.one("readings-above.yaml")
        for data in ({"sensorId": "freezer", "celsius": -20}, {"sensorId": "freezer", "celsius": -12}, {"sensorId": "cellar", "humidity": 80.5}):
            p.runs_of(p.emit("sensor.Reading", data))
        self.bodies(p, 2)
        self.assertEqual({m["subject"] for m in p.outbox()}, {"Freezer above -15", "Cellar above 75.5"})

    def test_family_missed_calls(self):
        p = self.one("family-missed-calls.yaml", ("delay: 4h", "delay: 10ms"), ("<= 5", "<= 7"))
        p.put("contact", {"id": "ada", "phoneNumbers": [NUMBER], "tags": ["family"]})
        now = datetime.datetime.now(datetime.timezone.utc)
        for minutes in (20, 10):
            p.put("call", {"contactId": "ada", "direction": "inbound", "missed": True, "startedAt": (now - datetime.timedelta(minutes=minutes)).isoformat()})
        p.runs_of(p.emit("comms.CallMissed", {"fromContactId": "ada"}))
        self.assertEqual(self.bodies(p, 2), ["Busy right now, I will call back tonight.", "ada has called 2 times or more"])


if __name__ == "__main__":
    harness.main()
