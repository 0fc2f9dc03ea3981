"""Draft trees (DDTree, arXiv 2604.12989): the likeliest paths by the product of rows' marginals.

The likeliest chain joins as its nodes' turn comes, not as a whole before all others: else a tree of
no more nodes than rows would be that chain, which accepts less.
"""

import heapq
from collections.abc import Sequence

Marginals = Sequence[
    Sequence[float]
]  # of each row, log-probabilities of its best tokens, best first


def sizes_needed(marginals: Marginals, path: Sequence[int | None], most_nodes: int) -> list[int]:
    """How large the tree must be to hold the first, the first two, ... drafts of a text.

    path: for each row the rank of the text's token among the row's best, None where it is not among
    them. Nodes join the tree best first, so a smaller one is the beginning of a larger one. What a
    tree of n nodes accepts is the number of sizes that are n at most.
    """
    sizes: list[int] = []
    # Negative log-probability, row, rank, whether the nodes above are the text's, their own cost.
    heap: list[tuple[float, int, int, bool, float]] = [(-marginals[0][0], 0, 0, True, 0.0)]
    for size in range(1, most_nodes + 1):
        if not heap:
            break
        cost, row, rank, follows, above = heapq.heappop(heap)
        if rank + 1 < len(marginals[row]):
            heapq.heappush(heap, (above - marginals[row][rank + 1], row, rank + 1, follows, above))
        follows = follows and path[row] == rank
        if follows:
            sizes.append(size)
        if row + 1 < len(marginals):
            heapq.heappush(heap, (cost - marginals[row + 1][0], row + 1, 0, follows, cost))
    return sizes
