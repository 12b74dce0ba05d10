"""Tests of zeit.cds.target."""
