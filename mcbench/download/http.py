"""One request for a file: redirects, ranges, encodings, and what an answer is worth.

Semantics are those of RFC 9110: ranges and If-Range (sections 13.1.5 and 14), Retry-After (section 10.2.3).
"""

from __future__ import annotations

import re
import ssl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import chain
from time import monotonic
from typing import Final

import httpx

from mcbench import __version__

__all__ = ["MAX_WAIT", "Offer", "RangeFault", "Refused", "TooSlow", "Torn", "ask", "new_client"]

MAX_REDIRECTS: Final = 10
MAX_WAIT: Final = 120.0
"""Seconds. A server that asks for a longer rest is asked again by the user, not by a command that hangs."""

PATIENCE = 60.0
"""Seconds in which at least LEAST bytes must come: a byte now and then would keep a time limit for silence away."""
LEAST: Final = 10_000

_BLOCK: Final = 1 << 18
_GATED: Final = "the source may ask for a form or an account first"


class Refused(Exception):
    """This address does not give the file; another one may."""


class Torn(Exception):
    """It broke off, and another try may do. `wait`: seconds that the server asked for, if it did."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class RangeFault(Torn):
    """The rest of the file cannot be had from this server; the whole of it may."""


class TooSlow(Torn):
    """It goes on, but would never end."""


@dataclass(frozen=True)
class Offer:
    """An answer that holds (the rest of) the file.

    Attributes:
        offset: where in the file its first byte belongs; 0, or the offset that was asked for.
        total: bytes of the whole file, None if the server does not say.
        validator: a strong ETag, or a Last-Modified that is as good as one; None if there is neither.
        framed: whether the end of the body can be told from a torn connection.
        encoded: whether the body was compressed on its way; such an answer cannot be resumed.
        blocks: the bytes, decoded. Raises `Torn` where they break off.
    """

    offset: int
    total: int | None
    validator: str | None
    framed: bool
    encoded: bool
    blocks: Iterator[bytes]


def new_client() -> httpx.Client:
    """A client with bounded patience. Redirects are followed by `ask`, which checks them."""
    return httpx.Client(
        verify=_trusted(),
        timeout=httpx.Timeout(30.0, connect=15.0),
        follow_redirects=False,
        headers={"User-Agent": f"mcbench/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"},
    )


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates takes longer than a small download."""
    return httpx.create_ssl_context()


@contextmanager
def ask(client: httpx.Client, address: str, *, offset: int = 0, validator: str | None = None) -> Iterator[Offer]:
    """Request a file from `offset` on.

    Args:
        client: from `new_client`.
        address: http or https.
        offset: how many bytes are there already.
        validator: of the version that they belong to. A server that has another one by now sends the whole file.

    Raises:
        Refused: if this address will not give the file.
        Torn: if another try may do.
    """
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    if offset and validator:
        headers["If-Range"] = validator
    try:
        response = _follow(client, address, headers)
    except httpx.InvalidURL as error:
        raise Refused(f"not an address ({error})") from error
    try:
        yield _offer(response, offset)
    finally:
        response.close()


def _follow(client: httpx.Client, address: str, headers: dict[str, str]) -> httpx.Response:
    url = httpx.URL(address)
    for _ in range(MAX_REDIRECTS + 1):
        if url.scheme not in ("http", "https") or not url.host:
            raise Refused(f"leads to {_short(str(url))}, which is not an http or https address")
        with _transport_faults():
            response = client.send(client.build_request("GET", url, headers=headers), stream=True)
        if response.status_code not in (301, 302, 303, 307, 308):
            return response
        response.close()
        location = response.headers.get("Location")
        if not location:
            raise Refused("redirects to nowhere")
        target = url.join(location)
        if url.scheme == "https" and target.scheme == "http":
            raise Refused("redirects from https to http, where anybody on the way could change the file")
        url = target
    raise Refused(f"redirects more than {MAX_REDIRECTS} times")


def _offer(response: httpx.Response, offset: int) -> Offer:
    status, headers = response.status_code, response.headers
    if status not in (200, 206):
        raise _fault(response)
    encoding = headers.get("Content-Encoding", "identity").strip().lower() or "identity"
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Refused(f"sends the encoding {_short(encoding)}, which was not asked for")
    encoded = encoding != "identity"
    length = _number(headers.get("Content-Length"))
    start, total = 0, None if encoded else length
    if status == 206:
        start, last, total = _content_range(headers.get("Content-Range", ""))
        if encoded or not offset or start != offset or length not in (None, last + 1 - start):
            # Such a range cannot be placed in the file; the caller starts over without one.
            raise RangeFault(
                f"answers with a range that was not asked for ({_short(headers.get('Content-Range', ''))})"
            )
    blocks = _blocks(response)
    if encoded:
        blocks = _gunzip(blocks)
    if start == 0:
        blocks = _not_a_page(blocks, headers.get("Content-Type", ""))
    return Offer(
        offset=start,
        total=total,
        validator=_validator(headers),
        framed=encoded or length is not None or "chunked" in headers.get("Transfer-Encoding", "").lower(),
        encoded=encoded,
        blocks=blocks,
    )


def _fault(response: httpx.Response) -> Exception:
    status = response.status_code
    words = f"answers {status} {response.reason_phrase}".rstrip()
    if status == 416:
        return RangeFault(words)
    if status in (401, 403, 407):
        return Refused(f"{words}: {_GATED}")
    if status in (408, 425, 429) or status >= 500:
        wait = _retry_after(response.headers.get("Retry-After"))
        if wait is not None and wait > MAX_WAIT:
            return Refused(f"{words} and asks to wait {wait:.0f} seconds; run the same command again then")
        return Torn(words, wait)
    return Refused(words)


def _blocks(response: httpx.Response) -> Iterator[bytes]:
    since, came = monotonic(), 0
    with _transport_faults():
        # As they come: gathered into larger blocks, the last of them would be lost where the connection breaks off.
        for block in response.iter_raw():
            yield block
            came += len(block)
            if monotonic() - since > PATIENCE:
                if came < LEAST:
                    raise TooSlow(f"sends only {came} bytes in {PATIENCE:.0f} seconds")
                since, came = monotonic(), 0


@contextmanager
def _transport_faults() -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise Torn("does not answer in time") from error
    except httpx.UnsupportedProtocol as error:
        raise Refused(f"not an http or https address ({error})") from error
    except httpx.ConnectError as error:
        raise Torn(f"cannot be reached ({_short(str(error))})") from error
    except (httpx.TransportError, httpx.StreamError) as error:
        # httpx reads the address of a redirect although it is told not to follow it.
        if "location header" in str(error):
            raise Refused("redirects to what is not an address") from error
        raise Torn(f"broke off ({_short(str(error)) or type(error).__name__})") from error


def _gunzip(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decoded here: what httpx decodes, it does not check for its end, and expands without bound in memory."""
    decoder = zlib.decompressobj(wbits=31)
    try:
        for block in blocks:
            while block:
                if decoder.eof:
                    decoder = zlib.decompressobj(wbits=31)
                yield decoder.decompress(block, _BLOCK)
                block = decoder.unconsumed_tail or decoder.unused_data
        yield decoder.flush()
    except zlib.error as error:
        raise Torn(f"sends broken gzip ({error})") from error
    if not decoder.eof:
        raise Torn("broke off inside gzip")


def _not_a_page(blocks: Iterator[bytes], content_type: str) -> Iterator[bytes]:
    """A form, a login or an error page that comes in place of the file is told by its beginning, before all else."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= 512:
            break
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    typed = "html" in content_type.lower() and start.startswith(b"<")
    if typed or start.startswith((b"<!doctype html", b"<html")):
        raise Refused(f"gives a web page, not a file: {_GATED}, or the file must be clicked for by hand")
    return chain([head], blocks)


def _content_range(text: str) -> tuple[int, int, int]:
    """First byte, last byte, bytes in all. A server may send less than the rest; then the next range is asked for."""
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", text.strip(), re.ASCII | re.IGNORECASE)
    if match is None:
        raise RangeFault(f"answers with a range that cannot be read ({_short(text)})")
    start, last, total = (int(number) for number in match.groups())
    if not start <= last < total:
        raise RangeFault(f"answers with a range that was not asked for ({_short(text)})")
    return start, last, total


def _validator(headers: httpx.Headers) -> str | None:
    """What If-Range may carry: weak ETags do not promise equal bytes, and nor does a time within the last second."""
    tag = headers.get("ETag", "").strip()
    if re.fullmatch(r'"[^"]*"', tag):
        return str(tag)
    modified = headers.get("Last-Modified", "").strip()
    then, now = _date(modified), _date(headers.get("Date", ""))
    return str(modified) if then and now and (now - then).total_seconds() >= 1 else None


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait, or None if the header is missing or senseless."""
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return float(seconds)
    date = _date(text)
    return None if date is None else max(0.0, (date - datetime.now(timezone.utc)).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,18}", text.strip(), re.ASCII) else None


def _short(text: str) -> str:
    """Another side's words, printable and cut to fit one line of ours."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:120]
