"""Tests of zeit.cds.publish."""
