"""The official Deepgram SDK has texts spoken by `sidetone emulate`'s speak."""

import asyncio
import io
import unittest
import wave

import httpx
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.errors import BadRequestError
from deepgram.listen.v1.types import ListenV1Results

from judges.support import deepgram, emulate, words_of

TEXT = "Hello, your order number is four two seven."
TELEPHONE = {
    "model": "aura-2-thalia-en",
    "encoding": "mulaw",
    "sample_rate": 8000,
    "container": "none",
    "tag": ["sidetone", "judged"],
    "speed": 0.9,
    "mip_opt_out": True,
}

# A key, what is asked for, and the status and some words of the refusal.
REFUSALS = [
    ("fail-401", {}, 401, "Invalid credentials."),
    ("fail-402", {}, 402, "enough credits"),
    ("fail-429", {}, 429, "Too many requests"),
    ("fail-500", {}, 500, "Internal server error."),
    ("fail-502", {}, 502, "Bad Gateway"),
    ("judged", {"model": "aura-2-nobody-en"}, 400, "No such model"),
    ("judged", {"sample_rate": 24000}, 400, "Unsupported audio format"),
    ("judged", {"speed": 3}, 400, "Failed to deserialize query parameters"),
    ("judged", {"text": " "}, 400, "Input text contains no characters."),
    ("judged", {"text": "a" * 2001}, 413, "maximum character limit of 2000"),
]


class Speaking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator, cls.address = emulate()
        cls.addClassCleanup(cls.emulator.close)

    def heard(self, audio):
        """The words that the emulated Deepgram hears in telephone audio."""
        client = deepgram(self.address)
        parameters = {"model": "nova-3", "encoding": "mulaw", "sample_rate": "8000"}
        with client.listen.v1.connect(**parameters) as socket:
            socket.send_media(audio + b"\xff" * 8000)
            socket.send_close_stream()
            results = [message for message in socket if isinstance(message, ListenV1Results)]
        words = [word for result in results for word in result.channel.alternatives[0].words]
        return [word.word for word in words]

    def test_a_text_comes_as_audio_that_holds_its_words(self):
        chunks = list(deepgram(self.address).speak.v1.audio.generate(text=TEXT, **TELEPHONE))
        self.assertGreater(len(chunks), 3)
        words = [word.strip(",.").lower() for word in TEXT.split()]
        self.assertEqual(self.heard(b"".join(chunks)), words)

    def test_the_same_for_programs_that_wait_for_many(self):
        async def speak():
            client = deepgram(self.address, client=AsyncDeepgramClient)
            spoken = client.speak.v1.audio.generate(text="yes please", **TELEPHONE)
            return b"".join([chunk async for chunk in spoken])

        self.assertEqual(self.heard(asyncio.run(speak())), ["yes", "please"])

    def test_the_head_tells_what_was_spoken(self):
        audio = deepgram(self.address).speak.v1.audio.with_raw_response
        with audio.generate(text=TEXT, **TELEPHONE) as response:
            headers = response.headers
            self.assertTrue(b"".join(response.data))
        self.assertEqual(headers["dg-model-name"], TELEPHONE["model"])
        self.assertEqual(headers["dg-char-count"], str(len(TEXT)))
        self.assertEqual(len(headers["dg-request-id"]), 36)
        self.assertEqual(headers["transfer-encoding"], "chunked")
        self.assertEqual(headers["content-type"], "audio/basic")

    def test_other_audio_comes_as_a_wav_file(self):
        spoken = deepgram(self.address).speak.v1.audio.generate(text=TEXT, encoding="linear16")
        with wave.open(io.BytesIO(b"".join(spoken))) as file:
            self.assertEqual(file.getnchannels(), 1)
            self.assertEqual(file.getsampwidth(), 2)
            self.assertEqual(file.getframerate(), 24000)

    def test_refusals_are_the_errors_of_the_sdk_and_say_why(self):
        for key, asked, status, words in REFUSALS:
            with self.subTest(key=key, asked=asked), self.assertRaises(ApiError) as raised:
                asked = {"text": TEXT, **TELEPHONE, **asked}
                audio = deepgram(self.address, key).speak.v1.audio
                list(audio.generate(**asked, request_options={"max_retries": 0}))
            refusal = raised.exception
            self.assertEqual(refusal.status_code, status)
            self.assertEqual(isinstance(refusal, BadRequestError), status == 400)
            self.assertIn(words, words_of(refusal.body))
            self.assertEqual(refusal.headers["dg-error"], words_of(refusal.body))
            self.assertTrue(refusal.headers["dg-request-id"])

    def test_an_answer_that_breaks_off_is_an_error(self):
        emulator, address = emulate("--fault", "speak-cut:after_ms=500")
        with emulator, self.assertRaises(httpx.RemoteProtocolError):
            list(deepgram(address).speak.v1.audio.generate(text=TEXT, **TELEPHONE))


if __name__ == "__main__":
    unittest.main()
