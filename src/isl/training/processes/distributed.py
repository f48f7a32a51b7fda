"""Several processes that train one model: what they tell each other, and which of them reports.

Every process has a whole copy of the network and computes its share of each batch.  Gradients are
averaged over processes, so the loss of each is that of its share times the number of processes.
"""

from __future__ import annotations

import warnings

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.lsf import LSFEnvironment
from lightning.fabric.plugins.environments.mpi import MPIEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError

_CLUSTERS: tuple[type[ClusterEnvironment], ...] = (
    SLURMEnvironment,
    TorchElasticEnvironment,
    LSFEnvironment,
    MPIEnvironment,
)


def process_count() -> int:
    """Number of processes that train together; 1 where there is just this one."""
    return dist.get_world_size() if _is_several() else 1


def process_index() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _is_several() else 0


def _is_several() -> bool:
    return dist.is_available() and dist.is_initialized()


def own_share(pieces: int) -> slice:
    """Which pieces of a batch are this process's; the batch is divided evenly.

    Parameters
    ----------
    pieces
        Number of pieces of the whole batch.
    """
    each = pieces // process_count()
    return slice(process_index() * each, (process_index() + 1) * each)


def total(values: Tensor) -> Tensor:
    """Sum of a tensor over all processes, without gradient."""
    values = values.detach()
    if process_count() == 1:
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values


def from_first(number: float, device: torch.device) -> float:
    """What the first process says, in all of them."""
    if process_count() == 1:
        return number
    said = torch.tensor([number], dtype=torch.float32, device=device)
    dist.broadcast(said, src=0)
    return float(said)


def largest(number: int, device: torch.device) -> int:
    """The largest of the numbers that the processes have."""
    if process_count() == 1:
        return number
    found = torch.tensor([number], device=device)
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return int(found)


def is_first_process(config: TrainConfig) -> bool:
    """Whether this process is the one that reports and writes; known before any other is there.

    Lightning starts this program again for each further device, and cluster managers start all at
    once; either says in environment variables which of them this is.
    """
    if config.devices * config.nodes == 1:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning warns itself where it starts
        for cluster in _CLUSTERS:
            if cluster.detect():
                return _index_in(cluster) == 0
    alone = LightningEnvironment()
    return alone.node_rank() == 0 and alone.local_rank() == 0


def _index_in(cluster: type[ClusterEnvironment]) -> int:
    try:
        return cluster().global_rank()
    except RuntimeError as error:
        raise ConfigError(f"devices and nodes: the cluster's job does not fit: {error}") from error


def is_connection_error(error: RuntimeError) -> bool:
    """Whether an error says that another process is gone."""
    return process_count() > 1 and (isinstance(error, dist.DistError) or "peer" in str(error))


def check_one_device(config: TrainConfig, what: str) -> None:
    """Refuse several devices for what trains more than one model.

    Lightning starts the whole command again for each further device, which suits one run alone.

    Parameters
    ----------
    config
        ``devices`` and ``nodes``.
    what
        What it is, for the message.
    """
    if config.devices * config.nodes > 1:
        raise ConfigError(
            f"{what} uses one device; leave out devices and nodes, and train the final model on "
            "several with isl train"
        )


def check_division(config: TrainConfig, patches_per_draw: int) -> None:
    """Refuse a batch that cannot be divided evenly among the devices.

    Parameters
    ----------
    config
        ``batch_size``, ``devices`` and ``nodes``.
    patches_per_draw
        Patches that cannot be divided because they come from one crop.
    """
    processes = config.devices * config.nodes
    whole = processes * patches_per_draw
    if processes == 1 or config.batch_size % whole == 0:
        return
    nodes = f" on each of {config.nodes} nodes" if config.nodes > 1 else ""
    crops = f" in crops of {patches_per_draw}" if patches_per_draw > 1 else ""
    raise ConfigError(
        f"batch_size {config.batch_size} cannot be divided evenly{crops} among {config.devices} "
        f"devices{nodes}; make it a multiple of {whole}, such as "
        f"{-(-config.batch_size // whole) * whole}"
    )
