"""The errors of a delivery: why it was refused. No message contains a secret or any part of a body."""

from __future__ import annotations

from http import HTTPStatus

from lifecycle.errors import AdapterError


class WebhookError(AdapterError):
    """A delivery was refused. No message contains a secret or any part of a body.

    WebhookError
    ├── BadSignature    a header is missing or malformed, or no secret gives this signature
    ├── StaleTimestamp  the time stamp is further from the present than the scheme allows
    ├── BadBody         the body is not a webhook's JSON
    └── BodyTooLarge    the body is larger than allowed; it was not read
    """

    status_code = HTTPStatus.BAD_REQUEST


class BadSignature(WebhookError):
    """A header is missing or malformed, or no secret gives this signature."""

    status_code = HTTPStatus.UNAUTHORIZED


class StaleTimestamp(WebhookError):
    """The time stamp is more than `.tolerance_s` seconds from the present; `.age_s` is negative for the future."""

    status_code = HTTPStatus.UNAUTHORIZED

    def __init__(self, age_s: float, tolerance_s: int) -> None:
        self.age_s, self.tolerance_s = age_s, tolerance_s
        super().__init__(f"the time stamp is {age_s:.0f} s old; at most {tolerance_s} s, past or future, are allowed")


class BadBody(WebhookError):
    """The body is not a webhook's JSON."""


class BodyTooLarge(WebhookError):
    """The body is larger than `.max_bytes`; it was not read."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(f"the body is larger than {max_bytes} bytes")
