"""Secrets that the service manager hands over as files (systemd's LoadCredential)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from edge.settings import Source

_LONGEST_BYTES = 65_536


def credentials(environ: Mapping[str, str], variables: Iterable[str], problems: list[str]) -> Source:
    """Return the values of those variables that have a file of their name in $CREDENTIALS_DIRECTORY.

    One line break at the end is not part of a value. Files that cannot be read are described in `problems`.
    """
    folder = Path(environ.get("CREDENTIALS_DIRECTORY", "") or "/nonexistent")
    values: dict[str, object] = {}
    for variable in variables:
        try:
            with (folder / variable).open("rb") as file:
                content = file.read(_LONGEST_BYTES + 1)
            if len(content) > _LONGEST_BYTES:
                raise ValueError
            values[variable] = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(f"{variable} (credential {folder / variable}): {error.strerror or error}")
        except ValueError:
            problems.append(f"{variable} (credential {folder / variable}): expected at most 64 KiB of text")
    return Source("credential", values, folder)
