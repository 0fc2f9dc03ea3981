"""Requests that begin alike go to the same replica, whose cache knows the beginning."""

from __future__ import annotations

import hashlib
from typing import Any

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica

PREFIX = 512  # characters


def prefix_of(request: dict[str, Any]) -> str:
    """Of a chat what its first messages say, up to the user's first; all of its turns share it."""
    if "messages" not in request:
        return str(request.get("prompt"))[:PREFIX]
    said = []
    for message in request["messages"]:
        said.append(str(message))
        if isinstance(message, dict) and message.get("role") == "user":
            break
    return "\n".join([str(request.get("tools")), *said])[:PREFIX]


class PrefixRouter(FIFOMixin, RequestRouter):  # type: ignore[misc]
    """Ranks replicas by a hash of (prefix, replica). One whose queue is full is passed over.

    When a replica comes or goes, only the prefixes move that are its own.
    """

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        if pending_request is None or not pending_request.args:
            return [candidate_replicas]
        prefix = prefix_of(pending_request.args[0])

        def weight(replica: RunningReplica) -> bytes:
            return hashlib.sha256(f"{replica.replica_id.unique_id}\n{prefix}".encode()).digest()

        return [[replica] for replica in sorted(candidate_replicas, key=weight)]
