"""Batch norm over the whole batch that several processes share, on any kind of device.

PyTorch's own `torch.nn.SyncBatchNorm` is for GPUs alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from isl.training.processes.distributed import process_count


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose moments are those of the patches of all processes.

    Parameters and buffers are those of `torch.nn.BatchNorm2d`, under the same names.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, Y, X); every process has as many pixels."""
        if not self.training or process_count() == 1:
            return super().forward(input)
        normalized: tuple[Tensor, Tensor, Tensor] = _Normalized.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.eps
        )
        output, mean, var = normalized
        self._remember(mean, var, input.numel() // input.shape[1] * process_count())
        return output

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor, pixels: int) -> None:
        """Move the running statistics."""
        if self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        seen = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        assert self.running_mean is not None
        assert self.running_var is not None
        self.running_mean.lerp_(mean.to(self.running_mean), seen)
        unbiased = var * (pixels / max(pixels - 1, 1))
        self.running_var.lerp_(unbiased.to(self.running_var), seen)


class _Normalized(torch.autograd.Function):
    """Moments over all processes, and what their gradients are.

    With y = w n + b, n = (x - mean) / std and g the gradient of y:
    gradient of x = w / std * (g - mean(g) - n * mean(g n)), means over all processes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        own_var, own_mean = torch.var_mean(exact, dim=(0, 2, 3), correction=0)
        means, variances = _of_all(torch.stack([own_mean, own_var])).unbind(1)
        mean = means.mean(0)
        var = (variances + (means - mean) ** 2).mean(0)
        inverse = torch.rsqrt(var + eps)
        normal = (exact - _wide(mean)) * _wide(inverse)
        ctx.save_for_backward(normal, weight, inverse)
        ctx.mark_non_differentiable(mean, var)
        return (normal * _wide(weight) + _wide(bias)).to(x.dtype), mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        normal, weight, inverse = ctx.saved_tensors
        given = gradients[0].to(normal.dtype)
        of_bias, of_weight = given.sum((0, 2, 3)), (given * normal).sum((0, 2, 3))
        means = _of_all(torch.stack([of_bias, of_weight])).mean(0) * given.shape[1] / given.numel()
        inner = given - _wide(means[0]) - normal * _wide(means[1])
        return (inner * _wide(weight * inverse)).to(gradients[0].dtype), of_weight, of_bias, None


def _of_all(values: Tensor) -> Tensor:
    """The tensors of all processes, stacked."""
    parts = [torch.empty_like(values) for _ in range(process_count())]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts)


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None]


def share_batch_norm(module: nn.Module) -> None:
    """Let all batch norms inside a module look at the patches of all processes."""
    _replace(module, nn.BatchNorm2d, SharedBatchNorm2d)


def unshare_batch_norm(module: nn.Module) -> None:
    """Undo `share_batch_norm`: batch norms as they were, with what they have learned."""
    _replace(module, SharedBatchNorm2d, nn.BatchNorm2d)


def _replace(module: nn.Module, old: type[nn.BatchNorm2d], new: type[nn.BatchNorm2d]) -> None:
    for name, child in module.named_children():
        if type(child) is old:
            setattr(module, name, _as(child, new))
        else:
            _replace(child, old, new)


def _as(norm: nn.BatchNorm2d, kind: type[nn.BatchNorm2d]) -> nn.BatchNorm2d:
    """The same batch norm of another class; parameters and buffers are the same tensors."""
    made = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    made._parameters, made._buffers = norm._parameters, norm._buffers
    return made.train(norm.training)
