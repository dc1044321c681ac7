"""``spm detect train | predict | evaluate``: images with boxes in, a detector, what it finds and how well out."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from .._tools.text import Table, printable
from ..errors import ImageError, SpmError, check_choice
from ._arguments import add_json, add_seed, add_set_option, add_work_options, count_of
from ._steps import (
    assignments,
    check_output,
    check_report,
    count,
    fit,
    is_watched,
    print_json,
    reasons,
    set_options,
    work_options,
)

HELP = "find objects: learn a detector, use it, measure it"
PROPOSALS = {"selective-search": "SelectiveSearch", "edge-boxes": "EdgeBoxes", "windows": "SlidingWindows"}
PARTS = {"train": ("trainval", "train"), "evaluate": ("test", "val")}  # the first that a folder has
COCO_RANGE = "0.50:0.95"
HEAD = ["file", "label", "score", "x0", "y0", "x1", "y1"]


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the three commands, each with what it takes."""
    commands = command.add_subparsers(required=True, metavar="COMMAND")
    for add, run, text in (
        (_add_train, _train, "learn a detector from images with boxes"),
        (_add_predict, _predict, "print the objects of each photograph"),
        (_add_evaluate, _evaluate, "measure a detector's average precision on images with boxes"),
    ):
        name = run.__name__.removeprefix("_")
        inner = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        inner.set_defaults(act=run)
        add(inner)


def run(arguments: argparse.Namespace) -> None:
    """Do what the inner command says."""
    arguments.act(arguments)


# Arguments


def _add_data(command: argparse.ArgumentParser, parts: tuple[str, ...]) -> None:
    command.add_argument(
        "data",
        metavar="DATA",
        help="a folder of VOC's or YOLO's layout, or a JSON file of COCO's kind; which it is, it tells by its content",
    )
    told = f"part of a folder, such as {parts[0]} (default: the first that there is of {', '.join(parts)}; else all)"
    command.add_argument("--split", metavar="NAME", help=told)
    command.add_argument("--images", metavar="DIR", help="where the images of a JSON file lie (default: beside it)")


def _add_memory(command: argparse.ArgumentParser, what: str = "proposals here, so that they are made once") -> None:
    command.add_argument("--memory", metavar="DIR", help=f"keep {what}")


def _add_train(command: argparse.ArgumentParser) -> None:
    _add_data(command, PARTS["train"])
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="where to save the model, such as m.spm")
    command.add_argument(
        "--preset",
        metavar="NAME",
        help="words, sppnet2014_detection or rcnn2014 (default: words; with --model sppnet2014_detection)",
    )
    command.add_argument("--model", metavar="NETWORK", help="an ONNX file, of which a map describes the regions")
    command.add_argument("--layers", metavar="NAME,...", help="which of its maps, see spm layers (default: the last)")
    command.add_argument("--preprocess", metavar="NAME", help="imagenet, caffe or tf (default: imagenet)")
    command.add_argument(
        "--scales",
        type=_numbers,
        metavar="N,...",
        help="shorter sides in pixels at which the network sees an image (default: 688)",
    )
    command.add_argument(
        "--proposals", choices=PROPOSALS, default="selective-search", help="where objects may be (default: %(default)s)"
    )
    _add_memory(command, "proposals and steps here: a training that was stopped goes on")
    add_set_option(command, "an option of the preset, such as levels=1,2, of the detector, such as C=0.01, or of its "
                   "steps, such as proposals__max_boxes=500")  # fmt: skip
    add_seed(command)
    add_work_options(command)


def _add_predict(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", help="a file that spm detect train has saved")
    command.add_argument("images", metavar="IMAGE", nargs="+", help="a photograph's file")
    command.add_argument(
        "--least-score",
        type=float,
        metavar="X",
        help="score above which an object is told (default: the model's own, -1.5 unless set)",
    )
    command.add_argument(
        "--most",
        type=count_of("objects"),
        default=10,
        metavar="N",
        help="objects of a photograph, the surest (default: 10)",
    )
    command.add_argument("--draw", metavar="DIR", help="write the photographs with what was found drawn over them here")
    _add_memory(command)
    add_json(command)
    add_work_options(command, on_error="skip")


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", help="a file that spm detect train has saved")
    _add_data(command, PARTS["evaluate"])
    rules = ("voc2007", "voc2010", "coco")
    command.add_argument("--rule", choices=rules, default="voc2007", help="of average precision (default: %(default)s)")
    command.add_argument(
        "--iou",
        type=_overlap,
        default=0.5,
        metavar="X",
        help=f"by how much a find must overlap an object (default: 0.5); {COCO_RANGE} is the mean over COCO's ten",
    )
    command.add_argument("--report", metavar="FILE", help="write a page about it, such as page.html, with pictures")
    _add_memory(command)
    add_json(command)
    add_work_options(command)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of sizes in pixels, such as 480,688")
    return numbers


def _overlap(text: str) -> float | str:
    try:
        value = COCO_RANGE if text == COCO_RANGE else float(text)
    except ValueError:
        value = -1.0
    if value != COCO_RANGE and not 0 <= float(value) <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number from 0 to 1 nor {COCO_RANGE}")
    return value


# What the commands share


def _read(arguments: argparse.Namespace, command: str) -> Any:
    """Return the images of the data set and their objects."""
    from ..detection import load_objects

    split = arguments.split or (None if os.path.isfile(arguments.data) else PARTS[command])
    try:
        found = load_objects(arguments.data, split=split, images=arguments.images)
    except ImageError as error:  # of an image that a box is measured by: to skip it is not on offer
        raise SpmError(f"{error}: take it and its boxes out of {arguments.data}") from error
    if not found.data:
        raise SpmError(f"{arguments.data}: there are no images in it (part: {found.part})")
    return found


def _load(arguments: argparse.Namespace) -> Any:
    """Return a saved detector."""
    from ..detection.base import Detector
    from ..storage import load

    path = arguments.model
    model = load(path)
    if not isinstance(model, Detector):
        raise SpmError(f"{path} holds a {type(model).__name__}, which is no detector: spm predict takes it")
    return model.set_params(memory=arguments.memory)


def _about(found: Any) -> str:
    """Return a few words on a data set, by which a mistaken part is seen."""
    return f"{found.format}, {found.part}"


# Train


def _train(arguments: argparse.Namespace) -> None:
    from .._tools.options import check_all_options
    from ..storage import save

    check_output(arguments.output)
    model = _make(arguments)
    check_all_options(model)
    data = _read(arguments, "train")
    used, skipped = fit(model, data.data, data.target, arguments.data, arguments)
    save(model, arguments.output)
    n_objects = sum(len(data.target[i]) for i in used)
    print(
        f"{printable(arguments.output)}: {len(model.classes_)} classes from {n_objects} objects of {len(used)} images "
        f"({_about(data)}){count(skipped)}"
    )


def _make(arguments: argparse.Namespace) -> Any:
    """Return the detector that the arguments ask for."""
    from inspect import signature

    from .. import detection
    from ..presets import DETECTORS

    name = arguments.preset or ("words" if arguments.model is None else "sppnet2014_detection")
    check_choice("preset", name, DETECTORS)
    own = list(signature(DETECTORS[name]).parameters)
    layers = None if arguments.layers is None else [part.strip() for part in arguments.layers.split(",")]
    told = {"model": arguments.model, "layers": layers, "preprocess": arguments.preprocess, "scales": arguments.scales}
    given = {option: value for option, value in told.items() if value is not None}
    for option in given:
        if option not in own:
            raise SpmError(f"--{option}: the preset {name} has no such option; its own are {', '.join(own)}")
    options = assignments(arguments)
    given |= {option: value for option, value in options.items() if option in own}
    given |= {"n_jobs": arguments.jobs, "verbose": is_watched(), "random_state": arguments.seed}
    model = DETECTORS[name](**given, memory=arguments.memory)
    model.set_params(proposals=getattr(detection, PROPOSALS[arguments.proposals])())
    return set_options(model, {option: value for option, value in options.items() if option not in own}, own)


# Predict


def _predict(arguments: argparse.Namespace) -> None:
    from ..evaluation.detection import find_objects

    places = _places(arguments)
    model = _load(arguments)
    if arguments.least_score is not None:
        model.set_params(least_score=arguments.least_score)
    table = None if arguments.json else _table(arguments.images, model.classes_)

    def tell(i: int, found: Any) -> None:
        if table is not None:
            for row in _rows(found):
                table.add([arguments.images[i], *row])
        if places and not isinstance(found, ImageError):
            _draw(arguments.images[i], found, places[i])

    result = find_objects(model, arguments.images, most=arguments.most, on_image=tell, **work_options(arguments))
    if arguments.json:
        print_json(_finds(arguments.images, result))
    if not result.used:
        raise SpmError(f"none of the {len(arguments.images)} images can be used")


def _table(images: list[str], classes: Any) -> Table:
    return Table(HEAD, [images, [*map(str, classes), "nothing"], ["-100.000"], *[["10000.0"]] * 4], n_texts=2)


def _rows(found: Any) -> list[list[str]]:
    """Return what the table says of an image: a row an object, or why there is none."""
    if isinstance(found, ImageError):
        return [[found.reason]]
    if not len(found):
        return [["nothing"]]
    return [
        [str(label), f"{score:.3f}", *(f"{edge:.1f}" for edge in box)]
        for label, score, box in zip(found.labels, found.scores, found.boxes, strict=True)
    ]


def _finds(images: list[str], result: Any) -> dict[str, Any]:
    """Return what was found, as a document."""
    found = {
        images[i]: [
            {"label": label, "score": score, "box": box}
            for label, score, box in zip(
                objects.labels.tolist(), objects.scores.tolist(), objects.boxes.tolist(), strict=True
            )
        ]
        for i, objects in zip(result.used, result.objects, strict=True)
    }
    return {"objects": found, "skipped": reasons(result)}


def _places(arguments: argparse.Namespace) -> list[Path]:
    """Return where each drawing goes; refuse those that would lie on each other, or on a photograph."""
    if arguments.draw is None:
        return []
    folder = Path(arguments.draw)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SpmError(f"{folder}: drawings cannot be written there ({error.strerror})") from error
    places = [folder / f"{Path(image).stem}.jpg" for image in arguments.images]
    for i, place in enumerate(places):
        if place in places[:i] and arguments.images[i] != arguments.images[places.index(place)]:
            other = arguments.images[places.index(place)]
            raise SpmError(f"--draw: {other} and {arguments.images[i]} would both be {place}: draw them one by one")
        if place.exists() and any(os.path.exists(image) and place.samefile(image) for image in arguments.images):
            raise SpmError(f"--draw: {place} is one of the photographs: give another folder")
    return places


def _draw(image: str, found: Any, place: Path) -> None:
    from PIL import Image

    from .._tools.files import write_whole
    from ..detection import draw

    picture = Image.fromarray(draw(image, found))
    write_whole(place, lambda file: picture.save(file, "JPEG", quality=90), "the drawing")


# Evaluate


def _evaluate(arguments: argparse.Namespace) -> None:
    from ..detection import average_precision, confusion_table, error_table
    from ..detection.metrics.matching import best_finds
    from ..evaluation.detection import find_objects

    check_report(arguments)
    model = _load(arguments)
    data = _read(arguments, "evaluate")
    start = time.perf_counter()
    result = find_objects(model, data.data, **work_options(arguments))
    seconds = time.perf_counter() - start
    if not result.used:
        raise SpmError(f"{arguments.data}: none of the {len(data.data)} images can be used")
    true = [data.target[i] for i in result.used]
    iou = 0.5 if arguments.iou == COCO_RANGE else arguments.iou
    measured = average_precision(true, result.objects, iou=arguments.iou, rule=arguments.rule)
    errors = error_table(true, result.objects, iou=iou)
    confusion = confusion_table(true, best_finds(true, result.objects), iou=iou)
    if arguments.json:
        tables = {"errors": _document(errors), "confusion": _document(confusion)}
        print_json({**_figures(measured), **tables, "data": _about(data), "n_images": len(true), "seconds": seconds,
                    "skipped": reasons(result)})  # fmt: skip
    else:
        told = f"{100 * measured.mean:.1f} % mean average precision"
        print(f"{told} ({len(true)} images, {_about(data)}, {seconds / len(true):.2f} s each{count(result.skipped)})\n")
        print(printable(str(measured).replace("  nan", "    -"), keep="\n"))
        print(f"\nThe best finds of each class, as many as it has objects, at an overlap of {iou:g}:\n\n{errors}")
        print(f"\nWhat is taken for what, of the same finds:\n\n{confusion}")
    if arguments.report is not None:
        _report(arguments, model, data, result)


def _figures(measured: Any) -> dict[str, Any]:
    """Return the average precisions as a document; what is not known is null, as JSON has no other word for it."""
    known = {str(label): None if ap != ap else ap for label, ap in measured.by_class.items()}
    objects = {str(label): n for label, n in measured.n_objects.items()}
    mean = None if measured.mean != measured.mean else measured.mean
    return {"rule": measured.rule, "ious": list(measured.by_iou), "mean": mean, "by_class": known, "n_objects": objects}


def _document(table: Any) -> dict[str, dict[str, int]]:
    rows = zip(table.rows, table.counts.tolist(), strict=True)
    return {str(row): dict(zip(map(str, table.columns), counts, strict=True)) for row, counts in rows}


def _report(arguments: argparse.Namespace, model: Any, data: Any, result: Any) -> None:
    from ..report import detection_page, write_page

    if is_watched():
        print("spm: writing the report", file=sys.stderr)
    page = detection_page(
        [data.data[i] for i in result.used],
        [data.target[i] for i in result.used],
        result.objects,
        iou=arguments.iou,
        rule=arguments.rule,
        model=model,
        title=f"Detection in {os.path.basename(os.path.abspath(arguments.data))}, {data.part}",
        command=shlex.join(["spm", *arguments.given]),
        skipped=list(reasons(result).items()),
        n_jobs=arguments.jobs,
    )
    write_page(arguments.report, page)
