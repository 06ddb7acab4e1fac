"""The official Twilio SDK drives the REST API of `sidetone emulate`: numbers, and calls."""

import json
import time
import unittest
import urllib.request

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from judges.support import PATIENCE, emulate

ACCOUNT = "AC00000000000000000000000000000001"
FROM = "+15005550006"
PERSON = "+14155550123"
BUSY = "+14155550486"
MACHINE = "+14155550200"

WAIT = "<Response><Pause length='600'/></Response>"


class Here(TwilioHttpClient):
    """Takes what is meant for Twilio to the emulator."""

    def __init__(self, address):
        super().__init__(timeout=PATIENCE)
        self.address = address

    def request(self, method, url, *args, **kwargs):
        url = url.replace("https://api.twilio.com", f"http://{self.address}")
        return super().request(method, url, *args, **kwargs)


class Rest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program, cls.address = emulate("--seed", "7")
        cls.addClassCleanup(cls.program.close)
        cls.client = cls.client_with("emulated")

    @classmethod
    def client_with(cls, auth_token):
        return Client(ACCOUNT, auth_token, http_client=Here(cls.address))

    def place(self, to=PERSON, twiml=WAIT, **further):
        return self.client.calls.create(to=to, from_=FROM, twiml=twiml, **further)

    def until(self, call, status):
        """The call once it has this status."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            fetched = self.client.calls(call.sid).fetch()
            if fetched.status == status:
                return fetched
            time.sleep(0.05)
        self.fail(f"{call.sid} is {fetched.status}, and not {status}")

    def emulated(self, call):
        """What the emulator itself tells of the call."""
        with urllib.request.urlopen(f"http://{self.address}/_emulator/calls") as answer:
            calls = json.load(answer)["calls"]
        return next(known for known in calls if known["call_sid"] == call.sid)

    def check_refused(self, status, code, attempt):
        with self.assertRaises(TwilioRestException) as refused:
            attempt()
        self.assertEqual((refused.exception.status, refused.exception.code), (status, code))
        self.assertTrue(refused.exception.msg)

    def test_a_call_is_placed_led_elsewhere_and_ended(self):
        call = self.place()
        self.assertEqual((call.status, call.direction), ("queued", "outbound-api"))
        self.assertEqual((call.to, call._from), (PERSON, FROM))
        self.assertEqual(call.to_formatted, "(415) 555-0123")
        self.assertEqual((call.start_time, call.end_time, call.duration), (None, None, None))
        self.assertEqual(call.date_created.utcoffset().total_seconds(), 0)
        self.check_refused(400, 21220, lambda: call.update(twiml="<Response/>"))

        live = self.until(call, "in-progress")
        self.assertGreaterEqual(live.start_time, call.date_created)
        digits = "<Response><Play digits='12#'/><Pause length='600'/></Response>"
        self.assertEqual(live.update(twiml=digits).sid, call.sid)
        deadline = time.monotonic() + PATIENCE
        while self.emulated(call)["digits"] != "12#" and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.emulated(call)["digits"], "12#")

        live.update(status="completed")
        over = self.until(call, "completed")
        self.assertGreaterEqual(over.end_time, over.start_time)
        self.assertGreaterEqual(int(over.duration), 0)
        self.check_refused(400, 21220, lambda: over.update(status="completed"))
        self.check_refused(400, 21220, lambda: over.update(twiml=WAIT))

    def test_calls_are_listed(self):
        [first, second] = [self.place(to="+14155550131") for _ in range(2)]
        listed = self.client.calls.list(to="+14155550131", page_size=1)
        self.assertEqual([call.sid for call in listed], [second.sid, first.sid])
        self.until(first, "in-progress").update(status="completed")
        self.until(first, "completed")
        ended = self.client.calls.list(to="+14155550131", status="completed")
        self.assertEqual([call.sid for call in ended], [first.sid])
        second.update(status="completed")

    def test_what_becomes_of_a_call_is_told_by_its_number(self):
        self.until(self.place(to=BUSY), "busy")
        answered = self.place(to=MACHINE, machine_detection="Enable")
        self.until(answered, "in-progress")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            fetched = answered.fetch()
            if fetched.answered_by:
                break
            time.sleep(0.05)
        self.assertEqual(fetched.answered_by, "machine_start")

    def test_a_stream_is_started_and_stopped(self):
        call = self.place()
        self.until(call, "in-progress")
        streams = self.client.calls(call.sid).streams
        # Nobody listens there, and the call goes on all the same.
        stream = streams.create(
            url=f"ws://{self.address}/v1/nothing",
            name="ears",
            track="both_tracks",
            parameter1_name="tenant",
            parameter1_value="t-42",
        )
        self.assertEqual((stream.call_sid, stream.name), (call.sid, "ears"))
        self.assertEqual(stream.status, "in-progress")
        deadline = time.monotonic() + PATIENCE
        while not self.emulated(call)["alerts"] and time.monotonic() < deadline:
            time.sleep(0.05)
        [alert] = self.emulated(call)["alerts"]
        self.assertEqual((alert["code"], alert["stream_sid"]), (31920, stream.sid))
        self.check_refused(404, 20404, lambda: streams("ears").update(status="stopped"))
        self.assertEqual(call.fetch().status, "in-progress")

    def test_refusals_have_their_codes(self):
        calls = self.client.calls
        web = "https://example.com/voice"
        for code, parameters in [
            (21201, {"to": "", "from_": FROM, "url": web}),
            (21213, {"to": PERSON, "from_": "", "url": web}),
            (21211, {"to": "5551234567", "from_": FROM, "url": web}),
            (21212, {"to": PERSON, "from_": "me", "url": web}),
            (21210, {"to": PERSON, "from_": "+15005550009", "url": web}),
            (21217, {"to": "+15005550001", "from_": FROM, "url": web}),
            (21205, {"to": PERSON, "from_": FROM}),
            (21205, {"to": PERSON, "from_": FROM, "url": "example.com"}),
            (21208, {"to": PERSON, "from_": FROM, "url": web, "timeout": 1000}),
            (20001, {"to": PERSON, "from_": FROM, "twiml": "x" * 4001}),
        ]:
            with self.subTest(code=code):
                self.check_refused(400, code, lambda: calls.create(**parameters))
        self.check_refused(404, 20404, calls("CA" + 32 * "0").fetch)
        self.check_refused(401, 20003, self.client_with("wrong").api.account.fetch)

    def test_a_number_is_found_and_told_where_its_calls_go(self):
        [number] = self.client.incoming_phone_numbers.list(phone_number=FROM)
        told = number.update(voice_url="https://example.com/voice", voice_method="GET")
        self.assertEqual((told.voice_url, told.voice_method), ("https://example.com/voice", "GET"))
        self.assertEqual(number.fetch().voice_url, "https://example.com/voice")


if __name__ == "__main__":
    unittest.main()
