"""One run, either way: its frame, its engine, the export, the import, the record.

It brings a spool, a target and the lock together. It knows neither ZCML nor the command line, nor
who calls it again. Open `run` first, then `engine`, then `exporter` or `importer`.
"""
