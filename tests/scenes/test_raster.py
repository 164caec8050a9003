"""Visibility of faces and ellipsoids against a ray caster that knows nothing of screens."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.scenes.camera import EgoPath
from mbps_dataset.scenes.materials import Material
from mbps_dataset.scenes.primitives import PartsBuilder, Placement, ball, bar, box, limb, prism
from mbps_dataset.scenes.projection import Screen, project_ellipsoids, project_faces
from mbps_dataset.scenes.raster import rasterise
from mbps_dataset.scenes.scene_settings import Intrinsics
from tests.examples import examples


def screen_of(height: int = 48, width: int = 64, **path: float) -> Screen:
    values = {"x": 0.0, "y": 0.0, "height": 1.4, "heading": 0.0, "pitch": 0.0, "roll": 0.0, "speed": 0.0}
    ego = EgoPath(**(values | path), turn=0.0, sway=0.0)
    return Screen(height, width, Intrinsics(60.0, 55.0, 31.3, 23.6), ego.pose(0.0))


def draw(parts: PartsBuilder, screen: Screen):
    """Depth [H, W] (0: nothing) and label [H, W] (0: nothing), by the renderer."""
    face_parts, ball_parts = parts.gather()
    faces, balls = project_faces(face_parts, screen), project_ellipsoids(ball_parts, screen)
    visible = rasterise(faces, face_parts, balls, ball_parts, screen)
    labels = np.concatenate([face_parts.label[faces.source], ball_parts.label[balls.source], [0]])
    hit = visible.part >= 0
    return np.where(hit, 1 / np.where(hit, visible.inverse_depth, 1), 0), labels[visible.part]


def cast(parts: PartsBuilder, screen: Screen):
    """The same by intersecting the ray of every pixel with every part, in world coordinates and float64."""
    face_parts, ball_parts = parts.gather()
    k = screen.intrinsics
    columns, rows = np.meshgrid(np.arange(screen.width), np.arange(screen.height))
    rays = (
        np.stack([(columns - k.cx) / k.fx, (rows - k.cy) / k.fy, np.ones(columns.shape)], -1) @ screen.pose[:3, :3].T
    )
    eye = screen.pose[:3, 3]
    depth, label = np.full(columns.shape, np.inf), np.zeros(columns.shape, int)
    for corners, name in zip(face_parts.shape, face_parts.label):
        normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
        facing = (rays @ normal) < 0
        distance = ((corners[0] - eye) @ normal) / (rays @ normal)
        points = eye + rays * distance[..., None]
        inside = facing & (distance > 0.25)
        for a, b in zip(corners, np.roll(corners, -1, 0)):
            inside &= np.cross(b - a, points - a) @ normal > 0
        nearer = inside & (distance < depth)
        depth[nearer], label[nearer] = distance[nearer], name
    for shape, name in zip(ball_parts.shape, ball_parts.label):
        to_unit = np.linalg.inv(shape[1:].T)
        direction, origin = rays @ to_unit.T, to_unit @ (eye - shape[0])
        a, b, c = (direction**2).sum(-1), direction @ origin, origin @ origin - 1
        with np.errstate(invalid="ignore"):
            distance = (-b - np.sqrt(b * b - a * c)) / a
        nearer = (distance > 0.25) & (distance < depth)
        depth[nearer], label[nearer] = distance[nearer], name
    return np.where(np.isinf(depth), 0, depth), label


def assert_same(parts: PartsBuilder, screen: Screen) -> None:
    depth, label = draw(parts, screen)
    true_depth, true_label = cast(parts, screen)
    same = label == true_label
    assert same.mean() > 0.985  # pixels on an outline may fall to either side
    np.testing.assert_allclose(depth[same], true_depth[same], rtol=2e-3, atol=1e-3)


numbers = st.floats(-1.0, 1.0, allow_nan=False, width=32)


@examples(25)
@given(
    st.lists(st.tuples(numbers, numbers, numbers, numbers, st.booleans()), min_size=1, max_size=6), numbers, numbers
)
def test_boxes_and_ellipsoids_match_a_ray_caster(objects, heading, pitch):
    parts = PartsBuilder()
    for k, (x, y, turn, size, is_ball) in enumerate(objects):
        parts.owner(k + 1)
        # apart by a little, for of two coincident surfaces either may be seen
        place = Placement(4 * x + 0.01 * k, 9 + 5 * y + 0.03 * k, 0.0, 3 * turn)
        half = 0.8 + 0.5 * size
        if is_ball:
            parts.ellipsoids(
                [ball((0, 0, 1.2), (half, 0.7 * half, 1.1 * half))], Material.SHELL, (1, 1, 1), place=place
            )
        else:
            parts.quads(box(-half, half, -0.6, 0.6, 0, 2 * half), Material.METAL, (1, 1, 1), place=place)
    assert_same(parts, screen_of(heading=0.3 * heading, pitch=0.2 * pitch, roll=0.1 * pitch))


def test_ground_that_passes_under_the_camera_is_clipped_to_what_lies_ahead():
    parts = PartsBuilder()
    parts.owner(7)
    parts.quads([[(-50, -30, 0), (50, -30, 0), (50, 80, 0), (-50, 80, 0)]], Material.METAL, (1, 1, 1))
    assert_same(parts, screen_of(pitch=0.1, roll=0.05))


def test_limbs_bars_and_columns_match_a_ray_caster():
    parts = PartsBuilder()
    parts.owner(1)
    parts.ellipsoids(
        [limb((-1, 5, 0.5), (0.5, 6, 2.0), 0.3, 1.3, 0.8), limb((1, 5, 1), (1, 7, 1), 0.3)], Material.SHELL, (1, 1, 1)
    )
    parts.owner(2)
    parts.quads(prism(1.8, 6.0, 0.5, 0.0, 2.0, 6, 0.5), Material.METAL, (1, 1, 1))
    assert_same(parts, screen_of())
    lengths = np.linalg.norm(np.asarray(limb((0, 0, 0), (0, 0, 2), 0.5)), axis=1)
    np.testing.assert_allclose(lengths, [1.0, 1.2, 0.5, 0.5])
    assert np.asarray(bar((0, 0, 0), (1, 0, 0), 0.2)).shape == (2, 4, 3)


def test_the_nearer_of_two_faces_is_seen_whatever_their_order():
    for order in ((1, 2), (2, 1)):
        parts = PartsBuilder()
        for label in order:
            parts.owner(label)
            parts.quads(box(-1, 1, -1, 1, 0, 3), Material.METAL, (1, 1, 1), place=Placement(0, 5.0 * label))
        depth, label = draw(parts, screen_of())
        assert set(np.unique(label)) <= {0, 1}
        np.testing.assert_allclose(depth[label == 1].min(), 4.0, rtol=1e-4)


def test_faces_that_share_an_edge_leave_neither_gap_nor_overlap():
    whole, halves = PartsBuilder(), PartsBuilder()
    corner = [(-2.03, 6.1, 0.07), (1.9, 5.2, 0.1), (1.7, 5.3, 2.4), (-2.2, 6.4, 2.6)]
    middle = [tuple(0.5 * (np.array(corner[a]) + corner[b])) for a, b in ((0, 1), (3, 2))]
    normal = np.cross(np.subtract(corner[1], corner[0]), np.subtract(corner[3], corner[0]))
    corner[2] = tuple(np.array(corner[2]) - normal * (np.subtract(corner[2], corner[0]) @ normal) / (normal @ normal))
    middle[1] = tuple(0.5 * (np.array(corner[3]) + corner[2]))
    whole.owner(1)
    whole.quads([corner], Material.METAL, (1, 1, 1))
    halves.owner(1)
    halves.quads(
        [[corner[0], middle[0], middle[1], corner[3]], [middle[0], corner[1], corner[2], middle[1]]],
        Material.METAL, (1, 1, 1),
    )  # fmt: skip
    screen = screen_of(480, 640)
    screen = Screen(480, 640, Intrinsics(600.0, 550.0, 313.3, 236.6), screen.pose)
    differs = draw(whole, screen)[1] != draw(halves, screen)[1]
    assert differs.sum() <= 2  # a pixel on the outline may fall either way within rounding; a gap has a hundred


def test_a_round_sign_covers_the_area_of_a_disc_and_leaves_far_openings_closed():
    screen = Screen(200, 200, Intrinsics(500.0, 500.0, 99.5, 99.5), screen_of().pose)
    corners = [[(-0.5, 3.0, 0.9), (0.5, 3.0, 0.9), (0.5, 3.0, 1.9), (-0.5, 3.0, 1.9)]]
    areas = {}
    for material in (Material.SIGN_PLATE, Material.SIGN_DISC, Material.SIGN_TRIANGLE, Material.SPOKES):
        parts = PartsBuilder()
        parts.owner(20)
        parts.quads(corners, material, (1, 1, 1))
        areas[material] = (draw(parts, screen)[1] == 20).sum()
    full = areas[Material.SIGN_PLATE]
    assert math.isclose(areas[Material.SIGN_DISC] / full, math.pi / 4, rel_tol=0.02)
    assert math.isclose(areas[Material.SIGN_TRIANGLE] / full, 0.5, rel_tol=0.02)
    assert 0.2 < areas[Material.SPOKES] / full < 0.6
