"""Tests of zeit.cds.ftp."""
