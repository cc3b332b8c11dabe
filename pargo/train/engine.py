"""The DeepSpeed engine: started quietly, without compiling anything, on one process or many."""

from __future__ import annotations

import logging
import os

import torch

# before DeepSpeed is imported: else it warns that it found no GPU
if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")

import deepspeed
from torch import distributed, nn

from pargo.config.training import Train
from pargo.errors import PargoError

COMPILED_AT_RUN_TIME = "deepspeed_shm_comm"  # a C++ extension for CPU collectives; gloo does the same


def start_process_group() -> tuple[int, int]:
    """Join the group that RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT describe, or be alone; (rank, world size)."""
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    deepspeed.ops.__compatible_ops__[COMPILED_AT_RUN_TIME] = False
    if not distributed.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            distributed.init_process_group(backend)
        else:
            # no port is opened, so any number of runs can share a machine
            distributed.init_process_group(backend, store=distributed.HashStore(), rank=0, world_size=1)
    os.environ.setdefault("LOCAL_RANK", "0")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not deepspeed.comm.is_initialized():
        deepspeed.init_distributed(verbose=False, auto_mpi_discovery=False)
    return distributed.get_rank(), distributed.get_world_size()


def start_engine(
    module: nn.Module, groups: list[dict], train: Train, world_size: int
) -> tuple[deepspeed.DeepSpeedEngine, int]:
    """The engine around a module, and the number of micro-batches of one rank in one step.

    Everything trainable is float32, so DeepSpeed's own mixed precision is not used: frozen weights keep theirs.

    Args:
        module: its forward pass returns a loss.
        groups: parameter groups of AdamW (`params`, `lr`, `name`).
        train: batch sizes, optimizer and ZeRO stage.
        world_size: number of ranks.

    Raises:
        PargoError: the batch cannot be split evenly over the ranks.
    """
    per_pass = train.micro_batch_size * world_size
    if train.batch_size % per_pass:
        raise PargoError(
            f"batch_size {train.batch_size} is not a multiple of micro_batch_size {train.micro_batch_size} x "
            f"{world_size} ranks"
        )
    optimizer = torch.optim.AdamW(groups, betas=train.betas, weight_decay=train.weight_decay)
    config = {
        "train_batch_size": train.batch_size,
        "train_micro_batch_size_per_gpu": train.micro_batch_size,
        "gradient_clipping": train.max_gradient_norm if train.zero_stage else 0.0,
        "zero_optimization": {
            "stage": train.zero_stage,
            "reduce_bucket_size": 50_000_000,
            "memory_efficient_linear": False,  # would replace F.linear in the whole process
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": None,
    }
    engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=config)
    return engine, train.batch_size // per_pass


def step(engine: deepspeed.DeepSpeedEngine, train: Train) -> float:
    """Clip the gradient, update the weights and return the gradient's norm before clipping."""
    if train.zero_stage:
        engine.step()
        return float(engine.get_global_grad_norm())
    # without ZeRO the engine clips, but does not tell the norm
    parameters = [parameter for parameter in engine.module.parameters() if parameter.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(parameters, train.max_gradient_norm)
    engine.step()
    return float(norm)


def torch_optimizer(engine: deepspeed.DeepSpeedEngine) -> torch.optim.Optimizer:
    """The AdamW inside: of whole weights (ZeRO 0) or of this rank's part of them."""
    return getattr(engine.optimizer, "optimizer", engine.optimizer)


def _masters(engine: deepspeed.DeepSpeedEngine) -> list[torch.Tensor]:
    """What the optimizer updates, in a fixed order."""
    if engine.zero_optimization_stage() == 3:
        return list(engine.optimizer.fp32_partitioned_groups_flat)
    return [parameter for group in torch_optimizer(engine).param_groups for parameter in group["params"]]


def optimizer_state(engine: deepspeed.DeepSpeedEngine) -> list[dict]:
    """AdamW's state of each tensor this rank updates; plain tensors and numbers."""
    state = torch_optimizer(engine).state
    return [dict(state[master]) for master in _masters(engine)]


def load_optimizer_state(engine: deepspeed.DeepSpeedEngine, saved: list[dict]) -> None:
    """The inverse of `optimizer_state`.

    Raises:
        PargoError: it was saved with other parameters.
    """
    masters, state = _masters(engine), torch_optimizer(engine).state
    if len(masters) != len(saved):
        raise PargoError(f"optimizer state of {len(saved)} tensors for {len(masters)} tensors")
    for master, entries in zip(masters, saved, strict=True):
        state[master] = {
            name: value.to(master.device) if name != "step" and isinstance(value, torch.Tensor) else value
            for name, value in entries.items()
        }
