"""From the command line to a request: the prompt, the assets, the metadata, all checked before anything is sent.

What is wrong raises Mistake.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.cli.reporting import Mistake, say

if TYPE_CHECKING:
    from api.client import Asset, Client

PROMPT_BYTES = 100_000
"""Over three times the longest prompt in the widest characters: what is longer is refused unread."""
VARIABLES_BYTES = 256 * 1024
"""The largest request."""


def prompt_text(prompt: str | None, file: Path | None) -> str:
    """The prompt from the argument, a file, or (`-`) standard input."""
    if (prompt is None) == (file is None):
        raise Mistake('give one prompt: as an argument ("…"), with --prompt-file FILE, or - for standard input')
    source = Path("-") if prompt == "-" else file
    if source is None:
        return _no_file(prompt or "")
    try:
        return _read(source).decode("utf-8-sig")
    except OSError as problem:
        raise Mistake(f"the prompt cannot be read: {problem.filename or source}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise Mistake(f"{source} is no text in UTF-8") from None
    except OverflowError:
        raise Mistake(f"{source} is longer than a prompt may be (8,000 characters)") from None


def _no_file(prompt: str) -> str:
    """A file's name is no prompt: it would be paid for like one."""
    if not any(map(str.isspace, prompt)) and "." in prompt and len(prompt) < 256 and Path(prompt).is_file():
        raise Mistake(f"{prompt} is a file here: say --prompt-file {prompt} to use what it holds")
    return prompt


def _read(source: Path, most: int = PROMPT_BYTES) -> bytes:
    """Raises OSError; OverflowError where it is too long."""
    if source == Path("-"):
        if sys.stdin.isatty():
            say("type the prompt, then Ctrl-D")
        text = sys.stdin.buffer.read(most + 1)
    else:
        with source.open("rb") as file:
            text = file.read(most + 1)
    if len(text) > most:
        raise OverflowError
    return text


def metadata(pairs: Sequence[str]) -> dict[str, str]:
    """`key=value` each."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise Mistake(f"--metadata takes key=value, not {pair!r}")
        found[name] = value
    return found


def variables(pairs: Sequence[str], file: Path | None) -> dict[str, Any]:
    """Those of a file, and over them `name=text` or `name:=JSON` each."""
    found = _object(file, "--var-file") if file is not None else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise Mistake(f"--var takes name=text or name:=JSON, not {pair!r}")
        found[name.removesuffix(":")] = _json(value, pair) if name.endswith(":") else value
    return found


def _json(text: str, pair: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Mistake(
            f"what follows := in {pair!r} is no JSON (a number, true, a list); name=text gives a text"
        ) from None


def _object(file: Path, option: str) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        found: Any = json.loads(_read(file, VARIABLES_BYTES))
    except OSError as problem:
        raise Mistake(f"{file} cannot be read: {problem.strerror}") from None
    except OverflowError:
        raise Mistake(f"{file} is larger than a request may be (256 KiB)") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Mistake(f"{option} takes a file with one JSON object, which {file} is not")
    return found


def declarations(file: Path | None) -> dict[str, Any]:
    """A template's variables: the JSON object in a file."""
    return {} if file is None else _object(file, "--var-file")


def assets(given: Sequence[str]) -> list[str | Path]:
    """Addresses and uploads' ids as text, files as paths: each file is there and not too large."""
    return [one if one.startswith(("http://", "https://", "upl_")) else a_file(Path(one)) for one in given]


def a_file(path: Path) -> Path:
    """The path, if it can be sent."""
    from api.client import UPLOAD_BYTES, TooLarge

    if path.is_dir():
        raise Mistake(f"{path} is a directory; name the files in it")
    if not path.is_file():
        raise Mistake(f"{path} is no file; give a file, an address that begins with https://, or an upload's id")
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as problem:
        raise Mistake(f"{path} cannot be read: {problem.strerror}") from None
    if size > UPLOAD_BYTES:
        raise Mistake(str(TooLarge(path, size)))
    return path


def a_table(path: Path) -> Path:
    """The path of a batch's file, of any size, if it can be read."""
    if not path.is_file():
        raise Mistake(f"{path} is no file; give JSON Lines (.jsonl) or CSV (.csv)")
    try:
        with path.open("rb"):
            return path
    except OSError as problem:
        raise Mistake(f"{path} cannot be read: {problem.strerror}") from None


def sent(client: "Client", assets: Sequence[str | Path], idempotency_key: str | None) -> list["Asset"]:
    """The assets as the request names them; files are uploaded for it."""
    from api.cli.uploading import upload

    # Under keys of their own: the whole command can be repeated, and its body stays the same.
    keys = [_key(idempotency_key, place) for place in range(len(assets))]
    return [
        asset if isinstance(asset, str) else upload(client, asset, key) for asset, key in zip(assets, keys, strict=True)
    ]


def _key(idempotency_key: str | None, place: int) -> str | None:
    if idempotency_key is None:
        return None
    return hashlib.sha256(f"{idempotency_key}\n{place}".encode("utf-8", "surrogatepass")).hexdigest()


def check_output(output: Path | None) -> None:
    """Before anything is paid for: the place for the video must be there."""
    if output is not None and not output.is_dir() and not output.absolute().parent.is_dir():
        raise Mistake(f"{output.absolute().parent} is no directory: make it first, or choose another -o")


def target(output: Path | None, render_id: str) -> Path:
    """The file that the video of a render becomes."""
    if output is None:
        return Path(f"{render_id}.mp4")
    return output / f"{render_id}.mp4" if output.is_dir() else output
