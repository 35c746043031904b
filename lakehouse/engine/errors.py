"""What goes wrong with the engine, said so that the reader can act."""


class EngineError(RuntimeError):
    """The engine cannot be used. The message says what was found, what was expected, and the remedy. `passes`: whether it
    may work in a few seconds with nobody doing anything."""

    def __init__(self, problem: str, remedy: str, passes: bool = True) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.passes = passes
