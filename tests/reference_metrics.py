"""Slow, obvious twins of what judges detectors: overlap, suppression, VOC's matching and its two areas."""

from fractions import Fraction


def slow_iou(a, b):
    """Overlap of two boxes of whole numbers, exactly: half-open edges, areas as VOC's pixel counts."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0
    return Fraction(shared, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def count_squares(a, b):
    """The same once more, by counting unit squares."""
    cells = [{(x, y) for x in range(x0, x1) for y in range(y0, y1)} for x0, y0, x1, y1 in (a, b)]
    return Fraction(len(cells[0] & cells[1]), len(cells[0] | cells[1]))


def slow_nms(boxes, scores, labels, iou):
    """Take the best that is left and drop what it covers, until nothing is left."""
    left, kept = list(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        kept.append(best)
        left = [i for i in left if i != best and (labels[i] != labels[best] or slow_iou(boxes[i], boxes[best]) <= iou)]
    return kept


def slow_verdicts(true, found, label, iou):
    """VOCevaldet.m line by line: ("tp", "fp" or None for difficult ones) by falling score, and the count of objects."""
    finds = []
    for i, objects in enumerate(found):
        for k in range(len(objects)):
            if objects.labels[k] == label:
                finds.append((-objects.scores[k], i, k))
    detected, verdicts = set(), []
    for _, i, k in sorted(finds):
        best, which = Fraction(-1), None
        for j in range(len(true[i])):
            if true[i].labels[j] == label:
                overlap = slow_iou(found[i].boxes[k].astype(int).tolist(), true[i].boxes[j].astype(int).tolist())
                if overlap > best:
                    best, which = overlap, j
        if which is None or best < iou:
            verdicts.append("fp")
        elif true[i].difficult[which]:
            verdicts.append(None)
        elif (i, which) in detected:
            verdicts.append("fp")
        else:
            detected.add((i, which))
            verdicts.append("tp")
    n = sum(
        not d for objects in true for d, name in zip(objects.difficult, objects.labels, strict=True) if name == label
    )
    return verdicts, n


def slow_curve(verdicts, n):
    """Recall and precision after each find, as fractions."""
    recall, precision, tp, fp = [], [], 0, 0
    for verdict in verdicts:
        if verdict is None:
            continue
        tp, fp = tp + (verdict == "tp"), fp + (verdict == "fp")
        recall.append(Fraction(tp, n))
        precision.append(Fraction(tp, tp + fp))
    return recall, precision


def slow_voc2007(recall, precision):
    """The mean of the best precision at recall 0, 0.1 to 1 and beyond."""
    at = [Fraction(t, 10) for t in range(11)]
    return sum(max((p for r, p in zip(recall, precision, strict=True) if r >= t), default=0) for t in at) / Fraction(11)


def slow_voc2010(recall, precision):
    """VOCap.m of 2010: sentinels at both ends, precision made falling, the area of the steps."""
    mrec, mpre = [Fraction(0), *recall, Fraction(1)], [Fraction(0), *precision, Fraction(0)]
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    return sum((mrec[i] - mrec[i - 1]) * mpre[i] for i in range(1, len(mrec)))


def slow_coco(recall, precision):
    """The best precision at recall 0, 0.01 to 1 and beyond, compared in rounded numbers as COCO's code does."""
    at = [t * 0.01 for t in range(101)]  # numpy's linspace: 0.7000000000000001 is one
    pairs = list(zip(recall, precision, strict=True))
    return [max((p for r, p in pairs if float(r) >= t), default=Fraction(0)) for t in at]
