"""The strangers' apps bring tests of their own, which the line runs."""

collect_ignore = ["strangers"]
