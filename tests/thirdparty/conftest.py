"""The third party's own tests run where only it and core are installed."""

collect_ignore = ["ripples"]
