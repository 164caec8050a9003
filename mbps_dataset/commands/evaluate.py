"""`mbps eval`: labels against ground truth, or a look at published rows."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mbps_dataset.commands.source_arguments import source_options
from mbps_dataset.errors import InputError
from mbps_dataset.formats import MISSING
from mbps_dataset.formats.class_tables import CLASS_SPLITS
from mbps_dataset.metrics import CONVENTIONS, MATCHINGS, MODES
from mbps_dataset.metrics.protocols import PROTOCOLS
from mbps_dataset.source_names import source_names


if TYPE_CHECKING:
    from mbps_dataset.scoring.score import Score
    from mbps_dataset.sources import Source


_BENCHMARK = "mbps-pseudo"

HELP = "score labels against ground truth, or check published rows"
EXAMPLE = (
    "mbps eval build/demo --split validation --json build/demo/quality.json\n"
    "  mbps eval build/demo build/demo-predicted --split validation\n"
    "  mbps eval predictions.json --truth cityscapes/gtFine/val --convention cups\n"
    "  mbps eval build/demo --split validation --masks --by-distance 0,15,30,60\n"
    "  mbps eval semantic_maps --truth cityscapes/gtFine/val --detections cuvler.json --masks --paint maskcut\n"
    "  mbps eval predictions.json --source bdd100k --data-dir bdd100k --split validation --protocol bdd\n"
    "  mbps eval --lint results.md"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("predictions", nargs="*", type=Path, metavar="PREDICTIONS",
                        help="folder written by `mbps build` or `mbps export`, COCO panoptic .json, Cityscapes tree, "
                             "or folder of maps; of several, each a row of one table")  # fmt: skip
    parser.add_argument("--truth", type=Path, help="likewise (default: the truth of the label set's own source)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR",
                        help="where the images and the truth of a label set lie now, if they moved; of other predictions, the "
                             "data set that is their truth")  # fmt: skip
    parser.add_argument("--source", choices=source_names(),
                        help="of predictions that are no label set: what lies in --data-dir (default: guessed)")  # fmt: skip
    parser.add_argument("--source-option", action="append", default=[], metavar="NAME=VALUE", dest="source_options",
                        help="an option of --source; may be repeated")  # fmt: skip
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), metavar="NAME",
                        help=f"score as published: {', '.join(PROTOCOLS)}; sets sizes, crop, --classes, --convention and matching "
                             "(docs/protocols.md)")  # fmt: skip
    parser.add_argument(
        "--split",
        action="append",
        metavar="NAME",
        help="split of a label set, export or Cityscapes tree, on either side; may be repeated (default: all)",
    )
    parser.add_argument("--convention", choices=tuple(CONVENTIONS), help="void and crowd rules (default: coco)")
    parser.add_argument("--matching", choices=tuple(MATCHINGS),
                        help="pseudo-class to class (default: hungarian for unnamed clusters, else none)")  # fmt: skip
    parser.add_argument(
        "--classes",
        type=int,
        choices=tuple(CLASS_SPLITS),
        help="Cityscapes classes; 16 are the 19, of which wall, fence and terrain are not averaged, 7 the groups flat, "
        "construction, …, vehicle, 2 person and everything else (default: 19)",
    )
    add_choices(parser)
    add_more_scores(parser)
    parser.add_argument("--bootstrap", type=count, default=0, metavar="N", help="N resamples for 95 %% intervals")
    parser.add_argument("--bars", action="store_true", help="PQ per class as bars")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON")
    parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="also write PQ per class as a bar chart")
    parser.add_argument(
        "--eval-results", type=Path, metavar="FILE.yaml", help="also write the Hub's .eval_results entry"
    )
    parser.add_argument(
        "--dataset-id", metavar="ORG/NAME", help=f"benchmark named in that entry (default: {_BENCHMARK})"
    )
    parser.add_argument(
        "--lint", type=Path, metavar="FILE", help="check the rows of a .json or Markdown table instead"
    )


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Arguments for what the files do not say."""
    parser.add_argument(
        "--missing",
        default="error",
        choices=MISSING,
        help="an image that only one side has, or that cannot be read: an error, void (no prediction counts as "
        "everything missed), or skip it (default: error)",
    )
    parser.add_argument("--pseudo-things", type=ids, metavar="ID,ID-ID,…",
                        help="clusters with instances, for the matchings that keep things and stuff apart (default: as the "
                             "label set or `isthing` of a COCO file says)")  # fmt: skip
    parser.add_argument("--pseudo-stuff", type=ids, metavar="ID,ID-ID,…",
                        help="clusters without (default: all others that the file lists)")  # fmt: skip


def ids(text: str) -> tuple[int, ...]:
    """Ids and ranges of ids between commas, ascending. Raises `argparse.ArgumentTypeError` if `text` is anything else.

    >>> ids("7,0-2")
    (0, 1, 2, 7)
    """
    found: set[int] = set()
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", part)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if first > last:
            raise argparse.ArgumentTypeError(f"expected ids like 0,4,19-26, but got {text!r}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def count(text: str) -> int:
    """A number of things, 0 or more. Raises `argparse.ArgumentTypeError` if `text` is anything else."""
    if not re.fullmatch(r"\d{1,6}", text):
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 999999, but got {text!r}")
    return int(text)


def add_more_scores(parser: argparse.ArgumentParser) -> None:
    """Arguments for scores beside panoptic quality."""
    parser.add_argument(
        "--masks",
        action="store_true",
        help="also the average precision of instance masks whatever their class, as COCO takes it "
        "(AP, AP50, AP75; small, medium and large masks)",
    )
    parser.add_argument(
        "--by-distance",
        type=distances,
        default=(),
        metavar="M,M,…",
        help="also PQ and mIoU of the pixels in each range between these distances, e.g. 0,15,30,60, or 0,10,30,inf as CUPS; "
        "by the depth of the ground truth in metres, or else the label set's own in its unit",
    )
    parser.add_argument(
        "--paint",
        choices=MODES,
        help="also PQ as the report paints it, at 512 x 1024: instances in order (sweep), by score with later ones on "
        "top (maskcut), none but connected components, or maskcut and components of what it leaves (hybrid)",
    )
    parser.add_argument(
        "--detections",
        type=Path,
        metavar="FILE",
        help="masks of a detector in place of the predicted instances, for --masks and --paint: COCO .json, or folder "
        "of .npz or .png; they may overlap",
    )


def distances(text: str) -> tuple[float, ...]:
    """Ascending distances between commas. Raises `argparse.ArgumentTypeError` if `text` is anything else."""
    try:
        edges = tuple(float(part) for part in text.split(","))
    except ValueError:
        edges = ()
    if len(edges) < 2 or any(not low < high for low, high in zip(edges, edges[1:])):
        raise argparse.ArgumentTypeError(f"expected two or more ascending distances like 0,15,30,60, but got {text!r}")
    return edges


def run(arguments: argparse.Namespace) -> int:
    """Score and print, or check rows."""
    _require_that_all_is_used(arguments)
    if arguments.lint:
        return _lint(arguments.lint)
    if len(arguments.predictions) > 1:
        return _beside(arguments)
    from mbps_dataset import taxonomy
    from mbps_dataset.formats.class_tables import class_names
    from mbps_dataset.metrics import bar_chart_svg, format_bars
    from mbps_dataset.store import write_atomically

    scored = _scored(arguments, arguments.predictions[0])
    names = class_names(scored.classes)
    print(scored.table())
    if arguments.bars:
        print("\n" + format_bars(scored.result, class_names=names))
    _tell_what_is_missing(scored)
    written = {}
    if arguments.json:
        written[arguments.json] = json.dumps(scored.to_dict(), indent=2) + "\n"
    if arguments.chart:
        colours = {c.train_id: c.colour for c in taxonomy.CLASSES_19} if scored.classes == 19 else None
        written[arguments.chart] = bar_chart_svg(scored.result, class_names=names, colours=colours)
    if arguments.eval_results:
        written[arguments.eval_results] = _hub_entries(scored, arguments.dataset_id or _BENCHMARK)
    for path, text in written.items():
        write_atomically(path, text.encode())
        print(f"written: {path}")
    return 0


def _scored(arguments: argparse.Namespace, predictions: Path) -> Score:
    """One side against the truth, as the arguments say."""
    from mbps_dataset.scoring.score import score

    return score(
        predictions,
        arguments.truth,
        splits=arguments.split or (),
        convention=arguments.convention or "coco",
        matching=arguments.matching,
        classes=arguments.classes or 19,
        missing=arguments.missing,
        pseudo_things=arguments.pseudo_things,
        pseudo_stuff=arguments.pseudo_stuff,
        bootstrap=arguments.bootstrap,
        masks=arguments.masks,
        distances=arguments.by_distance,
        protocol=arguments.protocol,
        painted=arguments.paint,
        detections=arguments.detections,
        source=_source(arguments, predictions),
        progress=not arguments.quiet,
    )


def _tell_what_is_missing(scored: Score) -> None:
    for title, reasons in (("not scored", scored.skipped), ("counted as missed", scored.missed)):
        for reason in reasons:
            print(f"  {title}: {reason}", file=sys.stderr)


def _beside(arguments: argparse.Namespace) -> int:
    """Several sides against the same truth, a row each."""
    rows: list[tuple[str, ...]] = [("labels", "images", "PQ", "things", "stuff", "SQ", "RQ", "mIoU")]
    said = set()
    for predictions in arguments.predictions:
        scored = _scored(arguments, predictions)
        _tell_what_is_missing(scored)
        result = scored.result
        values = (result.pq, result.pq_things, result.pq_stuff, result.sq, result.rq, result.miou)
        numbers = ("–" if value != value else f"{100 * value:.2f}" for value in values)
        rows.append((str(predictions), str(scored.images), *numbers))
        said.add(f"convention {result.convention}, matching {result.matching}, {scored.classes} classes, in percent")
    widths = [max(map(len, column)) for column in zip(*rows)]
    for name, *cells in rows:
        print("  ".join([name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:]))]))
    print("\n".join(sorted(said)))
    return 0


def _require_that_all_is_used(arguments: argparse.Namespace) -> None:
    """Raises `InputError` for an argument that another one leaves without effect."""
    if arguments.lint:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        plain = vars(parser.parse_args(["--lint", str(arguments.lint)]))
        if unused := [name for name, value in plain.items() if getattr(arguments, name) != value]:
            shown = ["PREDICTIONS" if name == "predictions" else f"--{name.replace('_', '-')}" for name in unused]
            raise InputError(f"--lint checks published rows and scores nothing; leave out {', '.join(shown)}.")
    elif not arguments.predictions:
        raise InputError("Give PREDICTIONS to score, or --lint FILE to check published rows.")
    elif len(arguments.predictions) > 1:
        of_one = (
            "bars",
            "json",
            "chart",
            "eval_results",
            "detections",
            "data_dir",
            "masks",
            "by_distance",
            "paint",
            "bootstrap",
        )
        if used := [f"--{name.replace('_', '-')}" for name in of_one if getattr(arguments, name)]:
            raise InputError(f"{', '.join(used)}: for one PREDICTIONS; of several only panoptic quality is printed.")
    if arguments.detections and not (arguments.masks or arguments.paint):
        raise InputError("--detections is scored by --masks and --paint only; add one of them.")
    if arguments.protocol:
        own = ("convention", "classes", "paint", "detections")
        if used := [f"--{name}" for name in own if getattr(arguments, name)]:
            raise InputError(f"--protocol says all that decides a score; leave out {', '.join(used)}.")
    if arguments.source and not arguments.data_dir and arguments.source != "scenes":
        raise InputError("--source says what lies in --data-dir; give that too.")
    if arguments.data_dir and arguments.truth:
        raise InputError("--truth takes the place of the truth below --data-dir; give one of them.")
    if arguments.dataset_id and not arguments.eval_results:
        raise InputError("--dataset-id is written by --eval-results only; add it.")


def _source(arguments: argparse.Namespace, predictions: Path) -> Source | None:
    """The truth's source that is named: of a label set in its new place, or of other predictions. Raises `InputError`."""
    if arguments.data_dir is None and arguments.source is None:
        return None
    if (predictions / "labelset.json").is_file():
        from mbps_dataset.labelset.folder import LabelSetFolder

        if arguments.source or arguments.source_options:
            raise InputError(f"{predictions} knows its source; leave out --source and its options.")
        return LabelSetFolder(predictions).open_source(data_dir=arguments.data_dir)
    from mbps_dataset.sources import open_source, source_of_folder

    name = arguments.source or source_of_folder(arguments.data_dir)
    return open_source(name, data_dir=arguments.data_dir, **source_options(arguments, name))


def _hub_entries(scored: Score, dataset_id: str) -> str:
    """PQ, SQ, RQ and mIoU as the Hub's evaluation results, with convention and matching in the notes."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    result = scored.result
    notes = (
        f"convention {result.convention}, matching {result.matching}, {scored.classes} classes, {scored.images} images"
    )
    entries = [
        EvalResultEntry(dataset_id=dataset_id, task_id=name, value=round(100 * getattr(result, name), 4), notes=notes)
        for name in ("pq", "pq_things", "pq_stuff", "sq", "rq", "miou")
        if getattr(result, name) == getattr(result, name)  # not NaN
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False)


_LARGEST_TABLE = 16_000_000
"""Bytes of a file of published rows; the largest we know has 40 000."""


def _lint(path: Path) -> int:
    from mbps_dataset.metrics import lint_rows, rows_from_json, rows_from_markdown
    from mbps_dataset.reading.json_documents import parse_json, read_regular

    try:
        data = read_regular(path, _LARGEST_TABLE)
        is_json = path.suffix.lower() == ".json"
        rows = rows_from_json(parse_json(data, nan=True), path.stem) if is_json else rows_from_markdown(data.decode())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as rows of results ({error}).") from None
    if not rows:
        raise InputError(
            f"{path}: holds no row with a PQ; give a .json of results or a Markdown table with a PQ column."
        )
    findings = lint_rows(rows)
    for finding in findings:
        print(finding)
    print(f"{len(rows)} rows checked, {len(findings)} findings")
    return 1 if findings else 0
