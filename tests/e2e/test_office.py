#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mission's second rule, repaired: arriving at work sends one SMS for each pending follow-up through Twilio's own document."""
import os

import harness
import twilio_mock

DOCUMENT = twilio_mock.load()
TOKEN = "phone-token-1234"


@harness.unittest.skipUnless(DOCUMENT, "the provider's OpenAPI document is not here")
class Office(harness.Case):
    def setUp(self):
        self.twilio = twilio_mock.Mock(DOCUMENT)
        self.addCleanup(self.twilio.close)
        self.p = self.service(start=False)
        with open(os.path.join(harness.SOURCE, "rules", "office-arrival.yaml")) as f:
            self.p.write_rule("office.yaml", f.read())
        self.p.write_config(
            "plugins:\n"
            f"  twilio: {{config: {{accountSid: {twilio_mock.SID}, authToken: !secret twilio_token, from: \"+15005550006\", baseUrl: \"{self.twilio.url}\"}}}}\n"
            "  device: {config: {devices: [{id: phone, token: !secret phone_token, userId: me}]}}\n", [self.p.rules])
        self.p.cli("secrets", "set", "twilio_token", stdin=twilio_mock.TOKEN, expect=0)
        self.p.cli("secrets", "set", "phone_token", stdin=TOKEN, expect=0)
        self.p.start()
        self.p.put("place", {"id": "office", "name": "Office", "placeType": "work", "latitude": 52.52, "longitude": 13.405, "radiusMeters": 150})
        self.p.put("place", {"id": "home", "name": "Home", "placeType": "home", "latitude": 52.40, "longitude": 13.05, "radiusMeters": 100})
        for i, name in enumerate(("ada", "bob", "eve")):
            self.p.put("contact", {"id": name, "displayName": name, "phoneNumbers": [f"+1415555010{i}"]})
        for i, (name, status) in enumerate((("ada", "pending"), ("bob", "pending"), ("eve", "done"))):
            self.p.put("task", {"id": f"t{i}", "kind": "follow_up", "status": status, "contactId": name, "note": f"note {i}", "dueAt": "2026-01-0%dT10:00:00Z" % (i + 1)})

    def fix(self, latitude, longitude, time, token=TOKEN):
        body = {"type": "location", "latitude": latitude, "longitude": longitude, "accuracy": 10, "time": time}
        return self.p.request("POST", "/hooks/device/events", body, {"Authorization": "Bearer " + token})

    def arrivals(self):
        return self.p.get("/v1/events?type=location.PlaceArrived&limit=100")["items"]

    def test_arrival_sends_one_sms_per_pending_follow_up(self):
        self.assertEqual(self.fix(52.5201, 13.4051, "2026-01-05T08:00:00Z").status, 200)
        arrival = harness.wait_for(self.arrivals, "the arrival")[0]
        run, = self.p.runs_of(arrival["id"])
        self.assertEqual(run["state"], "succeeded", run)
        self.assertEqual(self.twilio.violations, [])
        self.assertEqual(sorted(r["To"] for r in self.twilio.requests), ["+14155550100", "+14155550101"])
        self.assertIn("note 0", self.twilio.requests[0]["Body"])
        sent = self.p.get("/v1/data/message")["items"]
        self.assertEqual({m["contactId"] for m in sent}, {"ada", "bob"})

    def test_staying_is_no_second_arrival_and_home_is_not_work(self):
        self.assertEqual(self.fix(52.5201, 13.4051, "2026-01-05T08:00:00Z").status, 200)
        self.assertEqual(self.fix(52.5202, 13.4050, "2026-01-05T08:05:00Z").status, 200)
        self.assertEqual(self.fix(52.4001, 13.0501, "2026-01-05T18:00:00Z").status, 200)
        arrivals = harness.wait_for(lambda: len(self.arrivals()) == 2 and self.arrivals(), "both arrivals")
        for arrival in arrivals:
            self.p.runs_of(arrival["id"])
        self.assertEqual([a["data"]["placeType"] for a in arrivals], ["home", "work"])
        self.assertEqual(len(self.twilio.requests), 2)

    def test_wrong_token_is_refused(self):
        self.assertEqual(self.fix(52.52, 13.405, "2026-01-05T08:00:00Z", token="guess-guess").status, 401)
        self.assertEqual(self.arrivals(), [])

    def test_a_refusal_of_twilio_ends_the_step_with_its_code(self):
        self.twilio.fail_next(400, {"code": 21610, "message": "opted out", "status": 400})
        self.assertEqual(self.fix(52.5201, 13.4051, "2026-01-05T08:00:00Z").status, 200)
        arrival = harness.wait_for(self.arrivals, "the arrival")[0]
        run, = self.p.runs_of(arrival["id"])
        self.assertIn(run["state"], ("failed", "dead"))
        self.assertEqual(run["error"]["code"], "twilio.21610")


if __name__ == "__main__":
    harness.main()
