"""The official Deepgram SDK streams to `sidetone emulate`'s listen."""

import asyncio
import json
import threading
import time
import unittest

import pydantic
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.errors import BadRequestError
from deepgram.listen.v1.types import (
    ListenV1Configure,
    ListenV1ConfigureSuccess,
    ListenV1Error,
    ListenV1Metadata,
    ListenV1Results,
    ListenV1SpeechStarted,
    ListenV1UtteranceEnd,
)
from websockets.exceptions import InvalidStatus

from judges.support import (
    PATIENCE,
    Wire,
    deepgram,
    emulate,
    speech,
    unknown_fields,
    words_of,
)

TEXT = "my order number is four two seven"
MONO = {"model": "nova-3", "encoding": "mulaw", "sample_rate": "8000"}
STEREO = {**MONO, "channels": "2", "multichannel": "true"}

# A key, parameters, and the status of the refusal: keys `fail-NNN` ask the emulator for it.
REFUSALS = [
    ("fail-401", MONO, 401),
    ("fail-402", MONO, 402),
    ("fail-429", MONO, 429),
    ("fail-503", MONO, 503),
    ("judged", {**MONO, "keywords": "sidetone:2"}, 400),
    ("judged", {**MONO, "sample_rate": "many"}, 400),
]

# 20 ms of one channel.
FRAME = 160


class Listening(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator, cls.address = emulate()
        cls.addClassCleanup(cls.emulator.close)
        cls.speech = speech(TEXT)

    def client(self, key="judged", client=DeepgramClient):
        return deepgram(self.address, key, client)

    def listen(self, talk, **parameters):
        """What the emulator says while `talk` talks to it, as the SDK's classes, checked."""
        with self.client().listen.v1.connect(**parameters) as socket:
            wire = socket._websocket = Wire(socket._websocket)
            failures = []

            def run():
                try:
                    talk(socket)
                except Exception as error:
                    failures.append(error)

            talking = threading.Thread(target=run, daemon=True)
            talking.start()
            # The emulator closes after CloseStream, which ends the iteration.
            watchdog = threading.Timer(PATIENCE, wire.close)
            watchdog.start()
            messages = list(socket)
            in_time = watchdog.is_alive()
            watchdog.cancel()
            talking.join(PATIENCE)
        self.assertEqual(failures, [])
        self.assertTrue(in_time, f"the connection is still open after {PATIENCE} s: {messages}")
        self.assertEqual(len(messages), len(wire.texts))
        for message, text in zip(messages, wire.texts):
            self.check(message, text)
        return messages

    def check(self, message, text):
        """Every field that the message's class demands is there and of its type, and no field is
        there that the class does not know: the SDK itself takes nearly everything."""
        self.assertIsInstance(message, pydantic.BaseModel)
        type(message).model_validate_json(text, strict=True)
        self.assertEqual(unknown_fields(message), [], text)

    def test_speech_comes_back_as_interims_and_finals(self):
        def talk(socket):
            stream(socket, self.speech)
            socket.send_close_stream()

        messages = self.listen(
            talk,
            **MONO,
            interim_results="true",
            smart_format="false",
            punctuate="true",
            vad_events="true",
            utterance_end_ms="1000",
            endpointing="300",
        )
        results = of(messages, ListenV1Results)
        finals = [result for result in results if result.is_final]
        interims = [result for result in results if not result.is_final]
        words = [word for final in finals for word in best(final).words]
        self.assertEqual([word.word for word in words], TEXT.split())
        self.assertTrue(any(best(interim).words for interim in interims))
        self.assertTrue(any(final.speech_final for final in finals))
        self.assertTrue(all(word.punctuated_word for word in words))

        # Words and windows follow each other on the audio's clock.
        times = [time for word in words for time in (word.start, word.end)]
        self.assertEqual(times, sorted(times))
        self.assertLess(times[-1], len(self.speech) / 8000)
        for before, after in zip(finals, finals[1:]):
            self.assertAlmostEqual(before.start + before.duration, after.start, places=2)

        [started, *_] = of(messages, ListenV1SpeechStarted)
        self.assertEqual(started.channel[0], 0)
        self.assertLess(started.timestamp, words[0].end)
        [utterance_end, *_] = of(messages, ListenV1UtteranceEnd)
        self.assertEqual(utterance_end.channel[0], 0)
        self.assertAlmostEqual(utterance_end.last_word_end, words[-1].end, places=2)

        [metadata] = of(messages, ListenV1Metadata)
        self.assertIs(messages[-1], metadata)
        self.assertEqual(metadata.channels, 1)
        self.assertAlmostEqual(metadata.duration, len(self.speech) / 8000, places=1)
        self.assertEqual({result.metadata.request_id for result in results}, {metadata.request_id})

    def test_two_channels_are_heard_apart(self):
        left, right = speech("yes please"), speech("one moment")
        length = max(len(left), len(right))
        both = zip(left.ljust(length, b"\xff"), right.ljust(length, b"\xff"))
        audio = bytes(code for frame in both for code in frame)

        def talk(socket):
            stream(socket, audio, channels=2)
            socket.send_close_stream()

        messages = self.listen(talk, **STEREO)
        heard = {0: [], 1: []}
        for result in of(messages, ListenV1Results):
            self.assertEqual(result.channel_index[1], 2)
            heard[result.channel_index[0]] += [word.word for word in best(result).words]
        self.assertEqual(heard, {0: ["yes", "please"], 1: ["one", "moment"]})
        self.assertEqual(messages[-1].channels, 2)

    def test_finalize_brings_what_is_heard_so_far(self):
        spoken = len(self.speech) - 16_000

        def talk(socket):
            stream(socket, self.speech[:spoken])
            socket.send_finalize()
            socket.send_keep_alive()
            socket.send_close_stream()

        results = of(self.listen(talk, **MONO), ListenV1Results)
        heard = [word.word for result in results for word in best(result).words]
        self.assertEqual(heard, TEXT.split())
        self.assertTrue(any(result.from_finalize for result in results))

    def test_keep_alives_keep_it_open_after_some_audio(self):
        """Deepgram gives up a connection on which nothing is said for ten seconds."""

        def talk(socket):
            socket.send_media(b"\xff" * FRAME)
            for _ in range(3):
                time.sleep(4)
                socket.send_keep_alive()
            socket.send_close_stream()

        metadata = self.listen(talk, **MONO)[-1]
        self.assertIsInstance(metadata, ListenV1Metadata)
        self.assertAlmostEqual(metadata.duration, FRAME / 8000, places=3)

    def test_what_is_no_message_is_an_error_and_the_connection_goes_on(self):
        def talk(socket):
            socket._send(json.dumps({"type": "Nonsense"}))
            socket.send_close_stream()

        messages = self.listen(talk, **MONO)
        self.assertEqual([type(message) for message in messages], [ListenV1Error, ListenV1Metadata])
        self.assertEqual(messages[0].variant, "SchemaError")

    def test_a_configuration_is_taken(self):
        def talk(socket):
            socket.send_configure(ListenV1Configure(type="Configure", keyterms=["sidetone"]))
            socket.send_close_stream()

        [answer, metadata] = self.listen(talk, **MONO)
        self.assertIsInstance(answer, ListenV1ConfigureSuccess)
        self.assertEqual(answer.keyterms, ["sidetone"])
        self.assertIsInstance(metadata, ListenV1Metadata)

    def test_refused_handshakes_are_the_errors_of_the_sdk(self):
        async def connect(key, parameters):
            async with self.client(key, AsyncDeepgramClient).listen.v1.connect(**parameters):
                pass

        for key, parameters, status in REFUSALS:
            with self.subTest(key=key, status=status):
                with self.assertRaises(ApiError) as raised:
                    asyncio.run(connect(key, parameters))
                self.assertEqual(raised.exception.status_code, status)

    def test_refused_handshakes_say_why(self):
        for key, parameters, status in REFUSALS:
            with self.subTest(key=key, status=status):
                # The SDK's error has no room for the answer, that of the client below it has.
                with self.assertRaises(InvalidStatus) as raised:
                    with self.client(key).listen.v1.connect(**parameters):
                        pass
                response = raised.exception.response
                self.assertEqual(response.status_code, status)
                self.assertTrue(response.headers["dg-request-id"])
                self.assertIn(response.headers["dg-error"], words_of(response.body.decode()))

    def test_all_three_shapes_of_bodies_are_read(self):
        shapes = set()
        for status in (400, 401, 402, 403, 429, 500, 502, 503):
            with self.subTest(status=status), self.assertRaises(ApiError) as raised:
                self.client(f"fail-{status}").manage.v1.projects.list(
                    request_options={"max_retries": 0}
                )
            refusal = raised.exception
            self.assertEqual(refusal.status_code, status)
            self.assertEqual(isinstance(refusal, BadRequestError), status == 400)
            self.assertIn(refusal.headers["dg-error"], words_of(refusal.body))
            shapes.add(shape(refusal.body))
        self.assertEqual(shapes, {"err_code", "category", "text"})

    def test_a_good_key_is_told_its_projects(self):
        projects = self.client().manage.v1.projects.list().projects
        self.assertTrue(projects and projects[0].project_id)


def stream(socket, audio, channels=1):
    """Sends audio at the pace of a call."""
    started = time.monotonic()
    piece = FRAME * 5 * channels
    for at in range(0, len(audio), piece):
        socket.send_media(audio[at : at + piece])
        ahead = started + (at + piece) / (8000 * channels) - time.monotonic()
        time.sleep(max(0, ahead))


def of(messages, kind):
    return [message for message in messages if isinstance(message, kind)]


def best(result):
    return result.channel.alternatives[0]


def shape(body):
    """Which of the three shapes a body has."""
    if isinstance(body, dict):
        return next(key for key in ("err_code", "category") if key in body)
    return "text"


if __name__ == "__main__":
    unittest.main()
