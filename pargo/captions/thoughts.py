"""Thoughts of reasoning models in a caption: cut where their end is marked, found where it is not."""

from __future__ import annotations

import re
from heapq import merge

from pargo.captions.wrappers import is_mention

_NAMES = r"(?:\w+:)?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis)"
# DeepSeek-R1, Qwen3, GLM, Seed-OSS and others; OpenThinker; Kimi; Magistral; Command A; MedGemma; Granite; Ollama
OPEN = re.compile(
    rf"<\s*{_NAMES}\s*>|<\|begin_of_thought\|>|\u25c1think\u25b7|\[THINK\]|<\|START_THINKING\|>|<unused94>(?:thought)?"
    r"|\A\s*Here(?:['\u2019]s| is) my thought process:|\A\s*Thinking\.\.\.\s*\n",
    re.IGNORECASE,
)
CLOSE = re.compile(
    rf"<\s*/\s*{_NAMES}\s*>|<\|end_of_thought\|>|\u25c1/think\u25b7|\[/THINK\]|<\|END_THINKING\|>|<unused95>"
    r"|Here(?:['\u2019]s| is) my response:|\.\.\.done thinking\.",
    re.IGNORECASE,
)
# what some of them put round the answer that follows
ANSWER = re.compile(
    r"\s*(?:<(?:answer|response)>|<\|begin_of_(?:solution|box)\|>|<\|START_RESPONSE\|>)(.*?)"
    r"(?:</(?:answer|response)>|<\|end_of_(?:solution|box)\|>|<\|END_RESPONSE\|>)?\s*",
    re.IGNORECASE | re.DOTALL,
)
# gpt-oss (harmony): channels, of which `final` is the answer; and what stays when its control tokens are taken out
CHANNEL = re.compile(r"<\|channel\|>")
FINAL = re.compile(r".*<\|channel\|>\s*final[^<]*<\|message\|>(.*?)(?:<\|(?:return|end|call)\|>.*)?", re.DOTALL)
BARE = re.compile(r"\s*analysis(?=[A-Z]).*?(?:assistant\s*final(.*))?", re.DOTALL)
ALOUD = re.compile(
    r"\b(?:i|i['\u2019](?:ll|m)|let me|let['\u2019]s|the user|wait|okay|hmm+|we (?:need|should))\b"
    r"|用户|让我|我需要|好的",
    re.IGNORECASE,
)
_DO = r"(?:describe|write|caption|provide|look|see|think|analy[sz]e|start|begin|break|examine|create|generate)\b"
UNMARKED = re.compile(
    r"\s*(?:[#*_]*(?:thoughts?|thinking(?: process)?|thought process|reasoning)[\s*_]*:"
    r"|(?:ok|okay|alright|hmm+|wait|so|first|got it|right|well)[,.\u2026]*\s+(?:so,?\s+)?(?:the user\b|i (?:need"
    r"|have|should|want|will|am)\b|i['\u2019](?:ll|m)\b|let(?:['\u2019]s| me| us)\b|we (?:need|have|should|are)\b)"
    r"|the user (?:wants|asks|asked|is asking|needs|said|provided|uploaded)\b"
    rf"|(?:(?:i|we) (?:need|have|want) to|(?:i|we) (?:should|will|must)|i['\u2019]ll|let(?:['\u2019]s| me| us)) {_DO}"
    r"|(?:(?:好的|嗯|首先)[\uff0c,。]?\s*)?(?:用户(?:要求|希望|想|让)"
    r"|(?:我们?(?:需要|应该|得)|让我们?)(?:先|来|再|仔细|根据|描述|分析|观察|看看|写|想|提供|生成|用|一步)))",
    re.IGNORECASE,
)


def without_thoughts(text: str) -> str:
    """The text without the thoughts whose end is marked, also where their beginning is not.

    It stays as it is where nothing else would be left.
    """
    rest = text
    if found := FINAL.fullmatch(text) or BARE.fullmatch(text):
        rest = found[1] or ""
    while (place := _marked(rest)) is not None:
        rest = rest[: place[0]] + rest[place[1] :]
    if rest != text and (found := ANSWER.fullmatch(rest)):
        rest = found[1]
    return rest if rest.strip() else text


def has_thoughts(text: str) -> bool:
    """Thoughts without an end are in it, or nothing else."""
    return bool(
        _open(text)
        or _marked(text)
        or BARE.fullmatch(text)
        or UNMARKED.match(text)
        or any(not is_mention(text, *match.span()) for match in CHANNEL.finditer(text))
    )


def _open(text: str) -> re.Match[str] | None:
    """The first mark that opens thoughts."""
    return next((match for match in OPEN.finditer(text) if not is_mention(text, *match.span())), None)


def _marked(text: str) -> tuple[int, int] | None:
    """Where in the text the first thoughts begin, and end; None if their end is not marked."""
    opened = _open(text)
    until = opened.start() if opened else len(text)
    closed = _last_end(text, until)
    if closed is not None or opened is None:
        return None if closed is None else (0, closed)
    depth, end = 0, None
    opens = ((match.start(), match.end(), 1) for match in OPEN.finditer(text, opened.start()))
    closes = ((match.start(), match.end(), -1) for match in CLOSE.finditer(text, opened.start()))
    for _, place, step in merge(opens, closes):
        depth += step
        end = place if step < 0 else end
        if depth == 0:
            break
    return None if end is None else (opened.start(), end)


def _last_end(text: str, until: int) -> int | None:
    """Where thoughts end whose beginning is not marked; who speaks of a picture does not think aloud before that."""
    begin, aloud = 0, ALOUD.search(text, 0, until)
    for match in CLOSE.finditer(text, 0, until):
        start, end = match.start() - begin, match.end() - begin
        if (aloud and aloud.end() <= match.start()) or not is_mention(text[begin:], start, end):
            begin = match.end()
            if aloud and aloud.start() < begin:  # else it is still the next one
                aloud = ALOUD.search(text, begin, until)
    return begin or None
