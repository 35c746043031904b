"""What goes wrong with a capture, said so that the reader can act."""


class CaptureError(RuntimeError):
    """Nothing can be captured. The message says what was found, what was expected, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy
