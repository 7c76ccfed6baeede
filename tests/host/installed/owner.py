"""The owner as a browser of theirs would act, page by page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httpx
import pyotp

from tests.lab import operate


@dataclass(frozen=True)
class Secrets:
    """What the pages showed, or the browser keeps; all of it opens something."""

    cookie: str = field(repr=False)
    totp: str = field(repr=False)
    recovery_code: str = field(repr=False)


class Owner:
    """A session of the owner's, which is open until `close`."""

    def __init__(self, base_url: str, password: str) -> None:
        self._client = httpx.Client(
            base_url=base_url, headers={"Origin": base_url, "Accept": "text/html"}, timeout=30
        )
        form = {"owner_name": operate.OWNER, "password": password}
        assert self._client.post("/login", data=form).status_code == 303

    def change(self, path: str, **fields: str) -> str:
        """The page that answers a form of the console."""
        token = _find(r'name="csrf_token" value="([^"]+)"', self._client.get("/console/").text)
        return self._client.post(path, data={"csrf_token": token, **fields}).text

    def turn_second_factor_on(self) -> Secrets:
        """Set it up as an app would, and read what is shown once."""
        shown = self.change("/console/second-factor")
        secret = _find(r'aria-label="The secret">([A-Z2-7 ]+)<', shown).replace(" ", "")
        done = self.change("/console/second-factor/confirm", code=pyotp.TOTP(secret).now())
        code = _find(r"<li><code>([a-z2-9-]+)</code>", done)
        return Secrets(self._client.cookies["b3iq_session"], secret, code)

    def close(self) -> None:
        """Turn the second factor off and log out."""
        self.change("/console/second-factor/off")
        self.change("/logout")
        self._client.close()


def _find(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    assert found, f"the page shows nothing like {pattern}"
    return found[1]
