"""The engine as a Dagster resource."""

import threading
from typing import Any

from dagster import ConfigurableResource
from dagster_pyspark import LazyPySparkResource
from pydantic import PrivateAttr

from lakehouse.engine import client
from lakehouse.settings import settings


class Engine(ConfigurableResource[Any]):
    """Spark for assets and checks: `engine.session`. Nothing is started before that is asked for.

    Dagster's own `LazyPySparkResource` holds the session; this one sees that an engine is there, that it answers,
    and that a dead session is replaced.
    """

    _spark: LazyPySparkResource | None = PrivateAttr(default=None)
    _url: str | None = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def session(self) -> Any:
        """This process's Connect session, known to answer. Raises EngineError where there can be none."""
        with self._lock:
            current = client.connect(settings())
            url = client.remote_url(settings())
            if self._spark is None or self._url != url or self._spark.spark_session is not current:
                self._spark, self._url = LazyPySparkResource(spark_config={"spark.remote": url}), url
            return self._spark.spark_session

    @property
    def remote_url(self) -> str:
        """The engine's URL with its token, for dbt's SPARK_REMOTE; starts the engine. Never print it."""
        return client.remote_url(settings())
