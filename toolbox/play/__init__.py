"""See the renditions of your own pictures in a browser, and tune renditions.toml.

Each module knows only those after it::

    server     the page and its requests on 127.0.0.1: who may ask, and what is answered
    report     the same page as one file, without a server
    session    the pictures, the two recipes (saved and edited), and what is still to be rendered
    engine     processes that render, one per core; one that hangs or dies is replaced
    worker     what runs in such a process: the function's own engine, request by request
    recipe     the text of renditions.toml -> columns, or its mistakes with their lines
    metadata   what an image says besides its pixels, in words
    assets     the files of the page, and where the browser finds each module
"""
