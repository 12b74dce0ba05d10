"""Tests of zeit.cds.lock."""
