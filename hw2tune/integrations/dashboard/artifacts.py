"""A study's report as artifacts: the files where they lie."""

from __future__ import annotations

import json
import mimetypes
import uuid
from pathlib import Path
from typing import Any, BinaryIO

from hw2tune.records.layout import StudyFolder
from hw2tune.report.outputs import PAGE, SUMMARY, default_target

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "hw2tune")


class ReportArtifacts:
    """Optuna's artifact store over reports: it reads, and refuses everything else. The id of a file stays the same."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}

    def of_study(self, folder: StudyFolder, summary: dict[str, Any]) -> dict[str, str]:
        """The system attributes that attach the page and the figures that a report's summary names."""
        figures = [figure["png"] for figure in summary.get("figures", []) if "png" in figure]
        paths = [default_target([folder]) / name for name in ([PAGE, *figures] if summary else [])]
        titles = ["report.html", *(Path(name).name for name in figures)]
        return dict(
            self._attached(path, f"{number:02} {title}")  # the dashboard shows them by name
            for number, (path, title) in enumerate(zip(paths, titles, strict=False))
            if path.is_file()
        )

    def _attached(self, path: Path, title: str) -> tuple[str, str]:
        name = str(uuid.uuid5(NAMESPACE, str(path.resolve())))
        self._paths[name] = path
        mimetype, encoding = mimetypes.guess_type(path.name)
        record = {"artifact_id": name, "filename": title, "mimetype": mimetype, "encoding": encoding}
        return f"artifacts:{name}", json.dumps(record)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The file's content. Raises ArtifactNotFound."""
        from optuna.artifacts.exceptions import ArtifactNotFound

        try:
            return self._paths[artifact_id].open("rb")
        except (KeyError, OSError):
            raise ArtifactNotFound(artifact_id) from None

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuses: a report is written by `hw2tune summarize`."""
        raise PermissionError("a dashboard's artifacts are the files of a report, and are read alone")

    def remove(self, artifact_id: str) -> None:
        """Refuses, as `write` does."""
        raise PermissionError("a dashboard's artifacts are the files of a report, and are read alone")


def report_summary(folder: StudyFolder) -> dict[str, Any]:
    """What the study's report says of it for programs; empty where there is none that can be read."""
    try:
        studies = json.loads((default_target([folder]) / SUMMARY).read_text(encoding="utf-8"))["studies"]
        return dict(studies[0])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return {}
