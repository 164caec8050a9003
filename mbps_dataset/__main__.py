"""`python -m mbps_dataset` is the `mbps` command."""

import sys

from mbps_dataset.cli import main


if __name__ == "__main__":
    sys.exit(main())
