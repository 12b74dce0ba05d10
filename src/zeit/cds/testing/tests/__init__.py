"""Tests of zeit.cds.testing."""
