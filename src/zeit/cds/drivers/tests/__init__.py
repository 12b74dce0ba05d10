"""Tests of zeit.cds.drivers."""
