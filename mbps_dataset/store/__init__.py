"""Stage results on disk, and how anything is written and hashed."""

from mbps_dataset.store.digests import digest_of, file_digest
from mbps_dataset.store.results import Failure, Store
from mbps_dataset.store.writing import (
    holds_bytes,
    remove_abandoned,
    replacing,
    scratch_folder,
    write_atomically,
    write_json,
)


__all__ = [
    "Failure",
    "Store",
    "digest_of",
    "file_digest",
    "holds_bytes",
    "remove_abandoned",
    "replacing",
    "scratch_folder",
    "write_atomically",
    "write_json",
]
