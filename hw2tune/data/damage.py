"""The error for a file on disk that is not what it claims to be."""

from pathlib import Path

from hw2tune.errors import DataError


def damaged(place: Path | str, *, expected: str, found: str) -> DataError:
    """The error for the file or folder at `place`; whoever raises it has looked at nothing else in its stead."""
    return DataError(
        f"{place}: expected {expected}, but found {found}. "
        "Replace or remove it, or name another folder with --data-dir; a damaged copy is never used or passed over."
    )
