"""The official Twilio SDK signs requests to `sidetone serve`, and validates those of `sidetone call`."""

import http.client
import json
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode

from twilio.request_validator import RequestValidator
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve as serve_websockets

from judges.support import PATIENCE, Program, serve

TOKEN = "12345678901234567890123456789012"
PUBLIC = "voice.example.com"
HEADER = "X-Twilio-Signature"

CALL = {
    "AccountSid": "AC00000000000000000000000000000001",
    "ApiVersion": "2010-04-01",
    "CallSid": "CA00000000000000000000000000000002",
    "CallStatus": "ringing",
    "CallerName": "Jürgen O'Neil & Søn +1 100%",
    "Direction": "inbound",
    "From": "+14155550123",
    "ForwardedFrom": "",
    "To": "+15005550006",
}


class Signing(unittest.TestCase):
    """What the SDK signs is accepted, and nothing that differs from it."""

    def setUp(self):
        # One for each test: a client that fails often is slowed down.
        self.program, self.address = serve(
            "--set",
            "server.trust_loopback=true",
            SIDETONE_PUBLIC_URL=f"https://{PUBLIC}",
            TWILIO_AUTH_TOKEN=TOKEN,
        )
        self.addCleanup(self.program.close)

    def request(self, method, path, body=None, kind=None, signature=None):
        """The status of a request to `path`."""
        headers = {"Host": PUBLIC, "Connection": "close"}
        if kind:
            headers["Content-Type"] = kind
        if signature:
            headers[HEADER] = signature
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def post(self, path, form, signature):
        kind = "application/x-www-form-urlencoded; charset=UTF-8"
        return self.request("POST", path, urlencode(form), kind, signature)

    def handshake(self, path, signature):
        try:
            with connect(
                f"ws://{self.address}{path}",
                additional_headers={HEADER: signature},
                open_timeout=PATIENCE,
            ):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    def test_form_posts(self):
        urls = [
            ("/voice", f"https://{PUBLIC}/voice"),
            ("/voice", f"https://{PUBLIC}:443/voice"),
            ("/voice/default", f"https://{PUBLIC}/voice/default"),
            ("/voice?tenant=a%20b&x=", f"https://{PUBLIC}/voice?tenant=a%20b&x="),
            ("/twilio/call-status", f"https://{PUBLIC}/twilio/call-status"),
        ]
        for path, url in urls:
            with self.subTest(url=url):
                accepted = self.post(path, CALL, sign(url, CALL))
                self.assertIn(accepted, (200, 204))

    def test_changed_form_posts_are_refused(self):
        url = f"https://{PUBLIC}/voice"
        signature = sign(url, CALL)
        changed = [{**CALL, name: CALL[name] + "x"} for name in CALL]
        removed = [{kept: CALL[kept] for kept in CALL if kept != name} for name in CALL]
        # A field without a value adds its name to what is signed, so it cannot be left out either.
        added = [{**CALL, "Zone": "1"}, {**CALL, "A": ""}]
        renamed = [{**CALL, "from": CALL["From"]}]
        for form in changed + removed + added + renamed:
            with self.subTest(form=form):
                self.assertEqual(self.post("/voice", form, signature), 403)

    def test_signatures_of_other_urls_and_tokens_are_refused(self):
        url = f"https://{PUBLIC}/voice"
        others = [
            f"http://{PUBLIC}/voice",
            f"https://{PUBLIC}:8443/voice",
            f"https://{PUBLIC}/voice/",
            f"https://{PUBLIC}/voice?x=1",
            f"https://{PUBLIC}/Voice",
            f"https://www.{PUBLIC}/voice",
        ]
        wrong = [sign(other, CALL) for other in others]
        wrong += [sign(url, CALL, TOKEN[::-1]), sign(url, CALL)[:-1], sign(url, {}), "", "=", "ä"]
        for signature in wrong:
            with self.subTest(signature=signature):
                self.assertEqual(self.post("/voice", CALL, latin(signature)), 403)

    def test_gets(self):
        path = f"/voice?{urlencode(CALL)}"
        for url in (f"https://{PUBLIC}{path}", f"https://{PUBLIC}:443{path}"):
            self.assertEqual(self.request("GET", path, signature=sign(url)), 200)
        signature = sign(f"https://{PUBLIC}{path}")
        for name in CALL:
            for changed in ({**CALL, name: CALL[name] + "x"}, {**CALL, name + "x": CALL[name]}):
                changed = f"/voice?{urlencode(changed)}"
                self.assertEqual(self.request("GET", changed, signature=signature), 403, changed)

    def test_bodies_that_are_no_forms(self):
        body = json.dumps({"CallSid": CALL["CallSid"]})
        digest = RequestValidator(TOKEN).compute_hash(body)
        path = f"/voice?bodySHA256={digest}"
        signature = sign(f"https://{PUBLIC}{path}")

        def post(body, path=path):
            return self.request("POST", path, body, "application/json", signature)

        # It comes from Twilio, but is no call.
        self.assertEqual(post(body), 400)
        self.assertEqual(post(body + " "), 403)
        self.assertEqual(post(""), 403)
        self.assertEqual(post(body, "/voice"), 403)
        self.assertEqual(post(body, path.replace(digest, "0" * 64)), 403)

    def test_handshakes(self):
        for path in ("/twilio", "/twilio/default", "/media"):
            for authority in (PUBLIC, f"{PUBLIC}:443"):
                for slash in ("", "/"):
                    url = f"wss://{authority}{path}{slash}"
                    with self.subTest(url=url):
                        self.assertEqual(self.handshake(path, sign(url)), 101)
        others = [
            f"ws://{PUBLIC}/twilio",
            f"wss://{PUBLIC}:8443/twilio",
            f"wss://{PUBLIC}/media",
            f"wss://{PUBLIC}/twilio/default",
            f"wss://{PUBLIC}/twilio//",
            f"wss://{PUBLIC}/twilio?x=1",
            "wss://example.com/twilio",
        ]
        for url in others:
            with self.subTest(url=url):
                self.assertEqual(self.handshake("/twilio", sign(url)), 403)
        other_token = sign(f"wss://{PUBLIC}/twilio", token=TOKEN[::-1])
        self.assertEqual(self.handshake("/twilio", other_token), 403)

    def test_either_token_counts_while_they_are_rotated(self):
        new = "f" * 32
        program, self.address = serve(
            "--set",
            "server.trust_loopback=true",
            SIDETONE_PUBLIC_URL=f"https://{PUBLIC}",
            TWILIO_AUTH_TOKEN=f"{TOKEN}, {new}",
        )
        self.addCleanup(program.close)
        url = f"https://{PUBLIC}/voice"
        statuses = [self.post("/voice", CALL, sign(url, CALL, t)) for t in (TOKEN, new, "0" * 32)]
        self.assertEqual(statuses, [200, 200, 403])


class Validating(unittest.TestCase):
    """What the simulated phone signs, the SDK finds right."""

    def test_everything_the_phone_requests_is_signed(self):
        judged = {}

        def judge(what, url, params, signature):
            judged[what] = RequestValidator(TOKEN).validate(url, params, signature or "")

        def handshake(connection, request):
            host = request.headers["Host"]
            judge("stream", f"ws://{host}{request.path}", {}, request.headers.get(HEADER))

        def drain(connection):
            for _ in connection:
                pass

        class Webhooks(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.answer(dict(parse_qsl(body, keep_blank_values=True)))

            def do_GET(self):
                self.answer({})

            def answer(self, params):
                url = f"http://{self.headers['Host']}{self.path}"
                path = self.path.split("?")[0]
                judge(f"{self.command} {path}", url, params, self.headers[HEADER])
                body = documents.get(path, "").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        streams = serve_websockets(drain, "127.0.0.1", 0, process_request=handshake)
        webhooks = ThreadingHTTPServer(("127.0.0.1", 0), Webhooks)
        for server in (streams, webhooks):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.shutdown)
        self.addCleanup(webhooks.server_close)
        stream = f"ws://127.0.0.1:{streams.socket.getsockname()[1]}/twilio"
        documents = {
            "/voice": f'<Response><Start><Stream url="{stream}" statusCallback="/status"/></Start>'
            '<Pause length="1"/><Redirect>/next?x=a%20b&amp;y=</Redirect></Response>',
            "/next": '<Response><Redirect method="GET">/last?z=%C3%A9</Redirect></Response>',
            "/last": "<Response><Hangup/></Response>",
        }
        url = f"http://127.0.0.1:{webhooks.server_port}/voice?tenant=1"
        with Program("call", url, "--say", "one two three", TWILIO_AUTH_TOKEN=TOKEN) as call:
            self.assertEqual(call.ended(), 0, call.stderr.seen)
        requested = ("POST /voice", "POST /next", "GET /last", "POST /status", "stream")
        self.assertEqual(judged, dict.fromkeys(requested, True))


def sign(url, params=None, token=TOKEN):
    return RequestValidator(token).compute_signature(url, params or {})


def latin(text):
    """Text as a header takes it."""
    return text.encode().decode("latin-1")


if __name__ == "__main__":
    unittest.main()
