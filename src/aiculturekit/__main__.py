"""`python -m aiculturekit` is `aic`."""

import sys

from aiculturekit.cli.main import main

sys.exit(main())
