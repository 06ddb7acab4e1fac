"""The official library of Standard Webhooks verifies what an agent's function sends."""

import json
import queue
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from judges.support import PATIENCE, Program, emulate, serve

SECRET = "whsec_c2lkZXRvbmUganVkZ2VkIGZyb20gb3V0c2lkZQ=="

PROFILE = """
[profiles.default.agent]
greeting = "Hello!"

[[profiles.default.functions]]
name = "lookup_order"
description = "Finds an order by its number"
parameters = {{ type = "object", properties = {{ id = {{ type = "string" }} }}, required = ["id"] }}
webhook = "http://127.0.0.1:{port}/orders"
secret = "{secret}"
"""


class Orders(BaseHTTPRequestHandler):
    """Knows every order, and keeps what it was asked."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.put((dict(self.headers), body))
        answer = json.dumps({"status": "on its way"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Says nothing."""


class Functions(unittest.TestCase):
    def setUp(self):
        self.orders = ThreadingHTTPServer(("127.0.0.1", 0), Orders)
        self.orders.asked = queue.Queue()
        self.addCleanup(self.orders.server_close)
        self.addCleanup(self.orders.shutdown)
        threading.Thread(target=self.orders.serve_forever, daemon=True).start()

    def ask(self):
        """The headers and the body with which a function is asked in the middle of a call."""
        emulated, deepgram = emulate()
        self.addCleanup(emulated.close)
        config = Path(emulated.folder.name) / "agent.toml"
        port = self.orders.server_address[1]
        config.write_text(PROFILE.format(port=port, secret=SECRET))
        gateway, address = serve(
            "--config",
            str(config),
            DEEPGRAM_URL=f"ws://{deepgram}",
            DEEPGRAM_AGENT_URL=f"ws://{deepgram}",
        )
        self.addCleanup(gateway.close)
        caller = Program("call", f"http://{address}/voice", "--say", "where is my order four seven")
        self.addCleanup(caller.close)
        return self.orders.asked.get(timeout=PATIENCE)

    def test_a_function_is_signed_by_the_standard(self):
        headers, body = self.ask()
        verified = Webhook(SECRET).verify(body, headers)
        self.assertEqual(verified["function"]["name"], "lookup_order")
        self.assertEqual(verified["arguments"], {"id": "47"})

        other = Webhook("whsec_" + "YW5vdGhlciBzZWNyZXQgdGhhbiB0aGF0IG9uZQ==")
        with self.assertRaises(WebhookVerificationError):
            other.verify(body, headers)
        with self.assertRaises(WebhookVerificationError):
            Webhook(SECRET).verify(body.replace(b"47", b"48"), headers)
        late = {**headers, "webhook-timestamp": "1000000000"}
        with self.assertRaises(WebhookVerificationError):
            Webhook(SECRET).verify(body, late)


if __name__ == "__main__":
    unittest.main()
