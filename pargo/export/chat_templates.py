"""Chat templates: a conversation as the text that a model was trained on, as Jinja for transformers' processors.

`compact` is what `pargo.data.template` writes; `release` is the prompt of the released checkpoint's evaluation.
"""

from __future__ import annotations

_ONE_IMAGE_FIRST = (
    "{%- for message in messages -%}"
    "{%- if message.role not in ('user', 'assistant') -%}"
    "{{- raise_exception('this model knows no role ' ~ message.role) -}}"
    "{%- endif -%}"
    "{%- if message.content is string -%}{%- set parts = [{'type': 'text', 'text': message.content}] -%}"
    "{%- else -%}{%- set parts = message.content -%}{%- endif -%}"
)
_TEXT = "{%- for part in parts if part.type == 'text' -%}{{- part.text -}}{%- endfor -%}"
_IMAGE = "{%- for part in parts if part.type in ('image', 'image_url') -%}{{- '<image>' -}}{%- endfor -%}"

COMPACT = (
    _ONE_IMAGE_FIRST
    + _IMAGE
    # the newline before a question ends the answer before it
    + "{%- if message.role == 'user' -%}{{- '\\n' -}}{%- else -%}{{- ' ' -}}{%- endif -%}"
    + _TEXT
    + "{%- endfor -%}"
)

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. "
)
RELEASE = (
    "{{- '<s>' -}}{{- "
    + repr(SYSTEM)
    + " -}}"
    + _ONE_IMAGE_FIRST
    + "{%- if message.role == 'user' -%}{{- 'USER: ' -}}"
    + "{%- for part in parts if part.type in ('image', 'image_url') -%}{{- '<Img><image></Img> ' -}}{%- endfor -%}"
    + _TEXT
    + "{{- '\\nASSISTANT: ' -}}"
    + "{%- else -%}"
    + _TEXT
    + "{{- '</s>' -}}{%- endif -%}"
    + "{%- endfor -%}"
)

CHAT_TEMPLATES = {"compact": COMPACT, "release": RELEASE}
