"""Where the boxes and lines of an ER diagram go: layers from left to right, parents before children.

The method is Sugiyama's: break cycles, give every table a layer, order each layer so that few lines cross, then choose
heights.  All references to one table form one net, a trunk with branches, which runs in a lane of its own between two
layers and in a corridor of its own through a layer that it passes; so no line ever touches a box that is not its own.
Lengths are in pixels, y grows downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

LANE = 11.0
MARGIN = 30.0
"""Between a box and the nearest lane."""
SWEEPS = 12
_VIA = 6.0
_ASPECT = 1.5


@dataclass
class Box:
    """One table on the canvas."""

    key: str
    width: float
    height: float
    layer: int = 0
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Link:
    """One foreign key: from a row of the child's box to a row of the parent's, both as heights inside the box."""

    parent: str
    parent_row: float
    child: str
    child_row: float
    optional: bool = False
    single: bool = False


@dataclass(frozen=True)
class End:
    """Where a net meets a box."""

    box: str
    row: float
    link: Link | None = None


@dataclass(eq=False)
class Via:
    """A corridor through a layer that a net passes."""

    net: Net
    layer: int
    y: float = 0.0
    height: float = _VIA


@dataclass(eq=False)
class Net:
    """A trunk on the left with branches to the right.  `flipped`: it starts at the child, since it closes a cycle."""

    source: End
    targets: list[End]
    flipped: bool = False
    vias: dict[int, Via] = field(default_factory=dict)
    lanes: dict[int, float] = field(default_factory=dict)
    """Layer -> x of the trunk in the gap behind that layer."""


Item = Box | Via


@dataclass
class Plan:
    """A finished layout."""

    boxes: dict[str, Box]
    nets: list[Net]
    loops: list[Link]
    """References of tables to themselves."""
    layers: list[list[Item]]
    lefts: list[float]
    """x of each layer's left edge."""
    rights: list[float]
    width: float
    height: float

    def height_of(self, end: End) -> float:
        """y of an end on the canvas."""
        return self.boxes[end.box].y + end.row


def layout(boxes: Sequence[Box], links: Sequence[Link]) -> Plan:
    """Place boxes and nets.  A few milliseconds for ten tables, some tenths of a second for fifty."""
    by_key = {b.key: b for b in boxes}
    real = [k for k in links if k.parent != k.child]
    flipped = _closing(list(by_key), real)
    pairs = [(k.child, k.parent) if k in flipped else (k.parent, k.child) for k in real]
    layers = _layers(by_key, pairs)
    nets = _nets(real, flipped)
    _add_vias(by_key, nets, layers)
    _order(by_key, nets, layers)
    _heights(by_key, nets, layers)
    plan = Plan(by_key, nets, [k for k in links if k.parent == k.child], layers, [], [], 0.0, 0.0)
    _columns(plan)
    return plan


def _closing(keys: Iterable[str], links: Sequence[Link]) -> set[Link]:
    """The links to turn round so that no cycle is left (depth-first search from child to parent)."""
    parents: dict[str, list[Link]] = {k: [] for k in keys}
    for each in links:
        parents[each.child].append(each)
    closing: set[Link] = set()
    state: dict[str, int] = {}
    for root in parents:
        stack = [(root, iter(parents[root]))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            node, rest = stack[-1]
            link = next(rest, None)
            if link is None:
                state[node] = 2
                stack.pop()
            elif state.get(link.parent) == 1:
                closing.add(link)
            elif link.parent not in state:
                state[link.parent] = 1
                stack.append((link.parent, iter(parents[link.parent])))
    return closing


def _layers(boxes: dict[str, Box], pairs: Sequence[tuple[str, str]]) -> list[list[Item]]:
    """Layers in which every left partner stands further left, none much taller than the picture should be."""
    lefts: dict[str, set[str]] = {k: set() for k in boxes}
    rights: dict[str, set[str]] = {k: set() for k in boxes}
    for left, right in pairs:
        lefts[right].add(left)
        rights[left].add(right)
    total = sum(b.height + 30 for b in boxes.values())
    limit = max([math.sqrt(total * 340 / _ASPECT), *(b.height + 1 for b in boxes.values())])
    filled: dict[int, float] = {}

    def put(box: Box, layer: int) -> None:
        box.layer = layer
        filled[layer] = filled.get(layer, 0.0) + box.height + 30

    waiting = {k: len(p) for k, p in lefts.items()}
    linked = [k for k in boxes if lefts[k] or rights[k]]
    ready = [k for k in linked if not waiting[k]]
    while ready:
        key = min(ready, key=lambda k: (max((boxes[p].layer for p in lefts[k]), default=-1), -len(rights[k])))
        ready.remove(key)
        layer = max((boxes[p].layer for p in lefts[key]), default=-1) + 1
        while filled.get(layer, 0.0) + boxes[key].height > limit and filled.get(layer):
            layer += 1
        put(boxes[key], layer)
        for child in rights[key]:
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    for key in linked:  # a table without parents stands best just before its first child
        box = boxes[key]
        first = min((boxes[c].layer for c in rights[key]), default=0)
        free = [n for n in range(box.layer + 1, first) if filled.get(n, 0.0) + box.height <= limit]
        if free and not lefts[key]:
            filled[box.layer] -= box.height + 30
            put(box, free[-1])
    for key in boxes:
        if key not in linked:
            columns = range(max(filled, default=0) + 1)
            shortest = min(columns, key=lambda n: filled.get(n, 0.0))
            full = filled.get(shortest, 0.0) + boxes[key].height > limit and filled
            put(boxes[key], len(columns) if full else shortest)
    used = {layer: i for i, layer in enumerate(sorted({b.layer for b in boxes.values()}))}
    found: list[list[Item]] = [[] for _ in used]
    for box in boxes.values():
        box.layer = used[box.layer]
        found[box.layer].append(box)
    return found


def _nets(links: Sequence[Link], flipped: set[Link]) -> list[Net]:
    """One net for all references to a table, and one for each that is turned round."""
    found: dict[tuple[str, float], Net] = {}
    turned = []
    for link in links:
        child = End(link.child, link.child_row, link)
        if link in flipped:
            turned.append(Net(child, [End(link.parent, link.parent_row)], flipped=True))
        else:
            at = (link.parent, link.parent_row)
            found.setdefault(at, Net(End(*at), [])).targets.append(child)
    return [*found.values(), *turned]


def _add_vias(boxes: dict[str, Box], nets: Sequence[Net], layers: list[list[Item]]) -> None:
    for net in nets:
        last = max(boxes[t.box].layer for t in net.targets)
        for layer in range(boxes[net.source.box].layer + 1, last):
            net.vias[layer] = Via(net, layer)
            layers[layer].append(net.vias[layer])


def _gap(boxes: dict[str, Box], net: Net, layer: int) -> tuple[Item, float, list[tuple[Item, float]]] | None:
    """What a net joins in the gap behind a layer: the item on the left, and those on the right, each with the row."""
    own = boxes[net.source.box].layer
    if layer < own or (layer > own and layer not in net.vias):
        return None
    left: tuple[Item, float] = (boxes[net.source.box], net.source.row) if layer == own else (net.vias[layer], _VIA / 2)
    right: list[tuple[Item, float]] = [(boxes[t.box], t.row) for t in net.targets if boxes[t.box].layer == layer + 1]
    if layer + 1 in net.vias:
        right.append((net.vias[layer + 1], _VIA / 2))
    return (*left, right) if right else None


Joint = tuple[Item, float, Item, float]


def _joints(boxes: dict[str, Box], nets: Sequence[Net], layers: list[list[Item]]) -> list[list[Joint]]:
    """For each gap the pairs (left item, row, right item, row) that lines join."""
    found: list[list[Joint]] = []
    for layer in range(len(layers) - 1):
        gaps = [g for n in nets if (g := _gap(boxes, n, layer))]
        found.append([(left, row, item, there) for left, row, right in gaps for item, there in right])
    return found


def _order(boxes: dict[str, Box], nets: Sequence[Net], layers: list[list[Item]]) -> None:
    """Order the layers by barycentres, to and fro; the order with the fewest crossings stays."""
    joints = _joints(boxes, nets, layers)
    best, fewest = [list(items) for items in layers], _crossings(joints, layers)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for layer in range(1, len(layers)) if forward else range(len(layers) - 2, -1, -1):
            around = joints[layer - 1] if forward else joints[layer]
            fixed = layers[layer - 1] if forward else layers[layer + 1]
            place = {id(item): i + 0.5 for i, item in enumerate(fixed)}
            weight: dict[int, list[float]] = {}
            for left, left_row, right, right_row in around:
                mine, other, row = (right, left, left_row) if forward else (left, right, right_row)
                weight.setdefault(id(mine), []).append(place[id(other)] + row / other.height * 0.8 - 0.4)
            now = {id(item): (i + 0.5) * len(fixed) / len(layers[layer]) for i, item in enumerate(layers[layer])}
            mean = {k: sum(v) / len(v) for k, v in weight.items()}
            layers[layer].sort(key=lambda item: mean.get(id(item), now[id(item)]))
        crossings = _crossings(joints, layers)
        if crossings < fewest:
            best, fewest = [list(items) for items in layers], crossings
    for items, wanted in zip(layers, best, strict=True):
        items[:] = wanted


def _crossings(joints: Sequence[Sequence[Joint]], layers: Sequence[Sequence[Item]]) -> int:
    place = {id(item): i for items in layers for i, item in enumerate(items)}
    total = 0
    for around in joints:
        lines = [(place[id(a)] + r / a.height, place[id(b)] + s / b.height) for a, r, b, s in around]
        total += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(lines) for b in lines[:i])
    return total


def _heights(boxes: dict[str, Box], nets: Sequence[Net], layers: list[list[Item]]) -> None:
    """Give every item its y: near its partners, in order, without overlap."""
    joints = _joints(boxes, nets, layers)
    for items in layers:
        y = 0.0
        for item in items:
            item.y, y = y, y + item.height + 30
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for layer in range(len(layers)) if forward else range(len(layers) - 1, -1, -1):
            wishes: dict[int, list[float]] = {}
            sides = [joints[layer - 1]] if layer else []
            for left, row, right, there in sides[0] if sides else []:
                wishes.setdefault(id(right), []).append(left.y + row - there)
            for left, row, right, there in joints[layer] if layer < len(joints) else []:
                wishes.setdefault(id(left), []).append(right.y + there - row)
            _stack(layers[layer], wishes)
    top = min((item.y for items in layers for item in items), default=0.0)
    for items in layers:
        for item in items:
            item.y = round(item.y - top, 1)


def _stack(items: Sequence[Item], wishes: dict[int, list[float]]) -> None:
    """Least-squares heights in the given order: what wants to overlap moves as one block (isotonic regression)."""
    blocks: list[list[float]] = []  # [sum of wishes, items]
    offsets, offset = [], 0.0
    for i, item in enumerate(items):
        if i:
            offset += items[i - 1].height + _space(items[i - 1], item)
        offsets.append(offset)
        wanted = wishes.get(id(item), [item.y])
        weight = 3.0 if isinstance(item, Via) else 1.0
        blocks.append([weight * (sum(wanted) / len(wanted) - offset), weight, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    starts = [total / weight for total, weight, count in blocks for _ in range(int(count))]
    for item, start, offset in zip(items, starts, offsets, strict=True):
        item.y = start + offset


def _space(above: Item, below: Item) -> float:
    return {0: 28.0, 1: 14.0, 2: 6.0}[isinstance(above, Via) + isinstance(below, Via)]


def _columns(plan: Plan) -> None:
    """Give every layer its x, and every net its lane in each gap."""
    x = 0.0
    for layer, items in enumerate(plan.layers):
        width = max((i.width for i in items if isinstance(i, Box)), default=0.0)
        for item in items:
            if isinstance(item, Box):
                item.x = x
        plan.lefts.append(x)
        plan.rights.append(x + width)
        x += width
        lanes = _lanes(plan, layer)
        for number, net in enumerate(lanes):
            net.lanes[layer] = x + MARGIN + LANE * number
        if layer + 1 < len(plan.layers):
            x += 2 * MARGIN + LANE * max(len(lanes) - 1, 0)
    if any(plan.boxes[k.child].layer == len(plan.layers) - 1 for k in plan.loops):
        x += 20
    plan.width = x
    plan.height = max((b.y + b.height for b in plan.boxes.values()), default=0.0)


def _lanes(plan: Plan, layer: int) -> list[Net]:
    """The nets of a gap from left to right, so that they cross and cover each other little."""
    rows: dict[int, tuple[float, list[float]]] = {}
    nets = []
    for net in plan.nets:
        gap = _gap(plan.boxes, net, layer)
        if gap:
            nets.append(net)
            rows[id(net)] = (gap[0].y + gap[1], [item.y + row for item, row in gap[2]])
    nets.sort(key=lambda n: rows[id(n)][0])

    def cost(a: Net, b: Net) -> float:
        """What it costs to have a left of b."""
        (source_a, targets_a), (source_b, targets_b) = rows[id(a)], rows[id(b)]
        low_a, high_a = min([source_a, *targets_a]), max([source_a, *targets_a])
        low_b, high_b = min([source_b, *targets_b]), max([source_b, *targets_b])
        crossed = sum(low_b < t < high_b for t in targets_a) + (low_a < source_b < high_a)
        covered = sum(abs(t - source_b) < 4 for t in targets_a)
        return crossed + 20.0 * covered

    for _ in range(len(nets)):
        moved = False
        for i in range(len(nets) - 1):
            if cost(nets[i], nets[i + 1]) > cost(nets[i + 1], nets[i]):
                nets[i], nets[i + 1] = nets[i + 1], nets[i]
                moved = True
        if not moved:
            break
    return nets
