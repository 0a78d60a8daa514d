"""A digit asked for in words, English or Chinese: "a thick 7 leaning right", "向右倾的粗7"."""
import re

from common.data.measures import MEASURES
from common.errors import UserError

DIGITS = "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"
FILLERS = ("a", "an", "and", "the", "digit", "一个", "数字", "的", "而", "且", "又", ",", "，", "、", ".", "。")
WORDS = {word: (name, value) for name, measure in MEASURES.items() for word, value in measure.words.items()}
ENGLISH, CHINESE = ([word for word in WORDS if word.isascii() == ascii] for ascii in (True, False))
WORDS |= {word: ("digit", i) for i in range(10) for word in (str(i), DIGITS[i], "零一二三四五六七八九"[i])}
WORDS |= dict.fromkeys(FILLERS, (None, None))
LONGEST_FIRST = sorted(WORDS, key=len, reverse=True)
LATIN_END = r"(?![a-z0-9])"  # of a word that might go on
ANY_WORD = re.compile("|".join(
    re.escape(word) + (LATIN_END if word.isascii() and word[0].isalnum() else "") for word in LONGEST_FIRST
))  # fmt: skip
KNOWN = f"{', '.join(ENGLISH)}, {'、'.join(CHINESE)}, and a digit, as 7, seven or 七"


def parse(prompt):
    """What a prompt asks for, {"digit": 7, "thickness": 95, ...}: measures by percentile (None: the value 0).

    UserError for a word that is not known, and for two that contradict each other."""
    asked, said, rest = {}, {}, " ".join(prompt.lower().split())
    while rest:
        found = ANY_WORD.match(rest)
        if not found:
            raise UserError(f"--prompt: \"{rest.split()[0]}\" is not among the words it knows: {KNOWN}")
        word, rest = found[0], rest[found.end() :].lstrip()
        name, value = WORDS[word]
        if asked.setdefault(name, value) != value:
            raise UserError(f"--prompt: \"{said[name]}\" and \"{word}\" contradict each other: its words are {KNOWN}")
        said[name] = word
    asked.pop(None, None)
    return asked
