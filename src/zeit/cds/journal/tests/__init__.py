"""Tests of zeit.cds.journal."""
