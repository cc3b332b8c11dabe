"""The DeepSpeed engine: started quietly, without compiling anything, on one process or many."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch

# before DeepSpeed is imported: else it warns that it found no GPU
if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")

import deepspeed
from deepspeed.utils import safe_get_full_optimizer_state, safe_set_full_optimizer_state
from torch import Tensor, distributed, nn

from pargo.config.training import Train
from pargo.errors import PargoError

COMPILED_AT_RUN_TIME = "deepspeed_shm_comm"  # a C++ extension for CPU collectives; gloo does the same
ALIGNMENT = 1024  # of buckets; DeepSpeed asks for an even number
LARGEST_BUCKET = 48_832 * ALIGNMENT  # elements: 200 MB of float32
MOMENTS = ("exp_avg", "exp_avg_sq")


def start_process_group() -> tuple[int, int]:
    """Join the group that RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT describe, or be alone; (rank, world size)."""
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # collectives that DeepSpeed calls by their older names
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed\..*")
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
        # where SLURM binds GPUs to processes, each sees its own as the first
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    if not deepspeed.comm.is_initialized():
        deepspeed.init_distributed(verbose=False, auto_mpi_discovery=False)
    return distributed.get_rank(), distributed.get_world_size()


def start_engine(module: nn.Module, groups: list[dict], train: Train, world_size: int) -> deepspeed.DeepSpeedEngine:
    """The engine around a module.

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
    optimizer = torch.optim.AdamW(groups, betas=train.betas, weight_decay=train.weight_decay, fused=True)
    # one bucket would hold all gradients; of a large model it stays small beside the activations
    trainable = sum(parameter.numel() for group in groups for parameter in group["params"])
    bucket = min(-(-trainable // ALIGNMENT) * ALIGNMENT, LARGEST_BUCKET)
    config = {
        "train_batch_size": train.batch_size,
        "train_micro_batch_size_per_gpu": train.micro_batch_size,
        "gradient_clipping": train.max_gradient_norm if train.zero_stage else 0.0,
        "zero_optimization": {
            "stage": train.zero_stage,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
            "memory_efficient_linear": False,  # would replace F.linear in the whole process
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": None,
    }
    engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=config)
    if world_size == 1 and not train.zero_stage:
        engine.enable_backward_allreduce = False  # it would copy all gradients to and fro
    if train.zero_stage in (1, 2):
        # as DeepSpeed does for stage 3 always, and for these in half precision only: no update when it is not finite
        engine.optimizer.check_grad_overflow = True
    return engine


@contextmanager
def released(engine: deepspeed.DeepSpeedEngine) -> Iterator[None]:
    """Let go of the engine at the end: weights, gradients and moments would stay until the process ends.

    ZeRO's hooks tie parameters and engine together where Python's garbage collector does not see it. What ZeRO 3 holds
    stays nevertheless: DeepSpeed keeps more ties than it undoes.
    """
    try:
        yield
    finally:
        engine.destroy()


def step(engine: deepspeed.DeepSpeedEngine, train: Train) -> float:
    """Clip the gradient and update the weights; nothing is updated when the gradient is not finite.

    Args:
        engine: after the last backward pass of the step.
        train: settings of the stage.

    Returns:
        The gradient's norm before clipping; NaN or infinity when there was no update.
    """
    if train.zero_stage:
        engine.step()
        return float("nan") if engine.optimizer.overflow else float(engine.get_global_grad_norm())
    # without ZeRO the engine clips, but does not tell the norm
    parameters = [parameter for group in engine.optimizer.param_groups for parameter in group["params"]]
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, train.max_gradient_norm))
    if not math.isfinite(norm):
        for parameter in parameters:
            parameter.grad = None  # AdamW passes over parameters without a gradient
    engine.step()
    return norm


class Reached:
    """Which parameters a backward pass gives a gradient, be it zero; under ZeRO gradients do not stay to be looked at.

    Args:
        parameters: trainable ones by name, those that the engine trains.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._waiting = set(parameters)
        self._hooks = [parameter.register_hook(partial(self._seen, name)) for name, parameter in parameters.items()]

    def check(self) -> None:
        """After the first backward pass; then nothing is watched any more.

        Raises:
            PargoError: parameters that would never be trained.
        """
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if self._waiting:
            raise PargoError(
                f"the loss gives no gradient to, and would never train: {', '.join(sorted(self._waiting))}"
            )

    def _seen(self, name: str, _: Tensor) -> None:
        self._waiting.discard(name)


def torch_optimizer(engine: deepspeed.DeepSpeedEngine) -> torch.optim.Optimizer:
    """The AdamW inside: of whole weights (ZeRO 0) or of this rank's part of them."""
    return getattr(engine.optimizer, "optimizer", engine.optimizer)


def optimizer_state(engine: deepspeed.DeepSpeedEngine, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """AdamW's state of whole parameters, on the CPU; the same for every ZeRO stage. All ranks must call it.

    Returns:
        `exp_avg.<name>`, `exp_avg_sq.<name>`, and `step`, the number of updates.
    """
    plain = torch_optimizer(engine).state
    _link_moments(engine)
    state = {}
    for name, parameter in parameters.items():
        for key in MOMENTS:
            whole = safe_get_full_optimizer_state(parameter, key) if engine.zero_optimization_stage() else None
            tensor = plain[parameter][key] if whole is None else whole
            state[f"{key}.{name}"] = tensor.detach().to("cpu", copy=True).contiguous().view(_shape(parameter))
    return state | {"step": next(iter(plain.values()))["step"].detach().to("cpu", copy=True)}


def new_optimizer_state(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The optimizer's state before the first update: moments of zeros, whole, on the CPU."""
    zeros = {f"{key}.{name}": torch.zeros(_shape(p)) for name, p in parameters.items() for key in MOMENTS}
    return zeros | {"step": torch.zeros(())}


def load_optimizer_state(
    engine: deepspeed.DeepSpeedEngine, parameters: Mapping[str, nn.Parameter], saved: Mapping[str, Tensor]
) -> None:
    """The inverse of `optimizer_state`, with any number of ranks and any ZeRO stage.

    Raises:
        PargoError: it was saved with other parameters.
    """
    expected = {f"{key}.{name}" for name in parameters for key in MOMENTS} | {"step"}
    if expected != set(saved):
        raise PargoError(f"the optimizer state is of other parameters: {sorted(expected ^ set(saved))[:4]}")
    state, stage = torch_optimizer(engine).state, engine.zero_optimization_stage()
    masters = parameters.values() if not stage else _masters(engine)
    for master in masters:
        moments = {key: torch.zeros_like(master, dtype=torch.float32, requires_grad=False) for key in MOMENTS}
        state[master] = {"step": saved["step"].to(master.device, torch.float32, copy=True), **moments}
    _link_moments(engine)
    for name, parameter in parameters.items():
        for key in MOMENTS:
            whole = saved[f"{key}.{name}"].to(engine.device)
            if not stage:
                state[parameter][key].copy_(whole)
            elif stage < 3:
                safe_set_full_optimizer_state(parameter, whole, key)
            else:
                _set_partition(engine, parameter, whole, key)


def _link_moments(engine: deepspeed.DeepSpeedEngine) -> None:
    """Let parameters find their moments under ZeRO 1 and 2: DeepSpeed does it before all groups have some."""
    if engine.zero_optimization_stage() in (1, 2):
        engine.optimizer._hp_optimizer_states_linked = False
        engine.optimizer._lazy_init_hp_params_optimizer_state()


def _masters(engine: deepspeed.DeepSpeedEngine) -> list[Tensor]:
    """The flat parts of all parameters that this rank's optimizer updates under ZeRO."""
    if engine.zero_optimization_stage() == 3:
        return list(engine.optimizer.fp32_partitioned_groups_flat)
    return [part for group in torch_optimizer(engine).param_groups for part in group["params"]]


def _set_partition(engine: deepspeed.DeepSpeedEngine, parameter: nn.Parameter, whole: Tensor, key: str) -> None:
    """Set this rank's part of a moment under ZeRO 3; DeepSpeed's setter fails where ranks do not divide the size."""
    part, _ = engine.optimizer._get_fp32_opt_state_partition(parameter, False, key)
    start = engine.optimizer._get_param_partition_rank(parameter) * part.numel()
    own = whole.flatten()[start : start + part.numel()]
    part[: len(own)].copy_(own)


def _shape(parameter: nn.Parameter) -> torch.Size:
    """Shape of the whole parameter, also where this rank holds a part of it."""
    return getattr(parameter, "ds_shape", parameter.shape)
