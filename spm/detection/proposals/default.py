"""The proposals of a detector that was given none."""

from __future__ import annotations

from ..._tools.public import public
from .edge_boxes import EdgeBoxes
from .selective_search import SelectiveSearch
from .windows import SlidingWindows


@public("spm.detection")
def default_proposals() -> EdgeBoxes:
    """Return what a detector proposes by that was given no proposals: 2,000 boxes of three kinds.

    Edge boxes far from each other first, then selective search's of a small image, then windows: of all that was
    measured what finds most for its time (``benchmarks/results/proposals.md``).

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import default_proposals
    >>> default_proposals().propose(np.zeros((120, 160), np.uint8)).shape
    (2000, 4)
    """
    return EdgeBoxes(overlap=0.55, fill=SelectiveSearch(size=300, fill=SlidingWindows()))
