"""Settings of the two training stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pargo.config.base import Fraction, Name, Positive, Settings
from pargo.config.models import LoRA


class Train(Settings):
    """One training stage. A sample is one image with its caption or its conversation."""

    mixture: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="dataset name -> sampling weight"
    )
    features: Literal["stored", "in_loop"] = Field(
        "stored",
        description="stored: of the stage `features`, computed once for all arms; in_loop: by the tower at every step",
    )
    num_samples: Positive = Field(description="drawn in all: the number of steps times `batch_size`")
    batch_size: Positive = Field(description="samples per optimizer step, over all ranks")
    micro_batch_size: Positive = Field(description="samples per forward pass of one rank")
    packing: bool = Field(
        True, description="samples of a pass in one row without padding; attention stays inside each sample"
    )
    max_length: Positive | None = Field(
        None,
        description="tokens of a sample with its image; a longer one is cut, and skipped if no answer is left; both "
        "are counted by dataset, in `metrics.jsonl` and `provenance.json`, and told at the start and the end",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(description="of the projector")
    schedule: Literal["cosine", "linear", "constant", "warmup_stable_decay"] = Field(
        "cosine", description="warmup_stable_decay: constant, then linear over the last quarter of the steps"
    )
    warmup: Fraction = Field(0.03, description="fraction of the steps")
    final_learning_rate: Fraction = Field(0.05, description="fraction of the peak towards which it decays")
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    zero_stage: Literal[0, 1, 2, 3] = 0
    activation_checkpointing: bool = Field(
        False, description="keep only the input of each layer for the backward pass: less memory, a third more time"
    )
    on_bad_sample: Literal["stop", "skip"] = Field(
        "stop", description="for an image that cannot be read or features that are not finite; skipped ones are counted"
    )
    on_non_finite: Literal["stop", "skip"] = Field(
        "stop", description="for a step whose loss or gradient is not finite; skip: no update, counted"
    )
    deterministic: bool = Field(True, description="the same bits in every run on the same hardware (GPU: slower)")
    num_threads: Positive = Field(1, description="CPU threads; part of the numbers, as sums are split by thread")
    num_workers: Annotated[int, Field(ge=0)] = Field(0, description="processes that read samples ahead")
    checkpoint_interval: Positive = Field(100, description="optimizer steps")
    keep_checkpoints: Positive = 2

    @model_validator(mode="after")
    def _batches(self) -> Train:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size {self.micro_batch_size}"
            )
        if self.num_samples % self.batch_size:
            raise ValueError(f"num_samples {self.num_samples} is not a multiple of batch_size {self.batch_size}")
        return self

    @property
    def num_steps(self) -> int:
        return self.num_samples // self.batch_size


class Alignment(Settings):
    """Before pretraining: the projector alone learns which details the captions have, and no language model runs."""

    num_samples: Positive = Field(description="drawn in all: the number of steps times `batch_size`")
    batch_size: Positive = Field(16, description="samples per optimizer step")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="of the projector, by AdamW")

    @model_validator(mode="after")
    def _batches(self) -> Alignment:
        if self.num_samples % self.batch_size:
            raise ValueError(f"num_samples {self.num_samples} is not a multiple of batch_size {self.batch_size}")
        return self


class Pretrain(Train):
    """Stage 1: the projector alone learns from captions; encoder and language model are frozen."""

    lora: LoRA | None = Field(None, description="not the paper's protocol: LoRA already in stage 1, labelled as such")
    alignment: Alignment | None = Field(
        None, description="not the paper's protocol: projectors first learn which details a caption has"
    )

    @model_validator(mode="after")
    def _alignment_reads_features(self) -> Pretrain:
        if self.alignment and self.features != "stored":
            raise ValueError(f"alignment: reads stored features, and features is {self.features!r}")
        return self


class Finetune(Train):
    """Stage 2: projector and LoRA learn from multi-turn conversations."""

    lora: LoRA
    max_turns: Positive | None = Field(
        None, description="question-answer pairs of a sample: the first ones, or other ones in every epoch if shuffled"
    )
