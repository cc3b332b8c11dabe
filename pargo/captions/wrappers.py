"""What servers leave round a caption or in it: role words, labels, control tokens, quotes. Each kind is a rule.

A caption may speak of such a thing, because it is written in the picture: in quotes, or in the middle of a sentence.
"""

from __future__ import annotations

import json
import re

QUOTES = {
    '"': '"',
    "'": "'",
    "`": "`",
    "\u201c": "\u201d",
    "\u2018": "\u2019",
    "\u201e": "\u201c",
    "\xab": "\xbb",
    "\u300c": "\u300d",
    "\u300e": "\u300f",
    "\u300a": "\u300b",
}
# templates of ChatML, Llama 2 and 3, Mistral, Gemma, Phi, DeepSeek, GLM, InternLM; places of images and boxes
CONTROL = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<\uff5c[^\uff5c<>]{1,40}\uff5c>|^\s*<s>|</s>\s*(?:$|<s>)|\[/?INST\]|<</?SYS>>|\[gMASK\]"
    r"|<(?:bos|eos|pad|unk|cls|sep|mask|sop|eop|eoa|eoh|end_of_\w+|start_of_\w+|im_start|im_end|unused\d+|extra_id_\d+)>"
    r"|<(?:image|video|audio|img)(?:_?\d+|_placeholder|_soft_token)?>|</?(?:img|ref|box|quad|answer)>|<IMG_CONTEXT>"
    r"|\[IMG(?:_BREAK|_END)?\]|<fake_token_around_image>|<global-img>|<row_\d+_col_\d+>|<loc\d{4}>|<seg\d{3}>"
    r"|<0x[0-9A-F]{2}>|\[(?:CLS|SEP|PAD|UNK)\]"
    # places as Florence-2, Kosmos-2 and Molmo write them
    r"|<loc_\d+>|<grounding>|<patch_index_\d+>|</?phrase>|</?points?(?:\s[^<>]{0,200})?>"
)
ROLE = re.compile(
    r"\A[\s#*_>]*(?:(?:ai |gpt-?4\w* |final |short )?"
    r"(?:assistant|response|answer|output|user|question|bot|chatgpt|gpt-?4\w*|ai)"
    r"|助手|回答|回复|アシスタント)[\s*_]*[:\uff1a]"
    r"|\A\s*(?:assistant|model|user|system)[^\S\n]*\n"  # a template whose control tokens were taken out
    r"|^[^\S\n]*#{2,}\s*(?:assistant|response|human|user|instruction|input|output|answer)\b\s*:?",
    re.IGNORECASE | re.MULTILINE,
)
# the model goes on with a talk of its own
TURN = re.compile(
    r"(?:[.!?\u3002]\s+|\n)(?:USER|ASSISTANT|HUMAN)\s*:|[.!?\u3002]\s*\n[^\S\n]*(?:User|Assistant|Human)\s*:"
    r"|(?<!#)#{2,}\s*(?:Human|User|Assistant|Instruction|Response)\s*:"
)
_HEAD = (
    r"(?:(?:the|an?|one|possible|concise|simple|suitable|alternative|image|photo|picture|visual|scene|short|brief|long"
    r"|detailed|dense|full|final|suggested|generated|revised|objective|comprehensive|english)[\s-]+){0,4}"
    r"(?:captions?|descriptions?|alt[ -]?text)"
    r"(?:\s+(?:of|for)\s+(?:the|this|an?)\s+(?:\w+\s+)?(?:image|picture|photo|photograph|scene))?(?: \d)?"
)
_HERE = (
    r"(?:(?:sure|certainly|of course|absolutely)[,!.]?\s*)?"
    r"(?:here(?:['\u2019]s| is| are)|below is|the following is|this is)"
)
_NOUN = r"(?:captions?|descriptions?|alt[ -]?text|summary|overview|answer)"
LABEL = re.compile(
    rf"\A[\s#*_>-]*(?:{_HEAD}[\s*_]*(?:[:\uff1a]|\n|[-\u2013\u2014]\s)|option (?:\d|[a-c])[\s*_]*:)"
    rf"|\A[\s#*_>-]*{_HEAD} (?:is|could be|would be|might be)(?: as follows)?\s*:"
    rf"|\A\W*{_HERE}\b[^.!?\n:]{{0,80}}\b{_NOUN}\b[^.!?\n:]{{0,60}}[:\n]"
    r"|\A[\s#*_>-]*(?:(?:图片|图像|照片|画面|画像|이미지|사진) ?)?[的の]?(?:详细|詳細な?)?"
    r"(?:描述|说明|标题|説明|キャプション|설명|캡션)(?:如下)?[\s*_]*[:\uff1a]"
    r"|\A\s*(?:以下是|这是|以下は)[^。\uff1a:\n]{0,30}(?:描述|说明|説明)[^。\uff1a:\n]{0,10}[\uff1a:]"
    # headings, and lines that begin with words in bold and a colon
    r"|^[^\S\n]*#{1,6}[^\S\n]+\w"
    # what a model says of its caption at the end
    r"|\n(?:[^\S\n]|[*_(])*note\b[\s*_]*:|[(\[]\s*(?:word count:? ?)?\d+ words?\s*[)\]]\s*\Z"
    r"|^[^\S\n]*(?:[-*+\u2022]\s+|\d+[.)]\s+)?(?:\*\*|__)[^*_\n]{1,60}"
    r"(?:[:\uff1a](?:\*\*|__)|(?:\*\*|__)[^\S\n]*(?:[:\uff1a]|$))",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"\s*(```.*|`[^`]+`|\*\*[^*]+\*\*|<\w+>.*</\w+>|\$*\\boxed\{.*\}\$*)\s*", re.DOTALL)


def is_mention(text: str, start: int, end: int) -> bool:
    """Whether what stands there is something that the caption speaks of: in quotes, or in the middle of a sentence."""
    before, after = text[:start], text[end:]
    if before and before[-1] in QUOTES and (len(before) == 1 or before[-2].isspace() or before[-2] in "(["):
        return True
    line, follows = before.rpartition("\n")[2], after.partition("\n")[0]
    if not line.strip():
        return False
    if line[-1].isspace() and (line.rstrip()[-1].isalnum() or line.rstrip()[-1] in ",;-"):
        return re.match(r"[,.;:!?)]|\s+(?:[,;(]|and\b|[^\W\d_A-Z])", follows) is not None
    return _is_ideographic(line[-1]) and _is_ideographic(follows[:1])


def _is_ideographic(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff"


def has_control_token(text: str) -> bool:
    """Control tokens of a chat template, or places for images and boxes, that nobody took out."""
    return any(not is_mention(text, *match.span()) for match in CONTROL.finditer(text))


def has_role(text: str) -> bool:
    """The text begins with who speaks (`ASSISTANT:`, `### Response:`), or somebody else speaks in it."""
    return bool(ROLE.search(text) or TURN.search(text))


def has_label(text: str) -> bool:
    """The text begins with what it is (`**Caption:**`, `Here is a description of the image:`), or has headings."""
    return bool(LABEL.search(text))


def is_wrapped(text: str) -> bool:
    """Quotes, a code fence, bold, tags, a box of LaTeX or JSON are round the whole of it."""
    text = text.strip()
    if _FENCE.fullmatch(text):
        return True
    if text[:1] in "{[" and text[-1:] in "}]":
        try:
            return isinstance(json.loads(text), dict | list)
        except (ValueError, RecursionError):
            return False
    close = QUOTES.get(text[:1])
    inner = text[1:].rstrip(".")
    if close is None or not inner.endswith(close):
        return False
    if close != text[0]:
        depth = 1  # the first quote is closed by the last
        for character in inner[:-1]:
            depth += (character == text[0]) - (character == close)
            if depth == 0:
                return False
        return True
    # an apostrophe stands in a word; another quote within opens before a word
    marks = [match.start() for match in re.finditer(rf"(?<!\w){close}|{close}(?!\w)", inner)]
    return marks[0] == len(inner) - 1 or marks[0] == 0 or inner[marks[0] - 1] in " (\n"
