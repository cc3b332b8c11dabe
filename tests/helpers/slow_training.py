"""Pretraining with a pause in every step: long enough for a cluster to interfere. What it computes is the same."""

from __future__ import annotations

import os
import time
from typing import Any

from pargo.train import loop, pretrain
from pargo.train.pretrain import PretrainSettings

_step = loop._step


def _slow(*parts: Any) -> dict:
    time.sleep(float(os.environ.get("PAUSE", "0.1")))
    return _step(*parts)


def run(settings: PretrainSettings, **paths: Any) -> None:
    loop._step = _slow
    pretrain.run(settings, **paths)
