"""Which tables refer to which, as inline SVG: what is referred to stands right of what refers to it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH, _HEIGHT, _ACROSS, _DOWN = 214, 30, 90, 46
_LETTER = 6.4
"""Width of a letter of a box, about: a longer name is shortened, and whole in its title."""


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    """`table`.`columns` are found in `to`."""

    table: str
    to: str
    columns: tuple[str, ...]


def draw(tables: Iterable[str], relations: Sequence[Relation], link: Callable[[str], str], marked: str = "") -> Markup:
    """The drawing of these tables; `link` gives a table's page, or nothing. `marked` is drawn as the one it is about.

    Relations between tables that are not listed are left out. A circle of relations is drawn, too.
    """
    names = list(dict.fromkeys(tables))
    known = [relation for relation in relations if relation.table in names and relation.to in names]
    depths = _depths(names, known)
    # A long line has a place of its own in each column that it crosses, so that it runs behind no box.
    crossed = [
        (relation, depth)
        for relation in sorted(known)
        for depth in range(depths[relation.to] + 1, depths[relation.table])
    ]
    deepest = max(depths.values(), default=0)
    place: dict[str | tuple[Relation, int], tuple[int, int]] = {}
    rows = 0
    for depth in range(deepest + 1):
        boxes = sorted(name for name in names if depths[name] == depth)
        column: list[str | tuple[Relation, int]] = [*boxes, *(crossing for crossing in crossed if crossing[1] == depth)]
        x = (deepest - depth) * (_WIDTH + _ACROSS)
        place |= {item: (x, row * _DOWN) for row, item in enumerate(column)}
        rows = max(rows, len(column))
    width, height = (deepest + 1) * (_WIDTH + _ACROSS) - _ACROSS, max(rows * _DOWN - (_DOWN - _HEIGHT), 0)
    parts = []
    for relation in sorted(known):
        over = [place[crossing] for crossing in reversed(crossed) if crossing[0] == relation]
        parts.append(_line([place[relation.table], *over, place[relation.to]], relation))
    parts += [_box(name, *place[name], link(name), name == marked) for name in sorted(names)]
    said = "; ".join(f"{relation.table} refers to {relation.to}" for relation in sorted(known)) or "no relations"
    head = (
        f'<svg class="relations" viewBox="-1 -1 {width + 2} {height + 2}" width="{width + 2}" height="{height + 2}"'
        f' role="img" aria-label="{escape(said)}">'
    )
    return Markup(head + "".join(parts) + "</svg>")


def _depths(names: Sequence[str], relations: Sequence[Relation]) -> dict[str, int]:
    """How many relations lead on from a table, one after the other; those of a circle count once."""

    def depth(name: str, above: tuple[str, ...]) -> int:
        further = {relation.to for relation in relations if relation.table == name} - {*above, name}
        return max((1 + depth(to, (*above, name)) for to in further), default=0)

    return {name: depth(name, ()) for name in names}


def _box(name: str, x: int, y: int, href: str, is_marked: bool) -> str:
    room = int((_WIDTH - 20) / _LETTER)
    shown = name if len(name) <= room else f"{name[: room - 1]}…"
    kind = "box marked" if is_marked else "box"
    box = (
        f'<g class="{kind}"><title>{escape(name)}</title><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4"/>'
        f'<text x="{x + 10}" y="{y + 19}">{escape(shown)}</text></g>'
    )
    return f'<a href="{escape(href)}">{box}</a>' if href and not is_marked else box


def _line(over: Sequence[tuple[int, int]], relation: Relation) -> str:
    """A line from the right of the first place to the left of the last, straight through those between."""
    title = f"<title>{escape(', '.join(relation.columns))} of {escape(relation.table)} in {escape(relation.to)}</title>"
    middle = _HEIGHT // 2
    x, y = over[0][0] + _WIDTH, over[0][1] + middle
    path = f"M{x} {y}"
    if relation.table == relation.to:
        return f'<path class="line" d="{path} m0 -6 c26 -10 26 22 0 12">{title}</path>'
    for to_x, top in over[1:]:
        to_y = top + middle
        bend = max(abs(to_x - x) // 2, 30)
        path += f" C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y} H{to_x + _WIDTH}"
        x, y = to_x + _WIDTH, to_y
    path = path.removesuffix(f" H{x}") + " m-6 -4 l6 4 l-6 4"
    return f'<path class="line" d="{path}">{title}</path>'
