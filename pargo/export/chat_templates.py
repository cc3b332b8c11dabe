"""Chat templates: a conversation as the text that a model was trained on, as Jinja for transformers' processors.

`compact` is what `pargo.data.template` writes; `release` is the prompt of the released checkpoint's evaluation. With
the variable `piece_marks`, which `PargoProcessor` sets, they say where each piece of `pargo.data.pieces` begins.
"""

from __future__ import annotations

from pargo.benchmarks.answering.prompts import TEMPLATES
from pargo.data.pieces import CONTROL, IMAGE_TOKEN, OPENING, PIECE_MARKS, TEXT

_MARKS = {"text": TEXT, "opening": OPENING, "control": CONTROL}
_START = (
    "{%- if tools or documents -%}{{- raise_exception('this model knows no tools and no documents') -}}{%- endif -%}"
    + "".join(f"{{%- set {name} = '\\u{ord(mark):04x}' if {PIECE_MARKS} else '' -%}}" for name, mark in _MARKS.items())
)
_EACH_MESSAGE = (
    "{%- for message in messages -%}"
    "{%- if message.role not in ('user', 'assistant') -%}"
    "{{- raise_exception('this model knows no role ' ~ message.role) -}}"
    "{%- endif -%}"
    "{%- if message.content is string -%}{%- set parts = [{'type': 'text', 'text': message.content}] -%}"
    "{%- else -%}{%- set parts = message.content -%}{%- endif -%}"
    "{%- for part in parts if part.type not in ('text', 'image', 'image_url') -%}"
    "{{- raise_exception('this model reads text and images, no ' ~ part.type) -}}"
    "{%- endfor -%}"
    "{%- set images = parts | selectattr('type', 'in', ('image', 'image_url')) | list -%}"
    "{%- set words = parts | selectattr('type', 'equalto', 'text') | map(attribute='text') | join"
    + "".join(f" | replace('\\u{ord(mark):04x}', '')" for mark in _MARKS.values())
    + " -%}"
)
_IMAGE = f"control ~ '{IMAGE_TOKEN}'"

COMPACT = (
    _START
    + _EACH_MESSAGE
    + "{%- for image in images -%}{{- "
    + _IMAGE
    + " -}}{%- endfor -%}"
    + "{%- if message.role == 'user' -%}{{- text ~ '\\n' ~ text ~ words -}}"
    + "{%- else -%}"
    + "{%- if words -%}{{- text ~ ' ' ~ words -}}{%- endif -%}"
    # the newline before a question ends the answer before it
    + "{%- if loop.last -%}{{- text ~ '\\n' -}}{%- endif -%}"
    + "{%- endif -%}"
    + "{%- endfor -%}"
)

_BEFORE, _BETWEEN, _AFTER = TEMPLATES["pargo_release"]
_SYSTEM, _USER, _BEFORE_IMAGE = _BEFORE.partition("USER: ")
RELEASE = (
    _START
    + "{{- control ~ '<s>' ~ opening ~ "
    + repr(_SYSTEM)
    + " -}}"
    + _EACH_MESSAGE
    + "{%- if message.role == 'user' -%}{{- ('' if loop.first else opening) ~ "
    + repr(_USER)
    + " -}}"
    + "{%- for image in images -%}{{- "
    + f"{_BEFORE_IMAGE!r} ~ {_IMAGE} ~ opening ~ {_BETWEEN!r}"
    + " -}}{%- endfor -%}"
    + "{{- words ~ "
    + repr(_AFTER)
    + " -}}"
    + "{%- else -%}{{- text ~ words ~ control ~ '</s>' -}}{%- endif -%}"
    + "{%- endfor -%}"
)

CHAT_TEMPLATES = {"compact": COMPACT, "release": RELEASE}
