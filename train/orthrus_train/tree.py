"""Draft trees (DDTree, arXiv 2604.12989): the likeliest paths by the product of their tokens'
probabilities, each of which may hang on the token before it.

The likeliest chain joins as its nodes' turn comes, not as a whole before all others: else a tree of
no more nodes than rows would be that chain, which accepts less.
"""

import heapq
from collections.abc import Sequence

import numpy as np


def sizes_needed(probabilities: np.ndarray, path: Sequence[int], most_nodes: int) -> list[int]:
    """How large the tree must be to hold the first, the first two, ... drafts of a text.

    probabilities [rows, N, N]: log-probabilities of each row's N candidates (last axis), given each
    candidate of the row before; of row 0 the first line counts. path: for each row which of its
    candidates the text's token is, -1 where it is none of them. Nodes join the tree best first, so
    a smaller one is the beginning of a larger one. What a tree of n nodes accepts is the number of
    sizes that are n at most.
    """
    sizes: list[int] = []
    # Cost (a negative log-probability) of the node, its row, which of its parent's children it is,
    # all of these, best first, with costs and candidates, and whether the parent is the text's.
    Children = list[tuple[float, int]]
    heap: list[tuple[float, int, int, Children, bool]] = []

    def add_children(row: int, parent: int, above: float, follows: bool) -> None:
        costs = (above - probabilities[row, parent]).tolist()
        children = sorted(zip(costs, range(len(costs))))
        heapq.heappush(heap, (children[0][0], row, 0, children, follows))

    add_children(0, 0, 0.0, True)
    for size in range(1, most_nodes + 1):
        if not heap:
            break
        cost, row, place, children, follows = heapq.heappop(heap)
        if place + 1 < len(children):
            following = children[place + 1][0]
            heapq.heappush(heap, (following, row, place + 1, children, follows))
        candidate = children[place][1]
        follows = follows and path[row] == candidate
        if follows:
            sizes.append(size)
        if row + 1 < len(probabilities):
            add_children(row + 1, candidate, cost, follows)
    return sizes
