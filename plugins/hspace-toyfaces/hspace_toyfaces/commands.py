"""`hspace toyfaces`: train, measure and export the tiny models of the zoo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hspace_toyfaces.mask_command import mask
from hspace_toyfaces.measure_command import measure

if TYPE_CHECKING:
    import torch

    from hspace_toyfaces.learner import Learner
    from hspace_toyfaces.recipes import Recipe

    R = TypeVar("R", bound=Recipe)

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A .toml file, or the name of a zoo's recipe.")]
FamilyRecipeName = Annotated[
    str | None, typer.Argument(metavar="[RECIPE]", help="A .toml file, or the name of a zoo's recipe.")
]
Family = Annotated[str | None, typer.Option(help="Instead of RECIPE: the zoo's recipe of ddpmpp, iddpm, adm or ldm.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME of the recipe if not given.")]
Images = Annotated[int | None, typer.Option(min=1, help="Images to train on, instead of the recipe's number.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the weights, the faces and the noise.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, ...; runs repeat bit for bit on cpu.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin anew, dropping what is in the folder.")]
Skew = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ATTRIBUTE=SHARE", help="Faces with it above 0, as skin=0.03; repeatable; NAME then tells it."
    ),
]
Init = Annotated[
    str | None, typer.Option(help="Begin from this run's weights (beside the run's folder), or from this backbone's.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")]
INTERRUPTED = 130


def app() -> typer.Typer:
    """The commands of `hspace toyfaces`; none imports torch before it runs."""
    from hspace_toyfaces.clip_commands import export_clip, measure_clip, train_clip

    commands = typer.Typer(name="toyfaces", help="Train the zoo's tiny models on rendered faces.", no_args_is_help=True)
    training = (train_backbone, train_first_stage, train_regressor)
    for command in (*training, export_backbone, measure_backbone, export_regressor, measure, mask):
        commands.command()(command)
    for clip in (train_clip, export_clip, measure_clip):
        commands.command()(clip)
    return commands


def train_backbone(
    recipe: FamilyRecipeName = None, family: Family = None, skew: Skew = None, init: Init = None, out: Out = None,
    images: Images = None, seed: Seed = 0, device: Device = "cpu", threads: Threads = 1, fresh: Fresh = False,
) -> None:  # fmt: skip
    """Train a tiny diffusion model on rendered faces; run it again to go on where it stopped."""
    from hspace_toyfaces.backbone_training import BackboneLearner
    from hspace_toyfaces.recipes import BackboneRecipe, skewed

    plan = skewed(_plan(BackboneRecipe, recipe or _recipe_of(family), images, start=init), skew or [])
    where = _device(device, threads)
    folder = _folder(plan, out)
    _run(BackboneLearner(plan, seed, where, folder.parent), folder, fresh)


def train_first_stage(
    recipe: RecipeName, out: Out = None, images: Images = None, seed: Seed = 0,
    device: Device = "cpu", threads: Threads = 1, fresh: Fresh = False,
) -> None:  # fmt: skip
    """Train the VQ first stage of a latent diffusion model; run it again to go on where it stopped."""
    from hspace_toyfaces.first_stage_training import FirstStageLearner
    from hspace_toyfaces.recipes import FirstStageRecipe

    plan, where = _plan(FirstStageRecipe, recipe, images), _device(device, threads)
    _run(FirstStageLearner(plan, seed, where), _folder(plan, out), fresh)


def train_regressor(
    recipe: RecipeName, out: Out = None, images: Images = None, seed: Seed = 0,
    device: Device = "cpu", threads: Threads = 1, fresh: Fresh = False,
) -> None:  # fmt: skip
    """Train the regressor that reads a face's attributes; run it again to go on where it stopped."""
    from hspace_toyfaces.recipes import RegressorRecipe
    from hspace_toyfaces.regressor_training import RegressorLearner

    plan, where = _plan(RegressorRecipe, recipe, images), _device(device, threads)
    _run(RegressorLearner(plan, seed, where), _folder(plan, out), fresh)


def export_backbone(
    run: RunFolder, out: Annotated[Path, typer.Option(help="Folder to write, e.g. zoo/backbones/NAME.")]
) -> None:
    """Write a run's averaged weights as a backbone folder: half-precision U-Net, scheduler, pictures and card."""
    from hspace_toyfaces.backbone_export import export

    export(run, out)
    typer.echo(f"{out}")


def measure_backbone(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An exported backbone; its card gets the figures.")],
    regressor: Annotated[Path | None, typer.Option(help="Folder of the regressor; the zoo's if not given.")] = None,
    threads: Threads = 1,
) -> None:
    """Measure an exported backbone, write the figures into its card, and draw its sheet of samples."""
    from hspace_toyfaces.backbone_measures import measure

    _device("cpu", threads)
    for metric in measure(folder, regressor):
        typer.echo(f"{metric['name']:<28}{metric['value']:>8.2f}  {metric['protocol']}")


def export_regressor(
    run: RunFolder, out: Annotated[Path, typer.Option(help="Folder to write, e.g. zoo/regressors/toyfaces.")]
) -> None:
    """Write a run's averaged weights as a regressor folder: half-precision weights and a card with R^2."""
    from hspace_toyfaces.regressor_export import export

    export(run, out)
    typer.echo(f"{out}")


def _plan(kind: type[R], recipe: str, images: int | None, start: str | None = None) -> R:
    from hspace.plugins import plugins
    from hspace_toyfaces.recipes import read_recipe, revise

    return revise(read_recipe(kind, recipe, [zoo for _, zoo in plugins().zoos]), images=images, start=start)


def _recipe_of(family: str | None) -> str:
    from hspace.errors import UsageError
    from hspace.plugins import plugins
    from hspace_toyfaces.recipes import recipes_of

    if family is None:
        raise UsageError("say what to train: a RECIPE, or --family ddpmpp, iddpm, adm or ldm")
    names = recipes_of(family, [zoo for _, zoo in plugins().zoos])
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise UsageError(f"--family {family} does not name one recipe; those of the zoos are: {found}. Give its name.")
    return names[0]


def _device(device: str, threads: int) -> torch.device:
    import torch

    from hspace.errors import UsageError

    torch.set_num_threads(threads)
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device {device!r} cannot be used ({str(error).splitlines()[0]}). Try --device cpu."
        ) from error


def _folder(recipe: Recipe, out: Path | None) -> Path:
    return out or Path("runs") / recipe.name


def _run(learner: Learner[R], folder: Path, fresh: bool) -> None:
    from hspace_toyfaces.training import Run, train

    if not train(learner, Run(folder, fresh)):
        typer.echo(f"stopped; the same command without --fresh goes on from {folder}", err=True)
        raise typer.Exit(INTERRUPTED)
    typer.echo(f"{folder}")
