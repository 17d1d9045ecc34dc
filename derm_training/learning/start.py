"""The weights from which a network begins to learn: by name, from a file, or as they were drawn."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from derm_networks.pretrained import load, load_published, read_state, recognised
from derm_training.learning.batch_norm import normalised
from derm_training.learning.progress import tell


def started(
    network: nn.Module,
    *,
    pretrained: str | None,
    device: torch.device,
    part: str | None = None,
    batch_norm: Sequence[str] = (),
) -> nn.Module:
    """Return `network` on `device`, beginning with the weights that `pretrained` names.

    None or `none`: as it is. A file (safetensors, or a state dict by torch.save): all of its tensors that have a place of their
    name and shape in the network; a published file that was fetched by other means: as if it were named. Any other name:
    `derm_networks.pretrained` gets the weights for `part` of the network, the whole where None. `batch_norm` names the sequences
    of layers that are normalised while they learn.
    """
    if pretrained not in {None, "none"}:
        if Path(str(pretrained)).suffix in {".pt", ".pth", ".safetensors"}:
            left = _from_file(network, Path(str(pretrained)))
        else:
            chosen = network if part is None else network.get_submodule(part)
            left = load(chosen, str(pretrained))
        tell(f"started from {pretrained}; as drawn at random: {', '.join(left) or 'nothing'}")
    made = normalised(network, list(batch_norm)).to(device)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _from_file(network: nn.Module, file: Path) -> list[str]:
    """Load a published file as one that is fetched by name, of any other what fits; return the names of the tensors left as they were.

    Raises ValueError if nothing fits, or if a published file is of a network that computes something else.
    """
    if not file.is_file():
        raise ValueError(f"{file} does not exist; pretrained names weights such as imagenet, a file, or none")
    given = read_state(file)
    published = recognised(network, given)
    if published is not None:
        return load_published(network, given, published)
    own = network.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ValueError(f"{file} holds no tensor of this network; name weights of the same network, or none")
    network.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]
