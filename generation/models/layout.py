"""Whether a model folder may be opened at all, judged from names and small JSON files. Nothing is loaded here.

The rules (docs: models): weights only as `.safetensors`; other weight files may lie there and are never opened;
Python files, links that leave the folder, foreign libraries and settings that make a loader run or fetch code
refuse the whole folder. Importing this needs no torch, so the bot can check before it starts a worker.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from generation.errors import ConfigurationError
from generation.models.checkpoint import IncompatibleFileError, family_of, require_parts
from generation.models.compatibility import check_checkpoint, check_parts, check_transformer_file
from generation.models.families import FAMILIES, Components
from generation.models.gguf_header import SUFFIX as GGUF
from generation.models.json_file import read_json
from generation.models.quantised import require_known
from generation.models.safetensors_header import read_tensors
from generation.models.scheduler_config import Stated, check_flow_settings, check_settings, merge_settings, read_stated
from generation.models.transformer_file import find_family, is_of_family
from generation.program import format_command

_LIBRARIES = frozenset(("diffusers", "transformers", "stable_diffusion"))
_WORD_LISTS = frozenset(("vocab.json", "tokenizer.json", "added_tokens.json"))
_OF_CHATS = ("chat_template.json", "generation_config.json", "processor_config.json", "video_preprocessor_config.json")
_SETTINGS = frozenset(_OF_CHATS) | frozenset(
    (
        "config.json",
        "model_index.json",
        "preprocessor_config.json",
        "scheduler_config.json",
        "special_tokens_map.json",
        "tokenizer_config.json",
    )
)
_SHARD_LISTS = ("diffusion_pytorch_model.safetensors.index.json", "model.safetensors.index.json")
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
WEIGHTS_THAT_RUN_CODE = frozenset((".bin", ".ckpt", ".pt", ".pth", ".pkl", ".zip"))
_CODE_SUFFIXES = frozenset((".py", ".pyc", ".so", ".dll", ".dylib", ".sh"))
_FORBIDDEN_KEYS = ("auto_map", "custom_pipeline", "custom_pipelines", "trust_remote_code")
_FORBIDDEN_PREFIXES = ("_attn_implementation", "attn_implementation")
_HARMLESS_FLAG = "_attn_implementation_autoset"
"""A yes or no that transformers 4.46 to 4.5x left in every file it saved; it chooses nothing."""


class ModelRefusedError(ConfigurationError):
    """The model {folder} cannot be used: {problem} {remedy}"""


def check_model(
    path: Path,
    family: str,
    *,
    config: Path | None = None,
    replaced: Collection[str] = (),
    prediction: str = "",
) -> None:
    """Raise `ModelRefusedError` unless `path` is safe to load from and has every part of a model of that family.

    It is a folder, or, where `config` names a folder for the rest, a single file of weights. `replaced`: parts whose
    own weights are not loaded. `prediction`: what the operator says it predicts. Raise `ConfigurationError` for a
    family there is not.
    """
    if family not in FAMILIES:
        raise ConfigurationError(
            problem=f"There is no model family “{family}”.", remedy=f"Use one of: {', '.join(FAMILIES)}."
        )
    if config is not None:
        check_file(path)
    folder = config or path
    _check_files(folder)
    _check_index(folder, FAMILIES[family].components)
    _check_fit(path, family, config, has_other_vae="vae" in replaced)
    if config is None:
        for name in FAMILIES[family].weights:
            if name not in replaced:
                _check_weights(folder, folder / name)
    read_scheduler(folder, family, file=path if config else None, prediction=prediction)


def read_scheduler(folder: Path, family: str, *, file: Path | None = None, prediction: str = "") -> dict[str, Any]:
    """Return the scheduler settings of a model: the folder's, as the single `file` and the operator change them.

    Raise `ModelRefusedError` for settings that no picture could be painted with.
    """
    source = folder / "scheduler" / "scheduler_config.json"
    _require(folder, source)
    try:
        settings = merge_settings(read_json(source), read_file_statement(file) if file else Stated(), prediction)
        check_flow_settings(settings) if FAMILIES[family].is_flow else check_settings(settings)
    except (OSError, ValueError, RecursionError) as error:
        remedy = f"Change {source.name}, or use the settings of another model of its kind."
        raise _refusal(folder, f"its scheduler {error}.", remedy) from None
    return settings


def is_zero_snr(folder: Path, family: str, *, file: Path | None = None, prediction: str = "") -> bool:
    """Return whether a model's noise ends in no signal. False where its settings cannot be read: it is refused."""
    try:
        return bool(read_scheduler(folder, family, file=file, prediction=prediction).get("rescale_betas_zero_snr"))
    except ConfigurationError:
        return False


def read_file_statement(file: Path) -> Stated:
    """Return what a single file says of itself. Raise `ModelRefusedError` for one that cannot be sampled."""
    try:
        return read_stated(read_tensors(file))
    except ValueError as error:
        raise _refusal(file, f"it {error}.", "Look for another version of it.") from None


def _check_fit(path: Path, family: str, config: Path | None, *, has_other_vae: bool) -> None:
    """Raise `ModelRefusedError` unless the parts fit each other, a single file's and its settings' too."""
    try:
        is_alone = not FAMILIES[family].reads_clip  # in one file a transformer, and its parts elsewhere
        if config is not None:
            shapes = read_tensors(path).shapes
            found = find_family(shapes) if is_alone else family_of(shapes)
            if found != family and not (is_alone and is_of_family(shapes, family)):
                raise IncompatibleFileError(
                    f"is of the family {found or 'unknown'}, not {family}", "Add it again with --replace."
                )
            if not is_alone:
                require_parts(shapes, family, has_other_vae=has_other_vae)
        check_parts(config or path, family, has_other_vae=has_other_vae or config is not None)
        if config is not None:
            (check_transformer_file if is_alone else check_checkpoint)(shapes, config, family)
    except IncompatibleFileError as misfit:
        raise _refusal(path, f"it {misfit}.", misfit.remedy) from None
    except FileNotFoundError as missing:
        raise _refusal(path, f"{Path(missing.filename).name} is missing.", "Fetch the model again.") from None
    except (OSError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise _refusal(path, f"its settings cannot be read ({str(error)[:120]}).", "Fetch the model again.") from None


def check_part(folder: Path) -> None:
    """Check a single part with its own `config.json`: a safety checker, an upscaler, a VAE."""
    _check_files(folder)
    _require(folder, folder / "config.json")
    _check_weights(folder, folder)


def check_file(file: Path) -> None:
    """Check a single file of weights."""
    if not file.exists():
        raise _refusal(
            file, "it is not there.", f"Put it back, or remove its name: {format_command('models remove NAME')}."
        )
    if file.is_symlink():
        raise _refusal(file, "it is a link.", "Name the real file.")
    if not file.is_file() or file.suffix not in (".safetensors", GGUF):
        raise _refusal(file, "it is not a .safetensors file.", "Other formats can run code and are never opened.")


def files_read(folder: Path) -> list[Path]:
    """Return every file a loader may open in `folder`, sorted: safetensors, listed JSON and merges."""
    kept = (path for path in folder.rglob("*") if path.is_file() and _is_opened(path))
    return sorted(kept)


def is_settings(name: str) -> bool:
    """Return whether a file of that name holds settings or word lists that a loader may open."""
    return name in _SETTINGS or name in _WORD_LISTS or name in ("merges.txt", *_SHARD_LISTS)


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise _refusal(folder, "there is no such folder.", "Set the path to a model in the diffusers layout.")
    for path in _walk(folder, folder.resolve()):
        _check_file(folder, path)


def _walk(folder: Path, root: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if not path.resolve().is_relative_to(root):
            raise _refusal(folder, f"{path.relative_to(folder)} is a link out of it.", "Copy the real file into it.")
        if path.is_file():
            yield path


def _check_file(folder: Path, path: Path) -> None:
    name = path.relative_to(folder)
    if path.suffix.lower() in _CODE_SUFFIXES:
        raise _refusal(folder, f"it holds code ({name}).", "Models that bring their own code are not run here.")
    is_index = path.name.endswith(".safetensors.index.json")
    if path.suffix != ".json" or path.name in _WORD_LISTS:
        return
    if path.name not in _SETTINGS and not is_index:
        raise _refusal(folder, f"{name} is not a file of a plain model.", "Remove it if it is not needed.")
    try:
        settings = read_json(path)
        _check_shards(folder, name, settings) if is_index else _check_keys(folder, name, settings)
    except (OSError, ValueError, RecursionError) as error:
        raise _refusal(folder, f"{name} cannot be read ({error}).", "Fetch the model again.") from None


def _check_shards(folder: Path, name: Path, index: dict[str, Any]) -> None:
    """Check weights in several files: a loader opens every file the index names."""
    shards = index.get("weight_map")
    if not isinstance(shards, dict):
        raise ValueError("has no weight_map")
    for shard in shards.values():
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
            raise _refusal(folder, f"{name} names {str(shard)[:60]!r}.", "Weights must lie beside their index.")


def _check_keys(folder: Path, name: Path, value: Any) -> None:
    if isinstance(value, list):
        for each in value:
            _check_keys(folder, name, each)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        is_flag = key == _HARMLESS_FLAG and isinstance(inner, bool)
        if inner is not None and not is_flag and (key in _FORBIDDEN_KEYS or key.startswith(_FORBIDDEN_PREFIXES)):
            raise _refusal(folder, f"{name} sets {key}.", "Settings that choose code to run are not accepted.")
        _check_keys(folder, name, inner)


def _check_index(folder: Path, components: Components) -> None:
    _require(folder, folder / "model_index.json")
    index = read_json(folder / "model_index.json")
    for name, value in index.items():
        if isinstance(value, list) and value and not (value[0] in (None, *_LIBRARIES) or isinstance(value[0], int)):
            raise _refusal(
                folder, f"{name} needs the library {value[0]!r}.", "Only diffusers and transformers are used."
            )
    for name, classes in components.items():
        wanted = (classes,) if isinstance(classes, str) else classes
        value = index.get(name)
        if not isinstance(value, list) or len(value) != 2 or value[1] not in wanted:
            raise _refusal(folder, f"its {name} is not a {wanted[0]}.", "Look for a whole copy of the model.")
        if not (folder / name).is_dir():
            raise _refusal(folder, f"its folder {name} is missing.", "Fetch the model again.")


def weight_files(part: Path) -> list[Path]:
    """Return the weight files of a part that a loader opens: a file itself, else shards, one whole, or half precision.

    Those that are named and not there too; none where there are none. Copies of other kinds lie beside them unread.
    """
    if part.is_file():
        return [part]
    stem = "diffusion_pytorch_model" if "_class_name" in read_json(part / "config.json") else "model"
    index = part / f"{stem}.safetensors.index.json"
    if index.is_file():
        return [part / shard for shard in sorted(set(read_json(index)["weight_map"].values()))]
    for whole in (part / f"{stem}.safetensors", part / f"{stem}.fp16.safetensors"):
        if whole.is_file():
            return [whole]
    return sorted(part.glob(f"{stem}.fp16*.safetensors"))


def _check_weights(folder: Path, part: Path) -> None:
    """Raise `ModelRefusedError` unless the weights of a part are there, whole, as a loader looks for them."""
    _require(folder, part / "config.json")
    name = part.name if part != folder else "it"
    files = weight_files(part)
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        number = f"{len(missing)} of its {len(files)} files of weights"
        problem = f"{name} cannot be read: {number} are missing, among them {missing[0]}."
        raise _refusal(folder, problem, "Fetch the model again.")
    if files:
        _require_known(folder, name, files)
        return
    others = sorted(path.name for path in part.iterdir() if path.suffix.lower() in WEIGHTS_THAT_RUN_CODE)
    instead = f", only {others[0]}, which can run code and is never opened" if others else ""
    remedy = "Look for the same model as .safetensors, or convert it on a machine you can spare."
    raise _refusal(folder, f"{name} cannot be read: it has no weights as .safetensors{instead}.", remedy)


def _require_known(folder: Path, name: str, files: list[Path]) -> None:
    """Raise `ModelRefusedError` if weights are quantised in a way that is not read: their settings may not say so."""
    for file in files:
        try:
            tensors = read_tensors(file)
            require_known(tensors.shapes, tensors.metadata)
        except IncompatibleFileError as misfit:
            raise _refusal(folder, f"{name} {misfit}.", misfit.remedy) from None
        except ValueError:
            return  # damaged: reading it says how


def _require(folder: Path, path: Path) -> None:
    if not path.is_file():
        raise _refusal(folder, f"{path.name} is missing.", "It must be in the diffusers layout.")


def _is_opened(path: Path) -> bool:
    return path.suffix == ".safetensors" or is_settings(path.name)


def _refusal(folder: Path, problem: str, remedy: str) -> ModelRefusedError:
    return ModelRefusedError(folder=str(folder), problem=problem, remedy=remedy)
