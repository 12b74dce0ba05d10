"""Tests of zeit.cds.cli."""
