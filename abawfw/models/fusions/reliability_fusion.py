"""Fusion by a gate that knows how reliable each modality is, beside tokens of another rate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from abawfw.components import Count, Positive, Probability, Width
from abawfw.errors import ConfigError, nearest
from abawfw.models.layers.cpu.dropout import Dropout
from abawfw.models.layers.cpu.linear import Linear
from abawfw.models.layers.transformer import MultiheadAttention
from abawfw.registry import FUSIONS


@FUSIONS.register_module()
class ReliabilityFusion(nn.Module):
    """Modalities weighed frame by frame, with priors: the gate of RAAV, team RAS (arXiv:2603.13056).

    Each modality is mapped to vectors of one length. A small MLP scores each of them; the logarithm of the
    modality's prior is added, and a softmax over the modalities observed in a frame weighs them. Frames in
    which none was observed give zeros.

    One modality may have a rate of its own, as audio has a token a second: then a vector is repeated in the
    store for all frames of its token. Runs of frames with equal vectors are taken for one token each, or long
    tokens would count more. Latent vectors attend to a clip's tokens, and its frames to these.

    Args:
        in_dims: vector length of each modality.
        priors: how reliable each modality is, without ``tokens``, in any unit; None: all alike.
        tokens: the modality with a rate of its own.
        dim: vector length of what comes out.
        heads: attention heads to tokens and latents.
        latents: how many vectors a clip's tokens are summed up in.
        dropout: fraction of activations and attention weights dropped in training.
        normalize_all: normalise frames of clips without any token like those of others. The reference leaves
            them as they are, so that what follows sees two distributions.

    Raises:
        ConfigError: ``tokens`` or a prior is of no modality, a modality has no prior, there is none beside
            ``tokens``, or ``heads`` does not divide ``dim``.
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        priors: Mapping[str, Positive] | None = None,
        tokens: str | None = None,
        dim: Width = 256,
        heads: Width = 4,
        latents: Count = 4,
        dropout: Probability = 0.1,
        normalize_all: bool = True,
    ) -> None:
        super().__init__()
        if tokens is not None and tokens not in in_dims:
            raise ConfigError(f'ReliabilityFusion(tokens={tokens!r}): {nearest(tokens, in_dims)}')
        self.names = tuple(m for m in in_dims if m != tokens)
        self.log_priors = _log_priors(self.names, priors)
        self.projections = nn.ModuleDict({m: Linear(in_dims[m], dim) for m in self.names})
        self.scores = nn.ModuleDict(
            {
                m: nn.Sequential(Linear(dim, dim), nn.GELU(), Dropout(dropout), nn.Linear(dim, 1))
                for m in self.names
            }
        )
        self.tokens, self.normalize_all, self.out_dim = tokens, normalize_all, dim
        self.per_frame = tokens is None
        if tokens is not None:
            self.needs = 'every frame attends to all tokens of its clip, later ones too'
            self.projection = Linear(in_dims[tokens], dim)
            self.latents = nn.Parameter(0.02 * torch.randn(1, latents, dim))
            self.to_tokens = MultiheadAttention(dim, heads, dropout)
            self.to_latents = MultiheadAttention(dim, heads, dropout)
            for attention in (self.to_tokens, self.to_latents):
                nn.init.zeros_(attention.out_proj.bias)
            self.norm_latents, self.norm_frames, self.norm = (nn.LayerNorm(dim) for _ in range(3))

    def forward(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Fuse a batch of clips.

        Args:
            inputs: ``{modality: (batch, time, dim)}``.
            observed: ``{modality: (batch, time) bool}``: frames that exist and in which it was observed.

        Returns:
            (batch, time, dim), zeros in frames in which nothing but tokens was observed.
        """
        seen = torch.stack([observed[m] for m in self.names], dim=-1)
        vectors = self.vectors(inputs, observed)
        y = (self.weights(vectors, seen)[..., None, :].to(vectors.dtype) @ vectors).squeeze(-2)
        if self.tokens is not None:
            y = self.listen(y, inputs[self.tokens], observed[self.tokens])
        return y.masked_fill(~seen.any(dim=-1, keepdim=True), 0)

    def vectors(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """The modalities, (batch, time, modalities, dim), zero where not observed."""
        mapped = [self.projections[m](inputs[m]).masked_fill(~observed[m][..., None], 0) for m in self.names]
        return torch.stack(mapped, dim=-2)

    def weights(self, vectors: Tensor, seen: Tensor) -> Tensor:
        """Of the modalities in each frame, (batch, time, modalities): they add up to 1, or are all 0.

        Args:
            vectors: (batch, time, modalities, dim).
            seen: (batch, time, modalities) bool.
        """
        scored = [self.scores[m](vectors[..., i, :]) + self.log_priors[m] for i, m in enumerate(self.names)]
        scores = torch.cat(scored, dim=-1)
        # The lowest number, not minus infinity, whose softmax in a frame without any modality would be NaN.
        weights = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(dim=-1)
        return weights.masked_fill(~seen, 0)

    def listen(self, y: Tensor, tokens: Tensor, observed: Tensor) -> Tensor:
        """Let frames ``y`` (batch, time, dim) attend to what a clip's tokens are summed up in.

        Args:
            y: the frames.
            tokens: (batch, time, token dim), each repeated over its frames.
            observed: (batch, time) bool, where there is a token.
        """
        some = observed.any(dim=1)[:, None, None]
        heard = self.to_latents(self.norm_frames(y), self.summed_up(tokens, observed))
        z = self.norm(y + heard.masked_fill(~some, 0))
        return z if self.normalize_all else torch.where(some, z, y)

    def summed_up(self, tokens: Tensor, observed: Tensor) -> Tensor:
        """The latent vectors after they attended to the tokens, (batch, latents, dim)."""
        first = token_starts(tokens, observed)
        some = first.any(dim=1, keepdim=True)
        memory = self.projection(tokens).masked_fill(~first[..., None], 0)
        start = self.latents.to(memory.dtype).expand(len(tokens), -1, -1)
        return self.norm_latents(start + self.to_tokens(start, memory, first | ~some))


def token_starts(tokens: Tensor, observed: Tensor) -> Tensor:
    """The first frame of every run of equal vectors, (batch, time) bool."""
    repeats = (tokens[:, 1:] == tokens[:, :-1]).all(dim=-1) & observed[:, :-1]
    return torch.cat([observed[:, :1], observed[:, 1:] & ~repeats], dim=1)


def _log_priors(names: tuple[str, ...], priors: Mapping[str, float] | None) -> dict[str, float]:
    given = dict.fromkeys(names, 1.0) if priors is None else dict(priors)
    if unknown := [m for m in given if m not in names]:
        raise ConfigError(
            f'ReliabilityFusion: priors name {", ".join(unknown)}, which the gate does not weigh; it weighs '
            f'{", ".join(names) or "nothing"}'
        )
    if missing := [m for m in names if m not in given]:
        raise ConfigError(f'ReliabilityFusion: priors lack {", ".join(missing)}: give one for each modality')
    if not names or min(given.values()) <= 0:
        raise ConfigError(
            f'ReliabilityFusion weighs modalities beside its tokens, by priors above 0, not {given}'
        )
    return {m: math.log(given[m] / sum(given.values())) for m in names}
