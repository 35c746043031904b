"""dbt's command line, in a process that ends with the one that started it.

A build whose parent was killed would go on by itself and commit while the next one tests. To load dbt takes seconds, so a
build starts its process before it knows what to build, and tells it by a file (`ORDER`).
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PARENT = "LAKEHOUSE_DBT_PARENT"
"""The environment variable with the id of the process that starts dbt: that may be gone before dbt can look."""
ORDER = "LAKEHOUSE_DBT_ORDER"
"""The environment variable with the file to wait for: the rest of the command's arguments, as JSON."""
PARSED = "LAKEHOUSE_DBT_PARSED"
"""The environment variable with what dbt kept of a parse of the project as it is now."""
_LOOK_SECONDS = 0.5
_ORDER_SECONDS = 0.05


def end_with_parent() -> None:
    """Ends this process, at once and with code 1, soon after its parent has ended."""
    parent = int(os.environ.get(PARENT) or os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def give_order(file: Path, arguments: Sequence[str]) -> None:
    """Writes the file that the process waits for, whole."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(list(arguments)))
    draft.replace(file)


def await_order(file: Path) -> list[str]:
    while not file.exists():
        time.sleep(_ORDER_SECONDS)
    found: list[str] = json.loads(file.read_text())
    return found


def parsed(file: Path, arguments: Sequence[str]) -> Any | None:
    """The project as it was parsed last, so that it is not parsed again: dbt itself would, whenever a variable has another
    value. None where it cannot be used: none was kept, or by another dbt, or with silver in another schema than the
    variable says now, which is the only one that a parse depends on."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.version import __version__

    if not file.exists() or "--vars" not in arguments:
        return None
    found: Any = Manifest.from_msgpack(file.read_bytes())
    schema = json.loads(arguments[arguments.index("--vars") + 1]).get("silver_schema")
    if found.metadata.dbt_version != __version__ or {source.schema for source in found.sources.values()} - {schema}:
        return None
    found.build_flat_graph()
    found.build_parent_and_child_maps()
    return found


def main() -> None:
    """The console script `lakehouse-dbt`."""
    end_with_parent()
    from dbt.cli.main import cli

    from lakehouse.gold import dbt_session

    dbt_session.install()
    arguments, order, kept = sys.argv[1:], os.environ.get(ORDER), os.environ.get(PARSED)
    if order:
        arguments += await_order(Path(order))
    manifest = parsed(Path(kept), arguments) if kept else None
    sys.exit(cli(arguments, obj={"manifest": manifest} if manifest else None))
