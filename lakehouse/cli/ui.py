"""`lakehouse ui`: Dagster's UI and daemon, kept alive."""

import signal
import sys

import click

from lakehouse.automation.instance import only_ui, prepare_ui
from lakehouse.automation.serve import serve
from lakehouse.engine.lifecycle import answers
from lakehouse.settings import PROJECT, executable, settings


@click.command()
@click.option("--port", default=3000, show_default=True, help="Where to serve, on the loopback.")
def ui(port: int) -> None:
    """Serve Dagster's UI on http://127.0.0.1:PORT, and run its daemon: sensors and schedules. Ctrl-C or SIGTERM ends it.

    Where a process of theirs dies, they are started again. Exit 1: the UI of this home is served already, the port is in
    use, or Dagster does not start.
    """
    # Whoever ends this process by a signal ends Dagster with it, also where a shell lets what it runs beside itself ignore
    # Ctrl-C: what goes on alone would keep the port, and start work beside the next one.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    here = settings()
    workspace = str(PROJECT / "workspace.yaml")
    command = [executable("dagster"), "dev", "--workspace", workspace, "--host", "127.0.0.1", "--port", str(port)]
    with only_ui(here, port):
        prepare_ui(here, port)
        try:
            code = serve(command, lambda sentence: click.echo(sentence, err=True), lambda: answers(port))
        except KeyboardInterrupt:
            code = 0
    sys.exit(code)
