"""The names of Mapillary Vistas, counted against its configurations."""

from __future__ import annotations

from mbps_dataset import taxonomy
from mbps_dataset.sources.vistas_classes import _BY_CITYSCAPES, GROUP, VISTAS


V1 = """
animal--bird animal--ground-animal construction--barrier--curb construction--barrier--fence construction--barrier--guard-rail
construction--barrier--other-barrier construction--barrier--wall construction--flat--bike-lane construction--flat--crosswalk-plain
construction--flat--curb-cut construction--flat--parking construction--flat--pedestrian-area construction--flat--rail-track
construction--flat--road construction--flat--service-lane construction--flat--sidewalk construction--structure--bridge
construction--structure--building construction--structure--tunnel human--person human--rider--bicyclist human--rider--motorcyclist
human--rider--other-rider marking--crosswalk-zebra marking--general nature--mountain nature--sand nature--sky nature--snow
nature--terrain nature--vegetation nature--water object--banner object--bench object--bike-rack object--billboard object--catch-basin
object--cctv-camera object--fire-hydrant object--junction-box object--mailbox object--manhole object--phone-booth object--pothole
object--street-light object--support--pole object--support--traffic-sign-frame object--support--utility-pole object--traffic-light
object--traffic-sign--back object--traffic-sign--front object--trash-can object--vehicle--bicycle object--vehicle--boat
object--vehicle--bus object--vehicle--car object--vehicle--caravan object--vehicle--motorcycle object--vehicle--on-rails
object--vehicle--other-vehicle object--vehicle--trailer object--vehicle--truck object--vehicle--wheeled-slow void--car-mount
void--ego-vehicle void--unlabeled
""".split()


def test_every_class_of_version_1_2_is_named_and_reaches_the_19():
    assert len(V1) == 66 and set(V1) <= set(VISTAS)
    reached = {VISTAS[name] for name in V1}
    assert set(taxonomy.NAMES_19) <= reached


def test_a_name_is_listed_once_and_leads_to_a_class_of_cityscapes():
    listed = [name for names in _BY_CITYSCAPES.values() for name in names.split()]
    assert len(listed) == len(set(listed)) == len(VISTAS) > 124 and GROUP in VISTAS
    assert set(VISTAS.values()) <= {c.name for c in taxonomy.CITYSCAPES}
