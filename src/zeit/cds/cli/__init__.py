"""The command `zeit-cds`: its options, its sub-commands, and what they say.

`commands/` has a module for each sub-command: what is typed, and its help. What it does is here,
where that takes long to load or the page does it, too: `runs`, `snapshot` and its renderings,
`receipts`, `retry`, `unlock`, `file_actions`. Begin with `main`.
"""
