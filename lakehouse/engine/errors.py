"""What goes wrong with the engine, said so that the reader can act."""


class EngineError(RuntimeError):
    """The engine cannot be used. The message says what was found, what was expected, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy
