"""True objects and found ones in, tables of what went wrong out: kinds of errors, and what is taken for what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._tools.public import public
from ..._tools.text import printable
from ...datasets.voc import CLASSES
from ...errors import SpmError, check_number
from ..objects import Objects
from ..overlap import check_share, iou_matrix
from .matching import DUPLICATE, HIT, IGNORED, MISS, Matches, check_pair, match_class, scores_of

KINDS = ("objects", "hit", "localisation", "similar", "other", "background", "duplicate", "ignored", "missed")
VOC_SIMILAR = (
    ("aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"),
    ("bird", "cat", "cow", "dog", "horse", "person", "sheep"),
    ("chair", "diningtable", "sofa"),
    ("aeroplane", "bird"),
)
"""Which of VOC's classes are alike, by Hoiem, Chodpathumwan and Dai 2012, section 2.2."""
BACKGROUND, MISSED = "background", "missed"
_NEAR = 0.1  # from which overlap on a find has to do with an object, by the same


@public("spm.detection")
@dataclass(frozen=True)
class CountTable:
    """Counts with names for rows and columns; printed, it is a table.

    Attributes
    ----------
    rows, columns : list
        Names of classes or of kinds.
    counts : ndarray of shape (n_rows, n_columns), int
        ``table[row, column]`` is one of them.

    Examples
    --------
    >>> import numpy as np
    >>> table = CountTable(["cat", "dog"], ["hit", "missed"], np.array([[1, 0], [12, 3]]))
    >>> table["dog", "missed"]
    3
    >>> print(table)
         hit  missed
    cat    1       0
    dog   12       3
    """

    rows: list[Any]
    columns: list[Any]
    counts: np.ndarray

    def __getitem__(self, place: tuple[Any, Any]) -> int:
        row, column = place
        for name, names in ((row, self.rows), (column, self.columns)):
            if name not in names:
                raise SpmError(f"{name!r} is none of {', '.join(map(repr, names))}")
        return int(self.counts[self.rows.index(row), self.columns.index(column)])

    def __str__(self) -> str:
        lines = [["", *map(printable, self.columns)]]
        lines += [[printable(row), *map(str, counts)] for row, counts in zip(self.rows, self.counts, strict=True)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
        return "\n".join("  ".join(line).rstrip() for line in aligned)

    def to_frame(self) -> Any:
        """Return the table as a pandas.DataFrame, where pandas is installed."""
        from ...errors import need

        return need("data frames", "pandas", "pandas").DataFrame(self.counts, index=self.rows, columns=self.columns)


@public("spm.detection")
def error_table(
    y_true: Sequence[Objects],
    y_pred: Sequence[Objects],
    *,
    iou: float = 0.5,
    similar: Iterable[Iterable[Any]] | None = None,
    per_object: float | None = 1.0,
) -> CountTable:
    """Count what a detector's best finds of each class are: hits, and false alarms by their cause.

    Parameters
    ----------
    y_true, y_pred : list of Objects
        One for each image, true ones and found ones, see `average_precision`.
    iou : float, default=0.5
        By how much a find must overlap an object.
    similar : iterable of groups of labels, optional
        Which classes are alike: all within a group. By default VOC's groups of Hoiem et al. where all labels are
        VOC's, and none elsewhere.
    per_object : float or None, default=1.0
        How many finds of each class are looked at, the best ones, for each object of the class; None is all. A
        detector's long tail of low scores is mostly background, and would hide the rest.

    Returns
    -------
    CountTable
        A row for each class, a column for each of: ``objects`` that count; ``hit``; ``localisation``, a find whose
        overlap with an object of the class is 0.1 or more but too small; ``similar`` and ``other``, 0.1 or more with an
        object of a class that is alike or not; ``background``, all other false alarms; ``duplicate``, a further
        find of an object that is hit; ``ignored``, a find of a difficult object; ``missed``, objects that none of these
        finds hits. So objects = hit + missed, and the rest are the finds.

    Raises
    ------
    SpmError
        As `average_precision`; for a label in `similar` that does not occur in any list, as a slip of the pen would.

    References
    ----------
    D. Hoiem, Y. Chodpathumwan, Q. Dai 2012, "Diagnosing Error in Object Detectors", section 2.2, where
    duplicates count as localisation. One for each object is theirs.

    Examples
    --------
    >>> from spm.detection import Objects
    >>> true = [Objects([[10, 10, 50, 50], [60, 60, 90, 90]], ["dog", "cat"])]
    >>> boxes = [[10, 10, 50, 50], [11, 10, 50, 50], [10, 10, 30, 30], [60, 60, 90, 90]]
    >>> found = [Objects(boxes, ["dog"] * 4, [0.9, 0.8, 0.7, 0.6])]
    >>> print(error_table(true, found, per_object=None))
         objects  hit  localisation  similar  other  background  duplicate  ignored  missed
    cat        1    0             0        0      0           0          0        0       1
    dog        1    1             1        1      0           0          1        0       0
    """
    check_share("iou", iou)
    if per_object is not None:
        check_number("per_object", per_object, above=0)
    true, found, labels = check_pair(y_true, y_pred)
    near = alike(similar, labels)
    counts = []
    for label in labels:
        match = match_class(true, found, label, iou)
        n = len(match.verdict) if per_object is None else int(np.ceil(per_object * match.n_objects))
        kinds = [kind_of(match, k, true, found, label, near) for k in range(min(n, len(match.verdict)))]
        by_kind = [kinds.count(kind) for kind in KINDS[1:-1]]
        counts.append([match.n_objects, *by_kind, match.n_objects - by_kind[0]])
    return CountTable(labels.tolist(), list(KINDS), np.array(counts, dtype=int).reshape(-1, len(KINDS)))


@public("spm.detection")
def confusion_table(
    y_true: Sequence[Objects], y_pred: Sequence[Objects], *, iou: float = 0.5, min_score: float | None = None
) -> CountTable:
    """Count what is taken for what.

    Finds are matched within their classes first, as `average_precision` does it, so that the diagonal has its hits.
    What is left goes by falling score, each to the free object of another class that it overlaps most.

    Parameters
    ----------
    y_true, y_pred : list of Objects
        One for each image, true ones and found ones, see `average_precision`.
    iou : float, default=0.5
        By how much a find must overlap an object.
    min_score : float, optional
        Finds that score less are left out. By default all count, which for detectors that report many boxes of low
        scores is a table of background.

    Returns
    -------
    CountTable
        A row for each class, by what the objects are, and a last one, ``background``, for false alarms on nothing and
        duplicates; a column for each class, by what was found, and a last one, ``missed``. Difficult objects and what
        belongs to them are left out.

    Raises
    ------
    SpmError
        As `average_precision`.

    Examples
    --------
    >>> from spm.detection import Objects
    >>> true = [Objects([[10, 10, 50, 50], [60, 60, 90, 90]], ["dog", "cat"])]
    >>> found = [Objects([[10, 10, 50, 50], [60, 60, 90, 90], [0, 0, 9, 9]], ["dog"] * 3, [0.9, 0.8, 0.7])]
    >>> print(confusion_table(true, found))
                cat  dog  missed
    cat           0    1       0
    dog           0    1       0
    background    0    1       0
    """
    check_share("iou", iou)
    if min_score is not None:
        check_number("min_score", min_score)
    true, found, labels = check_pair(y_true, y_pred)
    if min_score is not None:
        found = [finds[scores_of(finds) >= min_score] if len(finds) else finds for finds in found]
    code = {label: k for k, label in enumerate(labels.tolist())}
    counts = np.zeros((len(code) + 1, len(code) + 1), dtype=int)
    taken = [objects.difficult.copy() for objects in true]
    left: list[tuple[float, int, int]] = []
    for k, label in enumerate(labels):
        match = match_class(true, found, label, iou)
        for n in np.flatnonzero(match.verdict == HIT):
            taken[match.image[n]][match.target[n]] = True
            counts[k, k] += 1
        rest = np.flatnonzero((match.verdict == MISS) | (match.verdict == DUPLICATE))
        left += [(-match.scores[n], int(match.image[n]), int(match.index[n])) for n in rest]
    for _, image, index in sorted(left):
        row = _object_of_another(true[image], taken[image], found[image], index, iou)
        counts[-1 if row is None else code[row], code[found[image].labels[index].item()]] += 1
    for objects, gone in zip(true, taken, strict=True):
        for label in objects.labels[~gone].tolist():
            counts[code[label], -1] += 1
    return CountTable([*code, BACKGROUND], [*code, MISSED], counts)


def _object_of_another(truth: Objects, taken: np.ndarray, finds: Objects, index: int, iou: float) -> Any:
    """Take the free object of another class that a find overlaps most; return its label, or None."""
    free = np.flatnonzero(~taken & (truth.labels != finds.labels[index]))
    if not len(free):
        return None
    overlaps = iou_matrix(finds.boxes[[index]], truth.boxes[free])[0]
    best = int(overlaps.argmax())
    if overlaps[best] == 0 or overlaps[best] < iou:
        return None
    taken[free[best]] = True
    return truth.labels[free[best]].item()


def alike(similar: Iterable[Iterable[Any]] | None, labels: np.ndarray) -> dict[Any, set[Any]]:
    """Return for each label the labels of its kind, itself not among them."""
    known = labels.tolist()
    if similar is None:
        groups = [set(group) for group in VOC_SIMILAR] if set(known) <= set(CLASSES) else []
    else:
        groups = [{group} if isinstance(group, str) else set(group) for group in similar]
        strangers = set().union(*groups) - set(known) - (set(CLASSES) if set(known) <= set(CLASSES) else set())
        if strangers:
            named = ", ".join(sorted(map(repr, strangers)))
            raise SpmError(f"similar names {named}, which no object has: the labels are {', '.join(map(repr, known))}")
    return {label: set().union(*(group for group in groups if label in group)) - {label} for label in known}


def kind_of(
    match: Matches, k: int, true: list[Objects], found: list[Objects], label: Any, like: dict[Any, set[Any]]
) -> str:
    """Say what one find of a class is, a name of `KINDS`; `like` is what `alike` returns."""
    sure = {HIT: "hit", DUPLICATE: "duplicate", IGNORED: "ignored"}.get(int(match.verdict[k]))
    if sure is not None:
        return sure
    if match.overlap[k] >= _NEAR:
        return "localisation"
    image = match.image[k]
    truth = true[image]
    near = truth.labels[iou_matrix(found[image].boxes[[match.index[k]]], truth.boxes)[0] >= _NEAR].tolist()
    if any(other in like[label.item()] for other in near):
        return "similar"
    return "other" if near else "background"
