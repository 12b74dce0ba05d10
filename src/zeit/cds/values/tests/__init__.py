"""Tests of zeit.cds.values."""
