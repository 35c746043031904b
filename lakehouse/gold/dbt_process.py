"""dbt's command line, in a process that ends with the one that started it.

A build whose parent was killed would go on by itself and commit while the next one tests.
"""

import os
import sys
import threading
import time

PARENT = "LAKEHOUSE_DBT_PARENT"
"""The environment variable with the id of the process that starts dbt: that may be gone before dbt can look."""
_LOOK_SECONDS = 0.5


def end_with_parent() -> None:
    """Ends this process, at once and with code 1, soon after its parent has ended."""
    parent = int(os.environ.get(PARENT) or os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """The console script `lakehouse-dbt`."""
    end_with_parent()
    from dbt.cli.main import cli

    sys.exit(cli())
