"""Which token stands for what a block does not know yet."""

from .base import Base
from .errors import TrainError

NAME = "<|mask|>"
USUAL = (
    151669  # what heads published for Qwen's models use: a row that their embeddings leave unused
)


def mask_token_id(base: Base, given: int | None = None) -> int:
    """The one given, or the tokenizer's own, or a row of the embedding that no token has."""
    size = base.config.vocab_size
    if given is not None:
        if not 0 <= given < size:
            raise TrainError(
                f"--mask-token-id is {given}; this base has the tokens 0 to {size - 1}."
            )
        return given
    named = base.tokenizer.token_to_id(NAME)
    if named is not None:
        return named
    unused = max(base.tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    if unused <= USUAL < size:
        return USUAL
    if unused < size:
        return unused
    raise TrainError(
        "this base has a token for each row of its embedding, and none is named "
        f"{NAME}: give --mask-token-id, a token that texts do not have."
    )
