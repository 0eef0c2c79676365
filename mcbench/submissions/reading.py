"""Reading a submission that anybody may have written: nothing in it is trusted, and every fault is one line."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from mcbench.errors import ResultError
from mcbench.submissions.findings import FileFault, printable
from mcbench.submissions.schema import SCHEMA, Submission
from mcbench.submissions.text import fault_of_text

__all__ = ["load_submission", "parse_submission", "read_bytes"]

MAX_BYTES = 2 << 20
"""Of a file; a clip takes about 1 KB."""
MAX_DEPTH = 16
"""Of nested objects and arrays; the schema has 6, and a method's settings may bring some."""
MAX_NUMBER = 2**53
"""Beyond it, a web page's numbers are no longer exact."""


def read_bytes(path: Path) -> bytes:
    """The bytes of an ordinary file, neither through a link nor from a pipe or a device.

    Raises:
        FileFault: if it is none, or too large.
        ResultError: if it is not there or cannot be read.
    """
    if path.is_symlink():
        raise FileFault("not-a-file", "it is a symbolic link")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise ResultError(f"{path}: no such submission; write one with `mcbench submit RESULT`") from None
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror or error}); mend its permissions") from error
    with open(handle, "rb") as file:  # noqa: PTH123 (the very file that was opened without following links)
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileFault("not-a-file", "it is a folder, a pipe or a device")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise FileFault("too-large", f"{max(status.st_size, len(content))} bytes; {MAX_BYTES} at most")
    return content


def parse_submission(content: bytes) -> tuple[dict[str, Any], Submission]:
    """A file's document as it stands, and as a submission.

    Raises:
        FileFault: for the first thing that is wrong.
    """
    document = _parse(content)
    _check_values(document)
    if document.get("schema") != SCHEMA:
        known = f"this mcbench reads {SCHEMA}"
        raise FileFault("schema", f"{printable(json.dumps(document.get('schema')), 40)}; {known}", "schema")
    result = document.get("result")
    if isinstance(result, dict) and "schema" not in result:  # a default in our code, not in a stranger's file
        raise FileFault("schema", "it does not name its schema", "result")
    try:
        # Strictly: neither true nor "1" is a number.
        return document, Submission.model_validate_json(content, strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise FileFault("schema", fault["msg"], place) from None


def load_submission(path: Path) -> Submission:
    """A submission that is fit to be read; its rules are not checked.

    Raises:
        ResultError: if it is not, in one line.
    """
    try:
        return parse_submission(read_bytes(path))[1]
    except FileFault as fault:
        place = f"{printable(fault.where)}: " if fault.where else ""
        raise ResultError(
            f"{path}: not a submission: {place}{printable(fault.evidence)}; `mcbench verify` says more"
        ) from None


def _parse(content: bytes) -> dict[str, Any]:
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise FileFault("encoding", "it begins with a byte order mark")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileFault("encoding", f"byte {error.start} is not UTF-8") from None
    try:
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except json.JSONDecodeError as error:
        raise FileFault("not-json", f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise FileFault("nesting", f"deeper than {MAX_DEPTH} levels") from None
    if not isinstance(document, dict):
        raise FileFault("not-json", "the document is no object")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise FileFault("duplicate-key", f"'{printable(key, 60)}'")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise FileFault("not-finite", name)


def _integer(digits: str) -> int:
    if len(digits) > len(str(MAX_NUMBER)) + 1 or abs(int(digits)) > MAX_NUMBER:
        raise FileFault("huge-number", printable(digits, 40))
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if abs(value) > MAX_NUMBER:
        raise FileFault("huge-number", printable(digits, 40))
    return value


def _check_values(document: dict[str, Any]) -> None:
    """Depth and texts, keys included, without recursion: whoever nests deep must not choose how deep the stack goes."""
    waiting: list[tuple[str, int, Any]] = [("", 1, document)]
    while waiting:
        place, depth, value = waiting.pop()
        if isinstance(value, str):
            if why := fault_of_text(value):
                raise FileFault("text", why, place)
            continue
        if not isinstance(value, dict | list):
            continue
        if depth > MAX_DEPTH:
            raise FileFault("nesting", f"deeper than {MAX_DEPTH} levels", printable(place))
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            where = f"{place}.{key}" if place else str(key)
            if isinstance(key, str) and (why := fault_of_text(key)):
                raise FileFault("text", f"a key {why}", where)
            waiting.append((where, depth + 1, part))
