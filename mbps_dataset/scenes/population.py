"""Who and what is on the street: buildings, trees, furniture, parked and moving vehicles, people.

Each rule walks along one side of the street and leaves `Thing`s in the plan. Places that would block the camera stay
empty. All ours.
"""

from __future__ import annotations

import math
import random
from collections import Counter

from mbps_dataset.scenes.layout import FAR_M, Plan, Side, Thing, draw_street


CLEAR_M = 7.0
"""Nothing stands this close in front of the camera within its lane."""

# half length and half width in metres, with room for one frame of motion
_ROOM = {
    "car": (2.9, 0.98),
    "van": (3.4, 1.08),
    "truck": (5.2, 1.3),
    "bus": (7.0, 1.35),
    "tram": (16.0, 1.3),
    "motorcycle": (1.3, 0.4),
    "motorcycle rider": (1.6, 0.45),
    "cyclist": (1.5, 0.4),
    "bicycle": (0.9, 0.1),
    "person": (0.3, 0.3),
}

VEHICLE_LABELS = {"car": 26, "van": 26, "truck": 27, "bus": 28, "tram": 31, "motorcycle": 32, "bicycle": 33}
PERSON, RIDER = 24, 25


class _Populator:
    def __init__(self, plan: Plan, rng: random.Random, seed: int) -> None:
        self.plan, self.rng, self.seed = plan, rng, seed
        self.numbers: Counter[int] = Counter()
        self.taken: list[tuple[float, float, float, float]] = []

    def number(self, label: int) -> int:
        self.numbers[label] += 1
        return self.numbers[label] - 1

    def _takes_room(self, kind: str, along: float, lateral: float, turn: float, speed: float) -> bool:
        """Claim the room that something of this kind needs; False if it is taken or in the camera's way."""
        length, width = _ROOM[kind]
        length -= 0.0 if speed else 0.45 * min(length, 1.0)
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        a, b = c * length + s * width, s * length + c * width
        ego = self.plan.ego
        if along - a < CLEAR_M and along + a > -2 and abs(lateral - ego.x) < b + 1.1:
            return False
        if any(abs(along - x) < a + p and abs(lateral - y) < b + q for x, y, p, q in self.taken):
            return False
        self.taken.append((along, lateral, a, b))
        return True

    def add(
        self,
        kind: str,
        along: float,
        lateral: float,
        *,
        turn: float = 0.0,
        speed: float = 0.0,
        label: int | None = None,
        second: int | None = None,
        size: tuple[float, ...] = (),
        z: float = 0.0,
    ) -> None:
        if kind in _ROOM and not self._takes_room(kind, along, lateral, turn, speed):
            return
        x, y, heading = self.plan.place(along, lateral)
        heading += turn
        self.plan.things.append(
            Thing(
                kind, x, y, z, heading, f"{self.seed}/{len(self.plan.things)}",
                -1 if label is None else self.number(label),
                -1 if second is None else self.number(second),
                (speed * math.sin(heading), speed * math.cos(heading)),
                size,
                y > FAR_M,
            )
        )  # fmt: skip


def draw_plan(seed: int, traffic: float) -> Plan:
    """The street of `seed` with everything on it; `traffic` multiplies the number of vehicles and people."""
    rng = random.Random(f"street/{seed}")
    plan = draw_street(rng)
    populator = _Populator(plan, rng, seed)
    _moving(populator, traffic)
    _at_crossing(populator, traffic)
    for side in plan.sides:
        _buildings(populator, side)
        _fronts(populator, side)
        _furniture(populator, side, traffic)
        _trees(populator, side)
        _parked(populator, side, traffic)
        _pedestrians(populator, side, traffic)
    _backdrop(populator)
    return plan


def moving_ids(plan: Plan) -> frozenset[int]:
    """Instance ids (``label_id * 1000 + k``) of the things that have a velocity; a rider and what is ridden are two."""
    found = []
    for thing in plan.things:
        if thing.velocity != (0.0, 0.0):
            ridden = {"cyclist": "bicycle", "motorcycle rider": "motorcycle"}.get(thing.kind)
            label = PERSON if thing.kind == "person" else RIDER if ridden else VEHICLE_LABELS[thing.kind]
            found.append(label * 1000 + thing.number)
            found += [VEHICLE_LABELS[ridden] * 1000 + thing.second] if ridden else []
    return frozenset(found)


def _buildings(p: _Populator, side: Side) -> None:
    rng, plan = p.rng, p.plan
    line = side.line(plan.half_road) + side.setback
    along = rng.uniform(-14, -8)
    base = {"city": rng.uniform(11, 19), "suburb": 6.0, "avenue": rng.uniform(9, 17), "outskirts": 6.5}[plan.kind]
    while along < 125:
        width = rng.uniform(9, 22) if plan.kind in ("city", "avenue") else rng.uniform(8, 14)
        height = base * rng.uniform(0.75, 1.3)
        middle = along + width / 2
        empty = rng.random() < {"city": 0.07, "suburb": 0.1, "avenue": 0.2, "outskirts": 0.55}[plan.kind]
        if not empty and not plan.in_crossing(middle, width / 2 + line * 0.15 + 1.5):
            depth = rng.uniform(9, 13)
            p.add("building", middle, side.sign * (line + depth / 2), turn=0.0, size=(width, depth, height, side.sign))
        elif empty:
            for _ in range(rng.randint(1, 3)):
                p.add("tree", along + rng.uniform(1, width), side.sign * (line + rng.uniform(2, 8)), size=(1.3,))
        along += width + (rng.uniform(2, 9) if plan.kind in ("suburb", "outskirts") else rng.choice((0, 0, 0, 0, 3.5)))


def _fronts(p: _Populator, side: Side) -> None:
    """Fence, wall or hedge along the front line, in sections with gates between them."""
    rng, plan = p.rng, p.plan
    if side.front == "none":
        return
    lateral = side.line(plan.half_road) + 0.15
    along = -8.0
    kind = side.front
    while along < 100:
        length = rng.uniform(6, 14)
        if rng.random() < 0.18:
            kind = rng.choice(("fence", "wall", "hedge"))
        if not plan.in_crossing(along + length / 2, length / 2 + 2):
            steps = max(1, round(length / 7))
            for step in range(steps):
                a, b = along + length * step / steps, along + length * (step + 1) / steps
                p.add(kind, (a + b) / 2, side.sign * lateral, size=(b - a + 0.02, round(along)), z=0.12)
        along += length + rng.choice((0.0, 1.2, 3.0))


def _furniture(p: _Populator, side: Side, traffic: float) -> None:
    rng, plan = p.rng, p.plan
    edge = side.kerb(plan.half_road)
    lateral = side.sign * (edge + 0.5)
    spacing, along = rng.uniform(18, 30), rng.uniform(4, 14)
    while along < 110:
        if not plan.in_crossing(along, 1):
            p.add("lamp", along, lateral, size=(side.sign, round(spacing)), z=0.12)
        along += spacing
    for _ in range(rng.randint(1, 4)):
        along = rng.uniform(6, 60)
        if not plan.in_crossing(along, 1):
            p.add(
                "sign",
                along,
                lateral + side.sign * rng.uniform(0, 0.4),
                turn=rng.gauss(0, 0.15),
                size=(side.sign,),
                z=0.12,
            )
    for _ in range(rng.choice((0, 0, 1, 2))):
        p.add("bin", rng.uniform(6, 40), side.sign * (edge + side.verge + 0.6), z=0.12)
    if rng.random() < 0.25:
        along, count = rng.uniform(5, 35), rng.randint(3, 8)
        for k in range(count):
            p.add("bollard", along + 1.6 * k, side.sign * (edge + 0.35), z=0.12)
    if plan.kind == "outskirts" and rng.random() < 0.4:
        for k in range(10):
            p.add("guard rail", 4 + 8.0 * k, side.sign * (edge + 0.5), size=(8.0,))
    if rng.random() < 0.35 * min(traffic, 2.0):
        along, count = rng.uniform(6, 35), rng.randint(2, 6)
        for k in range(count):
            if not plan.in_crossing(along + 0.7 * k, 1) and side.pavement > 1:
                offset = edge + side.verge + side.pavement * 0.75
                p.add("bicycle", along + 0.75 * k, side.sign * offset, turn=1.2 + rng.gauss(0, 0.08), label=33, z=0.12)


def _trees(p: _Populator, side: Side) -> None:
    rng, plan = p.rng, p.plan
    lateral = side.kerb(plan.half_road) + (side.verge / 2 if side.verge else 1.0)
    if rng.random() < {"city": 0.35, "suburb": 0.4, "avenue": 0.95, "outskirts": 0.6}[plan.kind]:
        spacing, along, scale = rng.uniform(7, 13), rng.uniform(5, 12), rng.uniform(0.75, 1.15)
        while along < 105:
            if not plan.in_crossing(along, 1.5) and rng.random() < 0.85:
                p.add(
                    "tree",
                    along,
                    side.sign * (lateral + rng.uniform(-0.2, 0.2)),
                    size=(scale * rng.uniform(0.8, 1.2),),
                )
            along += spacing * rng.uniform(0.9, 1.15)
    if side.setback > 1.5:
        behind = side.line(plan.half_road) + side.setback * 0.5
        for _ in range(rng.randint(2, 8)):
            kind = rng.choice(("tree", "bush", "bush", "conifer"))
            along = rng.uniform(5, 70)
            if not plan.in_crossing(along, 3):
                p.add(kind, along, side.sign * (behind + rng.uniform(-0.3, 0.8)), size=(rng.uniform(0.6, 1.0),))
    for _ in range(rng.randint(0, 3)):
        if side.verge > 1.2:
            p.add("bush", rng.uniform(6, 60), side.sign * lateral, size=(rng.uniform(0.35, 0.6),))


def _parked(p: _Populator, side: Side, traffic: float) -> None:
    rng, plan = p.rng, p.plan
    if not side.parking:
        if rng.random() > 0.3:
            return
    lateral = side.sign * (plan.half_road + (1.05 if side.parking else -0.95))
    blocked = plan.ego.x + 1.9 > plan.half_road - 1.9 and not side.parking and side.sign > 0
    if blocked:
        return
    along, density = rng.uniform(2.5, 9), rng.uniform(0.4, 0.95) * min(traffic, 1.3)
    while along < 85:
        kind = rng.choices(("car", "van", "truck", "motorcycle"), (0.83, 0.08, 0.03, 0.06))[0]
        room = {"car": 5.2, "van": 6.2, "truck": 8.5, "motorcycle": 2.6}[kind]
        if rng.random() < density and not plan.in_crossing(along + room / 2, room / 2 + 4):
            turn = math.pi if (side.sign < 0) == (rng.random() < 0.9) else 0.0
            p.add(
                kind, along + room / 2, lateral + rng.gauss(0, 0.08), turn=turn + rng.gauss(0, 0.02),
                label=VEHICLE_LABELS[kind],
            )  # fmt: skip
        along += room * rng.uniform(1.0, 1.15)


def _pedestrians(p: _Populator, side: Side, traffic: float) -> None:
    rng, plan = p.rng, p.plan
    inner = side.kerb(plan.half_road) + side.verge + 0.5
    width = max(side.pavement - 1.0, 0.4)
    busy = {"city": 4.2, "suburb": 1.6, "avenue": 3.0, "outskirts": 0.9}[plan.kind] * traffic
    for _ in range(_count(rng, busy)):
        along, turn = rng.choice((rng.uniform(6, 20), rng.uniform(8, 55))), rng.choice((0.0, math.pi))
        speed, lateral = rng.choice((0.0, rng.uniform(0.05, 0.11))), inner + rng.random() * width
        for k in range(rng.choices((1, 2, 3, 4), (0.55, 0.28, 0.1, 0.07))[0]):
            p.add(
                "person", along + rng.uniform(-0.5, 0.5), side.sign * (lateral + 0.6 * k - 0.3),
                turn=turn + rng.gauss(0, 0.15), speed=speed, label=PERSON, z=0.12,
            )  # fmt: skip


def _count(rng: random.Random, mean: float) -> int:
    """A Poisson number."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def _moving(p: _Populator, traffic: float) -> None:
    """Vehicles and riders in the lanes: ours ahead of us, the other side towards us."""
    rng, plan = p.rng, p.plan
    lane = plan.half_road / max(plan.lanes / 2, 1)
    if plan.rail and rng.random() < 0.7 * min(traffic, 1.4):
        p.add("tram", rng.uniform(26, 55), -lane * 0.5, turn=math.pi, speed=0.5, label=31)
    lanes = [(lane * (k + 0.5), 1) for k in range(max(plan.lanes // 2, 1))]
    lanes += [(-lateral, -1) for lateral, _ in lanes]
    if plan.lanes == 3:
        lanes.append((-plan.half_road + 1.5, -1))
    for lateral, direction in lanes:
        along = rng.uniform(11, 30) if direction > 0 else rng.uniform(9, 40)
        while along < 110:
            kind = rng.choices(
                ("car", "van", "truck", "bus", "motorcycle rider", "cyclist"), (0.56, 0.08, 0.09, 0.08, 0.07, 0.12)
            )[0]
            speed = direction * 0 + rng.uniform(0.3, 1.3) if rng.random() < 0.7 else 0.0
            if rng.random() < 0.75 * min(traffic, 1.3):
                _vehicle(p, kind, along, lateral, direction, speed)
            along += rng.uniform(10, 40) / max(traffic, 0.3)
    if rng.random() < 0.35 * traffic:
        edge = plan.half_road - 0.7
        _vehicle(
            p,
            "cyclist",
            rng.uniform(8, 22),
            edge if edge > plan.ego.x + 1.3 else -edge,
            1 if edge > plan.ego.x + 1.3 else -1,
            0.3,
        )


def _vehicle(p: _Populator, kind: str, along: float, lateral: float, direction: int, speed: float) -> None:
    rng = p.rng
    turn = (0.0 if direction > 0 else math.pi) + rng.gauss(0, 0.02)
    lateral += rng.gauss(0, 0.2)
    if kind in ("cyclist", "motorcycle rider"):
        label = 33 if kind == "cyclist" else 32
        shift = 0.7 if abs(lateral) > 1.5 else 0.0
        p.add(
            kind,
            along,
            lateral + math.copysign(shift, lateral),
            turn=turn,
            speed=min(speed, 0.5),
            label=RIDER,
            second=label,
        )
        return
    long_enough = along + (6.0 if kind in ("truck", "bus") else 0.0)
    p.add(kind, long_enough, lateral, turn=turn, speed=speed, label=VEHICLE_LABELS[kind])


def _at_crossing(p: _Populator, traffic: float) -> None:
    """Signals before a crossing, people on the zebra, a vehicle across."""
    rng, plan = p.rng, p.plan
    if plan.crossing is None:
        return
    start, stop = plan.crossing
    signals = rng.random() < 0.75
    for side in plan.sides:
        edge = side.kerb(plan.half_road) + 0.5
        if signals:
            p.add("signal", start - 1.2, side.sign * edge, size=(side.sign, rng.randrange(3)), z=0.12)
            p.add("signal", stop + 0.8, side.sign * edge, size=(side.sign, rng.randrange(3)), z=0.12)
        else:
            p.add("sign", start - 1.0, side.sign * edge, size=(side.sign,), z=0.12)
    if start > 9:
        for _ in range(_count(rng, 1.6 * traffic)):
            turn = rng.choice((-math.pi / 2, math.pi / 2))
            lateral = rng.uniform(-plan.half_road, plan.half_road)
            p.add(
                "person", start - rng.uniform(2.0, 3.6), lateral, turn=turn, speed=rng.uniform(0.05, 0.1), label=PERSON
            )
    if rng.random() < 0.5 * traffic:
        kind = rng.choice(("car", "car", "van", "truck", "bus"))
        direction = rng.choice((-1, 1))
        middle = (start + stop) / 2 - direction * 1.7
        turn = direction * math.pi / 2
        p.add(kind, middle, rng.uniform(-9, 9), turn=turn, speed=rng.uniform(0.0, 0.8), label=VEHICLE_LABELS[kind])


def _backdrop(p: _Populator) -> None:
    """What closes the view at the far end of the street."""
    rng, plan = p.rng, p.plan
    lateral = -95.0
    while lateral < 95:
        width = rng.uniform(14, 26)
        along = 150 + rng.uniform(0, 12)
        if rng.random() < (0.55 if plan.kind in ("city", "avenue") else 0.25):
            p.add("building", along, lateral + width / 2, size=(12.0, width, rng.uniform(8, 20), 0))
        else:
            for k in range(3):
                p.add("tree", along - 6, lateral + width * (k + 0.5) / 3, size=(rng.uniform(1.3, 2.0),))
        lateral += width
