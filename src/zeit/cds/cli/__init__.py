"""The command `zeit-cds`: its options, its sub-commands, and what they say.

`commands/` has a module for each sub-command: what is typed, and its help. What it does is beside
it: `runs`, `snapshot` and its renderings, `receipts`, `retry`, `unlock`, `demo`. Begin with `main`.
"""
