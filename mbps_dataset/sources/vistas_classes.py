"""Names of Mapillary Vistas' classes, of versions 1.2 and 2.0, as classes of Cityscapes.

From the ``config`` files of the data set. Decisions: road shoulders, service lanes, crossings, bike lanes and markings on the road
are road; curb cuts and pedestrian areas sidewalk; the backs of traffic signs are static, since Cityscapes labels their fronts alone;
poles that carry wires are poles; boats, other and slow vehicles, and animals are dynamic; mountains, sand, snow and
water are ground or static, which Cityscapes has no class for.
"""

from __future__ import annotations


GROUP = "human--person--person-group"

_BY_CITYSCAPES = {
    "road": """
        construction--flat--road construction--flat--road-shoulder construction--flat--service-lane construction--flat--bike-lane
        construction--flat--crosswalk-plain construction--flat--driveway marking--crosswalk-zebra marking--general
        marking--continuous--dashed marking--continuous--solid marking--continuous--zigzag marking--discrete--crosswalk-zebra
        marking--discrete--ambiguous marking--discrete--arrow--left marking--discrete--arrow--other marking--discrete--arrow--right
        marking--discrete--arrow--split-left-or-straight marking--discrete--arrow--split-right-or-straight
        marking--discrete--arrow--straight marking--discrete--give-way-row marking--discrete--give-way-single
        marking--discrete--hatched--chevron marking--discrete--hatched--diagonal marking--discrete--other-marking
        marking--discrete--stop-line marking--discrete--symbol--bicycle marking--discrete--symbol--other marking--discrete--text
        marking-only--continuous--dashed marking-only--discrete--crosswalk-zebra marking-only--discrete--other-marking
        marking-only--discrete--text object--manhole object--catch-basin object--pothole""",
    "sidewalk": """
        construction--flat--sidewalk construction--flat--curb-cut construction--flat--pedestrian-area construction--barrier--curb""",
    "parking": "construction--flat--parking construction--flat--parking-aisle",
    "rail track": "construction--flat--rail-track",
    "building": "construction--structure--building construction--structure--garage",
    "wall": "construction--barrier--wall construction--barrier--acoustic construction--barrier--concrete-block",
    "fence": "construction--barrier--fence construction--barrier--temporary",
    "guard rail": "construction--barrier--guard-rail",
    "bridge": "construction--structure--bridge",
    "tunnel": "construction--structure--tunnel",
    "pole": "object--support--pole object--support--utility-pole object--support--pole-group",
    "traffic light": """
        object--traffic-light object--traffic-light--cyclists object--traffic-light--general-horizontal
        object--traffic-light--general-horizontal-back object--traffic-light--general-horizontal-front
        object--traffic-light--general-horizontal-side object--traffic-light--general-single
        object--traffic-light--general-upright object--traffic-light--general-upright-back
        object--traffic-light--general-upright-front object--traffic-light--general-upright-side
        object--traffic-light--other-traffic-light object--traffic-light--pedestrians object--traffic-light--temporary
        object--traffic-light--warning""",
    "traffic sign": """
        object--traffic-sign--front object--traffic-sign--direction-front object--traffic-sign--information-parking
        object--traffic-sign--temporary-front""",
    "vegetation": "nature--vegetation",
    "terrain": "nature--terrain",
    "sky": "nature--sky",
    "person": f"human--person human--person--individual {GROUP}",
    "rider": "human--rider--bicyclist human--rider--motorcyclist human--rider--other-rider",
    "car": "object--vehicle--car",
    "truck": "object--vehicle--truck",
    "bus": "object--vehicle--bus",
    "caravan": "object--vehicle--caravan",
    "trailer": "object--vehicle--trailer",
    "train": "object--vehicle--on-rails",
    "motorcycle": "object--vehicle--motorcycle",
    "bicycle": "object--vehicle--bicycle",
    "static": """
        construction--barrier--ambiguous construction--barrier--other-barrier construction--barrier--separator
        construction--barrier--road-median construction--barrier--road-side object--banner object--bench object--bike-rack
        object--billboard object--cctv-camera object--fire-hydrant object--junction-box object--mailbox object--parking-meter
        object--phone-booth object--ramp object--sign--advertisement object--sign--ambiguous object--sign--back
        object--sign--information object--sign--other object--sign--store object--street-light
        object--support--traffic-sign-frame object--traffic-cone object--traffic-sign--ambiguous object--traffic-sign--back
        object--traffic-sign--direction-back object--traffic-sign--temporary-back object--trash-can object--water-valve
        object--wire-group nature--mountain void--static""",
    "ground": """
        construction--flat--traffic-island nature--beach nature--desert nature--sand nature--snow nature--water void--ground""",
    "dynamic": """
        animal--bird animal--ground-animal object--vehicle--boat object--vehicle--other-vehicle
        object--vehicle--vehicle-group object--vehicle--wheeled-slow void--dynamic""",
    "ego vehicle": "void--car-mount void--ego-vehicle",
    "unlabeled": "void--unlabeled",
}  # fmt: skip

VISTAS: dict[str, str] = {theirs: name for name, names in _BY_CITYSCAPES.items() for theirs in names.split()}
"""Name in Cityscapes by the name in Mapillary Vistas."""
