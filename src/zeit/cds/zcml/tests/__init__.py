"""Tests of zeit.cds.zcml."""
