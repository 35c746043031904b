"""A YAML file as plain data that remembers on which line each part stands.

All faults of the text are collected, so that a person mends them in one go. What is read is YAML 1.2: `yes` is text,
and a date stays the text that was written.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lakehouse.contracts.problems import ContractError, Problem

DEEPEST = 100
"""Lists and mappings within each other that are read; a column of a column of a column takes nine."""
MOST_REPEATED = 100_000
"""Values that a file may have by aliases, beyond those that are written in it."""
_SURELY_SHALLOW = 10_000
"""Characters of a text that cannot be nested so deep that composing it exhausts the stack of the process."""

Where = tuple[str | int, ...]
"""A place in the document: `("schema", 0, "properties", 2, "name")`."""


@dataclass(slots=True)
class Document:
    """The data of one file, its lines and what was found wrong so far."""

    file: Path
    data: dict[str, Any]
    lines: dict[Where, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _told: set[Problem] = field(default_factory=set, repr=False)
    """The problems once more, to find one among many."""
    _nodes: set[int] = field(default_factory=set, repr=False)
    _repeated: int = field(default=0, repr=False)

    def line(self, where: Where) -> int:
        """The line of a place; of the nearest thing around it where the place itself is missing."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def add(self, where: Where, message: str, remedy: str) -> None:
        """Record a problem; the same one twice counts once."""
        self.add_at(self.line(where), where, message, remedy)

    def add_at(self, line: int, where: Where, message: str, remedy: str) -> None:
        """Record a problem of a line that is not the place's."""
        problem = Problem(self.file, line, path_text(where), message, remedy)
        if problem not in self._told:
            self._told.add(problem)
            self.problems.append(problem)

    def count(self, node: Node) -> None:
        """Count a node that is read. Raises ContractError where aliases have brought too many that were read before."""
        if id(node) not in self._nodes:
            self._nodes.add(id(node))
            return
        self._repeated += 1
        if self._repeated > MOST_REPEATED:
            message = f"its aliases repeat more than {MOST_REPEATED:,} values"
            raise _error(self.file, node.start_mark.line + 1, message, "Write out what is needed, without `*` and `&`")


def path_text(where: Where) -> str:
    """`("schema", 0, "name")` as `schema[0].name`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(path: Path) -> Document:
    """Read one file. Raises ContractError, with all that is wrong, where it is not one YAML mapping in UTF-8."""
    node = _compose(path, _text(path))
    if node is None:
        raise _error(path, 1, "the file is empty", "`lakehouse contract new FILE` writes a contract to start from")
    if not isinstance(node, MappingNode):
        message = "a contract is a mapping of keys to values, and this file is not"
        raise _error(path, 1, message, "Begin it with `apiVersion: v3.1.0`")
    document = Document(path, {})
    document.data = _plain(node, (), document, ())
    if document.problems:
        raise ContractError(document.problems)
    return document


def read_list(path: Path) -> tuple[Document, list[Any]]:
    """Read one file that is a list: (what knows the lines of its entries, without data; the entries). A file without any,
    but for comments, is an empty list. Raises ContractError, with all that is wrong, where it is not one YAML list in UTF-8."""
    node = _compose(path, _text(path))
    document = Document(path, {})
    if node is None or str(node.tag).endswith(":null"):
        return document, []
    if not isinstance(node, SequenceNode):
        found = "a mapping of keys" if isinstance(node, MappingNode) else "a single value"
        line = node.start_mark.line + 1
        raise _error(path, line, f"a list is expected, and {found} is found", "Begin each entry with `- `")
    entries = _plain(node, (), document, ())
    if document.problems:
        raise ContractError(document.problems)
    return document, entries


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _error(
            path, 1, f"the file cannot be read: {error.strerror}", "Check the path and its permissions"
        ) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise _error(path, line, message, "Save the file in the encoding UTF-8") from error
    tabs = [
        Problem(path, number, "", "the line is indented with a tab", "Indent with spaces; YAML allows no tab there")
        for number, line in enumerate(text.splitlines(), start=1)
        if "\t" in line[: len(line) - len(line.lstrip())] and line.strip()
    ]
    if tabs:
        raise ContractError(tabs)
    return text


def _compose(path: Path, text: str) -> Node | None:
    """The file's one node; None where there is nothing in it but comments."""
    try:
        if len(text) > _SURELY_SHALLOW:
            _check_depth(path, text)
        return YAML(typ="safe").compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"this is not YAML: {' '.join(filter(None, (error.context, error.problem)))}"
        remedy = "Mend the syntax there or just above; quote text that holds `: `, `#` or a bracket"
        raise _error(path, mark.line + 1 if mark else 1, message, remedy) from error
    except YAMLError as error:
        reason = str(error).splitlines()[0]
        raise _error(path, 1, f"this is not YAML: {reason}", "It is to be a text file; is it one?") from error
    except RecursionError as error:
        raise _too_deep(path, 1) from error


def _check_depth(path: Path, text: str) -> None:
    """Raises ContractError where the text is nested too deeply; reads it without recursion, which composing needs."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise _too_deep(path, event.start_mark.line + 1)


def _too_deep(path: Path, line: int) -> ContractError:
    remedy = f"Flatten it: no more than {DEEPEST} lists and mappings within each other"
    return _error(path, line, "the YAML is nested too deeply to read", remedy)


def _plain(node: Node, where: Where, document: Document, above: tuple[int, ...]) -> Any:
    """The data under a node; notes lines, and records duplicate keys, merge keys and endless aliases. Raises
    ContractError where it is nested too deeply, or repeated too often."""
    document.lines.setdefault(where, node.start_mark.line + 1)
    document.count(node)
    if len(above) > DEEPEST:
        raise _too_deep(document.file, node.start_mark.line + 1)
    if id(node) in above:
        document.add(where, "the alias refers to something that contains it", "Write the value out")
        return None
    if isinstance(node, MappingNode):
        return _mapping(node, where, document, (*above, id(node)))
    if isinstance(node, SequenceNode):
        return [_plain(item, (*where, i), document, (*above, id(node))) for i, item in enumerate(node.value)]
    if isinstance(node, ScalarNode):
        return _scalar(node, where, document)
    raise TypeError(f"YAML has no node of type {type(node).__name__}")


def _mapping(node: MappingNode, where: Where, document: Document, above: tuple[int, ...]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, ScalarNode) else "?"
        place = (*where, key)
        line = key_node.start_mark.line + 1
        if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, ScalarNode):
            document.lines[place] = line
            document.add(place, f"`{key}` is not a plain key", "Write the keys out, each with its value")
        elif key in result:
            message = f"`{key}` is given twice, first on line {document.lines[place]}"
            document.add_at(line, place, message, "Remove one of them")
        else:
            document.lines[place] = line
            result[key] = _plain(value_node, place, document, above)
    return result


def _scalar(node: ScalarNode, where: Where, document: Document) -> Any:
    text, tag = str(node.value), str(node.tag).rpartition(":")[2]
    if tag in ("str", "timestamp"):
        return text
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    try:
        if tag == "int":
            return int(text.replace("_", ""), 0 if text.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else 10)
        if tag == "float":
            return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").lower())
    except ValueError:
        pass
    document.add(where, f"`{text}` cannot be read as {node.tag}", "Write text in quotes, and a number in digits")
    return None


def _error(path: Path, line: int, message: str, remedy: str) -> ContractError:
    return ContractError([Problem(path, line, "", message, remedy)])
