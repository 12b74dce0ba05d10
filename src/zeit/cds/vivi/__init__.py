"""What connects us with zeit.cms (vivi): nothing else here imports that, and only ZCML names this.

`zeit.cds` itself includes `workflow`, where zeit.cms is installed.  The ZCML files are for the
application to include, each by itself:

    <include package="zeit.cds.vivi" file="article.zcml" />      articles go into a spool
    <include package="zeit.cds.vivi" file="metrics.zcml" />      in the registry of Prometheus
    <include package="zeit.cds.vivi" file="objectlog.zcml" />    who edits sees what was delivered
"""
