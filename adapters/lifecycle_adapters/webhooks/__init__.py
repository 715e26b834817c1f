"""Webhooks: verify a delivery of a service, parse it, and record the status that it reports.

`verify` and `parse` are plain functions for any framework. `Webhooks.receive` calls both and records the report; a
`Webhooks` is also an ASGI application to mount. `sign` computes the headers of a delivery, for services and tests. The
form of a service's webhooks is data in its binding: `lifecycle_adapters.http.WebhookBinding`.
"""

from __future__ import annotations

from lifecycle_adapters.webhooks.deliveries import WebhookEvent, parse
from lifecycle_adapters.webhooks.receiver import DeliveryOutcome, Received, Webhooks
from lifecycle_adapters.webhooks.signatures import MAX_BODY_BYTES, Secret, sign, verify
from lifecycle_adapters.webhooks.webhook_errors import (
    BadBody,
    BadSignature,
    BodyTooLarge,
    StaleTimestamp,
    WebhookError,
)

__all__ = [
    "MAX_BODY_BYTES",
    "BadBody",
    "BadSignature",
    "BodyTooLarge",
    "DeliveryOutcome",
    "Received",
    "Secret",
    "StaleTimestamp",
    "WebhookError",
    "WebhookEvent",
    "Webhooks",
    "parse",
    "sign",
    "verify",
]
