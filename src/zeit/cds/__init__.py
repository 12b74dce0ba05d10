"""Exchange of files between a gocept.filestore and a Content Drehscheibe (CDS) FTP server.

The whole story stands in `zeit.cds.interfaces`, the decisions in docs/architecture.txt.
"""

__version__ = '2.0.dev0'
