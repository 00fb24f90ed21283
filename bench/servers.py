"""The two servers that ingest is compared with; run as `python -m bench.servers KIND PORT_FILE`.

*bare*: aiohttp answering the same body, nothing else. *naive*: bare plus the signature check, a
typed decode and one `await js.publish` per event, answered after its confirmation.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import sys
from pathlib import Path

import msgspec
import nats
import uvloop
from aiohttp import web


class Sender(msgspec.Struct):
    id: str


class Content(msgspec.Struct):
    mid: str
    text: str


class Item(msgspec.Struct):
    sender: Sender
    timestamp: int
    message: Content


class Entry(msgspec.Struct):
    id: str
    messaging: list[Item]


class Body(msgspec.Struct):
    entry: list[Entry]


async def bare_app() -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post("/webhooks/meta/{app}", answer)
    return app


async def naive_app() -> web.Application:
    secret = os.environ["BENCH_SECRET"].encode()
    client = await nats.connect(os.environ["BENCH_NATS_URL"])
    stream = client.jetstream()
    decoder = msgspec.json.Decoder(Body)

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        expected = "sha256=" + hmac.digest(secret, body, hashlib.sha256).hex()
        if not hmac.compare_digest(expected, request.headers.get("X-Hub-Signature-256", "")):
            return web.Response(status=401)
        for entry in decoder.decode(body).entry:
            for item in entry.messaging:
                await stream.publish(
                    f"naive.{entry.id}",
                    msgspec.json.encode(item),
                    headers={"Nats-Msg-Id": item.message.mid},
                )
        return web.Response()

    app = web.Application()
    app.router.add_post("/webhooks/meta/{app}", answer)
    return app


async def main(kind: str, port_file: Path) -> None:
    app = await (bare_app() if kind == "bare" else naive_app())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    port_file.write_bytes(msgspec.json.encode({"port": runner.addresses[0][1]}))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2])))
