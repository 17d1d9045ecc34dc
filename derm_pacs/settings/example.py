"""The example settings: one PACS that sends studies and takes the results of both bundles."""

from derm_pacs.settings.model import DestinationSettings, RouteSettings, Settings
from derm_pacs.settings.peers import Peer
from derm_pacs.settings.write import to_toml

EXAMPLE = Settings(
    facility="Default",
    timezone="Europe/Berlin",
    peers=(Peer(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=4242, may_send=True),),
    destinations=(DestinationSettings(name="pacs", peer="pacs"),),
    routes=(
        RouteSettings(
            name="dermoscopy",
            sop_classes=("1.2.840.10008.5.1.4.1.1.77.1.7",),
            bundles=("skin_lesion_deeplabv3plus", "melanoma_nevus_alexnet"),
            destinations=("pacs",),
        ),
    ),
)
"""What `deploy/derm-pacs.example.toml` holds."""

_HEAD = """\
# Settings of derm-pacs: an example. Every key stands here with its default, or with a value of the example where it
# has none. An unknown key is refused; no secret belongs into this file. Reference: docs/reference/settings.md.
# This file is made from derm_pacs/settings/model.py: python -m derm_pacs.settings.example > deploy/derm-pacs.example.toml
"""


def example_toml() -> str:
    """Return the text of the example file."""
    return f"{_HEAD}\n{to_toml(EXAMPLE, commented=True)}"


if __name__ == "__main__":
    print(example_toml(), end="")  # noqa: T201 - the result of this command
