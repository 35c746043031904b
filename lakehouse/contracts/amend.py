"""Proposals written into the text of a contract: comments, order and layout stay, each line that is added says why."""

import io
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from lakehouse.contracts.proposals import Proposal
from lakehouse.contracts.values import NAMESPACE

_BEFORE = ("name", "physicalName", "logicalType", "physicalType", "businessName", "description")
"""What a column begins with; what is added comes right after it."""


def amend(text: str, proposals: Sequence[Proposal]) -> str:
    """The contract with the proposals, each with its evidence in a comment that begins with `# review:`.

    Lines that no proposal touches stay as they are, to the byte. `text` has passed the check of contracts.
    """
    yaml = _yaml()
    plain, document = _dumped(yaml, yaml.load(text)), yaml.load(text)
    table = document["schema"][0]
    columns = {column["name"]: column for column in table["properties"]}
    for proposal in proposals:
        _add(columns[proposal.column] if proposal.column else table, proposal)
    return _merged(text, plain, _dumped(yaml, document))


def _yaml() -> Any:
    """A reader and writer that breaks no line."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dumped(yaml: Any, document: Any) -> str:
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _add(holder: CommentedMap, proposal: Proposal) -> None:
    comment = "review: " + "".join(sign if sign.isprintable() else " " for sign in proposal.evidence)
    setting, _, option = proposal.setting.partition(".")
    if option:
        options = holder.get(setting)
        if options is None:
            options = _flow({})
            _insert(holder, setting, options)
        if options.fa.flow_style():
            options[option] = _scalar(proposal.value)
            _note(holder, setting, comment)
        else:
            options.insert(0, option, _scalar(proposal.value))
            _note(options, option, comment)
    elif setting in ("quality", "relationships"):
        _list(holder, setting).insert(0, entry := _block(proposal.value))
        _note(entry, next(iter(entry)), comment)
    elif setting == "classification":
        _classify(holder, proposal.value, comment)
    else:
        _insert(holder, setting, proposal.value)
        _note(holder, setting, comment)


def _classify(holder: CommentedMap, mask: str, comment: str) -> None:
    if "classification" in holder:
        holder["classification"] = "pii"
    else:
        _insert(holder, "classification", "pii")
    _note(holder, "classification", comment)
    custom = _list(holder, "customProperties")
    own = next((entry for entry in custom if entry.get("property") == NAMESPACE), None)
    if own is None:
        own = CommentedMap(property=NAMESPACE, value=_flow({}))
        custom.insert(0, own)
    own["value"]["mask"] = mask
    _note(own, "value", "review: how people see it: hash, partial or redact")


def _insert(holder: CommentedMap, key: str, value: Any) -> None:
    """After what a column begins with, but never last: comments that follow the last line belong to what comes next."""
    place = max((i for i, name in enumerate(holder) if name in _BEFORE), default=-1) + 1
    holder.insert(max(1, min(place, len(holder) - 1)), key, value)


def _list(holder: CommentedMap, key: str) -> CommentedSeq:
    if key not in holder:
        _insert(holder, key, CommentedSeq())
    found: CommentedSeq = holder[key]
    return found


def _note(holder: CommentedMap, key: str, comment: str) -> None:
    """At the end of the line of a key; what is said there already is kept, before it or after."""
    there = holder.ca.items.get(key, [None] * 4)[2]
    if there is None:
        holder.yaml_add_eol_comment(comment, key, column=0)
        return
    value = str(there.value)
    if value.startswith("\n"):  # comments on lines of their own
        holder.yaml_add_eol_comment(comment, key, column=0)
        holder.ca.items[key][2].value = holder.ca.items[key][2].value.rstrip("\n") + value
        return
    said, _, rest = value.partition("\n")
    known = said.strip("# ")
    words = comment if comment.startswith(known) else f"{known}; {comment}"
    there.value = f"# {words}\n{rest}"


def _flow(values: dict[str, Any]) -> CommentedMap:
    found = CommentedMap(values)
    found.fa.set_flow_style()
    return found


def _block(values: dict[str, Any]) -> CommentedMap:
    """An entry of a list, one line a key; what is below a key on the same line."""
    found = CommentedMap()
    for key, value in values.items():
        if isinstance(value, dict):
            value = _flow({name: _flow_list(item) if isinstance(item, list) else item for name, item in value.items()})
        found[key] = value
    return found


def _flow_list(values: list[Any]) -> CommentedSeq:
    found = CommentedSeq(map(_scalar, values))
    found.fa.set_flow_style()
    return found


def _scalar(value: Any) -> Any:
    """Text in quotes, so that no value reads as a number or as syntax."""
    return DoubleQuotedScalarString(value) if isinstance(value, str) else value


def _merged(text: str, plain: str, amended: str) -> str:
    """The text with what makes `plain` into `amended`, where `plain` is the text as the writer lays it out.

    Lines of both are told by what they hold, not by their indentation; new ones are indented like those beside them.
    """
    ours, theirs, wanted = (written.splitlines(True) for written in (text, plain, amended))
    same: dict[int, int] = {}
    for start, there, size in SequenceMatcher(None, _bare(theirs), _bare(ours), autojunk=False).get_matching_blocks():
        same |= {start + i: there + i for i in range(size)}

    def place(i: int) -> int | None:
        """Where in `ours` the line begins that is `i` in `theirs`; None in the midst of what is laid out otherwise."""
        if i == len(theirs):
            return len(ours)
        return same[i] if i in same else same[i - 1] + 1 if i - 1 in same else None

    lines: list[str] = []
    taken = 0
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, theirs, wanted, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        while place(i1) is None:
            i1, j1 = i1 - 1, j1 - 1
        while place(i2) is None:
            i2, j2 = i2 + 1, j2 + 1
        begins, ends = place(i1), place(i2)
        if begins is None or ends is None or begins < taken:
            return amended  # two changes within what is laid out otherwise
        beside = i1 if i1 in same else i2
        shift = _margin(ours[same[beside]]) - _margin(theirs[beside]) if beside in same else 0
        lines += ours[taken:begins]
        lines += (" " * max(0, _margin(line) + shift) + line.lstrip(" ") for line in wanted[j1:j2])
        taken = ends
    return "".join([*lines, *ours[taken:]])


def _bare(lines: Sequence[str]) -> list[str]:
    return [line.strip() for line in lines]


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
