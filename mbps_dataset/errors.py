"""Errors a user can do something about. Each message says what is wrong, with which file or key, and what to do."""

from __future__ import annotations


class InputError(ValueError):
    """An image, label map or folder that cannot be used."""


class RecipeError(ValueError):
    """A recipe or setting that does not exist or is out of range."""


class WeightsError(ValueError):
    """A checkpoint that is missing, unsafe to read, or does not fit the network."""


class CalibrationError(ValueError):
    """Numbers over the whole set cannot be taken, for instance because ground truth is missing."""


class StoreError(OSError):
    """A stage result cannot be written or read back."""


class WorkerError(RuntimeError):
    """A worker process that ended without finishing its images, for instance for want of memory."""


class PublishError(ValueError):
    """A label set that cannot be released: the tag exists, images may not be shown, or the Hub says no."""
