"""Earlier versions of a contract: another file, or the same file at a revision of git."""

import subprocess
import tempfile
from pathlib import Path

from lakehouse.contracts.loader import load
from lakehouse.contracts.model import Contract


class HistoryError(Exception):
    """An earlier version that is not to be had; the text says why and what to do."""


def version_of(old: str, new: Path) -> Contract:
    """The contract in the file `old`, or, where no such file is, that of the file `new` at the revision `old`.

    Raises ContractError where it cannot be used, and HistoryError where it cannot be found.
    """
    if Path(old).exists() or Path(old).suffix in (".yaml", ".yml"):
        return load(Path(old))
    command = ["git", "-C", str(new.absolute().parent), "show", "--end-of-options", f"{old}:./{new.name}"]
    try:
        shown = subprocess.run(command, capture_output=True, timeout=60)
    except OSError as error:
        raise HistoryError(f"{old} is no file, and git cannot be run: {error.strerror}. Name a file.") from error
    if shown.returncode:
        reason = shown.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["git says nothing"]
        raise HistoryError(
            f"{old} is neither a file nor a revision of git with {new.name}: {reason[0].removeprefix('fatal: ').rstrip('.')}."
            " Name a file, or a revision such as HEAD."
        )
    with tempfile.TemporaryDirectory() as passing:
        file = Path(passing) / f"{new.stem}-{old.replace('/', '-')}{new.suffix}"
        file.write_bytes(shown.stdout)
        return load(file)
