"""The finder jacobian-svd: the h-directions that x_t moves most, around each latent."""

from collections.abc import Iterator

import torch
from torch import Tensor

from hspace import Backbone, Direction, Finder, Task
from hspace.building import build_head
from hspace.calibration import CHANGE, units
from hspace.errors import HspaceError, UsageError
from hspace.meta import Measurement, Provenance, Scope, Strength
from hspace.sampling import ddim_step
from hspace.schedule import alpha_at, generation
from hspace_jacobian.lanczos import Ritz
from hspace_jacobian.result import JacobianSVD
from hspace_jacobian.svd import topk_jacobian_svd

NAME = "jacobian-svd"
SEQUENCE = "asyrp"
PROBES = 2
"""How many latents a direction is calibrated on."""
FOUND = ("converged", "verified", "reason", "sigma_next", "rank", "engine", "precision")
MEASURED = {
    "sigma": "|dh| per |dx_t| along the direction, at the latent and timestep it was found at",
    "residual": "|J'u - sigma v| / sigma",
    "angle_bound": "largest angle to the exact singular vector, radians",
}


class JacobianFinder(Finder):
    """The k leading left singular vectors of d h / d x_t at timestep `at`, around the first latents of a task.

    They are applied at all timesteps from `t_edit` up, and are as long as makes strength 1 change the pictures of
    the task by `calibration.CHANGE`. Source: Park et al., arXiv 2307.12868 (the pullback metric of x_t -> h).
    """

    def __init__(
        self, k: int, at: int, t_edit: int, tol: float, bases: int, block: int | None, chunk: int | None
    ) -> None:
        self.k, self.at, self.t_edit, self.tol = k, at, t_edit, tol
        self.bases, self.block, self.chunk = bases, block, chunk

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """A local basis for each of the first `bases` latents, largest sigma first.

        Raises UsageError where `at` is outside the schedule or the backbone is not in float32 or float64,
        HspaceError where h does not react to x_t.
        """
        for sample, x_T in enumerate(torch.split(task.x_T[: self.bases], 1)):
            x_t, t = walk(backbone, x_T, task.steps, self.at)
            svd = self._decompose(backbone, task, sample, x_t, t)
            yield Direction.bind(
                backbone,
                what=f"local-t{t}" if self.bases == 1 else f"local-t{t}-{sample}",
                finder=NAME,
                head="table",
                config={"timesteps": [t], "components": len(svd.S)},
                weights={"vectors": self._calibrated(backbone, task, svd.U, x_t, t)},
                steps=task.steps,
                t_edit=self.t_edit,
                strength=Strength(default=1, min=-2, max=2),
                scope=_scope(task, sample),
                metrics=_measurements(svd),
                provenance=Provenance(finder=NAME, config=self._config(sample, t, svd)),
            )

    def _decompose(self, backbone: Backbone, task: Task, sample: int, x_t: Tensor, t: int) -> JacobianSVD:
        def encode(x_t: Tensor) -> Tensor:
            return backbone.encode_h(x_t, _at(t, x_t)).h

        def report(ritz: Ritz) -> None:
            if task.progress is not None:
                done = int((ritz.residual <= self.tol * ritz.sigma)[: self.k].sum())
                task.progress(sample * self.k + done, min(self.bases, len(task.x_T)) * self.k)

        svd = topk_jacobian_svd(
            encode,
            x_t,
            self.k,
            tol=self.tol,
            generator=torch.Generator().manual_seed(task.seed),
            block=self.block,
            chunk=self.chunk,
            callback=report,
        )
        if not len(svd.S):
            raise HspaceError(f"h does not react to x_t at t={t}: its Jacobian is zero")
        return svd

    def _calibrated(self, backbone: Backbone, task: Task, U: Tensor, x_t: Tensor, t: int) -> Tensor:
        """The singular vectors as a table (k, 1, Ch, Hh, Wh), each in the unit of strength; at most |h| / 2 long."""
        with torch.no_grad():
            longest = float(backbone.encode_h(x_t, _at(t, x_t)).h.norm()) / 2
        vectors = U[:, None].float().cpu()
        config = {"timesteps": [t], "components": len(vectors)}
        heads = [
            build_head(backbone, "table", {**config, "component": component}, {"vectors": vectors})
            for component in range(len(vectors))
        ]
        window = {"t_edit": self.t_edit, "steps_found": task.steps}
        lengths = units(backbone, heads, task.x_T[:PROBES], **window, longest=longest)
        return vectors * torch.tensor(lengths).reshape(-1, 1, 1, 1, 1)

    def _config(self, sample: int, t: int, svd: JacobianSVD) -> dict[str, object]:
        asked: dict[str, object] = {
            "k": self.k,
            "at": self.at,
            "t_edit": self.t_edit,
            "tol": self.tol,
            "sample": sample,
            "t": t,
        }
        asked["unit"] = f"strength 1 changes pictures in [-1, 1] by {CHANGE} root mean square"
        found = {name: getattr(svd, name) for name in FOUND}
        return {**asked, **found, **svd.counts}


def build(
    k: int = 8,
    at: int = 600,
    t_edit: int = 400,
    tol: float = 1e-3,
    bases: int = 1,
    block: int | None = None,
    chunk: int | None = None,
) -> JacobianFinder:
    """The finder of k directions at the sampling step nearest to timestep `at`, to a relative residual of `tol`.

    The directions found there shift h at all timesteps from `t_edit` up.
    `bases` latents of the task get a basis of their own; `block` and `chunk` are those of `topk_jacobian_svd`.
    Raises UsageError where `bases` is not positive.
    """
    if bases < 1:
        raise UsageError(f"bases must be at least 1; {bases} was given")
    return JacobianFinder(k, at, t_edit, tol, bases, block, chunk)


@torch.no_grad()
def walk(backbone: Backbone, x_T: Tensor, steps: int, at: int) -> tuple[Tensor, int]:
    """(x_t (B, C, H, W), t): x_T sampled down to the step whose timestep t is nearest to `at`.

    Raises UsageError where `at` is not a timestep of the schedule.
    """
    T = len(backbone.alphas_cumprod)
    if not 0 <= at < T:
        raise UsageError(f"at must be a timestep from 0 to {T - 1}; {at} was given")
    pairs = generation(SEQUENCE, steps, T)
    nearest = min((t for t, _ in pairs), key=lambda t: abs(t - at))
    x_t = x_T
    for t, t_next in pairs:
        if t == nearest:
            break
        a_t, a_next = (alpha_at(backbone.alphas_cumprod, s) for s in (t, t_next))
        x_t = ddim_step(x_t, backbone(x_t, _at(t, x_t)), a_t, a_next)
    return x_t, nearest


def _scope(task: Task, sample: int) -> Scope:
    if task.x_0 is None:
        return Scope(kind="local", x_T_seed=task.seed)
    return Scope(kind="local", image_sha256=task.image_sha256[sample] if task.image_sha256 else None)


def _at(t: int, x_t: Tensor) -> Tensor:
    return torch.full((len(x_t),), float(t), device=x_t.device)


def _measurements(svd: JacobianSVD) -> tuple[Measurement, ...]:
    values = {"sigma": svd.S, "residual": svd.rel_residual, "angle_bound": svd.angle_bound}
    return tuple(
        Measurement(name=name, value=float(value), n=1, protocol=MEASURED[name], component=component)
        for name, column in values.items()
        for component, value in enumerate(column)
    )
