"""``python -m spm``: the command line."""

from .cli import main

raise SystemExit(main())
