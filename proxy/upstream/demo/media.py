"""Speech, transcription and images: a tone, a sentence and a coloured square."""

import base64
import hashlib
import io
import math
import struct
import wave
import zlib

from proxy.upstream.demo.asgi import Document, Reply, Request
from proxy.upstream.demo.body import json_document, read_count, read_object
from proxy.upstream.demo.multipart import read_file, read_form
from proxy.upstream.demo.problems import missing_parameter
from proxy.upstream.demo.texts import now

SAMPLE_RATE = 16_000
TONE_HZ = 440
TONE_S = 0.5
LOUDNESS = 8_000
IMAGE_SIDE = 64
IMAGES_LIMIT = 10


def create_speech(request: Request) -> Reply:
    """Say a text as a tone, in WAV whatever format was asked for."""
    body = read_object(request)
    if not isinstance(body.get("input"), str):
        raise missing_parameter("input")
    return Document(write_tone(), "audio/wav")


def create_transcription(request: Request) -> Reply:
    """Tell what was received, which is all the demo can hear."""
    form = read_form(request)
    part = read_file(form)
    text = f"This is the demo upstream: it received {part.filename} with {len(part.content)} bytes and cannot hear."
    if "response_format" in form and form["response_format"].text == "text":
        return Document(f"{text}\n".encode(), "text/plain; charset=utf-8")
    return json_document({"text": text})


def create_images(request: Request) -> Reply:
    """Draw a small square in a colour of the prompt's own."""
    body = read_object(request)
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise missing_parameter("prompt")
    colour = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()[:3]
    image = {"b64_json": base64.b64encode(write_png(colour)).decode(), "revised_prompt": f"Demo: {prompt}"}
    count = read_count(body, "n", default=1, most=IMAGES_LIMIT)
    return json_document({"created": now(), "data": [image] * count})


def write_tone() -> bytes:
    """Return a short sine tone as a WAV file."""
    step = 2 * math.pi * TONE_HZ / SAMPLE_RATE
    samples = b"".join(
        struct.pack("<h", round(LOUDNESS * math.sin(step * place))) for place in range(round(SAMPLE_RATE * TONE_S))
    )
    output = io.BytesIO()
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples)
    return output.getvalue()


def write_png(colour: bytes) -> bytes:
    """Return a square of one colour as a PNG file (ISO/IEC 15948)."""
    header = struct.pack(">IIBBBBB", IMAGE_SIDE, IMAGE_SIDE, 8, 2, 0, 0, 0)
    rows = (b"\0" + colour * IMAGE_SIDE) * IMAGE_SIDE
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
