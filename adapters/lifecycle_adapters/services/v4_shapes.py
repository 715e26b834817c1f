"""Request and response shapes of v4's calls.

Source: the fields of runs and messages as the official Python SDK 3.12.1 writes and reads them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from lifecycle.catalog import V4MessageState, V4State
from lifecycle_adapters.emulator.shapes import (
    WHOLE,
    Bool,
    Id,
    Moment,
    Money,
    MoneyText,
    Number,
    RequestModel,
    enumeration,
)
from lifecycle_adapters.services.v2_shapes import CustomProxy, ScreenHeight, ScreenWidth
from lifecycle_adapters.services.vocabulary import COUNTRIES, V4_MODELS

Model = Annotated[str, enumeration("RunModel", V4_MODELS)]
Country = Annotated[str, enumeration("RunProxyCountryCode", sorted((*COUNTRIES, "ci")))]
OnePasswordName = Annotated[str, Field(min_length=1, max_length=64)]


class StrictRequestModel(RequestModel):
    """Base of v4's request models: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class BrowserSettings(StrictRequestModel):
    """Settings of a run's browser."""

    profile_id: UUID | None = None
    proxy_country_code: Country | None = "us"
    custom_proxy: CustomProxy | None = None
    screen_width: ScreenWidth | None = None
    screen_height: ScreenHeight | None = None
    allow_resizing: Bool | None = None
    record: Bool | None = None
    extension_ids: Annotated[list[UUID], Field(max_length=3)] | None = None


class InlineSecret(StrictRequestModel):
    """A secret that the request contains."""

    type: Literal["inline"]
    value: str = Field(min_length=1)


class OnePasswordSecret(StrictRequestModel):
    """A secret that is stored in 1Password."""

    type: Literal["onepassword"]
    integration_id: UUID
    vault_id: OnePasswordName
    item_id: OnePasswordName
    field_id: OnePasswordName


class SecretBinding(StrictRequestModel):
    """A secret that the run may type without seeing it."""

    alias: str
    source: Annotated[InlineSecret | OnePasswordSecret, Field(discriminator="type")]
    allowed_domains: list[str] = Field(min_length=1, max_length=20)


class JudgeSettings(StrictRequestModel):
    """Settings of the judge of a finished run."""

    context: Annotated[str, Field(max_length=10_000)] | None = None


class CreateRun(StrictRequestModel):
    """A run, and how to run it."""

    task: str = Field(min_length=1)
    output_schema: dict[str, Any] | None = None
    model: Model = "gpt-6-luna"
    model_params: dict[str, Any] | None = None
    session_id: UUID | None = None
    workspace_id: UUID | None = None
    browser_settings: BrowserSettings | None = None
    keep_alive: Annotated[int, Field(ge=120, le=14_400), WHOLE] | None = None
    agentmail: Bool = False
    agentcard_wallet_id: UUID | None = None
    stripe_link_connection_id: UUID | None = None
    attached_file_ids: Annotated[list[UUID], Field(max_length=20)] | None = None
    secret_bindings: Annotated[list[SecretBinding], Field(max_length=20)] | None = None
    op_vault_id: Annotated[str, Field(max_length=64)] | None = None
    op_vault_allowed_domains: list[str] | None = None
    judge: JudgeSettings | None = None
    max_cost_usd: Annotated[Number, Field(gt=0)] | MoneyText | None = None


class QueueMessage(StrictRequestModel):
    """A message for a session, which becomes the session's next run."""

    text: str = Field(min_length=1)
    interrupt: Bool = False
    attached_file_ids: Annotated[list[UUID], Field(max_length=20)] | None = None


class RunCreated(TypedDict):
    """The new run."""

    id: Id
    status: V4State
    model: str
    sessionId: Id
    workspaceId: Id
    eventsUrl: str
    missingFileIds: NotRequired[list[Id]]
    skippedVaultItems: NotRequired[list[str]]


class RunStatus(TypedDict):
    """Only a run's status."""

    status: V4State


class RunSummary(TypedDict):
    """A run."""

    id: Id
    task: str
    title: str | None
    model: str
    modelParams: NotRequired[dict[str, Any] | None]
    contextLimit: int
    status: V4State
    result: str | None
    output: NotRequired[Any]
    outputSchema: NotRequired[dict[str, Any] | None]
    error: str | None
    sessionId: Id
    workspaceId: Id | None
    attachedFileIds: NotRequired[list[Id]]
    judgement: NotRequired[dict[str, Any] | None]
    totalInputTokens: int
    totalOutputTokens: int
    totalCostUsd: Money
    createdAt: Moment
    updatedAt: Moment


class RunList(TypedDict):
    """A page of runs, and the cursor of the next page."""

    runs: list[RunSummary]
    nextCursor: NotRequired[str | None]
    hasMore: NotRequired[bool]


class RunAttachment(TypedDict):
    """A file that was uploaded for a run."""

    id: Id
    name: str
    contentType: str
    sizeBytes: int
    status: Literal["pending", "uploaded"]


class RunAttachments(TypedDict):
    """The files that were uploaded for a run."""

    attachments: list[RunAttachment]


class RunEvent(TypedDict):
    """What a run has done."""

    runId: Id
    id: int
    ts: Moment
    type: str
    data: dict[str, Any]


class RunEvents(TypedDict):
    """A page of a run's events, oldest first, and the id after which the next page begins."""

    events: list[RunEvent]
    nextAfter: NotRequired[int | None]
    hasMore: NotRequired[bool]


class SessionInfo(TypedDict):
    """A session: what its latest run is."""

    sessionId: Id
    workspaceId: Id | None
    latestRunId: Id
    task: str
    title: str | None
    status: V4State
    createdAt: Moment
    updatedAt: Moment


class SessionList(TypedDict):
    """A page of sessions, and the cursor of the next page."""

    sessions: list[SessionInfo]
    nextCursor: NotRequired[str | None]
    hasMore: NotRequired[bool]


class RenameSession(StrictRequestModel):
    """A session's title; null removes it."""

    title: Annotated[str, Field(max_length=255)] | None = None


class UpdateShare(StrictRequestModel):
    """Whether the session's link is open to everybody."""

    is_active: Bool


class SessionShare(TypedDict):
    """A session's public link."""

    id: Id
    shareToken: str
    sessionId: Id
    isActive: bool
    viewCount: int
    createdAt: Moment
    shareUrl: str


class SessionCost(TypedDict):
    """What a session has cost so far."""

    sessionId: Id
    numRuns: int
    llmCostUsd: Money
    searchCostUsd: Money
    browserCostUsd: Money
    proxyCostUsd: Money
    proxyUsedMb: Money
    totalCostUsd: Money


class CostCap(StrictRequestModel):
    """The most that a session may cost."""

    max_cost_usd: Annotated[Number, Field(gt=0)] | MoneyText


class CostCapSet(TypedDict):
    """The most that a session may cost, as it is now."""

    sessionId: Id
    maxCostUsd: Money


class QueuedMessage(TypedDict):
    """A message of a session's queue."""

    id: int
    sessionId: Id
    runId: Id | None
    mode: Literal["queue", "interrupt"]
    status: V4MessageState
    text: str
    attachedFileIds: NotRequired[list[Id] | None]
    createdAt: Moment


class Queue(TypedDict):
    """The pending messages of a session, oldest first."""

    queue: list[QueuedMessage]
