"""Files that are the old or the new one, never half of one, and only their owner's to read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from orchestration.deliver import DeliveryError


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a new file of mode 0600 and put it in `path`'s place at once.

    A process killed meanwhile leaves `.<name>.new` beside it, which the next write uses again.
    Raises DeliveryError when the folder can't be made or written; then `path` is as it was.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.unlink(missing_ok=True)
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return
    except OSError as caught:
        problem = caught.strerror or str(caught)
    raise DeliveryError(f"cannot write {path}: {problem}")


def check_writable(folder: Path, what: str) -> None:
    """Raise DeliveryError unless `what` can be written to `folder`, existing or not."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise DeliveryError(f"{what} cannot be written to {folder}: {place} is not a writable folder")
