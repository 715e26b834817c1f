"""What the services of Browser Use Cloud have in common: their server, and the variable that holds their key."""

from __future__ import annotations

from lifecycle_adapters.http.authentication import KeyVariable

SERVER = "https://api.browser-use.com"
KEY_VARIABLE = KeyVariable("BROWSER_USE_API_KEY", SERVER)
