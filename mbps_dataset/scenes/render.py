"""From a seed to pictures: plan, parts, visibility, colour, camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.assembly import assemble, footprints
from mbps_dataset.scenes.camera import intrinsics_of
from mbps_dataset.scenes.correspondence import Correspondence, correspond
from mbps_dataset.scenes.layout import Plan
from mbps_dataset.scenes.population import draw_plan, moving_ids
from mbps_dataset.scenes.primitives import Parts
from mbps_dataset.scenes.projection import Projected, Screen, project_ellipsoids, project_faces
from mbps_dataset.scenes.raster import Visible, rasterise
from mbps_dataset.scenes.scene_settings import RenderedView, SceneSettings
from mbps_dataset.scenes.sensor import expose
from mbps_dataset.scenes.shading import Shader
from mbps_dataset.scenes.weather import ShadowMap, Weather, weather_of


_DEFAULT = SceneSettings()
SKY = 23

_Projection = tuple[Projected, Parts]
"""Projected primitives and the parts of the street they come from."""


@dataclass(frozen=True)
class Scene:
    """A street drawn from a seed, and the weather over it. Without `things_move` only the camera moves with time."""

    seed: int
    settings: SceneSettings
    plan: Plan
    weather: Weather
    things_move: bool = True

    @classmethod
    def draw(cls, seed: int, settings: SceneSettings = _DEFAULT, *, things_move: bool = True) -> Scene:
        """The scene of `seed`; raises `ValueError` unless `seed` is a whole number from 0."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(
                f"Expected `seed` to be a whole number from 0, but got {seed!r}; pass for instance seed=0."
            )
        weather = weather_of(int(seed))
        weather = replace(weather, haze=weather.haze * settings.haze)
        return cls(int(seed), settings, draw_plan(int(seed), settings.traffic), weather, things_move)

    def view(self, time: float = 0.0, right: bool = False) -> RenderedView:
        """What the left (or the `right`) camera sees at `time`, in frames."""
        screen, visible, faces, ellipsoids = self._rasterised(time, right)
        shadows = ShadowMap(footprints(self.plan, self._moment(time)), self.weather)
        shader = Shader(visible, faces, ellipsoids, self.weather, shadows, screen)
        rng = np.random.default_rng([self.seed, *_bits(time), int(right)])
        image = expose(shader.rows, visible.part.shape, self.weather, self.settings.noise, rng)
        return RenderedView(image, *_truth(visible, faces, ellipsoids), screen.intrinsics, screen.pose)

    def truth(
        self, time: float = 0.0, right: bool = False
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float32]]:
        """`label_ids`, `instance_ids` and `depth` of `view`, without the colours: less than half of its time."""
        _, visible, faces, ellipsoids = self._rasterised(time, right)
        return _truth(visible, faces, ellipsoids)

    def moving_ids(self) -> frozenset[int]:
        """Instance ids of what moves by itself, in view or not; nothing without `things_move`."""
        return moving_ids(self.plan) if self.things_move else frozenset()

    def correspondence(
        self, time: float = 0.0, right: bool = False, *, other_time: float = 0.0, other_right: bool = False
    ) -> Correspondence:
        """Where the points that one camera sees at `time` lie in the picture of the other camera, or at another time."""
        here, visible, (faces, face_parts), (ellipsoids, ellipsoid_parts) = self._rasterised(time, right)
        there, seen_there, _, _ = self._rasterised(other_time, other_right)
        parts = np.concatenate([faces.source, ellipsoids.source + len(face_parts.shape), [-1]])[visible.part]
        moved = assemble(self.plan, self._moment(time), here, moved_to=self._moment(other_time))
        return correspond(
            here,
            visible.inverse_depth,
            parts,
            ((face_parts, ellipsoid_parts), moved),
            there,
            seen_there.inverse_depth,
        )

    def _moment(self, time: float) -> float:
        """The time at which things are where `time` finds them."""
        return time if self.things_move else 0.0

    def _rasterised(self, time: float, right: bool) -> tuple[Screen, Visible, _Projection, _Projection]:
        """What is seen where: the camera, the part of every pixel, and the faces and ellipsoids behind the parts."""
        settings = self.settings
        screen = Screen(settings.height, settings.width, intrinsics_of(settings), self.plan.ego.pose(time, right))
        face_parts, ellipsoid_parts = assemble(self.plan, self._moment(time), screen)
        faces, ellipsoids = project_faces(face_parts, screen), project_ellipsoids(ellipsoid_parts, screen)
        visible = rasterise(faces, face_parts, ellipsoids, ellipsoid_parts, screen)
        return screen, visible, (faces, face_parts), (ellipsoids, ellipsoid_parts)


def _bits(time: float) -> list[int]:
    """A time as whole numbers, for seeding the noise of a frame."""
    return np.array([time], np.float64).view(np.uint32).tolist()


def _truth(
    visible: Visible, faces: _Projection, ellipsoids: _Projection
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float32]]:
    """Label id, instance id and depth of every pixel."""
    (projected, face_parts), (round_ones, ellipsoid_parts) = faces, ellipsoids
    label = np.concatenate([face_parts.label[projected.source], ellipsoid_parts.label[round_ones.source], [SKY]])
    number = np.concatenate([face_parts.instance[projected.source], ellipsoid_parts.instance[round_ones.source], [-1]])
    instance = np.where(number >= 0, label.astype(np.int32) * 1000 + number, label).astype(np.int32)
    part = visible.part.astype(np.intp)
    depth = 1.0 / np.maximum(visible.inverse_depth, np.float32(1e-6))
    depth *= visible.part >= 0
    return label.astype(np.uint8).take(part), instance.take(part), depth


def render(seed: int, settings: SceneSettings = _DEFAULT, *, time: float = 0.0, right: bool = False) -> RenderedView:
    """Render the street scene of `seed` as seen at `time` (in frames) by the left or the `right` camera.

    The same arguments give the same arrays. Moving objects and the camera move with `time`; the sensor noise is another
    one in every frame and every camera. Raises `ValueError` for a bad seed or time.
    """
    if not np.isfinite(time) or abs(time) > 30:
        raise ValueError(f"Expected `time` to be from -30 to 30 frames, but got {time}; scenes are short.")
    return Scene.draw(seed, settings).view(float(time), right)


def render_triplet(seed: int, settings: SceneSettings = _DEFAULT) -> tuple[RenderedView, RenderedView, RenderedView]:
    """The views of the left camera at times −1, 0 and +1."""
    scene = Scene.draw(seed, settings)
    return scene.view(-1.0), scene.view(0.0), scene.view(1.0)
