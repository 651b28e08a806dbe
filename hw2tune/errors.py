"""Errors that a user can fix. The CLI prints them in one line; all others are our own faults."""


class Hw2tuneError(Exception):
    """An error with its place and its fix in one message."""

    exit_code = 1


class StudyFileError(Hw2tuneError):
    """A study file that cannot be used; the message lists every fault found, one a line."""


class StudyFolderError(Hw2tuneError):
    """A study's folder in the results that does not fit the command."""


class PathError(Hw2tuneError):
    """A path that a user gave and that is not what it must be."""


class LostStudyError(StudyFolderError):
    """A study that a run no longer holds: another process has taken it over, or its working copy was cleared."""


class NotWritableError(StudyFolderError):
    """A disk that takes no more, is read-only or refuses; what was written before is whole."""


class StoreError(StudyFolderError):
    """Results behind a URL that cannot be reached."""


class DeviceError(Hw2tuneError):
    """A device that was given cannot be used."""


class ModelError(Hw2tuneError):
    """A network of the user's that cannot be built, or cannot be trained on these images."""


class UserCodeError(Hw2tuneError):
    """A sampler, pruner or other code of the user's that raised an error while a study ran."""


class RayFailedError(Hw2tuneError):
    """An error of Ray's that no trial caused."""


class DataError(Hw2tuneError):
    """A data set that is missing, damaged or not what it claims to be."""


class ImageError(DataError):
    """An image file that cannot be used. The text gives the reason; whoever has the file names it."""


class ResourceError(Hw2tuneError):
    """More processors or GPUs asked for than there are, or a cluster that cannot be used."""


class JobError(Hw2tuneError):
    """A job on a cluster that runs already, or is not there."""


class LoggerError(Hw2tuneError):
    """A logger whose library is not installed, whose server does not answer or whose folder cannot be written."""


class TrainingFailedError(Hw2tuneError):
    """A replicate's training that ended in an error."""


class NotComparableError(Hw2tuneError):
    """Two studies whose results cannot be held against each other."""


class InterruptedByUserError(Hw2tuneError):
    """Ctrl-C; what is finished is kept."""

    exit_code = 130


class NoTrialFinishedError(Hw2tuneError):
    """Every trial of the study failed, or the first ones in the same way."""

    exit_code = 3


class DashboardError(Hw2tuneError):
    """A dashboard that cannot be served."""
