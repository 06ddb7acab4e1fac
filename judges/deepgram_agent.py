"""The official Deepgram SDK talks with the voice agent of `sidetone emulate`."""

import asyncio
import json
import threading
import time
import unittest

import pydantic
from deepgram import AsyncDeepgramClient
from deepgram.agent.v1.types import (
    AgentV1AgentAudioDone,
    AgentV1AgentStartedSpeaking,
    AgentV1AgentThinking,
    AgentV1ConversationText,
    AgentV1Error,
    AgentV1FunctionCallCancelled,
    AgentV1FunctionCallRequest,
    AgentV1History,
    AgentV1InjectAgentMessage,
    AgentV1InjectionRefused,
    AgentV1InjectUserMessage,
    AgentV1LatencyReport,
    AgentV1ListenUpdated,
    AgentV1PromptUpdated,
    AgentV1ReceiveFunctionCallResponse,
    AgentV1SendFunctionCallResponse,
    AgentV1Settings,
    AgentV1SettingsApplied,
    AgentV1SpeakUpdated,
    AgentV1ThinkUpdated,
    AgentV1UpdateListen,
    AgentV1UpdatePrompt,
    AgentV1UpdateSpeak,
    AgentV1UpdateThink,
    AgentV1UserStartedSpeaking,
    AgentV1Warning,
    AgentV1Welcome,
)
from deepgram.core.api_error import ApiError
from deepgram.listen.v1.types import ListenV1Results
from websockets.exceptions import ConnectionClosed

from judges.support import PATIENCE, Wire, deepgram, emulate, speech, unknown_fields

TELEPHONE = {"encoding": "mulaw", "sample_rate": 8000}
LISTEN = {"provider": {"type": "deepgram", "version": "v1", "model": "nova-3"}}
SPEAK = {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}}
LOOKUP = {
    "name": "lookup_order",
    "description": "Finds an order by its number.",
    "parameters": {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
    },
}
THINK = {
    "provider": {"type": "open_ai", "model": "gpt-4o-mini", "temperature": 0.7},
    "prompt": "Be kind.",
    "functions": [LOOKUP],
}

# 100 ms.
PIECE = 800
SILENCE = b"\xff" * PIECE


def settings(**agent):
    """Settings as a telephone's program would send them, through the SDK's own class."""
    document = {
        "type": "Settings",
        "tags": ["judged"],
        "experimental": True,
        "audio": {"input": TELEPHONE, "output": {**TELEPHONE, "container": "none"}},
        "agent": {"listen": LISTEN, "think": THINK, "speak": SPEAK, **agent},
    }
    return AgentV1Settings.model_validate(document)


class Talk:
    """A session whose user is silent at the pace of a call, until told to say something."""

    def __init__(self, test, client, agent_settings):
        self.test = test
        self.connection = client.agent.v1.connect()
        self.socket = self.connection.__enter__()
        self.socket._websocket = Wire(self.socket._websocket)
        self.messages = []
        self.audio = []
        self.changed = threading.Condition()
        self.to_say = []
        self.over = False
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._read, self._say)]
        self.threads[0].start()
        if agent_settings:
            self.wait_for(AgentV1Welcome)
            self.socket.send_settings(agent_settings)
            self.wait_for(AgentV1SettingsApplied)
            self.threads[1].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        self.connection.__exit__(None, None, None)
        for thread in self.threads:
            if thread.ident:
                thread.join(PATIENCE)

    def say(self, text):
        with self.changed:
            self.to_say.append(speech(text))

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]

    def wait_for(self, kind, count=1):
        """So many messages of a kind; answers the last."""
        with self.changed:
            come = self.changed.wait_for(lambda: len(self.of(kind)) >= count, PATIENCE)
        self.test.assertTrue(come, f"no {kind.__name__} among {self.messages}")
        return self.of(kind)[count - 1]

    def said(self, role):
        return [text.content for text in self.of(AgentV1ConversationText) if text.role == role]

    def _read(self):
        try:
            for message in self.socket:
                with self.changed:
                    kept = self.audio if isinstance(message, bytes) else self.messages
                    kept.append(message)
                    self.changed.notify_all()
        except ConnectionClosed:
            pass

    def _say(self):
        next_at = time.monotonic()
        audio = b""
        while not self.over:
            with self.changed:
                if not audio and self.to_say:
                    audio = self.to_say.pop(0)
            piece, audio = audio[:PIECE], audio[PIECE:]
            try:
                self.socket.send_media(piece or SILENCE)
            except ConnectionClosed:
                return
            next_at += 0.1
            time.sleep(max(0, next_at - time.monotonic()))


class Conversing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator, cls.address = emulate()
        cls.addClassCleanup(cls.emulator.close)

    def talk(self, agent_settings=None, address=None):
        return Talk(self, deepgram(address or self.address), agent_settings)

    def check(self, talk):
        """Every message is of the class that its type names, has every field that the class
        demands, of its type, and none that the class does not know."""
        texts = talk.socket._websocket.texts
        self.assertEqual(len(talk.messages), len(texts))
        for message, text in zip(talk.messages, texts):
            self.assertIsInstance(message, pydantic.BaseModel)
            self.assertEqual(message.type, json.loads(text)["type"])
            type(message).model_validate_json(text, strict=True)
            self.assertEqual(unknown_fields(message), [], text)

    def heard(self, audio):
        """The words that the emulated Deepgram hears in telephone audio."""
        parameters = {"model": "nova-3", "encoding": "mulaw", "sample_rate": "8000"}
        with deepgram(self.address).listen.v1.connect(**parameters) as socket:
            socket.send_media(audio + b"\xff" * 8000)
            socket.send_close_stream()
            results = [message for message in socket if isinstance(message, ListenV1Results)]
        words = [word for result in results for word in result.channel.alternatives[0].words]
        return " ".join(word.word for word in words)

    def test_a_greeting_and_an_answer(self):
        with self.talk(settings(greeting="Hello there!")) as talk:
            talk.wait_for(AgentV1AgentAudioDone)
            self.assertEqual(self.heard(b"".join(talk.audio)), "hello there")
            talk.say("good morning")
            talk.wait_for(AgentV1AgentAudioDone, 2)
            talk.wait_for(AgentV1LatencyReport, 6)
            self.assertEqual(talk.said("user"), ["good morning"])
            self.assertEqual(talk.said("assistant"), ["Hello there!", "You said: good morning"])
            order = [type(message) for message in talk.messages]
            for before, after in [
                (AgentV1UserStartedSpeaking, AgentV1AgentThinking),
                (AgentV1Welcome, AgentV1SettingsApplied),
                (AgentV1SettingsApplied, AgentV1ConversationText),
            ]:
                self.assertLess(order.index(before), order.index(after))
            self.assertEqual(len(talk.of(AgentV1AgentStartedSpeaking)), 2)
            self.assertEqual(len(talk.of(AgentV1History)), 3)
            self.check(talk)

    def test_who_interrupts_is_listened_to(self):
        emulator, address = emulate("--fault", "agent-slow:ms=0,percent=100")
        story = "Now I would like to tell you how your order was made from the first day."
        with emulator, self.talk(settings(greeting=story), address) as talk:
            talk.wait_for(AgentV1AgentStartedSpeaking)
            talk.say("one moment")
            talk.wait_for(AgentV1AgentAudioDone)
            order = [type(message) for message in talk.messages]
            self.assertLess(
                order.index(AgentV1UserStartedSpeaking), order.index(AgentV1AgentAudioDone)
            )
            self.assertNotIn("first day", self.heard(b"".join(talk.audio)))
            self.check(talk)

    def test_a_function_is_called_and_its_answer_is_said(self):
        with self.talk(settings()) as talk:
            talk.say("my order number is four two seven")
            request = talk.wait_for(AgentV1FunctionCallRequest).functions[0]
            self.assertTrue(request.client_side)
            self.assertEqual(request.name, "lookup_order")
            self.assertEqual(json.loads(request.arguments), {"id": "427"})
            talk.socket.send_function_call_response(
                AgentV1SendFunctionCallResponse(
                    type="FunctionCallResponse",
                    id=request.id,
                    name=request.name,
                    content=json.dumps({"state": "on its way"}),
                )
            )
            talk.wait_for(AgentV1AgentAudioDone)
            self.assertEqual(talk.said("assistant"), ["Order 427: state on its way"])
            self.check(talk)

    def test_functions_with_an_endpoint_are_not_the_clients_to_call(self):
        endpoint = {"url": "https://example.com/lookup", "method": "post"}
        functions = [{**LOOKUP, "endpoint": endpoint}]
        with self.talk(settings(think={**THINK, "functions": functions})) as talk:
            talk.say("order four")
            request = talk.wait_for(AgentV1FunctionCallRequest).functions[0]
            response = talk.wait_for(AgentV1ReceiveFunctionCallResponse)
            self.assertFalse(request.client_side)
            self.assertEqual(response.id, request.id)
            self.check(talk)

    def test_a_call_may_be_cancelled(self):
        emulator, address = emulate("--fault", "agent-cancelled-calls")
        with emulator, self.talk(settings(), address) as talk:
            talk.say("order four")
            request = talk.wait_for(AgentV1FunctionCallRequest, 2).functions[0]
            [cancelled] = talk.wait_for(AgentV1FunctionCallCancelled).functions
            self.assertNotEqual(cancelled.id, request.id)
            self.check(talk)

    def test_messages_are_injected_or_refused(self):
        with self.talk(settings(greeting="Hello, how may I help you today?")) as talk:
            talk.wait_for(AgentV1AgentStartedSpeaking)
            talk.socket.send_inject_agent_message(
                AgentV1InjectAgentMessage(type="InjectAgentMessage", message="Still there?")
            )
            talk.wait_for(AgentV1InjectionRefused)
            warning = talk.wait_for(AgentV1Warning)
            self.assertEqual(warning.code, "INJECT_AGENT_MESSAGE_DURING_AGENT_SPEECH")
            talk.socket.send_inject_agent_message(
                AgentV1InjectAgentMessage(
                    type="InjectAgentMessage", message="Still there?", behavior="queue"
                )
            )
            talk.wait_for(AgentV1AgentAudioDone, 2)
            talk.socket.send_inject_user_message(
                AgentV1InjectUserMessage(type="InjectUserMessage", content="I pressed 1")
            )
            talk.wait_for(AgentV1AgentAudioDone, 3)
            self.assertEqual(talk.said("assistant")[1:], ["Still there?", "You said: I pressed 1"])
            self.check(talk)

    def test_a_session_is_changed_while_it_lasts(self):
        with self.talk(settings()) as talk:
            talk.socket.send_update_prompt(
                AgentV1UpdatePrompt(type="UpdatePrompt", prompt="Be brief.")
            )
            talk.wait_for(AgentV1PromptUpdated)
            talk.socket.send_update_think(
                AgentV1UpdateThink.model_validate(
                    {"type": "UpdateThink", "think": {**THINK, "prompt": "Be polite."}}
                )
            )
            talk.wait_for(AgentV1ThinkUpdated)
            voice = {"provider": {"type": "deepgram", "model": "aura-2-zeus-en"}}
            talk.socket.send_update_speak(
                AgentV1UpdateSpeak.model_validate({"type": "UpdateSpeak", "speak": voice})
            )
            talk.wait_for(AgentV1SpeakUpdated)
            flux = {"type": "deepgram", "version": "v2", "model": "flux-general-en"}
            talk.socket.send_force_end_turn()
            warning = talk.wait_for(AgentV1Warning)
            self.assertEqual(warning.code, "FORCE_END_TURN_UNSUPPORTED")
            talk.socket.send_update_listen(
                AgentV1UpdateListen.model_validate(
                    {"type": "UpdateListen", "listen": {"provider": flux}}
                )
            )
            talk.wait_for(AgentV1ListenUpdated)
            talk.socket.send_keep_alive()
            self.check(talk)
        with self.talk(settings(think={**THINK, "prompt": "Be polite."})) as talk:
            talk.say("what are your instructions")
            talk.wait_for(AgentV1AgentAudioDone)
            self.assertIn("Be polite.", " ".join(talk.said("assistant")))

    def test_what_is_wrong_is_an_error(self):
        model = {"provider": {"type": "deepgram", "model": "nova-3"}}
        for wrong, code in [
            (settings(speak=model), "INVALID_SETTINGS"),
            (AgentV1UpdatePrompt(type="UpdatePrompt", prompt="x"), "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"),
        ]:
            with self.subTest(code=code), self.talk() as talk:
                talk.wait_for(AgentV1Welcome)
                talk.socket._send_model(wrong)
                error = talk.wait_for(AgentV1Error)
                self.assertEqual(error.code, code)
                self.assertTrue(error.description)
                self.check(talk)

    def test_refused_handshakes_are_the_errors_of_the_sdk(self):
        async def connect(key):
            async with deepgram(self.address, key, AsyncDeepgramClient).agent.v1.connect():
                pass

        for status in (401, 402, 403, 429, 503):
            with self.subTest(status=status), self.assertRaises(ApiError) as raised:
                asyncio.run(connect(f"fail-{status}"))
            self.assertEqual(raised.exception.status_code, status)


if __name__ == "__main__":
    unittest.main()
