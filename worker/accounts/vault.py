"""Tokens at rest: encrypted with the installation's secret key, never stored or logged as text, nor as a bare hash."""

import base64
import hashlib
import hmac
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken

from config.settings import settings


class SecretKeyMissing(Exception):
    """Names the setting to set."""

    def __init__(self) -> None:
        super().__init__("set VIVIDEO_SECRET_KEY to a random text of at least 32 characters (`vivideo up` makes one)")


class SecretKeyChanged(Exception):
    """A stored token was encrypted with another key."""

    def __init__(self) -> None:
        super().__init__("a stored token cannot be read: VIVIDEO_SECRET_KEY is not the one it was encrypted with")


@lru_cache(maxsize=4)
def _cipher(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()))


def _key() -> str:
    secret = settings().servers.secret_key
    if secret is None or len(secret.get_secret_value()) < 32:
        raise SecretKeyMissing
    return secret.get_secret_value()


def prove() -> None:
    """Whether what is to be kept could be: asked before a token that is got only so often. Raises SecretKeyMissing."""
    _key()


def lock(token: str) -> bytes:
    """Encrypt. Raises SecretKeyMissing."""
    return _cipher(_key()).encrypt(token.encode())


def seal(text: str) -> str:
    """HMAC-SHA256 by a key made of the secret key, hexadecimal: the same text is told again, and nobody who reads it
    can try texts out. Raises SecretKeyMissing."""
    key = hashlib.sha256(b"seal\n" + _key().encode()).digest()
    return hmac.digest(key, text.encode(), "sha256").hex()


def unlock(locked: bytes) -> str:
    """Decrypt. Raises SecretKeyMissing, SecretKeyChanged."""
    try:
        return _cipher(_key()).decrypt(locked).decode()
    except InvalidToken:
        raise SecretKeyChanged from None
