"""Where the files lie that a bundle's description names: inside the bundle's folder, or nowhere.

The service refuses such a description when it parses it; training reads one that is still being made.
"""

from pathlib import Path


def file_inside(folder: Path, name: str, setting: str) -> Path:
    """Return the file called `name` of the bundle in `folder`, which need not exist yet.

    Raises ValueError naming the `setting` of serving.json whose file would lie outside: an absolute path, one with `..`, a link.
    """
    place = folder / name
    relative = not Path(name).is_absolute() and ".." not in Path(name).parts and "\\" not in name
    if not relative or folder.resolve() not in place.resolve().parents:
        raise ValueError(
            f"{setting} of serving.json is {name!r}, which is not a file inside the bundle {folder.resolve().name}; "
            "name it relative to the bundle's folder, such as models/model.safetensors"
        )
    return place
