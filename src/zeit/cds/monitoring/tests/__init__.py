"""Tests of zeit.cds.monitoring."""
