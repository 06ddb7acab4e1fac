"""Programs under judgement: started on free ports, waited for with a deadline, ended for sure."""

import json
import os
import queue
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pydantic
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment

ROOT = Path(__file__).resolve().parent.parent
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"

# Every wait for something that must come ends after so many seconds.
PATIENCE = 30

# Bytes of the header in front of the codes that the example `speak` writes.
WAV_HEADER = 58


class Program:
    """A running `sidetone`, in a folder of its own, with no environment but what is given."""

    def __init__(self, *args, **environment):
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [BUILT / "sidetone", *args],
            cwd=self.folder.name,
            env={"PATH": "/usr/bin:/bin", "RUST_LOG": "info", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stdout = Lines(self.process.stdout)
        self.stderr = Lines(self.process.stderr)

    def ended(self):
        """Waits for its end; answers the exit code."""
        return self.process.wait(PATIENCE)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.stdout.close()
        self.stderr.close()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Lines:
    """The lines of a pipe, read as they come, so that a full pipe stops nobody."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.seen = []
        self.coming = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def wait_for(self, pattern):
        """The match of the next line that has one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.coming.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                said = "".join(self.seen)
                raise AssertionError(f"no line matches {pattern!r} in:\n{said}")
            match = re.search(pattern, line)
            if match:
                return match

    def close(self):
        self.reader.join(PATIENCE)
        self.pipe.close()

    def _read(self):
        for line in self.pipe:
            self.seen.append(line)
            self.coming.put(line)
        self.coming.put(None)


class Wire:
    """A WebSocket that keeps the texts that came over it."""

    def __init__(self, websocket):
        self.websocket = websocket
        self.texts = []

    def __iter__(self):
        for data in self.websocket:
            if isinstance(data, str):
                self.texts.append(data)
            yield data

    def send(self, data):
        self.websocket.send(data)

    def close(self):
        self.websocket.close()


def emulate(*args):
    """A running `sidetone emulate`, and its address."""
    program = Program("emulate", "--listen", "127.0.0.1:0", *args)
    address = program.stdout.wait_for(r"^DEEPGRAM_URL=\"?(?:ws|http)s?://([^\s/\"]+)")
    return program, address[1]


def deepgram(address, key="judged", client=DeepgramClient):
    """The SDK's client of the emulated Deepgram at this address."""
    base, live = f"http://{address}", f"ws://{address}"
    environment = DeepgramClientEnvironment(
        base=base, production=live, agent=live, agent_rest=base
    )
    return client(api_key=key, environment=environment)


def words_of(body):
    """The sentence of a refusal's body of any shape."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return body
    return body.get("err_msg") or body.get("message")


def serve(*args, **environment):
    """A running `sidetone serve`, and its address."""
    environment = {
        "DEEPGRAM_API_KEY": "judged",
        "DEEPGRAM_URL": "ws://127.0.0.1:9",
        "SIDETONE_LISTEN": "127.0.0.1:0",
        **environment,
    }
    program = Program("serve", *args, **environment)
    return program, program.stderr.wait_for(r"Listening on https?://([^\s\"]+)")[1]


def speech(text):
    """Mu-law codes at 8 kHz that the emulated Deepgram hears as `text`, then silence."""
    spoken = subprocess.run(
        [BUILT / "examples" / "speak", text], stdout=subprocess.PIPE, timeout=PATIENCE, check=True
    )
    return spoken.stdout[WAV_HEADER:]


def unknown_fields(value, path=""):
    """The fields of a message, at any depth, that its class does not name."""
    if isinstance(value, list):
        return [found for item in value for found in unknown_fields(item, path + "[]")]
    if not isinstance(value, pydantic.BaseModel):
        return []
    unknown = [f"{path}.{name}" for name in value.model_extra or {}]
    for name in type(value).model_fields:
        unknown += unknown_fields(getattr(value, name, None), f"{path}.{name}")
    return unknown
