"""What is wrong with a contract: one `Problem` for each place to mend, and the error that carries them."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend in one file."""

    file: Path
    line: int
    """From 1; the place to look at."""
    column_path: str
    """Where in the document: `schema[0].properties[2].physicalType`."""
    message: str
    """What was expected and what was found; no full stop."""
    remedy: str
    """What to write instead; no full stop."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}. {self.remedy}."


class ContractError(Exception):
    """Contracts that cannot be used. Printing it prints every problem, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def choose(word: object, known: Iterable[str]) -> str:
    """A remedy that names the nearest of the known words, or all of them."""
    words = [str(item) for item in known]
    near = difflib.get_close_matches(str(word), words, n=1, cutoff=0.6)
    return f"Perhaps `{near[0]}` is meant" if near else "Choose one of " + ", ".join(words)
