"""Tests of zeit.cds.run."""
