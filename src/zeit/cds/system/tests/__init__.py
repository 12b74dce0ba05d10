"""Tests of zeit.cds.system."""
