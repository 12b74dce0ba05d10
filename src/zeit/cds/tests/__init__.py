"""Tests of zeit.cds: `bin/test`, with the slow layers `bin/test --all`."""
