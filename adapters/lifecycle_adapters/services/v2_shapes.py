"""Request and response shapes of v2's calls.

Source: the OpenAPI specification of 2026-08-06, and "Update Task"; of 2025 the official Python SDKs 1.0.2 and 2.0.4, of
which the first reads `doneOutput` and the second `output`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from lifecycle.catalog import V2In2025State, V2SessionState, V2State
from lifecycle_adapters.emulator.shapes import WHOLE, Bool, Id, Moment, Money, RequestModel, enumeration
from lifecycle_adapters.services.v2 import V2, V2_SESSION
from lifecycle_adapters.services.vocabulary import COUNTRIES, V2_LLMS

Llm = Annotated[str, enumeration("SupportedLLMs", V2_LLMS)]
Country = Annotated[str, enumeration("ProxyCountryCode", COUNTRIES)]
ThinkingLevel = Annotated[str, enumeration("ThinkingLevel", ("disabled", "low", "medium", "high"))]
TaskAction = Annotated[
    str, enumeration("TaskUpdateAction", [str((call.body or {})["action"]) for call in V2.commands.values()])
]
SessionAction = Annotated[
    str, enumeration("SessionUpdateAction", [str((call.body or {})["action"]) for call in V2_SESSION.commands.values()])
]
ScreenWidth = Annotated[int, Field(ge=320, le=6144), WHOLE]
ScreenHeight = Annotated[int, Field(ge=320, le=3456), WHOLE]


class SessionSettings(RequestModel):
    """Settings of the session that is created for a task without one."""

    profile_id: UUID | None = None
    proxy_country_code: Country | None = "us"
    browser_screen_width: ScreenWidth | None = None
    browser_screen_height: ScreenHeight | None = None
    enable_recording: Bool = False


class CreateTask(RequestModel):
    """A task, and how to run it."""

    task: str = Field(min_length=1, max_length=50_000)
    llm: Llm = "browser-use-2.0"
    start_url: str | None = None
    max_steps: Annotated[int, Field(ge=1, le=10_000), WHOLE] = 100
    structured_output: str | None = None
    session_id: UUID | None = None
    metadata: dict[str, str] | None = None
    secrets: dict[str, str] | None = None
    allowed_domains: list[str] | None = None
    op_vault_id: str | None = None
    session_settings: SessionSettings | None = None
    highlight_elements: Bool = False
    flash_mode: Bool = False
    thinking: Bool = False
    thinking_level: ThinkingLevel | None = None
    vision: Bool | Literal["auto"] = True
    system_prompt_extension: str = Field(default="", max_length=10_000)
    judge: Bool = False
    judge_ground_truth: Annotated[str, Field(max_length=10_000)] | None = None
    judge_llm: Llm | None = None
    skill_ids: list[str] | None = None


class UpdateTask(RequestModel):
    """The action to apply to a task."""

    action: TaskAction


class CustomProxy(RequestModel):
    """The caller's own proxy."""

    host: str = Field(min_length=1, max_length=255)
    port: Annotated[int, Field(ge=1, le=65_535), WHOLE]
    username: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    password: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    ignore_cert_errors: Bool = False


class CreateSession(RequestModel):
    """A session to create."""

    profile_id: UUID | None = None
    proxy_country_code: Country | None = "us"
    start_url: str | None = None
    browser_screen_width: ScreenWidth | None = None
    browser_screen_height: ScreenHeight | None = None
    persist_memory: Bool = True
    keep_alive: Bool = True
    custom_proxy: CustomProxy | None = None
    enable_recording: Bool = False


class UpdateSession(RequestModel):
    """The action to apply to a session."""

    action: SessionAction


class TaskCreated(TypedDict):
    """The new task's id, and the id of its session."""

    id: Id
    sessionId: Id


class TaskStatus(TypedDict):
    """A task's short view, for polling."""

    id: Id
    status: V2State
    output: NotRequired[str | None]
    finishedAt: NotRequired[Moment | None]
    isSuccess: NotRequired[bool | None]
    cost: NotRequired[Money | None]


class TaskStep(TypedDict):
    """One step of the agent."""

    number: int
    memory: str
    evaluationPreviousGoal: str
    nextGoal: str
    url: str
    screenshotUrl: NotRequired[str | None]
    actions: list[str]
    duration: NotRequired[float | None]


class OutputFile(TypedDict):
    """A file that the agent created."""

    id: Id
    fileName: str


class V2TaskItem(TypedDict):
    """A task, without its steps."""

    id: Id
    sessionId: Id
    llm: str
    task: str
    status: V2State
    createdAt: Moment
    startedAt: NotRequired[Moment | None]
    finishedAt: NotRequired[Moment | None]
    metadata: NotRequired[dict[str, Any]]
    output: NotRequired[str | None]
    browserUseVersion: NotRequired[str | None]
    isSuccess: NotRequired[bool | None]
    judgement: NotRequired[str | None]
    judgeVerdict: NotRequired[bool | None]
    cost: NotRequired[Money | None]
    suggestions: NotRequired[list[dict[str, Any]] | None]


class V2TaskView(V2TaskItem):
    """A task."""

    steps: list[TaskStep]
    outputFiles: list[OutputFile]


class V2TaskList(TypedDict):
    """A page of tasks."""

    items: list[V2TaskItem]
    totalItems: int
    pageNumber: int
    pageSize: int


class V2In2025TaskItem(TypedDict):
    """A task of 2025, without its steps."""

    id: Id
    sessionId: Id
    llm: str
    task: str
    status: V2In2025State
    startedAt: Moment
    finishedAt: NotRequired[Moment | None]
    metadata: NotRequired[dict[str, Any]]
    output: NotRequired[str | None]
    doneOutput: NotRequired[str | None]
    browserUseVersion: NotRequired[str | None]
    isSuccess: NotRequired[bool | None]
    isScheduled: bool


class SessionItem(TypedDict):
    """A session, without its tasks."""

    id: Id
    status: V2SessionState
    liveUrl: NotRequired[str | None]
    recordingUrl: NotRequired[str | None]
    startedAt: Moment
    finishedAt: NotRequired[Moment | None]
    persistMemory: bool
    keepAlive: bool
    proxyUsedMb: NotRequired[Money]
    proxyCost: NotRequired[Money]


class SessionView(SessionItem):
    """A session with its tasks."""

    tasks: list[V2TaskItem | V2In2025TaskItem]
    publicShareUrl: NotRequired[str | None]


class V2In2025TaskView(V2In2025TaskItem):
    """A task of 2025."""

    session: SessionItem
    steps: list[TaskStep]
    outputFiles: list[OutputFile]
    userUploadedFiles: list[OutputFile]


class V2In2025TaskList(TypedDict):
    """A page of tasks of 2025."""

    items: list[V2In2025TaskItem]
    totalItems: int
    pageNumber: int
    pageSize: int


class PublicShare(TypedDict):
    """A session's public link."""

    shareToken: str
    shareUrl: str
    viewCount: int
    lastViewedAt: NotRequired[Moment | None]


class LogFile(TypedDict):
    """Where the log of a task can be downloaded."""

    downloadUrl: str


class V2SessionList(TypedDict):
    """A page of sessions."""

    items: list[SessionItem]
    totalItems: int
    pageNumber: int
    pageSize: int
