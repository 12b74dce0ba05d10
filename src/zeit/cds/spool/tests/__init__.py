"""Tests of zeit.cds.spool."""
