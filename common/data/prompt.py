"""Prompts in English or Chinese words: "a thick 7 leaning right", "向右倾的粗7", "a cat of high age"."""
import re
from collections import Counter

from common.data.measures import MEASURES
from common.errors import UserError

DIGITS = "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"
CHINESE_DIGITS = "零一二三四五六七八九"
FILLERS = (
    "a", "an", "and", "the", "of", "with", "digit", "一个", "数字", "的", "而", "且", "又", ",", "，", "、", ".", "。",
)  # fmt: skip
LATIN_END = r"(?![a-z0-9])"  # the end of a Latin word


def vocabulary(spec):
    """The words for a data set's classes and measures, {word: (name, value)}."""
    words = {word: (name, value) for name, m in MEASURES.items() for word, value in m.words.items()}
    for name in (name for name in spec.measures if name not in MEASURES):
        words |= {f"low {name}".lower(): (name, 5), f"high {name}".lower(): (name, 95)}
    lowered = Counter(known.lower() for known in spec.classes)
    for label, known in enumerate(spec.classes):
        if lowered[known.lower()] > 1:  # "A" and "a": --label tells them apart
            continue
        digit = int(known) if known.isdecimal() and int(known) < 10 else None
        names = (known.lower(),) if digit is None else (known, DIGITS[digit], CHINESE_DIGITS[digit])
        words |= dict.fromkeys(names, ("label", label))
    return words


def parse(prompt, spec):
    """Parse a prompt to {"label": 7, "thickness": 95, ...}: measures as percentiles (None: the value 0).

    A filler that is also a class ("a" among letters) means the class only if no other word names one. UserError for
    an unknown word, and for two that contradict each other."""
    words = vocabulary(spec)
    known = sorted({*words, *FILLERS} - {""}, key=len, reverse=True)
    ends = (LATIN_END if word.isascii() and word[-1].isalnum() else "" for word in known)
    any_word = re.compile("|".join(re.escape(word) + end for word, end in zip(known, ends)))
    meant, fillers, rest = {}, {}, " ".join(prompt.lower().split())
    others = [word for word, (name, _) in words.items() if name in spec.measures]
    known_words = f"use {''.join(f'{word}, ' for word in others)}{'and ' * bool(others)}the classes {spec.few_classes}"
    while rest:
        match = any_word.match(rest)
        if not match:
            raise UserError(f"--prompt: the word \"{rest.split()[0]}\" is unknown: {known_words}")
        word, rest = match[0], rest[match.end() :].lstrip()
        name, value = words.get(word, (None, None))
        if word in FILLERS:
            fillers[word] = name, value
        elif meant.setdefault(name, (value, word))[0] != value:
            raise UserError(f"--prompt: \"{meant[name][1]}\" and \"{word}\" contradict each other: leave one out")
    labels = [value for name, value in fillers.values() if name == "label"]
    if "label" not in meant and len(labels) == 1:
        meant["label"] = labels[0], None
    return {name: value for name, (value, _) in meant.items()}
