"""How fast zeit.cds is, beside the tools that people would take instead: `bin/bench`.

    main      the command line
    rows      what is measured: files, connections, delay, who takes part, what must be reached
    clients   how each of them is called, zeit.cds among them
    stage     a server, the files and the network for one row
    network   private network namespaces with a delay between them; delay.py is the line itself,
              relay.py a weaker one
    measure   one run of one client: seconds, CPU, memory, fsyncs; fsyncs.py counts and slows those
    wake      from publishing to delivered; application.py is who publishes, of this build or that
    trace     the packets of a run, and how many round trips they are
    figures   medians, ratios and how sure they are
    table     the figures as text
    plot      curves as SVG
    past      what a run and a look pay for the past; what it costs to begin
    partners  several partners of one spool, one of them hangs
    report    all of it as docs/performance.txt

Nothing of this is installed with the package.
"""
