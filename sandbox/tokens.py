"""Access tokens: signed by the sandbox, checked on every call, dead after their lifetime.

A token is a JWT (HS256) with no more in it than is needed. Its key lives in the database file, so tokens stay
good over a restart, as those of a real authorization server would.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TokenMint:
    """Makes and checks tokens; `now` gives seconds since the epoch."""

    key: bytes
    lifetime_s: int
    now: Callable[[], float]
    _expiry: dict[str, float] = field(default_factory=dict)
    """Tokens whose signature was checked before: checking it once is enough."""

    def issue(self, client_id: str) -> str:
        """Make a token of its own for one token request."""
        header = {"alg": "HS256", "typ": "JWT"}
        claims = {"sub": client_id, "exp": self.now() + self.lifetime_s, "jti": secrets.token_hex(8)}
        signed = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{self._signature(signed)}"

    def accepts(self, token: str) -> bool:
        """Say whether the token is ours and alive."""
        if token not in self._expiry:
            signed, _, signature = token.rpartition(".")
            if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
                return False
            self._expiry[token] = json.loads(_decode(signed.split(".")[1]))["exp"]
        return self.now() < self._expiry[token]

    def _signature(self, signed: str) -> str:
        return _encode(hmac.digest(self.key, signed.encode(), hashlib.sha256))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
