"""What a person may get wrong before anything runs: one sentence that says what to do, exit 1, no traceback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.cli import main
from lakehouse.settings import settings
from lakehouse_tests.silver.small import column, contract, key


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out = capsys.readouterr()
    assert ended.value.code == 1, out
    assert "Traceback" not in out.out + out.err
    return " ".join((out.out + out.err).split())


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKEHOUSE_CONTRACTS", str(folder))
    monkeypatch.setenv("LAKEHOUSE_SAMPLE", "false")
    settings.cache_clear()
    yield folder
    settings.cache_clear()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"schema: [\n", ["orders.yaml:", "YAML"]),
        (bytes(range(256)), ["orders.yaml"]),
        (b"", ["orders.yaml"]),
        (b"just text", ["orders.yaml"]),
    ],
    ids=["broken", "binary", "empty", "text"],
)
def test_a_contract_that_cannot_be_read(
    own_home: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: list[str]
) -> None:
    (own_home / "orders.yaml").write_bytes(content)
    told = said(capsys, "run")
    assert all(word in told for word in words), told


def test_a_contract_that_names_an_unknown_column(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = {"type": "custom", "engine": "spark-row", "name": "positive", "implementation": "amont > 0"}
    good = contract([key(), column("amount", "double")], folder=own_home)
    text = good.file.read_text()
    good.file.write_text(text.replace("quality: []", f"quality: [{rule}]"))
    told = said(capsys, "run")
    assert "amont" in told and good.file.name in told, told


def test_no_java(own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_JAVA_HOME", str(own_home))
    settings.cache_clear()
    told = said(capsys, "sql", "select 1")
    assert "No Java 17 was found" in told and "Error:" in told
