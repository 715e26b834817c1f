"""Request and response shapes of v3's calls.

Source: the OpenAPI specification of 2026-08-06, and "Stop Session". The first specification, of 2026-02-25, has fewer
models and fewer fields of a session.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired
from uuid import UUID

from pydantic import ConfigDict
from pydantic.config import JsonDict
from typing_extensions import TypedDict

from lifecycle.catalog import V3State
from lifecycle_adapters.emulator.shapes import Bool, Budget, Id, Moment, Money, RequestModel, enumeration
from lifecycle_adapters.services.v2_shapes import Country, ThinkingLevel
from lifecycle_adapters.services.vocabulary import FIRST_V3_MODELS, V3_MODELS

Model = Annotated[str, enumeration("BuModel", V3_MODELS)]
FirstModel = Annotated[str, enumeration("BuModel", FIRST_V3_MODELS)]
Strategy = Annotated[str, enumeration("StopStrategy", ("task", "session"))]


_A_DISPATCH_HAS_A_TASK: JsonDict = {
    "anyOf": [
        {"properties": {"sessionId": {"type": "null"}}},
        {"properties": {"task": {"type": "string"}}, "required": ["task"]},
    ]
}


class V3RunTask(RequestModel):
    """A new session with or without a task, or a task for an existing session."""

    model_config = ConfigDict(json_schema_extra=_A_DISPATCH_HAS_A_TASK)

    task: str | None = None
    model: Model = "claude-opus-4.7"
    thinking_level: ThinkingLevel | None = None
    session_id: UUID | None = None
    keep_alive: Bool = False
    max_cost_usd: Budget | None = None
    profile_id: UUID | None = None
    workspace_id: UUID | None = None
    proxy_country_code: Country | None = "us"
    output_schema: dict[str, Any] | None = None
    enable_scheduled_tasks: Bool = False
    sensitive_data: dict[str, str] | None = None
    enable_recording: Bool = False
    skills: Bool = True
    agentmail: Bool = True
    code_mode: Bool = False
    cache_script: Bool | None = None
    use_own_key: Bool = False
    auto_heal: Bool = True


class FirstRunTask(V3RunTask):
    """The same, with the models of the first specification."""

    model: FirstModel = "bu-mini"


class StopSession(RequestModel):
    """The strategy of a stop: the session, or only its task."""

    strategy: Strategy = "session"


class SessionFields(TypedDict):
    """The fields of a session that both specifications have, except its model."""

    id: Id
    status: V3State
    title: NotRequired[str | None]
    output: NotRequired[Any]
    liveUrl: NotRequired[str | None]
    profileId: NotRequired[Id | None]
    proxyCountryCode: NotRequired[Country | None]
    maxCostUsd: NotRequired[Money | None]
    totalInputTokens: NotRequired[int]
    totalOutputTokens: NotRequired[int]
    proxyUsedMb: NotRequired[Money]
    llmCostUsd: NotRequired[Money]
    proxyCostUsd: NotRequired[Money]
    totalCostUsd: NotRequired[Money]
    createdAt: Moment
    updatedAt: Moment


class FirstSession(SessionFields):
    """A session in its present state, by the first specification."""

    model: FirstModel


class SessionResponse(SessionFields):
    """A session in its present state."""

    model: Model
    thinkingLevel: NotRequired[ThinkingLevel | None]
    outputSchema: NotRequired[dict[str, Any] | None]
    stepCount: NotRequired[int]
    lastStepSummary: NotRequired[str | None]
    isTaskSuccessful: NotRequired[bool | None]
    recordingUrls: NotRequired[list[str]]
    workspaceId: NotRequired[Id | None]
    browserCostUsd: NotRequired[Money]
    screenshotUrl: NotRequired[str | None]
    agentmailEmail: NotRequired[str | None]
    integrationsUsed: NotRequired[list[str]]


class FirstSessionList(TypedDict):
    """A page of sessions, by the first specification."""

    sessions: list[FirstSession]
    total: int
    page: int
    pageSize: int


class SessionMessage(TypedDict):
    """A message that a session got or sent."""

    id: Id
    sessionId: Id
    role: str
    data: str
    type: NotRequired[str]
    summary: NotRequired[str]
    screenshotUrl: NotRequired[str | None]
    hidden: NotRequired[bool]
    createdAt: Moment


class SessionMessages(TypedDict):
    """A page of a session's messages, oldest first."""

    messages: list[SessionMessage]
    hasMore: bool


class V3SessionList(TypedDict):
    """A page of sessions."""

    sessions: list[SessionResponse]
    total: int
    page: int
    pageSize: int
