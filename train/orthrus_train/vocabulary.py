"""What a tokenizer says about ids: which a text may have, and which end it."""

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from .chat import END

SPECIALS = ("<|endoftext|>", "<|im_start|>", END, "<|mask|>")


def byte_tokenizer() -> Tokenizer:
    """A token for each byte (ids 0 to 255), then SPECIALS: for bases of random weights."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIALS])
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text in which the names of special tokens stand for these."""
    return tokenizer.encode(text, add_special_tokens=False).ids


def end_ids(tokenizer: Tokenizer, eos_ids: tuple[int, ...]) -> tuple[int, ...]:
    """The tokens that end an answer or a text: the configuration's, and ChatML's."""
    named = (tokenizer.token_to_id(END), tokenizer.token_to_id("<|endoftext|>"))
    return tuple(dict.fromkeys(eos_ids + tuple(i for i in named if i is not None)))


def choosable(tokenizer: Tokenizer, vocab_size: int, eos_ids: tuple[int, ...]) -> Tensor:
    """bool [vocab_size]: the ids that a base may choose in a text of its own.

    Not those that no text has (an embedding has more rows than there are tokens), nor special
    tokens but those that end it: what follows them is no text.
    """
    allowed = torch.zeros(vocab_size, dtype=torch.bool)
    allowed[list(tokenizer.get_vocab(with_added_tokens=True).values())] = True
    special = [i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    allowed[special] = False
    allowed[list(end_ids(tokenizer, eos_ids))] = True
    return allowed
