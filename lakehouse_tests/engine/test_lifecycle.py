"""Starting and failing, without Spark."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from lakehouse.engine import cli, client, lifecycle
from lakehouse.engine.errors import EngineError
from lakehouse.settings import Settings, settings


def test_no_java_is_said_before_anything_is_started(tmp_path: Path) -> None:
    here = Settings(home=tmp_path / "home", java_home=tmp_path / "nowhere")
    with pytest.raises(EngineError, match="No Java 17"):
        lifecycle.start(here)
    assert not lifecycle.out_path(here).exists()


@pytest.mark.parametrize("lines", [0, 70], ids=["last", "above a traceback, or spark-submit's usage"])
@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("java.io.IOException: No space left on device", "free some space"),
        ("unresolved dependency: io.delta#delta-spark", "LAKEHOUSE_JARS"),
        ("Invalid maximum heap size: -Xmxplenty", "LAKEHOUSE_ENGINE_MEMORY must be"),
        ("Bad flag\nError: Could not create the Java Virtual Machine.", "a flag of LAKEHOUSE_ENGINE_JAVA_OPTIONS"),
        ("Multiple garbage collectors selected", "-XX:-UseParallelGC"),
        ("Not allowed to specify max heap(Xmx) memory", "LAKEHOUSE_ENGINE_JAVA_OPTIONS may not set the heap"),
    ],
)
def test_an_engine_that_dies_while_starting_leaves_its_last_words_and_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, remedy: str, lines: int
) -> None:
    said = said_of_an_engine_that_dies(tmp_path, monkeypatch, words, lines)
    assert "exit code 9" in said
    assert said.count(words) == 1
    assert remedy in said


def test_of_what_nobody_knows_the_last_words_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = said_of_an_engine_that_dies(tmp_path, monkeypatch, "something new", 0)
    assert "exit code 9" in said
    assert "something new" in said
    assert "lakehouse engine logs" in said


def said_of_an_engine_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, lines: int) -> str:
    """What is said of one that says these words and then as many lines."""
    here = Settings(home=tmp_path)
    program = tmp_path / "fails"
    program.write_text(f"#!/bin/sh\necho '{words}'\nseq {lines}\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setattr(lifecycle.sys, "executable", str(program))  # type: ignore[attr-defined]
    with pytest.raises(EngineError) as caught:
        lifecycle.start(here)
    return str(caught.value)


def test_a_remote_that_does_not_answer_is_named_without_its_token() -> None:
    here = Settings(spark_remote=SecretStr("sc://127.0.0.1:1/;token=s3cret"))
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1 of LAKEHOUSE_SPARK_REMOTE does not answer") as caught:
        client.connect(here)
    assert "s3cret" not in str(caught.value)


def test_remote_url_of_another_server_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "ensure", lambda _: pytest.fail("started an engine"))
    assert client.remote_url(Settings(spark_remote=SecretStr("sc://far:15002"))) == "sc://far:15002"


class TestCommands:
    @pytest.fixture(autouse=True)
    def own_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here = Settings(home=tmp_path / "home", java_home=tmp_path / "nowhere")
        monkeypatch.setattr(cli, "settings", lambda: here)

    def test_status_of_none_exits_with_three(self) -> None:
        result = CliRunner().invoke(cli.engine, ["status"])
        assert (result.exit_code, result.output) == (3, "The engine does not run.\n")

    def test_a_failed_start_is_one_error_without_traceback(self) -> None:
        result = CliRunner().invoke(cli.engine, ["start"])
        assert result.exit_code == 1
        assert result.output.startswith("Error: No Java 17 was found")
        assert "Traceback" not in result.output

    def test_stop_of_none_is_no_error(self) -> None:
        result = CliRunner().invoke(cli.engine, ["stop"])
        assert (result.exit_code, result.output) == (0, "The engine does not run.\n")

    def test_logs_of_none_are_empty(self) -> None:
        assert CliRunner().invoke(cli.engine, ["logs", "-n", "5"]).exit_code == 0


def test_the_resource_starts_nothing_until_its_session_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from lakehouse.engine.resource import Engine

    asked: list[Settings] = []

    def connect(here: Settings) -> None:
        asked.append(here)
        raise EngineError("nothing", "here")

    monkeypatch.setattr(client, "connect", connect)
    resource = Engine()
    assert asked == []
    with pytest.raises(EngineError):
        _ = resource.session
    assert asked == [settings()]
