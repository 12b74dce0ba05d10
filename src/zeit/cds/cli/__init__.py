"""The command `zeit-cds`: its options, its sub-commands, and what they say.

`main` begins and ends it.  `commands/NAME` says what is typed, and has the help; what it does is
here:

    export, import                  `runs`, side by side in `parallel_runs`
    watch                           `watching`, by `zeit.cds.drivers.watch`
    check                           `checks`, by `zeit.cds.check`
    status                          `snapshot`, shown by `status_text`, `status_json`
    log, receipt                    `events`, `receipts`
    hold, release, drop, withdraw, resend     `file_actions`
    retry, partners, unlock, demo   a module of that name
    serve                           `zeit.cds.web.serving`

Which exporters, importers and spools are meant is found by `selection`.  Options are made in
`options`; what is written to the terminal goes through `console`.
"""
