"""The official Twilio SDK builds the TwiML that `sidetone serve` answers."""

import unittest
import urllib.parse
import urllib.request
from xml.etree import ElementTree

from twilio.twiml.voice_response import Start, VoiceResponse

from judges.support import PATIENCE, serve

ANNOUNCE = "Calls & chats <may> be \"recorded\", naïve 'caller'."

PROFILES = {
    "profiles.desk.announce": ANNOUNCE,
    "profiles.desk.announce_voice": "Polly.Amy",
    "profiles.desk.announce_language": "en-GB",
    "profiles.desk.listen.model": "nova-3",
    "profiles.desk.dial.number": "+15551230002",
    "profiles.wait.listen.model": "nova-3",
    "profiles.wait.dial.pause_secs": "90",
    "profiles.message.listen.model": "nova-3",
    "profiles.message.dial.say": "Please hold.",
}

FORM = {
    "AccountSid": "AC00000000000000000000000000000001",
    "CallSid": "CA00000000000000000000000000000002",
    "CallStatus": "ringing",
    "Direction": "inbound",
    "From": "+14155550123",
    "To": "+15005550006",
}


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        sets = [arg for key, value in PROFILES.items() for arg in ("--set", f"{key}={value}")]
        cls.program, cls.address = serve(*sets)
        cls.addClassCleanup(cls.program.close)

    def answered(self, path):
        body = urllib.parse.urlencode(FORM).encode()
        with urllib.request.urlopen(f"http://{self.address}{path}", body, PATIENCE) as answer:
            self.assertEqual(answer.headers.get_content_type(), "text/xml")
            return answer.read().decode()

    def check(self, profile, verbs):
        """The document of `profile` is what the SDK writes for a stream and then `verbs`."""
        document = self.answered(f"/voice/{profile}")
        expected = VoiceResponse()
        start = Start()
        stream = start.stream(
            url=f"ws://{self.address}/twilio",
            name="sidetone",
            track="both_tracks",
            status_callback=f"http://{self.address}/twilio/stream-status",
            status_callback_method="POST",
        )
        parameters = {
            "profile": profile,
            "from": FORM["From"],
            "to": FORM["To"],
            "direction": "inbound",
            "auth": parameter(document, "auth"),
        }
        for name, value in parameters.items():
            stream.parameter(name=name, value=value)
        expected.append(start)
        verbs(expected)
        self.assertEqual(canonical(document), canonical(str(expected)))

    def test_an_announced_call_that_is_put_through(self):
        def verbs(response):
            response.say(ANNOUNCE, voice="Polly.Amy", language="en-GB")
            response.dial().number("+15551230002")

        self.check("desk", verbs)

    def test_a_line_that_is_kept_open(self):
        self.check("wait", lambda response: response.pause(length=90))
        self.check("default", lambda response: response.pause(length=3600))

    def test_a_caller_who_is_told_something(self):
        def verbs(response):
            response.say("Please hold.")
            response.pause(length=3600)

        self.check("message", verbs)


def canonical(xml):
    """Attributes in order, quotes and escapes the same."""
    return ElementTree.canonicalize(xml)


def parameter(document, name):
    [found] = ElementTree.fromstring(document).iterfind(f".//Parameter[@name='{name}']")
    return found.get("value")


if __name__ == "__main__":
    unittest.main()
