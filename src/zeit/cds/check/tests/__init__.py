"""Tests of zeit.cds.check."""
