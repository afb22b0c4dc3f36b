"""A tokenizer and a model made from nothing, small enough to be trained in seconds and large enough to call tools."""

from __future__ import annotations

from pathlib import Path

import torch
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

TEMPLATE = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text()
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]

DECLARATION = '{"type": "function"'


def bare() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes, to apply the chat template with."""
    return _fast(Tokenizer(models.BPE()))


def tokenizer(texts: list[str], size: int = 1_000) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which every declaration of a tool is one token: what they cost is not what is tried here."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    lines = {line for text in texts for line in text.splitlines() if line.startswith(DECLARATION)}
    made.train_from_iterator(("\n".join(x for x in t.splitlines() if x not in lines) for t in texts), trainer)
    made.add_tokens(sorted(lines))
    return _fast(made)


def _fast(made: Tokenizer) -> PreTrainedTokenizerFast:
    made.add_tokens(MARKS)  # added, and not special, as Qwen has them: they must survive the decoding
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        chat_template=TEMPLATE,
    )


def model(words: PreTrainedTokenizerFast, width: int = 96, longest: int = 2_048) -> Qwen3ForCausalLM:
    """Two layers of Qwen3, at random."""
    torch.manual_seed(0)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(words), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=width // 4, max_position_embeddings=longest, tie_word_embeddings=True,
            eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
        )
    )  # fmt: skip
