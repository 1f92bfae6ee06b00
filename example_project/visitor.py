"""Use the shop's pages over HTTP, with cookies and tokens, as a browser does."""

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence

SECONDS = 30.0
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Visitor:
    """Somebody who looks at pages and presses buttons."""

    def __init__(self, address: str) -> None:
        self.address = address
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def look(self, path: str) -> str:
        """Return a page's HTML."""
        with self._opener.open(self.address + path, timeout=SECONDS) as response:
            page: str = response.read().decode()
            return page

    def press(self, page: str, target: str, /, **fields: str | Sequence[str]) -> str:
        """Send a form of a page to its target, and return the page that follows."""
        token = TOKEN.search(self.look(page))
        if token is None:
            raise LookupError(f"{page} has no form")
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], **fields}, doseq=True).encode()
        with self._opener.open(self.address + target, data=form, timeout=SECONDS) as response:
            following: str = response.read().decode()
            return following


def answers(address: str) -> bool:
    """Tell whether the shop is there."""
    try:
        Visitor(address).look("/")
    except urllib.error.HTTPError:
        raise
    except OSError:
        return False
    return True
