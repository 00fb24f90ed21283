"""The demo's mail sink: what it keeps, and that the stand-in shows it."""

from __future__ import annotations

import aiohttp

from libs.common.mail_server import connected, read_server
from libs.common.simulate.mail_sink import running_sink
from libs.common.simulate.stub import Stub

RAW = (
    b"From: a@b.example\r\nTo: ada@c.example\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n\r\nHello\r\n"
)


async def test_what_it_took_is_shown_by_the_stand_in(provider_stub: Stub) -> None:
    async with running_sink() as sink, aiohttp.ClientSession() as http:
        provider_stub.mails = sink.mails
        server = read_server(sink.url, "x@y.example")
        assert server
        client = await connected(server, 5)
        await client.sendmail("a@b.example", ["ada@c.example", "bob@c.example"], RAW)
        await client.quit()
        url = f"{provider_stub.url}/_mail"
        async with http.get(url, params={"to": "bob@c.example"}) as answer:
            [shown] = (await answer.json())["items"]
        assert shown["sender"] == "a@b.example"
        assert shown["to"] == ["ada@c.example", "bob@c.example"]
        assert (shown["subject"], shown["text"], shown["html"]) == ("Grüße", "Hello\n", "")
        async with http.get(url, params={"to": "zoe@c.example"}) as answer:
            assert (await answer.json())["items"] == []
        async with http.delete(url) as answer:
            assert answer.status == 204
        assert not sink.mails
