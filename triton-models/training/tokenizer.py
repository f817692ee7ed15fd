"""The small vocabulary as a Hugging Face tokenizer.json, and the same tokenisation for training.

Whole words of the grammar; any other word is `<unk>`. The model type is WordPiece without pieces, since JavaScript's
tokenizers read no WordLevel.
"""

import json
import re

import torch

from .world.grammar import all_words

PAD, END, UNKNOWN = 0, 1, 2
VOCABULARY = {token: index for index, token in enumerate(["<pad>", "</s>", "<unk>", *all_words()])}


def encode(sentence, tokens):
    """ids and mask (tokens,) as lists, `</s>` last even when cut."""
    words = re.findall(r"\w+|[^\w\s]+", sentence.lower())
    ids = [VOCABULARY.get(word, UNKNOWN) for word in words][: tokens - 1] + [END]
    return ids + [PAD] * (tokens - len(ids)), [True] * len(ids) + [False] * (tokens - len(ids))


def encode_batch(sentences, tokens):
    encoded = [encode(sentence, tokens) for sentence in sentences]
    return torch.tensor([ids for ids, _ in encoded]), torch.tensor([mask for _, mask in encoded])


def scatter_unknown(ids, share, generator):
    """Replaces a share of the words by `<unk>`, so that unknown words in a prompt are harmless."""
    chosen = (torch.rand(ids.shape, generator=generator) < share) & (ids > UNKNOWN)
    return ids.masked_fill(chosen, UNKNOWN)


def save_tokenizer(path):
    special = [{"id": VOCABULARY[token], "content": token, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for token in ("<pad>", "</s>", "<unk>")]
    content = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [END], "tokens": ["</s>"]}},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
        "model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": VOCABULARY},
    }
    with open(path, "w") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
