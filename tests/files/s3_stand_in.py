"""What our S3 engine asks of S3, answered in memory; unsigned or wrongly signed calls get 403.

Objects, ranges, multipart uploads and their end. Signatures: AWS Signature Version 4, "Signature
Calculations for the Authorization Header" in the Amazon S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from aiohttp import web

KEY = "stand-in-key"
SECRET = "stand-in-secret"
REGION = "eu-test-1"
LEAST_PART = 5 * 1024 * 1024

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


class StandIn:
    """A bucket in memory. `broken` makes every call answer 503."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.calls: list[str] = []
        self.broken = False
        self.base = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.calls.append(f"{request.method} {request.path_qs}")
        if self.broken:
            return web.Response(status=503)
        if not signed(request, body):
            return web.Response(
                status=403, text="<Error><Code>SignatureDoesNotMatch</Code></Error>"
            )
        if "uploads" in request.query or "uploadId" in request.query:
            return self._multipart(request, body)
        return self._object(request, body)

    def _object(self, request: web.Request, body: bytes) -> web.Response:
        key = request.path
        if request.method == "PUT":
            self.objects[key] = body
            return web.Response(headers={"ETag": etag(body)})
        if request.method == "DELETE":
            self.objects.pop(key, None)
            return web.Response(status=204)
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405)
        found = self.objects.get(key)
        return web.Response(status=404) if found is None else self._found(request, found)

    def _found(self, request: web.Request, found: bytes) -> web.Response:
        headers = {"ETag": etag(found), "Last-Modified": "Sun, 22 Nov 2026 00:00:00 GMT"}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(found))})
        wanted = request.headers.get("Range", "")
        if not wanted:
            return web.Response(body=found, headers=headers)
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        if start >= len(found):
            return web.Response(status=416)
        headers["Content-Range"] = f"bytes {start}-{len(found) - 1}/{len(found)}"
        return web.Response(status=206, body=found[start:], headers=headers)

    def _multipart(self, request: web.Request, body: bytes) -> web.Response:
        upload = request.query.get("uploadId", "")
        if request.method == "POST" and "uploads" in request.query:
            upload = f"up{len(self.uploads) + 1}"
            self.uploads[upload] = {}
            return xml(
                f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>"
                "</InitiateMultipartUploadResult>"
            )
        if request.method == "PUT":
            self.uploads[upload][int(request.query["partNumber"])] = body
            return web.Response(headers={"ETag": etag(body)})
        parts = self.uploads.pop(upload)
        if request.method == "DELETE":
            return web.Response(status=204)
        whole = [parts[number] for number in sorted(parts)]
        if any(len(part) < LEAST_PART for part in whole[:-1]):
            return web.Response(status=400, text="<Error><Code>EntityTooSmall</Code></Error>")
        self.objects[request.path] = b"".join(whole)
        tag = etag(self.objects[request.path])
        return xml(
            f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        )


def xml(text: str) -> web.Response:
    return web.Response(text=f'<?xml version="1.0"?>{text}', content_type="application/xml")


def etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def signed(request: web.Request, body: bytes) -> bool:
    """Tell whether the call is signed with our key, over the content it has."""
    match = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if match is None or match[1] != KEY or match[3] != REGION:
        return False
    stated = request.headers["x-amz-content-sha256"]
    if stated not in {hashlib.sha256(body).hexdigest(), "UNSIGNED-PAYLOAD"}:
        return False
    query = "&".join(
        sorted(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in request.query.items())
    )
    headers = "".join(f"{h}:{request.headers[h].strip()}\n" for h in match[4].split(";"))
    path = quote(request.path, safe="/-_.~")
    canonical = "\n".join([request.method, path, query, headers, match[4], stated])
    scope = f"{match[2]}/{match[3]}/s3/aws4_request"
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{SECRET}".encode()
    for step in (match[2], match[3], "s3", "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, match[5])


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    """Serve a bucket on loopback."""
    stand_in = StandIn()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", stand_in.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stand_in.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield stand_in
    finally:
        await runner.cleanup()
